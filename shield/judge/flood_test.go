package judge

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/lindero/lindero/shield/policy"
)

// flood is what an attacker sends: so many packets a millisecond, from where from says.
type flood struct {
	each int
	from func(*rand.Rand) netip.Addr
}

// run lets the flood go on for some seconds while phone sends at the times given,
// and returns what became of the phone's packets and how many of the flood passed.
func (f flood) run(e *Engine, phone Packet, seconds Millis, times map[Millis]bool) (verdicts []policy.Verdict, passed int) {
	rng := rand.New(rand.NewPCG(5, 5))
	const start = 10_000_000
	for ms := range seconds * 1000 {
		for range f.each {
			if !e.Judge(Packet{Source: f.from(rng), Service: policy.SIP}, start+ms).Verdict.Drops() {
				passed++
			}
		}
		if times[ms] {
			verdicts = append(verdicts, e.Judge(phone, start+ms).Verdict)
		}
	}
	return verdicts, passed
}

func defaultEngine(t testing.TB) *Engine {
	e := NewEngine(0x5eed)
	e.SetPolicy(compile(t, policy.Document{}))
	return e
}

// A flood from a few networks, far over every budget, costs a phone elsewhere nothing.
func TestAQuietNeighbourhoodPassesWhileOthersFlood(t *testing.T) {
	f := flood{100, func(r *rand.Rand) netip.Addr {
		return netip.AddrFrom4([4]byte{198, 18, byte(r.Uint32N(30)), byte(r.Uint32())})
	}}
	times := map[Millis]bool{}
	for ms := Millis(500); ms < 10_000; ms += 900 {
		times[ms] = true
	}
	verdicts, passed := f.run(defaultEngine(t), sip("203.0.113.7"), 10, times)
	for i, v := range verdicts {
		if v != policy.Passed {
			t.Errorf("the phone's packet %d: %v", i, v)
		}
	}
	if most := 30 * (200 + 50*10); passed > most {
		t.Errorf("%d packets of the flood passed; its 30 networks have %d", passed, most)
	}
}

// Nor does one from so many networks that together they spend what all strangers have.
func TestAQuietNeighbourhoodPassesWhileHundredsFlood(t *testing.T) {
	f := flood{1000, func(r *rand.Rand) netip.Addr {
		return netip.AddrFrom4([4]byte{198, 18 + byte(r.Uint32N(2)), byte(r.Uint32()), byte(r.Uint32())})
	}}
	times := map[Millis]bool{}
	for ms := Millis(1000); ms < 8000; ms += 900 {
		times[ms] = true
	}
	verdicts, _ := f.run(defaultEngine(t), sip("203.0.113.7"), 8, times)
	for i, v := range verdicts {
		if v != policy.Passed {
			t.Errorf("the phone's packet %d: %v", i, v)
		}
	}
}

// A flood from random addresses takes what strangers have, but a phone that sends
// its request again, as SIP over UDP does, gets through: its cell knows it, unless a
// forged source took the cell between. So the flood here fills the cells once in 13
// seconds; what a faster one does to phones is in proportion.
func TestAReturningSourceGetsTheReserve(t *testing.T) {
	const (
		phones, seconds = 300, 12
		each            = Cells / 13_000
		start           = 10_000_000
	)
	e, rng := defaultEngine(t), rand.New(rand.NewPCG(5, 5))
	due := map[Millis][]int{}
	for phone := range phones {
		at := 2000 + Millis(rng.Uint64N(2000))
		for _, wait := range []Millis{0, 500, 1000, 2000, 4000} { // RFC 3261 §17.1.2: T1, 2 T1, ...
			at += wait
			due[at] = append(due[at], phone)
		}
	}
	through, passed := map[int]bool{}, 0
	for ms := range Millis(seconds * 1000) {
		for range each {
			v := rng.Uint32()
			a := netip.AddrFrom4([4]byte{1 + byte(v>>24)%223, byte(v >> 16), byte(v >> 8), byte(v)})
			if !e.Judge(Packet{Source: a, Service: policy.SIP}, start+ms).Verdict.Drops() {
				passed++
			}
		}
		for _, phone := range due[ms] {
			p := Packet{Source: netip.AddrFrom4([4]byte{203, byte(phone >> 4), 113, byte(phone)}), Service: policy.SIP}
			if !through[phone] && e.Judge(p, start+ms).Verdict == policy.Passed {
				through[phone] = true
			}
		}
	}
	if len(through) < phones*99/100 {
		t.Errorf("%d of %d phones got through", len(through), phones)
	}
	if most := 4000 + 2000*seconds; passed > most {
		t.Errorf("%d packets of the flood passed; all strangers have %d", passed, most)
	}
}

// A registered phone does not notice any flood of strangers, even out of its own network.
func TestARegisteredSourceDoesNotMeetStrangers(t *testing.T) {
	e := defaultEngine(t)
	phone := sip("198.18.0.7")
	if err := e.PutSource(KeyOf(phone.Source), Source{Class: policy.Registered}); err != nil {
		t.Fatal(err)
	}
	f := flood{50, func(r *rand.Rand) netip.Addr {
		return netip.AddrFrom4([4]byte{198, 18, 0, byte(8 + r.Uint32N(248))})
	}}
	times := map[Millis]bool{}
	for ms := Millis(0); ms < 5000; ms += 10 {
		times[ms] = true
	}
	verdicts, _ := f.run(e, phone, 5, times)
	for i, v := range verdicts {
		if v != policy.Passed {
			t.Fatalf("packet %d: %v", i, v)
		}
	}
}

func TestBansEndAndExpiredSourcesAreUnknown(t *testing.T) {
	e := defaultEngine(t)
	phone := sip("198.18.0.7")
	put := func(s Source) {
		t.Helper()
		if err := e.PutSource(KeyOf(phone.Source), s); err != nil {
			t.Fatal(err)
		}
	}
	judge := func(now Millis) Ruling { return e.Judge(phone, now) }
	put(Source{Class: policy.Ban, Until: 100})
	if r := judge(99_999); r.Verdict != policy.Banned {
		t.Errorf("a millisecond before its end: %v", r)
	}
	if r := judge(100_000); r.Verdict != policy.Passed || r.Class != policy.Unknown {
		t.Errorf("at its end: %v", r)
	}
	put(Source{Class: policy.Registered, Until: 200})
	if r := judge(199_999); r.Class != policy.Registered {
		t.Errorf("registered: %v", r)
	}
	if r := judge(200_000); r.Class != policy.Unknown {
		t.Errorf("registered no longer: %v", r)
	}
}
