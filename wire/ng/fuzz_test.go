package ng

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
)

// What stands for all that clients send.
var seeds = []string{
	"d7:command4:pinge", `{"command":"ping"}`, "de", "{}", "d1:ali1ei-5e0:ed1:b1:cee", `{"a":[1,"x",{"b":null,"c":true}]}`,
	"d7:command5:offer7:call-id3:abc3:sdp5:v=0\r\n5:flagsl13:trust address6:SDES-xe10:rtpp-flags31:ICE=remove direction=[a b] RTP/e",
	"d10:rtpp-flags40:sdp-attr=[audio=[add=[x y]]] codec-mask=alle",
}

// FuzzDictionaries: no bytes crash the decoders, and what they accept, they accept
// again as it is written, the same.
func FuzzDictionaries(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, as, err := DecodeAny(b)
		if err != nil {
			return
		}
		if as == Bencode {
			if again, err := Decode(d.Append(nil)); err != nil || !reflect.DeepEqual(again, d) {
				t.Fatalf("%q: %v %v", b, again, err)
			}
		}
		text := d.AppendJSON(nil)
		if !json.Valid(text) {
			t.Fatalf("%q: %s is not JSON", b, text)
		}
		again, err := DecodeJSON(text)
		if as == JSON && (err != nil || !reflect.DeepEqual(again, d)) {
			t.Fatalf("%q: %v %v", b, again, err)
		}
	})
}

// FuzzCommands: a command that is understood is understood again as we write it.
func FuzzCommands(f *testing.F) {
	for _, s := range append(seeds, kamailioOffer, kamailioDaemonFlags, opensipsOffer) {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseCommand(b)
		if err != nil {
			return
		}
		if len(c.Unsupported) > 16 {
			t.Fatal("Unsupported without bound")
		}
		again, err := ParseCommand(c.Dict().Append(nil))
		if err != nil {
			t.Fatalf("%q: %+v: %v", b, c, err)
		}
		normal := func(c Command) Dict { return c.Dict() }
		if want := normal(c); !bytes.Equal(normal(again).Append(nil), want.Append(nil)) {
			t.Fatalf("%q:\n%q\n%q", b, want.Append(nil), normal(again).Append(nil))
		}
	})
}

// FuzzStream: however a stream is cut, the same messages are found in it, and they
// are what the decoders take.
func FuzzStream(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte("c "+s+"5_1 "+s), uint8(3))
	}
	f.Add([]byte("\r\nc d3:sdp100:xx"), uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, step uint8) {
		cut := func(n int) (found []string, failed bool) {
			fr := framer{max: 4096}
			for i := 0; i < len(b); i += n {
				fr.push(b[i:min(i+n, len(b))])
				for {
					m, err := fr.next()
					if err != nil {
						return found, true
					}
					if m == nil {
						break
					}
					if len(m) > 4096 {
						t.Fatalf("a message of %d bytes", len(m))
					}
					found = append(found, string(m))
				}
			}
			return found, false
		}
		whole, bad := cut(max(len(b), 1))
		if pieces, bad2 := cut(int(step)%64 + 1); !reflect.DeepEqual(whole, pieces) || bad != bad2 {
			t.Fatalf("whole: %q %v, in pieces: %q %v", whole, bad, pieces, bad2)
		}
		for _, m := range whole {
			_, dict, err := SplitCookie([]byte(m))
			if err != nil {
				t.Fatalf("%q: %v", m, err)
			}
			if _, _, err := DecodeAny(dict); err == nil {
				_ = callID(dict)
			}
		}
	})
}

// FuzzCallID: the quick look finds what the parser does.
func FuzzCallID(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		id := callID(b)
		d, as, err := DecodeAny(b)
		if err != nil || as == JSON {
			return
		}
		if want := d.Text(KeyCallID); want != "" && len(id) == 0 {
			t.Fatalf("%q: call-id %q was not found", b, want)
		}
	})
}
