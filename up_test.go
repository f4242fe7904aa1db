package main

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
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
	if f.Edge.SIP.String() != "127.0.0.1:5060" || f.Edge.Core[0] != f.Core.SIP || f.Edge.Relays[0].NG != f.Relay.NG {
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
	database, at := "sqlite:"+d.file("lindero.db"), netip.MustParseAddrPort("192.0.2.1:5060")
	first, err := d.ensureDemo(t.Context(), database, at)
	if err != nil {
		t.Fatal(err)
	}
	if first.Edge != at.String() {
		t.Errorf("the sheet says that the edge is at %q", first.Edge)
	}
	at = netip.MustParseAddrPort("192.0.2.1:5080") // it moves
	second, err := d.ensureDemo(t.Context(), database, at)
	if err != nil {
		t.Fatal(err)
	}
	if first.Users[0] != second.Users[0] || len(second.Users) != 2 {
		t.Errorf("the accounts were %v and are %v", first.Users, second.Users)
	}
	if text, err := os.ReadFile(d.file("demo.json")); err != nil || second.Edge != at.String() || !strings.Contains(string(text), at.String()) {
		t.Errorf("the edge moved to %v, %v and the sheet says %s", at, err, text)
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

func TestEveryAddressHasAFlagThatChangesIt(t *testing.T) {
	f, flags := newUpFile(), given(t).Flags()
	settings := settingsOf(f, upName)
	if len(settings) != 6 {
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
	_, err = lindero(t, "up", "--data", data, "--metrics", "off", "--sips", "",
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
