package rtp_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/lindero/lindero/wire/rtp"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const plain = "80" + "80" + "0001" + "000000a0" + "deadbeef"

func TestParse(t *testing.T) {
	h := rtp.Header{Marker: true, Sequence: 1, Timestamp: 160, SSRC: 0xdeadbeef}
	for name, c := range map[string]struct {
		packet  string
		payload string
		err     error
	}{
		"no payload":                    {packet: plain},
		"payload":                       {packet: plain + "0102", payload: "0102"},
		"two CSRCs":                     {packet: "82" + plain[2:] + "1111111122222222" + "0a", payload: "0a"},
		"extension of one word":         {packet: "90" + plain[2:] + "bede0001" + "aabbccdd" + "0a", payload: "0a"},
		"empty extension":               {packet: "90" + plain[2:] + "bede0000" + "0a", payload: "0a"},
		"padding":                       {packet: "a0" + plain[2:] + "0a0b" + "000003", payload: "0a0b"},
		"padding to the last byte":      {packet: "a0" + plain[2:] + "0002"},
		"empty":                         {err: rtp.ErrShort},
		"eleven bytes":                  {packet: plain[:22], err: rtp.ErrShort},
		"version 1":                     {packet: "40" + plain[2:], err: rtp.ErrVersion},
		"CSRCs past the end":            {packet: "8f" + plain[2:] + "11111111", err: rtp.ErrShort},
		"extension header past the end": {packet: "90" + plain[2:] + "bede", err: rtp.ErrShort},
		"extension past the end":        {packet: "90" + plain[2:] + "bedeffff", err: rtp.ErrShort},
		"padding of zero":               {packet: "a0" + plain[2:] + "00", err: rtp.ErrShort},
		"padding into the header":       {packet: "a0" + plain[2:] + "09", err: rtp.ErrShort},
	} {
		t.Run(name, func(t *testing.T) {
			got, payload, err := rtp.Parse(unhex(t, c.packet))
			if !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if err == nil && (got != h || hex.EncodeToString(payload) != c.payload) {
				t.Errorf("got %+v %x, want %+v %s", got, payload, h, c.payload)
			}
		})
	}
}

