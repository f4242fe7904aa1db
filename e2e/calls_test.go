package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/lindero/lindero/e2e/lab"
	"github.com/lindero/lindero/phone"
)

func TestTwoPhonesTalkOverEveryTransport(t *testing.T) {
	i := startUp(t, lab.DataDir(t))
	for _, protocols := range [][2]string{{"udp", "udp"}, {"tcp", "tcp"}, {"tls", "tls"}, {"udp", "tls"}, {"tls", "udp"}} {
		t.Run(protocols[0]+" to "+protocols[1], func(t *testing.T) {
			alice, bob := newPhone(t, i, "101", protocols[0]), newPhone(t, i, "102", protocols[1])
			alice.register()
			bob.register()
			defer bob.unregister()
			defer alice.unregister()
			call := alice.talk(bob)
			call.hear()
			call.hangup()
		})
	}
}

func TestEitherSideHangsUp(t *testing.T) {
	i := startUp(t, lab.DataDir(t))
	alice, bob := newPhone(t, i, "101", "udp"), newPhone(t, i, "102", "udp")
	alice.register()
	bob.register()
	call := alice.talk(bob)
	call.hear()
	conversation{t, call.callee, call.caller, "102", "101"}.hangup()
}

func TestEchoAndGreetingAnswer(t *testing.T) {
	i := startUp(t, lab.DataDir(t))
	for _, codec := range []phone.Codec{phone.PCMU, phone.PCMA} {
		t.Run(codec.String(), func(t *testing.T) {
			alice := newPhone(t, i, "101", "udp", codecs(codec))
			alice.register()
			for _, echo := range []string{i.demo.Echo, "9196"} {
				c, err := alice.try(echo)
				if err != nil {
					t.Fatalf("101 calls %s: %v", echo, err)
				}
				listen(t, "101", c, tones["101"], tones["102"])
				if err := c.Hangup(t.Context()); err != nil {
					t.Error(err)
				}
			}
			c, err := alice.try(i.demo.Greeting)
			if err != nil {
				t.Fatalf("101 calls the greeting: %v", err)
			}
			var r phone.Report
			if !eventually(patience, func() bool { r = c.Media().Report(tones["101"]); return r.Length >= 2*time.Second }) {
				t.Fatalf("heard %v of the greeting", r.Length)
			}
			if r.Loud < 0.2 || r.Heard(tones["101"]) {
				t.Errorf("that is no greeting: %+v", r)
			}
			if err := c.Hangup(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWhatCannotBeIsRefusedWithItsCode(t *testing.T) {
	i := startUp(t, lab.DataDir(t))
	alice := newPhone(t, i, "101", "udp")
	alice.register()

	alice.refused("102", 480) // not registered
	alice.refused("999", 404) // unknown

	bob := newPhone(t, i, "102", "udp", func(c *phone.Config) { c.Manners.Busy = true })
	bob.register()
	alice.refused("102", 486)
	bob.unregister()
	bob.stop()

	bob = newPhone(t, i, "102", "udp", codecs(phone.PCMA))
	bob.register()
	narrow := newPhone(t, i, "101", "udp", codecs(phone.PCMU))
	narrow.refused("102", 488)
}

func TestAWrongPasswordAndAnUnknownUserLookAlike(t *testing.T) {
	i := startUp(t, lab.DataDir(t))
	cases := map[string]func(*phone.Config){
		"wrong password": func(c *phone.Config) { c.Password = "wrong" },
		"unknown user":   func(c *phone.Config) { c.Username = "199" },
		"both":           func(c *phone.Config) { c.Username, c.Password = "199", "wrong" },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			mallory := newPhone(t, i, "101", "udp", change)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			err := mallory.Register(ctx, time.Minute)
			if code := phone.Code(err); code != 401 && code != 403 {
				t.Errorf("registering: %v, want a refusal", err)
			} else {
				t.Logf("answered %d", code)
			}
			if _, err := mallory.try("600"); phone.Code(err) != 407 && phone.Code(err) != 403 {
				t.Errorf("calling: %v, want a refusal", err)
			}
		})
	}
}

func TestACallerGivesUpWhileItRings(t *testing.T) {
	i := startUp(t, lab.DataDir(t))
	alice, bob := newPhone(t, i, "101", "udp"), newPhone(t, i, "102", "tcp")
	alice.register()
	bob.register()
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := alice.Dial(ctx, "102")
		failed <- err
	}()
	ringing := bob.arrives()
	if err := ringing.Ring(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-failed; err == nil {
		t.Error("the call was answered")
	}
	select {
	case <-ringing.Done():
	case <-time.After(patience):
		t.Error("it rings on at 102")
	}
}

// unregister removes the phone's binding.
func (h *handset) unregister() {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.t.Context()), patience)
	defer cancel()
	if err := h.Unregister(ctx); err != nil {
		h.t.Errorf("%s unregisters: %v", h.extension, err)
	}
}
