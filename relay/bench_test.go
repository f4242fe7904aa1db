package relay_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lindero/lindero/relay"
	"github.com/lindero/lindero/wire/ng"
)

// BenchmarkCalls sets calls up one after the other, offer and answer over UDP,
// and reports what they cost while all are held: time, and memory of the process.
func BenchmarkCalls(b *testing.B) {
	b.Run("forgotten", func(b *testing.B) { benchCalls(b, relay.StateOff) })
	b.Run("kept", func(b *testing.B) {
		dir := b.TempDir()
		defer os.Remove(relay.InMemory(dir))
		benchCalls(b, dir)
	})
}

func benchCalls(b *testing.B, state string) {
	const held = 1000 // four sockets each
	cfg := relay.DefaultConfig()
	cfg.NG = netip.MustParseAddrPort("127.0.0.1:0")
	cfg.External.Bind, cfg.Internal.Bind = netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")
	cfg.State = state
	r, err := relay.New(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		b.Fatal(err)
	}
	client, err := ng.NewClient(r.Addresses().NG, ng.ClientConfig{})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- r.Run(ctx) }()
	go func() { ended <- client.Run(ctx) }()
	do := func(c ng.Command) {
		done := make(chan error, 1)
		client.Do(c, func(r ng.Reply, err error) {
			if err == nil {
				err = r.Err()
			}
			done <- err
		})
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	body := []byte("v=0\r\no=- 1 1 IN IP4 127.0.1.1\r\ns=-\r\nc=IN IP4 127.0.1.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n")
	before := memory()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		id := fmt.Sprint(n % held)
		if n >= held { // one goes for one that comes
			do(ng.Command{Name: ng.Delete, CallID: id})
		}
		do(ng.Command{Name: ng.Offer, CallID: id, FromTag: "a", SDP: body, Direction: [2]string{"external", "internal"}})
		do(ng.Command{Name: ng.Answer, CallID: id, FromTag: "a", ToTag: "b", SDP: body, Direction: [2]string{"internal", "external"}})
		n++
	}
	b.ReportMetric(float64(memory()-before)/float64(min(n, held)), "heap-B/call")
	stop()
	for range 2 {
		if err := <-ended; err != nil {
			b.Error(err)
		}
	}
}

func memory() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
