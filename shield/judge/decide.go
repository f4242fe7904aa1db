package judge

import (
	"net/netip"

	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/shield/policy"
)

// Thousandths of a packet, and times in milliseconds.
const (
	packet      = 1000
	returningIn = 60_000 // a source seen so lately is returning
	forgetEvery = 4000   // a half-open connection is forgotten
	cellBurst   = 1048   // packets that a Cell can hold
)

// Decide judges a packet that is for a service of ours. country is the source's by
// the table, and table says whether there is one: without, countries are off. It
// changes nothing it is given; the State it returns is the one after the packet.
func Decide(p Packet, s State, pol *policy.Compiled, country geo.Country, table bool, now Millis) (Ruling, State) {
	if s.Source != nil {
		own := *s.Source
		s.Source = &own
	}
	r := decide(&p, &s, pol, country, table, now)
	return r, s
}

// decide is the order in which a packet meets the rules. It changes s.
func decide(p *Packet, s *State, pol *policy.Compiled, country geo.Country, table bool, now Millis) Ruling {
	if !sends(p.Source) {
		return Ruling{Verdict: policy.Malformed}
	}
	if p.Service == policy.RTP && !s.Live {
		return Ruling{Verdict: policy.NoLeg}
	}
	r := Ruling{Country: country}
	if pol == nil {
		return r // unclassified
	}
	list := policy.ListValue(pol.Lists.Lookup(p.Source))
	switch list.Action() {
	case policy.ListAllow:
		r.Verdict, r.List = policy.Allowed, list
		return r
	case policy.ListDeny:
		r.Verdict, r.List = policy.Denied, list
		return r
	}
	src := (*Source)(nil)
	if list.Action() == policy.ListCarrier {
		r.Class, r.List = policy.Carrier, list
	} else {
		if src = exact(p, s.Source, now); src != nil {
			r.Class = src.Class
		}
		if r.Class == policy.Ban {
			r.Verdict = policy.Banned
			return r
		}
		if table && pol.Denies(p.Service, country) {
			r.Verdict = policy.CountryDenied
			return r
		}
	}
	r.Verdict = admit(p, s, src, r.Class, pol, now)
	return r
}

// sends tells whether a packet can have come from a. IPv6 addresses that begin
// with 32 zero bits are nobody's (save ::1), and would have the keys of IPv4 ones.
func sends(a netip.Addr) bool {
	if a.Is4() {
		b := a.As4()
		return b[0] != 0 && b[0] < 224
	}
	b := a.As16()
	zero := b[0] == 0 && b[1] == 0 && b[2] == 0 && b[3] == 0
	return b[0] != 0xff && (!zero || a == netip.IPv6Loopback())
}

// exact is what is known of the source, unless it is over. A ban on evidence that
// could be forged does not hold against a connection, which could not: there the
// source is nobody in particular.
func exact(p *Packet, src *Source, now Millis) *Source {
	switch {
	case src == nil, src.Until != 0 && Millis(src.Until)*1000 <= now:
		return nil
	case src.Class == policy.Ban && !src.Proven && p.TCP:
		return nil
	}
	return src
}

// admit judges a packet that no list, ban or country rule decided.
func admit(p *Packet, s *State, src *Source, class policy.Class, pol *policy.Compiled, now Millis) policy.Verdict {
	if p.Service == policy.RTP {
		return policy.Leg
	}
	if p.TCP && !p.Opens {
		if p.Acks && s.HalfOpen.Count > 0 {
			s.HalfOpen.Count--
		}
		return policy.Connection
	}
	// Whom we know has its budget instead: a forged SYN must not keep a phone out.
	counted := p.Opens && class == policy.Unknown
	half := s.HalfOpen
	if counted {
		half = half.forget(now)
		if half.Count >= pol.HalfOpen {
			return policy.HalfOpen
		}
	}
	v := spend(p, s, src, class, pol, now)
	if counted && v == policy.Passed {
		half.Count++
		s.HalfOpen = half
	}
	if p.Later && v == policy.Passed {
		return policy.Fragment
	}
	return v
}

// forget takes away one connection for every four seconds that went by.
func (h HalfOpen) forget(now Millis) HalfOpen {
	n := (uint32(now) - h.Stamp) / forgetEvery
	if n >= h.Count {
		return HalfOpen{Stamp: uint32(now)}
	}
	return HalfOpen{Stamp: h.Stamp + n*forgetEvery, Count: h.Count - n}
}

// spend takes the packet out of the budget of its class.
func spend(p *Packet, s *State, src *Source, class policy.Class, pol *policy.Compiled, now Millis) policy.Verdict {
	budget := pol.Budgets[class]
	if budget.Unlimited {
		return policy.Passed
	}
	switch class {
	case policy.Known, policy.Registered, policy.Carrier:
		if src == nil { // a carrier by list has no exact state
			budget.Burst = min(budget.Burst, cellBurst)
			cell, _ := s.Cell.refill(s.Tag, budget, now)
			if cell.Tokens < packet {
				s.Cell = cell
				return policy.SourceBudget
			}
			cell.Tokens -= packet
			s.Cell = cell
			return policy.Passed
		}
		src.Bucket = src.Bucket.refill(budget, now)
		if src.Bucket.Tokens < packet {
			return policy.SourceBudget
		}
		src.Bucket.Tokens -= packet
		return policy.Passed
	}
	return s.spendUnknown(pol, now)
}

