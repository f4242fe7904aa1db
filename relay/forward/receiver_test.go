package forward_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/lindero/lindero/bpf"
	"github.com/lindero/lindero/bpf/frame"
	"github.com/lindero/lindero/wire/rtp"
)

// The receiver is written twice, in wire/rtp and in bpf/receiver.h. Over random streams with all that
// can happen to one, both come to the same memory after every packet.
func TestReceiversAgree(t *testing.T) {
	if m, why := bpf.Probe(""); m == bpf.None {
		t.Skip("needs XDP: ", why)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its network namespace
		done <- receive(t.TempDir(), rand.New(rand.NewPCG(seed, 1)))
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// Where the streams come from and go to.
var (
	local, from = netip.MustParseAddrPort("192.0.2.1:30000"), netip.MustParseAddrPort("192.0.2.9:4000")
	to          = netip.MustParseAddrPort("198.51.100.9:5000")
)

// receive runs streams through the kernel's program, in a namespace of its own, and through Go.
func receive(dir string, r *rand.Rand) error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	for _, args := range []string{
		"link set lo up", "link add x0 type veth peer name x1", "link set x0 up", "link set x1 up",
		"addr add 198.51.100.1/24 dev x0", "neigh add 198.51.100.9 lladdr 02:00:00:00:00:09 dev x0 nud permanent",
	} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", args, err, out)
		}
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		return err
	}
	// The far end of a veth takes what XDP gives it only with a program of its own.
	s, err := bpf.Open(bpf.Options{Device: "x1", Pin: dir + "/bpf", Owner: "relay"})
	if err != nil {
		return err
	}
	defer func() { _ = errors.Join(bpf.Detach("x1", dir+"/bpf"), s.Close(), unix.Unmount(dir+"/bpf", 0)) }()
	f, err := bpf.OpenForwarder(bpf.ForwarderOptions{Faces: []netip.Addr{local.Addr()}, First: 30000, Last: 30001, Clock: true})
	if err != nil {
		return err
	}
	defer f.Close()
	for _, clock := range []uint32{8000, 48000, 16000, 90000, 1000} {
		if err := f.Put(bpf.Way{Local: local, From: from, Via: local, To: to, Clock: clock}); err != nil {
			return err
		}
		if err := agree(f, r, clock); err != nil {
			return fmt.Errorf("clock %d: %w", clock, err)
		}
	}
	return nil
}

// agree compares after every packet.
func agree(f *bpf.Forwarder, r *rand.Rand, clock uint32) error {
	track := f.Track(local)
	track.Receiver = bpf.Receiver{}
	var ours rtp.Receiver
	theirs := (*rtp.Receiver)(unsafe.Pointer(&track.Receiver)) // TestTrackLayout
	now := uint64(1e12)
	h := rtp.Header{SSRC: 1, Sequence: uint16(r.Uint32()), Timestamp: r.Uint32()}
	packets := frame.Frame{Source: from.Addr(), SourcePort: from.Port(), Destination: local.Addr(), Port: local.Port()}
	for i := range 12_000 {
		before := ours
		now = next(r, &h, now, clock)
		packets.Payload = append(h.Append(nil), make([]byte, r.IntN(20))...)
		b := packets.Bytes()
		binary.BigEndian.PutUint16(b[40:], 0) // no checksum: it is not what is tried here
		f.SetClock(now)
		if action, _, err := f.Test(b, 0); err != nil || action != 4 {
			reasons, _ := f.Reasons()
			return fmt.Errorf("packet %d: action %d, %w, %v", i, action, err, reasons)
		}
		ours.Add(h, now, rtp.Scale(clock))
		if ours != *theirs {
			return fmt.Errorf("packet %d, %+v at %d\nbefore %+v\nGo     %+v\nkernel %+v", i, h, now, before, ours, *theirs)
		}
	}
	if s := ours.Stats(); s.Lost == 0 || s.Reordered == 0 || s.Duplicate == 0 || s.Restarts == 0 || s.Jitter == 0 {
		return fmt.Errorf("the streams were too good to show anything: %+v", s)
	}
	return nil
}

// next is what comes after h, and when: mostly the next packet 20 ms later, more or less.
func next(r *rand.Rand, h *rtp.Header, now uint64, clock uint32) uint64 {
	step, frames := clock/50, uint16(1)
	now += 20e6 + uint64(r.Int64N(6e6)) - 3e6
	switch r.IntN(40) {
	case 0:
		frames = uint16(1 + r.IntN(70)) // loss
	case 1:
		frames = -uint16(r.IntN(70)) // late, or again
	case 2:
		frames = uint16(2990 + r.IntN(20))
	case 3:
		frames = uint16(r.Uint32())
	case 4:
		h.Timestamp = r.Uint32()
	case 5:
		now += uint64(r.Int64N(20e9)) // a pause
	case 6:
		now -= min(now, uint64(r.Int64N(60e6))) // another processor's clock
	case 7:
		if r.IntN(10) == 0 {
			h.SSRC = uint32(r.IntN(3))
		}
	case 8:
		h.Timestamp -= step // the same as before: an event
	case 9:
		h.Timestamp += uint32(r.IntN(1 << 18))
	}
	h.Sequence += frames
	h.Timestamp += uint32(int32(int16(frames))) * step
	h.PayloadType = uint8(r.IntN(64))
	return now
}
