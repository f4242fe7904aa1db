package ng_test

import (
	"errors"
	"net/netip"
	"reflect"
	"testing"

	"github.com/lindero/lindero/wire/ng"
)

// An offer as Kamailio's rtpengine module writes it: keys unsorted, flags of
// later that we do not know, an address family before the address.
const kamailio = "5323_1 d3:sdp5:v=0\r\n8:supportsl10:load limite3:ICE6:remove9:directionl8:external8:internale5:flagsl13:trust-address9:symmetrice7:replacel6:origine" +
	"7:call-id1:c13:received-froml3:IP412:198.51.100.9e8:from-tag1:f7:command5:offere"

func TestParseCommand(t *testing.T) {
	cookie, dict, err := ng.SplitCookie([]byte(kamailio))
	if err != nil || string(cookie) != "5323_1" {
		t.Fatalf("cookie %q %v", cookie, err)
	}
	got, err := ng.ParseCommand(dict)
	want := ng.Command{
		Name: ng.Offer, CallID: "c", FromTag: "f", SDP: []byte("v=0\r\n"), Direction: [2]string{"external", "internal"},
		ReceivedFrom: netip.MustParseAddr("198.51.100.9"), Replace: []string{"origin"}, Flags: []string{"trust-address", "symmetric"}, ICE: "remove",
		Supports: []string{ng.SupportsLoadLimit},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v %v\nwant %+v", got, err, want)
	}
	if !got.Has(ng.FlagTrustAddress) || got.Has("strict-source") {
		t.Error("flags")
	}
}

func TestCommandsComeBack(t *testing.T) {
	for name, c := range map[string]ng.Command{
		"ping": {Name: ng.Ping},
		"all": {
			Name: ng.Answer, CallID: "c", FromTag: "f", ToTag: "t", ViaBranch: "v", SDP: []byte("v=0"), Direction: [2]string{"a", "b"},
			ReceivedFrom: netip.MustParseAddr("2001:db8::1"), Replace: []string{"origin"}, Flags: []string{ng.FlagTrustAddress}, ICE: "remove", Transport: "RTP/AVP", Limit: 5,
		},
	} {
		_, dict, err := ng.SplitCookie(ng.AppendCommand(nil, "k", c))
		if err != nil {
			t.Fatal(err)
		}
		got, err := ng.ParseCommand(dict)
		if len(got.SDP) == 0 {
			got.SDP = nil
		}
		if err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("%s: got %+v %v, want %+v", name, got, err, c)
		}
	}
}

func TestMalformedCommands(t *testing.T) {
	for in, want := range map[string]string{
		"de": "ng: no command in the dictionary",
		"d7:command4:ping9:directionl1:a1:b1:cee": "ng: direction: wants two interface names",
		"d7:command4:ping13:received-from3:xyze":  `ng: received-from: ParseAddr("xyz"): unable to parse IP`,
		"d7:command4:ping8:from-tag1:a":           "bencode: syntax error: a dictionary without end at byte 29",
	} {
		if _, err := ng.ParseCommand([]byte(in)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", in, err, want)
		}
	}
	for _, in := range []string{"", " de", "de", "cookiede"} {
		if _, _, err := ng.SplitCookie([]byte(in)); !errors.Is(err, ng.ErrNoCookie) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestReplies(t *testing.T) {
	in := ng.Reply{Result: ng.ResultOK, Warning: "w", SDP: []byte("v=0"), More: ng.Dict{"totals": ng.Dict{"RTP": ng.Dict{"packets": int64(3)}}}}
	_, dict, err := ng.SplitCookie(ng.AppendReply(nil, "k", in))
	if err != nil {
		t.Fatal(err)
	}
	got, err := ng.ParseReply(dict)
	if err != nil || !reflect.DeepEqual(got, in) || got.Err() != nil {
		t.Errorf("%+v %v", got, err)
	}
	var refused *ng.RefusedError
	if err := ng.Refuse("no %s", "ports").Err(); !errors.As(err, &refused) || refused.Reason != "no ports" {
		t.Errorf("%v", err)
	}
	if _, err := ng.ParseReply([]byte("de")); !errors.Is(err, ng.ErrNoResult) {
		t.Errorf("%v", err)
	}
}
