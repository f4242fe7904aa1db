package geo_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"github.com/lindero/lindero/geo"
)

// built is when the databases of tests were made.
var built = time.Date(2026, 6, 17, 12, 0, 0, 0, time.UTC)

type record = mmdbtype.DataType

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func text(s string) record { return mmdbtype.String(s) }
func country(code string) record {
	return mmdbtype.Map{"country": mmdbtype.Map{"iso_code": text(code), "names": mmdbtype.Map{"en": text("whatever")}}}
}
func code(code string) record { return mmdbtype.Map{"country_code": text(code)} }

// options are those of an ordinary small database.
func options() mmdbwriter.Options {
	return mmdbwriter.Options{
		DatabaseType: "Test-Country", BuildEpoch: built.Unix(), IncludeReservedNetworks: true, RecordSize: 24, IPVersion: 6,
		Description: map[string]string{"en": "a test, in the public domain", "es": "una prueba"},
	}
}

// mmdb writes a database as others' tools would.
func mmdb(t testing.TB, o mmdbwriter.Options, records map[string]record) []byte {
	t.Helper()
	tree, err := mmdbwriter.New(o)
	if err != nil {
		t.Fatal(err)
	}
	prefixes := make([]netip.Prefix, 0, len(records))
	for p := range records {
		prefixes = append(prefixes, netip.MustParsePrefix(p))
	}
	// What is inserted later overwrites: the longest last.
	slices.SortFunc(prefixes, func(a, b netip.Prefix) int {
		return (a.Bits() - b.Bits()) - (a.Addr().BitLen() - b.Addr().BitLen())
	})
	for _, p := range prefixes {
		network := &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
		if err := tree.Insert(network, records[p.String()]); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if _, err := tree.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func write(t testing.TB, file []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "countries.mmdb")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, file []byte) *geo.Table {
	t.Helper()
	table, err := geo.Open(write(t, file))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func expect(t *testing.T, table *geo.Table, want map[string]string) {
	t.Helper()
	for a, c := range want {
		if got := table.Country(netip.MustParseAddr(a)); got.String() != c {
			t.Errorf("%s is in %v, want %s", a, got, c)
		}
	}
}

func TestOpenReadsEveryMakersRecords(t *testing.T) {
	for name, records := range map[string]map[string]record{
		"IPtoASN, geo-whois, DB-IP of npm": {"192.0.2.0/24": code("ES"), "2001:db8::/32": code("FR")},
		"GeoLite2, GeoIP2, DB-IP":          {"192.0.2.0/24": country("ES"), "2001:db8::/32": country("FR")},
		"IPinfo":                           {"192.0.2.0/24": mmdbtype.Map{"country": text("ES"), "country_name": text("Spain")}, "2001:db8::/32": mmdbtype.Map{"country": text("FR")}},
		"IPinfo Lite":                      {"192.0.2.0/24": mmdbtype.Map{"country": text("Spain"), "country_code": text("ES")}, "2001:db8::/32": mmdbtype.Map{"country": text("France"), "country_code": text("FR")}},
		"only where it is registered": {
			"192.0.2.0/24":  mmdbtype.Map{"registered_country": mmdbtype.Map{"iso_code": text("ES")}, "country": mmdbtype.Map{"geoname_id": mmdbtype.Uint32(1)}},
			"2001:db8::/32": mmdbtype.Map{"registered_country": mmdbtype.Map{"iso_code": text("DE")}, "country": mmdbtype.Map{"iso_code": text("FR")}},
		},
		"a number where others have text": {"192.0.2.0/24": mmdbtype.Map{"country_code": mmdbtype.Uint32(34), "country": mmdbtype.Map{"iso_code": text("ES")}}, "2001:db8::/32": code("FR")},
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{24, 28, 32} {
				o := options()
				o.RecordSize = size
				expect(t, open(t, mmdb(t, o, records)), map[string]string{
					"192.0.2.0": "ES", "192.0.2.255": "ES", "::ffff:192.0.2.7": "ES", "192.0.3.0": "ZZ", "192.0.1.255": "ZZ",
					"2001:db8::": "FR", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff": "FR", "2001:db9::": "ZZ", "::192.0.2.7": "ZZ",
				})
			}
		})
	}
}

func TestADatabaseOfIPv4Alone(t *testing.T) {
	o := options()
	o.IPVersion = 4
	table := open(t, mmdb(t, o, map[string]record{"192.0.2.0/24": code("ES"), "198.51.100.128/25": code("PT")}))
	expect(t, table, map[string]string{"192.0.2.9": "ES", "198.51.100.127": "ZZ", "198.51.100.128": "PT", "2001:db8::1": "ZZ"})
}

