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

// BenchmarkForward sends packets of 172 bytes over loopback, in bursts, through
// so many legs, and reports the CPU time of the whole process per packet. That
// includes who sends and who receives: with no legs they do so directly, and the
// difference is the relay's part.
func BenchmarkForward(b *testing.B) {
	for _, legs := range []int{0, 1, 100} {
		b.Run(strconv.Itoa(legs), func(b *testing.B) { benchmarkForward(b, legs) })
	}
}

func benchmarkForward(b *testing.B, legs int) {
	sink, source := listen(b), listen(b)
	to := []netip.AddrPort{addr(sink)}
	if legs > 0 {
		u := start(b, nil)
		via := open(b, u)
		to = to[:0]
		for range legs {
			local := open(b, u)
			to = append(to, local)
			if err := u.Put(forward.Leg{Local: local, From: addr(source), Via: via, To: addr(sink)}); err != nil {
				b.Fatal(err)
			}
		}
	}
	packet := append(rtp.Header{}.Append(nil), make([]byte, 160)...)
	in := make([]byte, 2048)
	if err := sink.SetReadDeadline(time.Now().Add(time.Minute)); err != nil { // a lost packet must not hang
		b.Fatal(err)
	}
	before, sent := cpu(b), 0
	for b.Loop() {
		if _, err := source.WriteToUDPAddrPort(packet, to[sent%len(to)]); err != nil {
			b.Fatal(err)
		}
		if sent++; sent%burst == 0 {
			for range burst {
				if _, _, err := sink.ReadFromUDPAddrPort(in); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.ReportMetric(float64(cpu(b)-before)/float64(sent), "cpu-ns/packet")
}

// burst is as many packets as surely fit the buffer of one socket.
const burst = 64

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

func addr(c *net.UDPConn) netip.AddrPort {
	a := c.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
