package edge_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/wire/sip"
)

const torture = "../wire/sip/testdata/torture"

// Each of RFC 4475's messages meets a live edge and gets what the RFC says. Core
// says 403 to whatever reaches it.
func TestTorture(t *testing.T) {
	t.Parallel()
	l := setup(t, nil)
	stop := l.core.always(403)
	defer stop()
	f, err := os.Open(filepath.Join(torture, "expected.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		rows++
		name, want := fields[0], fields[2]
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(filepath.Join(torture, name+".dat"))
			if err != nil {
				t.Fatal(err)
			}
			// Some share the top Via of others and would be taken for their repetitions.
			raw = bytes.Replace(raw, []byte("branch=z9hG4bK"), fmt.Appendf(nil, "branch=z9hG4bK%d", rows), 1)
			if name == "badbranch" {
				raw, _ = os.ReadFile(filepath.Join(torture, name+".dat"))
			}
			phone := l.udp(name, "127.0.0.1")
			phone.lenient.Store(true)
			phone.write(raw)
			got := phone.final()
			switch {
			case want == "any" && (got == "drop" || got == "400" || got == "505" || got == "513"),
				want != "any" && !slices.Contains(strings.Split(want, "|"), got):
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
	if rows < 49 {
		t.Errorf("only %d messages were tried", rows)
	}
	l.hidden()
}

// final waits for a final response and says its code, or "drop".
func (c *wire) final() string {
	wait := time.After(2 * quiet)
	for {
		select {
		case m := <-c.in:
			if m.Code >= 200 {
				return m.kind()
			}
			wait = time.After(patience)
		case <-wait:
			return "drop"
		}
	}
}

// always answers everything that core gets with code until stop is called.
func (c *fakeCore) always(code int) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case m := <-c.in:
				switch {
				case !m.IsRequest() || m.Is("ACK"):
				case m.Is("REGISTER"):
					headers := ""
					if contact := m.get(sip.Contact); contact != "" && code == 200 {
						headers = "Contact: " + contact + ";expires=300\n"
					}
					m.conn.answer(m, code, "core", headers)
				default:
					c.respond(m, code)
				}
			case <-quit:
				return
			}
		}
	}()
	return func() { close(quit); <-done }
}
