package phone

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/transport"
)

// allow is what we understand, for the Allow header.
const allow = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, REFER, NOTIFY, MESSAGE\r\n"

// supported are the extensions we know (RFC 4028, RFC 3891).
const supported = "Supported: timer, replaces\r\n"

// A message is one that arrived, with its own copy of the bytes.
type message struct {
	sip.Message
	flow transport.Flow
}

// text is the value of the first header with id.
func (m *message) text(id sip.HeaderID) string { return string(m.Get(id)) }

// all is every value of the headers with id, in order.
func (m *message) all(id sip.HeaderID) []string {
	var values []string
	for i := m.Index(id); i >= 0; i = m.Next(i) {
		for list := m.Value(i); len(list) > 0; {
			var v []byte
			if v, list = sip.NextValue(list); len(v) > 0 {
				values = append(values, string(v))
			}
		}
	}
	return values
}

// address is the value of a header like Contact or To, in parts.
func (m *message) address(id sip.HeaderID) sip.NameAddr {
	v, _ := sip.NextValue(m.Get(id))
	a, err := sip.ParseNameAddr(v)
	if err != nil {
		return sip.NameAddr{}
	}
	return a
}

// tag is the tag of From or To, "" when there is none.
func (m *message) tag(id sip.HeaderID) string {
	tag, _ := sip.Param(m.address(id).Params, "tag")
	return string(tag)
}

// branch is the branch of the top Via.
func (m *message) branch() string {
	v, _ := sip.NextValue(m.Get(sip.Via))
	via, err := sip.ParseVia(v)
	if err != nil {
		return ""
	}
	return string(via.Branch())
}

// A request is one of ours before it is printed.
type request struct {
	method string
	uri    string
	from   string // with our tag
	to     string // with the peer's tag in a dialog
	callID string
	seq    uint32
	branch string // given when it is sent, unless it must be that of another request
	routes []string
	lines  string // more header lines, each with its CRLF
	secret string // Authorization or Proxy-Authorization line
	kind   string // Content-Type of body
	body   []byte
}

// print is the request as it is sent by p. Its branch must be set.
func (r *request) print(p *Phone) []byte {
	var b strings.Builder
	uri, routes := r.uri, r.routes
	if len(routes) > 0 && !loose(routes[0]) {
		// A strict router wants its own URI there (RFC 3261 §12.2.1.1).
		uri, routes = plain(routes[0]), append(routes[1:len(routes):len(routes)], "<"+uri+">")
	}
	fmt.Fprintf(&b, "%s %s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=%s;rport\r\n",
		r.method, uri, protocolName(p.cfg.Protocol), p.claimed(), r.branch)
	for _, route := range routes {
		b.WriteString("Route: " + route + "\r\n")
	}
	fmt.Fprintf(&b, "Max-Forwards: 70\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\n",
		r.from, r.to, r.callID, r.seq, r.method)
	switch r.method {
	case "INVITE", "UPDATE", "REFER":
		b.WriteString("Contact: <" + p.URI() + ">\r\n" + allow + supported)
	}
	b.WriteString("User-Agent: Lindero phone\r\n" + r.secret + r.lines)
	if len(r.body) > 0 {
		b.WriteString("Content-Type: " + r.kind + "\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(r.body), r.body)
	return []byte(b.String())
}

// hop is where the request goes: its first route, the server, or its target.
func (p *Phone) hop(r *request, inDialog bool) (transport.Flow, error) {
	proto, to := p.cfg.Protocol, p.cfg.Server
	if len(r.routes) > 0 || inDialog || !to.IsValid() {
		next := r.uri
		if len(r.routes) > 0 {
			next = plain(r.routes[0])
		}
		if uri, err := sip.ParseURI([]byte(next)); err == nil {
			if addr, ok := uri.Addr(); ok {
				proto, to = protocolOf(uri, proto), addr
			}
		}
	}
	if !to.IsValid() || !to.Addr().IsValid() {
		return transport.Flow{}, &Failure{Method: r.method, Code: 503, Local: true, Reason: "no address to send to for " + r.uri}
	}
	flow, err := p.stack.Connect(proto, to)
	if err != nil {
		return flow, &Failure{Method: r.method, Code: 503, Local: true, Reason: fmt.Sprintf("cannot reach %v: %v", to, err)}
	}
	return flow, nil
}

// protocolOf is the transport a URI asks for. A phone has one: a URI that asks
// for none, or for one we do not have, is served by it.
func protocolOf(uri sip.URI, ours transport.Protocol) transport.Protocol {
	if ours == transport.UDP {
		return ours
	}
	name, _ := sip.Param(uri.Params, "transport")
	switch {
	case strings.EqualFold(string(name), "tls"), strings.EqualFold(string(uri.Scheme), "sips"):
		return transport.TLS
	case strings.EqualFold(string(name), "tcp") && ours == transport.TCP:
		return transport.TCP
	}
	return ours
}

// plain is the URI within a Route value.
func plain(route string) string {
	a, err := sip.ParseNameAddr([]byte(route))
	if err != nil {
		return ""
	}
	return string(a.URI)
}

func loose(route string) bool {
	uri, err := sip.ParseURI([]byte(plain(route)))
	if err != nil {
		return true
	}
	_, lr := sip.Param(uri.Params, "lr")
	return lr
}

// seconds reads a header like Expires: a number, perhaps with parameters.
func seconds(value []byte) (n int, params []byte, ok bool) {
	s, rest, _ := strings.Cut(string(value), ";")
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if rest != "" {
		params = []byte(";" + rest)
	}
	return n, params, err == nil && n >= 0
}

// mapped removes the IPv4-in-IPv6 form.
func mapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
