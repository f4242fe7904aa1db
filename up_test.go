package main

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/lindero/lindero/core/api"
)

// given parses flags as the command line would.
func given(t *testing.T, args ...string) *cobra.Command {
	t.Helper()
	cmd := &cobra.Command{}
	newUpFile().flags(cmd)
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func TestUpIsGoodWithoutAnySetting(t *testing.T) {
	f, err := readUp("", nil, given(t))
	if err != nil {
		t.Fatal(err)
	}
	if f.Edge.SIP.String() != "127.0.0.1:5060" || f.Edge.Core[0] != f.Core.SIP || f.Edge.Relays[0].NG.AddrPort != f.Relay.NG {
		t.Errorf("the roles do not find each other: %+v", f)
	}
	if f.Core.Database != "sqlite:data/lindero.db" {
		t.Errorf("the database is %s", f.Core.Database)
	}
}

func TestFlagsWinOverTheFileAndSectionsOverBoth(t *testing.T) {
	text := "role: up\nsip: 198.51.100.10:5060\nsips: 198.51.100.10:5061\nmetrics: off\nmedia_ports: 31000-31999\nedge: {name: mine}\ncore: {ring_time: 30s}\n"
	f, err := readUp("up.yaml", []byte(text), given(t, "--sip", "198.51.100.11:5080", "--voice-ports", "41000-41099"))
	if err != nil {
		t.Fatal(err)
	}
	if f.Edge.SIP.String() != "198.51.100.11:5080" || f.Up.SIP != f.Edge.SIP {
		t.Errorf("sip is %v; the flag must win", f.Edge.SIP)
	}
	if f.Edge.SIPS.String() != "198.51.100.10:5061" || f.Process.Metrics != "off" {
		t.Errorf("sips %v, metrics %s; the file must be read", f.Edge.SIPS, f.Process.Metrics)
	}
	if f.Core.MediaPorts != "41000-41099" {
		t.Errorf("voice ports are %v", f.Core.MediaPorts)
	}
	if f.Edge.Name != "mine" || time.Duration(f.Core.RingTime) != 30*time.Second || f.Core.SIP.String() != "127.0.0.1:5070" {
		t.Errorf("sections: %+v %+v", f.Edge, f.Core)
	}
}

func TestWhatPhonesAreToldFollowsFromTheAddresses(t *testing.T) {
	cases := map[string]struct {
		flags []string
		want  string
	}{
		"by itself":               {nil, "127.0.0.1"},
		"where SIP is":            {[]string{"--sip", "192.0.2.1:5060"}, "192.0.2.1"},
		"elsewhere":               {[]string{"--sip", "192.0.2.1:5060", "--media", "192.0.2.2"}, "192.0.2.2"},
		"behind 1:1 NAT":          {[]string{"--sip", "192.0.2.1:5060", "--advertise", "203.0.113.1"}, "192.0.2.1!203.0.113.1"},
		"everywhere needs advice": {[]string{"--sip", "0.0.0.0:5060", "--advertise", "203.0.113.1", "--media", "192.0.2.1"}, "192.0.2.1!203.0.113.1"},
	}
	for name, c := range cases {
		f, err := readUp("", nil, given(t, c.flags...))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got, err := f.Relay.External.MarshalText(); err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v, want %s", name, got, err, c.want)
		}
	}
	if _, err := readUp("", nil, given(t, "--sip", "0.0.0.0:5060")); err == nil || !strings.Contains(err.Error(), "advertise: required") {
		t.Errorf("bound everywhere and telling nobody where: %v", err)
	}
}

func TestADataDirectoryIsLockedWhileOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	d, err := openDataDir(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openDataDir(path); err == nil || !strings.Contains(err.Error(), "in use by process") {
		t.Errorf("opened twice: %v", err)
	}
	d.close()
	again, err := openDataDir(path)
	if err != nil {
		t.Fatal(err)
	}
	again.close()
}

