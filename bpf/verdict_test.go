package bpf

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/lindero/lindero/bpf/frame"
)

const (
	drop = 1 // XDP_DROP
	pass = 2 // XDP_PASS
)

// elsewhere is a country that may not use SIP.
const elsewhere = 77

// trial is a shield that is attached nowhere, at a time that stands still, with
// ports, countries, lists and sources.
func trial(t *testing.T) *Shield {
	t.Helper()
	privilege(t)
	s, err := Open(Options{Clock: true, Owner: "edge"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	s.SetClock(1_000_000)
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ok(s.SetServices([]Port{
		{First: 5060, Last: 5060, Service: 1}, {TCP: true, First: 5060, Last: 5061, Service: 1},
		{TCP: true, First: 443, Last: 443, Service: 2}, {First: 3478, Last: 3478, Service: 3},
		{First: 30000, Last: 30009, Service: 4},
	}))
	s.SetLeg(30004, true)
	w := newWorld()
	w.add("198.51.100.0/24", elsewhere)
	w.add("198.18.7.0/24", elsewhere)
	w.add("2001:db8:77::/48", elsewhere)
	w.add("2001:db8:88:9::/64", 88)
	ok(s.SetCountries(w.trie()))
	ok(s.SetPolicy(rules()))
	for address, v := range map[string]Source{
		"192.0.2.50":  {Class: 4, Proven: true},
		"192.0.2.51":  {Class: 4},
		"192.0.2.52":  {Class: 4, Proven: true, Until: 1000}, // over since a moment
		"192.0.2.53":  {Class: 4, Proven: true, Until: 1001},
		"192.0.2.54":  {Class: 1},
		"192.0.2.55":  {Class: 2},
		"192.0.2.56":  {Class: 3},
		"198.18.0.9":  {Class: 4, Proven: true},
		"203.0.113.9": {Class: 4, Proven: true},
	} {
		ok(s.PutSource(keyOf(address), v))
	}
	ok(s.PutSource(0x20010db800550001, Source{Class: 4, Proven: true}))
	return s
}

// rules are small budgets, a country that may not use SIP, and lists.
func rules() Policy {
	p := Policy{Version: 1, HalfOpen: 2, Around: Budget{Rate: 50, Burst: 200}, All: Budget{Rate: 2000, Burst: 4000}}
	p.Budgets = [5]Budget{{5, 3}, {50, 4}, {200, 5}, {1000, 6}, {}}
	p.Deny[1][elsewhere/64] = 1 << (elsewhere % 64)
	lists := newLists()
	lists.add("203.0.113.0/25", 1)
	lists.add("198.18.0.0/16", 2)
	lists.add("203.0.113.128/25", 3)
	lists.add("203.0.113.200/32", 1)
	lists.add("2001:db8:a::/48", 1)
	lists.add("2001:db8:d::/48", 3)
	p.Lists = lists.trie()
	return p
}

func keyOf(address string) uint64 {
	b := netip.MustParseAddr(address).As4()
	return uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])
}

// to is a datagram or, with flags, a segment from an address to a port.
func to(address string, port uint16, flags ...uint8) frame.Frame {
	f := sipFrom(address)
	f.Port = port
	if flags != nil {
		f.Protocol, f.Payload = frame.TCP, nil
		for _, x := range flags {
			f.Flags |= x
		}
	}
	return f
}

// A verdict is how a frame has to end.
type verdict struct {
	frame   []byte
	action  uint32
	verdict shieldVerdict
	country uint8
}

// judged runs a frame and checks the action and that of all counters exactly one
// moved, by one.
func judged(t *testing.T, s *Shield, want verdict) {
	t.Helper()
	before, err := s.Counters()
	if err != nil {
		t.Fatal(err)
	}
	action, err := s.Test(want.frame)
	if err != nil {
		t.Fatal(err)
	}
	after, err := s.Counters()
	if err != nil {
		t.Fatal(err)
	}
	if action != want.action {
		t.Errorf("the action is %d, want %d", action, want.action)
	}
	for c := range after {
		for v := range after[c] {
			moved := after[c][v] - before[c][v]
			if hit := uint8(c) == want.country && shieldVerdict(v) == want.verdict; hit && moved != 1 || !hit && moved != 0 {
				t.Errorf("country %d, verdict %d moved by %d; want only country %d, verdict %d to move", c, v, moved, want.country, want.verdict)
			}
		}
	}
}

