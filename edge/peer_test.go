package edge_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lindero/lindero/wire/sip"
)

// A msg is a message that a peer received.
type msg struct {
	sip.Message
	conn *wire     // it came by
	at   time.Time // it came at
}

func (m *msg) get(id sip.HeaderID) string { return string(m.Get(id)) }

// all lists the values of all lines with id.
func (m *msg) all(id sip.HeaderID) []string {
	var list []string
	for i := m.Index(id); i >= 0; i = m.Next(i) {
		for v, rest := sip.NextValue(m.Value(i)); v != nil; v, rest = sip.NextValue(rest) {
			list = append(list, string(v))
		}
	}
	return list
}

// uri is the URI of the first value with id.
func (m *msg) uri(id sip.HeaderID) string {
	n, err := sip.ParseNameAddr(m.Topmost(id))
	if err != nil {
		return ""
	}
	return string(n.URI)
}

// kind is what expect compares: the method, or the code.
func (m *msg) kind() string {
	if m.IsRequest() {
		return string(m.Method)
	}
	return fmt.Sprint(m.Code)
}

// A wire is one socket of a peer.
type wire struct {
	l     *lab
	name  string
	proto string
	me    netip.AddrPort
	write func([]byte)
	close func()
	in    chan *msg

	lenient atomic.Bool // what it sends is broken, and so is what is said to that
}

// deliver keeps one received message.
func (c *wire) deliver(raw []byte, to chan *msg, outside bool) {
	m := &msg{conn: c, at: time.Now()}
	if outside {
		c.l.mu.Lock()
		c.l.outside.Write(raw)
		c.l.mu.Unlock()
	}
	if err := m.Scan(bytes.Clone(raw)); err != nil && !c.lenient.Load() {
		c.l.Errorf("%s received what it cannot read: %v\n%s", c.name, err, raw)
		return
	}
	to <- m
}

// stream reads messages off a connection until it ends.
func (c *wire) stream(conn net.Conn, to chan *msg, outside bool) {
	var buf []byte
	chunk := make([]byte, 64<<10)
	for {
		n, err := conn.Read(chunk)
		if err != nil {
			return
		}
		buf = append(buf, chunk[:n]...)
		for {
			for bytes.HasPrefix(buf, []byte("\r\n\r\n")) { // a ping
				if outside {
					c.l.mu.Lock()
					c.l.outside.WriteString("\r\n\r\n")
					c.l.mu.Unlock()
				}
				buf = buf[4:]
				_, _ = conn.Write([]byte("\r\n"))
			}
			buf = bytes.TrimPrefix(buf, []byte("\r\n"))
			end, err := sip.Frame(buf)
			if err != nil {
				break
			}
			c.deliver(buf[:end], to, outside)
			buf = buf[end:]
		}
	}
}

// send sends text after lining it up: LF becomes CRLF, $me our address, and a
// Content-Length is put in.
func (c *wire) send(text string) { c.write(c.lined(text)) }

func (c *wire) lined(text string) []byte {
	text = strings.ReplaceAll(text, "$me", c.me.String())
	text = strings.ReplaceAll(text, "$via", "SIP/2.0/"+strings.ToUpper(c.proto)+" "+c.me.String())
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\r\n")
	head, body, ok := strings.Cut(text, "\r\n\r\n")
	if !ok {
		head, body = strings.TrimRight(text, "\r\n"), ""
	}
	return []byte(fmt.Sprintf("%s\r\nContent-Length: %d\r\n\r\n%s", head, len(body), body))
}

// answer responds to m with code; headers are whole lines.
func (c *wire) answer(m *msg, code int, tag string, headers string, body ...string) *msg {
	r := sip.Response{Code: code, ToTag: tag, Headers: []byte(strings.ReplaceAll(headers, "\n", "\r\n"))}
	if len(body) > 0 {
		r.Type, r.Body = "application/sdp", []byte(strings.ReplaceAll(body[0], "\n", "\r\n"))
	}
	c.write(sip.Respond(nil, &m.Message, netip.AddrPort{}, r))
	return m
}

// expect waits for the next message, which must be of that kind.
func (c *wire) expect(kind string) *msg {
	c.l.Helper()
	return c.l.expect(c.name, c.in, kind)
}

func (l *lab) expect(name string, in chan *msg, kind string) *msg {
	l.Helper()
	select {
	case m := <-in:
		if m.kind() != kind {
			l.Fatalf("%s got, instead of %s:\n%s", name, kind, m.Raw)
		}
		return m
	case <-time.After(patience):
		l.Fatalf("%s waited in vain for %s", name, kind)
	}
	return nil
}

// silent fails if anything comes for a while.
func (l *lab) silent(name string, in chan *msg) {
	l.Helper()
	select {
	case m := <-in:
		l.Errorf("%s got what it should not:\n%s", name, m.Raw)
	case <-time.After(quiet):
	}
}

// udp makes a phone over UDP.
func (l *lab) udp(name, host string) *wire {
	l.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(host+":0")))
	if err != nil {
		l.Fatal(err)
	}
	to := net.UDPAddrFromAddrPort(l.addr.UDP)
	c := &wire{l: l, name: name, proto: "udp", me: conn.LocalAddr().(*net.UDPAddr).AddrPort(), in: make(chan *msg, 1000)}
	c.write = func(b []byte) { _, _ = conn.WriteToUDP(b, to) }
	c.close = func() { conn.Close() }
	var reader sync.WaitGroup
	reader.Go(func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			c.deliver(buf[:n], c.in, true)
		}
	})
	l.Cleanup(func() { conn.Close(); reader.Wait() })
	return c
}

// tcp makes a phone over TCP, or over TLS when conf is set.
func (l *lab) tcp(name string, conf *tls.Config) *wire {
	l.Helper()
	var conn net.Conn
	var err error
	c := &wire{l: l, name: name, proto: "tcp", in: make(chan *msg, 1000)}
	if conf != nil {
		c.proto = "tls"
		conn, err = tls.Dial("tcp", l.addr.TLS.String(), conf)
	} else {
		conn, err = net.Dial("tcp", l.addr.TCP.String())
	}
	if err != nil {
		l.Fatal(err)
	}
	c.me = conn.LocalAddr().(*net.TCPAddr).AddrPort()
	c.write = func(b []byte) { _, _ = conn.Write(b) }
	c.close = func() { conn.Close() }
	var reader sync.WaitGroup
	reader.Go(func() { c.stream(conn, c.in, true) })
	l.Cleanup(func() { conn.Close(); reader.Wait() })
	return c
}
