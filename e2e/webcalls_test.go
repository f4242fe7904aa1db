package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/lindero/lindero/phone"
)

// Somebody looks at a call while it goes on, at its legs, and at its record after it.
func TestThePageShowsCalls(t *testing.T) {
	p := startPortal(t)
	at, token := p.address()
	p.do("the printed address opens", chromedp.Navigate(at+"#token="+token))
	p.open("Calls")
	p.shows("main", "No calls go on.")
	p.shows("main", "No call has ended yet.")

	line := newLossyLine(t, p.sip, 10)
	alice := newPhone(t, p.instance, "101", "udp", func(c *phone.Config) { c.Server = line.address() })
	bob := newPhone(t, p.instance, "102", "udp")
	alice.register()
	bob.register()
	call := alice.talk(bob)

	const row = "tr[data-call]"
	p.shows(row, "101 → 102")
	p.shows("h2", "1 call goes on")
	p.until("both sides are rated in words", func() bool {
		text := p.text(row)
		return strings.Contains(text, "talking") && strings.Contains(text, "poor") && strings.Contains(text, "good") && strings.Contains(text, "user space")
	})
	p.press(row, "Details")
	p.shows("[data-side=caller]", "the first in the list of edge edge")
	p.shows("[data-side=callee]", "From the phone")
	p.until("the legs' last minutes are drawn", func() bool { return len(p.charts()) == 4 })
	for _, label := range p.charts() {
		if !strings.Contains(label, "jitter up to") || !strings.Contains(label, "loss up to") {
			t.Errorf("a plot is read out as %q", label)
		}
	}
	if href := p.eval("location.search"); !strings.HasPrefix(href, "?call=") {
		t.Errorf("the call is not in the address: %s", href)
	}
	p.picture("calls-light", "light", 1280)
	p.picture("calls-dark", "dark", 1280)
	p.picture("calls-narrow", "light", 390)
	if wide := p.eval("String(document.documentElement.scrollWidth)"); wide != "390" {
		t.Errorf("at 390 pixels the page is %s wide", wide)
	}
	p.picture("", "light", 1280)

	call.hangup()
	p.shows("main", "This call goes on no more.")
	const record = "tr[data-record]"
	p.until("the record has the call's quality", func() bool {
		text := p.text(record)
		return strings.Contains(text, "answered") && strings.Contains(text, "poor") && strings.Contains(text, "good")
	})
	p.do("Spanish is chosen", chromedp.SendKeys(chromedp.CSS("select[aria-label=Language]"), "Esp"))
	p.shows("h1", "Llamadas")
	p.shows(record, "mala")
	p.mustBeQuiet()
}

// charts are the labels of the plots.
func (p *portal) charts() []string {
	all := p.eval(`[...document.querySelectorAll(".leg-chart svg")].map((s) => s.getAttribute("aria-label")).join("\n")`)
	return strings.FieldsFunc(all, func(r rune) bool { return r == '\n' })
}

// picture makes the window so wide and light or dark; and keeps what is seen in the
// folder that LINDERO_SCREENSHOTS names, if any, for people to look at.
func (p *portal) picture(name, scheme string, width int64) {
	p.t.Helper()
	p.do("the window is "+scheme+" and "+strconv.Itoa(int(width))+" wide", chromedp.EmulateViewport(width, 1500),
		chromedp.Func(func(ctx context.Context, on *chromedp.Target) error {
			_, err := cdp.Call(ctx, on, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
			})
			return err
		}))
	dir := os.Getenv("LINDERO_SCREENSHOTS")
	if dir == "" || name == "" {
		return
	}
	p.do("a picture is taken", chromedp.Func(func(ctx context.Context, on *chromedp.Target) error {
		shot, err := cdp.Call(ctx, on, page.CaptureScreenshot, page.CaptureScreenshotParams{})
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name+".png"), shot.Data, 0o644)
	}))
}
