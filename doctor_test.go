package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"github.com/lindero/lindero/bpf"
	"github.com/lindero/lindero/relay"
)

func TestDoctorExplainsWhatItFinds(t *testing.T) {
	findings := examine(t.Context(), t.TempDir())
	named := map[string]bool{}
	for _, f := range findings {
		named[f.what] = true
		if f.found == "" {
			t.Errorf("%s: finds nothing", f.what)
		}
		if f.state != good && f.means == "" && !strings.Contains(f.found, "unknown") {
			t.Errorf("%s is %s (%s) and does not say what that means", f.what, f.state, f.found)
		}
	}
	for _, what := range []string{"kernel", "XDP", "CAP_NET_ADMIN", "CAP_BPF", "BPF file system", "countries", "media ports", "SIP over UDP", "UDP receive buffer", "open files", "IPv6", "Consul", "PostgreSQL"} {
		if !named[what] {
			t.Errorf("nothing about %s", what)
		}
	}
}

func TestDoctorNamesWhoHasAPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := tryListen("tcp", l.Addr().String()); err == nil {
		t.Error("a taken port counts as free")
	}
	if err := tryListen("udp", "127.0.0.1:0"); err != nil {
		t.Errorf("a free port counts as taken: %v", err)
	}
}

func TestDoctorFailsOnlyForWhatIsNeeded(t *testing.T) {
	if err := judge([]finding{{state: good}, {state: less}}); err != nil {
		t.Errorf("the next best mode is no failure: %v", err)
	}
	if err := judge([]finding{{state: good}, {state: wrong}}); err == nil || !strings.Contains(err.Error(), strconv.Itoa(1)) {
		t.Errorf("got %v", err)
	}
}

// database writes a country database as its maker's tools would.
func database(t *testing.T, kind string, made time.Time) string {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{
		DatabaseType: kind, BuildEpoch: made.Unix(), IncludeReservedNetworks: true, RecordSize: 24, IPVersion: 6,
	})
	if err != nil {
		t.Fatal(err)
	}
	for prefix, code := range map[string]string{"192.0.2.0/24": "ES", "198.51.100.0/24": "FR", "2001:db8::/32": "ES"} {
		_, network, err := net.ParseCIDR(prefix)
		if err == nil {
			err = tree.Insert(network, mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String(code)}})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), countriesFile)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = tree.WriteTo(f)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDoctorLooksAtTheCountryDatabase(t *testing.T) {
	now := time.Date(2026, 6, 20, 12, 0, 0, 0, time.UTC)
	made := now.Add(-3 * 24 * time.Hour)
	broken := filepath.Join(t.TempDir(), "broken.mmdb")
	if err := os.WriteFile(broken, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path  string
		state state
		want  []string
	}{
		"fresh":    {database(t, "GeoLite2-Country", made), good, []string{"GeoLite2-Country of 2026-06-17, 3 days old, 2 countries", "MaxMind", "30 days"}},
		"old":      {database(t, "DBIP-Country-Lite", now.Add(-90*24*time.Hour)), less, []string{"90 days old", "lindero geo update", "CC BY 4.0"}},
		"unheard":  {database(t, "Homemade", made), good, []string{"3 days old", "licence is not known"}},
		"none":     {filepath.Join(t.TempDir(), "none.mmdb"), less, []string{"no database at", "everything else works", "lindero geo update"}},
		"no good":  {broken, less, []string{broken, "country rules are off"}},
		"just now": {database(t, "Homemade", now), good, []string{"0 days old"}},
	} {
		f := examineCountries(c.path, now)
		for _, want := range c.want {
			if f.state != c.state || !strings.Contains(f.found+"\n"+f.means, want) {
				t.Errorf("%s: no %q, or not %s: %+v", name, want, c.state, f)
			}
		}
	}
}

func TestDoctorComparesMediaPortsWithTheKernels(t *testing.T) {
	media := relay.PortRange{Low: 30000, High: 39999}
	for _, c := range []struct {
		lent, reserved string
		state          state
		want           string
	}{
		{"40000\t60999\n", "\n", good, "apart from the kernel's own 40000-60999"},
		{"32768\t60999\n", "\n", less, "lends 32768-39999"},
		{"32768\t60999\n", "8080,30000-39999\n", good, "reserved"},
		{"32768\t60999\n", "33000-39999\n", less, "ip_local_reserved_ports=30000-39999"},
		{"32768\t60999\n", "rubbish,1\n", less, "lends 32768-39999"},
		{"", "", less, "unknown"},
		{"a b", "", less, "unknown"},
	} {
		f := examineEphemeral(media, c.lent, c.reserved)
		if f.state != c.state || !strings.Contains(f.found+"\n"+f.means, c.want) {
			t.Errorf("%q, %q: %+v, want %s and %q", c.lent, c.reserved, f, c.state, c.want)
		}
	}
}

func TestDoctorTellsWhatIsNoBPFFileSystem(t *testing.T) {
	for _, path := range []string{t.TempDir(), "/nowhere"} {
		if f := examineBPFFS(path); f.state != less || !strings.Contains(f.means, "mount -t bpf bpf "+path) {
			t.Errorf("%s: %+v", path, f)
		}
	}
}

func TestDoctorSaysHowEachDeviceWouldBeFiltered(t *testing.T) {
	for _, c := range []struct {
		mode  bpf.Mode
		state state
	}{{bpf.Native, good}, {bpf.Generic, less}, {bpf.None, less}} {
		f := xdpFinding("eth7", func(device string) (bpf.Mode, string) { return c.mode, "because of " + device })
		if f.state != c.state || f.found != string(c.mode) || !strings.HasPrefix(f.means, "because of eth7") {
			t.Errorf("%s: %+v", c.mode, f)
		}
	}
	for _, f := range examineXDP() {
		if !strings.HasPrefix(f.what, "XDP") || f.found == "" || f.state == wrong {
			t.Errorf("%+v", f)
		}
	}
}
