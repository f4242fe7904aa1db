package ports_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/lindero/lindero/relay/ports"
)

// sockets remembers what is open, and refuses what others have.
type sockets struct {
	t       *testing.T
	open    map[netip.AddrPort]bool
	taken   map[uint16]bool
	arrived map[netip.AddrPort]time.Time
}

func newSockets(t *testing.T, taken ...uint16) *sockets {
	s := &sockets{t, map[netip.AddrPort]bool{}, map[uint16]bool{}, map[netip.AddrPort]time.Time{}}
	for _, p := range taken {
		s.taken[p] = true
	}
	return s
}

func (s *sockets) Open(local netip.AddrPort) error {
	if s.taken[local.Port()] {
		return errors.New("in use")
	}
	if s.open[local] {
		s.t.Errorf("%v opened twice", local)
	}
	s.open[local] = true
	return nil
}

func (s *sockets) Close(local netip.AddrPort) error {
	if !s.open[local] {
		return errors.New("not open")
	}
	delete(s.open, local)
	return nil
}

func (s *sockets) Arrived(local netip.AddrPort) time.Time { return s.arrived[local] }

var (
	ours  = netip.MustParseAddr("192.0.2.1")
	begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

const rest = 30 * time.Second

func TestLendUntilNoneIsFree(t *testing.T) {
	s := newSockets(t)
	p := ports.NewPool(ours, 30001, 30007, rest, s)
	seen := map[uint16]bool{}
	for range 3 { // 30002, 30004, 30006
		pair, err := p.Lend()
		if err != nil {
			t.Fatal(err)
		}
		if pair.RTP.Port()%2 != 0 || pair.RTCP.Port() != pair.RTP.Port()+1 || pair.RTP.Addr() != ours || seen[pair.RTP.Port()] || pair.RTP.Port() < 30002 || pair.RTCP.Port() > 30007 {
			t.Errorf("lent %v", pair)
		}
		seen[pair.RTP.Port()] = true
	}
	if _, err := p.Lend(); !errors.Is(err, ports.ErrNone) {
		t.Errorf("a fourth of three: %v", err)
	}
	if len(s.open) != 6 {
		t.Errorf("%d sockets open", len(s.open))
	}
}

func TestRest(t *testing.T) {
	s := newSockets(t)
	p := ports.NewPool(ours, 30000, 30001, rest, s)
	pair, err := p.Lend()
	if err != nil {
		t.Fatal(err)
	}
	p.Return(pair, begin)
	for _, step := range []struct {
		what    string
		at      time.Duration
		arrived time.Duration // when something last came, 0 never
		free    int
	}{
		{"at once", 0, 0, 0},
		{"before the rest is over", rest - 1, 0, 0},
		{"somebody sends", rest, rest - time.Second, 0},
		{"and still does", 3 * rest, 3*rest - 1, 0},
		{"until it is quiet for as long", 4*rest - 1, 3 * rest, 0},
		{"now it is", 4 * rest, 3 * rest, 1},
	} {
		if step.arrived != 0 {
			s.arrived[pair.RTCP] = begin.Add(step.arrived)
		}
		p.Sweep(begin.Add(step.at))
		if free, _, _ := p.Counts(); free != step.free {
			t.Errorf("%s: %d free, want %d", step.what, free, step.free)
		}
		if open := len(s.open) > 0; open != (step.free == 0) {
			t.Errorf("%s: open sockets %v", step.what, s.open)
		}
	}
	if again, err := p.Lend(); err != nil || again != pair {
		t.Errorf("%v %v", again, err)
	}
}

func TestAPeerThatNeverStopsDoesNotKeepThePort(t *testing.T) {
	s := newSockets(t)
	p := ports.NewPool(ours, 30000, 30001, rest, s)
	pair, err := p.Lend()
	if err != nil {
		t.Fatal(err)
	}
	p.Return(pair, begin)
	end := begin.Add(10 * rest)
	s.arrived[pair.RTP] = end
	p.Sweep(end.Add(-1))
	if _, _, resting := p.Counts(); resting != 1 {
		t.Error("freed too early")
	}
	p.Sweep(end)
	if free, _, _ := p.Counts(); free != 1 {
		t.Error("kept for ever")
	}
}

func TestWhatWasSparedNeedsNoRest(t *testing.T) {
	s := newSockets(t)
	p := ports.NewPool(ours, 30000, 30001, rest, s)
	pair, err := p.Lend()
	if err != nil {
		t.Fatal(err)
	}
	p.Spare(pair)
	p.Sweep(begin)
	if free, lent, resting := p.Counts(); free != 1 || lent != 0 || resting != 0 || len(s.open) != 0 {
		t.Errorf("%d free, %d lent, %d resting, open %v", free, lent, resting, s.open)
	}
}

// Calls that come to nothing, as a stranger's do whom core refuses, must not tie
// up all ports until the next sweep.
func TestSparedPairsAreLentBeforeNoneIs(t *testing.T) {
	s := newSockets(t)
	p := ports.NewPool(ours, 30000, 30003, rest, s) // two pairs
	for range 100 {
		pair, err := p.Lend()
		if err != nil {
			t.Fatal(err)
		}
		if !s.open[pair.RTP] || !s.open[pair.RTCP] {
			t.Fatalf("%v was lent closed", pair)
		}
		p.Spare(pair)
	}
	for range 2 {
		if _, err := p.Lend(); err != nil {
			t.Fatal(err)
		}
	}
	if pair, err := p.Lend(); !errors.Is(err, ports.ErrNone) {
		t.Errorf("lent %v (%v) a second time", pair, err)
	}
	p.Sweep(begin)
	if free, lent, others := p.Counts(); free != 0 || lent != 2 || others != 0 || len(s.open) != 4 {
		t.Errorf("%d free, %d lent, %d others, %d sockets open", free, lent, others, len(s.open))
	}
}

// A pair that rests is not spared: whoever had it may send to it still.
func TestRestIsKeptWhenNoneIsFree(t *testing.T) {
	p := ports.NewPool(ours, 30000, 30001, rest, newSockets(t))
	pair, err := p.Lend()
	if err != nil {
		t.Fatal(err)
	}
	p.Return(pair, begin)
	if pair, err := p.Lend(); !errors.Is(err, ports.ErrNone) {
		t.Errorf("lent %v (%v), which rests", pair, err)
	}
}

func TestPortsOfOthersArePassedOver(t *testing.T) {
	s := newSockets(t, 30000, 30003) // an RTP port and an RTCP port
	p := ports.NewPool(ours, 30000, 30005, rest, s)
	pair, err := p.Lend()
	if err != nil || pair.RTP.Port() != 30004 {
		t.Fatalf("%v %v", pair, err)
	}
	if _, err := p.Lend(); !errors.Is(err, ports.ErrNone) {
		t.Errorf("%v", err)
	}
	p.Sweep(begin)
	if len(s.open) != 2 {
		t.Errorf("half a pair stayed open: %v", s.open)
	}
	if free, lent, resting := p.Counts(); free != 2 || lent != 1 || resting != 0 {
		t.Errorf("%d free, %d lent, %d resting", free, lent, resting)
	}
}

// Whoever returns a port gets another one as long as there are others.
func TestTheLongestUnusedIsLentFirst(t *testing.T) {
	s := newSockets(t)
	p := ports.NewPool(ours, 30000, 30099, 0, s)
	seen := map[uint16]bool{}
	for range 50 {
		pair, err := p.Lend()
		if err != nil {
			t.Fatal(err)
		}
		if seen[pair.RTP.Port()] {
			t.Fatalf("%v again", pair)
		}
		seen[pair.RTP.Port()] = true
		p.Return(pair, begin)
		p.Sweep(begin)
	}
}

// Who watches hears of a port before the borrower does, and of its return at
// once, though it rests or is lent again without having been closed.
func TestWatch(t *testing.T) {
	p := ports.NewPool(ours, 30000, 30001, rest, newSockets(t))
	var heard []string
	p.Watch(func(port uint16, lent bool) { heard = append(heard, fmt.Sprint(port, lent)) })
	expect := func(want ...string) {
		t.Helper()
		if !slices.Equal(heard, want) {
			t.Errorf("heard %q, want %q", heard, want)
		}
		heard = nil
	}
	pair, err := p.Lend()
	if err != nil {
		t.Fatal(err)
	}
	expect("30000 true", "30001 true")
	if _, err := p.Lend(); err == nil {
		t.Error("lent twice")
	}
	expect()
	p.Spare(pair)
	expect("30000 false", "30001 false")
	if _, err := p.Lend(); err != nil {
		t.Fatal(err)
	}
	expect("30000 true", "30001 true")
	p.Return(pair, begin)
	expect("30000 false", "30001 false")
	p.Sweep(begin.Add(rest))
	expect()
}
