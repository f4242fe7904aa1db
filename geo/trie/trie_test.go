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

// The roots that the kernel's tables have, and those of which the last record of one
// family or both decides bits that no address has.
var (
	countries = trie.Roots{V4: 18, V6: 14}
	lists     = trie.Roots{V4: 12, V6: 12}
	shapes    = []trie.Roots{lists, {V4: 8, V6: 8}, {V4: 1, V6: 7}, {V4: 5, V6: 3}, {V4: 11, V6: 10}}
)

func entry(prefix string, value uint32) trie.Entry[uint32] {
	return trie.Entry[uint32]{Prefix: netip.MustParsePrefix(prefix), Value: value}
}

// naive is the definition: of the prefixes that hold an address the longest decides.
func naive(entries []trie.Entry[uint32], a netip.Addr) (value uint32) {
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
	entries := []trie.Entry[uint32]{
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
		for _, r := range shapes {
			table := build(t, r, entries)
			if got := table.Lookup(netip.MustParseAddr(addr)); got != want {
				t.Errorf("roots of %v bits: %s is %d, want %d", r, addr, got, want)
			}
		}
	}
	if got := (*trie.Trie[uint32])(nil).Lookup(netip.MustParseAddr("192.0.2.1")); got != 0 {
		t.Errorf("no trie says %d", got)
	}
	if got := build(t, shapes[0], entries).Lookup(netip.Addr{}); got != 0 {
		t.Errorf("no address is %d", got)
	}
	if got := build(t, shapes[0], entries).Lookup(netip.MustParseAddr("2001:db8::9%eth0")); got != 5 {
		t.Errorf("an address with a zone is %d, want 5", got)
	}
}

func TestBuildRefusesWhatItCannotSay(t *testing.T) {
	for name, c := range map[string]struct {
		roots   trie.Roots
		entries []trie.Entry[uint32]
		want    string
	}{
		"an invalid prefix":            {lists, []trie.Entry[uint32]{{Value: 1}}, "no prefix"},
		"a prefix of too many bits":    {lists, []trie.Entry[uint32]{{Prefix: netip.PrefixFrom(netip.MustParseAddr("192.0.2.1"), 33), Value: 1}}, "no prefix"},
		"the value of nothing":         {lists, []trie.Entry[uint32]{entry("192.0.2.0/24", 0)}, "value 0"},
		"a value that would be a leaf": {lists, []trie.Entry[uint32]{entry("192.0.2.0/24", trie.Leaf)}, "192.0.2.0/24"},
		"one prefix, two values":       {lists, []trie.Entry[uint32]{entry("192.0.2.0/24", 1), entry("192.0.2.0/24", 2)}, "192.0.2.0/24 has two values"},
		"the same, one of them mapped": {lists, []trie.Entry[uint32]{entry("192.0.2.0/24", 1), entry("::ffff:192.0.2.0/120", 2)}, "192.0.2.0/24 has two values"},
		"the same, with bits after it": {lists, []trie.Entry[uint32]{entry("2001:db8::/64", 1), entry("2001:db8::7/64", 2)}, "2001:db8::/64 has two values"},
		"a root of nothing":            {trie.Roots{V4: 0, V6: 8}, nil, "root of 0 bits"},
		"a root of too much":           {trie.Roots{V4: 8, V6: 21}, nil, "root of 21 bits"},
	} {
		if _, err := trie.Build(c.roots, c.entries); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
	if _, err := trie.Build(lists, []trie.Entry[uint32]{entry("192.0.2.0/24", 1), entry("192.0.2.0/24", 1)}); err != nil {
		t.Errorf("the same entry twice: %v", err)
	}
}

func TestEqualRecordsAreStoredOnce(t *testing.T) {
	var once, often []trie.Entry[uint32]
	within := func(a string) []trie.Entry[uint32] {
		return []trie.Entry[uint32]{entry(a+".128/25", 1), entry(a+".7/32", 2), entry(a+".64/27", 3)}
	}
	once = within("10.0.0")
	for i := range 200 {
		often = append(often, within(fmt.Sprintf("10.%d.0", i))...)
	}
	one, many := build(t, countries, once), build(t, countries, often)
	if len(many.Words) != len(one.Words) {
		t.Errorf("200 equal /18s take %d words, one takes %d", len(many.Words), len(one.Words))
	}
	// Parts that say the same are no record at all.
	var parts []trie.Entry[uint32]
	for i := range 256 {
		parts = append(parts, entry(fmt.Sprintf("192.0.2.%d/32", i), 7))
	}
	if whole := build(t, countries, append(parts, entry("192.0.0.0/16", 7))); len(whole.Words) != 0 {
		t.Errorf("a /16 that says one thing takes %d words", len(whole.Words))
	}
	if got, want := many.Bytes(), 4*(1<<18+1<<14)+8*len(many.Words); got != want {
		t.Errorf("%d bytes, want %d", got, want)
	}
}

func TestBuildAgreesWithTheDefinition(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		entries := nested(r, 1+r.IntN(400))
		shuffled := append([]trie.Entry[uint32](nil), entries...)
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		roots := shapes[seed%uint64(len(shapes))]
		a, b := build(t, roots, entries), build(t, roots, shuffled)
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

// Values of a byte are laid out apart from those of 32 bits.
func TestSmallValuesAgreeWithLargeOnes(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 2))
		entries := nested(r, 1+r.IntN(2000))
		var small []trie.Entry[uint8]
		for _, e := range entries {
			small = append(small, trie.Entry[uint8]{Prefix: e.Prefix, Value: uint8(e.Value)})
		}
		roots := shapes[seed%uint64(len(shapes))]
		a := build(t, roots, entries)
		b, err := trie.Build(roots, small)
		if err != nil {
			t.Fatal(err)
		}
		for range 2000 {
			addr := near(r, entries)
			if x, y := a.Lookup(addr), b.Lookup(addr); x != uint32(y) {
				t.Fatalf("seed %d: %v is %d and %d", seed, addr, x, y)
			}
		}
	}
}

