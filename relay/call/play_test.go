package call_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/relay/call"
	"github.com/lindero/lindero/wire/rtp"
)

// keys is a call whose callee takes telephone events by type 97.
func keys(l *lab) {
	l.t.Helper()
	l.offer(offer(natted, natted))
	m := answer()
	m.SDP = append(body("10.2.0.9", 5000), "a=rtpmap:97 telephone-event/8000\n"...)
	m.SDP = []byte(strings.Replace(string(m.SDP), "RTP/AVP 0", "RTP/AVP 0 97", 1))
	l.answer(m)
}

// playing runs the registry as long as test takes.
func playing(t *testing.T, test func(l *lab)) {
	bubble(t, func(t *testing.T, l *lab) {
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- l.Run(ctx) }()
		keys(l)
		test(l)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestDigitsOfASilentParty(t *testing.T) {
	playing(t, func(l *lab) {
		if _, err := l.Play(call.Selection{CallID: "c", From: "a"}, call.Digits{Codes: []uint8{1, 2}, Duration: 60 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		if l.table.leg(l.atOut).Treat == nil {
			t.Error("its stream is the kernel's while it plays")
		}
		l.after(time.Second)
		if l.table.leg(l.atOut).Treat != nil {
			t.Error("its stream is treated when nothing is played any more")
		}
		var codes []uint8
		var last rtp.Header
		ends := 0
		for i, s := range l.table.sent {
			h, payload, err := rtp.Parse([]byte(s.b))
			e, ok := rtp.ParseEvent(payload)
			if err != nil || !ok || s.via != l.atIn || s.to != addrPort("10.2.0.9:5000") || h.PayloadType != 97 {
				t.Fatalf("%+v: %+v %+v %v", s, h, e, err)
			}
			if i > 0 && (h.Sequence != last.Sequence+1 || h.SSRC != last.SSRC) {
				t.Errorf("%+v after %+v", h, last)
			}
			if h.Marker {
				codes = append(codes, e.Code)
			}
			if last = h; e.End {
				if ends++; e.Duration != 480 {
					t.Errorf("ended after %d", e.Duration)
				}
			}
		}
		if string(codes) != "\x01\x02" || ends != 6 || len(l.table.sent) != 10 {
			t.Errorf("digits %v in %d packets, of which %d end one", codes, len(l.table.sent), ends)
		}
	})
}

// The party speaks until the digit begins, and falls silent in its middle.
func TestADigitGoesOnWhenItsCarrierStops(t *testing.T) {
	playing(t, func(l *lab) {
		if _, err := l.Play(call.Selection{CallID: "c", From: "a"}, call.Digits{Codes: []uint8{5}, Duration: 200 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		treat := l.table.leg(l.atOut).Treat
		carry := func(sequence uint16, stamp uint32) rtp.Header {
			b := append(rtp.Header{Sequence: sequence, Timestamp: stamp, SSRC: 7}.Append(nil), make([]byte, 160)...)
			h, _, err := rtp.Parse(treat.Treat(b))
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		first, second := carry(10, 1600), carry(11, 1760)
		if first.PayloadType != 97 || !first.Marker || second.Marker || second.Timestamp != 1600 || second.Sequence != 11 || second.SSRC != 7 {
			t.Errorf("%+v, then %+v", first, second)
		}
		if late := carry(9, 1440); late.PayloadType != 0 {
			t.Errorf("a packet from before the digit became %+v", late)
		}
		l.after(time.Second)
		n := len(l.table.sent)
		if n == 0 {
			t.Fatal("the digit has no end")
		}
		h, payload, _ := rtp.Parse([]byte(l.table.sent[n-1].b))
		if e, _ := rtp.ParseEvent(payload); !e.End || e.Duration != 1600 || h.Timestamp != 1600 {
			t.Errorf("ended as %+v %+v", h, e)
		}
	})
}

func TestDigitsThatCannotBePlayed(t *testing.T) {
	playing(t, func(l *lab) {
		for name, c := range map[string]struct {
			from string
			n    int
		}{"none": {"a", 0}, "too many": {"a", 33}, "to who takes none": {"b", 1}} {
			if _, err := l.Play(call.Selection{CallID: "c", From: c.from}, call.Digits{Codes: make([]uint8, c.n)}); err == nil {
				t.Errorf("%s: played", name)
			}
		}
		// They wait behind each other, but not without end.
		var last error
		for range 5 {
			if _, last = l.Play(call.Selection{CallID: "c", From: "a"}, call.Digits{Codes: make([]uint8, 8)}); last != nil {
				break
			}
		}
		if last == nil {
			t.Error("forty digits wait")
		}
	})
}

// A call that ends takes its digits along.
func TestDigitsEndWithTheCall(t *testing.T) {
	playing(t, func(l *lab) {
		if _, err := l.Play(call.Selection{CallID: "c"}, call.Digits{Codes: []uint8{1}, Duration: time.Second}); err != nil {
			t.Fatal(err)
		}
		l.after(200 * time.Millisecond)
		if _, _, err := l.Delete(call.Deletion{CallID: "c"}); err != nil {
			t.Fatal(err)
		}
		n := len(l.table.sent)
		l.after(time.Second)
		if len(l.table.sent) != n || l.table.leg(l.atOut).Local.IsValid() {
			t.Errorf("%d packets, then %d; leg %+v", n, len(l.table.sent), l.table.leg(l.atOut))
		}
	})
}

func TestSilence(t *testing.T) {
	l := newLab(t)
	keys(l)
	warning, err := l.Rule(call.Selection{CallID: "c", From: "a"}, func(r *call.Rules) { r.Silence = true })
	if err != nil || warning != "" {
		t.Fatal(warning, err)
	}
	treat := l.table.leg(l.atOut).Treat
	for name, c := range map[string]struct {
		payloadType uint8
		want        string
	}{"PCMU": {0, "\xff\xff"}, "PCMA": {8, "\xd5\xd5"}, "G.729": {18, ""}, "an event": {97, ""}} {
		got := treat.Treat(append(rtp.Header{PayloadType: c.payloadType, Sequence: 1}.Append(nil), 1, 2))
		if c.want == "" && got != nil || c.want != "" && string(got[rtp.HeaderSize:]) != c.want {
			t.Errorf("%s became %x", name, got)
		}
	}
	if report := rtp.AppendRR(nil, 7); string(treat.Treat(report)) != string(rtp.AppendRR(nil, 7)) {
		t.Error("RTCP is treated")
	}
	m := answer()
	m.SDP = body("10.2.0.9", 5000)
	m.SDP = []byte(strings.Replace(string(m.SDP), "AVP 0", "AVP 18", 1))
	l.answer(m)
	if warning, _ = l.Rule(call.Selection{CallID: "c", From: "b"}, func(r *call.Rules) { r.Silence = true }); !strings.Contains(warning, "G729") {
		t.Errorf("warning %q", warning)
	}
}
