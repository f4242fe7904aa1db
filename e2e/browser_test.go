package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// A browser is a real one without a window, with one page open.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string // guarded by mu; what the page threw and the browser refused
}

// startBrowser starts Chromium with a profile of its own. Without Chromium the test
// is skipped, except where all tools are meant to be.
func startBrowser(t *testing.T, width, height int) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no chromium; scripts/install-test-tools.sh installs it")
		}
		t.Skip("no chromium; make tools installs it")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(width, height),
		chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("lang", "en"),
	)
	ctx, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	t.Cleanup(stop)
	ctx, closePage := chromedp.NewContext(ctx)
	t.Cleanup(closePage)
	b := &browser{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, b.listen); err != nil { // this starts it
		t.Fatalf("starting chromium: %v", err)
	}
	b.do("the window has a size", chromedp.EmulateViewport(int64(width), int64(height)))
	return b
}

// listen keeps errors: exceptions, and what the page's own policy refused.
func (b *browser) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		what := e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			what += " " + e.ExceptionDetails.Exception.Description
		}
		b.complaints = append(b.complaints, what)
	case *log.EventEntryAdded:
		// A refused request is the page's to show, and most tests make one.
		if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork {
			b.complaints = append(b.complaints, e.Entry.Text)
		}
	}
}

// mustBeQuiet fails when the page threw something or broke its own policy.
func (b *browser) mustBeQuiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.complaints {
		b.t.Errorf("the browser complains: %s", c)
	}
}

// do runs actions, which wait for what they need, and ends the test when that does
// not come. what says what was meant to happen.
func (b *browser) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 2*patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatalf("%s: %v\nthe page says:\n%s", what, err, b.text("body"))
	}
}

// text is what can be read in the first element that selector finds; empty when
// there is none.
func (b *browser) text(selector string) string {
	return b.eval(fmt.Sprintf(`document.querySelector(%q)?.innerText ?? ""`, selector))
}

// attribute is an attribute of the first element that selector finds.
func (b *browser) attribute(selector, name string) string {
	return b.eval(fmt.Sprintf(`document.querySelector(%q)?.getAttribute(%q) ?? ""`, selector, name))
}

func (b *browser) eval(script string) string {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	s, err := chromedp.Run(ctx, chromedp.Evaluate[string](script))
	if err != nil {
		return err.Error()
	}
	return s
}

// until waits for a condition on the page.
func (b *browser) until(what string, condition func() bool) {
	b.t.Helper()
	if !eventually(2*patience, condition) {
		b.t.Fatalf("not within %v: %s\nthe page says:\n%s", 2*patience, what, b.text("body"))
	}
}

// shows waits until the element that selector finds holds the words.
func (b *browser) shows(selector, words string) {
	b.t.Helper()
	b.until(fmt.Sprintf("%s shows %q", selector, words), func() bool { return strings.Contains(b.text(selector), words) })
}

// press clicks the button or link that says exactly this, within the element that
// selector finds.
func (b *browser) press(selector, words string) {
	b.t.Helper()
	mark := fmt.Sprintf(`(() => {
		const all = [...(document.querySelector(%q)?.querySelectorAll("button, a") ?? [])]
		const one = all.find((e) => e.innerText.trim() === %q && !e.disabled)
		document.querySelector("[data-pressed]")?.removeAttribute("data-pressed")
		one?.setAttribute("data-pressed", "")
		return one ? "found" : ""
	})()`, selector, words)
	b.until(fmt.Sprintf("%q can be pressed in %s", words, selector), func() bool { return b.eval(mark) == "found" })
	b.do("pressing "+words, chromedp.Click(chromedp.CSS("[data-pressed]")))
}

// write replaces what is in a field, as typing over it would.
func (b *browser) write(selector, text string) {
	b.t.Helper()
	b.do("writing into "+selector, chromedp.Focus(chromedp.CSS(selector)))
	b.eval(fmt.Sprintf(`(document.querySelector(%q).select(), "")`, selector))
	b.do("writing into "+selector, chromedp.Func(func(ctx context.Context, page *chromedp.Target) error {
		_, err := cdp.Call(ctx, page, input.InsertText, input.InsertTextParams{Text: text})
		return err
	}))
}

// key presses one key where the focus is.
func (b *browser) key(name string) {
	b.t.Helper()
	b.do("pressing a key", chromedp.KeyEvent(name))
}

// idle lets the page work until nothing has changed in it for a moment.
func (b *browser) idle() {
	b.t.Helper()
	last, since := "", time.Now()
	b.until("the page comes to rest", func() bool {
		if now := b.eval(`document.body.innerHTML`); now != last {
			last, since = now, time.Now()
		}
		return time.Since(since) > 200*time.Millisecond
	})
}
