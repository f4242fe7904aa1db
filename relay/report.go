package relay

import (
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/lindero/lindero/relay/call"
	"github.com/lindero/lindero/relay/forward"
	"github.com/lindero/lindero/wire/ng"
)

// only is s with no tags but these; with all when both are "".
func only(s call.Summary, from, to string) call.Summary {
	if from != "" || to != "" {
		s.Tags = slices.DeleteFunc(s.Tags, func(t call.Tag) bool { return t.Tag != from && t.Tag != to })
	}
	return s
}

// report writes a call's summary under rtpengine's keys. Keys of ours have no
// counterpart there: lost, reordered, duplicate, "jitter us", "round trip us",
// "wrong source", "not rtp", stun, held, blocked, answered, "on hold".
func report(s call.Summary) ng.Dict {
	tags, heard := ng.Dict{}, ng.Dict{}
	for _, t := range s.Tags {
		tags[t.Tag] = tag(t)
		for i := range t.Media {
			sources(heard, &t.Media[i])
		}
	}
	return ng.Dict{
		"created": s.Created.Unix(), "created_us": s.Created.Nanosecond() / 1000, "last signal": s.LastSignal.Unix(),
		"answered": s.Answered, "on hold": s.OnHold,
		ng.KeyTags:   tags,
		ng.KeySSRC:   heard,
		ng.KeyTotals: ng.Dict{"RTP": counts(s.RTP), "RTCP": counts(s.RTCP)},
	}
}

func tag(t call.Tag) ng.Dict {
	medias, others := []any{}, []any{}
	for _, m := range t.Media {
		medias = append(medias, media(m))
	}
	for _, o := range t.Others {
		others = append(others, ng.Dict{"tag": o, "type": "offer/answer"})
	}
	d := ng.Dict{
		"tag": t.Tag, "created": t.Created.Unix(), "in dialogue with": t.With,
		"medias": medias, "subscriptions": others, "subscribers": others,
	}
	if t.Label != "" {
		d["label"] = t.Label
	}
	if t.Branch != "" {
		d["via-branch"] = t.Branch
	}
	for key, on := range map[string]bool{"block media": t.Rules.Block, "silence media": t.Rules.Silence, "block DTMF": t.Rules.NoEvents} {
		if on {
			d[key] = 1
		}
	}
	return d
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
		streams = append(streams, ng.Dict{
			"local address": s.Local.Addr().String(), "local port": int(s.Local.Port()), "family": family4or6(s.Local.Addr()),
			"endpoint": endpoint(s.Remote), "advertised endpoint": endpoint(s.Signalled),
			"flags": flags, "last packet": unix(s.Counts.LastSeen), "stats": counts(s.Counts), "SSRC": int64(s.Counts.SSRC),
		})
	}
	flags := []string{"initialized"}
	if !m.Quiet {
		flags = append(flags, "send", "recv")
	}
	if m.Mux {
		flags = append(flags, "rtcp-mux")
	}
	return ng.Dict{
		"index": m.Index, "type": m.Kind, "protocol": m.Proto, "codec": m.Codec, "interface": m.Interface,
		"streams": streams, "flags": flags,
	}
}

// sources writes what is known of the quality of m under each SSRC, where Kamailio's
// and OpenSIPS's modules look for it: MOS times 10, jitter in ms, loss in per cent,
// round trips in µs. Packets, bytes and loss are of all sources of m together.
func sources(into ng.Dict, m *call.Media) {
	c := m.Streams[0].Counts
	for _, s := range m.Sources {
		average := opinion(s.Average)
		average["samples"] = s.Samples
		entries := []any{}
		for _, o := range s.Progress {
			entries = append(entries, reported(o))
		}
		into[strconv.FormatUint(uint64(s.SSRC), 10)] = ng.Dict{
			"packets": c.Packets, "bytes": c.Bytes, "cumulative loss": c.Lost,
			"average MOS": average, "lowest MOS": reported(s.Lowest), "highest MOS": reported(s.Highest),
			"MOS progression": ng.Dict{"interval": int(s.Every.Seconds()), "entries": entries},
		}
	}
}

func opinion(o call.Opinion) ng.Dict {
	return ng.Dict{
		"MOS": int(o.MOS*10 + 0.5), "jitter": o.Jitter.Milliseconds(), "packet loss": int(o.Loss*100 + 0.5),
		"round-trip time": o.RoundTrip.Microseconds(), "round-trip time leg": o.RoundTripLeg.Microseconds(),
	}
}

// reported is an opinion with its time.
func reported(o call.Opinion) ng.Dict {
	d := opinion(o)
	d["reported at"] = o.At.Unix()
	return d
}

func endpoint(a netip.AddrPort) ng.Dict {
	if !a.IsValid() {
		return ng.Dict{}
	}
	return ng.Dict{"family": family4or6(a.Addr()), "address": a.Addr().String(), "port": int(a.Port())}
}

func family4or6(a netip.Addr) string {
	if a.Is6() {
		return "IPv6"
	}
	return "IPv4"
}

// unix is t in seconds since 1970; 0 is never.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func counts(c forward.Counts) ng.Dict {
	return ng.Dict{
		"packets": c.Packets, "bytes": c.Bytes, "errors": c.Failed,
		"lost": c.Lost, "reordered": c.Reordered, "duplicate": c.Duplicate, "jitter us": c.Jitter.Microseconds(),
		"round trip us": c.RoundTrip.Microseconds(),
		"wrong source":  c.WrongSource, "not rtp": c.NotRTP, "stun": c.STUN, "held": c.Held, "blocked": c.Blocked,
	}
}
