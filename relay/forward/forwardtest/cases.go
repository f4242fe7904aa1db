package forwardtest

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"

	"github.com/lindero/lindero/relay/forward"
)

var zero netip.AddrPort

func (k *bench) arrives(t *testing.T, at *peer, want []byte, from netip.AddrPort) {
	t.Helper()
	if got, source := at.recv(t); !bytes.Equal(got, want) || source != from {
		t.Errorf("arrived from %v (want %v): %x, want %x", source, from, got, want)
	}
}

func forwards(t *testing.T, k *bench) {
	k.put(t, k.toB())
	k.a.send(t, k.localA, packet(1))
	k.arrives(t, k.b, packet(1), k.localB)
}

func bothWays(t *testing.T, k *bench) {
	k.put(t, k.toB(), k.toA())
	for i := range uint16(50) {
		k.a.send(t, k.localA, packet(i))
		k.b.send(t, k.localB, packet(i+1000))
		k.arrives(t, k.b, packet(i), k.localB)
		k.arrives(t, k.a, packet(i+1000), k.localA)
	}
	for _, local := range []netip.AddrPort{k.localA, k.localB} {
		c, err := k.Counts(local)
		if err != nil || c.Packets != 50 || c.Bytes != 50*172 || c.Lost != 0 || c.SSRC != 7 || c.LastSeen.IsZero() || c.Failed+c.Held+c.WrongSource+c.NotRTP != 0 {
			t.Errorf("%+v %v", c, err)
		}
	}
}

func wrongSource(t *testing.T, k *bench) {
	k.put(t, k.toB())
	k.stranger.send(t, k.localA, packet(1), []byte("x"))
	k.a.send(t, k.localA, packet(2))
	k.arrives(t, k.b, packet(2), k.localB)
	k.want(t, k.localA, "two of the wrong source", func(c forward.Counts) bool { return c.WrongSource == 2 && c.Packets == 1 })
	k.b.silent(t, "b")
}

var stun = append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, make([]byte, 12)...)

func notRTP(t *testing.T, k *bench) {
	k.put(t, k.toB())
	truncated := packet(1)
	truncated[0] |= 0x0f // 15 CSRCs fit
	short := append([]byte{0x9f}, truncated[1:16]...)
	k.a.send(t, k.localA, stun, []byte("garbage on a port"), nil, short, report(), packet(2))
	k.arrives(t, k.b, packet(2), k.localB)
	k.want(t, k.localA, "four not RTP and one STUN", func(c forward.Counts) bool { return c.NotRTP == 4 && c.STUN == 1 && c.Packets == 1 })
}

func rtcpOnly(t *testing.T, k *bench) {
	leg := k.toB()
	leg.Flags = forward.RTCP
	k.put(t, leg)
	k.a.send(t, k.localA, packet(1), report())
	k.arrives(t, k.b, report(), k.localB)
	k.want(t, k.localA, "one report, one not", func(c forward.Counts) bool { return c.NotRTP == 1 && c.Packets == 1 && c.Lost == 0 })
}

func mux(t *testing.T, k *bench) {
	leg := k.toB()
	leg.Flags = forward.Mux
	k.put(t, leg)
	k.a.send(t, k.localA, packet(1), report())
	k.arrives(t, k.b, packet(1), k.localB)
	k.arrives(t, k.b, report(), k.localB)
}

func anything(t *testing.T, k *bench) {
	leg := k.toB()
	leg.Flags = forward.Any
	k.put(t, leg)
	fax := []byte{0, 1, 2}
	k.a.send(t, k.localA, fax)
	k.arrives(t, k.b, fax, k.localB)
}

func held(t *testing.T, k *bench) {
	leg := k.toB()
	leg.To = zero
	k.put(t, leg)
	k.a.send(t, k.localA, packet(1))
	k.want(t, k.localA, "held back", func(c forward.Counts) bool { return c.Held == 1 && c.Packets == 1 })
	k.put(t, k.toB())
	k.a.send(t, k.localA, packet(2))
	k.arrives(t, k.b, packet(2), k.localB)
}

