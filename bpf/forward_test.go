package bpf

import (
	"bytes"
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/lindero/lindero/bpf/frame"
)

// A repeat is a packet of a way and what is special about it; change and edit make of
// what comes and leaves ordinarily what comes and leaves here.
type repeat struct {
	way    Way
	device string // with a tag when it is w0.7
	mac    [6]byte
	in     string // the device that it comes by; "": loopback
	action uint32 // 0: to another device
	change func(in, out *frame.Frame)
	edit   func(in, out []byte)
}

// ways are packets of all families and links.
func ways() map[string]repeat {
	four, six := at(ours4, 30000), at(ours6, 30000)
	return map[string]repeat{
		"IPv4":              {way: Way{Local: four, From: phone4, Via: at(ours4, 30002), To: far4}},
		"IPv6":              {way: Way{Local: six, From: phone6, Via: at(ours6, 30002), To: far6}},
		"IPv4 to IPv6":      {way: Way{Local: four, From: phone4, Via: at(ours6, 30002), To: far6}},
		"IPv6 to IPv4":      {way: Way{Local: six, From: phone6, Via: at(ours4, 30002), To: far4}, edit: func(_, out []byte) { dontFragment(out) }},
		"back where it was": {way: Way{Local: four, From: phone4, Via: at(ours4, 30002), To: netip.AddrPortFrom(phone4.Addr(), 9)}, device: "v0", mac: phoneMAC},
		"back by the same device": {way: Way{Local: six, From: phone6, Via: at(ours6, 30002), To: netip.AddrPortFrom(phone6.Addr(), 9)},
			device: "v0", mac: phoneMAC, in: "v0", action: back},
		"into a VLAN": {way: Way{Local: four, From: phone4, Via: at(ours4, 30002), To: tagged}, device: "w0.7"},
		"out of a VLAN": {way: Way{Local: four, From: phone4, Via: at(ours4, 30002), To: far4},
			change: func(in, _ *frame.Frame) { in.Tags = []frame.Tag{{ID: 5}} }},
		"IPv6 out of a VLAN": {way: Way{Local: six, From: phone6, Via: at(ours6, 30002), To: far6},
			change: func(in, _ *frame.Frame) { in.Tags = []frame.Tag{{ID: 5}} }},
		"out of one VLAN into another": {way: Way{Local: four, From: phone4, Via: at(ours4, 30002), To: tagged}, device: "w0.7",
			change: func(in, _ *frame.Frame) { in.Tags = []frame.Tag{{ID: 5}} }},
		"IPv6 of a VLAN to IPv4 of another": {way: Way{Local: six, From: phone6, Via: at(ours4, 30002), To: tagged}, device: "w0.7",
			change: func(in, _ *frame.Frame) { in.Tags = []frame.Tag{{ID: 5}} }, edit: func(_, out []byte) { dontFragment(out) }},
		"two hops left": {way: Way{Local: six, From: phone6, Via: at(ours6, 30002), To: far6},
			change: func(in, out *frame.Frame) { in.TTL, out.TTL = 2, 1 }},
	}
}

// A veth is known to lose what an XDP program sends back by it, if there is no other
// program at its far end; what it is given by a redirect arrives.
func TestAVethIsRedirectedTo(t *testing.T) {
	c := newCrossing(t)
	c.in(func() {
		if err := c.f.Refresh(); err != nil { // as it is, a veth
			t.Fatal(err)
		}
	})
	x := ways()["back by the same device"]
	c.put(t, x.way)
	send := between(x.way.From, x.way.Local, rtp(1))
	want := c.leaving(x.device, x.mac, x.way.Via, x.way.To, rtp(1))
	if action, got := c.test(t, send.Bytes(), x.in); action != redirect || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("action %d with\n%x, want %d with\n%x", action, got, redirect, want.Bytes())
	}
}

