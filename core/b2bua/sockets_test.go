package b2bua_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"

	"github.com/lindero/lindero/core/b2bua"
	"github.com/lindero/lindero/core/tenancy"
)

// socket is a UDP socket on the loopback.
func socket(t *testing.T) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func addrOf(conn *net.UDPConn) netip.AddrPort { return conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// overUDP gives the world's B2BUA a real socket, by which sipgo's user agents reach it.
func overUDP(t *testing.T) (*world, netip.AddrPort) {
	conn := socket(t)
	w := newWorld(t, func(c *b2bua.Config) {
		c.Local = addrOf(conn)
		c.Send = func(to netip.AddrPort, data []byte) error {
			_, err := conn.WriteToUDPAddrPort(data, to)
			return err
		}
	})
	var reader sync.WaitGroup
	reader.Go(func() {
		b := make([]byte, 65535)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			w.b.Deliver(from, b[:n])
		}
	})
	t.Cleanup(func() { w.stop(); conn.Close(); reader.Wait() })
	return w, addrOf(conn)
}

// agent is a user agent of sipgo's, with its own socket. handlers says what it
// does with requests, before it gets any.
func agent(t *testing.T, name string, handlers func(*sipgo.DialogUA, *sipgo.Server)) (*sipgo.DialogUA, netip.AddrPort) {
	t.Helper()
	conn := socket(t)
	addr := addrOf(conn)
	ua, err := sipgo.NewUA(sipgo.WithUserAgent(name))
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	server, err := sipgo.NewServer(ua, sipgo.WithServerLogger(quiet))
	if err != nil {
		t.Fatal(err)
	}
	client, err := sipgo.NewClient(ua, sipgo.WithClientAddr(addr.String()), sipgo.WithClientConnectionAddr(addr.String()))
	if err != nil {
		t.Fatal(err)
	}
	contact := sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: name, Host: "127.0.0.1", Port: int(addr.Port())}}
	dialogs := &sipgo.DialogUA{Client: client, ContactHDR: contact}
	handlers(dialogs, server)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.ServeUDP(conn) })
	t.Cleanup(func() { ua.Close(); conn.Close(); serving.Wait() })
	awake(t, addr)
	return dialogs, addr
}

// awake waits until an agent answers: sipgo does not say when it serves.
func awake(t *testing.T, addr netip.AddrPort) {
	t.Helper()
	probe := socket(t)
	text := "OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/UDP " + addrOf(probe).String() + ";branch=z9hG4bKprobe\r\nFrom: <sip:p@p>;tag=p\r\nTo: <sip:x@x>\r\n" +
		"Call-ID: p\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
	for range 50 {
		if _, err := probe.WriteToUDPAddrPort([]byte(text), addr); err != nil {
			t.Fatal(err)
		}
		_ = probe.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if _, _, err := probe.ReadFromUDPAddrPort(make([]byte, 2000)); err == nil {
			return
		}
	}
	t.Fatal("the agent does not answer")
}

// TestSockets has two user agents of sipgo call each other through the B2BUA,
// over real sockets: nothing here was written by who wrote the scripts.
func TestSockets(t *testing.T) {
	w, core := overUDP(t)
	offered, acked, hungUp := make(chan string, 1), make(chan struct{}, 1), make(chan struct{}, 1)
	_, bobAt := agent(t, "bob", func(bob *sipgo.DialogUA, from *sipgo.Server) {
		var dialog atomic.Pointer[sipgo.DialogServerSession]
		from.OnInvite(func(req *sip.Request, tx sip.ServerTransaction) {
			d, err := bob.ReadInvite(req, tx)
			if err != nil {
				t.Error(err)
				return
			}
			dialog.Store(d)
			offered <- string(req.Body())
			if err := d.Respond(180, "Ringing", nil); err != nil {
				t.Error(err)
			}
			if err := d.RespondSDP([]byte(describe("bob", 1, "sendrecv"))); err != nil {
				t.Error(err)
			}
		})
		from.OnAck(func(req *sip.Request, tx sip.ServerTransaction) {
			_ = dialog.Load().ReadAck(req, tx)
			acked <- struct{}{}
		})
		from.OnBye(func(req *sip.Request, tx sip.ServerTransaction) {
			_ = dialog.Load().ReadBye(req, tx)
			hungUp <- struct{}{}
		})
	})
	w.co.bind(tenancy.Binding{User: 2, Contact: "sip:bob@" + bobAt.String()})
	alice, _ := agent(t, "alice", func(_ *sipgo.DialogUA, from *sipgo.Server) {
		from.OnBye(func(*sip.Request, sip.ServerTransaction) { t.Error("the caller was hung up") })
	})

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	to := sip.Uri{Scheme: "sip", User: "102", Host: "127.0.0.1", Port: int(core.Port())}
	for range 3 {
		call, err := alice.Invite(ctx, to, []byte(describe("alice", 1, "sendrecv")),
			sip.NewHeader("Content-Type", "application/sdp"), sip.NewHeader("Lindero-Caller", "1;user=1;terminal=1"))
		if err != nil {
			t.Fatal(err)
		}
		if err := call.WaitAnswer(ctx, sipgo.AnswerOptions{}); err != nil {
			t.Fatal(err)
		}
		if got := string(call.InviteResponse.Body()); got != describe("bob", 1, "sendrecv") {
			t.Errorf("the answer is\n%s", got)
		}
		if got := <-offered; got != describe("alice", 1, "sendrecv") {
			t.Errorf("the offer is\n%s", got)
		}
		if err := call.Ack(ctx); err != nil {
			t.Fatal(err)
		}
		<-acked // sipgo does not keep the order of what arrives: a BYE may overtake the ACK
		if err := call.Bye(ctx); err != nil {
			t.Fatal(err)
		}
		<-hungUp
	}
	for _, cdr := range w.cdrs(3) {
		if cdr.Verdict != tenancy.OK || cdr.HungUpBy != "caller" {
			t.Errorf("CDR is %+v", cdr)
		}
	}
}

// TestSocketsCancel has one give up while the other rings.
func TestSocketsCancel(t *testing.T) {
	w, core := overUDP(t)
	cancelled := make(chan struct{})
	alice, _ := agent(t, "alice", func(*sipgo.DialogUA, *sipgo.Server) {})
	_, bobAt := agent(t, "bob", func(bob *sipgo.DialogUA, from *sipgo.Server) {
		from.OnInvite(func(req *sip.Request, tx sip.ServerTransaction) {
			d, err := bob.ReadInvite(req, tx)
			if err != nil {
				t.Error(err)
				return
			}
			_ = d.Respond(180, "Ringing", nil)
			<-d.Context().Done()
			close(cancelled)
		})
	})
	w.co.bind(tenancy.Binding{User: 2, Contact: "sip:bob@" + bobAt.String()})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	to := sip.Uri{Scheme: "sip", User: "102", Host: "127.0.0.1", Port: int(core.Port())}
	call, err := alice.Invite(ctx, to, nil, sip.NewHeader("Lindero-Caller", "1;user=1;terminal=1"))
	if err != nil {
		t.Fatal(err)
	}
	ringing, give := context.WithCancel(ctx)
	defer give()
	err = call.WaitAnswer(ringing, sipgo.AnswerOptions{OnResponse: func(res *sip.Response) error {
		if res.StatusCode == 180 {
			give()
		}
		return nil
	}})
	if err == nil {
		t.Error("a cancelled call was answered")
	}
	select {
	case <-cancelled:
	case <-ctx.Done():
		t.Error("the callee still rings")
	}
	w.cdr(tenancy.Caller, 487, "caller")
}
