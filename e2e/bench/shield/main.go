// Command shield measures what the shield costs and what it holds out, beside
// nftables and beside ipset with hashlimit, which are given the same countries, the
// same budget for each source and the same packets on the same kind of wire; and
// how fast its tables and policies come into force. It asserts nothing: it prints
// what is, and keeps it in bench/shield.json. It needs root, makes namespaces of its
// own and removes them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/lindero/lindero/e2e/bench/report"
)

func main() {
	binary := flag.String("lindero", "bin/lindero", "the binary under test")
	out := flag.String("out", "bench", "the folder the figures go to, as shield.json")
	runs := flag.Int("runs", 3, "runs of each figure")
	database := flag.String("database", "", "a country database (MMDB); default: the one that scripts/geo-db.sh fetches")
	limit := flag.Duration("limit", 20*time.Minute, "longest it may take")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *limit)
	defer cancel()
	if err := run(ctx, *binary, *out, *database, *runs); err != nil {
		fmt.Fprintln(os.Stderr, "bench shield:", err)
		os.Exit(1)
	}
}

// A bench is one comparison under way: samples by figure, ours and the peer's.
type bench struct {
	world      world
	ours, peer map[string][]float64
}

func (b *bench) add(figure string, ours, peer float64) {
	b.ours[figure] = append(b.ours[figure], ours)
	b.peer[figure] = append(b.peer[figure], peer)
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func run(ctx context.Context, binary, out, database string, runs int) error {
	if os.Getuid() != 0 {
		return errors.New("network namespaces and BPF programs need root")
	}
	if names := missing(); len(names) > 0 {
		return fmt.Errorf("not installed: %s; make tools does that", strings.Join(names, ", "))
	}
	binary, err := filepath.Abs(binary)
	if err != nil {
		return err
	}
	w, err := openWorld(database, out)
	if err != nil {
		return err
	}
	say("countries: %s", w.origin)
	b := &bench{world: w, ours: map[string][]float64{}, peer: map[string][]float64{}}
	for n := range runs {
		say("run %d of %d", n+1, runs)
		for _, part := range []func(context.Context) error{b.verdicts, b.drops, b.tables} {
			if err := part(ctx); err != nil {
				return err
			}
		}
	}
	if err := b.policies(ctx, binary, 5*runs); err != nil {
		return err
	}
	var figures []report.Figure
	for _, f := range wanted {
		figures = append(figures, report.Compare(f.name, f.unit, f.wanted, b.ours[f.name], b.peer[f.name]))
	}
	if err := report.Print(os.Stdout, figures); err != nil {
		return err
	}
	return report.Write(filepath.Join(out, "shield.json"), figures)
}

// The figures in the order of the table. A wanted with a unit is of ours less the
// peer's or of ours alone, else of the ratio.
var wanted = []struct{ name, unit, wanted string }{
	{"verdict, 1000 sources (peer: empty XDP program)", "ns", "<= peer + 60 ns"},
	{"verdict, random world addresses (peer: empty XDP program)", "ns", "<= peer + 130 ns"},
	{"verdict, every source spoofed and new (peer: empty XDP program)", "ns", "<= peer + 130 ns"},
	{"1000 sources, packets a second on one core (peer: nftables)", "million/s", ">= 8"},
	{"1000 sources, CPU a packet over a bare drop (peer: nftables)", "ns", "<= 0.067"},
	{"every source new, packets a second on one core (peer: nftables)", "million/s", ">= 6"},
	{"every source new, CPU a packet over a bare drop (peer: nftables)", "ns", ""},
	{"1000 sources, cold headers, packets a second on one core (peer: nftables)", "million/s", ""},
	{"1000 sources, cold headers, CPU a packet over a bare drop (peer: nftables)", "ns", ""},
	{"1000 sources, packets a second on one core (peer: ipset + hashlimit)", "million/s", ">= 6.8"},
	{"1000 sources, CPU a packet over a bare drop (peer: ipset + hashlimit)", "ns", "<= 0.118"},
	{"every source new, packets a second on one core (peer: ipset + hashlimit)", "million/s", ""},
	{"every source new, CPU a packet over a bare drop (peer: ipset + hashlimit)", "ns", ""},
	{"world table: read, compile, upload, swap (peer: nftables, IPv4 alone)", "s", "< 1 s"},
	{"world table: memory in kernel and process", "MiB", "< 30 MiB"},
	{"policy in force on 5 edges of a region", "ms", "< 100 ms"},
}

// verdicts measures the judge alone. Random world addresses are drawn from random
// prefixes of the database, however small, which is the longest way through the
// table; spoofed ones from all numbers there are.
func (b *bench) verdicts(ctx context.Context) error {
	costs, err := verdictRound(ctx, say)
	if err != nil {
		return err
	}
	for _, name := range []string{"1000 sources", "random world addresses", "every source spoofed and new"} {
		c, ok := costs[name]
		if !ok {
			return fmt.Errorf("the judge's benchmark has no %q", name)
		}
		b.add("verdict, "+name+" (peer: empty XDP program)", c.empty+c.overEmpty, c.empty)
	}
	return nil
}

// drops measures floods that end in the filter.
func (b *bench) drops(ctx context.Context) error {
	six, err := denied()
	if err != nil {
		return err
	}
	list := prefixes4(b.world.table.Trie(), six...)
	say("%d IPv4 prefixes of %v are denied", len(list), six)
	base, us, peers := bare(), shielded(b.world.table.Trie(), six), []contender{nftables(list), ipset(list)}
	costs, err := dropRound(ctx, append([]contender{base, us}, peers...), say)
	if err != nil {
		return err
	}
	for _, l := range loads {
		none, ours := costs[base.name][l.name], costs[us.name][l.name]
		for _, p := range peers {
			theirs := costs[p.name][l.name]
			b.add(fmt.Sprintf("%s, packets a second on one core (peer: %s)", l.name, p.name), ours.perSecond()/1e6, theirs.perSecond()/1e6)
			b.add(fmt.Sprintf("%s, CPU a packet over a bare drop (peer: %s)", l.name, p.name), ours.total-none.total, theirs.total-none.total)
		}
	}
	return nil
}

// tables measures how a country database comes into force.
func (b *bench) tables(context.Context) error {
	whole, _, bytes, err := tableRound(b.world, say)
	if err != nil {
		return err
	}
	peer, err := peerTable(b.world.table.Trie(), say)
	if err != nil {
		return err
	}
	b.add("world table: read, compile, upload, swap (peer: nftables, IPv4 alone)", whole.Seconds(), peer.Seconds())
	b.add("world table: memory in kernel and process", bytes/(1<<20), 0)
	return nil
}

// policies measures how a changed policy comes into force.
func (b *bench) policies(ctx context.Context, binary string, changes int) (err error) {
	r, err := newRegion(ctx, binary)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	for n := range changes {
		took, err := r.change(ctx, fmt.Sprintf("change %d of a measurement", n), netip.MustParsePrefix(fmt.Sprintf("198.18.%d.0/24", n)))
		if err != nil {
			return err
		}
		say("policy             change %d in force on %d edges after %v", n+1, edges, took.Round(100*time.Microsecond))
		b.add("policy in force on 5 edges of a region", float64(took.Microseconds())/1000, 0)
	}
	return nil
}