// oddities are packets with something about their sums, lengths and classes.
func oddities() map[string]repeat {
	four, six := at(ours4, 30000), at(ours6, 30000)
	return map[string]repeat{
		"half a checksum": {way: Way{Local: four, From: phone4, Via: at(ours4, 30002), To: far4}, in: "v0",
			edit: func(in, _ []byte) { halfSum(in) }},
		"half a checksum, odd length": {way: Way{Local: four, From: phone4, Via: at(ours4, 30002), To: far4}, in: "v0",
			change: func(in, out *frame.Frame) { in.Payload = in.Payload[:99]; out.Payload = in.Payload },
			edit:   func(in, _ []byte) { halfSum(in) }},
		"half a checksum to IPv6": {way: Way{Local: four, From: phone4, Via: at(ours6, 30002), To: far6}, in: "v0",
			edit: func(in, _ []byte) { halfSum(in) }},
		"what only looks like half": {way: Way{Local: four, From: phone4, Via: at(ours4, 30002), To: far4},
			change: func(in, out *frame.Frame) { in.Payload = likeHalf(); out.Payload = in.Payload }},
		"without a checksum": {way: Way{Local: four, From: phone4, Via: at(ours4, 30002), To: far4},
			edit: func(in, out []byte) { in[40], in[41], out[40], out[41] = 0, 0, 0, 0 }},
		"with a wrong one": {way: Way{Local: four, From: phone4, Via: at(ours4, 30002), To: far4},
			edit: func(in, out []byte) { in[100] ^= 1; out[100] ^= 1 }},
		"a sum that comes to none": {way: Way{Local: four, From: phone4, Via: at(ours4, 30002), To: far4},
			change: func(in, out *frame.Frame) { in.Payload = toNone(); out.Payload = in.Payload }},
		"padded": {way: Way{Local: four, From: phone4, Via: at(ours4, 30002), To: far4},
			change: func(in, out *frame.Frame) { in.Trailer, out.Trailer = make([]byte, 9), make([]byte, 9) }},
		"of a class": {way: Way{Local: four, From: phone4, Via: at(ours4, 30002), To: far4},
			edit: func(in, out []byte) { in[15], out[15] = 0xb8, 0xb8; sumIP(in); sumIP(out) }},
		"of a class, to IPv6": {way: Way{Local: four, From: phone4, Via: at(ours6, 30002), To: far6},
			edit: func(in, out []byte) { in[15] = 0xb8; sumIP(in); out[14], out[15] = 0x6b, 0x80 }},
		"of a class, to IPv4": {way: Way{Local: six, From: phone6, Via: at(ours4, 30002), To: far4},
			edit: func(in, out []byte) { in[14], in[15] = 0x6b, 0x87; out[15] = 0xb8; dontFragment(out) }},
		"odd length": {way: Way{Local: four, From: phone4, Via: at(ours4, 30002), To: far4},
			change: func(in, out *frame.Frame) { in.Payload = in.Payload[:171]; out.Payload = in.Payload }},
	}
}

// Every byte that goes out is what a host would have sent that forwards: the frames
// that are wanted are built from nothing, with all their checksums.
func TestForwardedBytes(t *testing.T) {
	c := newCrossing(t)
	cases := ways()
	maps.Copy(cases, oddities())
	for name, x := range cases {
		t.Run(name, func(t *testing.T) {
			k := c.put(t, x.way)
			before := *k
			if x.action == 0 {
				x.action = redirect
			}
			if x.device == "" {
				x.device = "w0"
			}
			if x.mac == ([6]byte{}) {
				x.mac = farMAC
			}
			in, out := between(x.way.From, x.way.Local, rtp(1)), c.leaving(x.device, x.mac, x.way.Via, x.way.To, rtp(1))
			if x.device == "w0.7" {
				out.Tags = []frame.Tag{{ID: 7}}
			}
			if x.change != nil {
				x.change(&in, &out)
			}
			send, want := in.Bytes(), out.Bytes()
			if x.edit != nil {
				x.edit(send, want)
			}
			moved := c.reasons(t)
			for range 2 { // by routes, and by what is remembered of them
				action, got := c.test(t, send, x.in)
				if action != x.action {
					t.Fatalf("action %d, %s", action, moved())
				}
				if !bytes.Equal(got, want) {
					t.Errorf("sent\n%x, want\n%x", got, want)
				}
			}
			if text := moved(); text != "" {
				t.Error(text)
			}
			if k.Packets-before.Packets != 2 || k.Bytes-before.Bytes != 2*uint64(len(in.Payload)) || k.Seen != 1e12 || k.SSRC != 7 || k.PayloadType != 8 {
				t.Errorf("counted %+v, before %+v", *k, before)
			}
		})
	}
}