func edit(f frame.Frame, change func(b []byte)) []byte {
	b := f.Bytes()
	change(b)
	return b
}

func TestVerdicts(t *testing.T) {
	s := trial(t)
	for _, tests := range []map[string]verdict{wellFormed(), deformed()} {
		for name, want := range tests {
			t.Run(name, func(t *testing.T) { judged(t, s, want) })
		}
	}
}

// wellFormed are packets that a peer might send, and what the rules of trial say of them.
func wellFormed() map[string]verdict {
	const (
		notOurs = shieldVerdictVERDICT_NOT_OURS
		passed  = shieldVerdictVERDICT_PASSED
		denied  = shieldVerdictVERDICT_COUNTRY_DENIED
	)
	return map[string]verdict{
		"a stranger's OPTIONS":                  {to("192.0.2.9", 5060).Bytes(), pass, passed, 0},
		"over IPv6":                             {to("2001:db8::9", 5060).Bytes(), pass, passed, 0},
		"to TURN":                               {to("192.0.2.10", 3478).Bytes(), pass, passed, 0},
		"a phone in a country, to the web":      {to("198.51.100.9", 443, frame.SYN).Bytes(), pass, passed, elsewhere},
		"a country in the last bits of a /64":   {to("2001:db8:88:9::9", 5060).Bytes(), pass, passed, 88},
		"SIP from the denied country":           {to("198.51.100.9", 5060).Bytes(), drop, denied, elsewhere},
		"and over IPv6":                         {to("2001:db8:77::9", 5060).Bytes(), drop, denied, elsewhere},
		"SSH":                                   {to("192.0.2.9", 22, frame.SYN).Bytes(), pass, notOurs, 0},
		"DNS":                                   {to("192.0.2.9", 53).Bytes(), pass, notOurs, 0},
		"SSH from the denied country":           {to("198.51.100.9", 22, frame.SYN).Bytes(), pass, notOurs, 0},
		"SSH from a banned source":              {to("192.0.2.50", 22, frame.SYN).Bytes(), pass, notOurs, 0},
		"ARP":                                   {frame.Frame{Type: 0x0806, Source: netip.MustParseAddr("192.0.2.9"), Destination: netip.MustParseAddr("192.0.2.1")}.Bytes(), pass, notOurs, 0},
		"ICMP":                                  {frame.Frame{Protocol: frame.ICMP, Source: netip.MustParseAddr("192.0.2.9"), Destination: netip.MustParseAddr("192.0.2.1"), Payload: make([]byte, 8)}.Bytes(), pass, notOurs, 0},
		"ICMPv6":                                {frame.Frame{Protocol: frame.ICMPv6, Source: netip.MustParseAddr("2001:db8::9"), Destination: netip.MustParseAddr("2001:db8::1"), Payload: make([]byte, 8)}.Bytes(), pass, notOurs, 0},
		"the TCP port of a UDP service":         {to("192.0.2.9", 3478, frame.SYN).Bytes(), pass, notOurs, 0},
		"the UDP port of a TCP service":         {to("192.0.2.9", 443).Bytes(), pass, notOurs, 0},
		"TCP to an RTP port":                    {to("192.0.2.9", 30004, frame.SYN).Bytes(), pass, notOurs, 0},
		"an office":                             {to("203.0.113.9", 5060).Bytes(), pass, shieldVerdictVERDICT_ALLOWED, 0},
		"an office over TCP, in the middle":     {to("203.0.113.10", 5060, frame.ACK).Bytes(), pass, shieldVerdictVERDICT_ALLOWED, 0},
		"an office over IPv6":                   {to("2001:db8:a::9", 5060).Bytes(), pass, shieldVerdictVERDICT_ALLOWED, 0},
		"the deny list":                         {to("203.0.113.129", 5060).Bytes(), drop, shieldVerdictVERDICT_DENIED, 0},
		"the deny list over IPv6":               {to("2001:db8:d::9", 5060).Bytes(), drop, shieldVerdictVERDICT_DENIED, 0},
		"one that is allowed among the denied":  {to("203.0.113.200", 5060).Bytes(), pass, shieldVerdictVERDICT_ALLOWED, 0},
		"a carrier in the denied country":       {to("198.18.7.9", 5060).Bytes(), pass, passed, elsewhere},
		"a carrier that is banned":              {to("198.18.0.9", 5060).Bytes(), pass, passed, 0},
		"a banned source":                       {to("192.0.2.50", 5060).Bytes(), drop, shieldVerdictVERDICT_BANNED, 0},
		"a banned source over TCP":              {to("192.0.2.50", 5060, frame.SYN).Bytes(), drop, shieldVerdictVERDICT_BANNED, 0},
		"a banned /64":                          {to("2001:db8:55:1:2:3:4:5", 5060).Bytes(), drop, shieldVerdictVERDICT_BANNED, 0},
		"the /64 beside it":                     {to("2001:db8:55:2:2:3:4:5", 5060).Bytes(), pass, passed, 0},
		"a ban that could be forged":            {to("192.0.2.51", 5060).Bytes(), drop, shieldVerdictVERDICT_BANNED, 0},
		"the same over TCP":                     {to("192.0.2.51", 5060, frame.SYN).Bytes(), pass, passed, 0},
		"a ban that is over":                    {to("192.0.2.52", 5060).Bytes(), pass, passed, 0},
		"a ban that is nearly over":             {to("192.0.2.53", 5060).Bytes(), drop, shieldVerdictVERDICT_BANNED, 0},
		"RTP from a banned source":              {to("192.0.2.50", 30004).Bytes(), drop, shieldVerdictVERDICT_BANNED, 0},
		"known":                                 {to("192.0.2.54", 5060).Bytes(), pass, passed, 0},
		"registered":                            {to("192.0.2.55", 5060).Bytes(), pass, passed, 0},
		"carrier by exact state":                {to("192.0.2.56", 5060).Bytes(), pass, passed, 0},
		"RTP of a call":                         {to("192.0.2.11", 30004).Bytes(), pass, shieldVerdictVERDICT_LEG, 0},
		"RTP of a call from the denied country": {to("198.51.100.9", 30004).Bytes(), pass, shieldVerdictVERDICT_LEG, elsewhere},
		"RTP of no call":                        {to("192.0.2.11", 30006).Bytes(), drop, shieldVerdictVERDICT_NO_LEG, 0},
		"RTP of no call, from a country":        {to("198.51.100.9", 30005).Bytes(), drop, shieldVerdictVERDICT_NO_LEG, 0},
		"a connection in the middle":            {to("192.0.2.12", 5060, frame.ACK, frame.PSH).Bytes(), pass, shieldVerdictVERDICT_CONNECTION, 0},
		"its end":                               {to("192.0.2.12", 5060, frame.ACK, frame.FIN).Bytes(), pass, shieldVerdictVERDICT_CONNECTION, 0},
		"SYN and ACK":                           {to("192.0.2.12", 5060, frame.SYN, frame.ACK).Bytes(), pass, shieldVerdictVERDICT_CONNECTION, 0},
	}
}

