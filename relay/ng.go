package relay

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/lindero/lindero/relay/call"
	"github.com/lindero/lindero/relay/forward"
	"github.com/lindero/lindero/relay/ports"
	"github.com/lindero/lindero/wire/ng"
)

// listLimit is how many call-ids list returns when it is not told: a reply must
// fit a datagram.
const listLimit = 32

// handle runs one command and counts it.
func (r *Relay) handle(_ netip.AddrPort, c ng.Command) ng.Reply {
	reply := r.run(c)
	r.meters.command(c.Name, reply.Result)
	return reply
}

func (r *Relay) run(c ng.Command) ng.Reply {
	switch c.Name {
	case ng.Ping:
		return ng.Reply{Result: ng.ResultPong}
	case ng.Offer:
		return rewritten(r.calls.Offer(message(c)))
	case ng.Answer:
		if c.ToTag == "" {
			return ng.Refuse("to-tag is required in an answer")
		}
		return rewritten(r.calls.Answer(message(c)))
	case ng.Delete:
		return r.delete(c)
	case ng.Query:
		s, err := r.calls.Query(c.CallID)
		if err != nil {
			return ng.Refuse("%v", err)
		}
		return ng.Reply{Result: ng.ResultOK, More: report(s)}
	case ng.List:
		limit := listLimit
		if c.Limit > 0 {
			limit = c.Limit
		}
		return ng.Reply{Result: ng.ResultOK, More: ng.Dict{ng.KeyCalls: r.calls.List(limit)}}
	default:
		return ng.Refuse("unknown command %q", c.Name)
	}
}

func message(c ng.Command) call.Message {
	return call.Message{
		CallID: c.CallID, FromTag: c.FromTag, ToTag: c.ToTag, Branch: c.ViaBranch, SDP: c.SDP,
		Direction: c.Direction, ReceivedFrom: c.ReceivedFrom,
		Trust:         c.Has(ng.FlagTrustAddress),
		ReplaceOrigin: slices.Contains(c.Replace, ng.ReplaceOrigin),
	}
}

func rewritten(sdp []byte, err error) ng.Reply {
	switch {
	case errors.Is(err, call.ErrTooMany), errors.Is(err, ports.ErrNone):
		return ng.RefuseLoad("%v", err)
	case err != nil:
		return ng.Refuse("%v", err)
	}
	return ng.Reply{Result: ng.ResultOK, SDP: sdp}
}

// delete is ok also for what is not there, with a warning: an edge that lost the
// first reply asks again after its retransmissions, too.
func (r *Relay) delete(c ng.Command) ng.Reply {
	s, ended, err := r.calls.Delete(c.CallID, c.FromTag, c.ToTag, c.ViaBranch)
	switch {
	case errors.Is(err, call.ErrUnknownCall):
		return ng.Reply{Result: ng.ResultOK, Warning: err.Error()}
	case err != nil:
		return ng.Refuse("%v", err)
	case !ended:
		return ng.Reply{Result: ng.ResultOK, Warning: "the call goes on with another tag"}
	}
	return ng.Reply{Result: ng.ResultOK, More: report(s)}
}

// report writes a call's summary under rtpengine's keys. Keys of ours have no
// counterpart there: lost, reordered, duplicate, "jitter us", "wrong source",
// "not rtp", stun, held.
func report(s call.Summary) ng.Dict {
	tags := ng.Dict{}
	for _, t := range s.Tags {
		medias := []any{}
		for _, m := range t.Media {
			medias = append(medias, media(m))
		}
		tags[t.Tag] = ng.Dict{
			"tag": t.Tag, "created": t.Created.Unix(), "in dialogue with": t.With, "medias": medias,
		}
	}
	return ng.Dict{
		"created": s.Created.Unix(), "last signal": s.LastSignal.Unix(),
		"answered": s.Answered, "on hold": s.OnHold,
		ng.KeyTags:   tags,
		ng.KeyTotals: ng.Dict{"RTP": counts(s.RTP), "RTCP": counts(s.RTCP)},
	}
}

func media(m call.Media) ng.Dict {
	streams := []any{}
	for i, s := range m.Streams {
		flags := []string{[]string{"RTP", "RTCP"}[i]}
		if s.Remote.IsValid() {
			flags = append(flags, "filled")
		}
		if s.Confirmed {
			flags = append(flags, "confirmed")
		}
		last := int64(0)
		if !s.Counts.LastSeen.IsZero() {
			last = s.Counts.LastSeen.Unix()
		}
		streams = append(streams, ng.Dict{
			"local address": s.Local.Addr().String(), "local port": int(s.Local.Port()),
			"endpoint": endpoint(s.Remote), "advertised endpoint": endpoint(s.Signalled),
			"flags": flags, "last packet": last, "stats": counts(s.Counts), "SSRC": int64(s.Counts.SSRC),
		})
	}
	return ng.Dict{"index": m.Index, "type": m.Kind, "protocol": m.Proto, "codec": m.Codec, "streams": streams}
}

func endpoint(a netip.AddrPort) ng.Dict {
	if !a.IsValid() {
		return ng.Dict{}
	}
	family := "IPv4"
	if a.Addr().Is6() {
		family = "IPv6"
	}
	return ng.Dict{"family": family, "address": a.Addr().String(), "port": int(a.Port())}
}

func counts(c forward.Counts) ng.Dict {
	return ng.Dict{
		"packets": c.Packets, "bytes": c.Bytes, "errors": c.Failed,
		"lost": c.Lost, "reordered": c.Reordered, "duplicate": c.Duplicate, "jitter us": c.Jitter.Microseconds(),
		"wrong source": c.WrongSource, "not rtp": c.NotRTP, "stun": c.STUN, "held": c.Held,
	}
}
