package bpf

import (
	"fmt"
	"sync/atomic"
)

// A Port is a port of ours and its service (1 SIP, 2 web, 3 TURN, 4 RTP).
type Port struct {
	TCP         bool
	First, Last uint16
	Service     uint8
}

// SetServices replaces the owner's ports. A port that another owner named becomes
// the last one's who names it.
func (s *Shield) SetServices(ports []Port) error {
	var next shieldPorts
	for _, p := range ports {
		if p.First > p.Last || p.Service == 0 || p.Service >= uint8(shieldServiceSERVICES) {
			return fmt.Errorf("bpf: ports %d to %d of service %d are none", p.First, p.Last, p.Service)
		}
		if p.TCP && p.Service == uint8(shieldServiceSERVICE_RTP) {
			return fmt.Errorf("bpf: ports %d to %d: RTP has no TCP", p.First, p.Last)
		}
		for n := int(p.First); n <= int(p.Last); n++ {
			if p.TCP {
				next.Tcp[n] = p.Service | s.owner<<4
			} else {
				next.Udp[n] = p.Service | s.owner<<4
			}
		}
	}
	if _, err := s.use(); err != nil {
		return err
	}
	s.mu.RUnlock()
	s.mu.Lock() // the table is read and written, by one
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	for n := range next.Udp {
		if s.lend(&s.memory.ports.Udp[n], next.Udp[n]) {
			s.settle(uint16(n))
		}
		s.lend(&s.memory.ports.Tcp[n], next.Tcp[n])
	}
	return nil
}

// lend makes a port what its owner wants it to be, and tells whether it is or was RTP's.
func (s *Shield) lend(port *uint8, want uint8) (rtp bool) {
	was := *port
	if want == 0 && (was == 0 || was>>4 != s.owner) {
		return false
	}
	if was != want {
		*port = want
	}
	return media(want) || media(was)
}

func media(service uint8) bool { return service&15 == uint8(shieldServiceSERVICE_RTP) }

// settle forgets a leg that a process before this one left.
func (s *Shield) settle(port uint16) {
	bit := uint64(1) << (port % 64)
	if atomic.LoadUint64(&s.mine[port/64])&bit == 0 {
		atomic.AndUint64(&s.memory.legs.Live[port/64], ^bit)
	}
}

// SetLeg says whether a call has the RTP port. One store into shared memory.
func (s *Shield) SetLeg(port uint16, live bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return
	}
	bit, mine, word := uint64(1)<<(port%64), &s.mine[port/64], &s.memory.legs.Live[port/64]
	if live {
		atomic.OrUint64(mine, bit)
		atomic.OrUint64(word, bit)
		return
	}
	atomic.AndUint64(mine, ^bit)
	atomic.AndUint64(word, ^bit)
}
