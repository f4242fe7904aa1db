package call

import (
	"fmt"
	"hash/maphash"
	"net/netip"
	"strconv"
	"strings"

	"github.com/lindero/lindero/wire/sdp"
)

// write is the SDP for the other side.
func (t *turn) write() []byte {
	ours := t.fork.sides[1-t.x].face.Advertise
	if t.m.MediaAddress.IsValid() {
		ours = t.m.MediaAddress
	}
	e := t.sdp.Edit()
	for i := range t.sdp.Media {
		t.media(e, i, ours)
	}
	if t.m.Replace.Origin {
		e.Address(t.sdp.Origin, ours)
	}
	// All of them, also those of refused streams: they name addresses of a network
	// the reader should not know.
	for i := range t.sdp.Media {
		t.connection(e, t.sdp.Media[i].Connection, ours)
	}
	t.connection(e, t.sdp.Connection, ours)
	e.RemoveAny(around)
	if t.m.Loop {
		e.AppendSession(markName + ":" + t.r.mark(t.m.CallID))
	}
	return t.identity(e)
}

// around knows the attributes by which the parties could go around a relay that
// takes no part in ICE, filter what comes from it by an address that is not its, or
// believe that several streams share one of its ports.
func around(name, value string) bool {
	return sdp.IsICE(name) || name == "source-filter" || name == "bundle-only" || name == "group" && strings.HasPrefix(value, "BUNDLE")
}

func (t *turn) connection(e *sdp.Edit, a *sdp.Address, ours netip.Addr) {
	switch {
	case !a.Held() || t.m.Replace.Zero:
		e.Address(a, ours)
	case a.Addr.Is4() != ours.Is4():
		e.Address(a, unspecified(ours))
	}
}

// unspecified is the address of hold of a's family.
func unspecified(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// media writes our port into stream i, with what goes with it.
func (t *turn) media(e *sdp.Edit, i int, ours netip.Addr) {
	d := &t.sdp.Media[i]
	var to *half // nil for an answer to what was not offered
	if i < len(t.fork.streams) {
		to = t.fork.streams[i].halves[1-t.x]
	}
	if d.Port == 0 || !relayable(d) || to == nil {
		e.Port(d, 0)
		e.RemoveOf(d, func(name, _ string) bool { return name == "rtcp" })
		return
	}
	e.Port(d, to.pair.RTP.Port())
	if d.Address().Held() && !t.m.KeepHold {
		t.silent(e, d)
	}
	if !d.RTP() {
		e.RemoveOf(d, func(name, _ string) bool { return name == "rtcp" || name == "rtcp-mux" }) // fax has none
		return
	}
	t.proto(e, d, to)
	if t.offer {
		t.codecs(e, d)
	}
	t.rtcp(e, d, to, ours)
}

// silent says in today's words what the address of hold says in those of RFC 2543.
func (t *turn) silent(e *sdp.Edit, d *sdp.Media) {
	switch d.Direction {
	case sdp.SendRecv:
		e.Direction(d, sdp.SendOnly)
	case sdp.RecvOnly:
		e.Direction(d, sdp.Inactive)
	}
}

// proto writes RTP/AVP or RTP/AVPF: in an offer the one asked for, in an answer the
// one that was offered (RFC 3264, section 6), whatever the answer has.
func (t *turn) proto(e *sdp.Edit, d *sdp.Media, to *half) {
	proto := t.m.Transport
	if !t.offer && proto == "" {
		proto = to.proto
	}
	if proto == "" || proto == transportAccept || strings.EqualFold(proto, d.Proto) || !isRTP(proto) {
		return
	}
	e.Proto(d, proto)
	if proto == avp {
		e.RemoveOf(d, func(name, _ string) bool { return name == "rtcp-fb" }) // RFC 4585, section 4.2: only in AVPF
	}
}

func isRTP(proto string) bool { return strings.EqualFold(proto, avp) || strings.EqualFold(proto, avpf) }

// rtcp writes where RTCP goes: a=rtcp where it was, where it is asked for, and
// beside a=rtcp-mux; and a=rtcp-mux as the two sides have it.
func (t *turn) rtcp(e *sdp.Edit, d *sdp.Media, to *half, ours netip.Addr) {
	muxed, one := to.mux.agreed, to.mux.agreed // says so, has one port
	if t.offer {
		muxed, one = to.mux.told, t.m.Mux.Require
	}
	e.RemoveOf(d, func(name, _ string) bool { return name == "rtcp" || name == "rtcp-mux" })
	attribute := "rtcp:" + strconv.Itoa(int(to.pair.RTCP.Port()))
	if one {
		attribute = "rtcp:" + strconv.Itoa(int(to.pair.RTP.Port()))
	}
	if t.m.RTCP == RTCPFull || d.RTCP != nil && d.RTCP.Address != nil {
		attribute += " IN " + sdp.Family(ours)
	}
	needed := muxed || d.RTCP != nil || d.Mux
	if t.m.RTCP == RTCPFull || needed && t.m.RTCP != RTCPNone {
		e.Append(d, attribute)
	}
	if muxed {
		e.Append(d, "rtcp-mux")
	}
}

// markName is the attribute that says which relay an SDP has been at already. It
// is rtpengine's: one behind the other would know it.
const markName = "rtpengine"

// mark is ours, for one call.
func (r *Registry) mark(callID string) string {
	return fmt.Sprintf("%012x", maphash.String(r.seed, callID)&0xffffffffffff)
}

// marked says whether s has been here already.
func (r *Registry) marked(s *sdp.Session, callID string) bool {
	for name, value := range s.Attrs() {
		if name == markName && value == r.mark(callID) {
			return true
		}
	}
	return false
}
