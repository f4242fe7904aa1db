// Package forwardtest is the suite that every forward.Table must pass, with real
// packets between real sockets. It judges what a table does, never how.
package forwardtest

import (
	"net/netip"
	"testing"
	"time"

	"github.com/lindero/lindero/relay/forward"
)

// A Table is what the suite works on: the legs, and the local addresses they
// live at.
type Table interface {
	forward.Table
	Open(local netip.AddrPort) error
	Close(local netip.AddrPort) error
	Arrived(local netip.AddrPort) time.Time
}

// A Start returns a table that is running and ends with the test, and the network
// in which it may open addresses.
type Start func(t *testing.T, learner forward.Learner) (Table, Network)

// Run runs the suite.
func Run(t *testing.T, start Start) {
	for name, test := range map[string]func(*testing.T, *bench){
		"a leg forwards from its source out of Via":     forwards,
		"both ways at once count what they carried":     bothWays,
		"a stranger is counted and dropped":             wrongSource,
		"only RTP goes through an RTP leg":              notRTP,
		"only RTCP goes through an RTCP leg":            rtcpOnly,
		"a leg with Mux carries both":                   mux,
		"a leg with Any carries anything":               anything,
		"a leg without To holds packets back":           held,
		"Put again changes the way, the counts go on":   handover,
		"another SSRC is no loss":                       ssrcChange,
		"loss, reordering and duplicates are counted":   quality,
		"the learner is asked about candidates only":    learns,
		"a learner's no is a wrong source":              refuses,
		"a leg deleted forwards nothing and says so":    deleted,
		"a leg put anew counts from zero":               anew,
		"what is not open cannot be put":                notOpen,
		"an address closed can be opened again":         reopen,
		"packets leave in the order they came":          order,
		"a destination that refuses does not stop legs": unreachable,
		"IPv6 to IPv4 and back":                         families,
		"a packet too long is dropped":                  oversize,
		"hold and resume":                               hold,
		"only believed packets are seen":                lastSeen,
		"strangers neither get in nor hear":             injection,
		"legs that are each other's peers":              joined,
		"RTCP may go another way than RTP":              rtcpElsewhere,
		"a treatment changes and takes packets":         treated,
		"a stream may be followed to another port":      follows,
		"round trips are measured by RTCP":              roundTrips,
		"packets may be empty or long":                  empty,
	} {
		t.Run(name, func(t *testing.T) { test(t, newBench(t, start)) })
	}
}
