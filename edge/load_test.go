package edge_test

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/lindero/lindero/edge"
)

// Twenty thousand requests that nobody answers cost bounded memory and no
// goroutine each, and are all forgotten in time.
func TestManyTransactions(t *testing.T) {
	const n = 20000
	l := setup(t, func(_ *lab, c *edge.Config) {
		c.Timing = short()
		c.Timing.T1 = 160 * time.Millisecond // 64 of them are 10 s, in which all must have come
	})
	at := l.core.addr
	l.core.stop()
	ln, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(io.Discard, conn) }()
		}
	}()
	l.eventually("core is reached", func() bool { return l.edge.Ready() == nil })

	conn, err := net.Dial("tcp", l.addr.TCP.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	before, goroutines := heap(), runtime.NumGoroutine()
	a := &wire{l: l, proto: "tcp", me: conn.LocalAddr().(*net.TCPAddr).AddrPort()}
	var b bytes.Buffer
	for range n / 100 {
		b.Reset()
		for range 100 {
			b.Write(a.lined(l.request("MESSAGE", "sip:102@demo.lindero.test")))
		}
		if _, err := conn.Write(b.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	live := func() float64 { return l.metric("lindero_edge_live", "transactions") }
	l.eventually("all of them wait", func() bool { return live() == n })
	if each := (heap() - before) / n; each > 6000 {
		t.Errorf("a transaction costs %d bytes", each)
	} else {
		t.Logf("a transaction costs %d bytes", each)
	}
	if more := runtime.NumGoroutine() - goroutines; more > 20 {
		t.Errorf("%d goroutines more", more)
	}
	deadline := time.After(30 * time.Second)
	for tick := time.NewTicker(50 * time.Millisecond); live() > 0; {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%v transactions never end", live())
		}
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
