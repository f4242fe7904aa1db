package lab

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// binary is the lindero under test, built once by TestMain.
var binary string

func TestMain(m *testing.M) {
	if os.Getenv(crewVariable) != "" { // phones, not a test
		os.Exit(m.Run())
	}
	dir, err := os.MkdirTemp("", "lindero-lab-")
	if err == nil {
		binary, err = Build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir) // what is left lies in the system's temporary directory
	os.Exit(code)
}

// A border is a `lindero up` on a server of the lab. Its inside has addresses of
// its own, so that a leak of any of them can be seen.
type border struct {
	*Process
	demo Demo
	host *Host
}

const borderConfig = `
role: up
data: %s
sip: 198.51.100.10:5060
sips: 198.51.100.10:5061
inside: 127.0.0.2:5065
core_sip: 127.0.0.3:5070
ng: 127.0.0.4:2223
metrics: 127.0.0.1:9464
relay: {internal: 127.0.0.4}
core: {media: 127.0.0.5}
edge: {keepalive: %s}
`

// startBorder starts lindero without privileges on the server.
func startBorder(t *testing.T, host *Host, keepalive string) *border {
	t.Helper()
	b := &border{host: host}
	dir := DataDir(t)
	file := filepath.Join(dir, "up.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, borderConfig, dir, keepalive), 0o644); err != nil {
		t.Fatal(err)
	}
	b.Process = Start(t, "lindero", host.Unprivileged(context.WithoutCancel(t.Context()), binary, "up", "--config", file))
	b.Await(Served, 1, 20*time.Second)
	b.demo = ReadDemo(t, dir)
	return b
}

// What the phones say, in Hz.
const (
	aliceTone = 440
	bobTone   = 880
)

// phone is a baresip for a user of the demo.
func (b *border) phone(t *testing.T, extension, transport string) Baresip {
	u := b.demo.User(t, extension)
	server := netip.MustParseAddrPort("198.51.100.10:5060")
	if transport == "tls" {
		server = netip.MustParseAddrPort("198.51.100.10:5061")
	}
	p := Baresip{User: u.Username, Password: u.Password, Domain: b.demo.Domain, Server: server, Transport: transport}
	p.Tone, p.Answer = aliceTone, false
	if extension == "102" {
		p.Tone, p.Answer = bobTone, true
	}
	return p
}
