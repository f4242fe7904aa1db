package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/lindero/lindero/core/tenancy"
)

// Bindings are the live bindings of all terminals of a user, newest first.
func (t *Tenant) Bindings(ctx context.Context, user tenancy.UserID) ([]tenancy.Binding, error) {
	return t.bindings(ctx, bindingsSelect+` WHERE company_id = $1 AND user_id = $2 AND expires > $3 ORDER BY updated DESC, key`, int64(user))
}

// BindingsOf are the live bindings of one terminal, newest first.
func (t *Tenant) BindingsOf(ctx context.Context, terminal tenancy.TerminalID) ([]tenancy.Binding, error) {
	return t.bindings(ctx, bindingsSelect+` WHERE company_id = $1 AND terminal_id = $2 AND expires > $3 ORDER BY updated DESC, key`, int64(terminal))
}

const bindingsSelect = `SELECT terminal_id, user_id, key, contact, params, path, call_id, cseq, user_agent, source, expires, updated FROM bindings`

func (t *Tenant) bindings(ctx context.Context, query string, of int64) ([]tenancy.Binding, error) {
	var all []tenancy.Binding
	err := t.s.read.rows(ctx, func(r *sql.Rows) error {
		b := tenancy.Binding{Company: t.id}
		var path string
		var expires, updated int64
		err := r.Scan(&b.Terminal, &b.User, &b.Key, &b.Contact, &b.Params, &path, &b.CallID, &b.CSeq,
			&b.UserAgent, &b.Source, &expires, &updated)
		if err != nil {
			return err
		}
		if path != "" {
			if err := json.Unmarshal([]byte(path), &b.Path); err != nil {
				return fmt.Errorf("path of a binding: %w", err)
			}
		}
		b.Expires, b.Updated = time.UnixMicro(expires), time.UnixMicro(updated)
		all = append(all, b)
		return nil
	}, query, t.id, of, time.Now().UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("store: bindings: %w", err)
	}
	return all, nil
}

// SaveBinding makes or replaces the binding of b.Terminal with b.Key, in one
// statement. Company and user are those of the terminal, whatever b says. A
// live binding made by the same Call-ID with a CSeq that is not lower stays, and
// tenancy.ErrOutOfOrder is returned; so it is for a terminal that does not exist.
func (t *Tenant) SaveBinding(ctx context.Context, b tenancy.Binding) error {
	args, err := t.saveArgs(b)
	if err == nil {
		var n int64
		n, err = t.s.write.exec(ctx, saveBinding, args...)
		err = ordered(n, err)
	}
	if err != nil {
		return fmt.Errorf("store: save binding: %w", err)
	}
	return nil
}

// DeleteBinding removes a binding by Terminal and Key. It is no error when it is
// not there; when it was made by b.CallID with a CSeq that is not lower than
// b.CSeq it stays, and tenancy.ErrOutOfOrder is returned.
func (t *Tenant) DeleteBinding(ctx context.Context, b tenancy.Binding) error {
	return t.ChangeBindings(ctx, b.Terminal, tenancy.BindingChange{Drop: []tenancy.Binding{b}})
}

// ChangeBindings does all of c to the bindings of terminal or, with an error,
// nothing (RFC 3261 §10.3 step 7). The Terminal of the bindings in c is ignored.
func (t *Tenant) ChangeBindings(ctx context.Context, terminal tenancy.TerminalID, c tenancy.BindingChange) error {
	if len(c.Put) == 1 && len(c.Drop) == 0 {
		return t.changeOne(ctx, terminal, c)
	}
	err := t.s.write.tx(ctx, func(tx *sql.Tx) error { return t.changeBindings(ctx, tx, terminal, c) })
	if err != nil {
		return fmt.Errorf("store: change bindings: %w", err)
	}
	return nil
}

