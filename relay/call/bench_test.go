package call_test

import (
	"strconv"
	"testing"

	"github.com/lindero/lindero/relay/call"
)

// BenchmarkCall is the life of a call that nobody answers, without packets, sockets
// and NG: offer and delete.
func BenchmarkCall(b *testing.B) {
	table := newTable()
	r, _ := newRegistry(b, table, func(c *call.Config) { c.MaxCalls = 1 << 20 })
	text := []byte("v=0\r\no=alice 2890844526 2890844526 IN IP4 203.0.113.9\r\ns=-\r\nc=IN IP4 203.0.113.9\r\nt=0 0\r\n" +
		"m=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n")
	first := offer(natted, natted)
	first.SDP = text
	first.Replace.Origin = true
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		id := strconv.Itoa(n)
		first.CallID = id
		if _, err := r.Offer(first); err != nil {
			b.Fatal(err)
		}
		if _, _, err := r.Delete(call.Deletion{CallID: id}); err != nil {
			b.Fatal(err)
		}
	}
}