func TestPrefixesLongerThan64AreKept(t *testing.T) {
	table := open(t, mmdb(t, options(), map[string]record{
		"2001:db8::/32": code("ES"), "2001:db8:0:1::/65": code("PT"), "2001:db8:0:1:8000::77/128": code("FR"), "192.0.2.5/32": code("DE"),
	}))
	expect(t, table, map[string]string{
		"2001:db8:0:1::1": "PT", "2001:db8:0:1:8000::76": "ES", "2001:db8:0:1:8000::77": "FR", "2001:db8:0:1:8000::78": "ES", "192.0.2.5": "DE", "192.0.2.4": "ZZ",
	})
	if lost := table.Info().Lost; lost != 0 {
		t.Errorf("%d prefixes are said to be lost", lost)
	}
}

func TestAPrefixThatHoldsAllOfIPv4CountsForIt(t *testing.T) {
	table := open(t, mmdb(t, options(), map[string]record{"::/0": code("ES"), "2001:db8::/32": code("FR")}))
	expect(t, table, map[string]string{"203.0.113.1": "ES", "::1": "ES", "2001:db8::1": "FR", "ffff::": "ES"})
}

func TestInfoSaysWhatTheFileIs(t *testing.T) {
	file := mmdb(t, options(), map[string]record{
		"192.0.2.0/25": code("ES"), "192.0.2.128/25": code("ES"), "198.51.100.0/24": code("A1"), "203.0.113.0/24": code("AN"), "2001:db8::/32": code("FR"), "2001:db8:1::/48": code(""),
	})
	i := open(t, file).Info()
	if i.Type != "Test-Country" || !i.Built.Equal(built) || !strings.HasPrefix(i.Version, "2026-06-17-") || !strings.HasSuffix(i.Version, i.SHA256[:8]) || i.Description != "a test, in the public domain" {
		t.Errorf("info: %+v", i)
	}
	slices.Sort(i.Codes)
	if !slices.Equal(i.Codes, []string{"A1", "AN"}) {
		t.Errorf("unknown codes %v, want A1 and AN", i.Codes)
	}
	// A /32 without one /48 is 16 prefixes.
	if i.V4 != 1 || i.V6 != 16 || i.Seen != 2 || i.Bytes <= 4*(1<<18+1<<14) || i.Read <= 0 || i.Compiled <= 0 {
		t.Errorf("info: %+v", i)
	}
	table := open(t, file)
	fr, _ := geo.ParseCountry("FR")
	es, _ := geo.ParseCountry("ES")
	if s := table.Size(es); s != (geo.Size{Prefixes: 1, Addresses: 256}) {
		t.Errorf("Spain has %+v", s)
	}
	if s := table.Size(fr); s != (geo.Size{Prefixes: 16, Networks: 1<<32 - 1<<16}) {
		t.Errorf("France has %+v", s)
	}
	var none *geo.Table
	if none.Info().Type != "" || none.Trie() != nil || none.Country(netip.MustParseAddr("192.0.2.1")) != geo.Unknown || none.Size(es) != (geo.Size{}) {
		t.Error("no table says something")
	}
}

// The table agrees with the database it was made from, wherever one looks.
func TestTheTableSaysWhatTheDatabaseSays(t *testing.T) {
	codes := []string{"ES", "PT", "FR", "DE", "US"}
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 9))
		o := options()
		o.RecordSize = []int{24, 28, 32}[seed%3]
		records, truth := map[string]record{}, map[netip.Prefix]string{}
		for range 300 {
			var b [16]byte
			binary.BigEndian.PutUint64(b[:], 0x2001_0db8_0000_0000|r.Uint64N(1<<12)<<20)
			binary.BigEndian.PutUint64(b[8:], r.Uint64())
			p := netip.PrefixFrom(netip.AddrFrom16(b), 32+r.IntN(97)).Masked()
			if r.IntN(2) == 0 {
				p = netip.PrefixFrom(netip.AddrFrom4([4]byte{198, byte(18 + r.IntN(2)), byte(r.IntN(8)), byte(r.Uint32())}), 8+r.IntN(25)).Masked()
			}
			c := codes[r.IntN(len(codes))]
			records[p.String()], truth[p] = code(c), c
		}
		table := open(t, mmdb(t, o, records))
		for p := range truth {
			for _, a := range []netip.Addr{p.Addr(), p.Addr().Prev(), p.Addr().Next()} {
				want, longest := "ZZ", -1
				for q, c := range truth {
					if q.Contains(a) && q.Bits() > longest {
						longest, want = q.Bits(), c
					}
				}
				if a.IsValid() && table.Country(a).String() != want {
					t.Fatalf("seed %d: %v is in %v, want %s", seed, a, table.Country(a), want)
				}
			}
		}
	}
}

