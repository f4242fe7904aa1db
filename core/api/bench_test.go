package api

import (
	"context"
	"encoding/json"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/lindero/lindero/core/store/storetest"
	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/shield/protocol"
)

// full is an API that has seen as many sources as it may.
func full(b *testing.B) *API {
	s := storetest.Open(b, "sqlite:"+filepath.Join(b.TempDir(), "core.db"))
	a, err := New(b.Context(), Config{Listen: "127.0.0.1:0", Store: s})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { a.Close() })
	table, err := geo.Compile(map[netip.Prefix]geo.Country{netip.MustParsePrefix("198.18.0.0/15"): geo.All()[0]})
	if err != nil {
		b.Fatal(err)
	}
	a.setTable(table)
	for i := range maxSources {
		a.sources.saw([]protocol.Seen{{Address: netip.AddrFrom4([4]byte{198, 18 + byte(i>>16), byte(i >> 8), byte(i)}), Country: "ZZ",
			Class: "unknown", Service: "sip", Verdict: "passed", Packets: uint64(i % 977)}}, time.Now())
	}
	return a
}

func BenchmarkDryRun(b *testing.B) {
	a := full(b)
	in := &dryRunInput{}
	text := `{"document":{"countries":{"deny":["` + geo.All()[0].String() + `"]}}}`
	if err := json.Unmarshal([]byte(text), &in.Body); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		out, err := a.dryRun(context.Background(), in)
		if err != nil || out.Body.WouldDrop != maxSources {
			b.Fatalf("%+v %v", out, err)
		}
	}
}

func BenchmarkStats(b *testing.B) {
	a := full(b)
	for b.Loop() {
		if s := a.stats(statsSources); len(s.Sources) != statsSources {
			b.Fatal("sources are missing")
		}
	}
}

// BenchmarkSawInAFlood is a report of 1000 sources that were never seen before.
func BenchmarkSawInAFlood(b *testing.B) {
	a := full(b)
	seen := make([]protocol.Seen, 1000)
	n := 0
	for b.Loop() {
		for i := range seen {
			n++
			seen[i] = protocol.Seen{Address: netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), Country: "ZZ",
				Class: "unknown", Service: "sip", Verdict: "strangers", Packets: 64}
		}
		a.sources.saw(seen, time.Now())
	}
}
