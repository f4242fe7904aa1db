package b2bua_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/lindero/lindero/core/tenancy"
)

// patience is how long a test waits for a message; in a bubble it takes no time.
const patience = 5 * time.Second

// A phone is a user's phone and the edge it is behind, as core sees the two.
type phone struct {
	w     *world
	t     *testing.T
	name  string
	user  int
	addr  netip.AddrPort // of the edge's inside
	out   func([]byte)
	inbox chan msg
	seen  []msg // received and not asked for yet
	n     int   // to number branches
}

// phone makes a phone of a user and registers it.
func (w *world) phone(name string, user int) *phone {
	p := &phone{w: w, t: w.t, name: name, user: user, inbox: make(chan msg, 1000)}
	w.mu.Lock()
	p.addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(len(w.phones) + 1)}), 5065)
	w.phones[p.addr] = p
	w.mu.Unlock()
	p.out = func(data []byte) { w.b.Deliver(p.addr, data) }
	p.register()
	return p
}

func (p *phone) register() {
	p.w.co.bind(tenancy.Binding{
		User: tenancy.UserID(p.user), Contact: "sip:" + p.name + "@10.0.0.9:5062;ob",
		Path: []string{"<sip:token-" + p.name + "@" + p.addr.String() + ";transport=tcp;lr;ob>"},
	})
}

// receive takes what core sends.
func (p *phone) receive(data []byte) error {
	parsed, err := sip.ParseMessage(append([]byte(nil), data...))
	if err != nil {
		return fmt.Errorf("core sent what cannot be parsed: %w\n%s", err, data)
	}
	p.w.note(p.name, "<-", string(data))
	p.inbox <- msg{parsed, string(data)}
	return nil
}

func (p *phone) send(text string) {
	p.w.note(p.name, "->", text)
	p.out([]byte(text))
}

// A msg is a message that arrived.
type msg struct {
	sip.Message
	raw string
}

func (m msg) header(name string) string {
	all := m.GetHeaders(name)
	if len(all) == 0 {
		return ""
	}
	return all[0].Value()
}

func (m msg) all(name string) (values []string) {
	for _, h := range m.GetHeaders(name) {
		values = append(values, h.Value())
	}
	return values
}

func (m msg) body() string { return string(m.Body()) }

// what is "INVITE" for a request and "200 INVITE" for a response.
func (m msg) what() string {
	if req, ok := m.Message.(*sip.Request); ok {
		return string(req.Method)
	}
	return fmt.Sprintf("%d %s", m.Message.(*sip.Response).StatusCode, m.CSeq().MethodName)
}

// expect waits for the first message that is what; others stay for later.
func (p *phone) expect(what string) msg {
	p.t.Helper()
	for i, m := range p.seen {
		if m.what() == what {
			p.seen = append(p.seen[:i:i], p.seen[i+1:]...)
			return m
		}
	}
	limit := time.NewTimer(patience + 2*time.Hour*time.Duration(bubble()))
	defer limit.Stop()
	for {
		select {
		case m := <-p.inbox:
			if m.what() == what {
				return m
			}
			p.seen = append(p.seen, m)
		case <-limit.C:
			p.t.Fatalf("%s waited in vain for %s; it has %s", p.name, what, p.left())
		}
	}
}

// bubble is 1 in a synctest bubble, where patience costs nothing.
func bubble() int {
	if strings.HasPrefix(time.Now().Format(time.RFC3339), "2000-01") {
		return 1
	}
	return 0
}

func (p *phone) left() (all []string) {
	for {
		select {
		case m := <-p.inbox:
			p.seen = append(p.seen, m)
			continue
		default:
		}
		break
	}
	for _, m := range p.seen {
		all = append(all, m.what())
	}
	return all
}

