package forward_test

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lindero/lindero/relay/forward"
)

// BenchmarkCall is what a call costs the table: four sockets opened, four legs put,
// deleted, and the sockets closed.
func BenchmarkCall(b *testing.B) {
	u := start(b, nil)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		locals := four(n % 1000)
		n++
		for _, l := range locals {
			if err := u.Open(l); err != nil {
				b.Fatal(err)
			}
		}
		for i, l := range locals {
			if err := u.Put(forward.Leg{Local: l, From: far, Via: locals[i^1], To: far}); err != nil {
				b.Fatal(err)
			}
		}
		for _, l := range locals {
			if _, err := u.Delete(l); err != nil {
				b.Fatal(err)
			}
		}
		for _, l := range locals {
			if err := u.Close(l); err != nil {
				b.Fatal(err)
			}
		}
	}
}

var far = netip.MustParseAddrPort("127.0.0.1:9")

// four are the local addresses of the call of a number.
func four(n int) (l [4]netip.AddrPort) {
	for i := range l {
		l[i] = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 7, byte(2 + i/2)}), uint16(20000+2*n+i%2))
	}
	return l
}

// BenchmarkMany holds as many calls as this process may have open files for, and
// reports what one of their sockets takes of this process's memory, what looking
// after all of them takes (Counts and Arrived, as sweeps do), and closing one.
func BenchmarkMany(b *testing.B) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		b.Fatal(err)
	}
	calls := min(int(limit.Cur)-100, 40_000) / 4
	for b.Loop() {
		u := startOf(b, 4*calls, nil)
		before := heap()
		for n := range calls {
			locals := four(n)
			for _, l := range locals {
				if err := u.Open(l); err != nil {
					b.Fatal(err)
				}
			}
			for i, l := range locals {
				if err := u.Put(forward.Leg{Local: l, From: far, Via: locals[i^1], To: far}); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(heap()-before)/float64(4*calls), "B/socket")
		b.ReportMetric(float64(4*calls), "sockets")
		b.ReportMetric(float64(each(calls, func(l netip.AddrPort) {
			if _, err := u.Counts(l); err != nil || !u.Arrived(l).IsZero() {
				b.Fatal(err)
			}
		}).Microseconds()), "us/sweep")
		b.ReportMetric(float64(each(calls, func(l netip.AddrPort) {
			if err := u.Close(l); err != nil {
				b.Fatal(err)
			}
		}).Microseconds())/float64(4*calls), "us/close")
	}
}

// each does something with all sockets of so many calls and returns how long it took.
func each(calls int, f func(netip.AddrPort)) time.Duration {
	begun := time.Now()
	for n := range calls {
		for _, l := range four(n) {
			f(l)
		}
	}
	return time.Since(begun)
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
