package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/netip"
	"time"

	"github.com/lindero/lindero/core/tenancy"
)

// A banChange is one transaction over the bans; it is the only one at a time.
type banChange struct {
	ctx     context.Context
	tx      *sql.Tx
	at      time.Time
	changed bool
	counted bool
	count   int // of bans in force, once counted
}

// changeBans runs do in a transaction of its own, and counts the revision up when
// it changed anything.
func (p *Platform) changeBans(ctx context.Context, do func(*banChange) error) error {
	return p.s.write.tx(ctx, func(tx *sql.Tx) error {
		n, err := lockRevision(ctx, tx, "bans")
		if err != nil {
			return err
		}
		c := &banChange{ctx: ctx, tx: tx, at: now()}
		if err := do(c); err != nil || !c.changed {
			return err
		}
		return setRevision(ctx, tx, "bans", n+1)
	})
}

// inForce is the ban a source has; id 0 when it has none.
func (c *banChange) inForce(prefix netip.Prefix) (id int64, b tenancy.Ban, err error) {
	id, b, err = scanBan(c.tx.QueryRowContext(c.ctx, banOfPrefix, c.at.UnixMicro(), prefix.String()).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return id, b, err
}

// room is tenancy.ErrFull when most bans are in force.
func (c *banChange) room(most int) error {
	if !c.counted {
		err := c.tx.QueryRowContext(c.ctx, `SELECT count(*) FROM bans`+banInForce, c.at.UnixMicro()).Scan(&c.count)
		if err != nil {
			return err
		}
		c.counted = true // with what this change did so far in it
	}
	if c.count >= most {
		return tenancy.ErrFull
	}
	return nil
}

func (c *banChange) insert(b tenancy.Ban) error {
	c.count++
	proven := 0
	if b.Proven {
		proven = 1
	}
	c.changed = true
	_, err := c.tx.ExecContext(c.ctx, `INSERT INTO bans (prefix, reason, since, until, made_by, proven, lifted_by)
		VALUES ($1, $2, $3, $4, $5, $6, '')`,
		b.Prefix.String(), clean(b.Reason), b.Since.UnixMicro(), b.Until.UnixMicro(), clean(b.By), proven)
	return err
}

func (c *banChange) lift(id int64, who string) error {
	c.changed = true
	c.count--
	_, err := c.tx.ExecContext(c.ctx, `UPDATE bans SET lifted_at = $2, lifted_by = $3 WHERE id = $1`, id, c.at.UnixMicro(), clean(who))
	return err
}

// take keeps a node's ban and tells whether anything came of it.
func (c *banChange) take(b tenancy.Ban) (bool, error) {
	if !b.Until.After(c.at) {
		return false, nil
	}
	var known int
	err := c.tx.QueryRowContext(c.ctx, `SELECT count(*) FROM bans WHERE prefix = $1 AND made_by = $2 AND since = $3`,
		b.Prefix.String(), clean(b.By), b.Since.UnixMicro()).Scan(&known)
	if err != nil || known > 0 {
		return false, err
	}
	id, old, err := c.inForce(b.Prefix)
	if err != nil {
		return false, err
	}
	if id == 0 {
		most := MaxForged
		if b.Proven {
			most = MaxNodes
		}
		if err := c.room(most); err != nil {
			return false, err
		}
		return true, c.insert(b)
	}
	if !b.Until.After(old.Until) && (old.Proven || !b.Proven) {
		return false, nil
	}
	// The longer ban takes the place of the shorter, which stays in the history.
	if old.Until.After(b.Until) {
		b.Until = old.Until
	}
	b.Proven = b.Proven || old.Proven
	if err := c.lift(id, b.By); err != nil {
		return false, err
	}
	return true, c.insert(b)
}

func (c *banChange) audit(a tenancy.Audit) error { return audit(c.ctx, c.tx, a) }

// banJSON is a ban as the audit shows it.
func banJSON(b tenancy.Ban) json.RawMessage {
	j, err := json.Marshal(struct {
		Prefix netip.Prefix `json:"prefix"`
		Reason string       `json:"reason"`
		Since  time.Time    `json:"since"`
		Until  time.Time    `json:"until"`
		By     string       `json:"by"`
		Proven bool         `json:"proven"`
	}{b.Prefix, b.Reason, b.Since.UTC(), b.Until.UTC(), b.By, b.Proven})
	if err != nil {
		return json.RawMessage("null") // a year past 9999; the ban itself says the rest
	}
	return j
}
