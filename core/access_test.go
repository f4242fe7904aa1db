package core

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/wire/sip"
)

// notebook is a log that many may write to.
type notebook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (n *notebook) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.Write(p)
}

func (n *notebook) count(s string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Count(n.b.String(), s)
}

// counted is the value of the series of c that has the label value.
func counted(t *testing.T, c prometheus.Collector, value string) float64 {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(c)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == value {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// bound gives the demo company an Access.
func bound(t *testing.T, c *Core, domain string, document string) {
	t.Helper()
	company, err := c.store.Domain(t.Context(), domain)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := company.SetAccess(t.Context(), "test", json.RawMessage(document), nil); err != nil {
		t.Fatal(err)
	}
}

func TestACompanyBoundsWhereItsTerminalsAreUsed(t *testing.T) {
	const spain = `{"countries": {"default": "deny", "allow": ["ES"]}}`
	cases := map[string]struct {
		access, source string
		register, call int
		caller         string // what the B2BUA is told of the call's bound
		ground         policy.Ground
	}{
		"nothing said":              {`{}`, "203.0.113.9:5062;transport=udp", 200, 0, "", ""},
		"authorised network":        {`{"networks": [{"prefix": "203.0.113.0/24"}]}`, "203.0.113.9:5062;transport=udp", 200, 0, "", policy.GroundNetwork},
		"authorised IPv6 network":   {`{"networks": [{"prefix": "2001:db8::/32"}]}`, "[2001:db8::9]:5062;transport=udp", 200, 0, "", policy.GroundNetwork},
		"elsewhere":                 {`{"networks": [{"prefix": "203.0.113.0/24"}]}`, "198.51.100.9:5062;transport=udp", 403, 403, "", policy.GroundElsewhere},
		"no source at all":          {`{"networks": [{"prefix": "203.0.113.0/24"}]}`, "unknown", 403, 403, "", policy.GroundElsewhere},
		"a country that may":        {spain, "198.51.100.9:5062;transport=udp;edge=e1;nat=1;country=ES", 200, 0, "", policy.GroundCountry},
		"a country that may not":    {spain, "198.51.100.9:5062;transport=udp;edge=e1;nat=1;country=FR", 403, 403, "", policy.GroundElsewhere},
		"the edge has no table":     {spain, "198.51.100.9:5062;transport=udp;edge=e1;nat=1", 200, 0, "", policy.GroundCountry},
		"a road warrior":            {`{"networks": [{"prefix": "203.0.113.0/24"}], "road_warrior": 2}`, "198.51.100.9:5062;transport=udp", 200, 0, ";roaming=2", policy.GroundRoadWarrior},
		"a road warrior at home":    {`{"networks": [{"prefix": "203.0.113.0/24"}], "road_warrior": 2}`, "203.0.113.9:5062;transport=udp", 200, 0, "", policy.GroundNetwork},
		"a country and a warrior":   {`{"countries": {"default": "deny", "allow": ["ES"]}, "road_warrior": 1}`, "198.51.100.9:1;transport=udp;country=FR", 200, 0, ";roaming=1", policy.GroundRoadWarrior},
		"nobody placed where it is": {`{"countries": {"default": "deny", "unknown": "deny", "allow": ["ES"]}}`, "198.51.100.9:1;transport=udp;country=ZZ", 403, 403, "", policy.GroundElsewhere},
	}
	for name, one := range cases {
		t.Run(name, func(t *testing.T) {
			c, demo, calls := start(t, testConfig(t))
			bound(t, c, demo.Domain, one.access)
			e := dialEdge(t, c)
			e.source = one.source
			m := e.askAs(demo.login(0), request{callID: "r", headers: phone("<sip:101@192.0.2.7:5062>;expires=600")})
			wantCode(t, m, one.register)
			if got, refused := string(m.Find("Lindero-Credentials")), m.Code == 403; refused != (got == "right") {
				t.Errorf("%d says that the credentials were %q", m.Code, got)
			}
			invite := request{method: "INVITE", uri: "sip:102@demo.lindero.test", to: "<sip:102@demo.lindero.test>", callID: "i"}
			if one.call != 0 {
				wantCode(t, e.askAs(demo.login(0), invite), one.call)
				calls.none(t)
			} else {
				l := demo.login(0)
				invite.headers = []string{l.credentials(t, e.ask(invite), invite)}
				e.send(e.text(invite))
				got := calls.next(t)
				var told sip.Message
				if err := told.Scan([]byte(got)); err != nil {
					t.Fatal(err)
				}
				value := string(told.Find(callerHeader))
				if bound := strings.Contains(value, ";roaming="); !strings.HasSuffix(value, one.caller) || bound != (one.caller != "") {
					t.Errorf("the B2BUA is told %q", value)
				}
			}
			for _, g := range []policy.Ground{policy.GroundNetwork, policy.GroundCountry, policy.GroundRoadWarrior, policy.GroundElsewhere} {
				want := 0.0
				if g == one.ground {
					want = 2
				}
				if n := counted(t, c.front.doorman.judged, string(g)); n != want {
					t.Errorf("%s was counted %v times, want %v", g, n, want)
				}
			}
		})
	}
}

// A change holds from the next request on.
func TestAChangeOfAccessHoldsAtOnce(t *testing.T) {
	c, demo, _ := start(t, testConfig(t))
	e := dialEdge(t, c)
	register := func(code int) {
		t.Helper()
		wantCode(t, e.askAs(demo.login(0), request{headers: phone("<sip:101@192.0.2.7:5062>;expires=600")}), code)
	}
	register(200)
	bound(t, c, demo.Domain, `{"networks": [{"prefix": "192.0.2.0/24"}]}`)
	register(403)
	bound(t, c, demo.Domain, `{"networks": [{"prefix": "192.0.2.0/24"}, {"prefix": "203.0.113.9/32"}]}`)
	register(200)
	bound(t, c, demo.Domain, `{"networks": "rubbish"}`) // the API would not take it
	register(500)
	bound(t, c, demo.Domain, `{}`)
	register(200)
}

func TestARefusalIsLoggedOnceAMinuteForEachTerminal(t *testing.T) {
	var log notebook
	d, err := newDoorman(prometheus.NewRegistry(), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		for id := range tenancy.TerminalID(2) {
			d.tell(&tenancy.Terminal{ID: id + 1, Username: "10" + string('1'+rune(id))}, place{}, policy.Reason{Rule: "no such network", Change: []string{"authorise it"}})
		}
	}
	if n := log.count("no such network"); n != 2 || log.count("terminal=101") != 1 {
		t.Errorf("%d lines for two terminals:\n%s", n, log.b.String())
	}
	d.mu.Lock()
	d.minute-- // as when time goes by
	d.mu.Unlock()
	d.tell(&tenancy.Terminal{ID: 1, Username: "101"}, place{}, policy.Reason{Rule: "no such network"})
	if n := log.count("terminal=101"); n != 2 {
		t.Errorf("%d lines in two minutes", n)
	}
	for id := range tenancy.TerminalID(2 * maxTold) {
		d.tell(&tenancy.Terminal{ID: id}, place{}, policy.Reason{})
	}
	if len(d.told) > maxTold {
		t.Errorf("%d terminals are remembered", len(d.told))
	}
}
