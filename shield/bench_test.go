package shield

import (
	"net/netip"
	"testing"

	"github.com/lindero/lindero/shield/policy"
)

// BenchmarkAdmit is what user space pays for a datagram.
func BenchmarkAdmit(b *testing.B) {
	g, err := New(DefaultConfig(), "edge-1", "edge", quiet(), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer g.Close()
	for name, sources := range map[string]int{"one source": 1, "spoofed sources": 1 << 24} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				n := uint32(i%sources) * 2654435761
				g.Admit(netip.AddrFrom4([4]byte{byte(n>>24)%223 + 1, byte(n >> 16), byte(n >> 8), byte(n)}), policy.SIP, false)
			}
		})
	}
}
