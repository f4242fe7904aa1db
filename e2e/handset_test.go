package e2e

import (
	"context"
	"crypto/tls"
	"slices"
	"testing"
	"time"

	"github.com/lindero/lindero/phone"
	"github.com/lindero/lindero/phone/audio"
	"github.com/lindero/lindero/wire/sip/transport"
)

// patience is how long a test waits for what should take milliseconds.
const patience = 10 * time.Second

// tones are what the phones of the demo's users say.
var tones = map[string]float64{"101": 440, "102": 880}

// A handset is our own phone with an account of an instance.
type handset struct {
	*phone.Phone
	t         *testing.T
	extension string
	stop      func()
}

// newPhone makes a phone for a user of the demo and runs it. change may be nil.
func newPhone(t *testing.T, i *instance, extension, protocol string, change ...func(*phone.Config)) *handset {
	t.Helper()
	u := i.demo.User(t, extension)
	cfg := phone.Config{
		Server: i.sip, Protocol: transport.UDP, Domain: i.demo.Domain, Username: u.Username, Password: u.Password,
		Sound: func() audio.Source { return audio.NewTone(audio.DefaultLevel, tones[extension]) },
	}
	switch protocol {
	case "tcp":
		cfg.Protocol = transport.TCP
	case "tls":
		cfg.Protocol, cfg.Server = transport.TLS, i.sips
		cfg.TLS = &tls.Config{InsecureSkipVerify: true} // the demo's certificate is its own
	}
	for _, c := range change {
		c(&cfg)
	}
	return startPhone(t, extension, cfg)
}

func startPhone(t *testing.T, extension string, cfg phone.Config) *handset {
	t.Helper()
	p, err := phone.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	h := &handset{Phone: p, t: t, extension: extension}
	stopped := false
	h.stop = func() {
		cancel()
		if !stopped {
			stopped = true
			<-done
		}
	}
	t.Cleanup(h.stop)
	return h
}

// register registers for five minutes.
func (h *handset) register() {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	if err := h.Register(ctx, 5*time.Minute); err != nil {
		h.t.Fatalf("%s registers: %v", h.extension, err)
	}
}

// try calls number and returns what came of it.
func (h *handset) try(number string) (*phone.Call, error) {
	ctx, cancel := context.WithTimeout(h.t.Context(), 2*patience)
	defer cancel()
	return h.Dial(ctx, number)
}

// refused calls number, which must be refused with code.
func (h *handset) refused(number string, code int) {
	h.t.Helper()
	c, err := h.try(number)
	if err == nil {
		_ = c.Hangup(h.t.Context()) // it should not have come so far
		h.t.Errorf("%s calls %s: answered, want %d", h.extension, number, code)
		return
	}
	if got := phone.Code(err); got != code {
		h.t.Errorf("%s calls %s: %v, want %d", h.extension, number, err, code)
	}
}

// arrives takes the next call that comes in.
func (h *handset) arrives() *phone.Call {
	h.t.Helper()
	select {
	case c := <-h.Incoming():
		return c
	case <-time.After(patience):
		h.t.Fatalf("no call arrived at %s", h.extension)
		return nil
	}
}

// A conversation is both ends of one call.
type conversation struct {
	t              *testing.T
	caller, callee *phone.Call
	from, to       string
}

// talk calls other, who answers.
func (h *handset) talk(other *handset) conversation {
	h.t.Helper()
	type result struct {
		c   *phone.Call
		err error
	}
	placed := make(chan result, 1)
	go func() {
		c, err := h.try(other.extension)
		placed <- result{c, err}
	}()
	var callee *phone.Call
	select {
	case callee = <-other.Incoming():
	case r := <-placed:
		h.t.Fatalf("%s calls %s: %v before it rang", h.extension, other.extension, r.err)
	case <-time.After(patience):
		h.t.Fatalf("%s calls %s: nothing rang", h.extension, other.extension)
	}
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	if err := callee.Answer(ctx); err != nil {
		h.t.Fatalf("%s answers: %v", other.extension, err)
	}
	r := <-placed
	if r.err != nil {
		h.t.Fatalf("%s calls %s: %v", h.extension, other.extension, r.err)
	}
	return conversation{h.t, r.c, callee, h.extension, other.extension}
}

// hear waits until both have heard a second of each other, and judges it.
func (c conversation) hear() {
	c.t.Helper()
	listen(c.t, c.from, c.caller, tones[c.to], tones[c.from])
	listen(c.t, c.to, c.callee, tones[c.from], tones[c.to])
}

// listen waits for a second of sound and checks that it is wanted, nothing of
// unwanted, and complete.
func listen(t *testing.T, who string, c *phone.Call, wanted, unwanted float64) {
	t.Helper()
	var r phone.Report
	if !eventually(patience, func() bool {
		r = c.Media().Report(wanted, unwanted)
		return r.Received >= 60
	}) {
		t.Errorf("%s heard %d packets in %v", who, r.Received, patience)
		return
	}
	if !r.Heard(wanted) || r.Heard(unwanted) {
		t.Errorf("%s should hear %v Hz and not %v Hz; heard %+v", who, wanted, unwanted, r.Tones)
	}
	if r.LossShare > 0.02 {
		t.Errorf("%s lost %.1f %% of %d packets", who, 100*r.LossShare, r.Received+r.Lost)
	}
}

// hangup ends the call from the caller's side; the callee must learn of it.
func (c conversation) hangup() {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	if err := c.caller.Hangup(ctx); err != nil {
		c.t.Errorf("%s hangs up: %v", c.from, err)
	}
	select {
	case <-c.callee.Done():
	case <-ctx.Done():
		c.t.Errorf("%s never learned that %s hung up", c.to, c.from)
	}
}

// eventually asks until the answer is yes or the limit is reached.
func eventually(limit time.Duration, ask func() bool) bool {
	deadline := time.After(limit)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ask() {
		select {
		case <-tick.C:
		case <-deadline:
			return ask()
		}
	}
	return true
}

// codecs makes a phone that knows only these.
func codecs(c ...phone.Codec) func(*phone.Config) {
	return func(cfg *phone.Config) { cfg.Codecs = slices.Clone(c) }
}
