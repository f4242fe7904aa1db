package call

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/lindero/lindero/wire/sdp"
)

// A Message is an offer or an answer.
type Message struct {
	CallID        string
	FromTag       string // of the offerer
	ToTag         string // of the answerer
	Branch        string // of the transaction, may be empty
	SDP           []byte
	Direction     [2]string  // interfaces on the side of who made the SDP, and on the other; empty: the first one
	ReceivedFrom  netip.Addr // where the signalling came from; zero for our own network
	Trust         bool       // believe the SDP's address over ReceivedFrom
	ReplaceOrigin bool
}

// Offer takes an offer and returns the SDP for the other side. A call begins
// with its first offer, unless that is refused. A call goes on as it was when a
// later one is.
func (r *Registry) Offer(m Message) ([]byte, error) {
	s, err := check(m)
	if err != nil {
		return nil, err
	}
	faces, err := r.faces(m.Direction)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	c, fresh, err := r.begin(m.CallID, now)
	if err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	x := c.offerer(m.FromTag, m.ToTag)
	if c.sides[x].face == nil {
		c.sides[x].face, c.sides[1-x].face = faces[0], faces[1]
	}
	out, err := r.anchor(c, m, s, x, true)
	if err == nil {
		err = c.speak(m.FromTag, x, now)
	}
	if err == nil && m.ToTag != "" {
		err = c.speak(m.ToTag, 1-x, now)
	}
	c.branch = m.Branch
	if err != nil && fresh {
		r.end(c, Failed, now)
	}
	return out, err
}

// Answer takes the answer to an offer and returns the SDP for the offerer.
func (r *Registry) Answer(m Message) ([]byte, error) {
	s, err := check(m)
	if err != nil {
		return nil, err
	}
	c := r.find(m.CallID)
	if c == nil {
		return nil, ErrUnknownCall
	}
	defer c.mu.Unlock()
	from := c.tags[m.FromTag]
	if from == nil {
		return nil, fmt.Errorf("%w: from-tag of no offer", ErrUnknownTag)
	}
	now := time.Now()
	x := 1 - from.side
	if err := c.speak(m.ToTag, x, now); err != nil {
		return nil, err
	}
	if !c.answered {
		r.log.Info("call answered", "call", c.ID)
	}
	c.answered = true
	return r.anchor(c, m, s, x, false)
}

func check(m Message) (*sdp.Session, error) {
	if m.CallID == "" || m.FromTag == "" {
		return nil, errors.New("call-id and from-tag are required")
	}
	s, err := sdp.Parse(m.SDP)
	if err != nil {
		return nil, err
	}
	media, secure, proto := 0, false, ""
	for i := range s.Media {
		d := &s.Media[i]
		switch {
		case d.Port == 0 || !relayable(d):
			if d.Port != 0 {
				secure, proto = secure || d.Secure(), d.Proto
			}
			continue
		case d.Address() == nil:
			return nil, fmt.Errorf("stream %d has no connection address", i+1)
		}
		media++
	}
	switch {
	case media > maxStreams:
		return nil, fmt.Errorf("%d streams; at most %d are relayed", media, maxStreams)
	case media == 0 && secure:
		return nil, fmt.Errorf("%s only: this relay carries plain RTP, SRTP and DTLS end at the edge", proto)
	case media == 0 && proto != "":
		return nil, fmt.Errorf("%s is not relayed", proto)
	}
	return s, nil
}

func relayable(d *sdp.Media) bool { return d.RTP() || d.UDPTL() }

func (r *Registry) faces(names [2]string) (faces [2]*Interface, err error) {
	for i, name := range names {
		for f := range r.cfg.Interfaces {
			if face := &r.cfg.Interfaces[f]; face.Name == name || name == "" && f == 0 {
				faces[i] = face
			}
		}
		if faces[i] == nil {
			return faces, fmt.Errorf("unknown interface %q", name)
		}
	}
	return faces, nil
}

// offerer says which side makes an offer with these tags.
func (c *Call) offerer(from, to string) int {
	if m := c.tags[from]; m != nil {
		return m.side
	}
	if m := c.tags[to]; m != nil {
		return 1 - m.side
	}
	return 0
}

// speak makes tag the voice of side x.
func (c *Call) speak(tag string, x int, now time.Time) error {
	if c.tags[tag] == nil {
		if len(c.tags) >= maxTags {
			return fmt.Errorf("more than %d tags in one call", maxTags)
		}
		c.tags[tag] = &monologue{side: x, created: now}
	}
	c.sides[x].tag = tag
	c.lastSignal = now
	return nil
}

