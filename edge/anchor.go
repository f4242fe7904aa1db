package edge

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"github.com/lindero/lindero/wire/ng"
	"github.com/lindero/lindero/wire/sdp"
	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/transport"
)

// relays lend ports for audio. The list is constant.
type relays struct{ list []*relay }

// A relay is one of them and the client that speaks to it.
type relay struct {
	name   string
	client *ng.Client
}

func newRelays(cfg Config, log *slog.Logger) (*relays, error) {
	rs := &relays{}
	for _, c := range cfg.Relays {
		client, err := control(c, cfg.RelayTLS, log)
		if err != nil {
			return nil, fmt.Errorf("edge: relay %s: %w", c.ID, err)
		}
		rs.list = append(rs.list, &relay{c.ID, client})
	}
	return rs, nil
}

func (rs *relays) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, r := range rs.list {
		g.Go(func() error { return r.client.Run(ctx) })
	}
	return g.Wait()
}

// named is the relay that a token names, nil when it names none. One that is not
// configured any more is replaced by the first.
func (rs *relays) named(id string) *relay {
	if id == "" {
		return nil
	}
	for _, r := range rs.list {
		if r.name == id {
			return r
		}
	}
	return rs.list[0]
}

// pick is the relay for a new call: the first that answers.
func (rs *relays) pick() *relay {
	for _, r := range rs.list {
		if !r.client.Down() {
			return r
		}
	}
	return rs.list[0]
}

func (rs *relays) allDown() bool {
	for _, r := range rs.list {
		if !r.client.Down() {
			return false
		}
	}
	return true
}

// id is the relay's name in tokens, "" for no relay.
func (r *relay) id() string {
	if r == nil {
		return ""
	}
	return r.name
}

// media is what a passage knows of its call's audio.
type media struct {
	relay   *relay
	offer   bool // the request brought an offer, so responses bring answers
	bare    bool // and no relay was asked about it, because core will refuse the request
	callID  string
	fromTag string // of the request that was anchored
	toTag   string

	// The last SDP of a response, and what the relay made of it: repeated 2xx are
	// not anchored anew.
	seen     uint64
	anchored []byte // the whole body
}

func (md *media) relayID() string { return md.relay.id() }

// offered tells whether the request m brings an SDP that a relay must anchor. A
// call that comes from outside without credentials is going to be challenged:
// strangers get no ports, and phones get them with their second try.
func (md *media) offered(m *sip.Message, p *passage) bool {
	switch p.method {
	case invite, update, prack:
		md.offer = len(m.Body) > 0 && hasSDP(m)
	}
	md.bare = md.offer && p.early && p.from == outside &&
		m.Index(sip.ProxyAuthorization) < 0 && m.Index(sip.Authorization) < 0
	return md.offer && !md.bare
}

// answered tells whether the response m does.
func (md *media) answered(m *sip.Message, p *passage) bool {
	if m.Code >= 300 || len(m.Body) == 0 || p.method != invite && !md.offer {
		return false
	}
	return hasSDP(m)
}

// errBare is what core's answer to an offer meets that no relay holds.
var errBare = errors.New("edge: a call without credentials was answered")

var mediaSeed = maphash.MakeSeed()

// command begins a Command for an SDP whose sender is behind f on side from.
func command(name string, m *sip.Message, from side, f transport.Flow) ng.Command {
	cmd := ng.Command{
		Name: name, CallID: string(m.Get(sip.CallID)),
		Direction: [2]string{"internal", "external"},
		Replace:   []string{ng.ReplaceOrigin, ng.ReplaceSession},
		ICE:       ng.ICERemove,
	}
	if from == outside {
		cmd.Direction = [2]string{"external", "internal"}
		cmd.ReceivedFrom = f.Remote.Addr()
	}
	return cmd
}

// offer has the SDP of r's request anchored, then goes on with the request and
// its new body. It takes over the lock of r, and then has it. Until the relay
// answers, r is pinned and busy; nothing else waits.
func (e *Edge) offer(w *work, r *record, then func(w *work, r *record, sdp []byte)) {
	p, m := &r.Data, &w.msg
	text, err := findSDP(m)
	if err == nil {
		err = anchorable(text.of(m.Body))
	}
	if err != nil {
		e.answer(r, errMedia)
		r.Release()
		return
	}
	if p.media.relay == nil {
		p.media.relay = e.relays.pick()
	}
	cmd := command(ng.Offer, m, p.from, p.up)
	cmd.FromTag, cmd.ToTag = string(m.Tag(sip.From)), string(m.Tag(sip.To))
	p.media.callID, p.media.fromTag, p.media.toTag = cmd.CallID, cmd.FromTag, cmd.ToTag
	raw := append([]byte(nil), m.Raw...)
	cmd.SDP = append([]byte(nil), text.of(m.Body)...)
	e.ask(r, cmd, raw, func(w *work, r *record, reply ng.Reply, err error) {
		if err != nil {
			e.answer(r, mediaRefusal(err))
			r.Release()
			return
		}
		then(w, r, text.splice(nil, w.msg.Body, reply.SDP)) // w.buf is used again before the body is
	})
}

// ask sends cmd to the relay of r and continues with raw scanned anew and r
// locked. It takes over the lock of r.
func (e *Edge) ask(r *record, cmd ng.Command, raw []byte, then func(w *work, r *record, reply ng.Reply, err error)) {
	p := &r.Data
	p.busy = true
	r.Pin()
	ref, client := r.Ref(), p.media.relay.client
	r.Release() // done may run before Do returns
	client.Do(cmd, func(reply ng.Reply, err error) {
		if err == nil {
			err = reply.Err()
		}
		r := e.table.At(ref)
		if r == nil {
			return // it is pinned
		}
		r.Unpin()
		r.Data.busy = false
		w := e.works.Get().(*work)
		defer e.works.Put(w)
		if bad := w.msg.Scan(raw); bad != nil {
			r.Release() // it was scanned before
			return
		}
		then(w, r, reply, err)
	})
}