// deformed are packets that no phone sends, and what looks like them and is none of our business.
func deformed() map[string]verdict {
	const (
		notOurs   = shieldVerdictVERDICT_NOT_OURS
		passed    = shieldVerdictVERDICT_PASSED
		malformed = shieldVerdictVERDICT_MALFORMED
	)
	return map[string]verdict{
		"no flags":                              {to("192.0.2.12", 5060, frame.PSH).Bytes(), drop, malformed, 0},
		"SYN and FIN":                           {to("192.0.2.12", 5060, frame.SYN, frame.FIN).Bytes(), drop, malformed, 0},
		"SYN and RST":                           {to("192.0.2.12", 5060, frame.SYN, frame.RST, frame.ACK).Bytes(), drop, malformed, 0},
		"no flags, to a port that is not ours":  {to("192.0.2.12", 22, 0).Bytes(), pass, notOurs, 0},
		"from 0.1.2.3":                          {to("0.1.2.3", 5060).Bytes(), drop, malformed, 0},
		"from multicast":                        {to("224.0.0.5", 5060).Bytes(), drop, malformed, 0},
		"from 255.255.255.255":                  {to("255.255.255.255", 5060).Bytes(), drop, malformed, 0},
		"from nobody over IPv6":                 {to("::", 5060).Bytes(), drop, malformed, 0},
		"from multicast over IPv6":              {to("ff02::1", 5060).Bytes(), drop, malformed, 0},
		"from an IPv6 address with an IPv4 key": {to("::c000:0232:0:0:1", 5060).Bytes(), drop, malformed, 0},
		"from this host":                        {to("127.0.0.1", 5060).Bytes(), pass, passed, 0},
		"from this host over IPv6":              {to("::1", 5060).Bytes(), pass, passed, 0},
		"from multicast to a port not ours":     {to("224.0.0.5", 53).Bytes(), pass, notOurs, 0},
		"IPv4 of version 5":                     {edit(to("192.0.2.12", 5060), func(b []byte) { b[14] = 0x55 }), drop, malformed, 0},
		"an IPv4 header of 16 bytes":            {edit(to("192.0.2.12", 5060), func(b []byte) { b[14] = 0x44 }), drop, malformed, 0},
		"an IPv4 header past the datagram":      {edit(to("192.0.2.12", 5060), func(b []byte) { b[14] = 0x4f; b[16], b[17] = 0, 40 }), drop, malformed, 0},
		"a total length past the frame":         {edit(to("192.0.2.12", 5060), func(b []byte) { b[17]++ }), drop, malformed, 0},
		"IPv6 of version 4":                     {edit(to("2001:db8::c", 5060), func(b []byte) { b[14] = 0x40 }), drop, malformed, 0},
		"a payload length past the frame":       {edit(to("2001:db8::c", 5060), func(b []byte) { b[19]++ }), drop, malformed, 0},
		"a datagram shorter than its header":    {edit(to("192.0.2.12", 5060), func(b []byte) { b[38], b[39] = 0, 7 }), drop, malformed, 0},
		"a datagram longer than the packet":     {edit(to("192.0.2.12", 53), func(b []byte) { b[39]++ }), drop, malformed, 0},
		"a segment with a header of 16 bytes":   {edit(to("192.0.2.12", 5060, frame.SYN), func(b []byte) { b[46] = 4 << 4 }), drop, malformed, 0},
		"a segment with a header past its end":  {edit(to("192.0.2.12", 22, frame.SYN), func(b []byte) { b[46] = 6 << 4 }), drop, malformed, 0},
	}
}

