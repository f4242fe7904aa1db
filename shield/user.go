package shield

import (
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/lindero/lindero/bpf"
	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/shield/judge"
	"github.com/lindero/lindero/shield/policy"
)

// sampleWeight is how many packets one sample stands for, as in the kernel.
const sampleWeight = 64

// user is the filter of mode user: the listeners ask it for every datagram and
// every new connection. RTP is not asked for: user space has sockets only on the
// ports that calls have.
type user struct {
	engine *judge.Engine
	began  time.Time
	ring   chan bpf.Sample                             // samples that nobody took yet; more are lost
	had    [geo.Countries][policy.Verdicts]atomic.Bool // a first sample, which stands for itself alone
}

func newUser() *user {
	var seed [8]byte
	rand.Read(seed[:]) // never fails
	return &user{
		engine: judge.NewEngine(judge.Seed(binary.LittleEndian.Uint64(seed[:]))),
		began:  time.Now(),
		ring:   make(chan bpf.Sample, 1024),
	}
}

// now begins above zero, which in a bucket means that nobody used it.
func (u *user) now() judge.Millis { return judge.Millis(time.Since(u.began)/time.Millisecond) + 1000 }

// admit is the packet path: it neither waits nor allocates.
func (u *user) admit(source netip.Addr, service policy.Service, tcp bool) bool {
	p := judge.Packet{Source: source, Service: service, TCP: tcp, Opens: tcp}
	now := u.now()
	r := u.engine.Judge(p, now)
	if r.Sampled {
		u.sample(p, r)
	}
	if r.Verdict == policy.Passed && tcp {
		// A listener sees connections whose handshake is over.
		p.Opens, p.Acks = false, true
		u.engine.Judge(p, now)
	}
	return !r.Verdict.Drops()
}

func (u *user) sample(p judge.Packet, r judge.Ruling) {
	s := bpf.Sample{
		Source: p.Source, Country: uint8(r.Country), Verdict: uint8(r.Verdict),
		Service: uint8(p.Service), Class: uint8(r.Class), Weight: sampleWeight,
	}
	if !u.had[r.Country][r.Verdict].Swap(true) {
		s.Weight = 1
	}
	select {
	case u.ring <- s:
	default:
	}
}

func (u *user) samples(visit func(bpf.Sample)) error {
	for range cap(u.ring) {
		select {
		case s := <-u.ring:
			visit(s)
		default:
			return nil
		}
	}
	return nil
}

func (u *user) setPolicy(c *policy.Compiled) error   { u.engine.SetPolicy(c); return nil }
func (u *user) setCountries(t *geo.Table) error      { u.engine.SetTable(t); return nil }
func (u *user) setServices([]Port) error             { return nil }
func (u *user) setLeg(uint16, bool)                  {}
func (u *user) outdoes(judge.Key, judge.Source) bool { return false }
func (u *user) width() int                           { return 1 }
func (u *user) tend() ([]string, error)              { return nil, nil }
func (u *user) close() error                         { return nil }

func (u *user) put(k judge.Key, s judge.Source) error { return u.engine.PutSource(k, s) }
func (u *user) drop(k judge.Key) error                { u.engine.DeleteSource(k); return nil }

func (u *user) sources(visit func(judge.Key, judge.Source)) error {
	u.engine.Sources(visit)
	return nil
}

func (u *user) counters() (*tallies, error) { return (*tallies)(u.engine.Counters()), nil }

func (u *user) look(p judge.Packet) ([]view, error) {
	return []view{{now: u.now(), state: u.engine.Look(p)}}, nil
}
