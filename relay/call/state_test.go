package call

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/lindero/lindero/relay/ports"
)

// left are the fields that a state leaves out, and why.
var left = map[string]string{
	"Call.mu": "a lock", "Call.ended": "such a call has no state", "Call.noted": "the journal's", "Call.resumed": "the process's",
	"Call.sampled": "histories begin anew",
	"Summary.ID":   "the call's", "Summary.Created": "not of sums", "Summary.LastSignal": "not of sums", "Summary.Answered": "not of sums",
	"Summary.OnHold": "not of sums", "Summary.Tags": "not of sums",
	"fork.ended":  "such a fork is none of the call's",
	"memory.body": "a hash by a seed of the process",
	"half.player": "digits are not played on", "half.history": "histories begin anew",
	"Counts.SSRC": "not a sum", "Counts.PayloadType": "not a sum",
	"end.local": "of the pair", "Pair.RTCP": "the other port of the pair",
}

// A filler gives every field another value.
type filler struct {
	t    *testing.T
	face *Interface
	seen map[string]bool
}

func (f *filler) fill(v reflect.Value, name string) {
	if _, out := left[name]; out {
		f.seen[name] = true
		return
	}
	v = reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem() // also what is not exported
	switch v.Interface().(type) {
	case netip.Addr:
		v.Set(reflect.ValueOf(netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + rand.IntN(200))})))
		return
	case netip.AddrPort:
		v.Set(reflect.ValueOf(netip.AddrPortFrom(f.face.Bind, uint16(2+rand.IntN(60000)))))
		return
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(rand.Int64N(1<<31), rand.Int64N(1e9))))
		return
	case *Interface:
		v.Set(reflect.ValueOf(f.face))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i), v.Type().Name()+"."+v.Type().Field(i).Name)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem(), "")
	case reflect.Array:
		for i := range v.Len() {
			f.fill(v.Index(i), "")
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			f.fill(v.Index(i), "")
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 2 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			f.fill(key, "")
			f.fill(value, name)
			v.SetMapIndex(key, value)
		}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString(fmt.Sprint("text ", rand.Int()))
	case reflect.Int, reflect.Int64:
		if name == "fork.tags" {
			v.SetInt(1)
			return
		}
		v.SetInt(1 + rand.Int64N(1<<30))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1 + rand.Uint64N(200))
	default:
		f.t.Fatalf("%s is of kind %v, which this test does not know", name, v.Kind())
	}
}

// full is a call in which no field that a state has is zero.
func full(t *testing.T) (*Call, *Interface) {
	face := &Interface{Name: "external", Bind: netip.MustParseAddr("192.0.2.1")}
	f := filler{t, face, map[string]bool{}}
	c := &Call{}
	f.fill(reflect.ValueOf(c).Elem(), "")
	for _, k := range c.forks {
		for h := range k.halves() {
			h.pair = ports.Pair{RTP: h.pair.RTP, RTCP: netip.AddrPortFrom(face.Bind, h.pair.RTP.Port()+1)}
			h.rtp.local, h.rtcp.local = h.pair.RTP, h.pair.RTCP
		}
	}
	for name := range left {
		if !f.seen[name] && name != "Pair.RTCP" && name != "end.local" {
			t.Errorf("%s is no field any more", name)
		}
	}
	return c, face
}

// Whatever field is added to a call, it is kept, or named above.
func TestAStateHasEveryField(t *testing.T) {
	for range 20 {
		c, face := full(t)
		w := coder{}
		w.state(c, nil)
		find := func(at place) *Interface {
			if at != (place{face.Name, face.Bind}) {
				t.Errorf("asked for %v", at)
			}
			return face
		}
		back := &Call{}
		r := coder{b: w.b, reading: true}
		r.state(back, find)
		if r.bad || len(r.b) != 0 {
			t.Fatalf("bad %v, %d bytes are left", r.bad, len(r.b))
		}
		if !reflect.DeepEqual(back, c) {
			t.Fatalf("read\n%+v\nwrote\n%+v", back, c)
		}
		for cut := range w.b {
			r := coder{b: w.b[:cut], reading: true}
			if r.state(&Call{}, func(place) *Interface { return face }); !r.bad {
				t.Fatalf("cut at %d of %d it is good", cut, len(w.b))
			}
		}
	}
}

// FuzzState reads what nobody wrote: it must not panic, nor take memory that the text
// does not pay for.
func FuzzState(f *testing.F) {
	t := &testing.T{}
	c, face := full(t)
	w := coder{}
	w.state(c, nil)
	f.Add(w.b)
	f.Fuzz(func(t *testing.T, b []byte) {
		r := coder{b: slices.Clone(b), reading: true}
		back := &Call{}
		if r.state(back, func(place) *Interface { return face }); r.bad {
			return
		}
		w := coder{}
		w.state(back, nil)
		again := coder{b: w.b, reading: true}
		if again.state(&Call{}, func(place) *Interface { return face }); again.bad {
			t.Errorf("what was read is written badly: %x", w.b)
		}
	})
}

func BenchmarkState(b *testing.B) {
	t := &testing.T{}
	c, _ := full(t)
	c.forks, c.forks[0].streams = c.forks[:1], c.forks[0].streams[:1]
	w := coder{}
	b.ReportAllocs()
	for b.Loop() {
		w.b = w.b[:0]
		w.state(c, nil)
	}
	b.ReportMetric(float64(len(w.b)), "bytes")
}
