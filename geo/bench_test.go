package geo_test

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"os"
	"testing"

	"github.com/lindero/lindero/geo"
)

// worldFile is the database that `make geo-db` installed, or else a small one.
func worldFile(b *testing.B) string {
	const real = "../data/countries.mmdb"
	if _, err := os.Stat(real); err == nil {
		return real
	}
	b.Log("no ../data/countries.mmdb (make geo-db): measuring a small database")
	return write(b, planet(b, 0, built))
}

func BenchmarkOpen(b *testing.B) {
	path := worldFile(b)
	var info geo.Info
	for b.Loop() {
		table, err := geo.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		info = table.Info()
	}
	b.ReportMetric(float64(info.V4+info.V6), "prefixes")
	b.ReportMetric(float64(info.Bytes), "table-bytes")
	b.ReportMetric(float64(info.Compiled.Milliseconds()), "ms-compile")
}

func BenchmarkCountry(b *testing.B) {
	table, err := geo.Open(worldFile(b))
	if err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	four, six := make([]netip.Addr, 1<<16), make([]netip.Addr, 1<<16)
	for i := range four {
		var a [16]byte
		binary.BigEndian.PutUint32(a[:], r.Uint32())
		four[i] = netip.AddrFrom4([4]byte(a[:4]))
		binary.BigEndian.PutUint64(a[:], 1<<61|r.Uint64()>>3&^(15<<56)|r.Uint64N(16)<<53) // 2000::/8, where most of it is
		binary.BigEndian.PutUint64(a[8:], r.Uint64())
		six[i] = netip.AddrFrom16(a)
	}
	for name, addrs := range map[string][]netip.Addr{"hot v4": four[:64], "hot v6": six[:64], "random v4": four, "random v6": six} {
		b.Run(name, func(b *testing.B) {
			var i, placed int
			for b.Loop() {
				if table.Country(addrs[i&(len(addrs)-1)]) != geo.Unknown {
					placed++
				}
				i++
			}
			b.ReportMetric(float64(placed)/float64(i), "placed")
		})
	}
}

func BenchmarkMoved(b *testing.B) {
	table, err := geo.Open(worldFile(b))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if m := geo.Moved(table, table); m.V4 != 0 {
			b.Fatal("it moves")
		}
	}
}
