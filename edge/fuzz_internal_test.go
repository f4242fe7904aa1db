package edge

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/wire/sip/transport"
)

// A critic is a shield that looks at what it is told.
type critic struct {
	t    *testing.T
	told int
}

func (c *critic) Admit(netip.Addr, bool) bool          { return true }
func (c *critic) Holds(netip.Addr) bool                { return true }
func (c *critic) Country(netip.Addr) string            { return "ES" }
func (c *critic) Known(a netip.Addr)                   { c.check(a, "") }
func (c *critic) Registered(a netip.Addr, _ time.Time) { c.check(a, "") }
func (c *critic) Offended(a netip.Addr, _ Offence, proven bool, detail string) {
	if detail == "" || proven {
		c.t.Errorf("an offence over UDP: %q, proven %v", detail, proven)
	}
	c.check(a, detail)
}

func (c *critic) check(a netip.Addr, detail string) {
	c.told++
	if a != netip.MustParseAddr("127.0.0.7") || len(detail) > 120 || strings.ContainsFunc(detail, func(r rune) bool { return r < ' ' || r > '~' }) {
		c.t.Errorf("told of %v: %q", a, detail)
	}
}

// FuzzTestify lets core answer a request with credentials by anything: what the
// shield is told of it is fit to be shown.
func FuzzTestify(f *testing.F) {
	for _, code := range []string{"401", "403", "404", "407", "200", "503"} {
		for _, from := range []string{"<sip:101@demo.lindero.test>;tag=1", `"<script>" <sip:a%00\x01"@[2001:db8::1]:5060>;tag=1`, "sip:" + strings.Repeat("a", 300) + "@b;tag=1", "<tel:+1>;tag=1"} {
			f.Add([]byte("SIP/2.0 " + code + " x\r\nVia: SIP/2.0/UDP 127.0.0.7;branch=z9hG4bK1\r\nFrom: " + from + "\r\nTo: " + from + "\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\nWWW-Authenticate: Digest realm=\"a\", nonce=\"b\"\r\n\r\n"))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := &critic{t: t}
		e := &Edge{shield: c}
		var w work
		if w.msg.Scan(data) != nil || w.msg.IsRequest() {
			return
		}
		for _, m := range []method{register_, otherMethod} {
			c.told = 0
			p := &passage{signed: true, method: m, up: transport.Flow{Protocol: transport.UDP, Remote: netip.MustParseAddrPort("127.0.0.7:9")}}
			e.testify(&w, p)
			e.testify(&w, p)
			if c.told > 1 {
				t.Errorf("the shield was told %d times of one request", c.told)
			}
		}
	})
}

// FuzzReceive lets any bytes come from either side, many of them one after the
// other into one edge: nothing panics, and no lock stays held.
func FuzzReceive(f *testing.F) {
	cfg := DefaultConfig()
	cfg.SIP, cfg.Inside = netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort("127.0.0.3:0")
	cfg.Core = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.2:9")}
	cfg.Relays = []Relay{{ID: "r", NG: UDP(netip.MustParseAddrPort("127.0.0.4:9"))}}
	cfg.KeyFile = filepath.Join(f.TempDir(), "edge.key")
	cfg.MaxTransactions = 1000
	critic := &critic{}
	e, err := New(cfg, slog.New(slog.DiscardHandler), nil, WithShield(critic))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(e.close)
	phone := transport.Flow{Protocol: transport.UDP, Remote: netip.MustParseAddrPort("127.0.0.7:9"), Local: e.faces.outside[0].bound}
	core := transport.Flow{Protocol: transport.TCP, Remote: netip.MustParseAddrPort("127.0.0.2:5070"), Local: e.faces.inside, Conn: 1}
	flow := string(e.appendFlow(nil, phone, "r"))
	contact := string(e.appendContact(nil, contactToken{core: cfg.Core[0], relay: "r", uri: []byte("sip:x@127.0.0.2:9")}))

	const head = " SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.7:9;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: 1\r\n"
	const sdpEnd = "Content-Type: application/sdp\r\n\r\nv=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
	for _, method := range []string{"INVITE", "ACK", "CANCEL", "BYE", "REGISTER", "UPDATE", "OPTIONS", "REFER"} {
		own := head + "CSeq: 1 " + method + "\r\n"
		f.Add(true, []byte(method+" sip:c@d"+own+"Contact: <sip:a@127.0.0.7:9>\r\n\r\n"))
		f.Add(true, []byte(method+" sip:"+contact+"@"+cfg.SIP.String()+own+sdpEnd))
		f.Add(false, []byte(method+" sip:c@192.0.2.9"+own+"Route: <sip:"+flow+"@"+e.faces.inside.String()+";lr>\r\nContact: <sip:x@127.0.0.2>\r\n"+sdpEnd))
		f.Add(false, []byte(method+" sip:c@127.0.0.7:9"+own+"\r\n"))
	}
	f.Add(true, []byte("SIP/2.0 200 OK\r\n"+strings.TrimPrefix(head, " SIP/2.0\r\n")+"CSeq: 1 INVITE\r\n\r\n"))
	files, _ := filepath.Glob("../wire/sip/testdata/torture/*.dat")
	for _, name := range files {
		if b, err := os.ReadFile(name); err == nil {
			f.Add(true, b)
			f.Add(false, b)
		}
	}
	f.Fuzz(func(t *testing.T, fromOutside bool, data []byte) {
		critic.t = t
		if fromOutside {
			e.receive(outside, phone, data)
		} else {
			e.receive(inside, core, data)
		}
		// A record whose lock was kept would stop this one.
		e.closed(outside, phone)
		e.closed(inside, core)
	})
}
