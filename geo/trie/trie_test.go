package trie_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/lindero/lindero/geo/trie"
)

func entry(prefix string, value uint32) trie.Entry {
	return trie.Entry{Prefix: netip.MustParsePrefix(prefix), Value: value}
}

// naive is the definition: of the prefixes that hold an address the longest decides.
func naive(entries []trie.Entry, a netip.Addr) (value uint32) {
	longest := -1
	a = a.Unmap()
	for _, e := range entries {
		p := e.Prefix.Masked()
		if p.Addr().Is4In6() {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		if p.Contains(a) && p.Bits() > longest {
			longest, value = p.Bits(), e.Value
		}
	}
	return value
}

func TestTheLongestPrefixDecides(t *testing.T) {
	entries := []trie.Entry{
		entry("0.0.0.0/0", 1), entry("192.0.2.0/24", 2), entry("192.0.2.128/25", 3), entry("192.0.2.200/32", 4),
		entry("2001:db8::/32", 5), entry("2001:db8:0:1::/64", 6), entry("2001:db8::1:2:3:4/128", 7), entry("2001:db8::1:2:3:0/119", 8),
		entry("::ffff:198.51.100.0/120", 9),
	}
	for addr, want := range map[string]uint32{
		"203.0.113.1": 1, "192.0.2.1": 2, "192.0.2.129": 3, "192.0.2.200": 4, "192.0.2.201": 3, "::ffff:192.0.2.200": 4,
		"198.51.100.7": 9, "198.51.101.7": 1, "255.255.255.255": 1, "0.0.0.0": 1,
		"2001:db8::9": 5, "2001:db8:0:1::9": 6, "2001:db8:0:2::9": 5, "2001:db8::1:2:3:4": 7, "2001:db8::1:2:3:5": 8, "2001:db8::1:2:3:200": 5,
		"2001:db9::": 0, "::": 0, "::192.0.2.200": 0,
	} {
		for _, rootBits := range []int{8, 16} {
			table := build(t, rootBits, entries)
			if got := table.Lookup(netip.MustParseAddr(addr)); got != want {
				t.Errorf("root of %d bits: %s is %d, want %d", rootBits, addr, got, want)
			}
		}
	}
	if got := (*trie.Trie)(nil).Lookup(netip.MustParseAddr("192.0.2.1")); got != 0 {
		t.Errorf("no trie says %d", got)
	}
	if got := build(t, 8, entries).Lookup(netip.Addr{}); got != 0 {
		t.Errorf("no address is %d", got)
	}
	if got := build(t, 8, entries).Lookup(netip.MustParseAddr("2001:db8::9%eth0")); got != 5 {
		t.Errorf("an address with a zone is %d, want 5", got)
	}
}

func TestBuildRefusesWhatItCannotSay(t *testing.T) {
	for name, c := range map[string]struct {
		rootBits int
		entries  []trie.Entry
		want     string
	}{
		"an invalid prefix":               {8, []trie.Entry{{Value: 1}}, "no prefix"},
		"a prefix of too many bits":       {8, []trie.Entry{{Prefix: netip.PrefixFrom(netip.MustParseAddr("192.0.2.1"), 33), Value: 1}}, "no prefix"},
		"the value of nothing":            {8, []trie.Entry{entry("192.0.2.0/24", 0)}, "value 0"},
		"a value that would be a leaf":    {8, []trie.Entry{entry("192.0.2.0/24", trie.Leaf)}, "192.0.2.0/24"},
		"one prefix, two values":          {8, []trie.Entry{entry("192.0.2.0/24", 1), entry("192.0.2.0/24", 2)}, "192.0.2.0/24 has two values"},
		"the same, one of them mapped":    {8, []trie.Entry{entry("192.0.2.0/24", 1), entry("::ffff:192.0.2.0/120", 2)}, "192.0.2.0/24 has two values"},
		"the same, with bits after it":    {8, []trie.Entry{entry("2001:db8::/64", 1), entry("2001:db8::7/64", 2)}, "2001:db8::/64 has two values"},
		"a root that no kernel map knows": {12, nil, "root of 12 bits"},
	} {
		if _, err := trie.Build(c.rootBits, c.entries); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
	if _, err := trie.Build(8, []trie.Entry{entry("192.0.2.0/24", 1), entry("192.0.2.0/24", 1)}); err != nil {
		t.Errorf("the same entry twice: %v", err)
	}
}

func TestEqualSubtreesAreStoredOnce(t *testing.T) {
	var once, often []trie.Entry
	within := func(a string) []trie.Entry {
		return []trie.Entry{entry(a+".128/25", 1), entry(a+".7/32", 2), entry(a+".64/27", 3)}
	}
	once = within("10.0.0")
	for i := range 200 {
		often = append(often, within(fmt.Sprintf("10.%d.0", i))...)
	}
	one, many := build(t, 16, once), build(t, 16, often)
	if len(many.Nodes) != len(one.Nodes) {
		t.Errorf("200 equal /16s take %d nodes, one takes %d", len(many.Nodes), len(one.Nodes))
	}
	// Sixteen parts that say the same are no node at all.
	var parts []trie.Entry
	for i := range 256 {
		parts = append(parts, entry(fmt.Sprintf("192.0.2.%d/32", i), 7))
	}
	if whole := build(t, 16, append(parts, entry("192.0.0.0/16", 7))); len(whole.Nodes) != 0 {
		t.Errorf("a /16 that says one thing takes %d nodes", len(whole.Nodes))
	}
	if got, want := many.Bytes(), 4*2*65536+64*len(many.Nodes); got != want {
		t.Errorf("%d bytes, want %d", got, want)
	}
}

func TestBuildAgreesWithTheDefinition(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		entries := nested(r, 1+r.IntN(400))
		shuffled := append([]trie.Entry(nil), entries...)
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		rootBits := 8 + 8*int(seed%2)
		a, b := build(t, rootBits, entries), build(t, rootBits, shuffled)
		if fmt.Sprint(a) != fmt.Sprint(b) {
			t.Fatalf("seed %d: the order of the entries changes the trie", seed)
		}
		for range 2000 {
			addr := near(r, entries)
			if got, want := a.Lookup(addr), naive(entries, addr); got != want {
				t.Fatalf("seed %d: %v is %d, want %d", seed, addr, got, want)
			}
		}
	}
}

func TestLookupAllocatesNothing(t *testing.T) {
	table := build(t, 16, nested(rand.New(rand.NewPCG(3, 3)), 1000))
	four, six := netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("2001:db8::9")
	if n := testing.AllocsPerRun(100, func() { table.Lookup(four); table.Lookup(six) }); n != 0 {
		t.Errorf("two lookups allocate %v times", n)
	}
}

func FuzzBuild(f *testing.F) {
	f.Add([]byte{0, 24, 192, 0, 2, 0, 1, 32, 10, 0, 0, 1}, uint64(1))
	f.Add([]byte("a long text makes a few prefixes that begin alike, a long text does"), uint64(2))
	f.Fuzz(func(t *testing.T, text []byte, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		var entries []trie.Entry
		for len(text) > 10 && len(entries) < 200 {
			var b [16]byte
			copy(b[:], text[2:10])
			binary.BigEndian.PutUint64(b[8:], seed)
			a := netip.AddrFrom16(b)
			if text[0]&1 == 0 {
				a = netip.AddrFrom4([4]byte(text[2:6]))
			}
			p := netip.PrefixFrom(a, int(text[1])%(a.BitLen()+1)).Masked()
			entries = append(entries, trie.Entry{Prefix: p, Value: uint32(text[0]) + 1})
			text = text[1+int(text[0])%9:]
		}
		given := map[netip.Prefix]uint32{}
		for _, e := range entries {
			if v, ok := given[e.Prefix]; ok && v != e.Value {
				return // Build refuses it, as another test shows
			}
			given[e.Prefix] = e.Value
		}
		table := build(t, 8+8*int(seed%2), entries)
		for range 50 {
			a := near(r, entries)
			if got, want := table.Lookup(a), naive(entries, a); got != want {
				t.Fatalf("%v is %d, want %d, of %v", a, got, want, entries)
			}
		}
	})
}

func build(t testing.TB, rootBits int, entries []trie.Entry) *trie.Trie {
	t.Helper()
	table, err := trie.Build(rootBits, entries)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// nested makes prefixes of both families, many of them within each other or beside
// each other, none twice.
func nested(r *rand.Rand, n int) []trie.Entry {
	var entries []trie.Entry
	seen := map[netip.Prefix]bool{}
	for len(entries) < n {
		a := near(r, entries)
		p := netip.PrefixFrom(a, r.IntN(a.BitLen()+1)).Masked()
		if !seen[p] {
			seen[p] = true
			entries = append(entries, trie.Entry{Prefix: p, Value: 1 + r.Uint32N(20)})
		}
	}
	return entries
}

// near is an address: any, or one at the edge of an entry, or just past it.
func near(r *rand.Rand, entries []trie.Entry) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], r.Uint64())
	binary.BigEndian.PutUint64(b[8:], r.Uint64())
	if len(entries) == 0 || r.IntN(4) == 0 {
		if r.IntN(2) == 0 {
			return netip.AddrFrom4([4]byte(b[:4]))
		}
		return netip.AddrFrom16(b)
	}
	p := entries[r.IntN(len(entries))].Prefix
	a := p.Addr().As16()
	from := p.Bits()
	if p.Addr().Is4() {
		from += 96
	}
	for i := from; i < 128; i++ { // bits after the prefix: as they come
		a[i/8] = a[i/8]&^(0x80>>(i%8)) | b[i/8]&(0x80>>(i%8))
	}
	addr := netip.AddrFrom16(a)
	if p.Addr().Is4() {
		addr = addr.Unmap()
	}
	switch r.IntN(6) {
	case 0:
		if next := addr.Next(); next.IsValid() {
			return next
		}
	case 1:
		if prev := p.Addr().Prev(); prev.IsValid() {
			return prev
		}
	case 2:
		return p.Addr()
	}
	return addr
}
