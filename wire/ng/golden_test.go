package ng

import (
	"net/netip"
	"reflect"
	"testing"
	"time"
)

// Dictionaries as the modules write them. Kamailio: keys in the order of its code,
// options that it does not know as keys or flags of their own.
const (
	// rtpengine_offer("trust-address replace-origin replace=session-connection ICE=remove RTP/AVP rtcp-mux-demux
	// direction=pub direction=priv via-branch=1 TOS=184 address-family=IP6 SDES-off record-call=yes loop-protect media-address=192.0.2.9")
	kamailioOffer = "d8:supportsl10:load limite3:sdp5:v=0\r\n3:ICE6:remove3:TOSi184e14:address-family3:IP611:record-call3:yes13:media-address9:192.0.2.9" +
		"9:directionl3:pub4:prive5:flagsl13:trust-address12:loop-protecte7:replacel6:origin18:session-connectione18:transport-protocol7:RTP/AVP" +
		"8:rtcp-muxl5:demuxe4:SDESl3:offe13:received-froml3:IP412:198.51.100.9e7:call-id9:1-2@x.org10:via-branch9:z9hG4bK-18:from-tag2:ft" +
		"7:command5:offer16:sip-message-type7:requeste"

	// The same script where the module leaves the reading to the relay.
	kamailioDaemonFlags = "d8:supportsl10:load limite3:sdp5:v=0\r\n7:call-id9:1-2@x.org10:via-branch9:z9hG4bK-18:from-tag2:ft7:command5:offer16:sip-message-type7:request" +
		"10:rtpp-flags207:trust-address replace-origin replace=session-connection ICE=remove RTP/AVP rtcp-mux-demux direction=pub direction=priv " +
		"TOS=184 address-family=IP6 SDES-off record-call=yes loop-protect media-address=192.0.2.9e"

	// rtpengine_offer("in-iface=pub out-iface=priv trust-address replace-origin replace-session-connection ICE=force rtcp-mux-require
	// RTP/SAVPF address-family=IP4 via-branch=auto asymmetric codec-strip-PCMU transcode-opus"); its list of flags may hold anything.
	opensipsOffer = "d3:sdp5:v=0\r\n3:ICE5:force14:address family3:IP49:directionl3:pub4:prive5:flagsl13:trust-address10:asymmetric16:codec-strip-PCMU14:transcode-opuse" +
		"7:replacel6:origin18:session-connectione18:transport-protocol9:RTP/SAVPF8:rtcp-muxl7:requiree7:call-id1:c10:via-branch3:z9h" +
		"13:received-froml3:IP611:2001:db8::1e8:from-tag1:f7:command5:offere"
)

func TestWhatTheModulesSend(t *testing.T) {
	tos, volume, delay := 184, 8, 30*time.Second
	kamailio := Command{
		Name: Offer, CallID: "1-2@x.org", FromTag: "ft", ViaBranch: "z9hG4bK-1", SDP: []byte("v=0\r\n"), Direction: [2]string{"pub", "priv"},
		ReceivedFrom: netip.MustParseAddr("198.51.100.9"), MediaAddress: netip.MustParseAddr("192.0.2.9"), Family: FamilyIPv6, Transport: "RTP/AVP",
		Replace: []string{ReplaceOrigin, ReplaceSession}, Flags: []string{FlagTrustAddress, FlagLoopProtect}, Mux: []string{MuxDemux}, ICE: ICERemove,
		SDES: []string{"off"}, TOS: &tos, Supports: []string{SupportsLoadLimit}, MessageType: "request", Unsupported: []string{"record-call=yes"},
	}
	daemon := kamailio
	daemon.ReceivedFrom = netip.Addr{} // the module leaves it out
	for name, c := range map[string]struct {
		in   string
		want Command
	}{
		"kamailio":                   {kamailioOffer, kamailio},
		"kamailio, read by us":       {kamailioDaemonFlags, daemon},
		"kamailio's ping":            {"d7:command4:pinge", Command{Name: Ping}},
		"kamailio's delete":          {"d8:supportsl10:load limite12:delete delayi30e12:delete-delay2:3013:received-froml3:IP49:192.0.2.1e7:call-id1:c8:from-tag1:f6:to-tag1:t7:command6:delete16:sip-message-type7:requeste", Command{Name: Delete, CallID: "c", FromTag: "f", ToTag: "t", ReceivedFrom: netip.MustParseAddr("192.0.2.1"), DeleteDelay: &delay, Supports: []string{SupportsLoadLimit}, MessageType: "request"}},
		"kamailio's delete, script":  {"d7:call-id1:c8:from-tag1:f6:to-tag1:t7:command6:delete10:rtpp-flags28:to-tag fatal delete-delay=30e", Command{Name: Delete, CallID: "c", FromTag: "f", ToTag: "t", Flags: []string{FlagToTag, FlagFatal}, DeleteDelay: &delay}},
		"kamailio blocks":            {"d8:supportsl10:load limite5:flagsl3:alle13:received-froml3:IP49:192.0.2.1e7:call-id1:c8:from-tag1:f7:command11:block media16:sip-message-type5:replye", Command{Name: BlockMedia, CallID: "c", FromTag: "f", All: AllParties, ReceivedFrom: netip.MustParseAddr("192.0.2.1"), Supports: []string{SupportsLoadLimit}, MessageType: "reply"}},
		"kamailio plays DTMF":        {"d4:code1:#8:duration3:2506:volume2:-85:pause3:1007:call-id1:c8:from-tag1:f7:command9:play DTMFe", Command{Name: PlayDTMF, CallID: "c", FromTag: "f", Digit: "#", Duration: 250 * time.Millisecond, Pause: 100 * time.Millisecond, Volume: &volume}},
		"opensips":                   {opensipsOffer, Command{Name: Offer, CallID: "c", FromTag: "f", ViaBranch: "z9h", SDP: []byte("v=0\r\n"), Direction: [2]string{"pub", "priv"}, ReceivedFrom: netip.MustParseAddr("2001:db8::1"), Family: FamilyIPv4, Transport: "RTP/SAVPF", Replace: []string{ReplaceOrigin, ReplaceSession}, Flags: []string{FlagTrustAddress, FlagAsymmetric}, Mux: []string{MuxRequire}, ICE: ICEForce, Codec: Codec{Strip: []string{"PCMU"}}, Unsupported: []string{"codec-transcode=opus"}}},
		"opensips, unknown family":   {"d13:received-froml1:?9:192.0.2.1e7:command6:deletee", Command{Name: Delete, ReceivedFrom: netip.MustParseAddr("192.0.2.1")}},
		"opensips blocks by address": {"d7:address9:192.0.2.17:call-id1:c7:command10:block DTMFe", Command{Name: BlockDTMF, CallID: "c", Address: netip.MustParseAddr("192.0.2.1")}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseCommand([]byte(c.in))
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v %v\nwant %+v", got, err, c.want)
			}
		})
	}
}

