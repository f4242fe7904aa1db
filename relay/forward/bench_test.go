package forward_test

import (
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lindero/lindero/relay/forward"
	"github.com/lindero/lindero/wire/rtp"
)

// BenchmarkForward sends packets of 172 bytes over loopback through so many legs
// and reports the CPU time of the whole process per packet, sender and receiving
// socket included, since all share these cores.
func BenchmarkForward(b *testing.B) {
	for _, legs := range []int{1, 100} {
		b.Run(strconv.Itoa(legs), func(b *testing.B) { benchmarkForward(b, legs) })
	}
}

func benchmarkForward(b *testing.B, legs int) {
	u := start(b, nil)
	sink, source := listen(b), listen(b)
	var locals []netip.AddrPort
	via := open(b, u)
	for range legs {
		local := open(b, u)
		locals = append(locals, local)
		if err := u.Put(forward.Leg{Local: local, From: addr(source), Via: via, To: addr(sink)}); err != nil {
			b.Fatal(err)
		}
	}
	packet := append(rtp.Header{}.Append(nil), make([]byte, 160)...)
	before := cpu(b)
	sent := uint64(0)
	for b.Loop() {
		if _, err := source.WriteToUDPAddrPort(packet, locals[sent%uint64(legs)]); err != nil {
			b.Fatal(err)
		}
		if sent++; sent%64 == 0 { // no more than the socket buffers hold
			settled(b, u, sent)
		}
	}
	settled(b, u, sent)
	b.ReportMetric(float64(cpu(b)-before)/float64(sent), "cpu-ns/packet")
}

func settled(b *testing.B, u *forward.Userspace, sent uint64) {
	for begun := time.Now(); ; {
		sums := u.Packets()
		if sums[forward.Forwarded]+sums[forward.Failed] >= sent {
			return
		}
		if time.Since(begun) > 5*time.Second {
			b.Fatalf("%d sent, %v", sent, sums)
		}
	}
}

func listen(b *testing.B) *net.UDPConn {
	b.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	return conn
}

func open(b *testing.B, u *forward.Userspace) netip.AddrPort {
	b.Helper()
	conn := listen(b)
	local := addr(conn)
	conn.Close()
	if err := u.Open(local); err != nil {
		b.Fatal(err)
	}
	return local
}

func addr(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