// changeOne is ChangeBindings for what nearly every REGISTER does. It needs no
// transaction: what has expired is nobody's, whatever becomes of the rest.
func (t *Tenant) changeOne(ctx context.Context, terminal tenancy.TerminalID, c tenancy.BindingChange) error {
	if c.Tidy {
		if _, err := t.s.write.exec(ctx, tidyBindings, t.id, terminal, time.Now().UnixMicro()); err != nil {
			return fmt.Errorf("store: change bindings: %w", err)
		}
	}
	b := c.Put[0]
	b.Terminal = terminal
	return t.SaveBinding(ctx, b)
}

const tidyBindings = `DELETE FROM bindings WHERE company_id = $1 AND terminal_id = $2 AND expires <= $3`

func (t *Tenant) changeBindings(ctx context.Context, tx *sql.Tx, terminal tenancy.TerminalID, c tenancy.BindingChange) error {
	if c.Tidy {
		if _, err := tx.ExecContext(ctx, tidyBindings, t.id, terminal, time.Now().UnixMicro()); err != nil {
			return err
		}
	}
	for _, b := range c.Drop {
		if err := t.dropBinding(ctx, tx, terminal, b); err != nil {
			return err
		}
	}
	for _, b := range c.Put {
		b.Terminal = terminal
		args, err := t.saveArgs(b)
		if err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, saveBinding, args...)
		if err != nil {
			return err
		}
		if err := ordered(res.RowsAffected()); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tenant) dropBinding(ctx context.Context, tx *sql.Tx, terminal tenancy.TerminalID, b tenancy.Binding) error {
	res, err := tx.ExecContext(ctx, `DELETE FROM bindings WHERE company_id = $1 AND terminal_id = $2 AND key = $3
		AND (call_id <> $4 OR cseq < $5)`, t.id, terminal, clean(b.Key), clean(b.CallID), int64(b.CSeq))
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil || n > 0 {
		return err
	}
	err = tx.QueryRowContext(ctx, `SELECT count(*) FROM bindings WHERE company_id = $1 AND terminal_id = $2 AND key = $3`,
		t.id, terminal, clean(b.Key)).Scan(&n)
	if err == nil && n > 0 {
		err = tenancy.ErrOutOfOrder
	}
	return err
}

// The binding is made from its terminal's row, so that brand, company and user
// are the real ones.
const saveBinding = `INSERT INTO bindings (brand_id, company_id, terminal_id, user_id, key, contact, params, path,
		call_id, cseq, user_agent, source, expires, updated)
	SELECT brand_id, company_id, id, user_id, $3, $4, $5, $6, $7, CAST($8 AS BIGINT), $9, $10, CAST($11 AS BIGINT), CAST($12 AS BIGINT)
	FROM terminals WHERE company_id = $1 AND id = $2
	ON CONFLICT (company_id, terminal_id, key) DO UPDATE SET contact = excluded.contact, params = excluded.params,
		path = excluded.path, call_id = excluded.call_id, cseq = excluded.cseq, user_agent = excluded.user_agent,
		source = excluded.source, expires = excluded.expires, updated = excluded.updated
	WHERE bindings.call_id <> excluded.call_id OR bindings.cseq < excluded.cseq OR bindings.expires <= excluded.updated`

func (t *Tenant) saveArgs(b tenancy.Binding) ([]any, error) {
	path := ""
	if len(b.Path) > 0 {
		j, err := json.Marshal(b.Path)
		if err != nil {
			return nil, err
		}
		path = clean(string(j))
	}
	if b.Updated.IsZero() {
		b.Updated = time.Now()
	}
	return []any{int64(t.id), int64(b.Terminal), clean(b.Key), clean(b.Contact), clean(b.Params), path, clean(b.CallID), int64(b.CSeq),
		clean(b.UserAgent), clean(b.Source), b.Expires.UnixMicro(), b.Updated.UnixMicro()}, nil
}

func ordered(n int64, err error) error {
	if err == nil && n == 0 {
		return tenancy.ErrOutOfOrder
	}
	return err
}
