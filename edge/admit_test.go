package edge_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/lindero/lindero/edge"
	"github.com/lindero/lindero/wire/sip"
)

// What a request gets that the edge itself refuses, or answers.
func TestAdmission(t *testing.T) {
	l := setup(t, nil)
	a := l.udp("phone A", "127.0.0.1")
	token := strings.Repeat("Zq_-", 20)
	for name, tt := range map[string]struct {
		method, uri string
		lines       []string
		want        string
		contains    string
		verdict     string
	}{
		"no hop left":               {"INVITE", "sip:102@demo.lindero.test", []string{"Max-Forwards: 0"}, "483", "", "hops"},
		"no hop left for others":    {"OPTIONS", "sip:102@demo.lindero.test", []string{"Max-Forwards: 0"}, "483", "", "hops"},
		"no hop left, but it is us": {"OPTIONS", "sip:" + l.addr.UDP.String(), []string{"Max-Forwards: 0"}, "200", "Allow: INVITE", ""},
		"an unknown scheme":         {"INVITE", "nobodyKnowsThisScheme:totallyopaque", nil, "416", "", "scheme"},
		"another unknown scheme":    {"OPTIONS", "soap.beep://192.0.2.103:3002", nil, "416", "", "scheme"},
		"an extension for proxies":  {"INVITE", "sip:102@demo.lindero.test", []string{"Proxy-Require: foo, bar"}, "420", "Unsupported: foo, bar\r\n", "extension"},
		"a contact that is forged":  {"BYE", "sip:" + token + "@" + l.addr.UDP.String(), nil, "403", "", "token"},
		"a forged contact in Route": {"BYE", "sip:102@demo.lindero.test", []string{"Route: <sip:" + token + "@" + l.addr.UDP.String() + ";lr>"}, "403", "", "token"},
		"a duplicate header":        {"OPTIONS", "sip:102@demo.lindero.test", []string{"Event: a", "event: b"}, "400", "duplicate", "malformed"},
		"another version":           {"OPTIONS", "sip:102@demo.lindero.test SIP/7.0", nil, "400", "", "malformed"},
		"a CANCEL of nothing":       {"CANCEL", "sip:102@demo.lindero.test", nil, "481", "", "stray_cancel"},
	} {
		t.Run(name, func(t *testing.T) {
			before := 0.0
			if tt.verdict != "" {
				before = l.verdict(tt.verdict)
			}
			a.send(l.request(tt.method, tt.uri, tt.lines...))
			r := a.expect(tt.want)
			r.wants(l, tt.contains, ";received=127.0.0.1;rport=")
			if len(r.Tag(sip.To)) == 0 {
				t.Errorf("a final response without a tag:\n%s", r.Raw)
			}
			if tt.verdict != "" && l.verdict(tt.verdict) != before+1 {
				t.Errorf("verdict %s was not counted", tt.verdict)
			}
		})
	}
	l.silent("core", l.core.in)
}

// Nothing is ever said to an ACK or a response, and garbage ends nothing.
func TestSilence(t *testing.T) {
	l := setup(t, nil)
	a := l.udp("phone A", "127.0.0.1")
	for _, b := range [][]byte{
		a.lined(l.request("ACK", "sip:102@demo.lindero.test")),
		a.lined(l.request("ACK", "sip:102@demo.lindero.test", "Max-Forwards: 0")),
		a.lined(l.request("ACK", "sip:102@demo.lindero.test", "Event: a", "event: b")),
		a.lined(strings.Replace(l.request("OPTIONS", "sip:x@y"), "OPTIONS sip:x@y SIP/2.0", "SIP/2.0 200 OK", 1)),
		a.lined(strings.Replace(l.request("OPTIONS", "sip:x@y"), "OPTIONS sip:x@y SIP/2.0", "SIP/2.0 777 Odd", 1)),
		[]byte("\x00\x01\x02\x03garbage that is no message at all\r\n\r\n"),
		bytes.Repeat([]byte("A"), 20000),
		[]byte("INVITE sip:a@b SIP/2.0\r\n\r\n"),
	} {
		a.write(b)
	}
	l.silent("the phone", a.in)
	l.silent("core", l.core.in)
	a.send(l.request("OPTIONS", "sip:"+l.addr.UDP.String()))
	a.expect("200")
	if got := l.verdict("stray"); got != 1 {
		t.Errorf("%v stray responses were counted, want 1", got)
	}
	if got := l.verdict("stray_ack"); got != 1 {
		t.Errorf("%v stray ACKs were counted, want 1", got)
	}
}

