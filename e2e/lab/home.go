package lab

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"
)

// A Mapping is how a NAT chooses the public port of an inside socket.
type Mapping string

const (
	// Preserving keeps the port when it is free, as most home routers do.
	Preserving Mapping = "port-preserving"
	// Random gives every flow a port that nobody can guess, even from another
	// flow of the same socket: what carrier-grade NATs do (RFC 4787 §4.1,
	// address-and-port-dependent).
	Random Mapping = "fully-random"
)

// A NAT describes the border of a home.
type NAT struct {
	Mapping Mapping
	// UDPWindow is how long an idle UDP mapping lives; whole seconds. Zero is the
	// kernel's default.
	UDPWindow time.Duration
}

// A Home is a NAT router and the one phone's host behind it. Every home uses the
// same private addresses, as homes do.
type Home struct {
	Router *Host
	Phone  *Host
}

// Addresses inside every home.
var (
	homeRouter = netip.MustParseAddr("192.168.1.1")
	homePhone  = netip.MustParseAddr("192.168.1.10")
)

// Home adds a home with the public address addr.
func (l *Lab) Home(name string, addr netip.Addr, nat NAT) *Home {
	l.t.Helper()
	router, phone := l.host(name+"-router"), l.host(name)
	router.Addr, phone.Addr = addr, homePhone
	l.connect(router, "wan", addr)
	router.sysctl("net.ipv4.ip_forward", "1")

	l.run("ip", "-n", router.ns, "link", "add", "lan", "type", "veth", "peer", "name", "eth0", "netns", phone.ns)
	l.run("ip", "-n", router.ns, "addr", "add", homeRouter.String()+"/24", "dev", "lan")
	l.run("ip", "-n", router.ns, "link", "set", "lan", "up")
	l.run("ip", "-n", phone.ns, "addr", "add", homePhone.String()+"/24", "dev", "eth0")
	l.run("ip", "-n", phone.ns, "link", "set", "eth0", "up")
	l.run("ip", "-n", phone.ns, "route", "add", "default", "via", homeRouter.String())

	masquerade := "masquerade"
	if nat.Mapping == Random {
		masquerade = "masquerade fully-random"
	}
	router.nft(fmt.Sprintf(`
table ip home {
	chain out { type nat hook postrouting priority srcnat; oifname "wan" %s; }
	chain through {
		type filter hook forward priority filter; policy drop;
		iifname "lan" accept
		ct state established,related accept
	}
	chain in {
		type filter hook input priority filter; policy accept;
		iifname "wan" ct state new drop
	}
}`, masquerade))
	if nat.UDPWindow > 0 {
		seconds := strconv.Itoa(int(nat.UDPWindow / time.Second))
		router.sysctl("net.netfilter.nf_conntrack_udp_timeout", seconds)
		router.sysctl("net.netfilter.nf_conntrack_udp_timeout_stream", seconds)
	}
	return &Home{Router: router, Phone: phone}
}
