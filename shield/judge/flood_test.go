package judge

import (
	"encoding/binary"
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

// world is any address of the world's unicast ones.
func world(r *rand.Rand) netip.Addr {
	n := 1<<24 + r.Uint32N(223<<24)
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// newcomers lets 1,000 phones that nobody knows, each of another network, try for
// eight seconds each as SIP over UDP does (RFC 3261 §17.1.2: after T1, 2 T1, ...)
// while a flood of so many packets a millisecond goes on, until enough of them got a
// packet through. It returns how many did, how many at their first, how many packets
// of the flood passed, and how long it took.
func newcomers(t *testing.T, each, enough int) (through, first, passed int, took Millis) {
	const phones, start, end = 1000, 10_000_000, 9000
	e, rng := defaultEngine(t), rand.New(rand.NewPCG(5, 5))
	due, tries := map[Millis][]int{}, make([]int, phones)
	for phone := range phones {
		at := 200 + Millis(rng.Uint64N(1000))
		for _, wait := range []Millis{0, 500, 1000, 2000, 4000} {
			at += wait
			due[at] = append(due[at], phone)
		}
	}
	in := make([]bool, phones)
	for ; took < end && through < enough; took++ {
		for range each {
			if e.Judge(Packet{Source: world(rng), Service: policy.SIP}, start+took).Verdict == policy.Passed {
				passed++
			}
		}
		for _, phone := range due[took] {
			p := Packet{Source: netip.AddrFrom4([4]byte{203, byte(phone >> 8), byte(phone), 7}), Service: policy.SIP}
			if in[phone] {
				continue
			}
			tries[phone]++
			if in[phone] = e.Judge(p, start+took).Verdict == policy.Passed; in[phone] {
				through++
				first += 1 / tries[phone]
			}
		}
	}
	return through, first, passed, took
}

// A flood of a million packets a second from random addresses of the whole world
// takes what strangers have, but a phone that sends its request again gets through:
// that it was refused is remembered until then.
func TestAPhoneThatSendsAgainGetsTheReserve(t *testing.T) {
	through, first, passed, took := newcomers(t, 1000, 990)
	t.Logf("%d of 1,000 phones got through, %d of them at once, in %d ms; %d packets of the flood", through, first, took, passed)
	if through < 980 {
		t.Errorf("%d of 1,000 phones got through", through)
	}
	if most := 4000 + 2*int(took); passed+through > most {
		t.Errorf("%d packets passed; all strangers have %d", passed+through, most)
	}
	if first > 200 {
		t.Errorf("%d phones got through at once: no flood to speak of", first)
	}
	if through, first, _, _ = newcomers(t, 0, 1000); first != 1000 {
		t.Errorf("without a flood %d of 1,000 phones got through, %d at once", through, first)
	}
}

// Nor do sources that never come back pass for others that did: of a bucket that
// nothing fills, the quarter for who returns is still there for phones. Random IPv4
// addresses do repeat themselves; IPv6 has too many, so there it is chance alone.
func TestARandomFloodDoesNotReturn(t *testing.T) {
	const refused, spend, flood = 2_500_000, 100_000, 1_000_000
	for name, row := range map[string]struct {
		from func(*rand.Rand) netip.Addr
		most int // of a million; strangers have 2,000 in a second
	}{
		"IPv4": {world, 1000},
		"IPv6": {func(r *rand.Rand) netip.Addr {
			b := [16]byte{0x20}
			binary.BigEndian.PutUint64(b[1:], r.Uint64())
			return netip.AddrFrom16(b)
		}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			e, rng, returned := NewEngine(0x5eed), rand.New(rand.NewPCG(6, 6)), 0
			e.SetPolicy(compile(t, policy.Document{Budgets: policy.Budgets{Strangers: policy.Budget{Burst: 40_000}}}))
			for range refused { // so that every place has its names
				k := KeyOf(row.from(rng))
				at := &e.refused[e.seed.Refused(k)]
				at.Store(uint64(Refused(at.Load()).with(e.seed.Name(k))))
			}
			for i := range spend + flood {
				v := e.Judge(Packet{Source: row.from(rng), Service: policy.SIP}, Millis(1000+i/1000)).Verdict
				if v == policy.Passed && i >= spend {
					returned++
				}
			}
			t.Logf("%d of a million are taken for others", returned)
			if returned > row.most || returned == 0 {
				t.Errorf("%d of a million of the flood's packets were taken for those of sources that return, want up to %d", returned, row.most)
			}
		})
	}
}

// The networks of a flood take others with them only where both places are shared.
func TestFewNeighbourhoodsMeetTheFloodsInBothRows(t *testing.T) {
	const floods, others, now = 512, 20_000, 10_000_000
	e := NewEngine(0x5eed)
	e.SetPolicy(compile(t, policy.Document{Budgets: policy.Budgets{Strangers: policy.Budget{Unlimited: true}}}))
	for n := range floods {
		for host := range 256 {
			e.Judge(Packet{Source: netip.AddrFrom4([4]byte{198, 18 + byte(n>>8), byte(n), byte(host)}), Service: policy.SIP}, now)
		}
		if v := e.Judge(Packet{Source: netip.AddrFrom4([4]byte{198, 18 + byte(n>>8), byte(n), 1}), Service: policy.SIP}, now).Verdict; v != policy.Neighbourhood {
			t.Fatalf("flooding network %d: %v", n, v)
		}
	}
	starved := 0
	for n := range others {
		p := Packet{Source: netip.AddrFrom4([4]byte{20, byte(n >> 8), byte(n), 7}), Service: policy.SIP}
		if e.Judge(p, now).Verdict != policy.Passed {
			starved++
		}
	}
	t.Logf("%d of %d networks starve", starved, others)
	if starved > others/5000 {
		t.Errorf("%d of %d networks have nothing left; want up to %d", starved, others, others/5000)
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
