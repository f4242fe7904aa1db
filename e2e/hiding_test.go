package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/lindero/lindero/e2e/lab"
	"github.com/lindero/lindero/phone"
)

// What a phone must never see: our inside addresses, and our own headers.
var secrets = []string{"127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5", "Lindero-", "lindero-"}

// Every byte that the phones receive, in every kind of thing they do, is searched
// for the inside.
func TestNothingOfTheInsideIsSeenOutside(t *testing.T) {
	dir := lab.DataDir(t)
	file := filepath.Join(dir, "up.yaml")
	if err := os.WriteFile(file, []byte("role: up\nrelay: {internal: 127.0.0.4}\ncore: {media: 127.0.0.5}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	i := startUp(t, dir, "--config", file, "--inside", freePort(t, "127.0.0.2").String(), "--core", freePort(t, "127.0.0.3").String())
	for _, protocol := range []string{"udp", "tcp"} {
		t.Run(protocol, func(t *testing.T) {
			tap := newTap(t, protocol, i.sip)
			through := func(c *phone.Config) { c.Server = tap.address }
			alice, bob := newPhone(t, i, "101", protocol, through), newPhone(t, i, "102", protocol, through)
			alice.refused("102", 480)
			alice.refused("999", 404)
			alice.register()
			bob.register()
			call := alice.talk(bob)
			call.hear()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			for what, do := range map[string]func(context.Context) error{
				"hold by the caller": call.caller.Hold, "resume by the caller": call.caller.Resume,
				"update by the callee": call.callee.Update,
			} {
				if err := do(ctx); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
			call.hangup()
			echo, err := alice.try("600")
			if err != nil {
				t.Fatal(err)
			}
			if err := echo.Hangup(ctx); err != nil {
				t.Error(err)
			}
			alice.unregister()
			bob.unregister()
			tap.mustNotShow(t, secrets)
		})
	}
}

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

func (p *tap) mustNotShow(t *testing.T, words []string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.said.Bytes()
	if n := bytes.Count(all, []byte("SIP/2.0")); n < 20 {
		t.Errorf("only %d messages were seen", n)
	}
	for _, w := range words {
		if at := bytes.Index(all, []byte(w)); at >= 0 {
			t.Errorf("%q was seen outside: …%s…", w, fmt.Sprintf("%q", all[max(0, at-200):min(len(all), at+100)]))
		}
	}
}
