package main

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/geo/trie"
)

// denied are the countries whose packets every contender drops: six with many
// prefixes, a twelfth of the world's.
func denied() ([]geo.Country, error) {
	var list []geo.Country
	for _, code := range []string{"CN", "RU", "BR", "IN", "VN", "IR"} {
		c, err := geo.ParseCountry(code)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

// A world is a country database and where it is from.
type world struct {
	path   string // "" when it was made here
	origin string
	table  *geo.Table
}

// openWorld reads the database at path, or one fetched into dir, or makes one of
// the same shape when neither can be had.
func openWorld(path, dir string) (world, error) {
	if path == "" {
		path = fetch(dir)
	}
	if path != "" {
		t, err := geo.Open(path)
		if err != nil {
			return world{}, err
		}
		i := t.Info()
		return world{path, fmt.Sprintf("%s of %s, %d IPv4 and %d IPv6 prefixes", i.Type, i.Built.Format("2006-01-02"), i.V4, i.V6), t}, nil
	}
	t, err := geo.Compile(synthetic())
	if err != nil {
		return world{}, err
	}
	return world{"", fmt.Sprintf("made up here, %d IPv4 and %d IPv6 prefixes, since none could be fetched", t.Info().V4, t.Info().V6), t}, nil
}

// fetch runs the script that gets a database for development, once, and is silent
// about a machine without the Internet.
func fetch(dir string) string {
	file := filepath.Join(dir, "countries.mmdb")
	if _, err := os.Stat(file); err == nil {
		return file
	}
	out, err := exec.Command("scripts/geo-db.sh", "--data", dir).CombinedOutput()
	if err != nil {
		say("no country database could be fetched: %v: %.300s", err, out)
		return ""
	}
	return file
}

// synthetic is a world with as many prefixes of such lengths as the real ones have,
// crowded as they are: half a million of IPv4, two fifths of them longer than /24
// and in few of those, and a third of a million of IPv6.
func synthetic() map[netip.Prefix]geo.Country {
	r := rand.New(rand.NewPCG(1, 2)) // the same world each time
	countries := geo.All()
	m := map[netip.Prefix]geo.Country{}
	put := func(high uint64, v4 bool, bits int) {
		b := binary.BigEndian.AppendUint64(nil, high)
		a := netip.AddrFrom16([16]byte(append(b, make([]byte, 8)...)))
		if v4 {
			a = netip.AddrFrom4([4]byte(b[:4]))
		}
		m[netip.PrefixFrom(a, bits).Masked()] = countries[r.IntN(len(countries))]
	}
	var twenties []uint64
	for range 12_000 { // what registries gave, and what its holders made of it
		block := uint64(16+r.IntN(190))<<56 | uint64(r.IntN(256))<<48
		for range 4 {
			twenty := block | uint64(r.IntN(16))<<44
			twenties = append(twenties, twenty)
			for range 6 {
				put(twenty|uint64(r.IntN(16))<<40, true, 22+r.IntN(3))
			}
		}
	}
	for range 16_000 {
		crowded := twenties[r.IntN(len(twenties))] | uint64(r.IntN(16))<<40
		for range 13 {
			put(crowded|uint64(r.IntN(32))<<35, true, 29)
		}
	}
	for range 40_000 {
		block := uint64(0x2400+r.IntN(4)*0x200+r.IntN(8))<<48 | uint64(r.IntN(1<<14))<<34
		put(block, false, 32)
		for range 8 * r.IntN(2) {
			put(block>>32<<32|uint64(r.IntN(16))<<16, false, 48)
		}
	}
	return m
}

// prefixes4 are the fewest IPv4 prefixes that hold the addresses of those
// countries, of all when none is named, as firewalls want them.
func prefixes4(t *trie.Trie[uint8], of ...geo.Country) []netip.Prefix {
	var list []netip.Prefix
	add := func(first uint32, bits int) {
		list = append(list, netip.PrefixFrom(netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, first))), bits))
		for n := len(list); n > 1 && sisters(list[n-2], list[n-1]); n = len(list) {
			list[n-2] = netip.PrefixFrom(list[n-2].Addr(), list[n-2].Bits()-1)
			list = list[:n-1]
		}
	}
	var begun uint64
	wanted := false
	until := func(end uint64) {
		for wanted && begun < end {
			zeros := min(bits.TrailingZeros64(begun|1<<32), bits.Len64(end-begun)-1)
			add(uint32(begun), 32-zeros)
			begun += 1 << zeros
		}
		begun = end
	}
	for first, v := range t.Runs(true) {
		until(first.Hi >> 32)
		c := geo.Country(v)
		wanted = c != geo.Unknown && (len(of) == 0 || slices.Contains(of, c))
	}
	until(1 << 32)
	return list
}

// sisters tells whether a and b are the halves of one prefix.
func sisters(a, b netip.Prefix) bool {
	return a.Bits() == b.Bits() && netip.PrefixFrom(a.Addr(), a.Bits()-1).Masked().Addr() == a.Addr() && netip.PrefixFrom(b.Addr(), b.Bits()-1).Masked().Addr() == a.Addr()
}
