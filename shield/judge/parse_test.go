package judge

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/lindero/lindero/shield/policy"
)

// ether puts an Ethernet header and VLAN tags before a packet.
func ether(packet []byte, tags ...uint16) []byte {
	f := make([]byte, 12, 64)
	for _, tag := range tags {
		f = append(f, byte(tag>>8), byte(tag), 0, 5)
	}
	if packet[0]>>4 == 6 {
		return append(append(f, 0x86, 0xdd), packet...)
	}
	return append(append(f, 0x08, 0x00), packet...)
}

func ip4(from string, proto byte, fragment uint16, body []byte) []byte {
	b := make([]byte, 20)
	b[0], b[8], b[9] = 0x45, 64, proto
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(body)))
	binary.BigEndian.PutUint16(b[6:], fragment)
	copy(b[12:], netip.MustParseAddr(from).AsSlice())
	copy(b[16:], []byte{192, 0, 2, 1})
	return append(b, body...)
}

func ip6(from string, next byte, body []byte) []byte {
	b := make([]byte, 40)
	b[0], b[6], b[7] = 0x60, next, 64
	binary.BigEndian.PutUint16(b[4:], uint16(len(body)))
	copy(b[8:], netip.MustParseAddr(from).AsSlice())
	return append(b, body...)
}

func udp(port uint16, body int) []byte {
	b := make([]byte, 8+body)
	binary.BigEndian.PutUint16(b[0:], 40000)
	binary.BigEndian.PutUint16(b[2:], port)
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
	return b
}

func tcp(port uint16, flags byte) []byte {
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b[2:], port)
	b[12], b[13] = 5<<4, flags
	return b
}

func udp4(from string, port uint16) []byte { return ether(ip4(from, 17, 0, udp(port, 20))) }

func at(b []byte, i int, v byte) []byte {
	b = slices.Clone(b)
	b[i] = v
	return b
}

func extension(next byte, length byte, size int) []byte {
	b := make([]byte, size)
	b[0], b[1] = next, length
	return b
}

func ports(tcp bool, port uint16) policy.Service {
	switch {
	case port == 5060:
		return policy.SIP
	case port == 443 && tcp:
		return policy.Web
	case port == 3478:
		return policy.TURN
	case port >= 30000 && port < 40000:
		return policy.RTP
	}
	return policy.NoService
}

const ours, malformed, notOurs = policy.Passed, policy.Malformed, policy.NotOurs

type parseRow struct {
	frame []byte
	want  policy.Verdict
}

func parseAll(t *testing.T, rows map[string]parseRow) {
	t.Helper()
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			p, v, isOurs := Parse(row.frame, ports)
			if v != row.want || isOurs != (row.want == ours) {
				t.Errorf("%v, ours %v; want %v (%+v)", v, isOurs, row.want, p)
			}
		})
	}
}

