package shield

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/lindero/lindero/bpf/frame"
	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/shield/policy"
)

// crowd are prefixes of every length, many within each other or side by side.
func (g generator) crowd(n int) []netip.Prefix {
	var list []netip.Prefix
	seen := map[netip.Prefix]bool{}
	for len(list) < n {
		p := g.beside(list)
		if !seen[p] && p.Bits() > 4 {
			list, seen[p] = append(list, p), true
		}
	}
	return list
}

// beside is a prefix anywhere, or one within or just past one of the list.
func (g generator) beside(list []netip.Prefix) netip.Prefix {
	var b [16]byte
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	a := netip.AddrFrom16(b)
	if g.one(2) {
		a = netip.AddrFrom4([4]byte(b[:4]))
	}
	if len(list) > 0 && !g.one(8) {
		p := list[g.IntN(len(list))]
		from := p.Addr().AsSlice()
		for i := p.Bits() - g.IntN(2); i < len(from)*8; i++ { // now and then its last bit, too
			i := max(i, 0)
			from[i/8] = from[i/8]&^(0x80>>(i%8)) | b[i/8]&(0x80>>(i%8))
		}
		a, _ = netip.AddrFromSlice(from)
		a = a.Unmap()
	}
	p, _ := a.Prefix(1 + g.IntN(a.BitLen()))
	return p
}

// Both find the same in tables and lists as large and as divided as real ones, with
// prefixes of all lengths.
func TestKernelAndEngineAgreeOnCrowdedTables(t *testing.T) {
	w := newTwins(t)
	w.setPorts(t, usualPorts())
	placed, listed := 0, 0
	for seed := range uint64(6) {
		g := generator{rand.New(rand.NewPCG(seed, 8))}
		prefixes := g.crowd(20_000)
		countries := map[netip.Prefix]geo.Country{}
		for _, p := range prefixes {
			countries[p] = geo.All()[g.IntN(len(geo.All()))]
		}
		table, err := geo.Compile(countries)
		if err != nil {
			t.Fatal(err)
		}
		w.setTable(t, table)
		var d policy.Document
		for _, p := range prefixes[:1500] {
			list := pick(g, &d.Allow, &d.Deny, &d.Carriers)
			*list = append(*list, policy.Prefix{Prefix: p})
		}
		c, err := policy.Compile(d, seed, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		w.setPolicy(t, c)
		for n := range 8000 {
			a := g.beside(prefixes).Addr()
			f := frame.Frame{Source: a, Destination: destination(a), Port: 5060, Payload: []byte("who")}
			r := w.send(t, f.Bytes())
			if r.Country != geo.Unknown {
				placed++
			}
			if r.Verdict == policy.Allowed || r.Verdict == policy.Denied {
				listed++
			}
			if n%50 == 49 {
				w.compare(t)
			}
		}
	}
	if placed < 20_000 || listed < 5_000 {
		t.Errorf("%d packets were placed and %d listed: not worth much", placed, listed)
	}
	t.Logf("%d packets placed, %d listed", placed, listed)
}
