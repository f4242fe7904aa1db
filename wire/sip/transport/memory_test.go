package transport_test

import (
	"crypto/tls"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/lindero/lindero/wire/sip/transport"
)

// footprint is what this process holds for Go: heap, stacks and the runtime's own.
func footprint() uint64 {
	runtime.GC()
	runtime.GC() // the second frees what pools kept, and shrinks stacks once more
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse + m.MSpanInuse + m.OtherSys
}

// An idle phone on TCP must be cheap: a hundred thousand of them are a gigabyte.
func TestMemoryOfAnIdleConnection(t *testing.T) {
	const n, most = 500, 12 << 10
	s, in, addr := server(t, transport.TCP, transport.Config{MaxPerSource: n})
	peers := make([]int, 0, n)
	defer func() {
		for _, fd := range peers {
			syscall.Close(fd)
		}
	}()
	before := footprint()
	for range n {
		peers = append(peers, bare(t, addr))
		if _, err := syscall.Write(peers[len(peers)-1], []byte(large(3000))); err != nil {
			t.Fatal(err)
		}
		in.message(t)
	}
	each := (footprint() - before) / n
	t.Logf("an idle TCP connection holds %d bytes", each)
	if each > most {
		t.Errorf("an idle TCP connection holds %d bytes, want at most %d", each, most)
	}
	if open := s.Stats().Conns; open != n {
		t.Errorf("%d connections are open, want %d", open, n)
	}
}

// bare connects without any of Go's own cost.
func bare(t *testing.T, addr netip.AddrPort) int {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Addr: addr.Addr().As4(), Port: int(addr.Port())}); err != nil {
		t.Fatal(err)
	}
	return fd
}

// What TLS costs is mostly crypto/tls's; it is printed for whoever plans.
func TestMemoryOfAnIdleTLSConnection(t *testing.T) {
	const n, most = 200, 40 << 10
	cert, key, trust := selfSigned(t)
	_, in, addr := secureServer(t, transport.Config{MaxPerSource: n}, serverTLS(t, cert, key))
	conf := &tls.Config{RootCAs: trust, ServerName: "127.0.0.1"}
	before := footprint()
	for range n {
		c := tls.Client(dial(t, addr), conf)
		write(t, c, options(1, ""))
		in.message(t)
	}
	each := (footprint() - before) / n
	t.Logf("an idle TLS connection holds %d bytes, with its client in Go", each)
	if each > most {
		t.Errorf("an idle TLS connection holds %d bytes, want at most %d", each, most)
	}
}

func BenchmarkTCP(b *testing.B) {
	echo := &echoer{}
	s := transport.New(transport.Config{}, echo)
	echo.stack = s
	addr := listen(b, s, transport.TCP)
	run(b, s)
	fd := dial(b, addr)
	fd.SetDeadline(time.Now().Add(time.Minute))
	m := []byte(large(800))
	buf := make([]byte, len(m))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := fd.Write(m); err != nil {
			b.Fatal(err)
		}
		for n := 0; n < len(buf); {
			k, err := fd.Read(buf[n:])
			if err != nil {
				b.Fatal(err)
			}
			n += k
		}
	}
}
