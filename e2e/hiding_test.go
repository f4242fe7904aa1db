package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/lindero/lindero/e2e/lab"
	"github.com/lindero/lindero/phone"
)

// What a phone must never see: our inside addresses, and our own headers.
var secrets = []string{"127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5", "Lindero-", "lindero-"}

// Every byte that the phones receive, in every kind of thing they do, is searched
// for the inside.
func TestNothingOfTheInsideIsSeenOutside(t *testing.T) {
	dir := lab.DataDir(t)
	file := filepath.Join(dir, "up.yaml")
	if err := os.WriteFile(file, []byte("role: up\nrelay: {internal: 127.0.0.4}\ncore: {media: 127.0.0.5}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	i := startUp(t, dir, "--config", file, "--inside", freePort(t, "127.0.0.2").String(), "--core", freePort(t, "127.0.0.3").String())
	for _, protocol := range []string{"udp", "tcp"} {
		t.Run(protocol, func(t *testing.T) {
			tap := newTap(t, protocol, i.sip)
			through := func(c *phone.Config) { c.Server = tap.address }
			alice, bob := newPhone(t, i, "101", protocol, through), newPhone(t, i, "102", protocol, through)
			alice.refused("102", 480)
			alice.refused("999", 404)
			alice.register()
			bob.register()
			call := alice.talk(bob)
			call.hear()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			for what, do := range map[string]func(context.Context) error{
				"hold by the caller": call.caller.Hold, "resume by the caller": call.caller.Resume,
				"update by the callee": call.callee.Update,
			} {
				if err := do(ctx); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
			call.hangup()
			echo, err := alice.try("600")
			if err != nil {
				t.Fatal(err)
			}
			if err := echo.Hangup(ctx); err != nil {
				t.Error(err)
			}
			alice.unregister()
			bob.unregister()
			tap.mustNotShow(t, secrets)
		})
	}
}

func (p *tap) mustNotShow(t *testing.T, words []string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.said.Bytes()
	if n := bytes.Count(all, []byte("SIP/2.0")); n < 20 {
		t.Errorf("only %d messages were seen", n)
	}
	for _, w := range words {
		if at := bytes.Index(all, []byte(w)); at >= 0 {
			t.Errorf("%q was seen outside: …%s…", w, fmt.Sprintf("%q", all[max(0, at-200):min(len(all), at+100)]))
		}
	}
}
