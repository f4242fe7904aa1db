package geo_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lindero/lindero/geo"
)

func TestWatchFollowsTheFile(t *testing.T) {
	spain := mmdb(t, options(), map[string]record{"192.0.2.0/24": code("ES")})
	france := mmdb(t, options(), map[string]record{"192.0.2.0/24": code("FR")}) // of the same size
	path := filepath.Join(t.TempDir(), "countries.mmdb")
	replace := func(file []byte) {
		if err := os.WriteFile(path+".new", file, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var events []string
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			geo.Watch(ctx, path, time.Second, func(table *geo.Table) {
				events = append(events, table.Country(addr("192.0.2.1")).String())
			}, func(error) { events = append(events, "failed") })
		}()
		step := func(why string, want ...string) {
			t.Helper()
			<-time.After(2500 * time.Millisecond) // of the bubble's clock
			synctest.Wait()
			if len(events) != len(want) {
				t.Fatalf("%s: %v, want %v", why, events, want)
			}
			for i := range want {
				if events[i] != want[i] {
					t.Fatalf("%s: %v, want %v", why, events, want)
				}
			}
			events = nil
		}
		step("no file yet")
		replace(spain)
		step("the first file", "ES")
		step("nothing happened")
		replace(france)
		step("another of the same size", "FR")
		replace(spain[:100])
		step("a bad one is told once", "failed")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		step("it is gone; the table before stays")
		replace(spain)
		step("it is back", "ES")
		cancel()
		<-ended
	})
}
