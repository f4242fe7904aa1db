package forward

import (
	"net/netip"
	"unsafe"

	"github.com/lindero/lindero/bpf"
)

// A Kernel is a program that repeats packets before they reach a socket;
// *bpf.Forwarder is one. What it does not know, or does not understand, it leaves
// to the sockets.
type Kernel interface {
	// Put makes it repeat what comes to w.Local, in place of what it repeated from
	// there before. A packet sees the whole old way or the whole new one.
	Put(w bpf.Way) error
	// Drop makes it repeat nothing more from local. Its Track stays as it is.
	Drop(local netip.AddrPort)
	// Track is the memory in which it counts what comes to local; nil when it can
	// repeat nothing from there. It stays valid.
	Track(local netip.AddrPort) *bpf.Track
}

// track is the memory to count in what comes to local.
func (u *Userspace) track(local netip.AddrPort) *Track {
	if u.kernel != nil {
		if t := u.kernel.Track(local); t != nil {
			return (*Track)(unsafe.Pointer(t)) // TestTrackLayout
		}
	}
	if u.memory != nil {
		if t := u.memory.track(local); t != nil {
			return t
		}
	}
	return new(Track)
}

// confirmed says whether nothing is left to decide about l's packets.
func (l Leg) confirmed() bool {
	return l.From.IsValid() && l.To.IsValid() && !l.Exact.IsValid() && !l.Learn.IsValid() &&
		l.Flags&RTCP == 0 && l.Treat == nil
}

// repeat tells the kernel of l, for whose socket the lock is held and whose route
// is in force already: until the kernel knows it, packets go the old way, there or
// here. It says whether the kernel has it now.
func (u *Userspace) repeat(l Leg) bool {
	if u.kernel == nil {
		return false
	}
	if !l.confirmed() {
		u.kernel.Drop(l.Local)
		return false
	}
	err := u.kernel.Put(bpf.Way{
		Local: l.Local, From: l.From, Via: l.Via, To: l.To, Clock: l.Clock,
		Mux: l.Flags&Mux != 0, Any: l.Flags&Any != 0,
	})
	if err != nil {
		// No loss: the sockets serve it. That this happens is to be seen in a counter.
		u.refused.Add(1)
		u.kernel.Drop(l.Local)
	}
	return err == nil
}

// Repeated says whether the kernel repeats the leg at local. Of its packets those go
// by the socket that the program understands nothing of.
func (u *Userspace) Repeated(local netip.AddrPort) bool {
	s := u.sockets.get(local)
	if s == nil {
		return false
	}
	l := s.leg.Load()
	return l != nil && l.kernel.Load()
}

// unrepeat takes what comes to local from the kernel.
func (u *Userspace) unrepeat(local netip.AddrPort) {
	if u.kernel != nil {
		u.kernel.Drop(local)
	}
}

// Refused is how many times the kernel would not take a leg that had nothing left
// to learn: it lies outside the kernel's ports.
func (u *Userspace) Refused() uint64 { return u.refused.Load() }
