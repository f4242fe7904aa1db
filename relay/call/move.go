package call

import (
	"fmt"
	"net/netip"
	"time"
)

// A moved is a half that takes the place of one whose ports are of another family.
type moved struct {
	stream *stream
	side   int
	half   *half
}

// move gives other ports to sides whose family of addresses changed in the middle of
// a dialogue, on an address of the interface that they have: a phone that went from
// one network to another, or a proxy that now asks for another family towards it.
// Nothing has changed when it fails.
func (t *turn) move() error {
	faces, err := t.faces()
	if err != nil {
		return err
	}
	var all []moved
	for _, st := range t.fork.streams {
		for y, h := range st.halves {
			if h == nil || h.face == faces[y] {
				continue
			}
			n, err := t.r.lend(t.call, t.fork, st, faces[y])
			if err != nil {
				t.unlend(all)
				return err
			}
			all = append(all, moved{st, y, n})
		}
	}
	if t.r.cfg.Addresses == Refuse {
		if err := t.unusable(faces[t.x]); err != nil {
			t.unlend(all)
			return err
		}
	}
	for _, m := range all {
		t.replace(m)
	}
	for y := range faces {
		t.fork.sides[y].face = faces[y]
	}
	return nil
}

// faces are the addresses on either side from now on. Where the interface has no
// address of the family that is wanted, a side that was of another one before is
// refused; one that never was is left to learning, as in a first offer.
func (t *turn) faces() (faces [2]*Interface, err error) {
	for y := range faces {
		s, family := &t.fork.sides[y], t.wished()
		if y == t.x {
			family = t.heard()
		}
		if faces[y] = s.face; family == AnyFamily || family == FamilyOf(s.face.Bind) {
			continue
		}
		face, err := t.r.face(s.face.Name, family)
		switch {
		case err != nil:
			return faces, err
		case FamilyOf(face.Bind) == family:
			faces[y] = face
		case y != t.x || t.fork.was(y) == FamilyOf(s.face.Bind):
			return faces, fmt.Errorf("interface %q has no address of family %v", face.Name, family)
		}
	}
	return faces, nil
}

// was is the family of the addresses that side y named last, or AnyFamily.
func (f *fork) was(y int) Family {
	for _, s := range f.streams {
		if h := s.halves[y]; h != nil && h.named.IsValid() && !h.named.IsUnspecified() {
			return FamilyOf(h.named)
		}
	}
	return AnyFamily
}

// heard is the family of the addresses that the SDP's maker is sent to, AnyFamily when
// nothing says so: the address of hold is of no family, and in an answer learning
// decides as long as the signalling comes by the family that was offered.
func (t *turn) heard() Family {
	from := t.m.ReceivedFrom.Unmap()
	face := FamilyOf(t.fork.sides[t.x].face.Bind)
	switch {
	case t.m.Source && from.IsValid():
		return FamilyOf(from)
	case !t.offer && from.IsValid() && FamilyOf(from) == face:
		return AnyFamily
	}
	for i := range t.sdp.Media {
		if d := &t.sdp.Media[i]; d.Port != 0 && relayable(d) && !d.Address().Held() {
			return FamilyOf(d.Address().Addr)
		}
	}
	return AnyFamily
}

// wished is the family that an offer asks for towards the other side.
func (t *turn) wished() Family {
	if t.offer {
		return t.m.Family
	}
	return AnyFamily
}

// unlend gives back ports that nobody was told of.
func (t *turn) unlend(all []moved) {
	for _, m := range all {
		t.r.disown([]*half{m.half})
		m.half.face.Pool.Spare(m.half.pair)
	}
}

// replace puts m in the place of the half that was there, whose counts stay with the
// call and whose ports rest. What was agreed goes on; where its peer is, it learns anew.
func (t *turn) replace(m moved) {
	old, now := m.stream.halves[m.side], time.Now()
	add(&t.call.gone.RTP, t.r.counts(&old.rtp))
	add(&t.call.gone.RTCP, t.r.counts(&old.rtcp))
	m.half.refused, m.half.quiet, m.half.mux, m.half.any = old.refused, old.quiet, old.mux, old.any
	m.half.proto, m.half.codec, m.half.clock, m.half.events = old.proto, old.codec, old.clock, old.events
	m.half.opinions.sources = old.opinions.sources
	old.player = nil
	m.stream.halves[m.side] = m.half
	t.r.silence(old)
	t.r.disown([]*half{old})
	old.face.Pool.Return(old.pair, now)
}

// unusable is the error of the first stream that names what can never be sent to from
// an address of face.
func (t *turn) unusable(face *Interface) error {
	for i := range t.sdp.Media {
		d := &t.sdp.Media[i]
		if d.Port == 0 || !relayable(d) || d.Address().Held() {
			continue
		}
		if _, err := t.r.usable(t.call, netip.AddrPortFrom(d.Address().Addr, d.Port), face); err != nil {
			return err
		}
	}
	return nil
}