// never fails if a message that is what came, or still comes within d.
func (p *phone) never(what string, d time.Duration) {
	p.t.Helper()
	limit := time.After(d)
	for {
		for _, m := range p.seen {
			if m.what() == what {
				p.t.Fatalf("%s got %s", p.name, what)
			}
		}
		select {
		case m := <-p.inbox:
			p.seen = append(p.seen, m)
		case <-limit:
			return
		}
	}
}

func (p *phone) branch() string {
	p.n++
	return fmt.Sprintf("z9hG4bK%s-%d", p.name, p.n)
}

func (p *phone) insideRoute() string {
	return "<sip:token-" + p.name + "@" + p.addr.String() + ";transport=tcp;lr>"
}

const outsideRoute = "<sip:203.0.113.1:5060;transport=udp;lr>"

// A dialogue is one dialog as the phone sees it.
type dialogue struct {
	p             *phone
	callID        string
	local, remote string // From and To of our requests
	target        string
	seq           uint32
	invite        string // our INVITE's text, to be cancelled or repeated
	in            msg    // the INVITE we got
	tag           string
}

const crlf = "\r\n"

// describe is a session description of a phone, with its name in the session name.
func describe(name string, version int, direction string) string {
	return fmt.Sprintf("v=0\r\no=%s 7 %d IN IP4 192.0.2.77\r\ns=%s\r\nc=IN IP4 192.0.2.77\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=%s\r\n",
		name, version, name, direction)
}

func withBody(kind, b string) string {
	if b == "" {
		return "Content-Length: 0\r\n\r\n"
	}
	return fmt.Sprintf("Content-Type: %s\r\nContent-Length: %d\r\n\r\n%s", kind, len(b), b)
}

// call sends an INVITE to a number, at the demo's domain unless it brings its own;
// extra are whole header lines.
func (p *phone) call(number, sdp string, extra ...string) *dialogue {
	d := &dialogue{p: p, callID: fmt.Sprintf("%s-%d-%d", p.name, p.n, time.Now().UnixNano()), tag: "t" + p.branch(), seq: 1}
	d.local = fmt.Sprintf("\"Phone, %s\" <sip:%d@demo.lindero.test>;tag=%s", p.name, 100+p.user, d.tag)
	if !strings.Contains(number, "@") {
		number += "@demo.lindero.test"
	}
	d.remote = "<sip:" + number + ">"
	d.target = "sip:" + number
	d.sendInvite(sdp, append(extra, fmt.Sprintf("Lindero-Caller: 1;user=%d;terminal=%d", p.user, p.user))...)
	return d
}

func (d *dialogue) sendInvite(sdp string, extra ...string) {
	p := d.p
	lines := append([]string{
		"Record-Route: " + p.insideRoute() + ", " + outsideRoute,
		"Contact: <sip:" + p.name + "@10.0.0.9:5062>",
		"Allow: INVITE, ACK, CANCEL, BYE, UPDATE, INFO, REFER, NOTIFY, MESSAGE",
	}, extra...)
	d.invite = d.compose("INVITE", d.seq, p.branch(), lines, sdp, "application/sdp")
	p.send(d.invite)
}

// compose prints a request of the dialog.
func (d *dialogue) compose(method string, seq uint32, branch string, lines []string, b, kind string) string {
	var s strings.Builder
	s.WriteString(method + " " + d.target + " SIP/2.0" + crlf)
	s.WriteString("Via: SIP/2.0/TCP " + d.p.addr.String() + ";branch=" + branch + crlf)
	s.WriteString("From: " + d.local + crlf + "t: " + d.remote + crlf)
	s.WriteString("i: " + d.callID + crlf + fmt.Sprintf("CSeq: %d %s", seq, method) + crlf)
	if !strings.Contains(strings.Join(lines, crlf), "Max-Forwards") {
		s.WriteString("Max-Forwards: 68" + crlf)
	}
	for _, l := range lines {
		s.WriteString(l + crlf)
	}
	s.WriteString(withBody(kind, b))
	return s.String()
}

// learn takes the dialog's remote side from a response.
func (d *dialogue) learn(res msg) msg {
	d.remote = res.header("To")
	if c := res.header("Contact"); c != "" {
		d.target = strings.Trim(c, "<>")
	}
	return res
}

