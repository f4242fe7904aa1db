package call

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/lindero/lindero/wire/rtp"
)

// A player plays digits into the stream from one half to the other, as telephone
// events (RFC 4733). Events take the places of the stream's own packets: sequence
// numbers and SSRC go on as they were, so the receiver sees one source that pressed
// a key, and nothing has to be renumbered when the digit is over. When the stream is
// silent there is nothing to take the place of: then the events are a source of
// their own, paced by tick.
type player struct {
	kind  uint8  // payload type of events, as the receiver wants it
	clock uint32 // Hz
	step  uint32 // of a packet of ours, in timestamp units

	// mu guards the fields below. A worker and the ticker meet here, while a digit
	// is played; no other packet does.
	mu     sync.Mutex
	digits []digit
	pause  time.Duration // between two
	volume uint8
	state  playing
	header rtp.Header // of the next packet; the timestamp is that of the digit's beginning
	last   uint32     // timestamp of the packet before, in the stream
	played uint32     // of the digit, in timestamp units
	ends   int        // packets that say the digit is over, sent so far
	heard  time.Time  // when the stream last had a packet
	rests  time.Time  // before then, no digit begins
	own    uint32     // SSRC of our own source, once there is one
	number uint16     // its next sequence number
	stamp  uint32     // its clock
}

// A digit is one event and how long it lasts, in timestamp units.
type digit struct {
	code     uint8
	duration uint32
}

// playing says whose packets a digit is in.
type playing uint8

const (
	nothing playing = iota
	theirs          // of the stream
	ours            // of a source of our own
)

const (
	endPackets = 3                      // RFC 4733, section 2.5.1.4
	gone       = 100 * time.Millisecond // a stream without packets for so long is silent
	tickEvery  = 20 * time.Millisecond
)

// carry takes the packet b of the stream, with its header h, and returns what is
// sent in its place, or nil when b goes as it is.
func (p *player) carry(b []byte, h rtp.Header) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard = time.Now()
	passed := h.Timestamp - p.last
	p.last = h.Timestamp
	if p.state == nothing && len(p.digits) > 0 && !p.heard.Before(p.rests) {
		p.state, p.played, p.ends = theirs, 0, 0
		p.header = rtp.Header{Marker: true, Timestamp: h.Timestamp}
		passed = p.step
	}
	if p.state != theirs || int32(h.Timestamp-p.header.Timestamp) < 0 {
		return nil
	}
	if passed > p.clock { // a step back, or of more than a second: the source has set its clock anew
		passed = p.step
	}
	p.header.PayloadType, p.header.Sequence, p.header.SSRC = p.kind, h.Sequence, h.SSRC
	return p.event(b, passed)
}

// tick gives send the next packet of a source of our own at now, if there is to be
// one. done says that every digit was played.
func (p *player) tick(now time.Time, send func(b []byte) error) (done bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stamp += p.step
	switch {
	case p.state == theirs && now.Sub(p.heard) > gone:
		p.state = ours // it fell silent in the middle of the digit: we go on by ourselves
		p.begin(p.header.Timestamp)
	case p.state == nothing && len(p.digits) > 0 && now.Sub(p.heard) > gone && !now.Before(p.rests):
		p.state, p.played, p.ends = ours, 0, 0
		p.begin(p.stamp)
	}
	if p.state == ours {
		b := p.event(make([]byte, 0, rtp.HeaderSize+rtp.EventSize), p.step)
		if send(b) != nil {
			p.digits, p.state = nil, nothing // nobody can hear it
		}
	}
	return len(p.digits) == 0 && p.state == nothing
}

// begin makes the header of our own source, for a digit that began at stamp.
func (p *player) begin(stamp uint32) {
	if p.own == 0 {
		p.own, p.number = rand.Uint32()|1, uint16(rand.Uint32())
	}
	p.header = rtp.Header{Marker: true, PayloadType: p.kind, SSRC: p.own, Sequence: p.number, Timestamp: stamp}
}

// event writes the next packet of the digit into b's memory, passed units later.
func (p *player) event(b []byte, passed uint32) []byte {
	d := p.digits[0]
	p.played = min(p.played+passed, d.duration)
	over := p.played >= d.duration
	b = p.header.Append(b[:0])
	b = rtp.Event{Code: d.code, End: over, Volume: p.volume, Duration: uint16(p.played)}.Append(b)
	p.header.Marker = false
	if p.state == ours {
		p.header.Sequence++
		p.number = p.header.Sequence
	}
	if over {
		if p.ends++; p.ends == endPackets {
			p.digits, p.state = p.digits[1:], nothing
			p.rests = time.Now().Add(p.pause)
		}
	}
	return b
}
