package edge_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/lindero/lindero/edge"
	"github.com/lindero/lindero/wire/sip"
)

// A phone over TCP or TLS is reached by the very connection it registered on.
func TestConnectionIsReused(t *testing.T) {
	files, client := certificate(t)
	l := setup(t, func(_ *lab, c *edge.Config) {
		c.SIPS, c.TLS = netip.MustParseAddrPort("127.0.0.1:0"), files
	})
	for _, b := range []*wire{l.tcp("phone over TCP", nil), l.tcp("phone over TLS", client)} {
		t.Run(b.proto, func(t *testing.T) {
			at := map[string]netip.AddrPort{"tcp": l.addr.TCP, "tls": l.addr.TLS}[b.proto]
			l.core.send(l.request("INVITE", "sip:102@192.168.1.10:5060;transport="+b.proto, l.path(b)))
			l.core.expect("100")
			inv := b.expect("INVITE")
			inv.wants(l, "Via: SIP/2.0/"+strings.ToUpper(b.proto)+" "+at.String()+";branch=",
				"Record-Route: <sip:"+at.String()+";transport="+b.proto+";lr>", "@"+at.String()+";transport="+b.proto+">")
			b.accept(inv, 200)
			d := dialogOf(l.core.calls, l.core.expect("200"))
			l.core.send(d.request(l, "ACK", ""))
			b.expect("ACK")
			back := dialogTo(b, inv, "phone")
			b.send(back.request(l, "BYE", ""))
			bye := l.core.expect("BYE")
			bye.conn.answer(bye, 200, "", "")
			b.expect("200")
		})
	}
}

// A call by sips: stays one: every URI of ours that a phone sees is sips: (RFC 5630).
func TestSips(t *testing.T) {
	files, client := certificate(t)
	l := setup(t, func(_ *lab, c *edge.Config) {
		c.SIPS, c.TLS = netip.MustParseAddrPort("127.0.0.1:0"), files
	})
	a := l.tcp("phone over TLS", client)
	a.send(l.request("INVITE", "sips:102@demo.lindero.test", "Contact: <sips:101@$me>"))
	a.expect("100")
	inv := l.core.expect("INVITE")
	l.core.respond(inv, 200)
	ok := a.expect("200")
	ok.wants(l, "Record-Route: <sips:"+l.addr.TLS.String()+";lr>\r\n", "Contact: <sips:", "@"+l.addr.TLS.String()+">")
	a.send(dialogOf(a, ok).request(l, "BYE", ""))
	bye := l.core.expect("BYE")
	if want := fmt.Sprintf("sip:x7f@%v;transport=tcp", l.core.addr); string(bye.URI) != want {
		t.Errorf("BYE is for %s, want %s", bye.URI, want)
	}
}

// Behind a 1:1 NAT phones are told the public address, and come back with it.
func TestAdvertise(t *testing.T) {
	l := setup(t, func(_ *lab, c *edge.Config) { c.Advertise = netip.MustParseAddr("203.0.113.7") })
	public := netip.AddrPortFrom(netip.MustParseAddr("203.0.113.7"), l.addr.UDP.Port()).String()
	a := l.udp("phone A", "127.0.0.1")
	path := l.path(a)
	a.send(l.request("INVITE", "sip:102@demo.lindero.test"))
	a.expect("100")
	inv := l.core.expect("INVITE")
	l.core.respond(inv, 200)
	ok := a.expect("200")
	ok.wants(l, "Record-Route: <sip:"+public+";transport=udp;lr>", "@"+public+";transport=udp>", "!"+l.addr.UDP.String())
	d := dialogOf(a, ok)
	a.send(d.request(l, "BYE", ""))
	l.core.respond(l.core.expect("BYE"), 200)
	a.expect("200")
	l.core.send(l.request("MESSAGE", "sip:101@"+a.me.String(), path))
	a.expect("MESSAGE").wants(l, "Via: SIP/2.0/UDP "+public+";branch=", "!"+l.addr.UDP.String())
	a.send(l.request("OPTIONS", "sip:"+public))
	a.expect("200")
	if l.verdict("route") != 0 {
		t.Error("our own Route was taken for a stranger's")
	}
}

// A connection that is gone: what is asked of it fails at once, and what waited
// for its answer does too (RFC 5626).
func TestFlowGone(t *testing.T) {
	l := setup(t, nil)
	b := l.tcp("phone B", nil)
	path := l.path(b)
	l.core.send(l.request("INVITE", "sip:102@192.168.1.10", path))
	l.core.expect("100")
	b.expect("INVITE")
	l.core.send(l.request("MESSAGE", "sip:102@192.168.1.10", path))
	b.expect("MESSAGE")
	b.close()
	for range 2 {
		if m := l.core.expect("430"); m.get(sip.CSeq) == "1 INVITE" {
			l.core.send(fmt.Sprintf("ACK sip:102@192.168.1.10 SIP/2.0\nVia: %s\nFrom: %s\nTo: %s\nCall-ID: %s\nCSeq: 1 ACK\n",
				m.get(sip.Via), m.get(sip.From), m.get(sip.To), m.get(sip.CallID)))
		}
	}
	l.core.send(l.request("MESSAGE", "sip:102@192.168.1.10", path))
	l.core.expect("430").wants(l, "SIP/2.0 430 Flow Failed\r\n")
}

