package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/lindero/lindero/core/tenancy"
)

// WriteCDR keeps the record of a call. It may be called again with the same ID:
// the first record stays. A company that does not exist is tenancy.ErrNotFound.
func (t *Tenant) WriteCDR(ctx context.Context, c tenancy.CDR) error {
	n, err := t.s.write.exec(ctx, insertCDR, t.id, clean(c.ID), nullID(c.CallerUser), nullID(c.CalleeUser), clean(c.From), clean(c.To),
		clean(c.CallID), c.Start.UnixMicro(), nullTime(c.Answer), c.End.UnixMicro(), string(c.Verdict), c.Code, c.HungUpBy, clean(c.Reason))
	if err == nil && n == 0 { // it is there already, or the company is not
		_, err = t.Company(ctx)
	}
	if err != nil {
		return fmt.Errorf("store: write cdr: %w", err)
	}
	return nil
}

// The brand is that of the company's row.
const insertCDR = `INSERT INTO cdrs (brand_id, company_id, id, caller_user, callee_user, from_number, to_number,
		call_id, started, answered, ended, verdict, code, hung_up_by, reason)
	SELECT brand_id, id, $2, CAST($3 AS BIGINT), CAST($4 AS BIGINT), $5, $6, $7, CAST($8 AS BIGINT), CAST($9 AS BIGINT),
		CAST($10 AS BIGINT), $11, CAST($12 AS BIGINT), $13, $14
	FROM companies WHERE id = $1
	ON CONFLICT (company_id, id) DO NOTHING`

// CDRs are the last records, newest first, at most limit.
func (t *Tenant) CDRs(ctx context.Context, limit int) ([]tenancy.CDR, error) {
	var all []tenancy.CDR
	err := t.s.read.rows(ctx, func(r *sql.Rows) error {
		c := tenancy.CDR{Company: t.id}
		var caller, callee, answered sql.NullInt64
		var started, ended int64
		err := r.Scan(&c.ID, &caller, &callee, &c.From, &c.To, &c.CallID, &started, &answered, &ended,
			&c.Verdict, &c.Code, &c.HungUpBy, &c.Reason)
		if err != nil {
			return err
		}
		c.CallerUser, c.CalleeUser = tenancy.UserID(caller.Int64), tenancy.UserID(callee.Int64)
		c.Start, c.End = time.UnixMicro(started), time.UnixMicro(ended)
		if answered.Valid {
			c.Answer = time.UnixMicro(answered.Int64)
		}
		all = append(all, c)
		return nil
	}, `SELECT id, caller_user, callee_user, from_number, to_number, call_id, started, answered, ended, verdict, code, hung_up_by, reason
		FROM cdrs WHERE company_id = $1 ORDER BY started DESC, id LIMIT $2`, t.id, limit)
	if err != nil {
		return nil, fmt.Errorf("store: cdrs: %w", err)
	}
	return all, nil
}

func nullID(id tenancy.UserID) sql.NullInt64 {
	return sql.NullInt64{Int64: int64(id), Valid: id != 0}
}

func nullTime(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: !t.IsZero()}
}
