package edge_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lindero/lindero/edge"
)

func TestDefaultsAreValidButForTheKeyFile(t *testing.T) {
	c := edge.DefaultConfig()
	c.KeyFile = "edge.key"
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestValidateReportsEverything(t *testing.T) {
	any4 := netip.MustParseAddrPort("0.0.0.0:5060")
	for name, tt := range map[string]struct {
		c    edge.Config
		want string // one line for each
	}{
		"nothing at all": {edge.Config{}, "name sip inside core relays key_file keepalive.udp keepalive.stream max_transactions"},
		"bound to everything, TLS without files, the same relay twice": {edge.Config{
			Name: "two words", SIP: any4, SIPS: any4, Inside: any4, Core: []netip.AddrPort{any4},
			Relays:  []edge.Relay{{ID: "r", NG: edge.UDP(any4)}, {ID: "r"}, {ID: strings.Repeat("r", 99), NG: edge.UDP(netip.MustParseAddrPort("192.0.2.1:2223"))}},
			KeyFile: "k", KeepAlive: edge.KeepAlive{Off: true}, MaxTransactions: -1,
		}, "name advertise advertise inside tls.cert tls.key core[0] relays[0].ng relays[1].id relays[1].ng relays[2].id max_transactions"},
		"a name that core would not take for a node's": {func() edge.Config {
			c := edge.DefaultConfig()
			c.KeyFile, c.Name = "k", "-edge"
			return c
		}(), "name"},
		"an advertised address that is none": {func() edge.Config {
			c := edge.DefaultConfig()
			c.KeyFile, c.Advertise = "k", netip.IPv4Unspecified()
			return c
		}(), "advertise"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tt.c.Validate()
			if err == nil {
				t.Fatal("it is valid")
			}
			var got []string
			for line := range strings.SplitSeq(err.Error(), "\n") {
				key, _, _ := strings.Cut(line, ": ")
				got = append(got, key)
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got  %s\nwant %s\n%v", s, tt.want, err)
			}
		})
	}
}

// An edge that cannot be made leaves nothing open and says which key is at fault.
func TestNewFailsWhole(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().(*net.TCPAddr).AddrPort()
	good := func() edge.Config {
		c := edge.DefaultConfig()
		c.SIP = netip.MustParseAddrPort("127.0.0.1:0")
		c.Inside = netip.MustParseAddrPort("127.0.0.1:0")
		c.KeyFile = filepath.Join(t.TempDir(), "edge.key")
		return c
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	for name, tt := range map[string]struct {
		change func(*edge.Config)
		want   string
	}{
		"port in use":        {func(c *edge.Config) { c.SIP = addr }, "sip: another program uses this address and port"},
		"inside in use":      {func(c *edge.Config) { c.Inside = addr }, "inside: another program uses this address and port"},
		"no certificate":     {func(c *edge.Config) { c.SIPS = c.SIP; c.TLS = edge.Files{Cert: "none", Key: "none"} }, "certificate"},
		"no place for a key": {func(c *edge.Config) { c.KeyFile = "/nonexistent/edge.key" }, "key_file"},
		"not valid":          {func(c *edge.Config) { c.Core = nil }, "core: at least one"},
	} {
		t.Run(name, func(t *testing.T) {
			c := good()
			tt.change(&c)
			reg := prometheus.NewRegistry()
			if _, err := edge.New(c, log, reg); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("New: %v, want %q in it", err, tt.want)
			}
			if c.SIP.Port() == addr.Port() {
				// UDP had been opened before TCP failed.
				conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(addr))
				if err != nil {
					t.Fatalf("a socket stays open: %v", err)
				}
				conn.Close()
			}
			e, err := edge.New(good(), log, reg)
			if err != nil {
				t.Fatalf("after a failure, in the same registry: %v", err)
			}
			if e.Ready() == nil {
				t.Error("ready before it runs")
			}
			ended, end := context.WithCancel(t.Context())
			end()
			if err := e.Run(ended); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
}

func TestDuration(t *testing.T) {
	var d edge.Duration
	if err := d.UnmarshalText([]byte("25s")); err != nil || time.Duration(d) != 25*time.Second {
		t.Errorf("25s is read as %v, %v", time.Duration(d), err)
	}
	if b, err := d.MarshalText(); err != nil || string(b) != "25s" {
		t.Errorf("it is written as %s, %v", b, err)
	}
	if err := d.UnmarshalText([]byte("25")); err == nil {
		t.Error("a number without a unit was taken")
	}
}
