package trie_test

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/lindero/lindero/geo/trie"
)

// world is a million prefixes as registries give them out: IPv4 /16 to /24, IPv6
// /29 to /48, in no order.
func world() []trie.Entry[uint8] {
	r := rand.New(rand.NewPCG(1, 1))
	seen := map[netip.Prefix]bool{}
	var entries []trie.Entry[uint8]
	for len(entries) < 1_000_000 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(1 + r.IntN(223)), byte(r.Uint32()), byte(r.Uint32())}), 16+r.IntN(9))
		if len(entries)%2 == 1 {
			p = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20 + byte(r.IntN(10)), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())}), 29+r.IntN(20))
		}
		if p = p.Masked(); !seen[p] {
			seen[p] = true
			entries = append(entries, trie.Entry[uint8]{Prefix: p, Value: uint8(1 + r.IntN(250))})
		}
	}
	return entries
}

func BenchmarkBuildAMillion(b *testing.B) {
	entries := world()
	for b.Loop() {
		table, err := trie.Build(trie.Roots{V4: 18, V6: 14}, entries)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(table.Bytes()), "table-bytes")
	}
}