// dontFragment sets that bit of IPv4, after a tag or without one.
func dontFragment(b []byte) {
	i := 14
	if b[12] == 0x81 {
		i = 18
	}
	b[i+6] = 0x40
	sumIP(b)
}

// sumIP writes the checksum of an IPv4 header.
func sumIP(b []byte) {
	i := 14
	if b[12] == 0x81 {
		i = 18
	}
	h := b[i : i+20]
	h[10], h[11] = 0, 0
	var s uint32
	for j := 0; j < 20; j += 2 {
		s += uint32(binary.BigEndian.Uint16(h[j:]))
	}
	for s>>16 != 0 {
		s = s&0xffff + s>>16
	}
	binary.BigEndian.PutUint16(h[10:], ^uint16(s))
}

// An end is a packet that is not repeated, and why.
type end struct {
	in     []byte
	want   string
	action uint32
	to     string // one of ways
}

// with is a packet of RTP that is changed.
func with(from, to netip.AddrPort, change func(f *frame.Frame)) []byte {
	f := between(from, to, rtp(1))
	change(&f)
	return f.Bytes()
}

// notOurs are packets for no leg, or of somebody else.
func notOurs() map[string]end {
	four, six := at(ours4, 30000), at(ours6, 30000)
	return map[string]end{
		"ARP":                 {with(phone4, four, func(f *frame.Frame) { f.Type = 0x0806 }), "not_media 1 ", pass, ""},
		"TCP":                 {with(phone4, four, func(f *frame.Frame) { f.Protocol = frame.TCP }), "not_media 1 ", pass, ""},
		"another port":        {between(phone4, at(ours4, 30100), rtp(1)).Bytes(), "not_media 1 ", pass, ""},
		"a port below":        {between(phone4, at(ours4, 29999), rtp(1)).Bytes(), "not_media 1 ", pass, ""},
		"another address":     {between(phone4, at(far4.Addr(), 30000), rtp(1)).Bytes(), "not_media 1 ", pass, ""},
		"options":             {with(phone4, four, func(f *frame.Frame) { f.Options = []byte{1, 1, 1, 1} }), "not_media 1 ", pass, ""},
		"a fragment":          {with(phone4, four, func(f *frame.Frame) { f.Fragment = &frame.Fragment{More: true} }), "not_media 1 ", pass, ""},
		"a later fragment":    {with(phone4, four, func(f *frame.Frame) { f.Fragment = &frame.Fragment{Offset: 5} }), "not_media 1 ", pass, ""},
		"an extension":        {with(phone6, six, func(f *frame.Frame) { f.Extensions = []frame.Extension{{Type: frame.Destination}} }), "not_media 1 ", pass, ""},
		"IPv6 fragment":       {with(phone6, six, func(f *frame.Frame) { f.Fragment = &frame.Fragment{More: true} }), "not_media 1 ", pass, ""},
		"two tags":            {with(phone4, four, func(f *frame.Frame) { f.Tags = []frame.Tag{{ID: 1}, {ID: 2}} }), "not_media 1 ", pass, ""},
		"provider's tag":      {with(phone4, four, func(f *frame.Frame) { f.Tags = []frame.Tag{{Type: frame.ProviderVLAN, ID: 1}} }), "not_media 1 ", pass, ""},
		"UDP longer than IP":  {edit(between(phone4, four, rtp(1)), func(b []byte) { b[39]++ }), "not_media 1 ", pass, ""},
		"UDP shorter":         {edit(between(phone4, four, rtp(1)), func(b []byte) { b[39]-- }), "not_media 1 ", pass, ""},
		"no leg":              {between(phone4, at(ours4, 30006), rtp(1)).Bytes(), "not_kernel 1 ", pass, ""},
		"a stranger":          {between(far4, four, rtp(1)).Bytes(), "wrong_source 1 ", drop, ""},
		"another source port": {between(netip.AddrPortFrom(phone4.Addr(), 4001), four, rtp(1)).Bytes(), "wrong_source 1 ", drop, ""},
		"a stranger, IPv6":    {between(netip.MustParseAddrPort("[2001:db8::a]:4000"), six, rtp(1)).Bytes(), "wrong_source 1 ", drop, ""},
		"a stranger's STUN":   {between(far4, four, make([]byte, 20)).Bytes(), "wrong_source 1 ", drop, ""},
	}
}

