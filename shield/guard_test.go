package shield

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/shield/judge"
	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

func TestAPolicyOfCoreIsInForceAtOnceAndOutlivesCore(t *testing.T) {
	core := newFakeCore()
	cfg := core.serve(t)
	g, stop := running(t, cfg)
	if !g.Admit(addr("203.0.113.8"), policy.SIP, false) {
		t.Fatal("the built-in policy drops")
	}
	core.reported(t, "policy 0", func(r protocol.Report) bool { return r.Mode == "user" && r.PolicyVersion == 0 })

	began := time.Now()
	core.set(func(c *fakeCore) { c.policy = denying(3, "203.0.113.0/24") })
	eventually(t, "policy 3 is in force", func() bool { return verdict(g, "203.0.113.8") == "denied" })
	t.Logf("in force %v after core had it", time.Since(began))
	if g.Admit(addr("203.0.113.8"), policy.SIP, false) {
		t.Error("denied and let in")
	}
	core.reported(t, "policy 3", func(r protocol.Report) bool {
		return r.PolicyVersion == 3 && count(r.Counters, "denied") > 0
	})
	stop()

	cfg.Core = "http://127.0.0.1:1" // nobody
	g, stop = running(t, cfg)
	if g.Admit(addr("203.0.113.8"), policy.SIP, false) {
		t.Error("the last good policy is not in force between New and Run's first word of core")
	}
	eventually(t, "core is said to be away", func() bool { return g.Status().CoreFault != "" })
	if g.Admit(addr("203.0.113.8"), policy.SIP, false) || !g.Admit(addr("192.0.2.8"), policy.SIP, false) {
		t.Error("without core the last good policy is not in force")
	}
	stop()
}

// verdict is what the next datagram of a source to SIP would get.
func verdict(g *Guard, a string) string { return g.Explain(addr(a), policy.SIP).Verdict }

func count(list []protocol.Counter, verdict string) (n uint64) {
	for _, c := range list {
		if c.Verdict == verdict {
			n += c.Packets
		}
	}
	return n
}

func TestAPolicyThatDoesNotCompileChangesNothing(t *testing.T) {
	core := newFakeCore()
	core.policy = denying(3, "203.0.113.0/24")
	g, _ := running(t, core.serve(t))
	eventually(t, "policy 3 is in force", func() bool { return g.force.Load().version.Number == 3 })
	core.set(func(c *fakeCore) { c.policy = denying(4, "203.0.113.77/24") }) // has bits beyond its length
	eventually(t, "policy 4 is refused", func() bool { return g.tallied.notEnforced.Load() > 0 })
	if g.Admit(addr("203.0.113.8"), policy.SIP, false) || g.force.Load().version.Number != 3 {
		t.Error("policy 3 is not in force any more")
	}
	core.reported(t, "policy 3", func(r protocol.Report) bool { return r.PolicyVersion == 3 })
	core.mu.Lock()
	asked := core.watches
	core.mu.Unlock()
	if asked > 10 {
		t.Errorf("core was asked %d times for a policy that is no good", asked)
	}
	core.set(func(c *fakeCore) { c.policy = denying(5, "198.51.100.0/24") })
	eventually(t, "policy 5 is in force", func() bool { return g.force.Load().version.Number == 5 })
}

