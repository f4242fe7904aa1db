package lab

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var (
	serverAddr = netip.MustParseAddr("198.51.100.10")
	aliceHome  = netip.MustParseAddr("203.0.113.11")
	bobHome    = netip.MustParseAddr("203.0.113.22")
)

// The lab itself is tested first: a NAT that does not hide, or lets strangers in,
// would make every test above it prove nothing.
func TestAHomeHidesItsPhoneAndLetsNobodyIn(t *testing.T) {
	l := New(t)
	server := l.Server("server", serverAddr)
	home := l.Home("alice", aliceHome, NAT{Mapping: Preserving})
	bob := l.Home("bob", bobHome, NAT{Mapping: Random})

	echo := Start(t, "capture", server.Command(t.Context(), "tcpdump", "-lnni", "eth0", "udp"))
	echo.Await("listening on", 1, 5*time.Second)
	home.Phone.Run("bash", "-c", "echo hello >/dev/udp/198.51.100.10/5060")
	echo.Await("203.0.113.11", 1, 5*time.Second)
	bob.Phone.Run("bash", "-c", "echo hello >/dev/udp/198.51.100.10/5060")
	echo.Await("203.0.113.22", 1, 5*time.Second)
	if strings.Contains(echo.Output(), "192.168.") {
		t.Error("a private address was seen outside")
	}

	inside := Start(t, "phone", home.Phone.Command(t.Context(), "tcpdump", "-lnni", "eth0", "udp"))
	inside.Await("listening on", 1, 5*time.Second)
	server.Run("bash", "-c", "echo hello >/dev/udp/203.0.113.11/5060")
	if inside.Says("198.51.100.10", 1, 500*time.Millisecond) {
		t.Error("a stranger got in")
	}
	if n := home.Router.Mappings(5060); n == 0 {
		t.Error("the router shows no mapping")
	}
}

func TestNATsMapPortsAsTheirKindSays(t *testing.T) {
	l := New(t)
	server := l.Server("server", serverAddr)
	for kind, addr := range map[Mapping]netip.Addr{Preserving: aliceHome, Random: bobHome} {
		home := l.Home(string(kind), addr, NAT{Mapping: kind})
		seen := Start(t, "capture", server.Command(t.Context(), "tcpdump", "-lnni", "eth0", "udp", "and", "src", addr.String()))
		seen.Await("listening on", 1, 5*time.Second)
		if err := home.Phone.In(func() error { return sendFromOneSocket(1001, 1002, 1003) }); err != nil {
			t.Fatal(err)
		}
		seen.Await("203.0.113.", 3, 5*time.Second)
		kept := strings.Count(seen.Output(), addr.String()+".5060")
		if kind == Preserving && kept != 3 {
			t.Errorf("%s kept the port %d times of 3", kind, kept)
		}
		if kind == Random && kept != 0 {
			t.Errorf("%s kept the port %d times", kind, kept)
		}
	}
}

func TestAnIdleMappingIsForgotten(t *testing.T) {
	l := New(t)
	l.Server("server", serverAddr)
	home := l.Home("alice", aliceHome, NAT{Mapping: Preserving, UDPWindow: 2 * time.Second})
	home.Phone.Run("bash", "-c", "echo hello >/dev/udp/198.51.100.10/5060")
	if home.Router.Mappings(5060) != 1 {
		t.Fatal("there is no mapping to forget")
	}
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for home.Router.Mappings(5060) > 0 {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the mapping is still there after 10 s; its window is 2 s")
		}
	}
}

// sendFromOneSocket sends a datagram from port 5060 to each of the server's ports.
func sendFromOneSocket(ports ...uint16) error {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{Port: 5060})
	if err != nil {
		return err
	}
	defer c.Close()
	for _, p := range ports {
		if _, err := c.WriteToUDPAddrPort([]byte("hello"), netip.AddrPortFrom(serverAddr, p)); err != nil {
			return err
		}
	}
	return nil
}
