package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/lindero/lindero/core/tenancy"
)

// A Tenant is the handle of one company: the only place where rows of a company
// are asked for or made. Every method is one transaction. A thing that is not in
// this company is tenancy.ErrNotFound, whoever else has it.
type Tenant struct {
	s  *Store
	id tenancy.CompanyID
}

type terminalKey struct {
	company  tenancy.CompanyID
	username string
}

// ID is the company this handle is for.
func (t *Tenant) ID() tenancy.CompanyID { return t.id }

// Company is the company itself.
func (t *Tenant) Company(ctx context.Context) (tenancy.Company, error) {
	c, err := scanCompany(func(dest ...any) error {
		return t.s.read.row(ctx, dest, `SELECT id, brand_id, name, domain, ring_ms FROM companies WHERE id = $1`, t.id)
	})
	if err != nil {
		return tenancy.Company{}, fmt.Errorf("store: company: %w", err)
	}
	return c, nil
}

func scanCompany(scan func(...any) error) (c tenancy.Company, err error) {
	var ring int64
	err = scan(&c.ID, &c.Brand, &c.Name, &c.Domain, &ring)
	c.RingTime = time.Duration(ring) * time.Millisecond
	return c, err
}

// User is the user with id.
func (t *Tenant) User(ctx context.Context, id tenancy.UserID) (tenancy.User, error) {
	u := tenancy.User{ID: id, Company: t.id}
	err := t.s.read.row(ctx, []any{&u.Name}, `SELECT name FROM users WHERE company_id = $1 AND id = $2`, t.id, id)
	if err != nil {
		return tenancy.User{}, fmt.Errorf("store: user: %w", err)
	}
	return u, nil
}

// Terminal is the terminal with a digest username. The answer may be a few
// seconds old when another process changed it.
func (t *Tenant) Terminal(ctx context.Context, username string) (tenancy.Terminal, error) {
	if !storable(username) {
		return tenancy.Terminal{}, fmt.Errorf("store: terminal: %w", tenancy.ErrNotFound)
	}
	d, err := t.s.terminals.get(terminalKey{t.id, username}, func() (tenancy.Terminal, error) {
		d := tenancy.Terminal{Company: t.id, Username: username}
		err := t.s.read.row(ctx, []any{&d.ID, &d.User, &d.HA1MD5, &d.HA1SHA},
			`SELECT id, user_id, ha1_md5, ha1_sha256 FROM terminals WHERE company_id = $1 AND username = $2`, t.id, username)
		return d, err
	})
	if err != nil {
		return tenancy.Terminal{}, fmt.Errorf("store: terminal: %w", err)
	}
	return d, nil
}

// Extension is what answers a number dialled inside the company.
func (t *Tenant) Extension(ctx context.Context, number string) (tenancy.Extension, error) {
	if !storable(number) {
		return tenancy.Extension{}, fmt.Errorf("store: extension: %w", tenancy.ErrNotFound)
	}
	return t.extension(ctx, `SELECT id, number, kind, user_id FROM extensions WHERE company_id = $1 AND number = $2`, number)
}

// ExtensionOf is the number a user is called by and calls from: the first one made for it.
func (t *Tenant) ExtensionOf(ctx context.Context, user tenancy.UserID) (tenancy.Extension, error) {
	return t.extension(ctx, `SELECT id, number, kind, user_id FROM extensions WHERE company_id = $1 AND user_id = $2
		ORDER BY id LIMIT 1`, user)
}

func (t *Tenant) extension(ctx context.Context, query string, by any) (tenancy.Extension, error) {
	e := tenancy.Extension{Company: t.id}
	var user sql.NullInt64
	if err := t.s.read.row(ctx, []any{&e.ID, &e.Number, &e.Kind, &user}, query, t.id, by); err != nil {
		return tenancy.Extension{}, fmt.Errorf("store: extension: %w", err)
	}
	e.User = tenancy.UserID(user.Int64)
	return e, nil
}

