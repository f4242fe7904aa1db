package call

import (
	"errors"
	"fmt"
	"net/netip"
)

// A Selection says which parties of a call a command means: what they send. With
// nothing but a CallID it means all of them.
type Selection struct {
	CallID  string
	From    string     // by tag
	Label   string     // by the name an offer or answer gave it
	Address netip.Addr // by the address in its SDP
	All     bool       // whoever else is named

	To, ToLabel string // only what goes to this one
	Towards     bool   // not what the party sends, but what is sent to it
}

// A picked is a party: one side of a fork.
type picked struct {
	fork *fork
	side int
}

// pick returns the call, locked, and the parties that are meant: at least one.
func (r *Registry) pick(sel Selection) (c *Call, parties []picked, err error) {
	if c = r.find(sel.CallID); c == nil {
		return nil, nil, ErrUnknownCall
	}
	from, err := c.tag(sel.From, sel.Label, "from")
	var to string
	if err == nil {
		to, err = c.tag(sel.To, sel.ToLabel, "to")
	}
	if err == nil {
		parties = c.parties(sel, from, to)
	}
	switch {
	case err != nil:
	case len(parties) == 0 && sel.Address.IsValid():
		err = fmt.Errorf("%w: nobody's SDP has the address %v", ErrUnknownTag, sel.Address)
	case len(parties) == 0:
		err = fmt.Errorf("%w: these two do not speak to each other", ErrUnknownTag)
	}
	if err != nil {
		c.mu.Unlock()
		return nil, nil, err
	}
	return c, parties, nil
}

// tag is the tag that is named by itself or by a label; "" when none is named.
func (c *Call) tag(tag, label, which string) (string, error) {
	switch {
	case tag != "" && c.tags[tag] == nil:
		return "", fmt.Errorf("%w: %s-tag given, but no such tag exists", ErrUnknownTag, which)
	case tag != "" || label == "":
		return tag, nil
	}
	for name, m := range c.tags {
		if m.label == label {
			return name, nil
		}
	}
	return "", fmt.Errorf("%w: nobody has the label %q", ErrUnknownTag, label)
}

func (c *Call) parties(sel Selection, from, to string) (parties []picked) {
	everybody := sel.All || from == "" && !sel.Address.IsValid()
	for _, f := range c.forks {
		for x := range f.sides {
			fits := everybody
			if y, ok := f.tags[from]; ok && y == x {
				fits = true
			}
			if sel.Address.IsValid() && f.named(x, sel.Address) {
				fits = true
			}
			if y, ok := f.tags[to]; to != "" && (!ok || y == x) {
				fits = false
			}
			switch {
			case fits && sel.Towards:
				parties = append(parties, picked{f, 1 - x})
			case fits:
				parties = append(parties, picked{f, x})
			}
		}
	}
	return parties
}

// named says whether the SDP of side x has the address.
func (f *fork) named(x int, addr netip.Addr) bool {
	for _, s := range f.streams {
		if h := s.halves[x]; h != nil && h.named == addr.Unmap() {
			return true
		}
	}
	return false
}

// Rule changes the rules for what the selected parties send. The warning says what
// cannot be done as asked.
func (r *Registry) Rule(sel Selection, change func(*Rules)) (warning string, err error) {
	c, parties, err := r.pick(sel)
	if err != nil {
		return "", err
	}
	defer c.mu.Unlock()
	for _, p := range parties {
		rules := &p.fork.sides[p.side].rules
		change(rules)
		err = errors.Join(err, r.programmeAll(c, p.fork))
		if rules.Silence && !rules.Block {
			warning = p.fork.unsilenceable(p.side, warning)
		}
	}
	r.note(c)
	return warning, err
}

// unsilenceable is warning, or one about a codec of side x whose silence nobody here knows.
func (f *fork) unsilenceable(x int, warning string) string {
	for _, s := range f.streams {
		h := s.halves[x]
		if h == nil || h.refused || h.any || h.codec == "" || h.codec == "PCMU" || h.codec == "PCMA" {
			continue
		}
		return fmt.Sprintf("packets of %s are dropped: only PCMU and PCMA can be made silent", h.codec)
	}
	return warning
}
