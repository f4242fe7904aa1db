package edge_test

import (
	"strings"
	"testing"

	"github.com/lindero/lindero/edge"
	"github.com/lindero/lindero/wire/sip"
)

// twoCores gives a lab a second core.
func twoCores(second **fakeCore) func(*lab, *edge.Config) {
	return func(l *lab, c *edge.Config) {
		*second = newCore(l, "127.0.0.6")
		c.Core = append(c.Core, (*second).addr)
	}
}

// New requests go to the next core when the first is gone, and back when it is;
// a request that was on its way when the connection broke goes there too.
func TestNextCore(t *testing.T) {
	t.Parallel()
	var second *fakeCore
	l := setup(t, twoCores(&second))
	a := l.udp("phone A", "127.0.0.1")
	l.eventually("cores are reached", func() bool { return l.edge.Ready() == nil })
	a.send(l.request("MESSAGE", "sip:102@demo.lindero.test"))
	l.core.expect("MESSAGE")
	l.core.stop() // before it has answered
	m := second.expect("MESSAGE")
	m.conn.answer(m, 200, "second", "")
	a.expect("200")
	a.send(l.request("INVITE", "sip:102@demo.lindero.test"))
	a.expect("100")
	inv := second.expect("INVITE")
	second.respond(inv, 200)
	d := dialogOf(a, a.expect("200"))
	l.core.listen(l.core.addr)
	l.eventually("the first core is used again", func() bool {
		a.send(l.request("MESSAGE", "sip:102@demo.lindero.test"))
		select {
		case m := <-l.core.in:
			m.conn.answer(m, 200, "first", "")
			return true
		case m := <-second.in:
			m.conn.answer(m, 200, "second", "")
			return false
		}
	})
	for len(a.in) > 0 {
		a.expect("200")
	}
	a.send(d.request(l, "BYE", "")) // the call stays where it is
	second.expect("BYE")
}

// Without any core: 503 at once, no word of the inside, and service again as
// soon as a core is back.
func TestNoCore(t *testing.T) {
	t.Parallel()
	l := setup(t, nil)
	a := l.udp("phone A", "127.0.0.1")
	a.send(l.request("INVITE", "sip:102@demo.lindero.test"))
	a.expect("100")
	inv := l.core.expect("INVITE")
	a.send(l.request("MESSAGE", "sip:102@demo.lindero.test"))
	l.core.expect("MESSAGE")
	l.core.respond(inv, 180) // heard, so it cannot go to another core
	a.expect("180")
	l.core.stop()
	a.expect("503").wants(l, "SIP/2.0 503 Service Unavailable\r\n", "Retry-After: ", "!"+l.core.addr.Addr().String())
	a.expect("503")
	l.eventually("the edge is not ready", func() bool { return l.edge.Ready() != nil })
	a.send(l.request("MESSAGE", "sip:102@demo.lindero.test"))
	a.expect("503")
	l.core.listen(l.core.addr)
	l.eventually("the edge is ready again", func() bool { return l.edge.Ready() == nil })
	a.send(l.request("MESSAGE", "sip:102@demo.lindero.test"))
	l.core.expect("MESSAGE")
}

// A core that has lost the connection its request went by gets the response
// where its Via says it listens.
func TestResponseAfterReconnect(t *testing.T) {
	l := setup(t, nil)
	b := l.udp("phone B", "127.0.0.1")
	l.core.send(l.request("INVITE", "sip:102@"+b.me.String(), l.path(b)))
	l.core.expect("100")
	inv := b.expect("INVITE")
	l.core.hangUp()
	l.eventually("the connection is gone", func() bool { return l.metric("lindero_edge_live", "inside_connections") <= 1 })
	b.accept(inv, 200)
	if got := l.core.expect("200"); !strings.Contains(got.get(sip.Via), l.core.addr.String()) {
		t.Errorf("core got\n%s", got.Raw)
	}
}