func TestRunsAreWhatLookupSays(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 3))
		entries := nested(r, 1+r.IntN(300))
		table := build(t, shapes[seed%uint64(len(shapes))], entries)
		for _, is4 := range []bool{true, false} {
			last, begun := uint32(1<<31), false
			for first, v := range table.Runs(is4) {
				a := address(first, is4)
				if !begun && (first != trie.Point{}) || v == last || table.Lookup(a) != v {
					t.Fatalf("seed %d: from %v on %d, after %d; Lookup says %d", seed, a, v, last, table.Lookup(a))
				}
				if begun && table.Lookup(a.Prev()) != last {
					t.Fatalf("seed %d: up to %v %d; Lookup says %d", seed, a.Prev(), last, table.Lookup(a.Prev()))
				}
				last, begun = v, true
			}
			if end := address(trie.Point{Hi: ^uint64(0), Lo: ^uint64(0)}, is4); table.Lookup(end) != last {
				t.Fatalf("seed %d: at the end %d; Lookup says %d", seed, last, table.Lookup(end))
			}
		}
		runs := 0
		for range table.Runs(false) {
			runs++
			break
		}
		if runs != 1 {
			t.Fatalf("%d runs before a break", runs)
		}
	}
	for first, v := range (*trie.Trie[uint8])(nil).Runs(true) {
		if (first != trie.Point{}) || v != 0 {
			t.Errorf("no trie says %d from %v on", v, first)
		}
	}
}

func address(p trie.Point, is4 bool) netip.Addr {
	b := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, p.Hi), p.Lo)
	if is4 {
		return netip.AddrFrom4([4]byte(b))
	}
	return netip.AddrFrom16([16]byte(b))
}

func TestLookupAllocatesNothing(t *testing.T) {
	table := build(t, countries, nested(rand.New(rand.NewPCG(3, 3)), 1000))
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
		var entries []trie.Entry[uint32]
		for len(text) > 10 && len(entries) < 200 {
			var b [16]byte
			copy(b[:], text[2:10])
			binary.BigEndian.PutUint64(b[8:], seed)
			a := netip.AddrFrom16(b)
			if text[0]&1 == 0 {
				a = netip.AddrFrom4([4]byte(text[2:6]))
			}
			p := netip.PrefixFrom(a, int(text[1])%(a.BitLen()+1)).Masked()
			entries = append(entries, trie.Entry[uint32]{Prefix: p, Value: uint32(text[0]) + 1})
			text = text[1+int(text[0])%9:]
		}
		given := map[netip.Prefix]uint32{}
		for _, e := range entries {
			if v, ok := given[e.Prefix]; ok && v != e.Value {
				return // Build refuses it, as another test shows
			}
			given[e.Prefix] = e.Value
		}
		table := build(t, shapes[seed%uint64(len(shapes))], entries)
		for range 50 {
			a := near(r, entries)
			if got, want := table.Lookup(a), naive(entries, a); got != want {
				t.Fatalf("%v is %d, want %d, of %v", a, got, want, entries)
			}
		}
	})
}

func build(t testing.TB, roots trie.Roots, entries []trie.Entry[uint32]) *trie.Trie[uint32] {
	t.Helper()
	table, err := trie.Build(roots, entries)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// nested makes prefixes of both families, many of them within each other or beside
// each other, none twice.
func nested(r *rand.Rand, n int) []trie.Entry[uint32] {
	var entries []trie.Entry[uint32]
	seen := map[netip.Prefix]bool{}
	for len(entries) < n {
		a := near(r, entries)
		p := netip.PrefixFrom(a, r.IntN(a.BitLen()+1)).Masked()
		if !seen[p] {
			seen[p] = true
			entries = append(entries, trie.Entry[uint32]{Prefix: p, Value: 1 + r.Uint32N(20)})
		}
	}
	return entries
}

// near is an address: any, or one at the edge of an entry, or just past it.
func near(r *rand.Rand, entries []trie.Entry[uint32]) netip.Addr {
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
