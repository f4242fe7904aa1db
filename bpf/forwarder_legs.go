package bpf

import (
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"sync/atomic"
	"unsafe"
)

// A Way is one direction through the relay that the kernel may repeat: what arrives
// at Local from From leaves from Via to To, and nothing else is believed.
type Way struct {
	Local, From, Via, To netip.AddrPort
	Clock                uint32 // Hz of the RTP timestamps, for jitter; 0 is 8000
	Mux                  bool   // RTCP comes on the same port (RFC 5761); it goes to user space
	Any                  bool   // whatever comes is repeated: T.38 over UDPTL
}

// A Track is the memory of a leg that the kernel's program and user space share. It
// outlives ways and processes. All its numbers are changed and read atomically; the
// layout is leg.h's.
type Track struct {
	Packets     uint64   // from the believed source and of the right kind
	Bytes       uint64   // of UDP payload in them
	Seen        uint64   // when the last of them came: ns of CLOCK_MONOTONIC
	WrongSource uint64   // packets from elsewhere
	NotRTP      uint64   // from the right place, but not of the right kind
	STUN        uint64   // from the right place, connectivity checks
	Held        uint64   // of Packets: had nowhere to go
	Failed      uint64   // of Packets: could not be sent
	PayloadType uint32   // of the last RTP packet
	SSRC        uint32   // of the last RTP packet
	Receiver    Receiver // of RTP packets
}

// A Receiver has the layout of wire/rtp.Receiver, which says what the fields mean.
type Receiver struct {
	Base, Highest, Window, Arrival       uint64
	Received, Past, Reordered, Duplicate uint64
	SSRC, Stamp, Jitter, Resync          uint32
	Restarts                             uint32
	Started                              uint32
}

// ErrNoWay is returned when a way cannot be repeated: an address that is not of the
// forwarder, or no address where one must be.
var ErrNoWay = errors.New("no such way")

// Bits of a way's flags, as leg.h has them.
const (
	wayKernel = 1 << iota
	wayAny
	wayMux
	wayV6
	wayToV6
	wayJoined

	wayFaceShift = 8
)

// index is where the leg of a local side is kept.
func (f *Forwarder) index(local netip.AddrPort) (int, bool) {
	face := slices.Index(f.faces, local.Addr())
	if face < 0 || local.Port() < f.first || local.Port() > f.last {
		return 0, false
	}
	return face*f.span() + int(local.Port()-f.first), true
}

func (f *Forwarder) span() int { return int(f.last-f.first) + 1 }

// local is the local side of the leg at an index.
func (f *Forwarder) local(i int) netip.AddrPort {
	return netip.AddrPortFrom(f.faces[i/f.span()], f.first+uint16(i%f.span()))
}

// Track is the shared memory of the leg at local, valid until Close; nil when local
// is no port of the forwarder's faces, or it is closed.
func (f *Forwarder) Track(local netip.AddrPort) *Track {
	i, ok := f.index(local)
	f.mu.Lock()
	defer f.mu.Unlock()
	if !ok || f.closed {
		return nil
	}
	return (*Track)(unsafe.Pointer(&f.legs[i].Track))
}

// Put has the kernel repeat a way from now on, in the place of the one with the same
// Local. A packet sees the whole old way or the whole new one. The error is ErrNoWay
// when Local or Via is not of this forwarder, From or To is no address and port, or
// Local and From, or Via and To, are not of one family.
func (f *Forwarder) Put(w Way) error {
	at, ok := f.index(w.Local)
	_, leaves := f.index(w.Via)
	if !ok || !leaves || !speaks(w.From, w.Local) || !speaks(w.To, w.Via) {
		return fmt.Errorf("bpf: %w: %v from %v, by %v to %v", ErrNoWay, w.Local, w.From, w.Via, w.To)
	}
	k := words(f.encode(w))
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return ErrClosed
	}
	f.write(at, k)
	return nil
}

// speaks tells whether far is an address that a packet of near may come from or go to.
func speaks(far, near netip.AddrPort) bool {
	return far.IsValid() && far.Port() != 0 && far.Addr().Zone() == "" && far.Addr().BitLen() == near.Addr().BitLen() &&
		!far.Addr().Is4In6() && !far.Addr().IsUnspecified() && !far.Addr().IsMulticast()
}

