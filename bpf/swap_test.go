package bpf_test

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lindero/lindero/bpf"
	"github.com/lindero/lindero/bpf/livegen"
)

// A leaf of a trie that says nothing more, the list's word for deny, and verdicts,
// as types.h has them.
const (
	leaf          = 1 << 31
	listAllow     = 1
	listDeny      = 3
	denied        = 8
	countryDenied = 10
)

// A stage is a wire whose far device has the shield on it, with everything denied:
// whatever passes went through a gap.
type stage struct {
	*livegen.Wire
	pins   string
	shield *bpf.Shield
}

func newStage(t *testing.T) *stage {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("network namespaces and BPF programs need root")
	}
	w, err := livegen.NewWire()
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{Wire: w, pins: filepath.Join(t.TempDir(), "bpf")}
	t.Cleanup(func() { // the filter goes with its device
		if s.shield != nil {
			_ = s.shield.Close()
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := os.Mkdir(s.pins, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("bpf", s.pins, "bpf", 0, ""); err != nil {
		t.Skipf("a BPF file system cannot be mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(s.pins, 0); err != nil {
			t.Error(err)
		}
	})
	s.open(t)
	if err := s.shield.SetServices([]bpf.Port{sip}); err != nil {
		t.Fatal(err)
	}
	if err := s.shield.SetCountries(everywhere(1)); err != nil {
		t.Fatal(err)
	}
	return s
}

var sip = bpf.Port{First: 5060, Last: 5060, Service: 1}

// open is what a daemon does when it starts.
func (s *stage) open(t *testing.T) {
	t.Helper()
	err := s.InFar(func() (err error) {
		first := nobody(0, true)
		s.shield, err = bpf.Open(bpf.Options{Device: livegen.FarDevice, Pin: s.pins, Mode: bpf.Native, Owner: "edge", Policy: &first})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// nobody is a policy that denies everybody, by the list or by country.
func nobody(version uint64, byList bool) bpf.Policy {
	p := bpf.Policy{Version: version, HalfOpen: 1 << 20, Around: bpf.Budget{Rate: bpf.Unlimited}, All: bpf.Budget{Rate: bpf.Unlimited}}
	for i := range p.Budgets {
		p.Budgets[i] = bpf.Budget{Rate: bpf.Unlimited}
	}
	if byList {
		p.Lists.Root4, p.Lists.Root6 = slices.Repeat([]uint32{leaf | listDeny}, 1<<12), slices.Repeat([]uint32{leaf | listDeny}, 1<<12)
		return p
	}
	for service := range p.Deny {
		for i := range p.Deny[service] {
			p.Deny[service][i] = ^uint64(0)
		}
	}
	return p
}

// everywhere is a table in which the whole world is one country.
func everywhere(country uint32) bpf.Trie {
	return bpf.Trie{Root4: slices.Repeat([]uint32{leaf | country}, 1<<18), Root6: slices.Repeat([]uint32{leaf | country}, 1<<14)}
}

// Everything that changes while packets come in changes without a gap: every
// packet is judged by the old or by the new, and counted once.
func TestSwapsUnderLoadLeaveNoGap(t *testing.T) {
	lab4, lab6 := netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("2001:db8::/32")
	for name, c := range map[string]struct {
		from   netip.Prefix
		byList bool
		swaps  int
		swap   func(t *testing.T, s *stage, n int)
	}{
		"country tables": {lab4, false, 250, func(t *testing.T, s *stage, n int) {
			fatal(t, s.shield.SetCountries(everywhere(uint32(1+n%2))))
		}},
		"policies": {lab4, false, 250, func(t *testing.T, s *stage, n int) {
			fatal(t, s.shield.SetPolicy(nobody(uint64(n), n%2 == 0)))
		}},
		"policies and tables, IPv6": {lab6, false, 250, func(t *testing.T, s *stage, n int) {
			fatal(t, s.shield.SetCountries(everywhere(uint32(n%256))))
			fatal(t, s.shield.SetPolicy(nobody(uint64(n), n%3 == 0)))
		}},
		"ports around ours": {lab4, true, 2000, func(t *testing.T, s *stage, n int) {
			ports := []bpf.Port{sip}
			if n%2 == 0 {
				ports = []bpf.Port{{First: 5000, Last: 6000, Service: 1}, {TCP: true, First: 443, Last: 443, Service: 2}}
			}
			fatal(t, s.shield.SetServices(ports))
		}},
		"restarts of the daemon": {lab4, true, 40, func(t *testing.T, s *stage, n int) {
			fatal(t, s.shield.Close())
			s.open(t) // which puts a program of its own in the place of the one before
		}},
		"restarts, with a policy each": {lab6, false, 40, func(t *testing.T, s *stage, n int) {
			fatal(t, s.shield.Close())
			s.open(t)
			fatal(t, s.shield.SetCountries(everywhere(uint32(1+n%2))))
			fatal(t, s.shield.SetPolicy(nobody(uint64(n), n%2 == 0)))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			fatal(t, s.shield.SetPolicy(nobody(1, c.byList)))
			s.underLoad(t, c.from, c.swaps, func(n int) { c.swap(t, s, n) })
		})
	}
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// underLoad swaps at least so often, until three million packets were sent as fast
// as it goes, and judges what became of them.
func (s *stage) underLoad(t *testing.T, from netip.Prefix, swaps int, swap func(n int)) {
	t.Helper()
	g, err := livegen.Open(s.Plan(from, sip.First))
	fatal(t, err)
	defer g.Close()
	before, err := s.Received()
	fatal(t, err)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	result := make(chan error, 1)
	go func() {
		_, err := g.Run(ctx)
		result <- err
	}()
	began := time.Now()
	n := 0
	for n < swaps || g.Sent() < 3_000_000 && ctx.Err() == nil { // whoever is quick swaps more
		swap(n)
		n++
	}
	took := time.Since(began)
	stop()
	fatal(t, <-result)
	after := s.settled(t, before+g.Sent())
	t.Logf("%d packets, %d swaps in %v", g.Sent(), n, took.Round(time.Millisecond))
	s.judge(t, g.Sent(), after-before)
}

// settled is how many packets the device took in, once all that were sent are there
// or nothing more comes.
func (s *stage) settled(t *testing.T, all uint64) uint64 {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var last uint64
	for {
		n, err := s.Received()
		fatal(t, err)
		if n == all || n == last {
			return n
		}
		last = n
		<-tick.C
	}
}

// judge compares what was sent, what the device took in and what was counted.
func (s *stage) judge(t *testing.T, sent, received uint64) {
	t.Helper()
	counters, err := s.shield.Counters()
	if err != nil {
		t.Fatal(err)
	}
	var by [16]uint64
	var counted uint64
	for _, row := range counters {
		for v, n := range row {
			by[v] += n
			counted += n
		}
	}
	// The ring of a busy wire overflows now and then, before any filter; what must
	// not be is a packet that came in and met none.
	if received < sent-sent/10 {
		t.Errorf("%d packets were sent and only %d arrived: that shows little", sent, received)
	}
	if counted != received {
		t.Errorf("%d packets arrived and %d were counted: %v", received, counted, by)
	}
	if dropped := by[denied] + by[countryDenied]; dropped != counted {
		t.Errorf("%d of %d packets went through a gap: %v", counted-dropped, counted, by)
	}
}