// CreateUser makes a user.
func (t *Tenant) CreateUser(ctx context.Context, u tenancy.User) (tenancy.User, error) {
	return create(ctx, t, "user", u, createUser)
}

// CreateTerminal makes a terminal of one of the company's users. A username
// taken in the company is tenancy.ErrExists.
func (t *Tenant) CreateTerminal(ctx context.Context, d tenancy.Terminal) (tenancy.Terminal, error) {
	return create(ctx, t, "terminal", d, createTerminal)
}

// CreateExtension makes an extension; for tenancy.ToUser, of one of the company's
// users. A number taken in the company is tenancy.ErrExists.
func (t *Tenant) CreateExtension(ctx context.Context, e tenancy.Extension) (tenancy.Extension, error) {
	return create(ctx, t, "extension", e, createExtension)
}

// SetCredentials replaces the password digests of a terminal.
func (t *Tenant) SetCredentials(ctx context.Context, id tenancy.TerminalID, ha1MD5, ha1SHA string) error {
	n, err := t.s.write.exec(ctx, `UPDATE terminals SET ha1_md5 = $3, ha1_sha256 = $4 WHERE company_id = $1 AND id = $2`,
		t.id, id, ha1MD5, ha1SHA)
	t.s.forget()
	if err == nil && n == 0 {
		err = tenancy.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("store: set credentials: %w", err)
	}
	return nil
}

func create[T any](ctx context.Context, t *Tenant, what string, v T, do func(context.Context, *sql.Tx, tenancy.CompanyID, T) (T, error)) (T, error) {
	err := t.s.write.tx(ctx, func(tx *sql.Tx) (err error) {
		v, err = do(ctx, tx, t.id, v)
		return err
	})
	t.s.forget()
	if err != nil {
		var none T
		return none, fmt.Errorf("store: create %s: %w", what, t.s.taken(err))
	}
	return v, nil
}

// The rows are made from the row they hang off, so that the brand and company
// written are the real ones and a stranger's user is simply not found.

func createUser(ctx context.Context, tx *sql.Tx, in tenancy.CompanyID, u tenancy.User) (tenancy.User, error) {
	u.Company = in
	err := tx.QueryRowContext(ctx, `INSERT INTO users (brand_id, company_id, name)
		SELECT brand_id, id, $2 FROM companies WHERE id = $1 RETURNING id`, in, u.Name).Scan(&u.ID)
	return u, found(err)
}

func createTerminal(ctx context.Context, tx *sql.Tx, in tenancy.CompanyID, d tenancy.Terminal) (tenancy.Terminal, error) {
	d.Company = in
	err := tx.QueryRowContext(ctx, `INSERT INTO terminals (brand_id, company_id, user_id, username, ha1_md5, ha1_sha256)
		SELECT brand_id, company_id, id, $3, $4, $5 FROM users WHERE company_id = $1 AND id = $2 RETURNING id`,
		in, d.User, d.Username, d.HA1MD5, d.HA1SHA).Scan(&d.ID)
	return d, found(err)
}

func createExtension(ctx context.Context, tx *sql.Tx, in tenancy.CompanyID, e tenancy.Extension) (tenancy.Extension, error) {
	e.Company = in
	if e.Kind != tenancy.ToUser {
		err := tx.QueryRowContext(ctx, `INSERT INTO extensions (brand_id, company_id, number, kind)
			SELECT brand_id, id, $2, $3 FROM companies WHERE id = $1 RETURNING id`, in, e.Number, e.Kind).Scan(&e.ID)
		return e, found(err)
	}
	err := tx.QueryRowContext(ctx, `INSERT INTO extensions (brand_id, company_id, user_id, number, kind)
		SELECT brand_id, company_id, id, $3, $4 FROM users WHERE company_id = $1 AND id = $2 RETURNING id`,
		in, e.User, e.Number, e.Kind).Scan(&e.ID)
	return e, found(err)
}
