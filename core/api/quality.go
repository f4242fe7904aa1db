package api

import (
	"context"
	"math"
	"time"

	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/shield/protocol"
	"github.com/lindero/lindero/wire/session"
)

// A Heard is one direction of a call, as a relay took it in.
type Heard struct {
	Relay     string  `json:"relay"`
	Path      string  `json:"path" doc:"kernel or user space: what moves the packets"`
	Codec     string  `json:"codec"`
	Packets   uint64  `json:"packets"`
	Lost      uint64  `json:"lost"`
	Loss      float64 `json:"loss" doc:"share of the packets that should have come, 0 to 1"`
	Jitter    float64 `json:"jitter_ms"`
	RoundTrip float64 `json:"round_trip_ms,omitempty" doc:"relay to that side and back; absent: not known"`
	MOS       float64 `json:"mos,omitempty" doc:"1 to 4.5; absent: too few packets, or no codec that can be judged"`
	Rating    string  `json:"rating" doc:"good, fair or poor, by the MOS; empty: it cannot be said"`
}

// A LegQuality is what a relay took in from one side of one dialog of a call.
type LegQuality struct {
	Heard
	Side   string `json:"side" doc:"caller or callee: whose dialog"`
	From   string `json:"from" doc:"phone, or core: what was sent towards the phone"`
	CallID string `json:"call_id"`
	Kind   string `json:"kind" doc:"audio, video or image"`
	Reason string `json:"reason" doc:"why the relay's part ended: deleted, idle, unanswered or failed"`
}

// What a MOS is called: users are satisfied from R = 80 up, and many of them are not
// below R = 70 (ITU-T G.109, table 1).
const (
	leastGood = 4.03
	leastFair = 3.6
)

func rating(mos float64) string {
	switch {
	case mos <= 0:
		return ""
	case mos >= leastGood:
		return "good"
	case mos >= leastFair:
		return "fair"
	}
	return "poor"
}

func heardOf(q tenancy.Quality) Heard {
	h := Heard{
		Relay: q.Relay, Path: q.Path, Codec: q.Codec, Packets: q.Packets, Lost: q.Lost,
		Jitter: milliseconds(q.Jitter), RoundTrip: milliseconds(q.RoundTrip), MOS: q.MOS, Rating: rating(q.MOS),
	}
	if all := q.Packets + q.Lost; all > 0 {
		h.Loss = float64(q.Lost) / float64(all)
	}
	return h
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// from is who a leg's packets come from: the phone of the dialog, or core.
func from(q tenancy.Quality) string {
	if q.Tag == q.Dialog.Tag {
		return "phone"
	}
	return "core"
}

// directions are the audio of a call both ways: what each phone sent, or, where there
// is one phone alone, what core sent it. Of several the one with most packets is
// taken: a call may have had other anchors, which were given up.
func directions(all []tenancy.Quality) (caller, callee *Heard) {
	var best, other, answer tenancy.Quality
	better := func(q tenancy.Quality, than *tenancy.Quality) {
		if than.CallID == "" || q.Packets > than.Packets {
			*than = q
		}
	}
	for _, q := range all {
		switch phone := from(q) == "phone"; {
		case q.Kind != "audio" || q.Dialog.Tag == "":
		case phone && q.Dialog.Side == tenancy.CallerSide:
			better(q, &best)
		case phone:
			better(q, &other)
		case q.Dialog.Side == tenancy.CallerSide:
			better(q, &answer)
		}
	}
	if other.CallID == "" {
		other = answer
	}
	for q, to := range map[*tenancy.Quality]**Heard{&best: &caller, &other: &callee} {
		if q.CallID != "" {
			h := heardOf(*q)
			*to = &h
		}
	}
	return caller, callee
}

// How much of one session is taken.
const (
	maxStreamsOfOne = 16
	maxCallID       = 512
	longest         = time.Hour // of what is told in milliseconds
)

// qualities are a session's legs. Times are put on core's clock.
func qualities(s session.Session, clock protocol.Clock) []tenancy.Quality {
	var all []tenancy.Quality
	for i, stream := range s.Streams[:min(len(s.Streams), maxStreamsOfOne)] {
		for j, l := range stream.Legs {
			all = append(all, tenancy.Quality{
				CallID: s.CallID, Relay: oneLine(s.Relay), Created: clock.At(s.Created), Ended: clock.At(s.Ended), Stream: i, Leg: j,
				Kind: oneLine(stream.Kind), Tag: oneLine(l.Tag), Path: oneLine(l.Path), Codec: oneLine(l.Codec),
				Packets: min(l.Packets, math.MaxInt64), Lost: min(l.Lost, math.MaxInt64),
				Jitter: span(l.Jitter), RoundTrip: span(l.RoundTrip), MOS: min(max(l.MOS, 0), 5), EndReason: oneLine(s.Reason),
			})
		}
	}
	return all
}

// span is a number of milliseconds that a node told.
func span(ms float64) time.Duration {
	return time.Duration(min(max(ms, 0), milliseconds(longest)) * float64(time.Millisecond))
}

// takeEnded keeps the last words on calls. One that names no call, or says nothing of
// any packet of a call that was not answered, is passed over.
func (a *API) takeEnded(ctx context.Context, clock protocol.Clock, ended []session.Session) error {
	var all []tenancy.Quality
	for _, s := range ended {
		if s.CallID == "" || len(s.CallID) > maxCallID || s.Created.Before(time.Unix(0, 0)) {
			continue
		}
		if s.Ended.IsZero() {
			s.Ended = time.Now()
		}
		legs := qualities(s, clock)
		packets := uint64(0)
		for _, q := range legs {
			packets += q.Packets
		}
		if s.Answered || packets > 0 {
			all = append(all, legs...)
		}
	}
	if len(all) == 0 {
		return nil
	}
	if err := a.store.Platform().TakeQualities(ctx, all); err != nil {
		return a.failed(ctx, "call", err)
	}
	return nil
}
