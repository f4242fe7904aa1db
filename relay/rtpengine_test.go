package relay_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"testing"
	"time"

	"github.com/lindero/lindero/wire/ng"
	"github.com/lindero/lindero/wire/sdp"
)

// newRTPEngine is a rig whose relay is rtpengine, on the same addresses.
func newRTPEngine(t *testing.T) *rig {
	t.Helper()
	program, err := exec.LookPath("rtpengine")
	if err != nil {
		t.Skip("rtpengine is not installed (apt-get install rtpengine-daemon): our replies are not compared with the original's")
	}
	conn := listen(t, "127.0.0.1")
	control := addr(conn)
	conn.Close()
	cmd := exec.Command(program, "--config-file=none", "--foreground", "--log-stderr", "--log-level=1", "--table=-1", "--num-threads=1",
		"--interface=external/127.0.0.2", "--interface=internal/127.0.0.3", "--interface=six/::1",
		"--interface=dual/127.0.0.4", "--interface=dual/::1", "--interface=pub/127.0.0.5!203.0.113.7", "--delete-delay=0", "--listen-ng="+control.String(), "--port-min=32000", "--port-max=32100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed, as asked
	})
	g := &rig{t: t}
	if g.client, err = ng.NewClient(control, ng.ClientConfig{Failures: 1000}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.client.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for begun := time.Now(); g.try(ng.Command{Name: ng.Ping}).Result != ng.ResultPong; {
		if time.Since(begun) > 15*time.Second {
			t.Fatal("rtpengine does not answer ping")
		}
	}
	return g
}

// essence is what two relays must agree on in the SDP they give out: addresses
// by interface, which streams are alive, what they are.
func essence(t *testing.T, b []byte) string {
	t.Helper()
	s, err := sdp.Parse(b)
	if err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	var out string
	for i := range s.Media {
		m := &s.Media[i]
		host := ""
		if m.Port != 0 {
			host = m.Address().Host
		}
		out += fmt.Sprintf("%s %s %v alive=%v %s at=%s even=%v ice=%v\n", m.Kind, m.Proto, m.Formats, m.Port != 0, m.Direction, host, m.Port%2 == 0, m.ICE)
	}
	if s.Origin != nil {
		out += "origin " + s.Origin.Host
	}
	return out
}

// The same commands, by the same client, to our relay and to rtpengine: they
// must say the same, and audio must flow the same.
func TestRTPEngineSaysTheSame(t *testing.T) {
	theirs, ours := newRTPEngine(t), newRig(t)
	conversations := map[string]func(g *rig, say func(string, ng.Reply)){
		"a call": func(g *rig, say func(string, ng.Reply)) {
			a, b := newPhone(t, outside), newPhone(t, inside)
			r := g.do(offer(a, outside), ng.ResultOK)
			say("offer", r)
			b.hear(r.SDP)
			r = g.do(answer(b), ng.ResultOK)
			say("answer", r)
			a.hear(r.SDP)
			talk(a, b, 20)
			for _, tag := range []string{"a", "b"} {
				if n := g.stats(tag, 0).Int("packets"); n != 20 {
					t.Errorf("%d packets of %s", n, tag)
				}
			}
			r = g.do(ng.Command{Name: ng.Delete, CallID: "call", FromTag: "a", ToTag: "b"}, ng.ResultOK)
			if n := r.More.Dict(ng.KeyTotals).Dict("RTP").Int("packets"); n != 40 {
				t.Errorf("%d packets in all", n)
			}
		},
		"ICE, a refused stream and hold": func(g *rig, say func(string, ng.Reply)) {
			a, b := newPhone(t, outside), newPhone(t, inside)
			c := offer(a, outside)
			c.CallID = "second"
			c.SDP = a.sdp("a=sendonly", "a=ice-ufrag:abcd", "a=ice-pwd:0123456789abcdef012345",
				"a=candidate:1 1 UDP 2130706431 127.0.1.1 4000 typ host", "m=video 0 RTP/AVP 96")
			say("offer", g.do(c, ng.ResultOK))
			c = answer(b)
			c.CallID, c.SDP = "second", b.sdp("a=recvonly", "m=video 0 RTP/AVP 96")
			say("answer", g.do(c, ng.ResultOK))
			say("delete", g.do(ng.Command{Name: ng.Delete, CallID: "second", FromTag: "a"}, ng.ResultOK))
		},
		"nonsense": func(g *rig, say func(string, ng.Reply)) {
			say("unknown command", g.do(ng.Command{Name: "dance"}, ng.ResultError))
			say("unknown call", g.do(ng.Command{Name: ng.Query, CallID: "nobody's"}, ng.ResultError))
			say("delete of nothing", g.do(ng.Command{Name: ng.Delete, CallID: "nobody's", FromTag: "a"}, ng.ResultOK))
			say("no SDP", g.do(ng.Command{Name: ng.Offer, CallID: "third", FromTag: "a"}, ng.ResultError))
		},
	}
	for name, play := range conversations {
		t.Run(name, func(t *testing.T) {
			var said [2][]string
			for i, g := range []*rig{theirs, ours} {
				play(g, func(what string, r ng.Reply) {
					line := what + ": " + r.Result + "\n"
					if len(r.SDP) > 0 {
						line += essence(t, r.SDP)
					}
					said[i] = append(said[i], line)
				})
			}
			for i := range said[0] {
				if said[0][i] != said[1][i] {
					t.Errorf("rtpengine says\n%s\nand we\n%s", said[0][i], said[1][i])
				}
			}
		})
	}
}

// A relay that is killed is noticed, refused at once, and used again when it is
// back at the same address.
func TestKilledAndBack(t *testing.T) {
	conn := listen(t, "127.0.0.1")
	at := addr(conn)
	conn.Close()
	client, err := ng.NewClient(at, ng.ClientConfig{Deadline: 200 * time.Millisecond, Retransmit: 50 * time.Millisecond, Probe: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- client.Run(ctx) }()
	g := &rig{t: t, client: client}
	for range 3 {
		if r := g.try(ng.Command{Name: ng.Ping}); r.ErrorReason != ng.ErrTimeout.Error() {
			t.Errorf("%+v", r)
		}
	}
	begun := time.Now()
	if r := g.try(ng.Command{Name: ng.Ping}); r.ErrorReason != ng.ErrDown.Error() || time.Since(begun) > 100*time.Millisecond {
		t.Errorf("%+v after %v", r, time.Since(begun))
	}
	back, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		ended <- ng.Serve(ctx, back, nil, func(netip.AddrPort, ng.Command) ng.Reply { return ng.Reply{Result: ng.ResultPong} })
	}()
	deadline := time.After(5 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for client.Down() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the relay is back, and nobody noticed")
		}
	}
	if r := g.try(ng.Command{Name: ng.Ping}); r.Result != ng.ResultPong {
		t.Errorf("%+v", r)
	}
	stop()
	if err := errors.Join(<-ended, <-ended); err != nil {
		t.Error(err)
	}
}