// A flood of garbage from many ports is counted, and the listener lives.
func TestFlood(t *testing.T) {
	l := setup(t, nil)
	var phones []*wire
	for range 20 {
		phones = append(phones, l.udp("flooder", "127.0.0.1"))
	}
	const n = 200
	for i := range n {
		for _, p := range phones {
			p.write([]byte(fmt.Sprintf("garbage %d of no protocol whatsoever\r\n\r\n", i)))
		}
	}
	a := l.udp("phone A", "127.0.0.1")
	l.eventually("a phone is served after a flood", func() bool {
		a.send(l.request("OPTIONS", "sip:"+l.addr.UDP.String()))
		return len(a.in) > 0
	})
	a.expect("200")
	// The kernel may have dropped some of them; most must have been counted.
	if got := l.verdict("garbage"); got < n {
		t.Errorf("%v of %d datagrams were counted as garbage", got, n*len(phones))
	}
	if got := l.metric("lindero_edge_live", "transactions"); got != 0 {
		t.Errorf("garbage left %v transactions", got)
	}
}

func TestMaxForwardsBegins(t *testing.T) {
	l := setup(t, nil)
	a := l.udp("phone A", "127.0.0.1")
	a.send(l.request("MESSAGE", "sip:102@demo.lindero.test", "-Max-Forwards"))
	if got := l.core.expect("MESSAGE").get(sip.MaxForwards); got != "70" {
		t.Errorf("Max-Forwards was begun at %q, want 70", got)
	}
}

// Behind NAT the Via says one thing and the datagram another: the response goes
// where the request came from, whether or not the phone asked for it (RFC 3581).
func TestNatIsSeen(t *testing.T) {
	l := setup(t, nil)
	a := l.udp("phone A", "127.0.0.1")
	for _, rport := range []string{";rport", "", ";rport=9;received=192.0.2.3"} {
		a.send(strings.Replace(l.request("MESSAGE", "sip:102@demo.lindero.test"), "$via", "SIP/2.0/UDP 192.168.1.10:5060"+rport, 1))
		m := l.core.expect("MESSAGE")
		m.wants(l, ";nat=1\r\n")
		m.conn.answer(m, 200, "core", "")
		r := a.expect("200")
		r.wants(l, "SIP/2.0/UDP 192.168.1.10:5060;", ";received=127.0.0.1;", fmt.Sprintf(";rport=%d", a.me.Port()), "!192.0.2.3")
	}
}

// A request that comes back unchanged goes round for ever; one with another
// Request-URI is a spiral and may pass (RFC 3261 §16.3 item 4).
func TestLoop(t *testing.T) {
	l := setup(t, nil)
	b := l.udp("phone B", "127.0.0.1")
	l.core.send(l.request("MESSAGE", "sip:102@"+b.me.String(), l.path(b)))
	m := b.expect("MESSAGE")
	via := "Via: SIP/2.0/UDP " + b.me.String() + ";branch=z9hG4bKloop1;rport\r\nVia: "
	b.write([]byte(strings.Replace(string(m.Raw), "Via: ", via, 1)))
	b.expect("482").wants(l, "z9hG4bKloop1", l.addr.UDP.String())
	spiral := strings.Replace(string(m.Raw), "MESSAGE sip:102@", "MESSAGE sip:103@", 1)
	b.write([]byte(strings.Replace(spiral, "Via: ", strings.Replace(via, "loop1", "loop2", 1), 1)))
	l.core.expect("MESSAGE")
}