// The spellings of one option mean one thing.
func TestSpellings(t *testing.T) {
	flag := func(names ...string) Command { return Command{Name: Offer, Flags: names} }
	for _, c := range []struct {
		ins  []string // what stands between the command and the end
		want Command
	}{
		{[]string{"5:flagsl13:trust-addresse", "5:flagsl13:trust addresse", "5:flagsl13:trust_addresse", "5:flags13:trust-address", "13:trust-address3:yes", "13:trust addressi1e", "10:rtpp-flags13:trust-address"}, flag(FlagTrustAddress)},
		{[]string{"5:flagsl18:SIP-source-addresse", "5:flagsl18:sip source addresse", "18:SIP source address2:on"}, flag(FlagSIPSourceAddress)},
		{[]string{"5:flagsl11:inject-DTMFe", "5:flagsl11:inject dtmfe"}, flag(FlagInjectDTMF)},
		{[]string{"5:flagsl10:ICE-rejecte", "5:flagsl10:reject icee"}, flag(FlagRejectICE)},
		{[]string{"13:trust-address2:no", "5:flagsl5:debug15:no-redis-update11:early media4:faste", "8:metadata1:x", "11:record call2:no"}, Command{Name: Offer}},
		{[]string{"8:rtcp-muxl7:requiree", "8:RTCP mux7:require", "5:flagsl16:rtcp-mux-requiree", "10:rtpp-flags16:rtcp-mux-require", "10:rtpp-flags16:rtcp-mux=require", "10:rtpp-flags18:rtcp-mux=[require]"}, Command{Name: Offer, Mux: []string{MuxRequire}}},
		{[]string{"8:rtcp-mux12:offer,reject", "8:rtcp-muxl5:offer6:rejecte", "10:rtpp-flags28:rtcp-mux=[ offer   reject ] "}, Command{Name: Offer, Mux: []string{MuxOffer, MuxReject}}},
		{[]string{"3:ICEl11:force relaye", "3:ice11:force-relay", "3:ICE11:force_relay"}, Command{Name: Offer, ICE: ICEForceRelay}},
		{[]string{"8:ICE-lite3:fwd", "3:ICE8:lite-fwd", "3:ICE4:lite", "8:ice lite7:forward"}, Command{Name: Offer, ICELite: "forward"}},
		{[]string{"9:direction1:a", "14:from-interface1:a", "10:rtpp-flags11:direction=a"}, Command{Name: Offer, Direction: [2]string{"a", ""}}},
		{[]string{"9:directionl1:a1:be", "14:from-interface1:a12:to interface1:b", "10:rtpp-flags23:direction=a direction=b", "10:rtpp-flags15:direction=[a b]"}, Command{Name: Offer, Direction: [2]string{"a", "b"}}},
		{[]string{"9:directionl8:external8:internale", "10:rtpp-flags17:external internal"}, Command{Name: Offer, Direction: [2]string{"external", "internal"}}},
		{[]string{"18:transport-protocol7:RTP/AVP", "18:transport protocol7:RTP/AVP", "10:rtpp-flags7:RTP AVP", "10:rtpp-flags7:RTP/AVP"}, Command{Name: Offer, Transport: "RTP/AVP"}},
		{[]string{"18:transport-protocol17:UDP/TLS/RTP/SAVPF", "10:rtpp-flags9:DTLS AVPF", "10:rtpp-flags17:UDP/TLS/RTP/SAVPF"}, Command{Name: Offer, Transport: "UDP/TLS/RTP/SAVPF"}},
		{[]string{"18:transport-protocol6:accept"}, Command{Name: Offer, Transport: TransportAccept}},
		{[]string{"14:address-family3:IP6", "14:address family4:inet10:rtpp-flags18:address-family=IP6"}, Command{Name: Offer, Family: FamilyIPv6}},
		{[]string{"13:received-froml3:IP49:192.0.2.1e", "13:received from9:192.0.2.1", "13:received-froml9:192.0.2.1e"}, Command{Name: Offer, ReceivedFrom: netip.MustParseAddr("192.0.2.1")}},
		{[]string{"5:label1:x", "10:from-label1:x", "10:from label1:x"}, Command{Name: Offer, Label: "x"}},
		{[]string{"4:code1:*", "5:digit2:10", "4:codei10e"}, Command{Name: Offer, Digit: "*"}},
		{[]string{"4:T.38l6:decodee", "3:T385:force3:ICE5:maybe"}[:1], Command{Name: Offer, Unsupported: []string{"t38=decode"}}},
		{[]string{"5:codecd5:stripl4:PCMUe9:transcodel4:opusee", "5:flagsl16:codec-strip-PCMU14:transcode-opuse", "10:rtpp-flags31:codec-strip=PCMU transcode=opus"}, Command{Name: Offer, Codec: Codec{Strip: []string{"PCMU"}}, Unsupported: []string{"codec-transcode=opus"}}},
		{[]string{"5:flagsl11:from-tags-ae", "9:from tagsl1:ae"}, Command{Name: Offer, FromTags: []string{"a"}}},
		{[]string{"5:flagsl8:sparklese", "8:sparkles3:yes"}[:1], Command{Name: Offer, Unsupported: []string{"sparkles"}}},
		{[]string{"8:sdp-attrd5:audiod3:addl1:xeee", "10:rtpp-flags26:sdp-attr=[audio=[add=[x]]]"}, Command{Name: Offer, Unsupported: []string{"sdp-attr"}}},
		{[]string{"12:drop-traffic5:start", "12:drop traffic5:start"}, Command{Name: Offer, DropTraffic: DropStart}},
		{[]string{"17:endpoint-learning9:immediate", "5:flagsl27:endpoint-learning-immediatee"}, Command{Name: Offer, Learning: LearnImmediate}},
		{[]string{"3:all7:unknown3:all4:none10:rtpp-flags8:all=none"}, Command{Name: Offer, Unsupported: []string{"all=unknown"}}},
		{[]string{"7:call ID1:c", "7:call-id1:b7:call-id1:c"}, Command{Name: Offer, CallID: "c"}},
	} {
		for _, in := range c.ins {
			got, err := ParseCommand([]byte("d7:command5:offer" + in + "e"))
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s:\ngot  %+v %v\nwant %+v", in, got, err, c.want)
			}
		}
	}
}

