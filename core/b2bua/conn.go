package b2bua

import (
	"bytes"
	"net"
	"net/netip"
	"sync"

	"github.com/emiago/sipgo/sip"
)

// A conn is where the messages of one transaction go. To sipgo's state machines
// it is a sip.Connection, so that they run over our transport: none of sipgo's
// own sockets, pools, resolvers or goroutines per message is in the way, and a
// message can be of any size.
type conn struct {
	b        *B2BUA
	to       netip.AddrPort
	fallback netip.AddrPort // for responses: the Via's sent-by (RFC 3261 §18.2.2); may be invalid
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// WriteMsg prints m and hands it to Config.Send.
func (c *conn) WriteMsg(m sip.Message) error {
	buf := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(buf)
	buf.Reset()
	m.StringWrite(buf)
	err := c.b.cfg.Send(c.to, buf.Bytes())
	if err != nil && c.fallback.IsValid() && c.fallback != c.to {
		err = c.b.cfg.Send(c.fallback, buf.Bytes())
	}
	if err != nil {
		c.b.metrics.dropped.WithLabelValues("send").Inc()
	}
	return err
}

// LocalAddr is our SIP address.
func (c *conn) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(c.b.cfg.Local) }

// Ref, TryClose and Close do nothing: a conn holds nothing open.
func (c *conn) Ref(int) int            { return 1 }
func (c *conn) TryClose() (int, error) { return 1, nil }
func (c *conn) Close() error           { return nil }