func TestTheSelfMadeCertificateStays(t *testing.T) {
	d, err := openDataDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	var before []byte
	for range 2 {
		if err := d.ensureCertificate(netip.MustParseAddr("192.0.2.1"), netip.Addr{}); err != nil {
			t.Fatal(err)
		}
		pair, err := tls.LoadX509KeyPair(d.file("tls.crt"), d.file("tls.key"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"192.0.2.1", demoDomain} {
			if err := pair.Leaf.VerifyHostname(name); err != nil {
				t.Error(err)
			}
		}
		if before != nil && string(before) != string(pair.Certificate[0]) {
			t.Error("the second start made another certificate")
		}
		before = pair.Certificate[0]
	}
}

func TestTheDemoIsSeededOnceAndRepaired(t *testing.T) {
	d, err := openDataDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	database, at := "sqlite:"+d.file("lindero.db"), places{sip: netip.MustParseAddrPort("192.0.2.1:5060"), api: "http://127.0.0.1:8080", operator: "/x/operator.token"}
	first, err := d.ensureDemo(t.Context(), database, at)
	if err != nil {
		t.Fatal(err)
	}
	if first.Edge != "192.0.2.1:5060" || first.API != at.api || first.Operator != at.operator {
		t.Errorf("the sheet says %+v", first)
	}
	for _, at := range []places{ // things move, one at a time
		{sip: netip.MustParseAddrPort("192.0.2.1:5080"), api: "http://127.0.0.1:8080", operator: "/x/operator.token"},
		{sip: netip.MustParseAddrPort("192.0.2.1:5080"), api: "http://127.0.0.1:8081", operator: "/x/operator.token"},
		{sip: netip.MustParseAddrPort("192.0.2.1:5080"), api: "http://127.0.0.1:8081", operator: "/y/operator.token"},
		{sip: netip.MustParseAddrPort("192.0.2.1:5080")},
	} {
		second, err := d.ensureDemo(t.Context(), database, at)
		if err != nil {
			t.Fatal(err)
		}
		if first.Users[0] != second.Users[0] || len(second.Users) != 2 {
			t.Errorf("the accounts were %v and are %v", first.Users, second.Users)
		}
		var kept demoSheet
		if text, err := os.ReadFile(d.file("demo.json")); err != nil || json.Unmarshal(text, &kept) != nil {
			t.Errorf("the sheet: %v %s", err, text)
		}
		for _, s := range []*demoSheet{second, &kept} {
			if s.Edge != at.sip.String() || s.API != at.api || s.Operator != at.operator {
				t.Errorf("things moved to %+v and the sheet says %+v", at, s)
			}
		}
	}
	// Killed between the seed and the sheet: the passwords are lost, the demo is not.
	if err := os.Remove(d.file("demo.json")); err != nil {
		t.Fatal(err)
	}
	third, err := d.ensureDemo(t.Context(), database, at)
	if err != nil {
		t.Fatal(err)
	}
	if len(third.Users) != 2 || third.Users[0].Password == first.Users[0].Password {
		t.Errorf("the sheet was made again as %+v", third)
	}
	if err := os.WriteFile(d.file("demo.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.ensureDemo(t.Context(), database, at); err == nil || !strings.Contains(err.Error(), "demo.json") {
		t.Errorf("half a sheet was read: %v", err)
	}
}

func TestTokensAreMadeOnceForTheirOwnerAlone(t *testing.T) {
	d, err := openDataDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	foreign := filepath.Join(t.TempDir(), "elsewhere.token")
	all := []api.Token{{Name: "operator", File: d.file(operatorToken)}, {Name: "node", File: d.file(nodeToken)}, {Name: "other", File: foreign}}
	var before [2]string
	for range 2 {
		if err := d.ensureTokens(all); err != nil {
			t.Fatal(err)
		}
		for i, token := range all[:2] {
			text, err := os.ReadFile(token.File)
			info, statErr := os.Stat(token.File)
			if err != nil || statErr != nil || info.Mode().Perm() != 0o600 || len(text) < 33 || before[i] != "" && before[i] != string(text) {
				t.Errorf("%s: %q, %v, %v", token.Name, text, info, err)
			}
			before[i] = string(text)
		}
	}
	if before[0] == before[1] {
		t.Error("both tokens are the same")
	}
	if _, err := os.Stat(foreign); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("somebody else's token was made: %v", err)
	}
}

// The page's address is printed with the token that opens it.
func TestTheTableTellsWhereThePageIs(t *testing.T) {
	d, err := openDataDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	if err := os.WriteFile(d.file(operatorToken), []byte("sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	told := func(sheet *demoSheet, at places) string {
		t.Helper()
		var b strings.Builder
		if err := d.announce(&b, sheet, at); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	at := places{sip: netip.MustParseAddrPort("192.0.2.1:5060"), api: "http://127.0.0.1:8080", operator: d.file(operatorToken)}
	for _, sheet := range []*demoSheet{nil, {Users: []demoAccount{{Extension: "101"}}}} {
		if s := told(sheet, at); !strings.Contains(s, "http://127.0.0.1:8080/#token=sesame\n") || !strings.Contains(s, "Ctrl-C ends it") {
			t.Errorf("printed\n%s", s)
		}
		if s := told(sheet, places{sip: at.sip}); strings.Contains(s, "http") {
			t.Errorf("there is no page, and it printed\n%s", s)
		}
		if s := told(sheet, places{sip: at.sip, api: at.api, operator: "/nowhere"}); !strings.Contains(s, at.api) || strings.Contains(s, "token") {
			t.Errorf("nobody has the token, and it printed\n%s", s)
		}
	}
}

func TestTheShieldFindsCoreAndItsFiles(t *testing.T) {
	f, err := readUp("", nil, given(t, "--data", "/d", "--http", "0.0.0.0:8090", "--devices", "eth0,eth1"))
	if err != nil {
		t.Fatal(err)
	}
	s := f.Shield
	if s.Core != "http://127.0.0.1:8090" || s.TokenFile != f.Core.Tokens[1].File || s.State != "/d/shield.json" || s.Control != "/d/control.sock" ||
		s.Countries != "/d/countries.mmdb" || f.Core.Countries != s.Countries || strings.Join(s.Devices, " ") != "eth0 eth1" {
		t.Errorf("shield %+v, core %+v", s, f.Core)
	}
	if f, err = readUp("", nil, given(t, "--http", "off")); err != nil || f.Shield.Core != "" || f.Core.HTTP != "off" || len(f.Core.Tokens) != 0 {
		t.Errorf("without HTTP: %+v %+v, %v", f.Shield, f.Core, err)
	}
	if _, err := readUp("", nil, given(t, "--http", "127.0.0.1:0")); err == nil || !strings.Contains(err.Error(), "--http") {
		t.Errorf("a port that nobody knows: %v", err)
	}
	text := "role: up\nhttp: 127.0.0.1:8090\nshield:\n  mode: user\n  countries: /usr/share/countries.mmdb\n"
	if f, err = readUp("up.yaml", []byte(text), nil); err != nil || f.Shield.Mode != "user" || f.Shield.Countries != "/usr/share/countries.mmdb" || f.Shield.Core != "http://127.0.0.1:8090" {
		t.Errorf("the section of the file: %+v, %v", f.Shield, err)
	}
}

func TestEveryAddressHasAFlagThatChangesIt(t *testing.T) {
	f, flags := newUpFile(), given(t).Flags()
	settings := settingsOf(f, upName)
	if len(settings) != 7 {
		t.Errorf("%d addresses: %v", len(settings), settings)
	}
	for _, s := range settings {
		if flags.Lookup(strings.TrimPrefix(s.name, "--")) == nil {
			t.Errorf("%v has no flag %s", s.addr, s.name)
		}
	}
	// A flag that is defined and not listed would be ignored.
	if n := strings.Count(flags.FlagUsages(), "      --"); n != len(upFlags) {
		t.Errorf("%d flags are defined and %d are read", n, len(upFlags))
	}
}

// freePort is an address on which nobody listens now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// A first start that cannot have its ports leaves no accounts that nobody was told.
func TestAStartWithoutItsPortsSeedsNothing(t *testing.T) {
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	data := t.TempDir()
	_, err = lindero(t, "up", "--data", data, "--metrics", "off", "--sips", "", "--http", "off",
		"--inside", "127.0.0.1:0", "--core", freePort(t), "--ng", freePort(t), "--sip", taken.LocalAddr().String())
	if err == nil || !strings.Contains(err.Error(), "--sip") {
		t.Errorf("a start on a port in use: %v", err)
	}
	if _, err := os.Stat(filepath.Join(data, "demo.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("demo.json: %v", err)
	}
}

func TestBoundEverywhereIsToldOnce(t *testing.T) {
	_, err := readUp("", nil, given(t, "--sip", "0.0.0.0:5060"))
	if err == nil || strings.Count(err.Error(), "\n") != 1 || !strings.Contains(err.Error(), "--advertise") || !strings.Contains(err.Error(), "--media") {
		t.Errorf("got %v, want two lines that name the flags", err)
	}
}

func TestHelpIsNoError(t *testing.T) {
	for _, args := range [][]string{{}, {"--help"}, {"up", "--help"}, {"edge", "--help"}, {"check", "--help"}, {"doctor", "--help"}, {"dial", "--help"}, {"--version"}} {
		if _, err := lindero(t, args...); err != nil {
			t.Errorf("%v: %v", args, err)
		}
	}
	if _, err := lindero(t, "uq"); err == nil {
		t.Error("an unknown command is accepted")
	}
	if _, err := lindero(t, "edge"); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Errorf("a role without a file: %v", err)
	}
}
