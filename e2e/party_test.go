package e2e

import (
	endian "encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lindero/lindero/e2e/lab"
	"github.com/lindero/lindero/wire/ng"
	"github.com/lindero/lindero/wire/rtp"
	"github.com/lindero/lindero/wire/sdp"
)

// A party is one end of a call at a relay, with nothing but a socket for RTP. What it
// says is known, so whoever hears it can tell it from anything else.
type party struct {
	host  *lab.Host
	conn  *net.UDPConn
	at    netip.AddrPort
	claim netip.AddrPort // what its SDP says
	relay netip.AddrPort // where it sends
	ssrc  uint32

	sent atomic.Uint64
	stop chan struct{}
	all  sync.WaitGroup

	mu      sync.Mutex        // guards the fields below
	heard   map[uint32]uint64 // packets by who said them, by SSRC
	foreign uint64            // what none of ours has said
	reports uint64            // RTCP
}

// newParty opens a socket on a host.
func (l *attackLab) newParty(h *lab.Host) *party {
	l.t.Helper()
	l.parties++
	p := &party{host: h, ssrc: 0x1de90000 + uint32(l.parties), stop: make(chan struct{}), heard: map[uint32]uint64{}}
	err := h.In(func() (err error) {
		p.conn, err = net.ListenUDP("udp4", &net.UDPAddr{IP: h.Addr.AsSlice()})
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	_ = p.conn.SetReadBuffer(1 << 20) // a smaller one still works
	p.at = p.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	p.claim = p.at
	p.all.Go(p.listen)
	l.t.Cleanup(p.hush)
	return p
}

// packet is one of p's stream.
func (p *party) packet(n uint64) []byte {
	b := rtp.Header{PayloadType: 0, Sequence: uint16(n), Timestamp: uint32(n) * 160, SSRC: p.ssrc}.Append(nil)
	b = endian.BigEndian.AppendUint64(b, n)
	return append(b, make([]byte, 152)...)
}

func (p *party) listen() {
	b := make([]byte, 4096)
	for {
		n, _, err := p.conn.ReadFromUDPAddrPort(b)
		if err != nil {
			return // closed, by hush
		}
		h, payload, err := rtp.Parse(b[:n])
		p.mu.Lock()
		if rtp.KindOf(b[:n]) == rtp.RTCP {
			p.reports++
		} else if err != nil || n != 172 || h.SSRC>>16 != 0x1de9 || uint16(endian.BigEndian.Uint64(payload)) != h.Sequence {
			p.foreign++
		} else {
			p.heard[h.SSRC]++
		}
		p.mu.Unlock()
	}
}

// talk says a packet every 20 ms until hush.
func (p *party) talk() {
	p.all.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-p.stop:
				return
			case <-tick.C:
			}
			p.say()
		}
	})
}

// say sends the next packet.
func (p *party) say() {
	if _, err := p.conn.WriteToUDPAddrPort(p.packet(p.sent.Load()), p.relay); err == nil {
		p.sent.Add(1)
	}
}

// pause ends what talk began; p goes on listening.
func (p *party) pause() {
	select {
	case <-p.stop:
	default:
		close(p.stop)
	}
}

func (p *party) hush() {
	p.pause()
	_ = p.conn.Close() // closed already is as good
	p.all.Wait()
}

// hears is how many packets of other have come, and how many of nobody.
func (p *party) hears(other *party) (n, foreign uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heard[other.ssrc], p.foreign
}

func (p *party) sdp() []byte {
	return fmt.Appendf(nil, "v=0\r\no=- 1 1 IN IP4 %[1]v\r\ns=-\r\nc=IN IP4 %[1]v\r\nt=0 0\r\nm=audio %[2]d RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n", p.claim.Addr(), p.claim.Port())
}

// do sends the relay a command that must go well.
func (l *attackLab) do(c ng.Command) ng.Reply {
	l.t.Helper()
	r, err := l.try(c)
	if err != nil || r.Result != ng.ResultOK {
		l.t.Fatalf("%s: %+v %v", c.Name, r, err)
	}
	return r
}

func (l *attackLab) try(c ng.Command) (r ng.Reply, err error) {
	replies := make(chan struct{})
	l.client.Do(c, func(reply ng.Reply, fault error) {
		r, err = reply, fault
		close(replies)
	})
	<-replies
	return r, err
}

// connect makes a call between two parties, whose signalling comes from where they are.
func (l *attackLab) connect(id string, a, b *party, flags ...string) {
	l.t.Helper()
	b.relay = l.media(l.do(l.offer(id, a, flags...)))
	a.relay = l.media(l.do(l.answer(id, b, flags...)))
}

func (l *attackLab) offer(id string, a *party, flags ...string) ng.Command {
	return ng.Command{Name: ng.Offer, CallID: id, FromTag: "a", SDP: a.sdp(), ReceivedFrom: a.host.Addr, Flags: flags,
		Direction: [2]string{"external", "internal"}}
}

func (l *attackLab) answer(id string, b *party, flags ...string) ng.Command {
	return ng.Command{Name: ng.Answer, CallID: id, FromTag: "a", ToTag: "b", SDP: b.sdp(), ReceivedFrom: b.host.Addr, Flags: flags,
		Direction: [2]string{"internal", "external"}}
}

// media is where an SDP of the relay wants packets.
func (l *attackLab) media(r ng.Reply) netip.AddrPort {
	l.t.Helper()
	s, err := sdp.Parse(r.SDP)
	if err != nil {
		l.t.Fatal(err)
	}
	return netip.AddrPortFrom(s.Media[0].Address().Addr, s.Media[0].Port)
}

// stat sums a number that the relay tells of all streams of a call.
func (l *attackLab) stat(id, key string) (sum int) {
	l.t.Helper()
	tags := l.do(ng.Command{Name: ng.Query, CallID: id}).More.Dict(ng.KeyTags)
	for tag := range tags {
		for _, media := range tags.Dict(tag).List("medias") {
			for _, stream := range media.(ng.Dict).List("streams") {
				sum += int(stream.(ng.Dict).Dict("stats").Int(key))
			}
		}
	}
	return sum
}

// spoof sends datagrams from a host that say they are from elsewhere.
func (l *attackLab) spoof(h *lab.Host, from, to netip.AddrPort, payloads ...[]byte) {
	l.t.Helper()
	err := h.In(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		for _, payload := range payloads {
			b := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, unix.IPPROTO_UDP, 0, 0} // length and sum are the kernel's to fill in
			b = append(append(b, from.Addr().AsSlice()...), to.Addr().AsSlice()...)
			b = endian.BigEndian.AppendUint16(b, from.Port())
			b = endian.BigEndian.AppendUint16(b, to.Port())
			b = endian.BigEndian.AppendUint16(b, uint16(8+len(payload)))
			b = append(append(b, 0, 0), payload...)
			if err := unix.Sendto(fd, b, 0, &unix.SockaddrInet4{Addr: to.Addr().As4()}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		l.t.Fatal(err)
	}
}
