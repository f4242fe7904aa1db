package forwardtest

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/lindero/lindero/relay/forward"
	"github.com/lindero/lindero/wire/rtp"
)

func hold(t *testing.T, k *bench) {
	k.put(t, k.toB())
	k.a.send(t, k.localA, packet(1))
	k.arrives(t, k.b, packet(1), k.localB)
	leg := k.toB()
	leg.To = zero
	k.put(t, leg)
	k.a.send(t, k.localA, packet(2))
	k.want(t, k.localA, "held", func(c forward.Counts) bool { return c.Held == 1 && c.Packets == 2 && c.Lost == 0 })
	k.b.silent(t, "b")
	k.put(t, k.toB())
	k.a.send(t, k.localA, packet(3))
	k.arrives(t, k.b, packet(3), k.localB)
	k.want(t, k.localA, "none lost", func(c forward.Counts) bool { return c.Packets == 3 && c.Lost == 0 && c.Expected == 3 })
}

// Whoever says that a call is over because nothing came must not be misled by
// strangers or by garbage.
func lastSeen(t *testing.T, k *bench) {
	k.put(t, k.toB())
	if c, err := k.Counts(k.localA); err != nil || !c.LastSeen.IsZero() {
		t.Errorf("before anything came: %+v %v", c, err)
	}
	before := time.Now()
	k.a.send(t, k.localA, packet(1))
	k.arrives(t, k.b, packet(1), k.localB)
	first := k.want(t, k.localA, "one seen", func(c forward.Counts) bool { return c.Packets == 1 })
	if first.LastSeen.Before(before.Add(-time.Millisecond)) || first.LastSeen.After(time.Now().Add(time.Millisecond)) {
		t.Errorf("seen at %v, not between %v and now", first.LastSeen, before)
	}
	k.stranger.send(t, k.localA, packet(2))
	k.a.send(t, k.localA, stun, []byte("x"))
	c := k.want(t, k.localA, "three more", func(c forward.Counts) bool { return c.WrongSource+c.NotRTP+c.STUN == 3 })
	if !c.LastSeen.Equal(first.LastSeen) {
		t.Errorf("seen at %v, after %v: by what must not count", c.LastSeen, first.LastSeen)
	}
	k.a.send(t, k.localA, packet(2))
	k.want(t, k.localA, "seen again", func(c forward.Counts) bool { return c.LastSeen.After(first.LastSeen) })
}

// A confirmed stream goes on and nobody gets in or hears it.
func injection(t *testing.T, k *bench) {
	k.put(t, k.toB(), k.toA())
	others := []*peer{k.stranger, k.peer(t, Place{Host: 1}), k.peer(t, Place{Side: 1})}
	for i := range uint16(20) {
		for _, o := range others {
			o.send(t, k.localA, packet(i), report(), stun, nil)
			o.send(t, k.localB, packet(i))
		}
		k.a.send(t, k.localA, packet(i))
		k.b.send(t, k.localB, packet(i))
		k.arrives(t, k.b, packet(i), k.localB)
		k.arrives(t, k.a, packet(i), k.localA)
	}
	k.want(t, k.localA, "all 240 refused", func(c forward.Counts) bool { return c.WrongSource == 240 && c.Packets == 20 && c.Lost == 0 })
	k.want(t, k.localB, "all 60 refused", func(c forward.Counts) bool { return c.WrongSource == 60 && c.Packets == 20 && c.Lost == 0 })
	for _, o := range others {
		o.silent(t, "a stranger")
	}
	k.b.silent(t, "b")
}

// Two calls whose inner sides are each other's peers.
func joined(t *testing.T, k *bench) {
	innerA, innerB := k.open(t, 0, false), k.open(t, 1, false)
	k.put(t,
		forward.Leg{Local: k.localA, From: k.a.addr, Via: innerA, To: innerB},
		forward.Leg{Local: innerB, From: innerA, Via: k.localB, To: k.b.addr},
		forward.Leg{Local: k.localB, From: k.b.addr, Via: innerB, To: innerA},
		forward.Leg{Local: innerA, From: innerB, Via: k.localA, To: k.a.addr})
	for i := range uint16(20) {
		k.a.send(t, k.localA, packet(i))
		k.arrives(t, k.b, packet(i), k.localB)
		k.b.send(t, k.localB, packet(i+100))
		k.arrives(t, k.a, packet(i+100), k.localA)
	}
	for _, local := range []netip.AddrPort{k.localA, innerB, k.localB, innerA} {
		k.want(t, local, "20", func(c forward.Counts) bool { return c.Packets == 20 && c.Lost == 0 && c.Bytes == 20*172 })
	}
}

