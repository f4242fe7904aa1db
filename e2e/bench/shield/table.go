package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lindero/lindero/bpf"
	"github.com/lindero/lindero/bpf/livegen"
	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/geo/trie"
)

// inKernel is what a table takes there, whatever is in it: two roots and all nodes.
const inKernel = geo.MaxBytes

// tableRound reads the database, compiles it, hands it to the kernel and swaps it in
// the place of one that is in force, and says how long that took, how long the swap
// alone did, and how many bytes there are of it in the kernel and here.
func tableRound(w world, say func(string, ...any)) (whole, upload time.Duration, bytes float64, err error) {
	wire, err := livegen.NewWire()
	if err != nil {
		return 0, 0, 0, err
	}
	defer func() { err = errors.Join(err, wire.Close()) }()
	p, err := onWire(wire, nil)
	if err != nil {
		return 0, 0, 0, err
	}
	defer func() { err = errors.Join(err, p.away()) }()
	old := w.table.Trie()
	if err := p.SetCountries(bpf.Trie{Root4: old.Root4, Root6: old.Root6, Words: old.Words}); err != nil {
		return 0, 0, 0, err
	}
	began := time.Now()
	t, err := w.again()
	if err != nil {
		return 0, 0, 0, err
	}
	compiled := time.Now()
	x := t.Trie()
	if err := p.SetCountries(bpf.Trie{Root4: x.Root4, Root6: x.Root6, Words: x.Words}); err != nil {
		return 0, 0, 0, err
	}
	whole, upload = time.Since(began), time.Since(compiled)
	i := t.Info()
	say("%-18s read %v, compiled %v, uploaded and swapped %v; %d KiB", "world table", i.Read.Round(time.Millisecond), i.Compiled.Round(time.Millisecond), upload.Round(time.Millisecond), i.Bytes>>10)
	return whole, upload, float64(inKernel + i.Bytes), nil
}

// again reads the world from where it is from.
func (w world) again() (*geo.Table, error) {
	if w.path == "" {
		return geo.Compile(synthetic())
	}
	return geo.Open(w.path)
}

// peerTable is how long nftables takes for the same IPv4 prefixes, each with its
// country, ready for rules by country.
func peerTable(t *trie.Trie[uint8], say func(string, ...any)) (took time.Duration, err error) {
	wire, err := livegen.NewWire()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, wire.Close()) }()
	var elements []string
	for _, c := range geo.All() {
		for _, p := range prefixes4(t, c) {
			elements = append(elements, fmt.Sprintf("%s : %d", p, c))
		}
	}
	rules := "table inet peer {\n\tmap countries { type ipv4_addr : mark; flags interval; elements = { " + strings.Join(elements, ", ") + " } }\n}\n"
	began := time.Now()
	if err := feed(wire, rules, "nft", "-f", "-"); err != nil {
		return 0, err
	}
	took = time.Since(began)
	say("%-18s nftables read %d IPv4 prefixes in %v", "world table", len(elements), took.Round(time.Millisecond))
	return took, nil
}
