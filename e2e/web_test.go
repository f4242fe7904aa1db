package e2e

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"github.com/lindero/lindero/e2e/lab"
)

// writeCountries puts a country database into a data directory: the phones of these
// tests, which are on this machine, are in Spain.
func writeCountries(t *testing.T, dir string) {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{
		DatabaseType: "Test-Country", BuildEpoch: time.Date(2026, 6, 17, 12, 0, 0, 0, time.UTC).Unix(),
		IncludeReservedNetworks: true, RecordSize: 24, IPVersion: 6,
	})
	if err != nil {
		t.Fatal(err)
	}
	for prefix, code := range map[string]string{"127.0.0.0/8": "ES", "203.0.113.0/24": "FR"} {
		_, network, err := net.ParseCIDR(prefix)
		if err != nil {
			t.Fatal(err)
		}
		record := mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String(code)}}
		if err := tree.Insert(network, record); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.Create(filepath.Join(dir, "countries.mmdb"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := tree.WriteTo(file); err != nil {
		t.Fatal(err)
	}
	if err := file.Chmod(0o644); err != nil {
		t.Fatal(err)
	}
}

// A portal is the page of an instance in a browser.
type portal struct {
	*browser
	*instance
}

func startPortal(t *testing.T) *portal {
	t.Helper()
	b := startBrowser(t, 1280, 900)
	dir := lab.DataDir(t)
	writeCountries(t, dir)
	return &portal{browser: b, instance: startUp(t, dir)}
}

// address is what `up` prints for people: where the page is, with the token.
func (p *portal) address() (at, token string) {
	p.t.Helper()
	m := regexp.MustCompile(`(http://\S+/)#token=(\S+)`).FindStringSubmatch(p.Output())
	if m == nil {
		p.t.Fatalf("no address of the page in\n%s", p.Output())
	}
	return m[1], m[2]
}

// open goes to a section by its link, as people do.
func (p *portal) open(section string) {
	p.t.Helper()
	p.press("nav", section)
	p.shows("nav [aria-current=page]", section)
	p.idle()
}

// figure is a counter as the page has it.
func (p *portal) figure(selector string) int {
	n, err := strconv.Atoi(p.attribute(selector, "data-value"))
	if err != nil {
		return -1
	}
	return n
}

// Somebody looks after the shield for a quarter of an hour: a phone registers, its
// country is shut out by mistake and let in again, a source is banned and forgiven.
func TestThePageShowsAndChangesTheShield(t *testing.T) {
	p := startPortal(t)
	alice := newPhone(t, p.instance, "101", "udp")
	for _, step := range []struct {
		name string
		do   func(t *testing.T)
	}{
		{"sign in", p.signsIn},
		{"counters", func(t *testing.T) { p.counts(t, alice) }},
		{"map", p.mapsByKeyboard},
		{"explain", p.explains},
		{"faults", p.showsFaultsAtTheirLine},
		{"policy", p.putsAPolicy},
		{"roll back", p.rollsBack},
		{"bans", p.bansAndLifts},
		{"audit", p.audits},
		{"languages", p.speaksSpanish},
	} {
		ok := t.Run(step.name, func(t *testing.T) {
			p.t = t
			step.do(t)
		})
		if p.t = t; !ok {
			return // each begins where the one before ended
		}
	}
	p.mustBeQuiet()
}

func (p *portal) signsIn(t *testing.T) {
	at, token := p.address()
	p.do("the page opens", chromedp.Navigate(at))
	p.write("input[type=password]", "no-such-token-as-anybody-can-see")
	p.press("form", "Sign in")
	p.shows("[role=alert]", "not valid")
	p.write("input[type=password]", token)
	p.press("form", "Sign in")
	p.shows("h1", "Shield")
	p.press(".settings", "Sign out")
	p.until("signing out asks for a token again", func() bool { return p.attribute("input[type=password]", "type") != "" })

	p.do("the printed address opens", chromedp.Navigate(at+"#token="+token))
	p.shows("h1", "Shield")
	p.shows("[role=status]", "Live")
	if href := p.eval("location.href"); strings.Contains(href, "token") || strings.Contains(href, "#") {
		t.Errorf("the token stays in the address: %s", href)
	}
}

func (p *portal) counts(t *testing.T, alice *handset) {
	alice.register()
	const passed, dropped = `[data-figure=passed]`, `[data-figure=dropped]`
	p.until("the phone's packets are counted", func() bool { return p.figure(passed) > 0 })
	before := p.figure(passed)
	alice.register()
	p.until("the counter moves without a reload", func() bool { return p.figure(passed) > before })

	stranger, err := net.Dial("udp", p.sip.String())
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	p.until("dropped packets are counted too", func() bool {
		for range 20 { // more than any budget lets through
			_, _ = stranger.Write([]byte("\x00\x00\x00\x00")) // the counter says whether it came
		}
		return p.figure(dropped) > 0
	})
	p.until("the verdicts add up to the tile", func() bool {
		return p.figure(`[data-verdict=passed]`) > 0 && p.figure(`[data-verdict=unclassified]`) == 0
	})
	p.shows("main", "user") // the mode of the only node
	p.shows("main", "127.0.0.1")
}

func (p *portal) mapsByKeyboard(t *testing.T) {
	const spain, portugal = `[data-country=ES]`, `[data-country=PT]`
	p.until("Spain has packets", func() bool { return strings.Contains(p.attribute(spain, "aria-label"), "passed") })
	if class := p.attribute(spain, "class"); !strings.Contains(class, "shade-") || strings.Contains(class, "shade-0") {
		t.Errorf("Spain is drawn as %q", class)
	}
	p.do("the map is focused", chromedp.Focus(chromedp.CSS(spain)))
	p.key(kb.ArrowLeft)
	p.until("left of Spain is Portugal", func() bool { return p.eval(`document.activeElement.dataset.country ?? ""`) == "PT" })
	p.key(kb.Enter)
	p.until("Portugal is chosen", func() bool { return p.attribute(portugal, "aria-pressed") == "true" })
	p.until("nothing came from there", func() bool { return p.figure(`[data-verdict=passed]`) == 0 })
	p.key(kb.ArrowRight)
	p.key(kb.Enter)
	p.until("Spain is chosen", func() bool { return p.attribute(spain, "aria-pressed") == "true" })
	p.until("the packets are Spain's", func() bool { return p.figure(`[data-verdict=passed]`) > 0 })
}

// asks fills in the explain box and waits for a verdict.
func (p *portal) asks(address, verdict string) {
	p.t.Helper()
	p.open("Explain")
	p.write("input[name=address]", address)
	p.press("form", "Explain")
	p.until(address+" is explained as "+verdict, func() bool { return p.attribute("[data-node=edge]", "data-verdict") == verdict })
}

func (p *portal) explains(t *testing.T) {
	p.asks("203.0.113.9", "passed")
	for _, want := range []string{"France (FR)", "unknown", "Budget left", "What would change it", "at the listeners"} {
		p.shows("[data-node=edge]", want)
	}
	if p.eval("location.search") != "?address=203.0.113.9&service=sip" {
		t.Errorf("the question is not in the address: %s", p.eval("location.href"))
	}
	p.write("input[name=address]", "nobody")
	p.press("form", "Explain")
	p.shows("[role=alert]", "address")
}

func (p *portal) showsFaultsAtTheirLine(t *testing.T) {
	p.open("Policy")
	p.shows("[data-version]", "built-in")
	p.write("textarea[name=document]", "{\n  \"countries\": {\n    \"deny\": [\"FR\",\n      \"YY\"]\n  },\n  \"nonsense\": 1\n}")
	p.press("main", "Dry run")
	p.shows(".faults", "countries.deny[1]")
	p.shows(".faults li:nth-child(1)", "line 4")
	p.shows(".faults li:nth-child(2)", "line 6")
	p.write("textarea[name=document]", "{\n  \"countries\": \n}")
	p.shows(".faults", "line")
	p.press("main", "Discard changes")
	p.until("the document is as it was", func() bool { return p.text(".faults") == "" })
}

func (p *portal) putsAPolicy(t *testing.T) {
	p.open("Policy")
	p.write("input[name=add-deny]", "spain")
	p.key(kb.Enter)
	p.until("the document has it", func() bool {
		return strings.Contains(p.eval(`document.querySelector("textarea").value`), `"deny": ["ES"]`)
	})
	p.open("Bans")
	p.open("Policy") // what was begun is still there
	p.press("main", "Dry run")
	p.shows("[data-figure=summary]", "would drop 1 source")
	p.shows(".dry-run", "registered")
	p.press("main", "Put into force…")
	p.shows("dialog", "countries.deny[ES]")
	p.write("dialog input[name=note]", "by mistake")
	p.press("dialog", "Put into force and drop 1 registered")
	p.shows("[data-version]", "Version 1 is in force")
	p.shows("tr[data-version='1']", "by mistake")
	p.asks("127.0.0.1", "country_denied")
	p.shows("[data-node=edge]", "ES")
}

func (p *portal) rollsBack(t *testing.T) {
	p.open("Policy")
	p.press("tr[data-version='0']", "Compare")
	p.shows("dialog", "countries.deny[ES]")
	p.press("dialog", "Close")
	p.press("tr[data-version='0']", "Roll back")
	p.shows("dialog", "would pass again")
	p.press("dialog", "Roll back")
	p.shows("[data-version]", "Version 2 is in force")
	p.asks("127.0.0.1", "passed")
}

func (p *portal) bansAndLifts(t *testing.T) {
	p.open("Bans")
	p.write("input[name=source]", "198.51.100.0/24")
	p.write("input[name=reason]", "rang all night")
	p.press("form", "Ban")
	p.shows("[role=alert]", "prefix")
	p.write("input[name=source]", "198.51.100.9")
	p.press("form", "Ban")
	const row = `tr[data-ban="198.51.100.9/32"]`
	p.shows(row, "rang all night")
	p.shows(row, "59 min")
	p.shows(row, "operator")
	p.asks("198.51.100.9", "banned")
	p.shows("[data-node=edge]", "rang all night")
	p.open("Bans")
	p.press(row, "Lift")
	p.press("dialog", "Lift")
	p.until("the ban is gone", func() bool { return p.text(row) == "" })
	p.asks("198.51.100.9", "passed")
}

func (p *portal) audits(t *testing.T) {
	p.open("Audit")
	const actions = `[...document.querySelectorAll("tr[data-action]")].map((r) => r.dataset.action).join(" ")`
	if got, want := p.eval(actions), "ban.lift ban.put policy.rollback policy.put"; got != want {
		t.Errorf("the audit lists %s; want %s", got, want)
	}
	const put = `tr[data-action="policy.put"]`
	p.shows(put, "operator")
	p.do("its changes are unfolded", chromedp.Click(chromedp.CSS(put+" summary")))
	p.shows(put, "countries.deny[ES]")
}

func (p *portal) speaksSpanish(t *testing.T) {
	p.do("Spanish is chosen", chromedp.SendKeys(chromedp.CSS("select[aria-label=Language]"), "Esp"))
	p.shows("h1", "Auditoría")
	if lang := p.attribute("html", "lang"); lang != "es" {
		t.Errorf("the page says that its language is %q", lang)
	}
	p.do("the page is loaded anew", chromedp.Reload())
	p.shows("h1", "Auditoría")
}
