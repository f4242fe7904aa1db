package phone

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/transport"
)

// ErrOver is returned by whatever a call is asked to do after its end.
var ErrOver = errors.New("phone: the call is over")

// An End says how a call ended.
type End struct {
	Ours   bool   // we ended it
	Reason string // in words
	Err    error  // when something went wrong
}

// A state is how far a call has come.
type state uint8

const (
	early state = iota + 1 // not answered yet
	up
	over
)

// A Call is one dialog and its sound. Its methods may be called from any
// goroutine; those that take a context wait for the peer.
type Call struct {
	p        *Phone
	media    *Media
	outgoing bool
	invite   *serverTx // the INVITE of an incoming call
	done     chan struct{}
	notified chan int // sipfrag codes of NOTIFYs (RFC 3515)

	mu       sync.Mutex // guards the fields below
	d        dialog
	state    state
	sdp      speaker
	offer    description // the peer's last description
	codec    Codec
	wanted   direction     // what we want: sendonly while we hold
	held     bool          // the peer holds us
	busy     bool          // an offer of ours waits for its answer
	pending  *pending      // a 2xx of ours waits for its ACK
	replaces *Call         // the call this one takes the place of (RFC 3891)
	infos    []string      // bodies of INFO
	session  time.Duration // interval of RFC 4028 in force; 0: none
	timer    *time.Timer   // its next step
	placed   time.Time     // the INVITE was sent or came
	answered time.Time     // the 200 came or was sent
	end      End
}

// pending is a 2xx to an INVITE that has not been acknowledged.
type pending struct {
	seq   uint32
	offer bool // the 2xx held an offer, so the ACK holds the answer
	acked chan struct{}
}

// newCall opens the sound of a call.
func (p *Phone) newCall(outgoing bool, sound Sound) (*Call, error) {
	media, err := newMedia(p.local.Addr(), sound, p.cfg.Manners.NoMedia)
	if err != nil {
		return nil, err
	}
	c := &Call{
		p: p, media: media, outgoing: outgoing, state: early, wanted: sendrecv, placed: time.Now(),
		done: make(chan struct{}), notified: make(chan int, 16),
	}
	c.sdp = speaker{at: netip.AddrPortFrom(p.claimed().Addr(), media.port()), id: rand.Uint64() >> 2}
	if !p.spawn(func() { media.run(c.done, p.closed) }) {
		media.close()
		return nil, ErrClosed
	}
	return c, nil
}

// keep makes the call known to the phone, so that requests of its dialog find it.
func (c *Call) keep() {
	c.p.mu.Lock()
	c.p.calls[c.d.callID+" "+c.d.localTag] = c
	c.p.mu.Unlock()
}

// ID is the Call-ID.
func (c *Call) ID() string { return c.d.callID }

// Remote is the From of an incoming call, the To of an outgoing one.
func (c *Call) Remote() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.d.remote
}

// Media is the call's sound. It outlives the call: what was heard can be asked
// after the end.
func (c *Call) Media() *Media { return c.media }

// Done is closed when the call has ended, whoever ended it.
func (c *Call) Done() <-chan struct{} { return c.done }

// End says how the call ended; the zero End while it goes on.
func (c *Call) End() End {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end
}

// Held tells whether the peer has put us on hold.
func (c *Call) Held() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held
}

// Setup is the time from INVITE to 200, 0 before that.
func (c *Call) Setup() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answered.IsZero() {
		return 0
	}
	return c.answered.Sub(c.placed)
}

// Codec is the codec agreed on.
func (c *Call) Codec() Codec {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.codec
}

// Infos are the bodies of the INFO requests that came.
func (c *Call) Infos() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.infos...)
}

// Replaces is the call whose place an incoming call took (RFC 3891), or nil.
func (c *Call) Replaces() *Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.replaces
}

// Hangup ends the call with BYE, or rejects it when it is ours to answer. It is
// no error when the call is over already.
func (c *Call) Hangup(ctx context.Context) error {
	c.mu.Lock()
	s := c.state
	c.mu.Unlock()
	switch {
	case s == over:
		return nil
	case s == early && !c.outgoing:
		return c.Reject(486)
	}
	c.media.end()
	_, err := c.do(ctx, "BYE", "", "", nil)
	c.finish(End{Ours: true, Reason: "we hung up", Err: err})
	if Code(err) == 481 || errors.Is(err, ErrOver) {
		return nil // the peer's BYE crossed ours
	}
	return err
}

// finish ends the call once.
func (c *Call) finish(e End) {
	c.mu.Lock()
	if c.state == over {
		c.mu.Unlock()
		return
	}
	c.state, c.end = over, e
	if c.timer != nil {
		c.timer.Stop()
	}
	key := c.d.callID + " " + c.d.localTag
	c.mu.Unlock()
	c.p.mu.Lock()
	delete(c.p.calls, key)
	c.p.mu.Unlock()
	close(c.done)
}

// apply takes the peer's description, answers tell what was agreed: dir is ours.
func (c *Call) apply(d description, codec Codec, dir direction) {
	c.offer, c.codec = d, codec
	c.held = !d.dir.receive || !d.addr.IsValid()
	c.media.aim(target{
		to: d.addr, codec: codec, events: d.events,
		send: dir.send && d.dir.receive && d.addr.IsValid(),
	})
}

// applyAnswer takes the peer's answer to an offer of ours. The lock is held.
func (c *Call) applyAnswer(body []byte) error {
	d, err := parseSDP(body)
	if err != nil {
		return err
	}
	codec, ok := choose(c.p.cfg.Codecs, d.codecs)
	if !ok {
		return fmt.Errorf("phone: the answer has no codec of ours")
	}
	c.apply(d, codec, c.wanted)
	return nil
}

// answerTo makes the answer to the peer's offer and takes it. The lock is held.
func (c *Call) answerTo(body []byte) ([]byte, error) {
	d, err := parseSDP(body)
	if err != nil {
		return nil, err
	}
	codec, ok := choose(c.p.cfg.Codecs, d.codecs)
	if !ok {
		return nil, &Failure{Method: "INVITE", Code: 488, Local: true, Reason: "no common codec"}
	}
	dir := c.wanted.answer(d.dir)
	c.apply(d, codec, dir)
	return c.sdp.answer(d, codec, dir), nil
}

// from tells whether tag is the peer's. While we have not heard of a peer any is.
func (c *Call) from(tag string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.d.remoteTag == "" || c.d.remoteTag == tag
}

// dialogHeaders are what every answer of ours that makes or changes a dialog has.
func (c *Call) dialogHeaders(req *message) string {
	lines := "Contact: <" + c.p.URI() + ">\r\n" + allow + supported
	for _, rr := range req.all(sip.RecordRoute) {
		lines += "Record-Route: " + rr + "\r\n"
	}
	return lines
}

// bye ends a dialog we do not want, without waiting.
func (c *Call) bye(e End) {
	c.p.spawn(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 8*c.p.cfg.Timing.T2)
		defer cancel()
		c.media.end()
		_, _ = c.do(ctx, "BYE", "", "", nil) // it is over, whatever the peer says
		c.finish(e)
	})
}

// send puts a finished request on the way its dialog prescribes.
func (p *Phone) send(req *request) (transport.Flow, []byte, error) {
	if req.branch == "" {
		req.branch = "z9hG4bK" + token()
	}
	flow, err := p.hop(req, true)
	if err != nil {
		return flow, nil, err
	}
	wire := req.print(p)
	return flow, wire, p.stack.Send(flow, wire)
}
