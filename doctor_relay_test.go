package main

import (
	"context"
	"crypto/x509"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/bpf"
	"github.com/lindero/lindero/relay"
	"github.com/lindero/lindero/wire/ng"
	"github.com/lindero/lindero/wire/sip/transport"
)

// about is the first finding about what, with all it says in one text.
func about(t *testing.T, all []finding, what string) (state, string) {
	t.Helper()
	i := slices.IndexFunc(all, func(f finding) bool { return f.what == what })
	if i < 0 {
		t.Fatalf("nothing about %s in %v", what, all)
	}
	return all[i].state, all[i].found + "; " + all[i].means
}

func TestDoctorLooksAtARelaysFile(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "crt"), filepath.Join(dir, "key")
	if err := transport.SelfSigned([]string{"127.0.0.1"}, cert, key); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(dir, "relay.yaml")
	text := "role: relay\nng: 127.0.0.1:0\nng_listen: [tcp://" + taken.Addr().String() + ", tls://203.0.113.7:2224]\n" +
		"ng_tls: {cert: " + cert + ", key: " + key + ", client_ca: " + cert + "}\ninternal: 203.0.113.8\n" +
		"shield: {devices: [nosuch0], state: " + dir + "/s.json}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, devices, err := relayConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	all := examineRelay(t.Context(), cfg, devices)
	for what, want := range map[string]struct {
		state state
		says  string
	}{
		"relay control":         {good, "is free"},
		"relay control, tcp":    {wrong, "is taken by"},
		"relay control, tls":    {wrong, "203.0.113.7 is no address of this machine"},
		"certificate":           {good, "is good until"},
		"client authority":      {good, "is good until"},
		"media address":         {good, "127.0.0.1"},
		"media ports":           {good, "30000-39999"},
		"forwarding on nosuch0": {less, "by user space; "},
		"routing on nosuch0":    {less, "sysctl -w net.ipv4.conf.nosuch0.forwarding=1"},
	} {
		if state, says := about(t, all, what); state != want.state && what != "media ports" || !strings.Contains(says, want.says) {
			t.Errorf("%s: %s, %s", what, state, says)
		}
	}
	if err := judge(all); err == nil {
		t.Error("nothing is in the way")
	}
	if err := os.WriteFile(file, []byte("role: core\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := relayConfig(file); err == nil {
		t.Error("a core's file is a relay's")
	}
}

// What the README shows of a relay's file is one.
func TestTheREADMEsRelayCanBeRead(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(readme), "```yaml\n")
	text, _, ok := strings.Cut(text, "```")
	if !ok || !strings.Contains(text, "role: relay") {
		t.Fatalf("no file of a relay in the README: %q", text)
	}
	if err := decodeConfig("README.md", []byte(text), relayFile()); err != nil {
		t.Error(err)
	}
}

// A relay that runs has its port; that is no fault. Whoever else has it is one.
func TestDoctorKnowsARelayThatRuns(t *testing.T) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	cfg := relay.DefaultConfig()
	cfg.NG = conn.LocalAddr().(*net.UDPAddr).AddrPort()
	if state, says := about(t, examineNG(t.Context(), cfg), "relay control"); state != wrong {
		t.Errorf("%s, %s", state, says)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- ng.Serve(ctx, conn, nil, func(netip.AddrPort, ng.Command) ng.Reply { return ng.Reply{Result: ng.ResultPong} })
	}()
	if state, says := about(t, examineNG(t.Context(), cfg), "relay control"); state != good || !strings.Contains(says, "a relay answers") {
		t.Errorf("%s, %s", state, says)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestDoctorReadsCertificates(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for days, want := range map[int]state{-1: wrong, 3: less, 300: good} {
		c := &x509.Certificate{NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(0, 0, days)}
		if f := validity("certificate", "crt", c, now); f.state != want || f.state != good && f.means == "" {
			t.Errorf("%d days left: %+v", days, f)
		}
	}
	if f := validity("certificate", "crt", &x509.Certificate{NotBefore: now.AddDate(0, 0, 1), NotAfter: now.AddDate(1, 0, 0)}, now); f.state != wrong {
		t.Errorf("not yet: %+v", f)
	}
	empty := filepath.Join(t.TempDir(), "ca")
	if err := os.WriteFile(empty, []byte("nothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if f := authorities(empty, now); f.state != wrong || !strings.Contains(f.found, "no certificate in") {
		t.Errorf("%+v", f)
	}
	if all := examineCertificates(relay.NGTLS{Cert: empty, Key: empty, ClientCA: empty}, now); len(all) != 2 || all[0].state != wrong {
		t.Errorf("%+v", all)
	}
}

func TestDoctorOnForwarding(t *testing.T) {
	for mode, want := range map[bpf.Mode]state{bpf.Native: good, bpf.Generic: less, bpf.TCX: less, bpf.None: less} {
		f := forwardFinding("eth0", func(string) (bpf.Mode, string) { return mode, "since; user space sends, as sysctl x is 0" })
		if f.state != want || strings.Contains(f.means, "sysctl") || !strings.HasPrefix(f.means, "since") {
			t.Errorf("%s: %+v", mode, f)
		}
	}
	dir := t.TempDir()
	for family, on := range map[string]string{"ipv4": "1\n", "ipv6": "0\n"} {
		at := filepath.Join(dir, family, "conf", "eth0.7")
		if err := os.MkdirAll(at, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(at, "forwarding"), []byte(on), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	four, six := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	if f := routeFinding(dir, "eth0.7", []netip.Addr{four}); f.state != good {
		t.Errorf("%+v", f)
	}
	if f := routeFinding(dir, "eth0.7", []netip.Addr{four, six}); f.state != less ||
		!strings.Contains(f.means, "sysctl -w net.ipv6.conf.eth0/7.forwarding=1") || strings.Contains(f.means, "net.ipv4") {
		t.Errorf("%+v", f)
	}
	for _, c := range []struct {
		ports  int
		most   uint64
		raises bool
		want   state
	}{{20000, 65536, false, good}, {40000, 20000, false, less}, {40000, 20000, true, good}} {
		if f := filesFinding(c.ports, c.most, c.raises); f.state != c.want {
			t.Errorf("%+v: %+v", c, f)
		}
	}
	if driver("nosuch0") != "" {
		t.Error("a device that is not there has a driver")
	}
}