// mediaRefusal says what the sender of an offer is told when it was not anchored.
func mediaRefusal(err error) *refusal {
	var refused *ng.RefusedError
	if errors.As(err, &refused) && !refused.Busy {
		return errMedia
	}
	return errRelayDown
}

// anchorable tells whether a relay can do anything with an offer: at least one
// stream must be something else than SRTP, which nobody ends here.
func anchorable(text []byte) error {
	s, err := sdp.Parse(text)
	if err != nil {
		return err
	}
	secure, plain := 0, 0
	for i := range s.Media {
		switch m := &s.Media[i]; {
		case m.Port == 0:
		case m.Secure():
			secure++
		default:
			plain++
		}
	}
	if secure > 0 && plain == 0 {
		return errMedia
	}
	return nil
}

// anchorResponse has the SDP of the response in w anchored: the answer to the
// request's offer, or an offer itself when the INVITE brought none (RFC 3264,
// RFC 3261 §13.2.1). It takes over the lock of r.
func (e *Edge) anchorResponse(w *work, r *record) {
	p, m := &r.Data, &w.msg
	text, err := findSDP(m)
	if err == nil && p.media.bare {
		err = errBare
	}
	if err != nil {
		e.notAnchored(w, r, err)
		return
	}
	sum := maphash.Bytes(mediaSeed, m.Body) ^ maphash.Bytes(tagSeed, m.Tag(sip.To))
	if p.media.anchored != nil && p.media.seen == sum {
		e.goUp(w, r, p.media.anchored)
		e.drain(r)
		return
	}
	if p.media.relay == nil {
		p.media.relay = e.relays.pick()
	}
	local, remote := string(m.Tag(sip.From)), string(m.Tag(sip.To))
	cmd := command(ng.Answer, m, !p.from, p.down)
	cmd.FromTag, cmd.ToTag = local, remote
	if !p.media.offer {
		cmd.Name, cmd.FromTag, cmd.ToTag = ng.Offer, remote, local
	}
	p.media.callID, p.media.fromTag = cmd.CallID, local
	cmd.SDP = append([]byte(nil), text.of(m.Body)...)
	e.ask(r, cmd, append([]byte(nil), m.Raw...), func(w *work, r *record, reply ng.Reply, err error) {
		if err != nil {
			e.notAnchored(w, r, err)
			return
		}
		p := &r.Data
		p.media.seen, p.media.anchored = sum, text.splice(nil, w.msg.Body, reply.SDP)
		e.goUp(w, r, p.media.anchored)
		e.drain(r)
	})
}

// notAnchored deals with a response whose SDP no relay has taken: passing it on
// would name the other side's addresses, and nobody would hear anything. It
// takes over the lock of r.
func (e *Edge) notAnchored(w *work, r *record, err error) {
	p := &r.Data
	e.metrics.count(verdictNotAnchored)
	switch {
	case w.msg.Code < 200:
		e.goUp(w, r, []byte{})
		e.drain(r)
		return
	case p.method == invite:
		e.giveUp(w, r)
	}
	e.answer(r, mediaRefusal(err))
	e.drain(r)
}

// ack passes an ACK on by way of the relay if it brings the answer to an offer
// made in a 2xx. send gets the new body, nil for none needed, and an empty one
// when the relay failed: the 2xx must be acknowledged all the same.
func (e *Edge) ack(w *work, f transport.Flow, from side, rl *relay, send func(w *work, sdp []byte)) {
	m := &w.msg
	text, err := findSDP(m)
	if err != nil {
		send(w, nil)
		return
	}
	if rl == nil {
		rl = e.relays.pick()
	}
	cmd := command(ng.Answer, m, from, f)
	cmd.FromTag, cmd.ToTag = string(m.Tag(sip.To)), string(m.Tag(sip.From))
	cmd.SDP = append([]byte(nil), text.of(m.Body)...)
	raw := append([]byte(nil), m.Raw...)
	rl.client.Do(cmd, func(reply ng.Reply, err error) {
		w := e.works.Get().(*work)
		defer e.works.Put(w)
		if bad := w.msg.Scan(raw); bad != nil {
			return // it was scanned before
		}
		if err == nil {
			err = reply.Err()
		}
		body := []byte{}
		if err == nil {
			body = text.splice(nil, w.msg.Body, reply.SDP)
		} else {
			e.metrics.count(verdictNotAnchored)
		}
		send(w, body)
	})
}

// release gives back what p's call held at a relay. Nobody waits for the answer.
func (e *Edge) release(p *passage) {
	md := &p.media
	if md.relay == nil || md.callID == "" {
		return
	}
	md.relay.delete(md.callID, md.fromTag, md.toTag)
	md.callID = ""
}

func (r *relay) delete(callID, fromTag, toTag string) {
	if r == nil {
		return
	}
	r.client.Do(ng.Command{Name: ng.Delete, CallID: callID, FromTag: fromTag, ToTag: toTag}, func(ng.Reply, error) {})
}

// hungUp releases a call whose BYE cannot reach the phone.
func (e *Edge) hungUp(m *sip.Message, rl *relay) {
	rl.delete(string(m.Get(sip.CallID)), string(m.Tag(sip.From)), string(m.Tag(sip.To)))
}

// note makes a BYE release its call when it is over.
func (md *media) note(m *sip.Message) {
	md.callID, md.fromTag, md.toTag = string(m.Get(sip.CallID)), string(m.Tag(sip.From)), string(m.Tag(sip.To))
}