// notRepeated are packets of a leg that are user space's.
func notRepeated() map[string]end {
	four, six := at(ours4, 30000), at(ours6, 30000)
	payload := func(b ...byte) []byte { return between(phone4, four, b).Bytes() }
	first := func(b byte) []byte { return edit(between(phone4, four, rtp(1)), func(p []byte) { p[42] = b }) }
	return map[string]end{
		"RTCP":                {payload(append([]byte{0x80, 200}, make([]byte, 26)...)...), "not_rtp 1 ", pass, ""},
		"payload type 72":     {edit(between(phone4, four, rtp(1)), func(b []byte) { b[43] = 72 }), "not_rtp 1 ", pass, ""},
		"STUN":                {payload(append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, make([]byte, 12)...)...), "not_rtp 1 ", pass, ""},
		"DTLS":                {payload(append([]byte{22, 254, 253}, make([]byte, 40)...)...), "not_rtp 1 ", pass, ""},
		"garbage":             {payload([]byte("what is this, please?")...), "not_rtp 1 ", pass, ""},
		"nothing":             {payload(), "not_rtp 1 ", pass, ""},
		"11 bytes":            {payload(rtp(1)[:11]...), "not_rtp 1 ", pass, ""},
		"CSRCs past the end":  {payload(append([]byte{0x8f}, rtp(1)[1:70]...)...), "not_rtp 1 ", pass, ""},
		"extension past":      {payload(append([]byte{0x90}, rtp(1)[1:20]...)...), "not_rtp 1 ", pass, ""},
		"padding of all":      {first(0xa0), "not_rtp 1 ", pass, ""},
		"TTL 1":               {with(phone4, four, func(f *frame.Frame) { f.TTL = 1 }), "last_hop 1 ", pass, ""},
		"hop limit 1":         {with(phone6, six, func(f *frame.Frame) { f.TTL = 1 }), "last_hop 1 ", pass, ""},
		"no checksum to IPv6": {edit(between(phone4, at(ours4, 30004), rtp(1)), func(b []byte) { b[40], b[41] = 0, 0 }), "no_checksum 1 ", pass, ""},
		"no checksum in IPv6": {edit(between(phone6, six, rtp(1)), func(b []byte) { b[60], b[61] = 0, 0 }), "no_checksum 1 ", pass, ""},
		"half a checksum":     {edit(between(phone4, four, rtp(1)), halfSum), "half_checksum 1 ", pass, ""},
		"too long":            {between(phone4, four, append(rtp(1), make([]byte, 1400)...)).Bytes(), "too_long 1 ", pass, ""},
		"no neighbour":        {between(phone4, at(ours4, 30008), rtp(1)).Bytes(), "no_neighbour 1 ", pass, "nobody there"},
		"no route":            {between(phone4, at(ours4, 30008), rtp(1)).Bytes(), "no_route 1 ", pass, "no route"},
		"to ourselves":        {between(phone4, at(ours4, 30008), rtp(1)).Bytes(), "no_route 1 ", pass, "ourselves"},
		"prohibited":          {between(phone4, at(ours4, 30008), rtp(1)).Bytes(), "no_route 1 ", pass, "prohibited"},
	}
}

