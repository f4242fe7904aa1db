package b2bua_test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/wire/rtp"
	"github.com/lindero/lindero/wire/sdp"
)

// An ear is the media end of a phone: a real socket.
type ear struct {
	t    *testing.T
	conn *net.UDPConn
}

func newEar(t *testing.T) *ear {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &ear{t, conn}
}

func (e *ear) describe(lines string) string {
	return fmt.Sprintf("v=0\r\no=x 1 1 IN IP4 127.0.0.1\r\ns=ear\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio %d RTP/AVP 8 0\r\n%s",
		e.conn.LocalAddr().(*net.UDPAddr).Port, lines)
}

// listener is where a description says its writer listens.
func listener(t *testing.T, description string) netip.AddrPort {
	t.Helper()
	s, err := sdp.Parse([]byte(description))
	if err != nil {
		t.Fatalf("%v in\n%s", err, description)
	}
	return netip.AddrPortFrom(s.Media[0].Address().Addr, s.Media[0].Port)
}

// hears waits for a packet.
func (e *ear) hears(d time.Duration) (payload []byte, ok bool) {
	b := make([]byte, 2000)
	_ = e.conn.SetReadDeadline(time.Now().Add(d))
	n, _, err := e.conn.ReadFromUDPAddrPort(b)
	if err != nil {
		return nil, false
	}
	_, payload, err = rtp.Parse(b[:n])
	return payload, err == nil
}

// says sends a word and tells whether it came back.
func (e *ear) echoed(to netip.AddrPort, word string) bool {
	packet := append(rtp.Header{PayloadType: 8, SSRC: 1, Sequence: 1}.Append(nil), word...)
	if _, err := e.conn.WriteToUDPAddrPort(packet, to); err != nil {
		e.t.Fatal(err)
	}
	payload, ok := e.hears(300 * time.Millisecond)
	return ok && string(payload) == word
}

// TestEchoCall calls the echo, holds it, takes it back, and presses keys.
func TestEchoCall(t *testing.T) {
	w := newWorld(t, withVoice(t))
	a, e := w.phone("alice", 1), newEar(t)
	d := a.call("600", e.describe(""))
	at := listener(t, d.expect(200).body())
	d.ack("")
	if !e.echoed(at, "hello") {
		t.Error("no echo")
	}
	d.reinvite(e.describe("a=sendonly\r\n"))
	if got := d.expect(200).body(); !strings.Contains(got, "a=recvonly") || listener(t, got) != at {
		t.Errorf("hold was answered with\n%s", got)
	}
	d.ack("")
	if e.echoed(at, "held") {
		t.Error("an echo on hold")
	}
	d.request("UPDATE", "application/sdp", e.describe("a=sendrecv\r\n"))
	if got := a.expect("200 UPDATE").body(); !strings.Contains(got, "a=sendrecv") {
		t.Errorf("UPDATE was answered with\n%s", got)
	}
	if !e.echoed(at, "back") {
		t.Error("no echo after hold")
	}
	d.reinvite(strings.Replace(e.describe(""), "8 0", "9", 1)) // only G.722 from now on?
	d.expect(488)
	d.ackFailure()
	if !e.echoed(at, "still") {
		t.Error("a refused change ended the echo")
	}
	d.request("INFO", "application/dtmf-relay", "Signal=5\r\n")
	a.expect("200 INFO")
	d.request("INFO", "text/plain", "x")
	a.expect("415 INFO")
	d.request("BYE", "", "")
	a.expect("200 BYE")
	w.cdr(tenancy.OK, 200, "caller")
	w.ended()
}

// TestGreetingCall hears the greeting, which hangs up.
func TestGreetingCall(t *testing.T) {
	w := newWorld(t, withVoice(t))
	a, e := w.phone("alice", 1), newEar(t)
	d := a.call("601", "")
	at := listener(t, d.expect(200).body()) // its own offer
	if at.Addr().String() != "127.0.0.1" {
		t.Errorf("it offers %v", at)
	}
	if _, ok := e.hears(50 * time.Millisecond); ok {
		t.Error("it speaks before the ACK")
	}
	d.ack(e.describe(""))
	bytes := 0
	for {
		payload, ok := e.hears(400 * time.Millisecond)
		if !ok {
			break
		}
		bytes += len(payload)
	}
	if bytes < 3*8000 {
		t.Errorf("%d bytes were heard", bytes)
	}
	a.ok(a.expect("BYE"))
	w.cdr(tenancy.OK, 200, "core")
	w.ended()
}

// TestVoiceRefuses has offers that leave nothing in common.
func TestVoiceRefuses(t *testing.T) {
	w := newWorld(t, withVoice(t))
	a, e := w.phone("alice", 1), newEar(t)
	d := a.call("600", strings.Replace(e.describe(""), "8 0", "9 18", 1))
	d.expect(488)
	d.ackFailure()
	w.cdr(tenancy.Caller, 488, "core")
	d = a.call("600", "")
	d.expect(200)
	d.ack("") // no answer at all
	a.ok(a.expect("BYE"))
	w.cdrs(2)
	w.ended()
}

// TestTransferToVoice sends the caller on to the echo, and an echo on to a person.
func TestTransferToVoice(t *testing.T) {
	w := newWorld(t, withVoice(t))
	a, b, c, e := w.phone("alice", 1), w.phone("bob", 2), w.phone("carol", 3), newEar(t)
	da := a.call("102", e.describe(""))
	db := b.incoming()
	db.answer(db.in, 200, describe("bob", 1, "sendrecv"))
	b.expect("ACK")
	da.expect(200)
	da.ack("")
	db.refer("<sip:600@x>")
	m := a.expect("INVITE")
	da.answer(m, 200, e.describe(""))
	a.expect("ACK")
	b.notified("200", "terminated")
	b.ok(b.expect("BYE"))
	if !e.echoed(listener(t, m.body()), "hello") {
		t.Error("no echo")
	}
	da.refer("<sip:103@x>")
	dc := c.incoming()
	dc.answer(dc.in, 200, e.describe(""))
	c.expect("ACK")
	a.notified("200", "terminated")
	a.ok(a.expect("BYE"))
	if !e.echoed(listener(t, dc.in.body()), "hello again") {
		t.Error("no echo for carol")
	}
	dc.request("BYE", "", "")
	c.expect("200 BYE")
	w.cdr(tenancy.OK, 200, "caller")
	w.ended()
}

// TestAttendedTransferToVoice lends a voice to another call.
func TestAttendedTransferToVoice(t *testing.T) {
	w := newWorld(t, withVoice(t))
	a, b, e := w.phone("alice", 1), w.phone("bob", 2), newEar(t)
	da := a.call("102", e.describe(""))
	db := b.incoming()
	db.answer(db.in, 200, describe("bob", 1, "sendrecv"))
	b.expect("ACK")
	da.expect(200)
	da.ack("")
	db2 := b.call("600", describe("bob", 1, "sendrecv"))
	db2.expect(200)
	db2.ack("")
	db.refer(replaces(db2))
	m := a.expect("INVITE")
	da.answer(m, 200, e.describe(""))
	a.expect("ACK")
	b.notified("200", "terminated")
	b.ok(b.expect("BYE"))
	b.ok(b.expect("BYE"))
	if !e.echoed(listener(t, m.body()), "hello") {
		t.Error("no echo")
	}
	da.request("BYE", "", "")
	a.expect("200 BYE")
	w.cdrs(2)
	w.ended()
}
