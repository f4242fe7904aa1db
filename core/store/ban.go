package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/lindero/lindero/core/tenancy"
)

// MaxBans is how many bans may be in force: every node holds them all. Sources
// that are banned beyond it stay banned only where they were caught.
const MaxBans = 16384

// How many of them nodes may make: on evidence that could be forged, and at all. A
// stranger who forges sources must not take the place of bans that are founded,
// and no stranger that of an operator's.
const (
	MaxForged = MaxBans * 3 / 4
	MaxNodes  = MaxBans * 7 / 8
)

// banHistory is how long a ban that is over is remembered.
const banHistory = 90 * 24 * time.Hour

const (
	banSelect   = `SELECT id, prefix, reason, since, until, made_by, proven, lifted_at, lifted_by FROM bans`
	banInForce  = ` WHERE lifted_at IS NULL AND until > $1`
	banOfPrefix = banSelect + banInForce + ` AND prefix = $2`
)

func scanBan(scan func(...any) error) (id int64, b tenancy.Ban, err error) {
	var prefix string
	var since, until int64
	var lifted sql.NullInt64
	if err = scan(&id, &prefix, &b.Reason, &since, &until, &b.By, &b.Proven, &lifted, &b.LiftedBy); err != nil {
		return 0, b, err
	}
	b.Since, b.Until = time.UnixMicro(since), time.UnixMicro(until)
	if lifted.Valid {
		b.LiftedAt = time.UnixMicro(lifted.Int64)
	}
	b.Prefix, _ = netip.ParsePrefix(prefix) // else it has none, which is for the reader to see
	return id, b, nil
}

// Bans are the bans in force, by prefix, and their revision. When bans change
// meanwhile the revision is the older one, so whoever compares it asks again. A row
// that was damaged keeps nobody from the others: it is a ban without a prefix.
func (p *Platform) Bans(ctx context.Context) ([]tenancy.Ban, uint64, error) {
	r, err := p.Revisions(ctx)
	if err != nil {
		return nil, 0, err
	}
	all, err := p.bans(ctx, banSelect+banInForce+` ORDER BY prefix`, time.Now().UnixMicro())
	return all, r.Bans, err
}

// PastBans are the last bans there were, those in force among them, newest first,
// at most limit.
func (p *Platform) PastBans(ctx context.Context, limit int) ([]tenancy.Ban, error) {
	return p.bans(ctx, banSelect+` ORDER BY since DESC, id DESC LIMIT $1`, limit)
}

func (p *Platform) bans(ctx context.Context, query string, arg any) ([]tenancy.Ban, error) {
	var all []tenancy.Ban
	err := p.s.read.rows(ctx, func(r *sql.Rows) error {
		_, b, err := scanBan(r.Scan)
		all = append(all, b)
		return err
	}, query, arg)
	if err != nil {
		return nil, fmt.Errorf("store: bans: %w", err)
	}
	return all, nil
}

// Ban does what an operator says: b is in force, in the place of a ban its source
// may have had. Since is now, By is who the audit names. tenancy.ErrFull is
// returned when MaxBans are in force.
func (p *Platform) Ban(ctx context.Context, b tenancy.Ban) (tenancy.Ban, error) {
	b.Since, b.Until = now(), b.Until.Truncate(time.Microsecond)
	err := p.changeBans(ctx, func(c *banChange) error {
		id, old, err := c.inForce(b.Prefix)
		if err != nil {
			return err
		}
		var before json.RawMessage
		if id != 0 {
			before = banJSON(old)
			err = c.lift(id, b.By)
		} else {
			err = c.room(MaxBans)
		}
		if err != nil {
			return err
		}
		if err := c.insert(b); err != nil {
			return err
		}
		return c.audit(tenancy.Audit{At: c.at, Who: b.By, Action: "ban.put", Object: "bans/" + b.Prefix.String(),
			Before: before, After: banJSON(b)})
	})
	if err != nil {
		return tenancy.Ban{}, fmt.Errorf("store: ban: %w", err)
	}
	return b, nil
}

// Lift ends the ban of a source, or returns tenancy.ErrNotFound when it has none.
func (p *Platform) Lift(ctx context.Context, prefix netip.Prefix, who string) (tenancy.Ban, error) {
	var old tenancy.Ban
	err := p.changeBans(ctx, func(c *banChange) (err error) {
		var id int64
		if id, old, err = c.inForce(prefix); err != nil {
			return err
		}
		if id == 0 {
			return tenancy.ErrNotFound
		}
		if err := c.lift(id, who); err != nil {
			return err
		}
		return c.audit(tenancy.Audit{At: c.at, Who: who, Action: "ban.lift", Object: "bans/" + prefix.String(), Before: banJSON(old)})
	})
	if err != nil {
		return tenancy.Ban{}, fmt.Errorf("store: lift: %w", err)
	}
	old.LiftedAt, old.LiftedBy = now(), who
	return old, nil
}

// TakeBans keeps bans that nodes made and says how many were news. One that is
// known (by its prefix, node and beginning) is passed over, also when it was
// lifted since; one of a source that is banned already makes that ban longer, never
// shorter. Past MaxForged or MaxNodes in force the rest are left out and
// tenancy.ErrFull is returned. Such bans are no audit's matter: who, when and why
// stand in the ban, and strangers would write the audit.
func (p *Platform) TakeBans(ctx context.Context, bans []tenancy.Ban) (taken int, err error) {
	full := false
	err = p.changeBans(ctx, func(c *banChange) error {
		for _, b := range bans {
			if full && !b.Proven {
				continue
			}
			switch did, err := c.take(b); {
			case errors.Is(err, tenancy.ErrFull):
				full = true
				if b.Proven {
					return nil
				}
			case err != nil:
				return err
			case did:
				taken++
			}
		}
		return nil
	})
	if err == nil && full {
		err = tenancy.ErrFull
	}
	if err != nil {
		return taken, fmt.Errorf("store: take bans: %w", err)
	}
	return taken, nil
}

// PruneBans forgets bans that have been over for 90 days, and of those that are over
// all but about the last keep: strangers earn bans as fast as they like. It says how
// many it forgot.
func (p *Platform) PruneBans(ctx context.Context, keep int64) (int64, error) {
	now := time.Now()
	n, err := p.s.write.exec(ctx, `DELETE FROM bans WHERE until < $1 OR lifted_at < $1
		OR (until < $2 OR lifted_at IS NOT NULL) AND id <= (SELECT max(id) FROM bans) - CAST($3 AS BIGINT)`,
		now.Add(-banHistory).UnixMicro(), now.UnixMicro(), keep)
	if err != nil {
		return 0, fmt.Errorf("store: prune bans: %w", err)
	}
	return n, nil
}