// Drop has everything for local go to user space again. Its Track stays as it is.
func (f *Forwarder) Drop(local netip.AddrPort) {
	at, ok := f.index(local)
	f.mu.Lock()
	defer f.mu.Unlock()
	if ok && !f.closed {
		f.write(at, [wayWords]uint32{})
	}
}

// wayWords is the length of a way in the units that it is written in.
const wayWords = int(unsafe.Sizeof(forwardLeg{}.Way)) / 4

// write puts a way in the place of another: the program takes none whose version is
// odd or changes while it reads. The first word is the version.
func (f *Forwarder) write(at int, k [wayWords]uint32) {
	to := (*[wayWords]uint32)(unsafe.Pointer(&f.legs[at].Way))
	version := atomic.LoadUint32(&to[0]) | 1
	atomic.StoreUint32(&to[0], version)
	for i := 1; i < len(k); i++ {
		atomic.StoreUint32(&to[i], k[i])
	}
	atomic.StoreUint32(&to[0], version+1)
}

func words(l forwardLeg) [wayWords]uint32 {
	return *(*[wayWords]uint32)(unsafe.Pointer(&l.Way))
}

// encode lays a way out.
func (f *Forwarder) encode(w Way) (l forwardLeg) {
	k := &l.Way
	k.Flags = wayKernel
	set := func(bit uint16, on bool) {
		if on {
			k.Flags |= bit
		}
	}
	set(wayAny, w.Any)
	set(wayMux, w.Mux)
	set(wayV6, w.Local.Addr().Is6())
	set(wayToV6, w.Via.Addr().Is6())
	if i, ok := f.index(w.To); ok {
		k.Flags |= wayJoined | uint16(i/f.span())<<wayFaceShift
	}
	k.FromBe, k.FromPortBe = network(w.From)
	k.ViaBe, k.ViaPortBe = network(w.Via)
	k.ToBe, k.ToPortBe = network(w.To)
	if w.Clock == 0 {
		w.Clock = 8000
	}
	k.Scale = scale(w.Clock)
	return l
}

// scale is wire/rtp.Scale: how many units of a clock of rate Hz 16 ns are, times
// 1<<34, rounded up.
func scale(rate uint32) uint32 {
	return uint32((uint64(min(rate, 15_000_000))<<38 + 999_999_999) / 1_000_000_000)
}

// rate is the clock whose scale s is.
func rate(s uint32) uint32 { return uint32(uint64(s) * 1_000_000_000 >> 38) }

// Recovered are the ways that are in force: what a process before this one left.
func (f *Forwarder) Recovered() iter.Seq[Way] {
	return func(yield func(Way) bool) {
		for i := range len(f.faces) * f.span() {
			f.mu.Lock()
			if f.closed {
				f.mu.Unlock()
				return
			}
			k := f.legs[i] // nobody else writes ways
			f.mu.Unlock()
			if k.Way.Flags&wayKernel != 0 && !yield(f.decode(i, &k)) {
				return
			}
		}
	}
}

// decode reads the way of the leg at an index.
func (f *Forwarder) decode(i int, l *forwardLeg) Way {
	k := &l.Way
	return Way{
		Local: f.local(i), Clock: rate(k.Scale), Mux: k.Flags&wayMux != 0, Any: k.Flags&wayAny != 0,
		From: host(k.FromBe, k.FromPortBe, k.Flags&wayV6 != 0),
		Via:  host(k.ViaBe, k.ViaPortBe, k.Flags&wayToV6 != 0),
		To:   host(k.ToBe, k.ToPortBe, k.Flags&wayToV6 != 0),
	}
}

// network is an address as packets have it.
func network(a netip.AddrPort) (address [4]uint32, port uint16) {
	b := (*[16]byte)(unsafe.Pointer(&address))
	copy(b[:], a.Addr().AsSlice())
	p := (*[2]byte)(unsafe.Pointer(&port))
	p[0], p[1] = byte(a.Port()>>8), byte(a.Port())
	return address, port
}

// host is the other way around.
func host(address [4]uint32, port uint16, v6 bool) netip.AddrPort {
	b := *(*[16]byte)(unsafe.Pointer(&address))
	p := *(*[2]byte)(unsafe.Pointer(&port))
	at := netip.AddrFrom16(b)
	if !v6 {
		at = netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.AddrPortFrom(at, uint16(p[0])<<8|uint16(p[1]))
}
