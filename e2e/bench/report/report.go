// Package report turns the samples of a benchmark into the table people read and
// the JSON that machines keep. Every figure stands beside a peer's from the same
// run; the ratio, not the figure, is what may be compared between machines.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
)

// A Figure is one measured thing, ours beside the peer's.
type Figure struct {
	Name   string  `json:"figure"`
	Ours   float64 `json:"ours"`
	Peer   float64 `json:"peer"`
	Unit   string  `json:"unit"`
	Ratio  float64 `json:"ratio"`
	Wanted string  `json:"wanted"` // such as "<= 0.8"; empty when nothing is asked yet
	N      int     `json:"n"`      // runs behind each median
}

// Compare makes a Figure from the samples of both sides: medians, and their
// ratio ours / peer.
func Compare(name, unit, wanted string, ours, peer []float64) Figure {
	f := Figure{Name: name, Unit: unit, Wanted: wanted, Ours: Median(ours), Peer: Median(peer), N: min(len(ours), len(peer))}
	if f.Peer != 0 {
		f.Ratio = f.Ours / f.Peer
	}
	return f
}

// Median of the samples; 0 when there are none.
func Median(samples []float64) float64 {
	if len(samples) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(samples))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// Print writes the figures as a table.
func Print(w io.Writer, figures []Figure) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "figure\tours\tpeer\tunit\tratio\twanted\tn\t")
	for _, f := range figures {
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%s\t%.2f\t%s\t%d\t\n", f.Name, f.Ours, f.Peer, f.Unit, f.Ratio, f.Wanted, f.N)
	}
	return t.Flush()
}

// Write keeps the figures in file as a JSON list, making its folder.
func Write(file string, figures []Figure) error {
	b, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}