// Flow tokens: those of others and broken ones are refused, and so is what has
// no address to go to.
func TestRoutesOfCore(t *testing.T) {
	l := setup(t, nil)
	b := l.udp("phone B", "127.0.0.1")
	path := l.path(b)
	bent := []byte(path)
	if at := len("Route: <sip:") + 20; bent[at] == 'A' {
		bent[at] = 'B'
	} else {
		bent[at] = 'A'
	}
	token := strings.Repeat("Zq_-", 20)
	inside := l.addr.Inside.String()
	for name, tt := range map[string]struct {
		uri, route, want string
	}{
		"a token that is bent":             {"sip:102@" + b.me.String(), string(bent), "403"},
		"a token of another edge":          {"sip:102@" + b.me.String(), "Route: <sip:" + token + "@" + inside + ";lr>", "403"},
		"no token, but a user":             {"sip:102@" + b.me.String(), "Route: <sip:me@" + inside + ";lr>", "403"},
		"no route, and a host name":        {"sip:102@carrier.example", "X-No: route", "503"},
		"no route, and core itself":        {"sip:102@" + l.core.addr.String(), "X-No: route", "503"},
		"no route, and our inside":         {"sip:102@" + inside, "X-No: route", "503"},
		"a transport that we do not speak": {"sip:102@192.0.2.1;transport=sctp", "X-No: route", "503"},
		"our own health":                   {"sip:" + inside, "X-No: route", "200"},
	} {
		t.Run(name, func(t *testing.T) {
			l.core.send(l.request("OPTIONS", tt.uri, tt.route))
			l.core.expect(tt.want)
		})
	}
	l.silent("phone B", b.in)
	l.core.send(l.request("OPTIONS", "sip:102@"+b.me.String(), path, "Proxy-Require: foo"))
	l.core.expect("420")
	l.core.send(l.request("OPTIONS", "sip:102@"+b.me.String(), path, "Max-Forwards: 0"))
	l.core.expect("483")
}

// A carrier is reached by the address in the Request-URI, or in a Route that is
// not ours; Routes behind ours stay.
func TestCarrier(t *testing.T) {
	l := setup(t, nil)
	carrier, proxy := l.udp("carrier", "127.0.0.1"), l.udp("proxy", "127.0.0.1")
	l.core.send(l.request("INVITE", "sip:+34910000000@"+carrier.me.String()))
	l.core.expect("100")
	inv := carrier.expect("INVITE")
	carrier.accept(inv, 200)
	ok := l.core.expect("200")
	if rr := ok.all(sip.RecordRoute); len(rr) != 2 {
		t.Errorf("Record-Routes to core: %q", rr)
	}
	d := dialogOf(l.core.calls, ok)
	l.core.send(d.request(l, "BYE", ""))
	carrier.expect("BYE")

	l.core.send(l.request("MESSAGE", "sip:+34910000000@carrier.example", "Route: <sip:"+proxy.me.String()+";lr>"))
	proxy.expect("MESSAGE").wants(l, "Route: <sip:"+proxy.me.String()+";lr>", "sip:+34910000000@carrier.example")
	l.core.send(l.request("MESSAGE", "sip:102@192.168.1.10", l.path(carrier)+", <sip:192.0.2.77;lr>"))
	carrier.expect("MESSAGE").wants(l, "Route: <sip:192.0.2.77;lr>")
}

// An edge that is restarted serves the dialogs and registrations of its
// predecessor: all it needs is in the tokens.
func TestRestartServesOldDialogs(t *testing.T) {
	l := setup(t, nil)
	a := l.udp("phone A", "127.0.0.1")
	path := l.path(a)
	a.send(l.request("INVITE", "sip:102@demo.lindero.test"))
	a.expect("100")
	inv := l.core.expect("INVITE")
	l.core.respond(inv, 200)
	d := dialogOf(a, a.expect("200"))
	a.send(d.request(l, "ACK", ""))
	l.core.expect("ACK")

	l.stop()
	l.cfg.SIP, l.cfg.Inside = l.addr.UDP, l.addr.Inside
	l.core.hangUp()
	l.start()
	a.send(d.request(l, "BYE", ""))
	bye := l.core.expect("BYE")
	bye.conn.answer(bye, 200, "", "")
	a.expect("200")
	l.core.send(l.request("MESSAGE", "sip:101@"+a.me.String(), path))
	m := a.expect("MESSAGE")
	a.answer(m, 200, "phone", "")
	l.core.expect("200")
	// Whoever has other keys does not open them.
	l.stop()
	l.cfg.KeyFile = t.TempDir() + "/other.key"
	l.core.hangUp()
	l.start()
	a.send(d.request(l, "BYE", ""))
	a.expect("403")
}