// expect waits for a response to the dialog's INVITE and learns from it.
func (d *dialogue) expect(code int) msg {
	d.p.t.Helper()
	return d.learn(d.p.expect(fmt.Sprintf("%d INVITE", code)))
}

func (d *dialogue) ack(sdp string) {
	d.p.send(d.compose("ACK", d.seq, d.p.branch(), nil, sdp, "application/sdp"))
}

// ackFailure acknowledges a non-2xx, on the INVITE's own branch.
func (d *dialogue) ackFailure() {
	branch := strings.Split(strings.Split(d.invite, ";branch=")[1], crlf)[0]
	d.p.send(d.compose("ACK", d.seq, branch, nil, "", ""))
}

func (d *dialogue) cancel() {
	branch := strings.Split(strings.Split(d.invite, ";branch=")[1], crlf)[0]
	c := *d
	c.remote, _, _ = strings.Cut(d.remote, ";tag=")
	c.target = strings.Split(d.invite, " ")[1]
	c.p.send(c.compose("CANCEL", d.seq, branch, nil, "", ""))
}

// request sends a request in the dialog.
func (d *dialogue) request(method, kind, b string, lines ...string) {
	d.seq++
	d.p.send(d.compose(method, d.seq, d.p.branch(), lines, b, kind))
}

func (d *dialogue) reinvite(sdp string, lines ...string) {
	d.seq++
	d.sendInvite(sdp, lines...)
}

// incoming waits for an INVITE and makes its dialog.
func (p *phone) incoming() *dialogue {
	p.t.Helper()
	m := p.expect("INVITE")
	d := &dialogue{p: p, callID: m.header("Call-ID"), in: m, remote: m.header("From"), tag: "t" + p.branch(), seq: 100}
	d.local = m.header("To") + ";tag=" + d.tag
	d.target = strings.Trim(m.header("Contact"), "<>")
	return d
}

// answer responds to a request as the phone's edge passes it on.
func (d *dialogue) answer(m msg, code int, sdp string, lines ...string) {
	d.p.respond(m, code, d.tag, sdp, append([]string{
		"Record-Route: " + outsideRoute, "Record-Route: " + d.p.insideRoute(),
		"Contact: <sip:" + d.p.name + "@10.0.0.9:5062;x=1>",
	}, lines...)...)
}

func (p *phone) respond(m msg, code int, tag, b string, lines ...string) {
	var s strings.Builder
	fmt.Fprintf(&s, "SIP/2.0 %d Whatever\r\n", code)
	for _, v := range m.all("Via") {
		s.WriteString("Via: " + v + crlf)
	}
	to := m.header("To")
	if !strings.Contains(to, ";tag=") && code > 100 {
		to += ";tag=" + tag
	}
	s.WriteString("From: " + m.header("From") + crlf + "To: " + to + crlf)
	s.WriteString("Call-ID: " + m.header("Call-ID") + crlf + "CSeq: " + m.header("CSeq") + crlf)
	for _, l := range lines {
		s.WriteString(l + crlf)
	}
	s.WriteString(withBody("application/sdp", b))
	p.send(s.String())
}

// ok answers a request that carries nothing.
func (p *phone) ok(m msg) { p.respond(m, 200, "", "") }

// talk sets up a call between two phones and returns both sides of it.
func talk(t *testing.T, a, b *phone) (da, db *dialogue) {
	t.Helper()
	da = a.call(fmt.Sprint(100+b.user), describe(a.name, 1, "sendrecv"))
	db = b.incoming()
	db.answer(db.in, 180, "")
	da.expect(180)
	db.answer(db.in, 200, describe(b.name, 1, "sendrecv"), "Allow: INVITE, ACK, BYE, CANCEL, INFO, REFER, NOTIFY")
	b.expect("ACK")
	da.expect(200)
	da.ack("")
	return da, db
}
