package transaction

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/edge/wheel"
)

var timing = DefaultTiming()

// retransmissions lets a half's deadlines act for d and lists what happened, with
// the second it happened at.
func retransmissions(next func() wheel.Time, expire func(wheel.Time) string, from wheel.Time, d time.Duration) []string {
	var list []string
	end := from.After(d)
	for at := next(); at != 0 && at <= end; at = next() {
		if what := expire(at); what != "" {
			list = append(list, fmt.Sprintf("%s@%g", what, float64(at-from)/1000))
		}
	}
	return list
}

func clientEvents(c *Client, from wheel.Time, d time.Duration) []string {
	names := map[Event]string{Nothing: "", Resend: "resend", ResendCancel: "recancel", SendCancel: "cancel", TimedOut: "timeout"}
	return retransmissions(c.Next, func(now wheel.Time) string { return names[c.Expire(now)] }, from, d)
}

func serverEvents(s *Server, from wheel.Time, d time.Duration) []string {
	return retransmissions(s.Next, func(now wheel.Time) string {
		if s.Expire(now) {
			return "resend"
		}
		if s.State() == Terminated {
			return "end"
		}
		return ""
	}, from, d)
}

const start = wheel.Time(1000)

// The RFC's own figures: §17.1.1.2 for INVITE, §17.1.2.2 for the others.
func TestClientRetransmits(t *testing.T) {
	tests := map[string]struct {
		invite, reliable bool
		responses        []int // at once
		cancel           bool
		d                time.Duration
		want             string
	}{
		"INVITE into silence": {invite: true, d: time.Minute,
			want: "resend@0.5 resend@1.5 resend@3.5 resend@7.5 resend@15.5 resend@31.5 timeout@32"},
		"INVITE into silence over a stream": {invite: true, reliable: true, d: time.Minute, want: "timeout@32"},
		"OPTIONS into silence": {d: time.Minute,
			want: "resend@0.5 resend@1.5 resend@3.5 resend@7.5 resend@11.5 resend@15.5 resend@19.5 resend@23.5 resend@27.5 resend@31.5 timeout@32"},
		"OPTIONS over a stream":                {reliable: true, d: time.Minute, want: "timeout@32"},
		"OPTIONS with a 1xx":                   {responses: []int{100}, d: 9 * time.Second, want: "resend@4 resend@8"},
		"INVITE that rings for ever":           {invite: true, responses: []int{100, 180}, d: 300 * time.Second, want: "cancel@180 recancel@180.5 recancel@181.5 recancel@183.5 recancel@187.5 recancel@191.5 recancel@195.5 recancel@199.5 recancel@203.5 recancel@207.5 recancel@211.5 timeout@212"},
		"INVITE that rings for ever, a stream": {invite: true, reliable: true, responses: []int{180}, d: 300 * time.Second, want: "cancel@180 timeout@212"},
		"INVITE cancelled while it rings":      {invite: true, reliable: true, responses: []int{180}, cancel: true, d: time.Minute, want: "timeout@32"},
		"INVITE answered":                      {invite: true, responses: []int{180, 200}, d: time.Minute},
		"INVITE refused":                       {invite: true, responses: []int{486}, d: time.Minute},
		"OPTIONS answered":                     {responses: []int{200}, d: time.Minute},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var c Client
			c.Begin(start, &timing, tt.invite, tt.reliable)
			for _, code := range tt.responses {
				c.Respond(start, code)
			}
			if tt.cancel && !c.Cancel(start) {
				t.Error("the CANCEL is not to be sent")
			}
			if got := strings.Join(clientEvents(&c, start, tt.d), " "); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if tt.d >= time.Minute && !c.Over() {
				t.Errorf("not over after %v, in state %d", tt.d, c.State())
			}
		})
	}
}

// Every pair of responses, and what the second one deserves.
func TestClientVerdicts(t *testing.T) {
	names := map[Verdict]string{Drop: "drop", Pass: "pass", PassAck: "pass+ack", Reack: "ack"}
	tests := map[string]struct {
		invite, reliable bool
		codes            []int
		want             string
	}{
		"a whole INVITE":                       {true, false, []int{100, 180, 183, 200, 200, 180, 486}, "pass pass pass pass pass drop drop"},
		"a refused INVITE":                     {true, false, []int{180, 486, 486, 180, 200}, "pass pass+ack ack drop drop"},
		"a refused INVITE over a stream":       {true, true, []int{404, 404}, "pass+ack ack"},
		"two forks that answer":                {true, false, []int{183, 200, 183, 200}, "pass pass drop pass"},
		"a whole OPTIONS":                      {false, false, []int{100, 200, 200, 404}, "pass pass drop drop"},
		"a whole OPTIONS over a stream":        {false, true, []int{200, 200}, "pass drop"},
		"redirection of an INVITE":             {true, false, []int{302}, "pass+ack"},
		"global failure after a provisional":   {true, true, []int{100, 603, 603}, "pass pass+ack ack"},
		"a late provisional after the refusal": {true, false, []int{500, 100}, "pass+ack drop"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var c Client
			c.Begin(start, &timing, tt.invite, tt.reliable)
			var got []string
			for _, code := range tt.codes {
				v, _ := c.Respond(start, code)
				got = append(got, names[v])
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("%v: got %s, want %s", tt.codes, s, tt.want)
			}
		})
	}
}