// What is not to be repeated goes up as it came, and is counted by its reason only.
func TestNotForwarded(t *testing.T) {
	c := newCrossing(t)
	four, six := at(ours4, 30000), at(ours6, 30000)
	c.put(t, Way{Local: four, From: phone4, Via: at(ours4, 30002), To: far4})
	c.put(t, Way{Local: six, From: phone6, Via: at(ours6, 30002), To: far6})
	c.put(t, Way{Local: at(ours4, 30004), From: phone4, Via: at(ours6, 30002), To: far6})
	ways := map[string]netip.AddrPort{
		"nobody there": netip.MustParseAddrPort("198.51.100.77:5000"), "no route": netip.MustParseAddrPort("8.8.8.8:5000"),
		"ourselves": netip.MustParseAddrPort("198.51.100.1:5000"),
	}
	c.ip(t, "route", "add", "prohibit", "198.18.1.0/24")
	ways["prohibited"] = netip.MustParseAddrPort("198.18.1.1:5")
	cases := notOurs()
	maps.Copy(cases, notRepeated())
	for name, x := range cases {
		t.Run(name, func(t *testing.T) {
			if x.to != "" {
				c.put(t, Way{Local: at(ours4, 30008), From: phone4, Via: at(ours4, 30002), To: ways[x.to]})
			}
			moved, before := c.reasons(t), slices.Clone(c.f.legs)
			action, out := c.test(t, x.in, "")
			if action != x.action || !bytes.Equal(out, x.in) {
				t.Errorf("action %d, want %d; frame\n%x, was\n%x", action, x.action, out, x.in)
			}
			if got := moved(); got != x.want {
				t.Errorf("counted as %q, want %q", got, x.want)
			}
			var wrong uint64
			for i := range before {
				wrong += c.f.legs[i].Track.WrongSource - before[i].Track.WrongSource
				before[i].Track.WrongSource = c.f.legs[i].Track.WrongSource
			}
			if !slices.Equal(before, c.f.legs) || (wrong == 1) != (x.want == "wrong_source 1 ") {
				t.Errorf("a leg was touched, or %d of wrong source", wrong)
			}
		})
	}
}

// halfSum leaves the checksum as a local sender leaves it to its device: that of the
// pseudo header, and not inverted.
func halfSum(b []byte) {
	s := uint32(17) + uint32(len(b)-34)
	for i := 26; i < 34; i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	binary.BigEndian.PutUint16(b[40:], uint16(s&0xffff+s>>16))
}

// likeHalf is RTP whose checksum, from the phone to our first port, happens to be the
// sum of the pseudo header.
func likeHalf() []byte {
	b := rtp(1)
	half := edit(between(phone4, at(ours4, 30000), b), halfSum)
	for i := range 1 << 16 {
		binary.BigEndian.PutUint16(b[20:], uint16(i))
		if f := between(phone4, at(ours4, 30000), b).Bytes(); f[40] == half[40] && f[41] == half[41] {
			break
		}
	}
	return b
}

// toNone is RTP whose checksum, from our second port to the far side, comes to 0, which
// is written as 0xffff.
func toNone() []byte {
	b := rtp(1)
	for i := range 1 << 16 {
		binary.BigEndian.PutUint16(b[20:], uint16(i))
		if f := between(at(ours4, 30002), far4, b).Bytes(); f[40] == 0xff && f[41] == 0xff {
			break
		}
	}
	return b
}

// A frame that ends too early anywhere goes up, and the legs hear nothing of it.
func TestForwardCutAnywhere(t *testing.T) {
	c := newCrossing(t)
	six := c.put(t, Way{Local: at(ours6, 30000), From: phone6, Via: at(ours6, 30002), To: far6})
	four := c.put(t, Way{Local: at(ours4, 30000), From: phone4, Via: at(ours4, 30002), To: far4})
	for name, f := range map[string]frame.Frame{
		"IPv4": between(phone4, at(ours4, 30000), rtp(1)), "IPv6": between(phone6, at(ours6, 30000), rtp(1)),
	} {
		f.Tags = []frame.Tag{{ID: 3}}
		all := f.Bytes()
		for n := 14; n < len(all); n++ {
			if action, out := c.test(t, all[:n], ""); action != pass || !bytes.Equal(out, all[:n]) {
				t.Fatalf("%s: %d of %d bytes: action %d", name, n, len(all), action)
			}
		}
	}
	if four.Packets+six.Packets+four.WrongSource+six.WrongSource != 0 {
		t.Errorf("%+v %+v", four, six)
	}
}
