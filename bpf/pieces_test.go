package bpf

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/lindero/lindero/bpf/frame"
)

// Frames that do not fit one piece are judged as those that do: by their headers,
// and by lengths that count all pieces.
func TestFramesInPieces(t *testing.T) {
	s := trial(t)
	big := func(f frame.Frame) frame.Frame { f.Payload = make([]byte, 8900); return f }
	cut := func(f frame.Frame) []byte { b := f.Bytes(); return b[:len(b)-1] }
	_, err := s.Test(big(to("192.0.2.60", 5060)).Bytes())
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOMEM) {
		t.Skipf("this kernel has no frames in pieces (since 5.18 it does): %v", err)
	}
	for name, want := range map[string]verdict{
		"a stranger's large datagram": {big(to("192.0.2.61", 5060)).Bytes(), pass, shieldVerdictVERDICT_PASSED, 0},
		"over IPv6":                   {big(to("2001:db8::61", 5060)).Bytes(), pass, shieldVerdictVERDICT_PASSED, 0},
		"of a denied country":         {big(to("198.51.100.9", 5060)).Bytes(), drop, shieldVerdictVERDICT_COUNTRY_DENIED, elsewhere},
		"of a banned source":          {big(to("192.0.2.50", 5060)).Bytes(), drop, shieldVerdictVERDICT_BANNED, 0},
		"a connection":                {big(to("192.0.2.61", 5060, frame.ACK)).Bytes(), pass, shieldVerdictVERDICT_CONNECTION, 0},
		"SSH":                         {big(to("192.0.2.61", 22, frame.ACK)).Bytes(), pass, shieldVerdictVERDICT_NOT_OURS, 0},
		"without its last byte":       {cut(big(to("192.0.2.61", 5060))), drop, shieldVerdictVERDICT_MALFORMED, 0},
		"the same over IPv6":          {cut(big(to("2001:db8::61", 5060))), drop, shieldVerdictVERDICT_MALFORMED, 0},
	} {
		t.Run(name, func(t *testing.T) { judged(t, s, want) })
	}
}

// Headers that are not in the first piece are not read, wherever it ends: such a
// frame is malformed, and neither passes unjudged nor is it judged by other bytes.
func TestHeadersInLaterPieces(t *testing.T) {
	s := trial(t)
	if err := s.PutSource(keyOf("192.0.2.61"), Source{Class: 1}); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]frame.Frame{
		"IPv4": to("192.0.2.50", 5060), "IPv6": to("2001:db8:77::61", 5060),
		"IPv6 with extensions": {Source: to("2001:db8:77::61", 1).Source, Destination: to("2001:db8:77::61", 1).Destination, Port: 5060,
			Extensions: []frame.Extension{{Type: frame.HopByHop, Data: make([]byte, 6)}, {Type: frame.Destination, Data: make([]byte, 14)}}},
	} {
		t.Run(name, func(t *testing.T) {
			f.Payload = make([]byte, 4000)
			b := f.Bytes()
			headers := len(b) - len(f.Payload)
			for first := 14; first < headers+8; first++ {
				before := dropped(t, s)
				action, err := s.inPieces(b, first)
				if errors.Is(err, unix.EINVAL) {
					t.Skipf("this kernel does not say where a test's first piece ends (since 6.18 it does): %v", err)
				}
				if err != nil {
					t.Fatal(err)
				}
				after := dropped(t, s)
				malformed := after[shieldVerdictVERDICT_MALFORMED] - before[shieldVerdictVERDICT_MALFORMED]
				if action != drop || (malformed == 1) != (first < headers) {
					t.Errorf("when %d bytes of %d are in the first piece, the action is %d, malformed %d", first, headers, action, malformed)
				}
			}
		})
	}
}

// inPieces runs a frame of which the first piece has so many bytes.
func (s *Shield) inPieces(frame []byte, first int) (action uint32, err error) {
	context := struct{ Data, DataEnd, DataMeta, IngressIfindex, RxQueueIndex, EgressIfindex uint32 }{DataEnd: uint32(first)}
	return s.program.Run(&ebpf.RunOptions{Data: frame, Context: context, Repeat: 1})
}

// dropped is by verdict what was counted of whatever country.
func dropped(t *testing.T, s *Shield) (sum [16]uint64) {
	t.Helper()
	c, err := s.Counters()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range c {
		for v, n := range row {
			sum[v] += n
		}
	}
	return sum
}

// Where the kernel does not have frames in pieces, the program does without: it calls
// nothing that an older one does not know.
func TestWithoutPieces(t *testing.T) {
	privilege(t)
	spec, err := loadShield()
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	code := spec.Programs[shieldProgShield].Instructions
	for i := range code {
		if code[i].IsBuiltinCall() && code[i].Constant == int64(asm.FnXdpGetBuffLen) {
			code[i].Constant = 1 << 20 // which no kernel knows
			calls++
		}
	}
	if calls == 0 {
		t.Fatal("the program never asks how long a frame is")
	}
	for pieces, loads := range map[uint32]bool{0: true, 1: false} {
		t.Run(fmt.Sprint(pieces), func(t *testing.T) {
			spec := spec.Copy()
			if err := spec.Variables[shieldVarPieces].Set(pieces); err != nil {
				t.Fatal(err)
			}
			c, err := ebpf.NewCollection(spec)
			if (err == nil) != loads {
				t.Errorf("it loads: %v; want %v", err, loads)
			}
			if err == nil {
				c.Close()
			}
		})
	}
}