func TestABanGoesFromOneNodeToCoreAndBack(t *testing.T) {
	core := newFakeCore()
	g, _ := running(t, core.serve(t))
	const bad = "203.0.113.9"
	for range policy.Default().Bans.Failures {
		g.Offended(addr(bad), BadCredentials, true, "alice@\x1b[31mexample")
	}
	eventually(t, "the source is banned", func() bool { return verdict(g, bad) == "banned" })
	if g.Admit(addr(bad), policy.SIP, true) {
		t.Error("its connection is let in")
	}
	r := core.reported(t, "the ban", func(r protocol.Report) bool { return len(r.Banned) > 0 })
	b := r.Banned[0]
	if b.Prefix != pfx("203.0.113.9/32") || b.By != "edge-1" || !b.Proven || !strings.HasPrefix(b.Reason, "10 wrong credentials in 10m: alice@?[31m") {
		t.Errorf("core hears of %+v", b)
	}
	core.set(func(c *fakeCore) { c.bans, c.revision = []protocol.Ban{b}, c.revision+1 })
	eventually(t, "core's list is known here", func() bool {
		g.ledger.mu.Lock()
		defer g.ledger.mu.Unlock()
		return len(g.ledger.bans.core) == 1 && len(g.ledger.bans.here) == 0
	})
	if g.Admit(addr(bad), policy.SIP, false) {
		t.Error("the ban ended when core took it")
	}
	core.set(func(c *fakeCore) { c.bans, c.revision = nil, c.revision+1 })
	eventually(t, "the ban is lifted", func() bool { return g.Admit(addr(bad), policy.SIP, false) })
}

func TestCoresQuestionsAreAnswered(t *testing.T) {
	core := newFakeCore()
	core.policy = denying(3, "203.0.113.0/24")
	g, _ := running(t, core.serve(t))
	eventually(t, "policy 3 is in force", func() bool { return g.force.Load().version.Number == 3 })
	core.set(func(c *fakeCore) {
		c.questions = []protocol.Question{
			{ID: "q1", Address: addr("203.0.113.9"), Service: "sip"},
			{ID: "q2", Address: addr("192.0.2.9"), Service: "media"},
			{ID: "q3", Address: addr("192.0.2.9"), Service: "gopher"},
		}
	})
	r := core.reported(t, "answers", func(r protocol.Report) bool { return len(r.Answers) > 0 })
	if len(r.Answers) != 2 {
		t.Fatalf("answers: %+v", r.Answers)
	}
	a := r.Answers[0]
	if a.ID != "q1" || !a.Drops || a.Verdict != "denied" || a.Rule != "deny 203.0.113.0/24 (a test)" || a.PolicyVersion != 3 || a.Node != "edge-1" {
		t.Errorf("the answer is %+v", a)
	}
	if a := r.Answers[1]; a.ID != "q2" || a.Drops || a.Verdict != "passed" || a.Service != "media" || *a.BudgetLeft != 20 {
		t.Errorf("the answer is %+v", a)
	}
}

func TestWhatCoreDidNotTakeIsToldAgain(t *testing.T) {
	core := newFakeCore()
	core.down = true
	g, _ := running(t, core.serve(t))
	for range 100 {
		g.Admit(addr("192.0.2.77"), policy.SIP, false)
	}
	g.Offended(addr("203.0.113.9"), Scanner, true, "friendly-scanner")
	eventually(t, "a report failed with the news in it", func() bool {
		return g.tallied.reportFaults.Load() > 0 && len(g.Bans()) == 1
	})
	core.set(func(c *fakeCore) { c.down = false })
	var banned, seen bool
	core.reported(t, "the ban and the source", func(r protocol.Report) bool {
		banned = banned || len(r.Banned) == 1
		for _, s := range r.Seen {
			seen = seen || s.Address == addr("192.0.2.77") && s.Packets >= 64
		}
		return banned && seen
	})
}

