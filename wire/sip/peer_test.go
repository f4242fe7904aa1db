package sip_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	sipgo "github.com/emiago/sipgo/sip"

	"github.com/lindero/lindero/wire/sip"
)

// Another parser reads the same out of well-formed messages. They keep to what
// it is known to read right: no white space inside values, no quoted parameters
// and single headers once.
func TestAgreesWithSipgo(t *testing.T) {
	r := rand.New(rand.NewPCG(4475, 3261))
	for range 3000 {
		raw := wellFormed(r)
		theirs, err := sipgo.ParseMessage(raw)
		if err != nil {
			t.Fatalf("sipgo: %v\n%s", err, raw)
		}
		m := scan(t, raw)
		if got, want := ours(t, m), peers(t, theirs); got != want {
			t.Fatalf("we read\n%s\nsipgo\n%s\nof\n%s", got, want, raw)
		}
	}
}

func ours(t *testing.T, m *sip.Message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %d %s\n", m.Method, m.URI, m.Code, m.Reason)
	eachValue(m, sip.Via, func(v []byte) {
		via, err := sip.ParseVia(v)
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(&b, "via %s %s %d %s\n", via.Transport, via.Host, via.Port, via.Branch())
	})
	for _, id := range []sip.HeaderID{sip.From, sip.To} {
		n, err := sip.ParseNameAddr(m.Get(id))
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(&b, "%q %s tag %s\n", strings.Trim(string(n.Display), `"`), n.URI, m.Tag(id))
	}
	eachValue(m, sip.Contact, func(v []byte) {
		n, err := sip.ParseNameAddr(v)
		u, err2 := sip.ParseURI(n.URI)
		if err != nil || err2 != nil {
			t.Error(err, err2)
		}
		fmt.Fprintf(&b, "contact %s %s %d\n", u.User, u.Host, u.Port)
	})
	fmt.Fprintf(&b, "%s %d %s\n%q", m.Get(sip.CallID), m.CSeqNumber, m.CSeqMethod, m.Body)
	return b.String()
}

func peers(t *testing.T, message sipgo.Message) string {
	var b strings.Builder
	switch m := message.(type) {
	case *sipgo.Request:
		fmt.Fprintf(&b, "%s %s 0 \n", m.Method, m.Recipient.String())
	case *sipgo.Response:
		fmt.Fprintf(&b, "  %d %s\n", m.StatusCode, m.Reason)
	}
	for _, h := range message.GetHeaders("Via") {
		via := h.(*sipgo.ViaHeader)
		branch, _ := via.Params.Get("branch")
		fmt.Fprintf(&b, "via %s %s %d %s\n", via.Transport, strings.Trim(via.Host, "[]"), via.Port, branch)
	}
	from, to := message.From(), message.To()
	tag, _ := from.Params.Get("tag")
	fmt.Fprintf(&b, "%q %s tag %s\n", from.DisplayName, from.Address.String(), tag)
	tag, _ = to.Params.Get("tag")
	fmt.Fprintf(&b, "%q %s tag %s\n", to.DisplayName, to.Address.String(), tag)
	for _, h := range message.GetHeaders("Contact") {
		u := h.(*sipgo.ContactHeader).Address
		fmt.Fprintf(&b, "contact %s %s %d\n", u.User, strings.Trim(u.Host, "[]"), u.Port)
	}
	fmt.Fprintf(&b, "%s %d %s\n%q", message.CallID().Value(), message.CSeq().SeqNo, message.CSeq().MethodName, message.Body())
	return b.String()
}

func pick(r *rand.Rand, s ...string) string { return s[r.IntN(len(s))] }

// wellFormed makes a message out of choices.
func wellFormed(r *rand.Rand) []byte {
	host := func() string { return pick(r, "192.0.2.1", "example.com", "a.b-c.test", "[2001:db8::1]") }
	port := func() string { return pick(r, "", ":5060", ":65535") }
	uri := func() string {
		return pick(r, "sip:", "sips:") + pick(r, "101@", "a.b@", "%61+1@", "a:p@") + host() + port() + pick(r, "", ";transport=tcp", ";lr", ";user=phone;x=1")
	}
	address := func() string {
		return pick(r, "", "Bob ", `"Bob B." `) + "<" + uri() + ">" + pick(r, "", ";tag=abc", ";tag=x.y-z")
	}
	method := pick(r, "INVITE", "REGISTER", "BYE", "OPTIONS", "NEWMETHOD")
	lines := []string{
		pick(r, "From", "f", "FROM") + ": " + address(),
		pick(r, "To", "t", "to") + ": " + address(),
		pick(r, "Call-ID", "i", "call-id") + ": " + pick(r, "a84b4c76e66710", "x@y", "1-2@192.0.2.1"),
		fmt.Sprintf("CSeq: %d %s", r.IntN(1<<31), method),
		"Max-Forwards: " + pick(r, "70", "0", "255"),
		"X-Other: " + pick(r, "", "a, b;c", "größer"),
	}
	for range 1 + r.IntN(3) {
		lines = append(lines, pick(r, "Via", "v")+": SIP/2.0/"+pick(r, "UDP", "TCP", "TLS")+" "+host()+port()+";branch=z9hG4bK"+pick(r, "1", "a.b", "x-y"))
	}
	for range r.IntN(3) {
		lines = append(lines, pick(r, "Contact", "m")+": <"+uri()+">"+pick(r, "", ";expires=60", ";q=0.5"))
	}
	r.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	start := method + " " + uri() + " SIP/2.0"
	if r.IntN(3) == 0 {
		start = "SIP/2.0 " + pick(r, "180 Ringing", "200 OK", "404 Not Found")
	}
	body := pick(r, "", "v=0\r\n", "any\r\n\r\nthing")
	lines = append(lines, fmt.Sprintf("%s: %d", pick(r, "Content-Length", "l"), len(body)))
	return []byte(start + "\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n" + body)
}
