package forward_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/lindero/lindero/bpf"
	"github.com/lindero/lindero/relay/forward"
	"github.com/lindero/lindero/relay/forward/forwardtest"
	"github.com/lindero/lindero/wire/rtp"
)

// The kernel repeats a leg from the moment there is nothing left to learn, and only
// what it should; and gives it back.
func TestKernelRepeatsWhatIsConfirmed(t *testing.T) {
	for _, mode := range modes() {
		t.Run(string(mode), func(t *testing.T) { repeats(t, forwardtest.NewLab(t, mode), mode != bpf.TCX) })
	}
}

// modes are the ways in which devices repeat packets.
func modes() []bpf.Mode { return []bpf.Mode{bpf.Native, bpf.Generic, bpf.TCX} }

func repeats(t *testing.T, lab *forwardtest.Lab, families bool) {
	u := start(t, nil, forward.WithKernel(lab.Forwarder))
	table := lab.Table(t, u)
	for _, c := range []struct {
		name   string
		change func(*forward.Leg)
		packet []byte
		kernel bool
	}{
		{"confirmed", func(*forward.Leg) {}, media(1), true},
		{"mux", func(l *forward.Leg) { l.Flags = forward.Mux }, media(1), true},
		{"mux, RTCP", func(l *forward.Leg) { l.Flags = forward.Mux }, rtp.AppendRR(nil, 1), false},
		{"any", func(l *forward.Leg) { l.Flags = forward.Any }, []byte{1}, true},
		{"RTCP only", func(l *forward.Leg) { l.Flags = forward.RTCP }, rtp.AppendRR(nil, 1), false},
		{"may be corrected", func(l *forward.Leg) { l.Exact = netip.MustParseAddrPort("198.51.100.3:4000") }, media(1), false},
		{"to be learned", func(l *forward.Leg) { l.Learn = netip.MustParseAddr("198.51.100.3") }, media(1), false},
		{"treated", func(l *forward.Leg) { l.Treat = same{} }, media(1), false},
		{"to IPv6", nil, media(1), families},
	} {
		t.Run(c.name, func(t *testing.T) {
			six := c.change == nil
			a, b := lab.Peer(t, forwardtest.Place{}), lab.Peer(t, forwardtest.Place{Side: 1, Six: six})
			leg := forward.Leg{Local: lab.Local(t, 0, false), From: addr(a), Via: lab.Local(t, 1, six), To: addr(b)}
			for _, local := range []netip.AddrPort{leg.Local, leg.Via} {
				if err := table.Open(local); err != nil {
					t.Fatal(err)
				}
			}
			if c.change != nil {
				c.change(&leg)
			}
			if err := u.Put(leg); err != nil {
				t.Fatal(err)
			}
			if whole := c.kernel || c.name == "mux, RTCP" || six; u.Repeated(leg.Local) != whole {
				t.Errorf("the kernel has it: %v", !whole)
			}
			before := u.Packets()[forward.Forwarded]
			if _, err := a.WriteToUDPAddrPort(c.packet, leg.Local); err != nil {
				t.Fatal(err)
			}
			if err := b.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 2048)
			n, from, err := b.ReadFromUDPAddrPort(got)
			if err != nil || string(got[:n]) != string(c.packet) || from != leg.Via {
				t.Fatalf("%x from %v: %v", got[:n], from, err)
			}
			if counts, err := u.Delete(leg.Local); err != nil || counts.Packets != 1 || counts.Bytes != uint64(len(c.packet)) ||
				time.Since(counts.LastSeen).Abs() > 5*time.Second {
				t.Errorf("%+v %v", counts, err)
			}
			if err := u.Close(leg.Local); err != nil { // the worker has counted then
				t.Fatal(err)
			}
			if kernel := u.Packets()[forward.Forwarded] == before; kernel != c.kernel {
				t.Errorf("by the kernel: %v", kernel)
			}
			if u.Refused() != 0 {
				t.Error("refused")
			}
		})
	}
}

func media(sequence uint16) []byte {
	h := rtp.Header{PayloadType: rtp.PCMU, Sequence: sequence, Timestamp: uint32(sequence) * 160, SSRC: 7}
	return fmt.Append(h.Append(nil), "twenty milliseconds of sound")
}

// same treats nothing.
type same struct{}

func (same) Treat(b []byte) []byte { return b }

// The kernel goes on without the process, and the next process goes on counting.
func TestResume(t *testing.T) {
	lab := forwardtest.NewLab(t, bpf.Native)
	a, b := lab.Peer(t, forwardtest.Place{}), lab.Peer(t, forwardtest.Place{Side: 1})
	leg := forward.Leg{Local: lab.Local(t, 0, false), From: addr(a), Via: lab.Local(t, 1, false), To: addr(b)}
	send := func(n uint16) {
		t.Helper()
		if _, err := a.WriteToUDPAddrPort(media(n), leg.Local); err != nil {
			t.Fatal(err)
		}
		if err := b.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 2048)
		if n, _, err := b.ReadFromUDPAddrPort(got); err != nil || string(got[:n]) != string(media(uint16(got[3]))) {
			t.Fatalf("%x: %v", got[:n], err)
		}
	}
	process := func(f func(*forward.Userspace)) {
		t.Helper()
		u, err := forward.NewUserspace(8, nil, forward.WithKernel(lab.Forwarder))
		if err != nil {
			t.Fatal(err)
		}
		defer u.Release()
		table := lab.Table(t, u)
		for _, local := range []netip.AddrPort{leg.Local, leg.Via} {
			if err := table.Open(local); err != nil {
				t.Fatal(err)
			}
		}
		f(u)
	}
	process(func(u *forward.Userspace) {
		if err := u.Put(leg); err != nil {
			t.Fatal(err)
		}
		send(1)
	})
	send(2) // nobody is there
	process(func(u *forward.Userspace) {
		send(3)
		if err := u.Resume(leg); err != nil {
			t.Fatal(err)
		}
		send(4)
		if c, err := u.Counts(leg.Local); err != nil || c.Packets != 4 || c.Lost != 0 || c.Expected != 4 {
			t.Errorf("after resuming: %+v %v", c, err)
		}
	})
	process(func(u *forward.Userspace) {
		if err := u.Put(leg); err != nil {
			t.Fatal(err)
		}
		send(5)
		if c, err := u.Counts(leg.Local); err != nil || c.Packets != 1 || c.Expected != 1 {
			t.Errorf("put anew: %+v %v", c, err)
		}
	})
}