func TestParse(t *testing.T) {
	const from = "198.18.0.1"
	sip4 := ip4(from, 17, 0, udp(5060, 20))
	parseAll(t, map[string]parseRow{
		"SIP":                            {ether(sip4), ours},
		"one tag":                        {ether(sip4, etherVLAN), ours},
		"two tags":                       {ether(sip4, etherVLANs, etherVLAN), ours},
		"three tags":                     {ether(sip4, etherVLANs, etherVLAN, etherVLAN), notOurs},
		"a tag cut":                      {ether(sip4, etherVLAN)[:16], malformed},
		"a header cut":                   {ether(sip4)[:13], malformed},
		"ARP":                            {append(make([]byte, 12), 8, 6, 1, 2, 3), notOurs},
		"an IP header cut":               {ether(sip4)[:33], malformed},
		"version 5":                      {ether(at(sip4, 0, 0x55))[:], malformed},
		"a length below five":            {ether(at(sip4, 0, 0x44)), malformed},
		"more than the frame has":        {ether(at(sip4, 3, 200)), malformed},
		"less than its header":           {ether(at(sip4, 3, 19)), malformed},
		"padding after it":               {append(ether(sip4), 1, 2, 3), ours},
		"options":                        {ether(slices.Concat(at(at(sip4, 0, 0x46), 3, 52)[:20], []byte{1, 1, 1, 1}, sip4[20:])), ours},
		"options past the end":           {ether(at(sip4, 0, 0x4f)), malformed},
		"a UDP length past the end":      {ether(at(sip4, 25, 29)), malformed},
		"a UDP length of 7":              {ether(at(sip4, 25, 7)), malformed},
		"a short UDP length":             {ether(at(sip4, 25, 8)), ours},
		"half a UDP header":              {ether(ip4(from, 17, 0, udp(5060, 0)[:7])), malformed},
		"another port":                   {ether(ip4(from, 17, 0, udp(53, 20))), notOurs},
		"another port, malformed":        {ether(at(ip4(from, 17, 0, udp(53, 20)), 25, 29)), malformed},
		"an impossible source elsewhere": {ether(ip4("0.0.0.0", 17, 0, udp(67, 20))), notOurs},
		"ICMP":                           {ether(ip4(from, 1, 0, make([]byte, 8))), notOurs},
		"a later fragment":               {ether(ip4(from, 17, 5, []byte{1})), ours},
		"a later fragment of TCP":        {ether(ip4(from, 6, 5, []byte{1})), notOurs},
		"a later fragment, more to come": {ether(ip4(from, 17, 0x2005, nil)), ours},
		"a first fragment":               {ether(ip4(from, 17, 0x2000, at(udp(5060, 8), 5, 200))), ours},
		"a first fragment of 7":          {ether(ip4(from, 17, 0x2000, udp(5060, 0)[:7])), malformed},
		"not to be fragmented":           {ether(ip4(from, 17, 0x4000, udp(5060, 8))), ours},
		"SYN":                            {ether(ip4(from, 6, 0, tcp(443, tcpSYN))), ours},
		"no flags":                       {ether(ip4(from, 6, 0, tcp(443, 0))), malformed},
		"PSH alone":                      {ether(ip4(from, 6, 0, tcp(443, 8))), malformed},
		"SYN and FIN":                    {ether(ip4(from, 6, 0, tcp(443, tcpSYN|tcpFIN))), malformed},
		"SYN and RST":                    {ether(ip4(from, 6, 0, tcp(443, tcpSYN|tcpRST|tcpACK))), malformed},
		"FIN and RST":                    {ether(ip4(from, 6, 0, tcp(443, tcpFIN|tcpRST))), ours},
		"no flags elsewhere":             {ether(ip4(from, 6, 0, tcp(22, 0))), notOurs},
		"a TCP offset of 4":              {ether(ip4(from, 6, 0, at(tcp(443, tcpSYN), 12, 4<<4))), malformed},
		"TCP options past the end":       {ether(ip4(from, 6, 0, at(tcp(443, tcpSYN), 12, 6<<4))), malformed},
		"in the next fragment":           {ether(ip4(from, 6, 0x2000, at(tcp(443, tcpSYN), 12, 6<<4))), ours},
		"half a TCP header":              {ether(ip4(from, 6, 0, tcp(443, tcpSYN)[:19])), malformed},
		"RTP":                            {ether(ip4(from, 17, 0, udp(30000, 172))), ours},
		"TCP to an RTP port":             {ether(ip4(from, 6, 0, tcp(30000, tcpSYN))), notOurs},
	})
}

func TestParseIPv6(t *testing.T) {
	fragmented := func(offset uint16, next byte) []byte {
		return binary.BigEndian.AppendUint32([]byte{next, 0, byte(offset >> 8), byte(offset)}, 7)
	}
	chain := func(n int, last byte, body []byte) []byte {
		var b []byte
		for i := range n {
			next := byte(extDestination)
			if i == n-1 {
				next = last
			}
			b = append(b, extension(next, 0, 8)...)
		}
		return ip6("2001:db8::1", extDestination, append(b, body...))
	}
	six := func(next byte, parts ...[]byte) []byte {
		return ether(ip6("2001:db8::1", next, slices.Concat(parts...)))
	}
	parseAll(t, map[string]parseRow{
		"IPv6":                         {six(17, udp(5060, 9)), ours},
		"IPv6, cut":                    {six(17, udp(5060, 9))[:53], malformed},
		"IPv6, payload past the end":   {at(six(17, udp(5060, 9)), 19, 99), malformed},
		"IPv6, payload shorter":        {at(six(17, udp(5060, 9)), 19, 7), malformed},
		"IPv6, version 4":              {at(six(17, udp(5060, 9)), 14, 0x40), malformed},
		"IPv6, nothing":                {six(extNone), notOurs},
		"IPv6, ICMP":                   {six(58, make([]byte, 8)), notOurs},
		"hop by hop":                   {six(extHop, extension(17, 1, 16), udp(5060, 0)), ours},
		"routing, mobility":            {six(extRouting, extension(extMobility, 0, 8), extension(6, 0, 8), tcp(443, tcpSYN)), ours},
		"authentication":               {six(extAH, extension(17, 4, 24), udp(5060, 0)), ours},
		"authentication past the end":  {six(extAH, extension(17, 9, 24), udp(5060, 0)), malformed},
		"an extension past the end":    {six(extHop, extension(17, 9, 16), udp(5060, 0)), malformed},
		"an extension cut":             {six(extHop, extension(17, 0, 7)), malformed},
		"eight extensions":             {ether(chain(8, 17, udp(5060, 0))), ours},
		"nine extensions":              {ether(chain(9, 17, udp(5060, 0))), malformed},
		"eight and nothing":            {ether(chain(8, extNone, nil)), notOurs},
		"v6 first fragment":            {six(extFragment, fragmented(1, 17), at(udp(5060, 8), 5, 200)), ours},
		"v6 atomic fragment":           {six(extFragment, fragmented(0, 17), at(udp(5060, 8), 5, 200)), malformed},
		"v6 later fragment":            {six(extFragment, fragmented(8, 17)), ours},
		"v6 later fragment of TCP":     {six(extFragment, fragmented(9, 6)), notOurs},
		"v6 later, options first":      {six(extFragment, fragmented(9, extDestination), extension(17, 0, 8)), notOurs},
		"v6 first, options, UDP":       {six(extFragment, fragmented(1, extDestination), extension(17, 0, 8), udp(5060, 0)), ours},
		"a fragment header cut":        {six(extFragment, fragmented(8, 17)[:7]), malformed},
		"first, then a whole fragment": {six(extFragment, fragmented(1, extFragment), fragmented(0, 17), at(udp(5060, 8), 5, 200)), ours},
	})
}