// anchor lends what is missing, takes what the SDP of side x says, and writes
// our addresses and ports of the other side into it.
func (r *Registry) anchor(c *Call, m Message, s *sdp.Session, x int, offer bool) ([]byte, error) {
	if err := r.lendAll(c, s, x, offer); err != nil {
		return nil, err
	}
	face := c.sides[1-x].face
	e := s.Edit()
	for i := range s.Media {
		d := &s.Media[i]
		var other *half // nil for an answer to what was not offered
		if i < len(c.streams) {
			if err := r.signal(c, c.streams[i], d, m, x); err != nil {
				return nil, err
			}
			other = c.streams[i].halves[1-x]
		}
		if d.Port == 0 || !relayable(d) || other == nil {
			e.Port(d, 0)
			if d.RTCP != nil {
				e.RTCP(d, netip.AddrPortFrom(face.Advertise, d.RTCP.Port))
			}
			continue
		}
		e.Port(d, other.pair.RTP.Port())
		e.RTCP(d, netip.AddrPortFrom(face.Advertise, other.pair.RTCP.Port()))
	}
	if m.ReplaceOrigin {
		e.Address(s.Origin, face.Advertise)
	}
	// All of them, also those of refused streams: they name addresses of a network
	// the reader should not know.
	for i := range s.Media {
		if a := s.Media[i].Connection; !a.Held() {
			e.Address(a, face.Advertise)
		}
	}
	if !s.Connection.Held() {
		e.Address(s.Connection, face.Advertise)
	}
	// A relay that takes no part in ICE must not let the parties go around it.
	e.RemoveICE()
	return e.Bytes(), nil
}

// lendAll gives both halves to every stream of s that needs them. In an answer
// none does: what was not offered cannot be accepted.
func (r *Registry) lendAll(c *Call, s *sdp.Session, x int, offer bool) error {
	if !offer {
		return nil
	}
	for i := range s.Media {
		if i == len(c.streams) {
			c.streams = append(c.streams, &stream{})
		}
		if d := &s.Media[i]; d.Port == 0 || !relayable(d) {
			continue
		}
		for y := range c.sides {
			if c.streams[i].halves[y] != nil {
				continue
			}
			h, err := r.lend(c, c.streams[i], c.sides[y].face)
			if err != nil {
				return err
			}
			c.streams[i].halves[y] = h
		}
	}
	return nil
}

// signal takes what the m= line d of side x says about the stream.
func (r *Registry) signal(c *Call, st *stream, d *sdp.Media, m Message, x int) error {
	h := st.halves[x]
	if h == nil {
		return nil
	}
	st.kind, st.proto = d.Kind, d.Proto
	h.refused = d.Port == 0 || !relayable(d)
	if h.refused {
		h.rtp.refuse()
		h.rtcp.refuse()
		return r.programme(st)
	}
	a := d.Address()
	h.quiet = d.Direction != sdp.SendRecv || a.Held()
	h.mux, h.any = d.Mux, d.UDPTL()
	h.codec, h.clock = "", 8000
	if codec, ok := d.Codec(d.Formats[0]); ok {
		h.codec, h.clock = codec.Name, codec.Clock
	}
	for _, w := range []struct {
		end  *end
		addr netip.AddrPort
	}{{&h.rtp, netip.AddrPortFrom(a.Addr, d.Port)}, {&h.rtcp, d.RTCPAddr()}} {
		w.end.signal(claim{
			addr: r.usable(c, w.addr), held: a.Held(),
			received: m.ReceivedFrom, trust: m.Trust,
		})
	}
	return r.programme(st)
}

// usable is addr if media may be sent there at all, else zero. Our own advertised
// address stands for the one behind it: packets between two of our calls never
// leave the machine.
func (r *Registry) usable(c *Call, addr netip.AddrPort) netip.AddrPort {
	a := addr.Addr()
	if !addr.IsValid() || addr.Port() == 0 || a.IsMulticast() || a.IsUnspecified() || a.Zone() != "" {
		return netip.AddrPort{}
	}
	for i := range r.cfg.Interfaces {
		if f := &r.cfg.Interfaces[i]; a == f.Advertise {
			addr = netip.AddrPortFrom(f.Bind, addr.Port())
			break
		}
	}
	if c.owns(addr) {
		return netip.AddrPort{}
	}
	return addr
}