// Frames that carry the datagram differently, each from its own source.
func TestFrames(t *testing.T) {
	s := trial(t)
	const (
		notOurs   = shieldVerdictVERDICT_NOT_OURS
		passed    = shieldVerdictVERDICT_PASSED
		malformed = shieldVerdictVERDICT_MALFORMED
		fragment  = shieldVerdictVERDICT_FRAGMENT
	)
	with := func(address string, change func(f *frame.Frame)) []byte {
		f := to(address, 5060)
		change(&f)
		return f.Bytes()
	}
	tags := func(n int) func(f *frame.Frame) {
		return func(f *frame.Frame) { f.Tags = []frame.Tag{{Type: frame.ProviderVLAN, ID: 7}, {ID: 8}, {ID: 9}}[3-n:] }
	}
	part := func(offset uint16, more bool) func(f *frame.Frame) {
		return func(f *frame.Frame) { f.Fragment = &frame.Fragment{Offset: offset, More: more, ID: 5} }
	}
	headers := func(types ...uint8) func(f *frame.Frame) {
		return func(f *frame.Frame) {
			for i, x := range types {
				f.Extensions = append(f.Extensions, frame.Extension{Type: x, Data: make([]byte, 4*(i%3))})
			}
		}
	}
	six := []uint8{frame.HopByHop, frame.Routing, frame.Destination, frame.Authentication, frame.Mobility, frame.Destination}
	tests := map[string]verdict{
		"one tag":                             {with("192.0.2.100", tags(1)), pass, passed, 0},
		"two tags":                            {with("192.0.2.101", tags(2)), pass, passed, 0},
		"three tags":                          {with("192.0.2.102", tags(3)), pass, notOurs, 0},
		"one tag, IPv6":                       {with("2001:db8:1::1", tags(1)), pass, passed, 0},
		"two tags, IPv6":                      {with("2001:db8:1:1::1", tags(2)), pass, passed, 0},
		"options":                             {with("192.0.2.103", func(f *frame.Frame) { f.Options = make([]byte, 40) }), pass, passed, 0},
		"padding":                             {with("192.0.2.104", func(f *frame.Frame) { f.Payload = nil; f.Trailer = make([]byte, 18) }), pass, passed, 0},
		"a first fragment":                    {with("192.0.2.105", part(0, true)), pass, passed, 0},
		"a first fragment of a long datagram": {edit(frame.Frame{Source: netip.MustParseAddr("192.0.2.106"), Destination: netip.MustParseAddr("192.0.2.1"), Port: 5060, Payload: make([]byte, 64), Fragment: &frame.Fragment{More: true}}, func(b []byte) { b[38], b[39] = 8, 0 }), pass, passed, 0},
		"a tiny first fragment":               {with("192.0.2.107", func(f *frame.Frame) { part(0, true)(f); f.Protocol = 0; f.Payload = nil })[:14+20+8], pass, passed, 0},
		"a first fragment without ports":      {edit(frame.Frame{Source: netip.MustParseAddr("192.0.2.108"), Destination: netip.MustParseAddr("192.0.2.1"), Fragment: &frame.Fragment{More: true}}, func(b []byte) { b[17] -= 4 })[:14+20+4], drop, malformed, 0},
		"a later fragment":                    {with("192.0.2.109", part(100, true)), pass, fragment, 0},
		"the last fragment":                   {with("192.0.2.110", part(100, false)), pass, fragment, 0},
		"a tiny later fragment":               {with("192.0.2.111", func(f *frame.Frame) { part(1, false)(f); f.Payload = []byte{1} }), pass, fragment, 0},
		"a later fragment of a banned source": {with("192.0.2.50", part(100, false)), drop, shieldVerdictVERDICT_BANNED, 0},
		"a later fragment of TCP":             {with("192.0.2.112", func(f *frame.Frame) { part(100, false)(f); f.Protocol = frame.TCP }), pass, notOurs, 0},
		"a later fragment of the allowed":     {with("203.0.113.9", part(100, false)), pass, shieldVerdictVERDICT_ALLOWED, 0},
		"a later fragment of a known source":  {with("192.0.2.54", part(100, false)), pass, fragment, 0},
		"a later fragment from multicast":     {with("239.0.0.1", part(100, false)), drop, malformed, 0},
		"IPv6, a first fragment":              {with("2001:db8:1:2::1", part(0, true)), pass, passed, 0},
		"IPv6, an atomic fragment":            {with("2001:db8:1:3::1", part(0, false)), pass, passed, 0},
		"IPv6, a later fragment":              {with("2001:db8:1:4::1", part(100, false)), pass, fragment, 0},
		"IPv6, a later fragment of a banned":  {with("2001:db8:55:1::1", part(100, false)), drop, shieldVerdictVERDICT_BANNED, 0},
		"six extension headers":               {with("2001:db8:1:5::1", headers(six...)), pass, passed, 0},
		"eight":                               {with("2001:db8:1:6::1", headers(append([]uint8{60, 60}, six...)...)), pass, passed, 0},
		"nine":                                {with("2001:db8:1:7::1", headers(append([]uint8{60, 60, 60}, six...)...)), drop, malformed, 0},
		"eight and a fragment header":         {with("2001:db8:1:8::1", func(f *frame.Frame) { headers(append([]uint8{60, 60}, six...)...)(f); part(0, true)(f) }), drop, malformed, 0},
		"seven and a later fragment":          {with("2001:db8:1:9::1", func(f *frame.Frame) { headers(append([]uint8{60}, six...)...)(f); part(9, true)(f) }), pass, fragment, 0},
		"large extension headers":             {with("2001:db8:1:a::1", func(f *frame.Frame) { f.Extensions = []frame.Extension{{Type: 60, Data: make([]byte, 2040)}} }), pass, passed, 0},
		"an extension header past the end":    {edit(frame.Frame{Source: netip.MustParseAddr("2001:db8:1:b::1"), Destination: netip.MustParseAddr("2001:db8::1"), Port: 5060, Extensions: []frame.Extension{{Type: 60}}}, func(b []byte) { b[55] = 2 }), drop, malformed, 0},
		"no next header":                      {with("2001:db8:1:c::1", func(f *frame.Frame) { f.Protocol = frame.NoNext }), pass, notOurs, 0},
		"no next header after others":         {with("2001:db8:1:d::1", func(f *frame.Frame) { f.Protocol = frame.NoNext; headers(six...)(f) }), pass, notOurs, 0},
		"a jumbogram":                         {edit(to("2001:db8:1:e::1", 5060), func(b []byte) { b[18], b[19] = 0, 0 }), drop, malformed, 0},
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) { judged(t, s, want) })
	}
}

