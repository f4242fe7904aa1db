package call

import (
	"errors"
	"time"

	"github.com/lindero/lindero/wire/sdp"
)

// Offer takes an offer and returns the SDP for the other side. A call begins
// with its first offer, unless that is refused. A call goes on as it was when a
// later one is.
func (r *Registry) Offer(m Message) ([]byte, error) {
	s, family, err := check(m)
	if err != nil {
		return nil, err
	}
	if m.Loop && r.marked(s, m.CallID) {
		return m.SDP, nil
	}
	now := time.Now()
	c, fresh, err := r.begin(m.CallID, now)
	if err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	out, err := r.offer(c, m, s, family, now)
	if err != nil && fresh {
		r.end(c, Failed, now)
	}
	r.note(c)
	return out, err
}

// offer serves an offer in the fork it belongs to, or in a new one.
func (r *Registry) offer(c *Call, m Message, s *sdp.Session, family Family, now time.Time) (out []byte, err error) {
	f, x := c.offered(m)
	fresh := f == nil
	if fresh {
		faces, err := r.faces(m, family)
		if err != nil {
			return nil, err
		}
		if f, err = c.fork(m, now); err != nil {
			return nil, err
		}
		f.sides[0].face, f.sides[1].face = faces[0], faces[1]
	}
	t := turn{r: r, call: c, fork: f, x: x, offer: true, m: m, sdp: s}
	if out, err = t.anchor(); err == nil {
		err = c.speak(f, m.FromTag, x, m.Label, now)
	}
	if err == nil && m.ToTag != "" {
		err = c.speak(f, m.ToTag, 1-x, "", now)
	}
	if err != nil && fresh {
		r.drop(c, f, now)
	}
	return out, err
}

// Answer takes the answer to an offer and returns the SDP for the offerer.
func (r *Registry) Answer(m Message) ([]byte, error) {
	s, _, err := check(m)
	if err != nil {
		return nil, err
	}
	if m.ToTag == "" {
		return nil, errors.New("no to-tag in message")
	}
	if m.Loop && r.marked(s, m.CallID) {
		return m.SDP, nil
	}
	c := r.find(m.CallID)
	if c == nil {
		return nil, ErrUnknownCall
	}
	defer c.mu.Unlock()
	f, err := c.answeredBy(m)
	if err != nil {
		return nil, err
	}
	x := 1 - f.tags[m.FromTag]
	if err := c.speak(f, m.ToTag, x, m.Label, time.Now()); err != nil {
		return nil, err
	}
	if !c.answered {
		r.log.Info("call answered", "call", c.ID)
	}
	c.answered, f.answered = true, true
	t := turn{r: r, call: c, fork: f, x: x, m: m, sdp: s}
	defer r.note(c)
	return t.anchor()
}

// A turn is one offer or answer on its way through a fork.
type turn struct {
	r     *Registry
	call  *Call
	fork  *fork
	x     int // the side that made the SDP
	offer bool
	m     Message
	sdp   *sdp.Session
}

// anchor lends what is missing, takes what the SDP of side x says, and writes
// our addresses and ports of the other side into it.
func (t *turn) anchor() ([]byte, error) {
	if t.r.cfg.Addresses == Refuse {
		if err := t.unusable(); err != nil {
			return nil, err
		}
	}
	if t.offer {
		if err := t.lend(); err != nil {
			return nil, err
		}
	}
	for i := range t.sdp.Media {
		if i == len(t.fork.streams) {
			break // an answer to what was not offered
		}
		t.signal(t.fork.streams[i], &t.sdp.Media[i])
	}
	if err := t.programme(); err != nil {
		return nil, err
	}
	return t.write(), nil
}

// programme takes the rules the message brings, and tells the table.
func (t *turn) programme() error {
	if t.m.NoEvents {
		t.fork.sides[t.x].rules.NoEvents = true
	}
	was := t.call.dropped
	t.call.dropped = (was || t.m.Drop) && !t.m.Undrop
	for _, f := range t.call.forks {
		if f != t.fork && t.call.dropped == was {
			continue
		}
		if err := t.r.programmeAll(t.call, f); err != nil {
			return err
		}
	}
	return nil
}

// lend gives both halves to every stream of an offer that needs them. In an
// answer none does: what was not offered cannot be accepted.
func (t *turn) lend() error {
	f := t.fork
	for i := range t.sdp.Media {
		if i == len(f.streams) {
			f.streams = append(f.streams, &stream{})
		}
		if d := &t.sdp.Media[i]; d.Port == 0 || !relayable(d) {
			continue
		}
		for y := range f.sides {
			if f.streams[i].halves[y] != nil {
				continue
			}
			h, err := t.r.lend(t.call, f, f.streams[i], f.sides[y].face)
			if err != nil {
				return err
			}
			f.streams[i].halves[y] = h
		}
	}
	return nil
}
