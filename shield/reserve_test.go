package shield

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fakeSysctl is a pair of files with what the kernel would say.
func fakeSysctl(t *testing.T, ephemeral, reserved string) sysctl {
	t.Helper()
	dir := t.TempDir()
	s := sysctl{filepath.Join(dir, "range"), filepath.Join(dir, "reserved")}
	for path, text := range map[string]string{s.ephemeral: ephemeral, s.reserved: reserved} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestMediaPortsAreReserved(t *testing.T) {
	for name, c := range map[string]struct {
		ephemeral, reserved string
		want                []span
		added, after        string
	}{
		"the usual range, nothing reserved":   {"32768\t60999\n", "\n", []span{{30000, 39999}}, "30000-39999", "30000-39999"},
		"others' reservations stay":           {"32768\t60999\n", "8080,50000-50010\n", []span{{30000, 39999}}, "30000-39999", "8080,30000-39999,50000-50010"},
		"neighbours are joined":               {"32768\t60999\n", "40000\n", []span{{30000, 39999}}, "30000-39999", "30000-40000"},
		"it is reserved already":              {"32768\t60999\n", "20000-45000\n", []span{{30000, 39999}}, "", "20000-45000"},
		"it is reserved in two pieces":        {"32768\t60999\n", "30000-35000,35001-39999\n", []span{{30000, 39999}}, "", "30000-35000,35001-39999"},
		"the kernel lends others":             {"50000\t60999\n", "\n", []span{{30000, 39999}}, "", ""},
		"two ranges, one of them to be added": {"32768\t60999\n", "\n", []span{{10000, 19999}, {40000, 49999}}, "40000-49999", "40000-49999"},
	} {
		t.Run(name, func(t *testing.T) {
			s := fakeSysctl(t, c.ephemeral, c.reserved)
			added, err := s.reserve(c.want)
			if err != nil {
				t.Fatal(err)
			}
			if got := formatSpans(added); got != c.added {
				t.Errorf("added %q, want %q", got, c.added)
			}
			text, err := os.ReadFile(s.reserved)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimSpace(string(text)); got != c.after {
				t.Errorf("reserved are %q, want %q", got, c.after)
			}
		})
	}
}

func TestASpanWithoutAHole(t *testing.T) {
	whole := span{100, 200}
	for hole, want := range map[span][]span{
		{1, 50}:    {{100, 200}},
		{201, 300}: {{100, 200}},
		{1, 150}:   {{151, 200}},
		{150, 300}: {{100, 149}},
		{120, 130}: {{100, 119}, {131, 200}},
		{1, 300}:   nil,
	} {
		if got := whole.without(hole); !slices.Equal(got, want) {
			t.Errorf("without %v: %v, want %v", hole, got, want)
		}
	}
}

func TestPortsThatCannotBeReservedAreNotFiltered(t *testing.T) {
	g := guard(t, testConfig(t))
	g.sysctl = fakeSysctl(t, "32768\t60999\n", "50000-50010\n")
	g.sysctl.reserved += "/not/writable"
	sip := Port{First: 5060, Last: 5060, Service: 1}
	got := g.reserve([]Port{sip, {First: 30000, Last: 39999, Service: 4}})
	want := []Port{sip, {First: 30000, Last: 32767, Service: 4}}
	if !slices.Equal(got, want) {
		t.Errorf("filtered are %v, want %v", got, want)
	}
}

func TestPortsThatMakeNoSenseAreRefused(t *testing.T) {
	g := guard(t, testConfig(t))
	for name, p := range map[string]Port{
		"no port": {Service: 1}, "backwards": {First: 9, Last: 8, Service: 1},
		"no service": {First: 5060, Last: 5060}, "an unknown service": {First: 5060, Last: 5060, Service: 9},
		"RTP over TCP": {TCP: true, First: 30000, Last: 39999, Service: 4},
	} {
		if err := g.Serve("edge", []Port{p}); err == nil {
			t.Errorf("%s: served", name)
		}
	}
}
