package relay

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lindero/lindero/relay/call"
)

// Limits are what a relay may be loaded with before it refuses new calls, besides
// MaxCalls. Calls in progress are always served. 0 is no limit.
type Limits struct {
	Bandwidth float64 `yaml:"bandwidth"` // Mbit/s of media that comes in, with its IP and UDP headers
	CPU       float64 `yaml:"cpu"`       // share of the machine's processors that is busy, 0 to 1
}

func (l Limits) validate(check func(ok bool, format string, args ...any)) {
	check(l.Bandwidth >= 0, "limits.bandwidth: below 0")
	check(l.CPU >= 0 && l.CPU <= 1, "limits.cpu: a share of the processors, from 0 (no limit) to 1")
}

// A refusal is why a new call is refused: a limit's name, as metrics have it, and the
// figures.
type refusal struct{ limit, text string }

func (r *refusal) Error() string { return r.text }

// Names of limits.
const (
	limitCalls     = "calls"
	limitPorts     = "ports"
	limitBandwidth = "bandwidth"
	limitCPU       = "cpu"
	limitDrain     = "draining"
)

// limits lists them, for metrics.
func limits() []string {
	return []string{limitCalls, limitPorts, limitBandwidth, limitCPU, limitDrain}
}

// A load is what a relay has to do, looked at once in a while. Rates are smoothed
// over some seconds.
type load struct {
	over atomic.Pointer[refusal] // nil: new calls are taken

	mu    sync.Mutex // guards the fields below
	at    time.Time
	rates rates
	bits  uint64
	sums  traffic
	busy  ticks
	state call.State
}

// rates are what status tells.
type rates struct {
	Bandwidth float64 // Mbit/s
	Packets   float64 // each second
	CPU       float64 // share
}

// traffic is packets and bytes of UDP payload that were believed.
type traffic struct{ packets, bytes uint64 }

// headers is what IPv4 and UDP add to a packet, in bytes.
const headers = 28

// smooth is how much of a rate is the last look's.
const smooth = 0.3

// look takes a look at now, when this is what was counted so far.
func (l *load) look(t traffic, state call.State, busy ticks, now time.Time) rates {
	l.mu.Lock()
	defer l.mu.Unlock()
	over := now.Sub(l.at).Seconds()
	bits := 8 * (t.bytes + headers*t.packets)
	if !l.at.IsZero() && over > 0 {
		ease := func(rate *float64, now float64) { *rate += smooth * (now - *rate) }
		ease(&l.rates.Bandwidth, float64(bits-min(l.bits, bits))/over/1e6)
		ease(&l.rates.Packets, float64(t.packets-min(l.sums.packets, t.packets))/over)
		if all := busy.all - l.busy.all; busy.all > l.busy.all {
			ease(&l.rates.CPU, float64(busy.busy-min(l.busy.busy, busy.busy))/float64(all))
		}
	}
	l.at, l.bits, l.sums, l.busy, l.state = now, bits, t, busy, state
	return l.rates
}

// last is what was seen when it was looked at last.
func (l *load) last() (rates, call.State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rates, l.state
}

// judge says whether new calls are taken at these rates.
func (l Limits) judge(r rates) *refusal {
	switch {
	case l.Bandwidth > 0 && r.Bandwidth >= l.Bandwidth:
		return &refusal{limitBandwidth, fmt.Sprintf("limits.bandwidth: %.1f Mbit/s of media, and the limit is %g", r.Bandwidth, l.Bandwidth)}
	case l.CPU > 0 && r.CPU >= l.CPU:
		return &refusal{limitCPU, fmt.Sprintf("limits.cpu: %.0f %% of the processors are busy, and the limit is %.0f %%", 100*r.CPU, 100*l.CPU)}
	}
	return nil
}

// look measures the load, and decides about new calls.
func (r *Relay) look(now time.Time) {
	past, live := r.calls.Totals()
	t := traffic{
		packets: past.RTP.Packets + past.RTCP.Packets + live.Live.RTP.Packets + live.Live.RTCP.Packets,
		bytes:   past.RTP.Bytes + past.RTCP.Bytes + live.Live.RTP.Bytes + live.Live.RTCP.Bytes,
	}
	busy, err := readTicks("/proc/stat")
	if err != nil && r.limits.CPU > 0 {
		r.log.Warn("limits.cpu has no effect", "error", err)
	}
	rates := r.load.look(t, live, busy, now)
	verdict := r.limits.judge(rates)
	was := r.load.over.Swap(verdict)
	switch {
	case was == nil && verdict != nil:
		r.log.Warn("new calls are refused", "why", verdict.text)
	case was != nil && verdict == nil:
		r.log.Info("new calls are taken again", "mbit", rates.Bandwidth, "cpu", rates.CPU)
	}
}

// refusing is why a new call would be refused now; nil when it would not.
func (r *Relay) refusing() *refusal {
	if d := r.draining.Load(); d != nil {
		return d.refusal()
	}
	if over := r.load.over.Load(); over != nil {
		return over
	}
	if calls, _, _ := r.calls.Counts(); calls >= r.maxCalls {
		return &refusal{limitCalls, fmt.Sprintf("max_calls: %d calls, and the limit is %d", calls, r.maxCalls)}
	}
	return nil
}

// admit is what a registry asks about a new call, after it has counted them.
func (r *Relay) admit() error {
	if d := r.draining.Load(); d != nil {
		return d.refusal()
	}
	if over := r.load.over.Load(); over != nil {
		return over
	}
	return nil
}

// ticks are processor time since the machine started, all processors together.
type ticks struct{ busy, all uint64 }

// readTicks reads the first line of /proc/stat (proc_stat(5)).
func readTicks(path string) (t ticks, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return t, err
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) < 9 || string(fields[0]) != "cpu" {
		return t, fmt.Errorf("%s: does not begin with the sum of processors", path)
	}
	for i, f := range fields[1:9] { // guest times, behind, are in user's already
		n, err := strconv.ParseUint(string(f), 10, 64)
		if err != nil {
			return t, fmt.Errorf("%s: %w", path, err)
		}
		t.all += n
		if i != 3 && i != 4 { // idle, iowait
			t.busy += n
		}
	}
	return t, nil
}
