package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/bpf/livegen"
)

// A Flood is packets of strangers on the last stretch of wire before a host, with
// sources of its choosing.
type Flood struct {
	generator *livegen.Generator
	stop      context.CancelFunc
	done      chan struct{}
	result    livegen.Result // of the run; valid when done is closed
	err       error
}

// Flood sends datagrams to a port of the host, rate a second or as many as this
// machine can, each from another address of from, until it is stopped or the test
// ends. It begins behind the routers, so that only the host has work with it. The
// host's device must have an XDP program or GRO, or nothing arrives.
func (l *Lab) Flood(t testing.TB, to *Host, at netip.AddrPort, from netip.Prefix, rate uint64, payload string) *Flood {
	t.Helper()
	mac := func(h *Host, device string) net.HardwareAddr {
		m, err := net.ParseMAC(strings.TrimSpace(h.Run("cat", "/sys/class/net/"+device+"/address")))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	device := l.towards(t, to.Addr)
	g, err := livegen.Open(livegen.Plan{
		Network: "/run/netns/" + l.inet.ns, Device: device, FromMAC: mac(l.inet, device), ToMAC: mac(to, "eth0"),
		From: from, To: at.Addr(), ToPort: at.Port(), Payload: []byte(payload), Rate: rate,
		Nice: 10, // the packets are taken in on the same processor, and whoever does that must get to it in time
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	f := &Flood{generator: g, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(f.done)
		f.result, f.err = g.Run(ctx)
	}()
	t.Cleanup(func() {
		f.Stop(t)
		_ = g.Close() // nothing is left to lose
	})
	return f
}

// Stop ends the flood and says how many packets there were, and how many a second.
func (f *Flood) Stop(t testing.TB) (packets uint64, perSecond float64) {
	t.Helper()
	f.stop()
	<-f.done
	if f.err != nil {
		t.Errorf("the flood: %v", f.err)
	}
	return f.result.Sent, float64(f.result.Sent) / max(f.result.Wall, time.Millisecond).Seconds()
}

// Sent is how many packets there were so far.
func (f *Flood) Sent() uint64 { return f.generator.Sent() }

// towards is the router's device to a host.
func (l *Lab) towards(t testing.TB, addr netip.Addr) string {
	t.Helper()
	words := strings.Fields(l.inet.Run("ip", "route", "get", addr.String()))
	for i, w := range words {
		if w == "dev" && i+1 < len(words) {
			return words[i+1]
		}
	}
	t.Fatalf("no route to %v: %v", addr, words)
	return ""
}

// Also gives a host one more public address.
func (h *Host) Also(addr netip.Addr) {
	l := h.lab
	l.t.Helper()
	l.run("ip", "-n", h.ns, "addr", "add", addr.String()+"/32", "dev", "eth0")
	l.run("ip", "-n", l.inet.ns, "route", "add", addr.String()+"/32", "dev", l.towards(l.t, h.Addr))
}

// String names a host in messages.
func (h *Host) String() string { return fmt.Sprintf("%s (%v)", h.Name, h.Addr) }
