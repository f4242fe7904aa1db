package bpf

import (
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A late is what an older program counts at legs that were carried, until the newer
// one is at every device.
type late struct {
	mapped []byte
	pairs  []carried
}

// A carried is a leg that moved: where it is now, where it was, and what had been
// counted there when it was copied. whole says that the layouts are the same.
type carried struct {
	to, from *Track
	was      Track
	whole    bool
}

// inFlight is how long a packet may still be with the older program after the newer
// one took its place; mostly it is microseconds.
const inFlight = 10 * time.Millisecond

// carry copies legs from an older map by their local sides, as far as those are among
// this forwarder's. Of another layout it takes ways and counters, which never move.
func (f *Forwarder) carry(old tables, number uint32) (*late, error) {
	l := &late{}
	if old[forwardMapLegs] == nil || old[forwardMapState] == nil {
		return l, nil
	}
	b, err := old[forwardMapState].LookupBytes(uint32(0))
	if err != nil {
		return l, fmt.Errorf("bpf: carrying legs: %w", err)
	}
	r := *(*forwardRange)(unsafe.Pointer(unsafe.SliceData(resize(b, int(unsafe.Sizeof(forwardRange{}))))))
	stride, entries := int(old[forwardMapLegs].ValueSize()+7)&^7, int(old[forwardMapLegs].MaxEntries())
	was := &Forwarder{first: r.First, last: r.Last}
	for i := range min(int(r.Count), maxFaces) {
		was.faces = append(was.faces, host(r.Faces[i].AddressBe, 0, r.Faces[i].V6 != 0).Addr())
	}
	head := unsafe.Offsetof(forwardLeg{}.Track) + unsafe.Offsetof(Track{}.Receiver)
	if r.Last < r.First || entries < len(was.faces)*was.span() || stride < int(head) {
		return l, nil // nothing that could be read
	}
	whole := r.Layout == number && stride == int(unsafe.Sizeof(forwardLeg{}))
	if l.mapped, err = mapMemory(old[forwardMapLegs]); err != nil {
		return l, err
	}
	for i := range len(was.faces) * was.span() {
		// Where a leg is shorter than ours, what is read past its end is not used.
		at := l.mapped[i*stride:]
		if len(at) < int(unsafe.Sizeof(forwardLeg{})) {
			at = resize(at, int(unsafe.Sizeof(forwardLeg{})))
		}
		f.carryLeg(l, (*forwardLeg)(unsafe.Pointer(unsafe.SliceData(at))), was, i, whole)
	}
	return l, nil
}

// carryLeg copies one leg, if anything ever was there.
func (f *Forwarder) carryLeg(l *late, from *forwardLeg, was *Forwarder, i int, whole bool) {
	at, ok := f.index(was.local(i))
	track := (*Track)(unsafe.Pointer(&from.Track))
	if !ok || from.Way.Version == 0 && *track == (Track{}) {
		return
	}
	c := carried{to: (*Track)(unsafe.Pointer(&f.legs[at].Track)), from: track, was: *track, whole: whole}
	*c.to = c.was
	if !whole {
		c.to.Receiver = Receiver{}
	}
	l.pairs = append(l.pairs, c)
	if from.Way.Flags&wayKernel == 0 || from.Way.Version&1 != 0 {
		return
	}
	// The faces' numbers may be others now, and Via none of ours any more.
	w := was.decode(i, from)
	if _, leaves := f.index(w.Via); leaves {
		f.write(at, words(f.encode(w)))
	}
}

// add adds what the older program counted meanwhile. The stream's position is the
// newer one's.
func (l *late) add() {
	if len(l.pairs) == 0 {
		return
	}
	<-time.After(inFlight)
	for i := range l.pairs {
		c := &l.pairs[i]
		to, now, was := c.to.sums(), c.from.sums(), c.was.sums()
		if !c.whole {
			to = to[:trackSums]
		}
		for j := range to {
			atomic.AddUint64(to[j], atomic.LoadUint64(now[j])-*was[j])
		}
	}
}

// trackSums is how many of sums are of the track itself.
const trackSums = 7

// sums are the fields that are only ever added to.
func (t *Track) sums() []*uint64 {
	r := &t.Receiver
	return []*uint64{&t.Packets, &t.Bytes, &t.WrongSource, &t.NotRTP, &t.STUN, &t.Held, &t.Failed,
		&r.Received, &r.Past, &r.Reordered, &r.Duplicate}
}

func (l *late) close() {
	if l != nil && l.mapped != nil {
		_ = unix.Munmap(l.mapped) // what was mapped can be unmapped
	}
}