// spendUnknown takes the packet from the source's own cell, its neighbourhood and
// all strangers together. What a source sends is charged to its neighbourhood
// whether it passes or not, to what all share only when it does: a flood from a few
// networks drains only those networks' neighbourhoods. A flood from random addresses
// finds the last part of the strangers' bucket kept for sources that return, which
// phones do and forged ones do not, and the part before it for quiet neighbourhoods.
// A source returns when its cell still knows it, or when it is among those that were
// refused last. One that is refused at its first packet leaves no more than its name:
// else a flood would take the cells of all who came in. From then on it pays from a
// cell, passed or not.
//
// Whoever sends all of its forged addresses twice returns, too. That is accepted: it
// has to do so before 2^21 others were refused, and each source and its neighbourhood
// are charged for it.
func (s *State) spendUnknown(pol *policy.Compiled, now Millis) policy.Verdict {
	cell, returning := s.Cell.refill(s.Tag, pol.Budgets[policy.Unknown], now)
	if cell.Tokens < packet {
		s.Cell = cell
		return policy.SourceBudget
	}
	cell.Tokens -= packet
	near, everybody := shared(pol.Around), shared(pol.All)
	left := s.around(near, now)
	if left < packet {
		s.Cell = cell
		return policy.Neighbourhood
	}
	quiet := quietAt(left, near)
	s.chargeAround(left-packet, near, now)
	all := s.All.full(everybody, now).refill(everybody, now)
	if uint64(all.Tokens) < uint64(kept(everybody, quiet, returning))+packet {
		again := s.Refused.again(s.Name)
		s.Refused = s.Refused.with(s.Name)
		if !again && returning == 0 {
			return policy.Strangers
		}
		returning = 1
	}
	s.Cell = cell
	if uint64(all.Tokens) < uint64(kept(everybody, quiet, returning))+packet {
		return policy.Strangers
	}
	all.Tokens -= packet
	s.All = all
	return policy.Passed
}

// around is what the neighbourhood has left. Others charge one of its buckets or the
// other, and hardly any charge both, so it is what the fuller one has.
func (s *State) around(budget policy.Budget, now Millis) uint32 {
	left := uint32(0)
	for _, b := range s.Around {
		left = max(left, b.full(budget, now).refill(budget, now).Tokens)
	}
	return left
}

// chargeAround leaves no bucket of the neighbourhood with more than left; one that
// others emptied is not charged for this one's packet besides.
func (s *State) chargeAround(left uint32, budget policy.Budget, now Millis) {
	for i, b := range s.Around {
		if b.full(budget, now).refill(budget, now).Tokens > left {
			s.Around[i] = Bucket{Stamp: uint32(now), Tokens: left}
		}
	}
}

// quietAt tells whether a neighbourhood with so much left is quiet: 1 or 0.
func quietAt(left uint32, budget policy.Budget) uint32 {
	if uint64(left)*2 >= uint64(budget.Burst)*packet {
		return 1
	}
	return 0
}

// kept is how much of what strangers share is not for a source such as this.
func kept(all policy.Budget, quiet, returning uint32) uint32 {
	return all.Burst * packet / 4 * (3 - 2*quiet - returning)
}

// shared is a budget of many sources. Without a limit it is a bucket that every
// millisecond fills to the brim, which is more than a device can receive in one.
func shared(b policy.Budget) policy.Budget {
	if b.Unlimited {
		return policy.Budget{Rate: 1<<32 - 1, Burst: policy.MaxBurst}
	}
	return b
}

// refill adds what came in since the stamp.
func (b Bucket) refill(budget policy.Budget, now Millis) Bucket {
	return Bucket{Stamp: uint32(now), Tokens: refilled(b.Stamp, b.Tokens, budget, now)}
}

func refilled(stamp, tokens uint32, budget policy.Budget, now Millis) uint32 {
	dt := uint64(uint32(now) - stamp)
	return uint32(min(uint64(budget.Burst)*packet, uint64(tokens)+dt*uint64(budget.Rate)))
}

// full is b, or a full bucket if b was never used.
func (b Bucket) full(budget policy.Budget, now Millis) Bucket {
	if b == (Bucket{}) {
		return Bucket{Stamp: uint32(now), Tokens: budget.Burst * packet}
	}
	return b
}

// refill is the cell as the source with that tag finds it: its own with what came in
// since, when it was here lately, or else a full one. returning is 1 or 0.
func (c Cell) refill(tag uint16, budget policy.Budget, now Millis) (_ Cell, returning uint32) {
	full := budget.Burst * packet
	if c == (Cell{}) || c.Tag != tag || uint32(now)-c.Stamp >= returningIn {
		return Cell{Stamp: uint32(now), Tag: tag, Tokens: full}, 0
	}
	return Cell{Stamp: uint32(now), Tag: tag, Tokens: refilled(c.Stamp, c.Tokens, budget, now)}, 1
}