func TestMalformedOptions(t *testing.T) {
	for in, want := range map[string]string{
		"13:media-address4:here":             `ng: media-address: ParseAddr("here"): unable to parse IP`,
		"13:received-fromle":                 "ng: received-from: no address",
		"14:address-family3:IP5":             `ng: address-family: "IP5" is neither IP4 nor IP6`,
		"4:code2:1#":                         "ng: code: wants an event from 0 to 15, or one of 0-9 * # A-D",
		"3:TOS4:high":                        "ng: TOS: not a number",
		"8:durationi-1e":                     "ng: duration: below 0",
		"10:rtpp-flags15:direction=[a [b":    "ng: rtpp-flags: brackets that do not match",
		"10:rtpp-flags8:ICE[x]=y":            "ng: rtpp-flags: brackets that do not match",
		"10:rtpp-flags18:a=[b=[c=[d=[e=[f=[": "ng: rtpp-flags: bencode: too deep or too many values",
	} {
		if _, err := ParseCommand([]byte("d7:command5:offer" + in + "e")); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
	}
}

func TestEvents(t *testing.T) {
	for digit, want := range map[string]int{"0": 0, "9": 9, "*": 10, "#": 11, "A": 12, "D": 15, "": -1, "E": -1, "12": -1} {
		got, ok := Command{Digit: digit}.Event()
		if ok != (want >= 0) || ok && int(got) != want {
			t.Errorf("%q: %d %v", digit, got, ok)
		}
	}
}