// A CANCEL waits for the first sign of life (RFC 3261 §9.1) and is sent once.
func TestCancelWaits(t *testing.T) {
	var c Client
	c.Begin(start, &timing, true, false)
	if c.Cancel(start) {
		t.Error("sent before anything was heard")
	}
	if _, send := c.Respond(start, 100); !send {
		t.Error("not sent after a 100")
	}
	if _, send := c.Respond(start, 180); send || c.Cancel(start) {
		t.Error("sent twice")
	}
	c.CancelAnswered()
	if got := clientEvents(&c, start, time.Minute); !slices.Equal(got, []string{"timeout@32"}) {
		t.Errorf("after its 200: %v", got)
	}
	c.Begin(start, &timing, true, false)
	c.Cancel(start)
	if v, send := c.Respond(start, 200); v != Pass || send {
		t.Errorf("a 200 that was faster: %v, cancel sent %v", v, send)
	}
	c.Begin(start, &timing, false, false)
	c.Respond(start, 100)
	if c.Cancel(start) {
		t.Error("something other than INVITE was cancelled")
	}
}

func TestTimerCIsRefreshed(t *testing.T) {
	var c Client
	c.Begin(start, &timing, true, true)
	c.Respond(start, 180)
	later := start.After(100 * time.Second)
	c.Respond(later, 100) // says nothing of ringing
	if got := c.Next(); got != start.After(180*time.Second) {
		t.Errorf("a 100 moved timer C to %v", got)
	}
	c.Respond(later, 180)
	if got := c.Next(); got != later.After(180*time.Second) {
		t.Errorf("a 180 moved timer C to %v", got)
	}
}

func TestServerTimers(t *testing.T) {
	const g = "resend@0.5 resend@1.5 resend@3.5 resend@7.5 resend@11.5 resend@15.5 resend@19.5 resend@23.5 resend@27.5 resend@31.5 end@32"
	tests := map[string]struct {
		invite, reliable bool
		linger           time.Duration
		codes            []int
		ack              bool
		want             string
		over             bool // at once
	}{
		"INVITE refused, no ACK":               {invite: true, codes: []int{100, 486}, want: g},
		"INVITE refused over a stream, no ACK": {invite: true, reliable: true, codes: []int{486}, want: "end@32"},
		"INVITE refused and acknowledged":      {invite: true, codes: []int{486}, ack: true, want: "end@5"},
		"INVITE refused, ACK over a stream":    {invite: true, reliable: true, codes: []int{486}, ack: true, over: true},
		"INVITE answered":                      {invite: true, codes: []int{180, 200}, want: "end@32"},
		"INVITE answered over a stream":        {invite: true, reliable: true, codes: []int{200}, want: "end@32"},
		"OPTIONS answered":                     {codes: []int{200}, want: "end@32"},
		"OPTIONS answered over a stream":       {reliable: true, codes: []int{200}, over: true},
		"OPTIONS of a peer that repeats":       {reliable: true, linger: 5 * time.Second, codes: []int{200}, want: "end@5"},
		"INVITE that rings":                    {invite: true, codes: []int{180}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var s Server
			s.Begin(&timing, tt.invite, tt.reliable, tt.linger)
			for _, code := range tt.codes {
				if !s.Respond(start, code) {
					t.Errorf("%d may not be sent", code)
				}
			}
			if tt.ack && !s.Ack(start) {
				t.Error("the ACK passes")
			}
			if s.Over() != tt.over {
				t.Errorf("over is %v at once", s.Over())
			}
			if got := strings.Join(serverEvents(&s, start, time.Minute), " "); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestServerSendsOneFinal(t *testing.T) {
	var s Server
	for _, tt := range []struct {
		invite bool
		codes  []int
		may    []bool
		repeat bool
		absorb bool
	}{
		{true, []int{100, 180, 200, 200, 180, 486}, []bool{true, true, true, true, false, false}, false, false},
		{true, []int{487, 200, 487}, []bool{true, false, false}, true, true},
		{true, []int{180}, []bool{true}, true, true},
		{false, []int{200, 500}, []bool{true, false}, true, true},
		{false, nil, nil, false, true},
	} {
		s.Begin(&timing, tt.invite, false, 0)
		for i, code := range tt.codes {
			if got := s.Respond(start, code); got != tt.may[i] {
				t.Errorf("%v: response %d may be sent: %v", tt.codes, i, got)
			}
		}
		if got := s.Repeat(); got != tt.repeat {
			t.Errorf("%v: a retransmission is answered: %v", tt.codes, got)
		}
		if got := s.Ack(start); got != tt.absorb {
			t.Errorf("%v: the ACK is absorbed: %v", tt.codes, got)
		}
	}
}
