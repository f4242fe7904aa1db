package edge_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lindero/lindero/wire/sip"
)

// register registers user from c and returns the REGISTER as core saw it.
func (l *lab) register(c *wire, user string, extra ...string) *msg {
	l.Helper()
	n := l.next()
	c.send(fmt.Sprintf(`REGISTER sip:demo.lindero.test SIP/2.0
Via: $via;branch=z9hG4bKreg%d;rport
Max-Forwards: 70
From: <sip:%s@demo.lindero.test>;tag=f%d
To: <sip:%s@demo.lindero.test>
Call-ID: reg%d
CSeq: 1 REGISTER
Contact: <sip:%s@$me>
Expires: 300
%s`, n, user, n, user, n, user, strings.Join(extra, "\n")))
	m := l.core.expect("REGISTER")
	m.conn.answer(m, 200, "core", "Contact: "+m.get(sip.Contact)+";expires=300\nPath: "+m.get(sip.Path)+"\nLindero-Thing: secret\n")
	c.expect("200")
	return m
}

// A side of a call in a test: what each of its later requests needs.
type dialog struct {
	c      *wire
	callID string
	from   string // local address with tag
	to     string // remote address with tag
	target string // Request-URI
	routes []string
	seq    int
}

// request is a request within the dialog.
func (d *dialog) request(l *lab, method string, body string, extra ...string) string {
	if method != "ACK" {
		d.seq++
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s SIP/2.0\nVia: $via;branch=z9hG4bKdlg%d;rport\nMax-Forwards: 70\n", method, d.target, l.next())
	for _, r := range d.routes {
		fmt.Fprintf(&b, "Route: %s\n", r)
	}
	fmt.Fprintf(&b, "From: %s\nTo: %s\nCall-ID: %s\nCSeq: %d %s\n", d.from, d.to, d.callID, d.seq, method)
	for _, line := range extra {
		b.WriteString(line + "\n")
	}
	if body != "" {
		b.WriteString("Content-Type: application/sdp\n")
	}
	return b.String() + "\n" + body
}

// credentials are of no use to anybody but as a sign that there are some.
const credentials = `Proxy-Authorization: Digest username="101", realm="demo.lindero.test", nonce="n", uri="sip:102@demo.lindero.test", response="r"`

// request is a request out of any dialog, with what such a request must have. A
// line of the name of one that is there replaces it; "-Name" takes it away; a
// line that begins with a line feed is an SDP body.
func (l *lab) request(method, uri string, lines ...string) string {
	n := l.next()
	list := []string{
		fmt.Sprintf("Via: $via;branch=z9hG4bKtest%d;rport", n),
		"Max-Forwards: 70",
		fmt.Sprintf("From: <sip:101@demo.lindero.test>;tag=from%d", n),
		"To: <sip:102@demo.lindero.test>",
		fmt.Sprintf("Call-ID: test%d", n),
		"CSeq: 1 " + method,
		"Contact: <sip:101@$me>",
	}
	if method == "INVITE" { // without credentials no relay is asked
		list = append(list, credentials)
	}
	body := ""
	for _, line := range lines {
		if strings.HasPrefix(line, "\n") {
			body = line
			list = append(list, "Content-Type: application/sdp")
			continue
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(line, "-"), ":")
		at := slices.IndexFunc(list, func(s string) bool { return strings.HasPrefix(s, name+":") })
		switch {
		case strings.HasPrefix(line, "-"):
			list = slices.Delete(list, at, at+1)
		case at >= 0 && name != "Via":
			list[at] = line
		default:
			list = append(list, line)
		}
	}
	return method + " " + uri + " SIP/2.0\n" + strings.Join(list, "\n") + "\n" + body
}

// sdpBody is a body for request.
func sdpBody(host string, port int) string { return "\n" + session(host, port) }

// contact is the Contact that the fake core gives; it must never be seen outside.
func (c *fakeCore) contact() string {
	return fmt.Sprintf("Contact: <sip:x7f@%v;transport=tcp>\n", c.addr)
}

// respond answers a request as a B2BUA does.
func (c *fakeCore) respond(m *msg, code int, body ...string) {
	headers := c.contact() + "Lindero-Secret: 1\nServer: core at " + c.addr.String() + "\n"
	for _, rr := range m.all(sip.RecordRoute) {
		headers += "Record-Route: " + rr + "\n"
	}
	m.conn.answer(m, code, "core", headers, body...)
}

// accept answers a request as a phone does.
func (c *wire) accept(m *msg, code int, body ...string) {
	headers := "Contact: <sip:phone@" + c.me.String() + ">\n"
	for _, rr := range m.all(sip.RecordRoute) {
		headers += "Record-Route: " + rr + "\n"
	}
	c.answer(m, code, "phone", headers, body...)
}

// path is the Route that leads to the phone behind c.
func (l *lab) path(c *wire) string {
	l.Helper()
	m := l.register(c, fmt.Sprintf("user%d", l.next()))
	return "Route: " + m.get(sip.Path)
}

// dialogOf is the caller's side of the call that m, a 2xx to its INVITE, answers.
func dialogOf(c *wire, m *msg) *dialog {
	routes := m.all(sip.RecordRoute)
	slices.Reverse(routes)
	return &dialog{c: c, callID: m.get(sip.CallID), from: m.get(sip.From), to: m.get(sip.To), target: m.uri(sip.Contact), routes: routes, seq: int(m.CSeqNumber)}
}

// dialogTo is the callee's side of the call that began with the INVITE m, which
// it has answered with that tag.
func dialogTo(c *wire, m *msg, tag string) *dialog {
	return &dialog{c: c, callID: m.get(sip.CallID), from: m.get(sip.To) + ";tag=" + tag, to: m.get(sip.From), target: m.uri(sip.Contact), routes: m.all(sip.RecordRoute), seq: 100}
}
