package b2bua

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/emiago/sipgo/sip"

	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/core/voice"
)

// A voiceParty is a side of a call that core itself speaks for.
type voiceParty struct {
	owner atomic.Pointer[call]
	s     *voice.Session
}

// openVoice makes the voice that an extension of the kind leads to.
func (c *call) openVoice(kind tenancy.ExtensionKind) (*voiceParty, error) {
	mode := voice.Echo
	switch {
	case c.b.cfg.Voice == nil || kind != tenancy.ToEcho && kind != tenancy.ToGreeting:
		return nil, deny(sip.StatusTemporarilyUnavailable, tenancy.Ours, "no voice for this extension")
	case kind == tenancy.ToGreeting:
		mode = voice.Greeting
	}
	p := &voiceParty{}
	p.owner.Store(c)
	s, err := c.b.cfg.Voice.Open(mode, voice.Events{
		Ended: func() { p.post(func(c *call) { c.saidAll(p) }) },
		Digit: func(byte) { p.post(func(c *call) { c.digit() }) },
	})
	if errors.Is(err, voice.ErrFull) {
		return nil, deny(sip.StatusServiceUnavailable, tenancy.Ours, "no media port is free")
	}
	if err != nil {
		return nil, fmt.Errorf("b2bua: opening a voice: %w", err)
	}
	p.s = s
	return p, nil
}

// post runs f on the goroutine of the call that owns the voice by then.
func (p *voiceParty) post(f func(*call)) {
	c := p.owner.Load()
	c.mail.post(func() {
		if p.owner.Load() != c {
			p.post(f)
			return
		}
		f(c)
	})
}

// digit notes that a key was pressed. Which one is not logged: it may be of a PIN.
func (c *call) digit() {
	c.digits++
	c.log.Debug("a digit was received", "so_far", c.digits)
}

// answerByVoice answers the caller's INVITE by a voice of ours.
func (c *call) answerByVoice(kind tenancy.ExtensionKind, offer body) error {
	p, err := c.openVoice(kind)
	if err != nil {
		return err
	}
	answer, code := p.answer(offer)
	if code != sip.StatusOK {
		p.s.Close()
		return deny(code, tenancy.Caller, "no common codec")
	}
	c.sides[1] = p
	c.acceptCaller(answer, func(b body) {
		if offer.empty() && !p.take(b) {
			c.finish(ending{verdict: tenancy.Caller, code: sip.StatusNotAcceptableHere, by: byCore, reason: "no common codec"})
			return
		}
		p.s.Start()
	})
	return nil
}

// answer makes the voice's description: of its own when there is no offer.
func (p *voiceParty) answer(offer body) (body, int) {
	if offer.empty() {
		return p.session(), sip.StatusOK
	}
	if !offer.isSDP() {
		return body{}, sip.StatusUnsupportedMediaType
	}
	answer, err := p.s.Answer(offer.data)
	if err != nil {
		return body{}, sip.StatusNotAcceptableHere
	}
	return sdpBody(answer), sip.StatusOK
}

// take gives the voice the answer to its own offer.
func (p *voiceParty) take(answer body) bool {
	return answer.isSDP() && p.s.Accept(answer.data) == nil
}

// saidAll hangs up when the voice has nothing more to say.
func (c *call) saidAll(p *voiceParty) {
	if c.other(p) == nil {
		return // no side of this call any more
	}
	c.finish(ending{verdict: tenancy.OK, code: sip.StatusOK, by: byCore, reason: "greeting ended"})
}

// offerVoice answers a re-INVITE to a voice.
func (c *call) offerVoice(l *leg, p *voiceParty, offer body) {
	answer, code := p.answer(offer)
	if code != sip.StatusOK {
		l.in.stx.refuse(code)
		l.dropInvite()
		return
	}
	l.hears(offer)
	c.busy = true
	l.accept(l.adapt(answer), func(b body) {
		c.busy = false
		if offer.empty() {
			p.take(b)
		}
	}, l.se.grant(l)...)
}

// inform takes INFO and MESSAGE to a voice: digits are heard, the rest has no reader.
func (p *voiceParty) inform(t *serverTx) {
	b := bodyOf(t.req)
	if t.req.Method == sip.INFO && (b.empty() || p.s.Info(b.kind, b.data)) {
		_ = t.reply(t.response(sip.StatusOK, body{}))
		return
	}
	t.refuse(sip.StatusUnsupportedMediaType)
}

func (p *voiceParty) session() body      { return sdpBody(p.s.Offer()) }
func (p *voiceParty) identity() who      { return who{name: "Lindero", number: "core"} }
func (p *voiceParty) hangUp(string)      { p.s.Close() }
func (p *voiceParty) belong(owner *call) { p.owner.Store(owner) }

// renew offers the voice another session.
func (p *voiceParty) renew(offer body, done func(c *call, answer body, code int)) {
	answer, code := p.answer(offer)
	done(p.owner.Load(), answer, code)
}