func rtcpElsewhere(t *testing.T, k *bench) {
	other, via := k.peer(t, Place{Side: 1, Host: 1}), k.open(t, 1, false)
	leg := k.toB()
	leg.Flags, leg.RTCPVia, leg.RTCPTo = forward.Mux, via, other.addr
	k.put(t, leg)
	k.a.send(t, k.localA, report(), packet(1))
	k.arrives(t, other, report(), via)
	k.arrives(t, k.b, packet(1), k.localB)
	leg.RTCPTo = zero
	k.put(t, leg)
	k.a.send(t, k.localA, report(), packet(2))
	k.arrives(t, k.b, packet(2), k.localB)
	k.want(t, k.localA, "a report held", func(c forward.Counts) bool { return c.Held == 1 && c.Packets == 4 })
	leg.RTCPVia = k.a.addr
	if err := k.Put(leg); err == nil {
		t.Error("RTCP leaves from an address that is not open")
	}
}

// A treatment that takes even packets and marks the others.
type odd struct{}

func (odd) Treat(b []byte) []byte {
	if b[3]%2 == 0 {
		return nil
	}
	b[1] |= 0x80
	return b[:len(b)-1]
}

func treated(t *testing.T, k *bench) {
	leg := k.toB()
	leg.Treat = odd{}
	k.put(t, leg)
	k.a.send(t, k.localA, packet(1), packet(2), packet(3))
	for _, n := range []uint16{1, 3} {
		want := packet(n)
		want[1] |= 0x80
		k.arrives(t, k.b, want[:len(want)-1], k.localB)
	}
	k.want(t, k.localA, "one blocked", func(c forward.Counts) bool {
		return c.Packets == 3 && c.Blocked == 1 && c.Bytes == 3*172 && c.Lost == 0
	})
	k.put(t, k.toB())
	k.a.send(t, k.localA, packet(4))
	k.arrives(t, k.b, packet(4), k.localB)
}

func follows(t *testing.T, k *bench) {
	k.put(t, k.toB())
	k.a.send(t, k.localA, packetOf(1, 5))
	k.arrives(t, k.b, packetOf(1, 5), k.localB)
	leg := k.toB()
	leg.Flags, leg.Learn = forward.Follow, k.stranger.addr.Addr()
	k.put(t, leg)
	asked := make(chan netip.AddrPort, 8)
	k.learn(func(_, from netip.AddrPort) bool {
		asked <- from
		leg := k.toB()
		leg.From = from
		return k.Put(leg) == nil
	})
	k.stranger.send(t, k.localA, packetOf(2, 6))
	k.want(t, k.localA, "another stream is a stranger's", func(c forward.Counts) bool { return c.WrongSource == 1 })
	if len(asked) != 0 {
		t.Error("asked about another stream")
	}
	k.stranger.send(t, k.localA, packetOf(2, 5))
	k.arrives(t, k.b, packetOf(2, 5), k.localB)
}

// b answers a report of a's: what passes between is the way from the table to b
// and back, and b's own time, which it names.
func roundTrips(t *testing.T, k *bench) {
	toB, toA := k.toB(), k.toA()
	toB.Flags, toA.Flags = forward.Mux, forward.Mux
	k.put(t, toB, toA)
	const ntp = 0x1122334455667788
	sent := rtp.AppendSR(nil, rtp.SenderInfo{SSRC: 7, NTP: ntp})
	k.a.send(t, k.localA, packet(1), sent)
	k.arrives(t, k.b, packet(1), k.localB)
	begun := time.Now()
	k.arrives(t, k.b, sent, k.localB)
	tick := time.NewTimer(30 * time.Millisecond)
	<-tick.C
	answer := rtp.AppendRR(nil, 8, rtp.Report{SSRC: 7, LastSR: 0x33445566, Delay: 20 * 65536 / 1000})
	k.b.send(t, k.localB, answer)
	k.arrives(t, k.a, answer, k.localA)
	most := time.Since(begun) + 50*time.Millisecond // b may have read the report late
	c := k.want(t, k.localB, "a round trip to b", func(c forward.Counts) bool { return c.RoundTrip > 0 })
	if c.RoundTrip < 9*time.Millisecond || c.RoundTrip > most {
		t.Errorf("%v to b and back, not 10 ms at least and %v at most", c.RoundTrip, most)
	}
	if c, err := k.Counts(k.localA); err != nil || c.RoundTrip != 0 {
		t.Errorf("to a, of whom nothing is known: %v %v", c.RoundTrip, err)
	}
}

func empty(t *testing.T, k *bench) {
	leg := k.toB()
	leg.Flags = forward.Any
	k.put(t, leg)
	k.a.send(t, k.localA, nil, []byte{1}, bytes.Repeat([]byte{2}, 1400))
	for _, n := range []int{0, 1, 1400} {
		if got, from := k.b.recv(t); len(got) != n || from != k.localB {
			t.Errorf("%d bytes from %v, not %d", len(got), from, n)
		}
	}
}