// A strict router puts our Record-Route into the Request-URI and the target last
// in Route (RFC 3261 §16.4).
func TestStrictRouting(t *testing.T) {
	l := setup(t, nil)
	a := l.udp("phone A", "127.0.0.1")
	a.send(l.request("INVITE", "sip:102@demo.lindero.test"))
	a.expect("100")
	l.core.respond(l.core.expect("INVITE"), 200)
	d := dialogOf(a, a.expect("200"))
	target := d.target
	d.target, d.routes = strings.Trim(d.routes[0], "<>"), []string{"<sip:192.0.2.1;lr>", "<" + target + ">"}
	a.send(d.request(l, "BYE", ""))
	if got, want := string(l.core.expect("BYE").URI), fmt.Sprintf("sip:x7f@%v;transport=tcp", l.core.addr); got != want {
		t.Errorf("BYE is for %s, want %s", got, want)
	}
	if l.verdict("route") == 0 {
		t.Error("a stranger's Route was not counted")
	}
}

// Whatever a stranger writes, it goes to core: the edge is no open relay.
func TestNoOpenRelay(t *testing.T) {
	l := setup(t, nil)
	a, victim := l.udp("phone A", "127.0.0.1"), l.udp("a stranger", "127.0.0.1")
	b := l.udp("phone B", "127.0.0.1")
	path := strings.TrimPrefix(l.path(b), "Route: ")
	for _, text := range []string{
		l.request("MESSAGE", "sip:x@"+victim.me.String()),
		l.request("MESSAGE", "sip:102@demo.lindero.test", "Route: <sip:"+victim.me.String()+";lr>"),
		l.request("MESSAGE", "sip:102@"+b.me.String(), "Route: <sip:"+l.addr.UDP.String()+";lr>, "+path),
	} {
		a.send(text)
		l.core.expect("MESSAGE").wants(l, "!Route:")
	}
	// Even a token of ours that leaked opens nothing.
	a.send(l.request("MESSAGE", "sip:102@demo.lindero.test", "Route: "+path))
	a.expect("403")
	l.silent("the stranger", victim.in)
	l.silent("phone B", b.in)
}

// A transaction table that is full refuses, and serves again later.
func TestTableIsBounded(t *testing.T) {
	l := setup(t, func(_ *lab, c *edge.Config) { c.MaxTransactions = 3 })
	a := l.udp("phone A", "127.0.0.1")
	var waiting []*msg
	for range 3 {
		a.send(l.request("INVITE", "sip:102@demo.lindero.test"))
		a.expect("100")
		waiting = append(waiting, l.core.expect("INVITE"))
	}
	a.send(l.request("INVITE", "sip:102@demo.lindero.test"))
	a.expect("503").wants(l, "Retry-After: ")
	if l.verdict("full") != 1 {
		t.Error("the refusal was not counted")
	}
	l.core.respond(waiting[0], 486)
	busy := a.expect("486")
	l.core.expect("ACK")
	a.send(fmt.Sprintf("ACK sip:102@demo.lindero.test SIP/2.0\nVia: %s\nFrom: %s\nTo: %s\nCall-ID: %s\nCSeq: 1 ACK\n",
		busy.Topmost(sip.Via), busy.get(sip.From), busy.get(sip.To), busy.get(sip.CallID)))
	l.eventually("retransmissions of the 486 stop", func() bool { return len(a.in) == 0 })
}

// Large messages pass in both directions over UDP, in fragments if need be.
func TestLargeMessages(t *testing.T) {
	l := setup(t, nil)
	a := l.udp("phone A", "127.0.0.1")
	big := strings.Repeat("abcdefghijklmnopqrstuvwxyz0123456789", 200) // 7200 bytes
	path := l.path(a)
	a.send(l.request("MESSAGE", "sip:102@demo.lindero.test", "X-Big: "+big))
	m := l.core.expect("MESSAGE")
	m.wants(l, big)
	m.conn.answer(m, 200, "core", "X-Big: "+big+"\n")
	a.expect("200").wants(l, big)
	l.core.send(l.request("MESSAGE", "sip:101@"+a.me.String(), path, "X-Big: "+big))
	a.expect("MESSAGE").wants(l, big)
}

func TestPhoneOverIPv6(t *testing.T) {
	l := setup(t, func(_ *lab, c *edge.Config) { c.SIP = netip.MustParseAddrPort("[::1]:0") })
	a := l.udp("phone A", "[::1]")
	path := l.path(a)
	l.core.send(l.request("MESSAGE", "sip:101@"+a.me.String(), path))
	m := a.expect("MESSAGE")
	m.wants(l, "SIP/2.0/UDP [::1]:")
	a.answer(m, 200, "phone", "")
	l.core.expect("200")
}
