package edge_test

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/lindero/lindero/edge"
	"github.com/lindero/lindero/wire/sip"
)

// hidden fails if any byte that the outside received tells of the inside.
func (l *lab) hidden(more ...string) {
	l.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.outside.Bytes()
	if len(all) == 0 {
		l.Error("nothing was received outside: this test proves nothing")
	}
	secrets := append([]string{
		l.core.addr.String(), l.core.addr.Addr().String(), l.addr.Inside.String(), l.addr.Inside.Addr().String(),
		"10.77.0.", "x7f@", "core at", "Secret",
	}, more...)
	lower := bytes.ToLower(all)
	for _, secret := range append(secrets, "Lindero-", "\nPath:") {
		if i := bytes.Index(lower, []byte(strings.ToLower(secret))); i >= 0 {
			l.Errorf("outside saw %q: …%s…", secret, all[max(0, i-200):min(len(all), i+100)])
		}
	}
}

// A whole set of calls, over UDP and TCP, successful and not: every byte that
// phones receive is searched for what is the inside's.
func TestNothingOfTheInsideIsSeen(t *testing.T) {
	l := setup(t, nil)
	var branches []string // of the inside
	for _, a := range []*wire{l.udp("phone A", "127.0.0.1"), l.tcp("phone A over TCP", nil)} {
		path := l.path(a)
		branches = append(branches, l.challenge(a))
		branches = append(branches, l.callAndTransfer(a)...)
		l.refusedOutward(a, path)
		l.cancelledOutward(a, path)
		for _, text := range []string{
			l.request("INVITE", "sip:102@demo.lindero.test", "Max-Forwards: 0"),
			l.request("OPTIONS", "soap:x"),
			l.request("OPTIONS", "sip:"+l.addr.UDP.String()),
			l.request("BYE", "sip:"+strings.Repeat("Zq_-", 20)+"@"+l.addr.UDP.String()),
			l.request("CANCEL", "sip:102@demo.lindero.test"),
		} {
			a.send(text)
			<-a.in
		}
	}
	b := l.udp("phone B", "127.0.0.1")
	b.send(l.request("INVITE", "sip:102@demo.lindero.test"))
	b.expect("100")
	branches = append(branches, insideBranch(l.core.expect("INVITE")))
	l.core.stop()
	b.expect("503")
	l.hidden(branches...)
	if l.verdict("hidden") == 0 {
		t.Error("no header was taken away: the test sent some that must be")
	}
}

// insideBranch is the branch of our Via as core sees it.
func insideBranch(m *msg) string {
	via, _ := sip.ParseVia(m.Topmost(sip.Via))
	return string(via.Branch())
}

// challenge has a REGISTER refused with headers that tell of the inside.
func (l *lab) challenge(a *wire) (branch string) {
	l.Helper()
	a.send(l.request("REGISTER", "sip:demo.lindero.test"))
	m := l.core.expect("REGISTER")
	m.conn.answer(m, 401, "core", "WWW-Authenticate: Digest realm=\"demo.lindero.test\", nonce=\"1\"\nWarning: 399 "+
		l.core.addr.String()+" \"no\"\nX-Via-Core: <sip:"+l.core.addr.Addr().String()+">\nLindero-Secret: 1\n")
	a.expect("401").wants(l, "WWW-Authenticate: Digest")
	return insideBranch(m)
}

// callAndTransfer makes a call in, with a re-INVITE, a REFER and a BYE.
func (l *lab) callAndTransfer(a *wire) (branches []string) {
	l.Helper()
	a.send(l.request("INVITE", "sip:102@demo.lindero.test", sdpBody("192.168.1.10", 4000)))
	a.expect("100")
	inv := l.core.expect("INVITE")
	l.core.respond(inv, 180)
	a.expect("180")
	l.core.respond(inv, 200, session("10.77.0.7", 5000))
	d := dialogOf(a, a.expect("200"))
	a.send(d.request(l, "ACK", ""))
	ack := l.core.expect("ACK")
	a.send(d.request(l, "INVITE", session("192.168.1.10", 4002), "Contact: <sip:101@$me>"))
	a.expect("100")
	re := l.core.expect("INVITE")
	l.core.respond(re, 200, session("10.77.0.7", 5002))
	a.expect("200")
	a.send(d.request(l, "ACK", ""))
	l.core.expect("ACK")
	a.send(d.request(l, "REFER", "", "Refer-To: <"+d.target+"?Replaces=x>"))
	ref := l.core.expect("REFER")
	l.core.respond(ref, 202)
	a.expect("202")
	a.send(d.request(l, "BYE", ""))
	bye := l.core.expect("BYE")
	l.core.respond(bye, 200)
	a.expect("200")
	for _, m := range []*msg{inv, ack, re, ref, bye} {
		branches = append(branches, insideBranch(m))
	}
	return branches
}

// talkative is an INVITE of core's that tells of the inside wherever it can.
func (l *lab) talkative(a *wire, path string) string {
	return l.request("INVITE", "sip:101@"+a.me.String(), path, "Contact: <sip:x7f@$me>", "Server: core at $me",
		"Record-Route: <sip:$me;lr>", "Lindero-Caller: 1", "Call-Info: <http://"+l.core.addr.Addr().String()+"/x>",
		"Path: <sip:$me;lr>", "Refer-To: <sip:y@$me>", sdpBody("10.77.0.7", 5000))
}

func (l *lab) refusedOutward(a *wire, path string) {
	l.Helper()
	l.core.send(l.talkative(a, path))
	l.core.expect("100")
	a.accept(a.expect("INVITE"), 486)
	l.core.expect("486")
	a.expect("ACK")
}

func (l *lab) cancelledOutward(a *wire, path string) {
	l.Helper()
	text := l.talkative(a, path)
	l.core.send(text)
	l.core.expect("100")
	inv := a.expect("INVITE")
	a.accept(inv, 180)
	l.core.expect("180")
	l.core.send(hop("CANCEL", text, "") + "Reason: SIP;cause=200;text=\"core at " + l.core.addr.String() + "\"\n")
	l.core.expect("200")
	c := a.expect("CANCEL")
	a.answer(c, 200, "phone", "")
	a.answer(inv, 487, "phone", "")
	a.expect("ACK")
	l.core.expect("487")
}

// When core shares its address with the outside, as all roles of one machine do,
// its port gives it away.
func TestHiddenOnOneAddress(t *testing.T) {
	l := setup(t, func(l *lab, c *edge.Config) {
		l.core.stop()
		l.core = newCore(l, "127.0.0.1")
		c.Core = []netip.AddrPort{l.core.addr}
		c.Inside = netip.MustParseAddrPort("127.0.0.1:0")
	})
	a := l.udp("phone A", "127.0.0.1")
	a.send(l.request("INVITE", "sip:102@demo.lindero.test"))
	a.expect("100")
	inv := l.core.expect("INVITE")
	inv.conn.answer(inv, 200, "core", l.core.contact()+"Call-Info: <http://"+l.core.addr.String()+"/>\nX-Ours: "+l.addr.Inside.String()+
		"\nX-Phone: 127.0.0.1 is no secret\nRecord-Route: "+strings.Join(inv.all(sip.RecordRoute), ", ")+"\n")
	ok := a.expect("200")
	ok.wants(l, "!"+l.core.addr.String(), "!"+l.addr.Inside.String(), "X-Phone: 127.0.0.1 is no secret")
	if rr := ok.all(sip.RecordRoute); len(rr) != 1 || !strings.Contains(rr[0], l.addr.UDP.String()) {
		t.Errorf("Record-Routes to the phone: %q", rr)
	}
}
