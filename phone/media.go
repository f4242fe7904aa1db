package phone

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/lindero/lindero/phone/audio"
	"github.com/lindero/lindero/wire/rtp"
)

// ErrNoEvents is returned for digits in a call whose peer does not take
// telephone events.
var ErrNoEvents = errors.New("phone: the peer takes no telephone events")

// onTheWay is how late sound may come before it counts as missing at the end.
const onTheWay = 200 * time.Millisecond

// A target is where the sound goes, as the two sides agreed.
type target struct {
	to     netip.AddrPort
	codec  Codec
	events uint8 // payload type; 0: none
	send   bool
}

// Media is the sound of one call: one socket, what is played into it and what is
// heard from it, by RTP without RTCP. It hears whoever sends to its port: whether
// strangers may is for the border to decide. It may be used from any goroutine,
// also after the call.
type Media struct {
	conn   *net.UDPConn
	silent bool          // sends nothing, ever (Manners.NoMedia)
	aimed  chan struct{} // closed when the first target is known
	digits chan keypress

	mu     sync.Mutex // guards the fields below
	target target
	sent   uint64
	begun  time.Time // when the first sample of our sound was due
	heard  timeline
	rx     rtp.Receiver
	origin time.Time // of the clock by which arrivals are counted
	keys   keys
	bad    uint64    // packets that are not RTP of ours
	ended  time.Time // zero while there is something to play
	sound  Sound
}

// newMedia opens the socket of a call on addr, on an even port as is the custom
// (RFC 3550 §11).
func newMedia(addr netip.Addr, sound Sound, silent bool) (*Media, error) {
	var odd []*net.UDPConn
	defer func() {
		for _, c := range odd {
			c.Close()
		}
	}()
	for range 16 {
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
		if err != nil {
			return nil, fmt.Errorf("phone: opening a socket for media: %w", err)
		}
		if conn.LocalAddr().(*net.UDPAddr).Port%2 == 1 {
			odd = append(odd, conn)
			continue
		}
		return &Media{
			conn: conn, silent: silent, sound: sound, origin: time.Now(),
			aimed: make(chan struct{}), digits: make(chan keypress),
		}, nil
	}
	return nil, errors.New("phone: no even port for media")
}

func (m *Media) port() uint16 { return m.conn.LocalAddr().(*net.UDPAddr).AddrPort().Port() }

func (m *Media) close() { m.conn.Close() }

// Local is the address at which the call's sound arrives.
func (m *Media) Local() netip.AddrPort { return mapped(m.conn.LocalAddr().(*net.UDPAddr).AddrPort()) }

// Remote is the address the call's sound is sent to; not valid before the two
// sides agreed on one.
func (m *Media) Remote() netip.AddrPort {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.target.to
}

// aim changes where the sound goes.
func (m *Media) aim(t target) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.target = t
	if t.to.IsValid() {
		select {
		case <-m.aimed:
		default:
			close(m.aimed)
		}
	}
}

// Play changes what is played from now on.
func (m *Media) Play(s Sound) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sound = s
}

// run sends and hears until the call is done or the phone closed.
func (m *Media) run(done, closed <-chan struct{}) {
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(m.receive)
	wg.Go(func() { m.send(stop) })
	select {
	case <-done:
	case <-closed:
	}
	close(stop)
	m.end()
	m.conn.Close() // which ends receive
	wg.Wait()
}

// end is the moment after which nothing is played, nor expected to be heard: the
// call may go on saying goodbye.
func (m *Media) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended.IsZero() {
		m.ended = time.Now()
	}
}

// receive hears until the socket is closed.
func (m *Media) receive() {
	buf := make([]byte, 2048)
	for {
		n, _, err := m.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error of a peer that is not there yet
		}
		m.packet(buf[:n], time.Now())
	}
}

// packet takes one datagram.
func (m *Media) packet(b []byte, now time.Time) {
	h, payload, err := rtp.Parse(b)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil || rtp.KindOf(b) != rtp.RTP {
		m.bad++
		return
	}
	decode := rtp.DecodePCMU
	switch {
	case m.target.events != 0 && h.PayloadType == m.target.events:
		if e, ok := rtp.ParseEvent(payload); ok {
			m.keys.take(h, e)
			m.heard.key(h, e.Duration)
		}
		m.rx.Add(h, uint64(now.Sub(m.origin)), rtp.Scale(audio.Rate))
		return
	case h.PayloadType == rtp.PCMU:
	case h.PayloadType == rtp.PCMA:
		decode = rtp.DecodePCMA
	default:
		m.bad++
		return
	}
	m.rx.Add(h, uint64(now.Sub(m.origin)), rtp.Scale(audio.Rate))
	m.heard.put(h, payload, now, decode)
}

// recording is the samples from the first that was heard until the end, or
// until now: silence at the end is heard too. The lock is held.
func (m *Media) recording() []int16 {
	samples := append([]int16(nil), m.heard.samples...)
	if m.heard.begun.IsZero() {
		return samples
	}
	end := m.ended
	if end.IsZero() {
		end = time.Now()
	}
	// What is on its way in the last moments is not missing yet.
	whole := int((end.Sub(m.heard.begun) - onTheWay) * audio.Rate / time.Second)
	if whole = min(whole, longestHeard); whole > len(samples) {
		samples = append(samples, make([]int16, whole-len(samples))...)
	}
	return samples
}

// Recording is what was heard so far, 8 kHz mono, ten minutes at most. What was
// lost is silence.
func (m *Media) Recording() []int16 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.recording()
}
