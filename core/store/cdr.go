package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"

	"github.com/lindero/lindero/core/tenancy"
)

// WriteCDR keeps the record of a call. It may be called again with the same ID:
// the first record stays. A company that does not exist is tenancy.ErrNotFound.
func (t *Tenant) WriteCDR(ctx context.Context, c tenancy.CDR) error {
	written := false
	err := t.s.write.txOf(ctx, []string{insertCDR, insertDialog}, func(st []*sql.Stmt) error {
		res, err := st[0].ExecContext(ctx, t.id, clean(c.ID), nullID(c.CallerUser), nullID(c.CalleeUser), clean(c.From), clean(c.To),
			clean(c.CallID), c.Start.UnixMicro(), nullTime(c.Answer), c.End.UnixMicro(), string(c.Verdict), c.Code, c.HungUpBy, clean(c.Reason))
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err // it is there already, or the company is not
		}
		written = true
		for _, d := range c.Dialogs {
			if _, err := st[1].ExecContext(ctx, t.id, clean(c.ID), clean(d.CallID), string(d.Side), clean(d.Tag)); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && !written {
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

const insertDialog = `INSERT INTO cdr_dialogs (brand_id, company_id, cdr_id, call_id, side, tag)
	SELECT brand_id, id, $2, $3, $4, $5 FROM companies WHERE id = $1
	ON CONFLICT (company_id, cdr_id, call_id, tag) DO NOTHING`

// CDRs are the last records, newest first, at most limit, without their dialogs.
func (t *Tenant) CDRs(ctx context.Context, limit int) ([]tenancy.CDR, error) {
	return t.Records(ctx, tenancy.CDRFilter{Limit: limit})
}

// Records are the records that the filter picks, newest first, without their dialogs.
func (t *Tenant) Records(ctx context.Context, f tenancy.CDRFilter) ([]tenancy.CDR, error) {
	var all []tenancy.CDR
	err := t.s.read.rows(ctx, func(r *sql.Rows) error {
		c, err := scanCDR(r)
		all = append(all, c)
		return err
	}, selectCDRs+`WHERE company_id = $1 AND started >= $2 AND started < $3 AND (started, id) < ($4, $5)
		ORDER BY started DESC, id DESC LIMIT $6`, append([]any{t.id}, bounds(f)...)...)
	if err != nil {
		return nil, fmt.Errorf("store: cdrs: %w", err)
	}
	return all, nil
}

// Records gives each the records of all companies that the filter picks, newest
// first, without their dialogs, until it returns an error. It is for the platform's
// operators, who look after calls whosever they are.
func (p *Platform) Records(ctx context.Context, f tenancy.CDRFilter, each func(tenancy.CDR) error) error {
	err := p.s.read.rows(ctx, func(r *sql.Rows) error {
		c, err := scanCDR(r)
		if err != nil {
			return err
		}
		return each(c)
	}, selectCDRs+`WHERE started >= $1 AND started < $2 AND (started, id) < ($3, $4)
		ORDER BY started DESC, id DESC LIMIT $5`, bounds(f)...)
	if err != nil {
		return fmt.Errorf("store: cdrs: %w", err)
	}
	return nil
}

const selectCDRs = `SELECT company_id, id, caller_user, callee_user, from_number, to_number, call_id, started, answered, ended, verdict, code, hung_up_by, reason
	FROM cdrs `

// bounds are the filter's five numbers, as its queries want them.
func bounds(f tenancy.CDRFilter) []any {
	from, to := int64(0), int64(math.MaxInt64)
	if !f.From.IsZero() {
		from = f.From.UnixMicro()
	}
	if !f.To.IsZero() {
		to = f.To.UnixMicro()
	}
	before := int64(math.MaxInt64)
	if !f.Before.Start.IsZero() {
		before = f.Before.Start.UnixMicro()
	}
	return []any{from, to, before, clean(f.Before.ID), f.Limit}
}

func scanCDR(r *sql.Rows) (c tenancy.CDR, err error) {
	var caller, callee, answered sql.NullInt64
	var started, ended int64
	err = r.Scan(&c.Company, &c.ID, &caller, &callee, &c.From, &c.To, &c.CallID, &started, &answered, &ended,
		&c.Verdict, &c.Code, &c.HungUpBy, &c.Reason)
	c.CallerUser, c.CalleeUser = tenancy.UserID(caller.Int64), tenancy.UserID(callee.Int64)
	c.Start, c.End = time.UnixMicro(started), time.UnixMicro(ended)
	if answered.Valid {
		c.Answer = time.UnixMicro(answered.Int64)
	}
	return c, err
}

func nullID(id tenancy.UserID) sql.NullInt64 {
	return sql.NullInt64{Int64: int64(id), Valid: id != 0}
}

func nullTime(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: !t.IsZero()}
}
