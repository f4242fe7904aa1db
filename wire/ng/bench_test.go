//go:build unix

package ng

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const benchSDP = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8 101\r\n" +
	"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n"

// benchOffer is an offer as Kamailio sends it, for one of some calls.
func benchOffer(i int) string {
	id := fmt.Sprintf("%08d@192.0.2.1", i%4096)
	return fmt.Sprintf("%d_%d ", i, i) + strings.Replace(strings.Replace(kamailioOffer,
		"3:sdp5:v=0\r\n", fmt.Sprintf("3:sdp%d:%s", len(benchSDP), benchSDP), 1),
		"7:call-id9:1-2@x.org", fmt.Sprintf("7:call-id%d:%s", len(id), id), 1)
}

func BenchmarkParseCommand(b *testing.B) {
	_, dict, err := SplitCookie([]byte(benchOffer(1)))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(dict)))
	for b.Loop() {
		if _, err := ParseCommand(dict); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCallID is what the goroutine that reads the socket does with a command.
func BenchmarkCallID(b *testing.B) {
	_, dict, _ := SplitCookie([]byte(benchOffer(1)))
	b.ReportAllocs()
	for b.Loop() {
		if callID(dict) == nil {
			b.Fatal("none")
		}
	}
}

// BenchmarkOffers sends offers from many sockets, each with some unanswered, and
// reports how many are answered in a second. The handler spends work on each, as
// lending ports and rewriting SDP does: 0 shows the protocol alone.
func BenchmarkOffers(b *testing.B) {
	for _, network := range []string{"udp", "tcp"} {
		for _, workers := range []int{1, 2, 4} {
			for _, work := range []time.Duration{0, 40 * time.Microsecond} {
				b.Run(fmt.Sprintf("%s/workers=%d/work=%v", network, workers, work), func(b *testing.B) {
					benchmarkOffers(b, network, workers, work)
				})
			}
		}
	}
}

func benchmarkOffers(b *testing.B, network string, workers int, work time.Duration) {
	s := newStation(b, ServerConfig{Workers: workers}, func(_ netip.AddrPort, c Command) Reply {
		for begun := time.Now(); time.Since(begun) < work; {
		}
		return Reply{Result: ResultOK, SDP: c.SDP}
	})
	addr := s.udp
	if network == "tcp" {
		addr = s.tcp
	}
	const sockets, window = 4, 16
	var all sync.WaitGroup
	begun, used := time.Now(), processor(b)
	b.ResetTimer()
	for k := range sockets {
		all.Go(func() { exchange(b, dialConn(b, network, addr), k, b.N/sockets+1, window) })
	}
	all.Wait()
	n := float64(sockets * (b.N/sockets + 1))
	b.ReportMetric(n/time.Since(begun).Seconds(), "offers/s")
	b.ReportMetric((processor(b)-used)/n*1e6, "cpu-us/offer") // of server and clients
	if n := s.Stats(); n.Dropped > 0 {
		b.Errorf("%+v", n)
	}
}

// processor is the time of processors that this process has had, in seconds.
func processor(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// exchange sends n offers by c, at most window of them unanswered.
func exchange(b *testing.B, c net.Conn, k, n, window int) {
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		b.Error(err)
		return
	}
	slots := make(chan struct{}, window)
	done := make(chan error, 1)
	go func() {
		in, f := make([]byte, MaxDatagram), &framer{max: maxReply}
		for got := 0; got < n; {
			size, err := c.Read(in)
			if err != nil {
				done <- err
				return
			}
			f.push(in[:size])
			for m, err := f.next(); m != nil || err != nil; m, err = f.next() {
				if err != nil {
					done <- err
					return
				}
				got++
				<-slots
			}
		}
		done <- nil
	}()
	for i := range n {
		slots <- struct{}{}
		if _, err := c.Write([]byte(benchOffer(k*1_000_000_000 + i))); err != nil {
			b.Error(err)
			return
		}
	}
	if err := <-done; err != nil {
		b.Error(err)
	}
}
