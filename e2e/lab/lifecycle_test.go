package lab

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A dialled is what `lindero dial --json` says of a call.
type dialled struct {
	OK       bool    `json:"ok"`
	Why      string  `json:"why"`
	Seconds  float64 `json:"seconds"`
	Received int     `json:"received"`
	Lost     int     `json:"lost"`
}

// call has one user talk to another for a while, does something meanwhile, and says
// what the caller heard.
func (f *floodLab) call(t *testing.T, long time.Duration, meanwhile func()) (heard dialled) {
	t.Helper()
	account := func(user, tone, expect string) []string {
		return []string{"dial", "--from", "sip:" + user + "@" + crewDomain, "--password", crewPassword, "--server", "198.51.100.10:5060",
			"--tone", tone, "--expect-tone", expect, "--json"}
	}
	called := Start(t, "the called", f.residents.Command(t.Context(), binary, append(account("101", "880", "440"), "--answer")...))
	called.Await("waiting", 1, 10*time.Second)
	caller := Start(t, "the caller", f.newcomers.Command(t.Context(), binary, append(account("102", "440", "880"), "101", "--for", long.String())...))
	if meanwhile != nil {
		meanwhile()
	}
	if err := caller.Wait(long + 20*time.Second); err != nil {
		t.Errorf("the caller: %v", err)
	}
	if err := called.Wait(10 * time.Second); err != nil {
		t.Errorf("the called: %v", err)
	}
	for line := range strings.Lines(caller.Output()) {
		if strings.HasPrefix(line, "{") {
			if err := json.Unmarshal([]byte(line), &heard); err != nil {
				t.Fatal(err)
			}
		}
	}
	return heard
}

// program is what the server's device has, "" when nothing.
func (f *floodLab) program() string {
	return regexp.MustCompile(`prog/xdp id \d+`).FindString(f.server.Run("ip", "link", "show", "eth0"))
}

// until waits for what has to come about.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	limit := time.After(10 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}

// A call goes on, and the filter stays in force, whatever becomes of the pins and of
// the size of frames; when the device is made anew, so is the filter.
func TestACallGoesOnWhileTheFilterIsHandled(t *testing.T) {
	f := newFloodLab(t, "devices: eth0\nshield: {pin: %s/bpf}")
	dir := filepath.Join(f.data, "bpf", "eth0")
	whole := func() bool { pins, err := os.ReadDir(dir); return err == nil && len(pins) == 13 }
	before := f.program()
	if before == "" || !whole() {
		t.Fatalf("there is no filter: %q", before)
	}
	heard := f.call(t, 6*time.Second, func() {
		for _, remove := range []func() error{
			func() error { return os.Remove(filepath.Join(dir, "link")) },
			func() error { return os.Remove(filepath.Join(dir, "state")) },
			func() error { return os.RemoveAll(dir) },
		} {
			if err := remove(); err != nil {
				t.Fatal(err)
			}
			if now := f.program(); now != before {
				t.Errorf("without pins the device has %q, had %q", now, before)
			}
			until(t, "the pins come back", whole)
		}
		for _, size := range []string{"9000", "1400", "1500"} {
			f.server.Run("ip", "link", "set", "eth0", "mtu", size)
		}
	})
	if !heard.OK || heard.Seconds < 5 || heard.Lost > 2 {
		t.Errorf("during all that the caller heard %+v", heard)
	}
	c := f.counters(t)
	if c["leg"] < 500 || c["unclassified"] != 0 || f.program() != before {
		t.Errorf("counted %v by %q, which was %q", c, f.program(), before)
	}

	f.server.Run("ip", "link", "del", "eth0")
	f.connect(f.server, "eth0", netip.MustParseAddr("198.51.100.10"))
	until(t, "the new device is filtered", func() bool { return f.program() == before })
	if heard := f.call(t, 2*time.Second, nil); !heard.OK || heard.Lost > 2 {
		t.Errorf("by the new device the caller heard %+v", heard)
	}
	if after := f.counters(t); after["leg"] < c["leg"]+150 || after["unclassified"] != 0 || after["no_leg"] > c["no_leg"]+10 {
		t.Errorf("counted %v, before %v", after, c)
	}
}