// A frame that ends early is malformed, wherever it ends.
func TestTruncation(t *testing.T) {
	s := trial(t)
	for name, f := range map[string]frame.Frame{
		"UDP":              to("192.0.2.9", 5060),
		"TCP":              to("192.0.2.9", 5060, frame.SYN),
		"UDP in IPv6":      to("2001:db8::9", 5060),
		"TCP in IPv6":      to("2001:db8::9", 5060, frame.SYN),
		"two tags":         {Tags: make([]frame.Tag, 2), Source: netip.MustParseAddr("192.0.2.9"), Destination: netip.MustParseAddr("192.0.2.1"), Port: 5060},
		"options":          {Options: make([]byte, 12), Source: netip.MustParseAddr("192.0.2.9"), Destination: netip.MustParseAddr("192.0.2.1"), Port: 5060},
		"extensions":       {Extensions: []frame.Extension{{Type: 0}, {Type: 51, Data: make([]byte, 16)}}, Source: netip.MustParseAddr("2001:db8::9"), Destination: netip.MustParseAddr("2001:db8::1"), Port: 5060},
		"later fragment":   {Fragment: &frame.Fragment{Offset: 3}, Source: netip.MustParseAddr("2001:db8::9"), Destination: netip.MustParseAddr("2001:db8::1"), Payload: make([]byte, 30)},
		"to somebody else": to("192.0.2.9", 53),
	} {
		whole := f.Bytes()
		for n := 14; n < len(whole); n++ { // the kernel runs nothing over less
			judged(t, s, verdict{whole[:n], drop, shieldVerdictVERDICT_MALFORMED, 0})
			if t.Failed() {
				t.Fatalf("%s: the first %d of %d bytes", name, n, len(whole))
			}
		}
	}
}

// What is cut off and says so in its IP header: UDP and TCP headers are whole or the
// packet is malformed.
func TestShortDatagrams(t *testing.T) {
	s := trial(t)
	for name, f := range map[string]frame.Frame{
		"UDP": to("192.0.2.9", 5060), "TCP": to("192.0.2.9", 5060, frame.ACK),
		"UDP in IPv6": to("2001:db8::9", 5060), "TCP in IPv6": to("2001:db8::9", 5060, frame.ACK),
	} {
		header := 20
		if f.Source.Is6() {
			header = 40
		}
		f.Payload = make([]byte, 12)
		whole := f.Bytes()
		for n := 14 + header; n < len(whole); n++ {
			b := slices.Clone(whole[:n])
			if header == 20 {
				b[17] = byte(n - 14)
			} else {
				b[19] = byte(n - 54)
			}
			want := verdict{b, drop, shieldVerdictVERDICT_MALFORMED, 0}
			if strings.HasPrefix(name, "TCP") && n >= 14+header+20 {
				want.action, want.verdict = pass, shieldVerdictVERDICT_CONNECTION
			}
			judged(t, s, want)
			if t.Failed() {
				t.Fatalf("%s: the first %d of %d bytes", name, n, len(whole))
			}
		}
	}
}
