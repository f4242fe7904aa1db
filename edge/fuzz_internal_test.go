package edge

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lindero/lindero/wire/sip/transport"
)

// FuzzReceive lets any bytes come from either side, many of them one after the
// other into one edge: nothing panics, and no lock stays held.
func FuzzReceive(f *testing.F) {
	cfg := DefaultConfig()
	cfg.SIP, cfg.Inside = netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort("127.0.0.3:0")
	cfg.Core = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.2:9")}
	cfg.Relays = []Relay{{ID: "r", NG: netip.MustParseAddrPort("127.0.0.4:9")}}
	cfg.KeyFile = filepath.Join(f.TempDir(), "edge.key")
	cfg.MaxTransactions = 1000
	e, err := New(cfg, slog.New(slog.DiscardHandler), nil)
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
