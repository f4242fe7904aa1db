package e2e

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
)

// A tap sits between phones and the edge and keeps what the edge says.
type tap struct {
	address netip.AddrPort
	edge    netip.AddrPort

	mu   sync.Mutex
	said bytes.Buffer
}

func newTap(t *testing.T, protocol string, edge netip.AddrPort) *tap {
	t.Helper()
	p := &tap{edge: edge, address: freePort(t, "127.0.0.1")}
	if protocol == "udp" {
		p.udp(t)
	} else {
		p.tcp(t)
	}
	return p
}

func (p *tap) keep(b []byte) {
	p.mu.Lock()
	p.said.Write(b)
	p.mu.Unlock()
}

// udp gives each phone a socket of its own towards the edge, as a NAT does.
func (p *tap) udp(t *testing.T) {
	front, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(p.address))
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	backs := map[netip.AddrPort]*net.UDPConn{}
	group.Go(func() {
		buffer := make([]byte, 65536)
		for {
			n, from, err := front.ReadFromUDPAddrPort(buffer)
			if err != nil {
				for _, b := range backs {
					b.Close()
				}
				return
			}
			back := backs[from]
			if back == nil {
				if back, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(p.edge)); err != nil {
					return
				}
				backs[from] = back
				group.Go(func() { p.copyBack(front, back, from) })
			}
			_, _ = back.Write(buffer[:n]) // a lost datagram is UDP's right
		}
	})
	t.Cleanup(func() { front.Close(); group.Wait() })
}

func (p *tap) copyBack(front, back *net.UDPConn, to netip.AddrPort) {
	buffer := make([]byte, 65536)
	for {
		n, err := back.Read(buffer)
		if err != nil {
			return
		}
		p.keep(buffer[:n])
		_, _ = front.WriteToUDPAddrPort(buffer[:n], to) // a lost datagram is UDP's right
	}
}

func (p *tap) tcp(t *testing.T) {
	front, err := net.Listen("tcp", p.address.String())
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	group.Go(func() {
		for {
			near, err := front.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", p.edge.String())
			if err != nil {
				near.Close()
				continue
			}
			mu.Lock()
			open = append(open, near, far)
			mu.Unlock()
			group.Go(func() { _, _ = io.Copy(far, near); far.Close() })
			group.Go(func() { _, _ = io.Copy(io.MultiWriter(near, writerFunc(p.keep)), far); near.Close() })
		}
	})
	t.Cleanup(func() {
		front.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		group.Wait()
	})
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) { f(b); return len(b), nil }
