package relay

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lindero/lindero/relay/call"
	"github.com/lindero/lindero/relay/ports"
	"github.com/lindero/lindero/wire/ng"
)

// listLimit is how many call-ids list returns when it is not told: a reply must
// fit a datagram.
const listLimit = 32

// handle runs one command and counts it.
func (r *Relay) handle(from netip.AddrPort, c ng.Command) ng.Reply {
	begun := time.Now()
	reply := r.run(c)
	r.meters.command(c.Name, reply.Result)
	r.commands.add(from.Addr(), c.Name, time.Since(begun), reply.Result)
	return reply
}

func (r *Relay) run(c ng.Command) ng.Reply {
	switch c.Name {
	case ng.Ping:
		return r.pong()
	case ng.Offer:
		return r.rewrite(c, r.calls.Offer)
	case ng.Answer:
		return r.rewrite(c, r.calls.Answer)
	case ng.Delete:
		return r.delete(c)
	case ng.Query:
		s, err := r.calls.Query(c.CallID)
		if err != nil {
			return ng.Refuse("%v", err)
		}
		return ng.Reply{Result: ng.ResultOK, More: report(only(s, c.FromTag, c.ToTag))}
	case ng.List:
		limit := listLimit
		if c.Limit > 0 {
			limit = c.Limit
		}
		return ng.Reply{Result: ng.ResultOK, More: ng.Dict{ng.KeyCalls: r.calls.List(limit)}}
	case ng.Statistics:
		return ng.Reply{Result: ng.ResultOK, More: ng.Dict{ng.KeyStatistics: r.statistics(time.Now())}}
	case ng.PlayDTMF:
		return r.play(c)
	case ng.StartRecording, ng.StopRecording, ng.PauseRecording, ng.StartForwarding, ng.StopForwarding, ng.PlayMedia, ng.StopMedia,
		ng.Publish, ng.SubscribeRequest, ng.SubscribeAnswer, ng.Unsubscribe, ng.Connect:
		return ng.Refuse("%s: a relay has no voice, no recorder and no third party; core does that", c.Name)
	}
	if change, ok := rule(c); ok {
		return r.rule(c, change)
	}
	return ng.Refuse("unknown command %q", c.Name)
}

// rewrite serves an offer or an answer. What it asks for and nobody here does is a
// warning, since without it the call may go well all the same.
func (r *Relay) rewrite(c ng.Command, serve func(call.Message) ([]byte, error)) ng.Reply {
	sdp, err := serve(message(c))
	if limit := limitOf(err); limit != "" {
		r.meters.refused.WithLabelValues(limit).Inc()
		return ng.RefuseLoad("%v", err)
	}
	switch {
	case err != nil:
		return ng.Refuse("%v", err)
	}
	return ng.Reply{Result: ng.ResultOK, SDP: sdp, Warning: unserved(c)}
}

// limitOf names the limit that err is about; "": none.
func limitOf(err error) string {
	var over *refusal
	switch {
	case errors.As(err, &over):
		return over.limit
	case errors.Is(err, call.ErrTooMany):
		return limitCalls
	case errors.Is(err, ports.ErrNone):
		return limitPorts
	}
	return ""
}

// pong answers ping, and says what a new call would be refused for.
func (r *Relay) pong() ng.Reply {
	reply := ng.Reply{Result: ng.ResultPong}
	if over := r.refusing(); over != nil {
		reply.Warning = "new calls are refused: " + over.text
	}
	return reply
}

// unserved says what an offer or answer asks for in vain.
func unserved(c ng.Command) string {
	what := slices.Clone(c.Unsupported)
	if c.ICE == ng.ICEForce || c.ICE == ng.ICEForceRelay || c.ICE == ng.ICEOptional {
		what = append(what, "ICE="+c.ICE)
	}
	if c.TOS != nil {
		what = append(what, "TOS")
	}
	if len(what) == 0 {
		return ""
	}
	slices.Sort(what)
	return "not done here: " + strings.Join(what, ", ")
}

// delete is ok also for what is not there, with a warning: an edge that lost the
// first reply asks again after its retransmissions, too.
func (r *Relay) delete(c ng.Command) ng.Reply {
	d := call.Deletion{CallID: c.CallID, From: c.FromTag, To: c.ToTag, Branch: c.ViaBranch, Delay: r.deleteDelay}
	if c.DeleteDelay != nil {
		d.Delay = *c.DeleteDelay
	}
	s, forks, err := r.calls.Delete(d)
	switch {
	case errors.Is(err, call.ErrUnknownCall) && !c.Has(ng.FlagFatal):
		return ng.Reply{Result: ng.ResultOK, Warning: err.Error()}
	case err != nil:
		return ng.Refuse("%v", err)
	case forks == 0:
		return ng.Reply{Result: ng.ResultOK, Warning: "the call goes on with another tag"}
	}
	return ng.Reply{Result: ng.ResultOK, More: report(s)}
}
