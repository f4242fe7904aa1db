package forward

import (
	"sync/atomic"
	"time"

	"github.com/lindero/lindero/wire/rtp"
)

// A Track is the counters of one leg and the state of its stream. It lies on the
// heap, or in memory that the kernel's program counts in as well (its layout is
// bpf.Track's, which a test compares). The sums are only ever added to, by either.
type Track struct {
	packets, bytes uint64
	seen           uint64 // CLOCK_MONOTONIC, ns; 0: nothing yet
	wrongSource    uint64
	notRTP, stun   uint64
	held, failed   uint64
	payloadType    uint32
	ssrc           uint32
	receiver       rtp.Receiver
}

// count counts packet b of so many bytes that came at now.
func (t *Track) count(r *route, kind rtp.Kind, h rtp.Header, size int, now uint64) {
	atomic.AddUint64(&t.packets, 1)
	atomic.AddUint64(&t.bytes, uint64(size))
	atomic.StoreUint64(&t.seen, now)
	if kind != rtp.RTP {
		return
	}
	t.receiver.Add(h, now, r.scale)
	// Mostly what is there already; then the cache line stays where it is.
	if h.SSRC != atomic.LoadUint32(&t.ssrc) {
		atomic.StoreUint32(&t.ssrc, h.SSRC)
	}
	if p := uint32(h.PayloadType); p != atomic.LoadUint32(&t.payloadType) {
		atomic.StoreUint32(&t.payloadType, p)
	}
}

// counts reads t; clock is the rate of the stream's timestamps in Hz.
func (t *Track) counts(clock uint32, when func(ns uint64) time.Time) Counts {
	s := t.receiver.Stats()
	return Counts{
		Packets: atomic.LoadUint64(&t.packets), Bytes: atomic.LoadUint64(&t.bytes),
		Expected: s.Expected, Lost: s.Lost, Reordered: s.Reordered, Duplicate: s.Duplicate,
		Jitter:      time.Duration(s.Jitter) * time.Second / time.Duration(clock),
		SSRC:        atomic.LoadUint32(&t.ssrc),
		PayloadType: uint8(atomic.LoadUint32(&t.payloadType)),
		LastSeen:    when(atomic.LoadUint64(&t.seen)),
		WrongSource: atomic.LoadUint64(&t.wrongSource),
		NotRTP:      atomic.LoadUint64(&t.notRTP), STUN: atomic.LoadUint64(&t.stun),
		Held: atomic.LoadUint64(&t.held), Failed: atomic.LoadUint64(&t.failed),
	}
}