func TestWhatIsParsed(t *testing.T) {
	for name, row := range map[string]struct {
		frame []byte
		want  Packet
	}{
		"datagram":  {udp4("198.18.0.1", 30002), Packet{Service: policy.RTP, Port: 30002}},
		"opening":   {ether(ip4("198.18.0.1", 6, 0, tcp(443, tcpSYN))), Packet{Service: policy.Web, Port: 443, TCP: true, Opens: true}},
		"answering": {ether(ip4("198.18.0.1", 6, 0, tcp(443, tcpSYN|tcpACK))), Packet{Service: policy.Web, Port: 443, TCP: true}},
		"going on":  {ether(ip4("198.18.0.1", 6, 0, tcp(443, tcpACK|8))), Packet{Service: policy.Web, Port: 443, TCP: true, Acks: true}},
		"ending":    {ether(ip4("198.18.0.1", 6, 0, tcp(443, tcpACK|tcpFIN))), Packet{Service: policy.Web, Port: 443, TCP: true}},
		"fragment":  {ether(ip4("198.18.0.1", 17, 3, nil)), Packet{Service: policy.SIP, Later: true}},
	} {
		row.want.Source = netip.MustParseAddr("198.18.0.1")
		if p, _, ours := Parse(row.frame, ports); !ours || p != row.want {
			t.Errorf("%s: %+v, want %+v", name, p, row.want)
		}
	}
	a := netip.MustParseAddr("2001:db8:1:2:3::4")
	if KeyOf(a) != 0x20010db800010002 || AroundOf(a) != 0x20010db800010000 || KeyOf(a).Addr() != netip.MustParseAddr("2001:db8:1:2::") {
		t.Errorf("keys %x %x %v", KeyOf(a), AroundOf(a), KeyOf(a).Addr())
	}
	a = netip.MustParseAddr("::ffff:198.51.100.7")
	if KeyOf(a) != 0xc6336407 || AroundOf(a) != 0xc6336400 || KeyOf(a).Addr() != a.Unmap() {
		t.Errorf("keys %x %x %v", KeyOf(a), AroundOf(a), KeyOf(a).Addr())
	}
}

// Whatever comes in, what Parse says of it is consistent, and nothing past the
// datagram matters.
func FuzzParse(f *testing.F) {
	f.Add(udp4("198.18.0.1", 5060))
	f.Add(ether(ip4("198.18.0.1", 6, 0x2000, tcp(443, tcpSYN)), etherVLAN))
	f.Add(ether(ip6("2001:db8::1", extFragment, slices.Concat([]byte{17, 0, 0, 1, 0, 0, 0, 0}, udp(5060, 8)))))
	f.Fuzz(func(t *testing.T, frame []byte) {
		p, v, ours := Parse(frame, ports)
		if ours != (v == policy.Passed) || ours && (!p.Source.IsValid() || p.Service == policy.NoService) {
			t.Errorf("%v, ours %v, %+v", v, ours, p)
		}
		if p.Opens && (p.Acks || !p.TCP) || p.Later && (p.Port != 0 || p.TCP) {
			t.Errorf("%+v", p)
		}
		if q, w, _ := Parse(append(slices.Clone(frame), 0xff, 0xff), ports); ours && (q != p || w != v) {
			t.Errorf("two bytes after it make %v %+v of %v %+v", w, q, v, p)
		}
	})
}
