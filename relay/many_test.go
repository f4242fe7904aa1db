package relay_test

import (
	"fmt"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lindero/lindero/relay"
	"github.com/lindero/lindero/wire/ng"
)

// As many calls as there may be at one address a side, ten thousand if the limit of
// open files allows: they are set up, go on in another process, and end there.
func TestManyCalls(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	calls := min(10_000, (int(min(files.Max, 1<<20))-300)/4)
	for name, interfaces := range map[string][]string{
		"one address":       nil,
		"several addresses": {"external/127.0.0.2", "external/127.0.0.4", "external/127.0.0.5", "internal/127.0.0.3", "internal/127.0.0.6", "internal/127.0.0.7"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChild(t)
			c.Most, c.Ports = calls, relay.PortRange{Low: 20000, High: uint16(20000 + 2*calls + 999)}
			if len(interfaces) > 0 {
				c.Ports.High = uint16(20000 + 2*calls/3 + 999) // none of them has enough alone
			}
			for _, text := range interfaces {
				var n relay.Named
				if err := n.UnmarshalText([]byte(text)); err != nil {
					t.Fatal(err)
				}
				c.Interfaces = append(c.Interfaces, n)
			}
			first := c.start(t)
			g := newClientOf(t, c.NG)
			a := &phone{t: t, rtp: listen(t, outside), rtcp: listen(t, outside), claims: netip.MustParseAddr(outside)}
			b := &phone{t: t, rtp: listen(t, inside), rtcp: listen(t, inside), claims: netip.MustParseAddr(inside)}
			begun := time.Now()
			g.each(calls, func(id string) {
				m := offer(a, outside)
				m.CallID = id
				g.ok(m)
				m = answer(b)
				m.CallID = id
				g.ok(m)
			})
			t.Logf("%d calls in %v", calls, time.Since(begun))
			first.end(syscall.SIGKILL)
			begun = time.Now()
			c.start(t)
			t.Logf("another process has them after %v", time.Since(begun))
			begun = time.Now()
			g.each(calls, func(id string) {
				g.ok(ng.Command{Name: ng.Delete, CallID: id, FromTag: "a"})
			})
			t.Logf("ended in %v", time.Since(begun))
		})
	}
}

// ok runs a command from any goroutine; the relay must have nothing to say about it.
func (g *rig) ok(c ng.Command) {
	if r := g.try(c); r.Result != ng.ResultOK || r.Warning != "" {
		g.t.Errorf("%s of %s: %s %s %s", c.Name, c.CallID, r.Result, r.ErrorReason, r.Warning)
	}
}

// each does something for so many calls, a few at once.
func (g *rig) each(calls int, do func(id string)) {
	ids := make(chan int)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range ids {
				do(fmt.Sprint("call-", i))
			}
		})
	}
	for i := range calls {
		ids <- i
	}
	close(ids)
	all.Wait()
}
