package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/lindero/lindero/core/tenancy"
)

// Revisions says how often what all cores share was changed. It is one short
// query, for those who look often.
func (p *Platform) Revisions(ctx context.Context) (tenancy.Revisions, error) {
	var r tenancy.Revisions
	err := p.s.read.row(ctx, []any{&r.Policy, &r.Bans}, `SELECT
		(SELECT number FROM revisions WHERE name = 'policy'), (SELECT number FROM revisions WHERE name = 'bans')`)
	if err != nil {
		return tenancy.Revisions{}, fmt.Errorf("store: revisions: %w", err)
	}
	return r, nil
}

// lockRevision makes every other change of what name counts wait for the end of
// tx, and returns the number it has.
func lockRevision(ctx context.Context, tx *sql.Tx, name string) (n uint64, err error) {
	err = tx.QueryRowContext(ctx, `UPDATE revisions SET number = number WHERE name = $1 RETURNING number`, name).Scan(&n)
	return n, err
}

func setRevision(ctx context.Context, tx *sql.Tx, name string, n uint64) error {
	_, err := tx.ExecContext(ctx, `UPDATE revisions SET number = $2 WHERE name = $1`, name, int64(n))
	return err
}

// PutPolicy puts a version into force and returns it with its number and time.
// action is what the audit calls it. When base is given and another version is in
// force, nothing changes and tenancy.ErrConflict is returned, with the version that
// is in force (its number 0 when none is).
func (p *Platform) PutPolicy(ctx context.Context, v tenancy.PolicyVersion, action string, base *uint64) (tenancy.PolicyVersion, error) {
	var current tenancy.PolicyVersion
	err := p.s.write.tx(ctx, func(tx *sql.Tx) error {
		n, err := lockRevision(ctx, tx, "policy")
		if err != nil {
			return err
		}
		if current, err = policyIn(ctx, tx, n); err != nil {
			return err
		}
		if base != nil && *base != n {
			return tenancy.ErrConflict
		}
		v.Number, v.Made = n+1, now()
		v.Author, v.Note = clean(v.Author), clean(v.Note)
		_, err = tx.ExecContext(ctx, `INSERT INTO policies (number, document, author, note, made) VALUES ($1, $2, $3, $4, $5)`,
			int64(v.Number), string(v.Document), v.Author, v.Note, v.Made.UnixMicro())
		if err != nil {
			return err
		}
		if err := setRevision(ctx, tx, "policy", v.Number); err != nil {
			return err
		}
		return audit(ctx, tx, tenancy.Audit{At: v.Made, Who: v.Author, Action: action, Object: "policy",
			Before: current.Document, After: v.Document})
	})
	if err != nil {
		return current, fmt.Errorf("store: put policy: %w", err)
	}
	return v, nil
}

// policyIn is version n as tx sees it; version 0 has no document, nor one that was lost.
func policyIn(ctx context.Context, tx *sql.Tx, n uint64) (tenancy.PolicyVersion, error) {
	if n == 0 {
		return tenancy.PolicyVersion{}, nil
	}
	v, err := scanPolicy(tx.QueryRowContext(ctx, policySelect+` WHERE number = $1`, int64(n)).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return tenancy.PolicyVersion{Number: n}, nil // it was lost; that must not keep a better one out
	}
	return v, err
}

const policySelect = `SELECT number, document, author, note, made FROM policies`

func scanPolicy(scan func(...any) error) (v tenancy.PolicyVersion, err error) {
	var document string
	var made any // SQLite keeps whatever it is given, and a damaged time is no lost policy
	err = scan(&v.Number, &document, &v.Author, &v.Note, &made)
	micros, _ := made.(int64)
	v.Document, v.Made = json.RawMessage(document), time.UnixMicro(micros)
	return v, err
}

// Policy is version n, or tenancy.ErrNotFound.
func (p *Platform) Policy(ctx context.Context, n uint64) (tenancy.PolicyVersion, error) {
	v, err := scanPolicy(func(dest ...any) error {
		return p.s.read.row(ctx, dest, policySelect+` WHERE number = $1`, int64(n))
	})
	if err != nil {
		return tenancy.PolicyVersion{}, fmt.Errorf("store: policy %d: %w", n, err)
	}
	return v, nil
}

// MaxListBytes is about how much a list of documents carries: one that would be
// longer ends before its limit.
const MaxListBytes = 16 << 20

// errEnough ends a query that has said enough.
var errEnough = errors.New("store: enough")

// A ration ends a list when it has grown long.
type ration int

func (r *ration) take(n int) error {
	if *r += ration(n); *r >= MaxListBytes {
		return errEnough
	}
	return nil
}

// Policies are the last versions, newest first, at most limit and MaxListBytes.
func (p *Platform) Policies(ctx context.Context, limit int) ([]tenancy.PolicyVersion, error) {
	var all []tenancy.PolicyVersion
	var size ration
	err := p.s.read.rows(ctx, func(r *sql.Rows) error {
		v, err := scanPolicy(r.Scan)
		if err != nil {
			return err
		}
		all = append(all, v)
		return size.take(len(v.Document))
	}, policySelect+` ORDER BY number DESC LIMIT $1`, limit)
	if err != nil && !errors.Is(err, errEnough) {
		return nil, fmt.Errorf("store: policies: %w", err)
	}
	return all, nil
}

// now is the time as every database keeps it.
func now() time.Time { return time.UnixMicro(time.Now().UnixMicro()) }
