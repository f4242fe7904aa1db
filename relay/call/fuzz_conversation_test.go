package call_test

import (
	"net/netip"
	"testing"

	"github.com/lindero/lindero/relay/call"
	"github.com/lindero/lindero/wire/sdp"
)

// options makes a Message ask for what the bits of n say.
func options(m *call.Message, n uint32) {
	bit := func() (on bool) {
		on = n&1 != 0
		n >>= 1
		return on
	}
	m.Trust, m.Source, m.Asymmetric, m.Handover, m.Loop, m.KeepHold, m.NoEvents = bit(), bit(), bit(), bit(), bit(), bit(), bit()
	m.Replace = call.Replace{Origin: bit(), Zero: bit(), User: bit(), Name: bit(), Version: bit(), Force: bit()}
	m.Mux = call.Mux{Offer: bit(), Require: bit(), Demux: bit(), Accept: bit(), Reject: bit()}
	m.RTCP = call.RTCPAttribute(n & 3 % 3)
	n >>= 2
	m.Transport = []string{"", "RTP/AVP", "RTP/AVPF", "accept"}[n&3]
	n >>= 2
	if bit() {
		m.MediaAddress = netip.MustParseAddr("198.51.100.200")
	}
	if bit() {
		m.MediaAddress = netip.MustParseAddr("2001:db8::200")
	}
	m.Drop, m.Undrop = bit(), bit()
	if bit() {
		m.Codecs = call.Codecs{Strip: []string{"all"}, Offer: []string{"telephone-event", "PCMU"}}
	}
}

// FuzzConversation plays an offer, its answer, and the offer again from the other
// side, with any options. What comes out can be parsed, names no address but ours
// (or the one that was to stand for it), no port but a lent one, and no table entry
// sends to an address that nobody vouched for.
func FuzzConversation(f *testing.F) {
	plain := "v=0\r\no=- 1 1 IN IP4 192.0.2.66\r\ns=-\r\nc=IN IP4 192.0.2.66\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 101\r\na=rtcp-mux\r\na=rtcp:4001 IN IP4 192.0.2.66\r\n"
	fax := "v=0\nc=IN IP4 0.0.0.0\nm=image 4000 udptl t38\nm=video 0 RTP/AVP 96\na=group:BUNDLE 1"
	f.Add([]byte(plain), []byte(fax), uint32(0), uint32(0x5555))
	f.Add([]byte(fax), []byte(plain), uint32(0xffffffff), uint32(1<<14))
	f.Add([]byte(plain), []byte(plain), uint32(1<<13|1<<11), uint32(1<<12))
	f.Add([]byte("v=0\nc=IN IP6 2001:db8::66\nm=audio 4000 RTP/AVPF 0\na=rtcp-fb:* nack"), []byte(plain), uint32(1<<20), uint32(1<<21))
	f.Add([]byte(plain), []byte("v=0\nc=IN IP4 192.0.2.66\nm=image 1 udptl t38\na=rtcp:4001 IN IP4 192.0.2.66"), uint32(0), uint32(0))
	f.Fuzz(func(t *testing.T, offered, answered []byte, n, k uint32) {
		l := newLab(t)
		m := offer("", natted)
		m.SDP = offered
		options(&m, n)
		out, err := l.Offer(m)
		if err != nil {
			if l.live() != 0 {
				t.Errorf("%q was refused (%v) and is a call", offered, err)
			}
			return
		}
		fits(t, m, out, "10.2.0.1")
		nowhere(t, l, m)
		back := answer()
		back.SDP = answered
		options(&back, k)
		if out, err = l.Answer(back); err == nil {
			fits(t, back, out, "198.51.100.1")
		}
		nowhere(t, l, m)
		back.FromTag, back.ToTag = "b", "a"
		if out, err = l.Offer(back); err == nil {
			fits(t, back, out, "198.51.100.1")
		}
		if s, err := l.Query("c"); err != nil || len(s.Tags) == 0 {
			t.Errorf("%+v %v", s, err)
		}
		if _, _, err := l.Delete(call.Deletion{CallID: "c"}); err != nil {
			t.Error(err)
		}
		if calls, legs, _ := l.Counts(); calls+legs != 0 || len(l.table.legs) != 0 {
			t.Errorf("%d calls, %d ports, %d legs are left", calls, legs, len(l.table.legs))
		}
	})
}

// fits checks an SDP of ours.
func fits(t *testing.T, m call.Message, out []byte, ours string) {
	t.Helper()
	s, err := sdp.Parse(out)
	if err != nil {
		t.Fatalf("%q became %q: %v", m.SDP, out, err)
	}
	if m.MediaAddress.IsValid() {
		ours = m.MediaAddress.String()
	}
	for i := range s.Media {
		d := &s.Media[i]
		for _, a := range []*sdp.Address{d.Connection, s.Connection} {
			if a != nil && a.Host != ours && !a.Held() {
				t.Errorf("%q became %q: stream %d is at %s", m.SDP, out, i, a.Host)
			}
		}
		if d.Port != 0 && (d.Port < 30000 || d.Port > 30399) || d.ICE {
			t.Errorf("%q became %q: stream %d has port %d, ICE %v", m.SDP, out, i, d.Port, d.ICE)
		}
		if d.RTCP != nil && (d.RTCP.Port < 30000 || d.RTCP.Port > 30399 || d.RTCP.Address != nil && d.RTCP.Address.Host != ours) {
			t.Errorf("%q became %q: RTCP of stream %d is at %+v", m.SDP, out, i, d.RTCP)
		}
	}
}

// nowhere checks that nothing is sent to the outside but where signalling came from,
// unless the proxy trusts the SDP.
func nowhere(t *testing.T, l *lab, m call.Message) {
	t.Helper()
	for _, leg := range l.table.legs {
		for _, to := range []netip.AddrPort{leg.To, leg.RTCPTo} {
			if leg.Via.Addr() != mustAddr("10.1.0.1") || !to.IsValid() {
				continue
			}
			if to.Addr() != mustAddr(natted) && !m.Trust || to.Addr().IsMulticast() || to.Addr().IsLoopback() {
				t.Errorf("%q: sent to %v", m.SDP, to)
			}
		}
	}
}
