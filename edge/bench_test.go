package edge_test

import (
	"bytes"
	"fmt"
	"net"
	"testing"

	"github.com/lindero/lindero/edge"
	"github.com/lindero/lindero/wire/sip"
)

// BenchmarkRegister measures a REGISTER and its 200 through the edge, over UDP
// outside and TCP inside; the phones and the core of the test are in the figure.
func BenchmarkRegister(b *testing.B) {
	l := setup(b, func(_ *lab, c *edge.Config) { c.MaxTransactions = 1 << 22 })
	quick(b, l)
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(l.addr.UDP))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	me := conn.LocalAddr().String()
	text := func(i int) []byte {
		return fmt.Appendf(nil, "REGISTER sip:demo.lindero.test SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKb%d;rport\r\nMax-Forwards: 70\r\n"+
			"From: <sip:101@demo.lindero.test>;tag=%d\r\nTo: <sip:101@demo.lindero.test>\r\nCall-ID: bench%d\r\nCSeq: 1 REGISTER\r\n"+
			"Contact: <sip:101@%s>\r\nExpires: 300\r\nUser-Agent: bench\r\nContent-Length: 0\r\n\r\n", me, i, i, i, me)
	}
	window := make(chan struct{}, 64)
	go func() {
		buf := make([]byte, 64<<10)
		for {
			if _, err := conn.Read(buf); err != nil {
				return
			}
			<-window
		}
	}()
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		window <- struct{}{}
		if _, err := conn.Write(text(i)); err != nil {
			b.Fatal(err)
		}
	}
	for range cap(window) {
		window <- struct{}{}
	}
}

// quick makes a second core's place answer every request with 200 as fast as it
// can, in place of the scripted one.
func quick(b *testing.B, l *lab) {
	at := net.TCPAddrFromAddrPort(l.core.addr)
	l.core.stop()
	ln, err := net.ListenTCP("tcp4", at)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go answerAll(conn)
		}
	}()
	l.eventually("the quick core is reached", func() bool { return l.edge.Ready() == nil })
}

func answerAll(conn net.Conn) {
	defer conn.Close()
	buf, out := make([]byte, 0, 1<<20), make([]byte, 0, 1<<20)
	for {
		n, err := conn.Read(buf[len(buf):cap(buf)])
		if err != nil {
			return
		}
		buf = buf[:len(buf)+n]
		rest := buf
		out = out[:0]
		for {
			end, err := sip.Frame(rest)
			if err != nil {
				break
			}
			out = append(out, "SIP/2.0 200 OK\r\n"...)
			for line := range bytes.SplitAfterSeq(rest[:end], []byte("\r\n")) {
				switch {
				case bytes.HasPrefix(line, []byte("Via:")), bytes.HasPrefix(line, []byte("From:")), bytes.HasPrefix(line, []byte("To:")),
					bytes.HasPrefix(line, []byte("Call-ID:")), bytes.HasPrefix(line, []byte("CSeq:")), bytes.HasPrefix(line, []byte("Contact:")):
					out = append(out, line...)
				}
			}
			out = append(out, "Content-Length: 0\r\n\r\n"...)
			rest = rest[end:]
		}
		buf = buf[:copy(buf, rest)]
		if _, err := conn.Write(out); err != nil {
			return
		}
	}
}