func TestNobodyWithoutTheTokenIsObeyed(t *testing.T) {
	core := newFakeCore()
	core.policy = denying(3, "0.0.0.0/0")
	cfg := core.serve(t)
	if err := os.WriteFile(cfg.TokenFile, []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	g, _ := running(t, cfg)
	eventually(t, "core refuses", func() bool { return strings.Contains(g.Status().CoreFault, "401") })
	if !g.Admit(addr("203.0.113.8"), policy.SIP, false) {
		t.Error("an error page was obeyed")
	}
	if err := os.WriteFile(cfg.TokenFile, []byte(testToken), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new token is used", func() bool { return verdict(g, "203.0.113.8") == "denied" })
}

func TestAdmitCostsNoAllocation(t *testing.T) {
	g := guard(t, testConfig(t))
	sources := []netip.Addr{addr("192.0.2.1"), addr("::ffff:192.0.2.2"), addr("2001:db8::1"), addr("203.0.113.9")}
	g.note(event{kind: sawRegistration, source: sources[0], until: time.Now().Add(time.Hour)}, time.Now())
	g.note(event{kind: sawOffence, offence: Scanner, source: sources[3], proven: true}, time.Now())
	i := 0
	if n := testing.AllocsPerRun(5000, func() {
		g.Admit(sources[i%len(sources)], policy.SIP, i%8 == 0)
		i++
	}); n != 0 {
		t.Errorf("Admit allocates %v times", n)
	}
	if n := testing.AllocsPerRun(1000, func() {
		g.Offended(sources[1], Malformed, false, "detail")
		g.Known(sources[1])
	}); n != 0 {
		t.Errorf("Offended and Known allocate %v times", n)
	}
}

func TestTellingTheGuardNeverBlocks(t *testing.T) {
	g := guard(t, testConfig(t)) // does not run: nobody listens
	for range maxEvents + 1000 {
		g.Offended(addr("203.0.113.9"), Malformed, false, "")
		g.Known(netip.Addr{})
	}
	if n := g.tallied.lost.Load(); n != 1000 {
		t.Errorf("%d are counted as lost, want 1000", n)
	}
}

func TestListsWinOverBansInTheLedgerToo(t *testing.T) {
	core := newFakeCore()
	core.policy = policy.Version{Number: 2, Document: policy.Document{
		Allow:    []policy.Prefix{{Prefix: pfx("198.51.100.0/25")}},
		Carriers: []policy.Prefix{{Prefix: pfx("198.51.100.128/25")}},
	}}
	g, _ := running(t, core.serve(t))
	eventually(t, "policy 2 is in force", func() bool { return g.force.Load().version.Number == 2 })
	for _, a := range []string{"198.51.100.1", "198.51.100.200", "203.0.113.1"} {
		g.Offended(addr(a), Scanner, true, "")
	}
	eventually(t, "the one on no list is banned", func() bool { return len(g.Bans()) > 0 })
	if b := g.Bans(); len(b) != 1 || b[0].Prefix != pfx("203.0.113.1/32") {
		t.Errorf("banned are %+v", b)
	}
}

func TestConnectionsOfOneSourceAreNotHalfOpenForEver(t *testing.T) {
	cfg := testConfig(t)
	g := guard(t, cfg)
	g.note(event{kind: sawRegistration, source: addr("192.0.2.1"), until: time.Now().Add(time.Hour)}, time.Now())
	for i := range 200 { // a listener is asked when the handshake is over
		if !g.Admit(addr("192.0.2.1"), policy.SIP, true) {
			t.Fatalf("connection %d is refused: %+v", i, g.Explain(addr("192.0.2.1"), policy.Web))
		}
	}
}

func TestCountriesComeFromAFileThatMayComeLater(t *testing.T) {
	core := newFakeCore()
	de, err := geo.ParseCountry("DE")
	if err != nil {
		t.Fatal(err)
	}
	core.policy = policy.Version{Number: 2, Document: policy.Document{Countries: policy.Countries{Deny: []geo.Country{de}}}}
	cfg := core.serve(t)
	cfg.Countries = filepath.Join(t.TempDir(), "countries.mmdb")
	g, _ := running(t, cfg)
	eventually(t, "policy 2 is in force", func() bool { return g.force.Load().version.Number == 2 })
	if !g.Admit(addr("203.0.113.8"), policy.SIP, false) {
		t.Error("dropped without a country table")
	}
	writeCountries(t, cfg.Countries, map[string]string{"203.0.113.0/24": "DE", "198.51.100.0/24": "ES", "2001:db8::/32": "DE"})
	eventually(t, "the country is denied", func() bool { return verdict(g, "203.0.113.8") == "country_denied" })
	if g.Country(addr("203.0.113.8")) != de || g.Country(addr("192.0.2.1")) != geo.Unknown {
		t.Errorf("countries are %v and %v", g.Country(addr("203.0.113.8")), g.Country(addr("192.0.2.1")))
	}
	if g.Admit(addr("2001:db8::9"), policy.Web, true) || !g.Admit(addr("198.51.100.7"), policy.SIP, false) {
		t.Error("the wrong country is denied")
	}
	if g.Admit(addr("203.0.113.8"), policy.SIP, false) {
		t.Error("the country is denied and let in")
	}
	e := g.Explain(addr("203.0.113.8"), policy.SIP)
	if e.Verdict != "country_denied" || e.Country != "DE" || e.TableVersion == "" {
		t.Errorf("explained as %+v", e)
	}
	core.reported(t, "the table", func(r protocol.Report) bool {
		return r.TableVersion == e.TableVersion && count(r.Counters, "country_denied") > 0
	})
	if err := os.WriteFile(cfg.Countries, []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.watchOnce(t)
	if g.Admit(addr("203.0.113.8"), policy.SIP, false) {
		t.Error("a damaged file turned countries off")
	}
}

// watchOnce waits until a damaged country file was looked at and refused.
func (g *Guard) watchOnce(t *testing.T) {
	t.Helper()
	eventually(t, "the file is refused", func() bool { return g.tallied.notEnforced.Load() > 0 })
}

func TestModeOffLetsEverythingIn(t *testing.T) {
	cfg := testConfig(t)
	cfg.Mode = "off"
	g, stop := running(t, cfg)
	defer stop()
	if err := g.Ban(protocol.Ban{Prefix: pfx("203.0.113.9/32"), Until: time.Now().Add(time.Hour), Proven: true}); err != nil {
		t.Fatal(err)
	}
	if !g.Admit(addr("203.0.113.9"), policy.SIP, false) {
		t.Error("dropped in mode off")
	}
	if mode, reason := g.Mode(); mode != "off" || reason == "" {
		t.Errorf("the mode is %q: %q", mode, reason)
	}
	if e := g.Explain(addr("203.0.113.9"), policy.SIP); e.Drops || e.Mode != "off" || e.Rule == "" {
		t.Errorf("explained as %+v", e)
	}
}

func TestADeviceThatIsNotThere(t *testing.T) {
	cfg := testConfig(t)
	cfg.Devices, cfg.Pin = []string{"lindero-none"}, filepath.Join(t.TempDir(), "pin")
	if g, err := New(cfg, "edge-1", "edge", quiet(), nil); err == nil {
		mode, reason := g.Mode()
		g.Close()
		t.Fatalf("started in mode %s: %s", mode, reason)
	} else if !strings.Contains(err.Error(), "lindero-none") {
		t.Errorf("the error does not name it: %v", err)
	}
}

func TestKeysAndPrefixesAreTheSameSources(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1/32": "192.0.2.1/32", "::ffff:192.0.2.1/128": "192.0.2.1/32",
		"2001:db8:1:2::/64": "2001:db8:1:2::/64", "2001:db8:1:2::9/128": "2001:db8:1:2::/64",
		"2001:db8:1:2:8000::/65": "2001:db8:1:2::/64", "::1/128": "::/64",
		"192.0.2.0/31": "", "2001:db8::/63": "", "0:0:1:2::/64": "", "0.0.0.0/0": "",
	} {
		k, got, err := one(pfx(in))
		if want == "" {
			if err == nil {
				t.Errorf("%s is one source: %v", in, got)
			}
			continue
		}
		if err != nil || got != pfx(want) || prefixOf(k) != got {
			t.Errorf("%s is %v, want %s: %v", in, got, want, err)
		}
		if want != "::/64" && judge.KeyOf(got.Addr()) != k {
			t.Errorf("%s: the key of %v is another", in, got)
		}
	}
	if _, _, err := one(netip.Prefix{}); err == nil {
		t.Error("no prefix is one source")
	}
}

func TestAFilterLeftInForceIsToldOf(t *testing.T) {
	cfg := testConfig(t)
	cfg.Pin = t.TempDir()
	if err := os.Mkdir(filepath.Join(cfg.Pin, "eth0:7"), 0o700); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	g, err := New(cfg, "edge-1", "edge", slog.New(slog.NewTextHandler(&said, nil)), nil)
	if err != nil {
		t.Fatal(err)
	}
	g.Close()
	if !strings.Contains(said.String(), "eth0.7") || !strings.Contains(said.String(), "detach") {
		t.Errorf("the log says %s", said.String())
	}
}

// Everything at once, from many goroutines, through the end of Run and after it.
// The race detector is the judge.
func TestTheDoorMayBeUsedFromAnywhere(t *testing.T) {
	core := newFakeCore()
	reg := prometheus.NewRegistry()
	g, err := New(core.serve(t), "edge-1", "edge", quiet(), reg)
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, g)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var users sync.WaitGroup
	for n := range byte(4) {
		users.Go(func() {
			for i := byte(0); ctx.Err() == nil; i++ {
				a := netip.AddrFrom4([4]byte{203, 0, 113, n<<6 | i&63})
				g.Admit(a, policy.SIP, i%2 == 0)
				g.Known(a)
				g.Registered(a, time.Now().Add(time.Minute))
				g.Offended(a, Offence(i%4), i%3 == 0, "a test")
				g.Explain(a, policy.Service(i%5))
				g.Leg(uint16(i), i%2 == 0)
				if i%16 == 0 {
					_ = g.Ban(protocol.Ban{Prefix: netip.PrefixFrom(a, 32), Until: time.Now().Add(time.Minute)})
					_, _ = g.Lift(netip.PrefixFrom(a, 32))
					_ = g.Serve("edge", []Port{{First: 5060, Last: 5060, Service: policy.SIP}})
					_, _ = g.Top(5)
					_, _ = reg.Gather()
					g.Status()
				}
			}
		})
	}
	for i := uint64(1); i <= 50; i++ {
		core.set(func(c *fakeCore) { c.policy, c.revision = denying(i, "198.51.100.0/24"), c.revision+1 })
	}
	eventually(t, "the last policy is in force", func() bool { return g.force.Load().version.Number == 50 })
	stop()
	users.Wait()
	s, err := readState(g.cfg.State)
	if err != nil || s.Policy == nil || s.Policy.Number != 50 || len(s.Bans) == 0 {
		t.Errorf("the state at the end: policy %+v, %d bans, %v", s.Policy, len(s.Bans), err)
	}
}

// A kernel may say for pages why it will not filter. Core takes phrases; a report that
// is too long for it would never come through, with the bans and counters in it.
func TestALongReasonIsToldShort(t *testing.T) {
	core := newFakeCore()
	g := guard(t, core.serve(t))
	at := *g.post.Load()
	at.reason = strings.Repeat("the verifier says ñ\n", 1000)
	g.post.Store(&at)
	run(t, g)
	r := core.reported(t, "why", func(r protocol.Report) bool { return r.Reason != "" })
	if len(r.Reason) > maxPhrase || strings.Contains(r.Reason, "\n") || !strings.HasPrefix(r.Reason, "the verifier says ñ the") {
		t.Errorf("%d bytes: %q", len(r.Reason), r.Reason)
	}
}

// A node that core will not hear says so, once, and why.
func TestARefusedReportIsSaid(t *testing.T) {
	var mu sync.Mutex
	var text strings.Builder
	log := slog.New(slog.NewTextHandler(lockedWriter{&mu, &text}, nil))
	core := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `{"title":"Forbidden","status":403,"detail":"the token of west speaks for edge-w1 and not for edge-1"}`)
	}))
	t.Cleanup(core.Close)
	cfg := testConfig(t)
	cfg.Core = core.URL
	g, err := New(cfg, "edge-1", "edge", log, nil)
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, g)
	eventually(t, "two reports are refused", func() bool { return g.tallied.reportFaults.Load() >= 2 })
	stop()
	mu.Lock()
	defer mu.Unlock()
	if n := strings.Count(text.String(), "core takes no report"); n != 1 || !strings.Contains(text.String(), "not for edge-1") || strings.Contains(text.String(), "title") {
		t.Errorf("said %d times\n%s", n, text.String())
	}
}

// A lockedWriter lets a test read what a logger writes.
type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