func TestKindOf(t *testing.T) {
	stun := "00010000" + "2112a442" + "000000000000000000000000"
	for name, c := range map[string]struct {
		packet string
		want   rtp.Kind
	}{
		"rtp":                     {plain, rtp.RTP},
		"rtp, payload type 127":   {"807f" + plain[4:], rtp.RTP},
		"rtp cut short":           {plain[:20], rtp.Garbage},
		"sender report":           {"80c80006" + plain, rtp.RTCP},
		"shortest receiver rep.":  {"80c9000111111111", rtp.RTCP},
		"stun binding":            {stun, rtp.STUN},
		"stun with a wrong magic": {"0001000021120000000000000000000000000000", rtp.Garbage},
		"dtls hello":              {"16fefd000000000000000000000000", rtp.DTLS},
		"text":                    {hex.EncodeToString([]byte("OPTIONS sip:a SIP/2.0")), rtp.Garbage},
		"empty":                   {"", rtp.Garbage},
	} {
		if got := rtp.KindOf(unhex(t, c.packet)); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestEvent(t *testing.T) {
	e := rtp.Event{Code: 11, End: true, Volume: 10, Duration: 800}
	b := e.Append(nil)
	if !bytes.Equal(b, []byte{11, 0x8a, 0x03, 0x20}) {
		t.Fatalf("%x", b)
	}
	if got, ok := rtp.ParseEvent(b); !ok || got != e {
		t.Errorf("%+v %v", got, ok)
	}
	if _, ok := rtp.ParseEvent(b[:3]); ok {
		t.Error("three bytes are an event")
	}
	for _, key := range []byte("0123456789*#ABCD") {
		code, ok := rtp.EventCode(key)
		digit, ok2 := rtp.Event{Code: code}.Digit()
		if !ok || !ok2 || digit != key {
			t.Errorf("key %c became %d and then %c", key, code, digit)
		}
	}
	if c, ok := rtp.EventCode('d'); !ok || c != 15 {
		t.Errorf("d is %d", c)
	}
	if _, ok := (rtp.Event{Code: 16}).Digit(); ok {
		t.Error("flash is a key")
	}
	if _, ok := rtp.EventCode('x'); ok {
		t.Error("x is a key")
	}
}

func TestReports(t *testing.T) {
	sender := rtp.SenderInfo{SSRC: 1, NTP: 2<<32 | 3, Timestamp: 4, Packets: 5, Bytes: 6}
	report := rtp.Report{SSRC: 7, Fraction: 8, Lost: -9, Highest: 10, Jitter: 11, LastSR: 12, Delay: 13}
	second := rtp.Report{SSRC: 14, Lost: 0x7fffff}
	b := rtp.AppendSR(nil, sender, report, second)
	b = rtp.AppendRR(b, 15, report)
	b = rtp.AppendCNAME(b, 16, "lab@example.test")

	sr, rest, ok := rtp.NextRTCP(b)
	if got, ok2 := sr.Sender(); !ok || !ok2 || got != sender {
		t.Errorf("sender %+v", got)
	}
	for i, want := range []rtp.Report{report, second} {
		if got, ok := sr.Report(i); !ok || got != want {
			t.Errorf("report %d: %+v", i, got)
		}
	}
	if _, ok := sr.Report(2); ok {
		t.Error("a third report of two")
	}
	rr, rest, ok := rtp.NextRTCP(rest)
	if got, ok2 := rr.Report(0); !ok || !ok2 || got != report {
		t.Errorf("receiver report %+v", got)
	}
	sdes, rest, ok := rtp.NextRTCP(rest)
	if !ok || sdes.Type != rtp.TypeSDES || len(rest) != 0 {
		t.Errorf("sdes %+v, %d bytes follow", sdes, len(rest))
	}
	if _, _, ok := rtp.NextRTCP(rest); ok {
		t.Error("something in nothing")
	}
}

// Every allocation here would be one per packet.
func TestNoAllocations(t *testing.T) {
	packet := append(unhex(t, plain), make([]byte, 160)...)
	var r rtp.Receiver
	buf := make([]byte, 0, 200)
	if n := testing.AllocsPerRun(100, func() {
		h, payload, err := rtp.Parse(packet)
		if err != nil || len(payload) != 160 || rtp.KindOf(packet) != rtp.RTP {
			t.Fatal("not parsed")
		}
		r.Add(h, 1, scale)
		buf = h.Append(buf[:0])
		buf = rtp.AppendRR(buf[:0], 1, rtp.Report{SSRC: 2})
	}); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

func FuzzPackets(f *testing.F) {
	for _, s := range []string{plain, "9f" + plain[2:] + "bede0001", "81c80006" + plain + plain + plain} {
		b, err := hex.DecodeString(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		rtp.KindOf(b)
		if h, _, err := rtp.Parse(b); err == nil {
			again, _, err := rtp.Parse(h.Append(nil))
			if err != nil || again != h {
				t.Errorf("%+v printed and read again is %+v, %v", h, again, err)
			}
		}
		var r rtp.Receiver
		for rest := b; ; {
			p, next, ok := rtp.NextRTCP(rest)
			if !ok {
				break
			}
			p.Sender()
			for i := range int(p.Count) {
				p.Report(i)
			}
			rest = next
		}
		for len(b) >= 8 {
			r.Add(rtp.Header{Sequence: uint16(b[0])<<8 | uint16(b[1]), SSRC: uint32(b[2] & 1), Timestamp: uint32(b[3]) << 24}, uint64(b[4])<<26, scale)
			b = b[5:]
		}
		if s := r.Stats(); s.Lost > s.Expected || s.Duplicate > s.Received || s.Expected > 1<<40 {
			t.Errorf("impossible sums %+v", s)
		}
	})
}
