package e2e

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/lindero/lindero/wire/rtp"
)

// A lossyLine is between a phone and everything else: it repeats SIP, and audio by a
// tap that loses some of what the phone sends, and counts.
type lossyLine struct {
	t     *testing.T
	front *net.UDPConn // where the phone finds its server
	every int          // so many of the phone's packets and one is lost
	began time.Time
	group sync.WaitGroup

	mu     sync.Mutex // guards the fields below
	passed uint64     // RTP of the phone
	lost   uint64
	after  rtp.Receiver // of what went on
	open   []*net.UDPConn
}

func newLossyLine(t *testing.T, edge netip.AddrPort, every int) *lossyLine {
	t.Helper()
	l := &lossyLine{t: t, every: every, began: time.Now()}
	l.front = l.listen()
	back, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(edge))
	if err != nil {
		t.Fatal(err)
	}
	var phone netip.AddrPort // of the last message
	var mu sync.Mutex
	l.group.Go(func() {
		l.repeat(l.front, func(b []byte, from netip.AddrPort) {
			mu.Lock()
			phone = from
			mu.Unlock()
			_, _ = back.Write(b) // a lost datagram is UDP's right
		})
	})
	l.group.Go(func() {
		l.repeat(back, func(b []byte, _ netip.AddrPort) {
			mu.Lock()
			to := phone
			mu.Unlock()
			_, _ = l.front.WriteToUDPAddrPort(l.tapped(b), to)
		})
	})
	t.Cleanup(func() {
		l.front.Close()
		back.Close()
		l.mu.Lock()
		for _, c := range l.open {
			c.Close()
		}
		l.mu.Unlock()
		l.group.Wait()
	})
	return l
}

func (l *lossyLine) address() netip.AddrPort {
	return l.front.LocalAddr().(*net.UDPAddr).AddrPort()
}

func (l *lossyLine) listen() *net.UDPConn {
	l.t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		l.t.Fatal(err)
	}
	return c
}

func (l *lossyLine) repeat(c *net.UDPConn, each func(b []byte, from netip.AddrPort)) {
	buffer := make([]byte, 65536)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return
		}
		each(buffer[:n], from)
	}
}

// tapped makes a description to the phone name a tap instead of the relay.
func (l *lossyLine) tapped(msg []byte) []byte {
	at := bytes.Index(msg, []byte("m=audio "))
	if at < 0 {
		return msg
	}
	var port uint16
	if _, err := fmt.Sscanf(string(msg[at:]), "m=audio %d", &port); err != nil || port == 0 {
		return msg
	}
	relay := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
	tap := l.listen()
	l.mu.Lock()
	l.open = append(l.open, tap)
	l.mu.Unlock()
	var phone netip.AddrPort
	l.group.Go(func() {
		l.repeat(tap, func(b []byte, from netip.AddrPort) {
			to := relay
			if from == relay {
				to = phone
			} else if phone = from; !l.passes(b) {
				return
			}
			_, _ = tap.WriteToUDPAddrPort(b, to)
		})
	})
	was, is := fmt.Appendf(nil, "m=audio %d ", port), fmt.Appendf(nil, "m=audio %d ", tap.LocalAddr().(*net.UDPAddr).Port)
	if len(was) != len(is) {
		l.t.Errorf("port %s became %s: another length", was, is)
	}
	return bytes.Replace(msg, was, is, 1)
}

// passes counts a packet of the phone, and loses some.
func (l *lossyLine) passes(b []byte) bool {
	header, _, err := rtp.Parse(b)
	if err != nil || rtp.KindOf(b) != rtp.RTP {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.every > 0 && (l.passed+l.lost)%uint64(l.every) == uint64(l.every)-1 {
		l.lost++
		return false
	}
	l.passed++
	l.after.Add(header, uint64(time.Since(l.began).Nanoseconds()), rtp.Scale(8000))
	return true
}

// counts is what the tap saw of the phone's packets: those that went on, those that
// it lost, and the jitter in milliseconds.
func (l *lossyLine) counts() (passed, lost uint64, jitter float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.passed, l.lost, float64(l.after.Stats().Jitter) / 8
}