func handover(t *testing.T, k *bench) {
	k.put(t, k.toB())
	k.a.send(t, k.localA, packet(1))
	k.arrives(t, k.b, packet(1), k.localB)
	moved, elsewhere := k.peer(t, Place{}), k.peer(t, Place{Side: 1})
	leg := k.toB()
	leg.From, leg.To = moved.addr, elsewhere.addr
	k.put(t, leg)
	k.a.send(t, k.localA, packet(2))
	moved.send(t, k.localA, packet(2))
	k.arrives(t, elsewhere, packet(2), k.localB)
	k.want(t, k.localA, "two and one wrong", func(c forward.Counts) bool { return c.Packets == 2 && c.WrongSource == 1 && c.Lost == 0 })
	k.b.silent(t, "the old destination")
}

func ssrcChange(t *testing.T, k *bench) {
	k.put(t, k.toB())
	sent := [][]byte{packetOf(10, 1), packetOf(11, 1), packetOf(60000, 2), packetOf(60001, 2)}
	k.a.send(t, k.localA, sent...)
	for _, p := range sent {
		k.arrives(t, k.b, p, k.localB)
	}
	k.want(t, k.localA, "four, none lost", func(c forward.Counts) bool { return c.Packets == 4 && c.Lost == 0 && c.SSRC == 2 })
}

func quality(t *testing.T, k *bench) {
	k.put(t, k.toB())
	for _, s := range []uint16{65534, 65535, 1, 0, 4, 4} {
		k.a.send(t, k.localA, packet(s))
		k.arrives(t, k.b, packet(s), k.localB)
	}
	k.want(t, k.localA, "2 lost, 1 reordered, 1 twice", func(c forward.Counts) bool {
		return c.Packets == 6 && c.Lost == 2 && c.Reordered == 1 && c.Duplicate == 1
	})
}

func learns(t *testing.T, k *bench) {
	open := k.toB()
	open.From, open.Exact = zero, k.a.addr
	k.put(t, open)
	asked := make(chan netip.AddrPort, 8)
	k.learn(func(local, from netip.AddrPort) bool {
		asked <- from
		return local == k.localA && k.Put(k.toB()) == nil
	})
	k.stranger.send(t, k.localA, packet(1)) // no candidate
	k.a.send(t, k.localA, stun)             // a candidate, but not of this leg's kind
	k.a.send(t, k.localA, packet(2))
	k.arrives(t, k.b, packet(2), k.localB)
	k.a.send(t, k.localA, packet(3))
	k.arrives(t, k.b, packet(3), k.localB)
	if len(asked) != 1 || <-asked != k.a.addr {
		t.Errorf("asked %d more times", len(asked))
	}

	anyPort := k.toB()
	anyPort.Learn = k.stranger.addr.Addr()
	k.put(t, anyPort)
	k.learn(func(_, from netip.AddrPort) bool {
		leg := k.toB()
		leg.From = from
		return k.Put(leg) == nil
	})
	k.stranger.send(t, k.localA, packet(4))
	k.arrives(t, k.b, packet(4), k.localB)
	k.a.send(t, k.localA, packet(5))
	k.want(t, k.localA, "a is the stranger now", func(c forward.Counts) bool { return c.WrongSource == 2 && c.Packets == 3 })
}

func refuses(t *testing.T, k *bench) {
	leg := k.toB()
	leg.From, leg.Learn = zero, k.a.addr.Addr()
	k.put(t, leg)
	k.a.send(t, k.localA, packet(1))
	k.want(t, k.localA, "refused", func(c forward.Counts) bool { return c.WrongSource == 1 && c.Packets == 0 })
}

