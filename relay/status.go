package relay

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/lindero/lindero/relay/call"
	"github.com/lindero/lindero/relay/forward"
	"github.com/lindero/lindero/wire/ng"
	"github.com/lindero/lindero/wire/session"
)

// Status is what a relay's control socket says of it. Numbers of packets only grow.
type Status struct {
	Relay   string         `json:"relay"`
	Since   time.Time      `json:"since"` // this process
	NG      netip.AddrPort `json:"ng"`
	Drain   *Drain         `json:"drain,omitempty"`   // absent: it takes new calls
	Drained bool           `json:"drained,omitempty"` // and none is left, or its time is over
	Refuses string         `json:"refuses,omitempty"` // why a new call would be refused; absent: it would not

	Calls    int `json:"calls"`
	Answered int `json:"answered"`
	MaxCalls int `json:"max_calls"`
	Kernel   int `json:"calls_kernel"`     // all RTP by the kernel
	Mixed    int `json:"calls_mixed"`      // one way by the kernel, the other not
	User     int `json:"calls_user_space"` // none by the kernel

	Packets     uint64  `json:"packets"`      // believed, since the process began or its calls did
	UserPackets uint64  `json:"packets_user"` // of those, by this process
	Bytes       uint64  `json:"bytes"`        // of UDP payload
	Bandwidth   float64 `json:"mbit"`         // Mbit/s that come in, smoothed
	Rate        float64 `json:"packets_per_second"`
	CPU         float64 `json:"cpu"` // share of the machine's processors that is busy
	Limits      Load    `json:"limits"`

	Forwarding string            `json:"forwarding"` // how packets go, in words
	Devices    []Device          `json:"devices,omitempty"`
	Fallbacks  map[string]uint64 `json:"fallbacks,omitempty"` // packets the kernel's program did not repeat, by why
	Addresses  []Address         `json:"addresses"`
	State      *Kept             `json:"state,omitempty"` // absent: a restart forgets the calls
}

// Load is the limits; 0 is none.
type Load struct {
	Bandwidth float64 `json:"mbit,omitempty"`
	CPU       float64 `json:"cpu,omitempty"`
}

// A Device is a network device on which packets may be repeated.
type Device struct {
	Name   string `json:"name"`
	Mode   string `json:"mode"`             // native, generic, tcx or none
	Reason string `json:"reason,omitempty"` // why not better
}

// An Address is one of ours and what its pairs of ports do.
type Address struct {
	Interface string     `json:"interface"`
	Address   netip.Addr `json:"address"`
	Advertise netip.Addr `json:"advertise"`
	Free      int        `json:"free"`
	Lent      int        `json:"lent"`
	Resting   int        `json:"resting"`
}

// Kept is how calls are kept over a restart.
type Kept struct {
	Folder  string `json:"folder"`
	Size    int64  `json:"size"`    // bytes of the journal
	Resumed int    `json:"resumed"` // calls that this process took over
	Lost    int    `json:"lost"`    // calls that it could not
	Fault   string `json:"fault,omitempty"`
}

// Status is what there is to say of the relay now.
func (r *Relay) Status() Status {
	done, ok := r.hold()
	if !ok {
		return Status{Relay: r.id, Since: r.begun}
	}
	defer done()
	past, live := r.calls.Totals()
	rates, _ := r.load.last()
	s := Status{
		Relay: r.id, Since: r.begun, NG: r.Addresses().NG,
		Drain: r.draining.Load(), Drained: r.drained(time.Now()),
		Calls: live.Calls, Answered: live.Answered, MaxCalls: r.maxCalls, Kernel: live.Kernel, Mixed: live.Mixed, User: live.User,
		UserPackets: r.inUser(), Bandwidth: rates.Bandwidth, Rate: rates.Packets, CPU: rates.CPU,
		Limits:     Load{r.limits.Bandwidth, r.limits.CPU},
		Forwarding: r.how, Devices: r.devices(), Fallbacks: r.fallbacks(),
	}
	for _, c := range []forward.Counts{past.RTP, past.RTCP, live.Live.RTP, live.Live.RTCP} {
		s.Packets += c.Packets
		s.Bytes += c.Bytes
	}
	if over := r.refusing(); over != nil {
		s.Refuses = over.text
	}
	for _, f := range r.faces {
		a := Address{Interface: f.Name, Address: f.Bind, Advertise: f.Advertised()}
		a.Free, a.Lent, a.Resting = r.pools[f.Bind].Counts()
		s.Addresses = append(s.Addresses, a)
	}
	if k := r.state; k != nil {
		s.State = &Kept{Folder: k.dir, Size: k.journal.Size(), Resumed: k.resumed, Lost: k.lost, Fault: k.journal.Fault()}
	}
	return s
}

// inUser is how many believed packets this process has moved.
func (r *Relay) inUser() uint64 {
	v := r.table.Packets()
	return v[forward.Forwarded] + v[forward.Held] + v[forward.Failed] + v[forward.Blocked]
}

// devices are those that repeat, now.
func (r *Relay) devices() (all []Device) {
	if r.kernel == nil {
		return nil
	}
	for _, e := range r.kernel.Forwarding() {
		all = append(all, Device{e.Device, string(e.Mode), e.Reason})
	}
	return all
}

// fallbacks are packets that the kernel's program did not repeat, by its reasons.
func (r *Relay) fallbacks() map[string]uint64 {
	if r.kernel == nil {
		return nil
	}
	sums, err := r.kernel.Reasons()
	if err != nil {
		return nil // the forwarder is closed
	}
	all := make(map[string]uint64)
	for i, name := range r.reasons {
		if i < len(sums) && sums[i] > 0 {
			all[name] = sums[i]
		}
	}
	return all
}

// A Worst is a leg that sounds worse than others.
type Worst struct {
	CallID string `json:"call_id"`
	Kind   string `json:"kind"`
	session.Leg
}

// Worst are at most limit RTP legs of live calls, those that sound worst first: by
// MOS, then by loss, then by jitter. Legs without enough packets for an opinion are
// left out.
func (r *Relay) Worst(limit int) []Worst {
	var all []Worst
	for _, s := range r.Sessions("", r.maxCalls) {
		for _, st := range s.Streams {
			for _, l := range st.Legs {
				if l.MOS > 0 {
					all = append(all, Worst{s.CallID, st.Kind, l})
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b Worst) int {
		return cmp.Or(cmp.Compare(a.MOS, b.MOS), cmp.Compare(b.Lost, a.Lost), cmp.Compare(b.Jitter, a.Jitter), cmp.Compare(a.CallID, b.CallID))
	})
	return all[:min(limit, len(all))]
}

// loadStatistics are what statistics say of limits.
func (r *Relay) loadStatistics() ng.Dict {
	rates, _ := r.load.last()
	d := ng.Dict{
		"bandwidth mbit": decimal(rates.Bandwidth), "bandwidth limit": decimal(r.limits.Bandwidth),
		"cpu": decimal(rates.CPU), "cpu limit": decimal(r.limits.CPU), "max calls": r.maxCalls, "refuses": "",
	}
	if over := r.refusing(); over != nil {
		d["refuses"] = over.text
	}
	return d
}

// observe counts a call that ended.
func (m *meters) observe(s call.Summary) {
	for leg := range s.Rated() {
		c := leg.Streams[0].Counts
		m.loss.Observe(float64(c.Lost) / float64(max(c.Expected, 1)))
		m.jitter.Observe(c.Jitter.Seconds())
		m.mos.Observe(leg.Score.MOS)
	}
}