func TestOpenSaysWhatIsWrongWithAFile(t *testing.T) {
	good := mmdb(t, options(), map[string]record{"192.0.2.0/24": code("ES")})
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"empty":                   {nil, "no MMDB database"},
		"a web page":              {[]byte("<html>please log in</html>"), "no MMDB database"},
		"cut short":               {good[:len(good)-40], "cut short"},
		"networks, not countries": {mmdb(t, options(), map[string]record{"192.0.2.0/24": mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint32(64500)}}), "names no country"},
		"nothing in it":           {mmdb(t, options(), nil), "names no country"},
		"a tree that goes on":     {patch(good, func(tree []byte) { tree[110*6+2] = 100 }), "damaged"},
	} {
		_, err := geo.Open(write(t, c.file))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "countries.mmdb") {
			t.Errorf("%s: got %v, want an error with %q and the file's name", name, err, c.want)
		}
	}
	if _, err := geo.Open(filepath.Join(t.TempDir(), "none.mmdb")); err == nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := geo.Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("a folder: %v", err)
	}
}

// patch changes the search tree of a copy.
func patch(file []byte, change func(tree []byte)) []byte {
	file = bytes.Clone(file)
	change(file)
	return file
}

// Shared subtrees spell out more prefixes than there are atoms.
func TestAFileThatIsMuchLargerInsideEnds(t *testing.T) {
	o := options()
	o.IPVersion = 6
	good := mmdb(t, o, map[string]record{"2001:db8::/32": code("ES"), "2001:db9::/120": code("FR")})
	lead := func(tree []byte, node, half, to int) {
		at := tree[node*6+half*3:]
		at[0], at[1], at[2] = byte(to>>16), byte(to>>8), byte(to)
	}
	size := bytes.Index(good, make([]byte, 16)) / 6 // nodes; what follows them is 16 zeros
	for name, last := range map[string][2]int{
		"of nothing":       {size, size},
		"of one country":   {size + 16, size + 16},
		"of two countries": {size + 16, size + 16 + len("\xe1\x4ccountry_code\x42ES")},
	} {
		began := time.Now()
		_, err := geo.Open(write(t, patch(good, func(tree []byte) {
			const nodes = 127 // each leads to the next, twice
			for i := range nodes {
				lead(tree, i, 0, i+1)
				lead(tree, i, 1, i+1)
			}
			lead(tree, nodes, 0, last[0])
			lead(tree, nodes, 1, last[1])
		})))
		if err == nil || !strings.Contains(err.Error(), "larger than any") {
			t.Errorf("a tree %s: got %v, want a word about its size", name, err)
		}
		t.Logf("%s: %v after %v", name, err, time.Since(began))
	}
}

func TestNoFilePanics(t *testing.T) {
	good := mmdb(t, options(), map[string]record{"192.0.2.0/24": code("ES"), "2001:db8::/32": country("FR"), "2001:db8:1::/48": code("PT")})
	for n := range good {
		if _, err := geo.Read(good[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes were taken", n, len(good))
		}
		broken := bytes.Clone(good)
		broken[n] ^= 0xff
		_, _ = geo.Read(broken) // may be good or bad
	}
}

func FuzzOpen(f *testing.F) {
	for _, size := range []int{24, 28, 32} {
		o := options()
		o.RecordSize = size
		f.Add(mmdb(f, o, map[string]record{"192.0.2.0/24": code("ES"), "2001:db8::/32": country("FR")}))
		o.IPVersion = 4
		f.Add(mmdb(f, o, map[string]record{"192.0.2.0/24": code("ES"), "198.51.100.7/32": country("FR")}))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		table, err := geo.Read(file)
		if err != nil {
			return
		}
		if i := table.Info(); i.V4+i.V6 == 0 || i.Seen == 0 {
			t.Errorf("a table of nothing: %+v", i)
		}
		table.Country(netip.MustParseAddr("192.0.2.1"))
		table.Country(netip.MustParseAddr("2001:db8::1"))
	})
}