func deleted(t *testing.T, k *bench) {
	k.put(t, k.toB())
	k.a.send(t, k.localA, packet(1))
	k.arrives(t, k.b, packet(1), k.localB)
	c, err := k.Delete(k.localA)
	if err != nil || c.Packets != 1 || c.Bytes != 172 {
		t.Errorf("last counts %+v %v", c, err)
	}
	if _, err := k.Counts(k.localA); !errors.Is(err, forward.ErrNoLeg) {
		t.Errorf("counts of a deleted leg: %v", err)
	}
	if _, err := k.Delete(k.localA); !errors.Is(err, forward.ErrNoLeg) {
		t.Errorf("deleted twice: %v", err)
	}
	stranger := k.peer(t, Place{Host: 1})
	stranger.send(t, k.localA, packet(2))
	if at := k.Arrived(k.localA); !at.IsZero() {
		t.Errorf("a stranger keeps the address busy: %v", at)
	}
	k.a.send(t, k.localA, packet(2))
	until(t, func() bool { return !k.Arrived(k.localA).IsZero() }, func() { t.Error("the former peer is not noticed") })
	k.b.silent(t, "b")
}

func anew(t *testing.T, k *bench) {
	k.put(t, k.toB())
	k.a.send(t, k.localA, packet(1))
	k.arrives(t, k.b, packet(1), k.localB)
	if _, err := k.Delete(k.localA); err != nil {
		t.Fatal(err)
	}
	k.put(t, k.toB())
	if c, err := k.Counts(k.localA); err != nil || c != (forward.Counts{}) {
		t.Errorf("a new leg begins with %+v %v", c, err)
	}
}

func notOpen(t *testing.T, k *bench) {
	for _, change := range []func(*forward.Leg){
		func(l *forward.Leg) { l.Local = k.a.addr },
		func(l *forward.Leg) { l.Via = k.a.addr },
	} {
		leg := k.toB()
		change(&leg)
		if err := k.Put(leg); !errors.Is(err, forward.ErrNotOpen) {
			t.Errorf("%v", err)
		}
	}
	if err := k.Open(k.a.addr); err == nil {
		t.Error("an address in use was opened")
	}
	if err := k.Close(k.a.addr); !errors.Is(err, forward.ErrNotOpen) {
		t.Errorf("closed what was not open: %v", err)
	}
}

func reopen(t *testing.T, k *bench) {
	k.put(t, k.toB())
	for range 20 {
		if err := k.Close(k.localA); err != nil {
			t.Fatal(err)
		}
		if err := k.Open(k.localA); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := k.Counts(k.localA); !errors.Is(err, forward.ErrNoLeg) {
		t.Errorf("the leg outlived its socket: %v", err)
	}
	k.put(t, k.toB())
	k.a.send(t, k.localA, packet(1))
	k.arrives(t, k.b, packet(1), k.localB)
}

func order(t *testing.T, k *bench) {
	k.put(t, k.toB())
	const n = 100
	for i := range uint16(n) {
		k.a.send(t, k.localA, packet(i))
	}
	for i := range uint16(n) {
		k.arrives(t, k.b, packet(i), k.localB)
	}
}

func unreachable(t *testing.T, k *bench) {
	leg := k.toB()
	leg.To = netip.MustParseAddrPort("255.255.255.255:9") // broadcasting is not allowed to us
	k.put(t, leg)
	k.a.send(t, k.localA, packet(1))
	k.want(t, k.localA, "failed", func(c forward.Counts) bool { return c.Failed == 1 && c.Packets == 1 })
	k.put(t, k.toB())
	k.a.send(t, k.localA, packet(2))
	k.arrives(t, k.b, packet(2), k.localB)
}

func families(t *testing.T, k *bench) {
	six := k.peer(t, Place{Six: true})
	local := k.open(t, 0, true)
	k.put(t, forward.Leg{Local: local, From: six.addr, Via: k.localB, To: k.b.addr},
		forward.Leg{Local: k.localB, From: k.b.addr, Via: local, To: six.addr})
	six.send(t, local, packet(1))
	k.arrives(t, k.b, packet(1), k.localB)
	k.b.send(t, k.localB, packet(2))
	k.arrives(t, six, packet(2), local)
}

func oversize(t *testing.T, k *bench) {
	k.put(t, k.toB())
	k.a.send(t, k.localA, append(packet(1), make([]byte, 2500)...), packet(2))
	k.arrives(t, k.b, packet(2), k.localB)
}
