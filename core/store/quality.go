package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/lindero/lindero/core/tenancy"
)

// slack is by how much the time of a relay's anchor and that of the call may be
// apart: an edge anchors a call before core knows it, and clocks differ. Within it a
// Call-ID that was used again belongs to both calls.
const slack = time.Minute

// TakeQualities keeps the last words of relays. One that is told again replaces the
// one before. All of them are kept, or none.
func (p *Platform) TakeQualities(ctx context.Context, all []tenancy.Quality) error {
	now := time.Now().UnixMicro()
	err := p.s.write.txOf(ctx, []string{insertQuality}, func(st []*sql.Stmt) error {
		for _, q := range all {
			_, err := st[0].ExecContext(ctx, clean(q.CallID), clean(q.Relay), q.Created.UnixMicro(), q.Stream, q.Leg, q.Ended.UnixMicro(),
				clean(q.Kind), clean(q.Tag), clean(q.Path), clean(q.Codec), int64(q.Packets), int64(q.Lost), q.Jitter.Microseconds(),
				sql.NullInt64{Int64: q.RoundTrip.Microseconds(), Valid: q.RoundTrip > 0}, sql.NullFloat64{Float64: q.MOS, Valid: q.MOS > 0}, clean(q.EndReason), now)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store: take qualities: %w", err)
	}
	return nil
}

const insertQuality = `INSERT INTO qualities (call_id, relay, created, stream, leg, ended, kind, tag, path, codec, packets, lost, jitter, round_trip, mos, reason, taken)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
	ON CONFLICT (call_id, relay, created, stream, leg) DO UPDATE SET ended = excluded.ended, kind = excluded.kind, tag = excluded.tag,
		path = excluded.path, codec = excluded.codec, packets = excluded.packets, lost = excluded.lost, jitter = excluded.jitter,
		round_trip = excluded.round_trip, mos = excluded.mos, reason = excluded.reason, taken = excluded.taken`

// PruneQualities forgets the words of before a time that no record names, and says
// how many those were.
func (p *Platform) PruneQualities(ctx context.Context, before time.Time) (int64, error) {
	n, err := p.s.write.exec(ctx, `DELETE FROM qualities WHERE taken < $1
		AND NOT EXISTS (SELECT 1 FROM cdr_dialogs WHERE cdr_dialogs.call_id = qualities.call_id)`, before.UnixMicro())
	if err != nil {
		return 0, fmt.Errorf("store: prune qualities: %w", err)
	}
	return n, nil
}

// Qualities are what relays said of the dialogs of the records that begun between two
// times, both included: those of a record together, the caller's dialog first.
func (t *Tenant) Qualities(ctx context.Context, from, to time.Time) ([]tenancy.Quality, error) {
	var all []tenancy.Quality
	err := t.s.read.rows(ctx, func(r *sql.Rows) error {
		q, err := scanQuality(r)
		all = append(all, q)
		return err
	}, selectQualities+`WHERE cdrs.company_id = $2 AND cdrs.started >= $3 AND cdrs.started <= $4`+orderQualities,
		slack.Microseconds(), t.id, from.UnixMicro(), to.UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("store: qualities: %w", err)
	}
	return all, nil
}

// Qualities gives each what relays said of the dialogs of all companies' records that
// begun between two times, both included, until it returns an error; for the
// platform's operators, as Records.
func (p *Platform) Qualities(ctx context.Context, from, to time.Time, each func(tenancy.Quality) error) error {
	err := p.s.read.rows(ctx, func(r *sql.Rows) error {
		q, err := scanQuality(r)
		if err != nil {
			return err
		}
		return each(q)
	}, selectQualities+`WHERE cdrs.started >= $2 AND cdrs.started <= $3`+orderQualities, slack.Microseconds(), from.UnixMicro(), to.UnixMicro())
	if err != nil {
		return fmt.Errorf("store: qualities: %w", err)
	}
	return nil
}

const (
	selectQualities = `SELECT cdrs.company_id, cdrs.id, d.call_id, d.side, d.tag, q.relay, q.created, q.stream, q.leg, q.ended,
			q.kind, q.tag, q.path, q.codec, q.packets, q.lost, q.jitter, q.round_trip, q.mos, q.reason
		FROM cdrs
		JOIN cdr_dialogs d ON d.company_id = cdrs.company_id AND d.cdr_id = cdrs.id
		JOIN qualities q ON q.call_id = d.call_id AND q.created <= cdrs.ended + CAST($1 AS BIGINT) AND q.ended >= cdrs.started - CAST($1 AS BIGINT) `
	orderQualities = ` ORDER BY cdrs.started DESC, cdrs.id DESC, d.side DESC, d.call_id, q.created, q.relay, q.stream, q.leg`
)

func scanQuality(r *sql.Rows) (q tenancy.Quality, err error) {
	var created, ended, packets, lost, jitter int64
	var trip sql.NullInt64
	var mos sql.NullFloat64
	err = r.Scan(&q.CDRCompany, &q.CDR, &q.CallID, &q.Dialog.Side, &q.Dialog.Tag, &q.Relay, &created, &q.Stream, &q.Leg, &ended,
		&q.Kind, &q.Tag, &q.Path, &q.Codec, &packets, &lost, &jitter, &trip, &mos, &q.EndReason)
	q.Dialog.CallID = q.CallID
	q.Created, q.Ended = time.UnixMicro(created), time.UnixMicro(ended)
	q.Packets, q.Lost = uint64(packets), uint64(lost)
	q.Jitter, q.RoundTrip = time.Duration(jitter)*time.Microsecond, time.Duration(trip.Int64)*time.Microsecond
	q.MOS = mos.Float64
	return q, err
}
