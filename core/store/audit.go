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

// audit writes down a change in the transaction that makes it: there is no change
// without its row, and no row without its change.
func audit(ctx context.Context, tx *sql.Tx, a tenancy.Audit) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO audits (made, who, action, object, before, after) VALUES ($1, $2, $3, $4, $5, $6)`,
		a.At.UnixMicro(), clean(a.Who), a.Action, a.Object, orNull(a.Before), orNull(a.After))
	return err
}

func orNull(j json.RawMessage) string {
	if len(j) == 0 {
		return "null"
	}
	return jsonOf(clean(string(j)))
}

// jsonOf is text that says something to everybody: what is no JSON, as a policy that
// was damaged, is a string.
func jsonOf(text string) string {
	if json.Valid([]byte(text)) {
		return text
	}
	quoted, err := json.Marshal(text)
	if err != nil {
		return "null" // strings always marshal
	}
	return string(quoted)
}

// Audits are the last changes, newest first, at most limit and MaxListBytes; before
// 0, or those with an id below it.
func (p *Platform) Audits(ctx context.Context, before int64, limit int) ([]tenancy.Audit, error) {
	var all []tenancy.Audit
	var size ration
	err := p.s.read.rows(ctx, func(r *sql.Rows) error {
		var a tenancy.Audit
		var made int64
		var before, after string
		if err := r.Scan(&a.ID, &made, &a.Who, &a.Action, &a.Object, &before, &after); err != nil {
			return err
		}
		a.At, a.Before, a.After = time.UnixMicro(made), json.RawMessage(jsonOf(before)), json.RawMessage(jsonOf(after))
		all = append(all, a)
		return size.take(len(before) + len(after))
	}, `SELECT id, made, who, action, object, before, after FROM audits
		WHERE id < CAST($1 AS BIGINT) OR CAST($1 AS BIGINT) = 0 ORDER BY id DESC LIMIT $2`, before, limit)
	if err != nil && !errors.Is(err, errEnough) {
		return nil, fmt.Errorf("store: audits: %w", err)
	}
	return all, nil
}
