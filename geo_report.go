package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/lindero/lindero/geo"
)

// A countryShare is how much of the Internet a country has.
type countryShare struct {
	Country geo.Country `json:"country"`
	Name    string      `json:"name"`
	geo.Size
}

// inspect prints what a table is, and its largest countries.
func (f *geoFlags) inspect(out io.Writer, table *geo.Table) error {
	shares, all := sharesOf(table)
	info := table.Info()
	if f.json {
		return json.NewEncoder(out).Encode(struct {
			geo.Info
			Countries []countryShare `json:"by_country"`
		}{info, shares})
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(w, name+"\t"+format+"\n", args...) }
	line("file", "%s", info.Path)
	line("type", "%s", info.Type)
	if info.Description != "" {
		line("description", "%s", strings.Join(strings.Fields(info.Description), " "))
	}
	line("licence", "%s", licenceOf(info))
	line("built", "%s%s", info.Built.Format("2006-01-02 15:04 MST"), age(time.Since(info.Built)))
	line("version", "%s", info.Version)
	line("SHA-256", "%s", info.SHA256)
	line("prefixes", "%s IPv4, %s IPv6; %s could not be represented", thousands(info.V4), thousands(info.V6), thousands(info.Lost))
	line("countries", "%d", info.Seen)
	if len(info.Codes) > 0 {
		line("no countries", "%s: their addresses count as unknown", strings.Join(info.Codes, ", "))
	}
	line("table", "%.1f MiB (the kernel has room for %.1f)", float64(info.Bytes)/(1<<20), float64(geo.MaxBytes)/(1<<20))
	line("time", "%v to read, %v to compile", info.Read.Round(time.Millisecond), info.Compiled.Round(time.Millisecond))
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	w = tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "country\tprefixes\tIPv4 addresses\tshare\tIPv6 share\t  \n")
	for _, s := range shares[:min(10, len(shares))] {
		fmt.Fprintf(w, "%v\t%s\t%s\t%s\t%s\t  %s\n", s.Country, thousands(s.Prefixes), thousands(int(s.Addresses)), percent(s.Addresses, all.Addresses), percent(s.Networks, all.Networks), s.Name)
	}
	return w.Flush()
}

// sharesOf is every country that has anything, those with most IPv4 first, and
// what all have together.
func sharesOf(table *geo.Table) (shares []countryShare, all geo.Size) {
	for _, c := range geo.All() {
		s := table.Size(c)
		if s.Prefixes == 0 {
			continue
		}
		shares = append(shares, countryShare{c, c.Name(), s})
		all.Addresses += s.Addresses
		all.Networks += s.Networks
	}
	slices.SortStableFunc(shares, func(a, b countryShare) int {
		switch {
		case a.Addresses != b.Addresses:
			return int(max(-1, min(1, b.Addresses-a.Addresses)))
		case a.Networks > b.Networks:
			return -1
		case a.Networks < b.Networks:
			return 1
		}
		return 0
	})
	return shares, all
}

// age says how old a database is when that matters: ranges change hands all the time.
func age(d time.Duration) string {
	switch days := int(d.Hours() / 24); {
	case days > 60:
		return fmt.Sprintf(", %d days ago: get a fresh one", days)
	case days > 0:
		return fmt.Sprintf(", %d days ago", days)
	default:
		return ""
	}
}

// printUpdate says what an update did or would have done.
func printUpdate(out io.Writer, path string, r geo.Report) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	database := func(name string, i geo.Info) {
		fmt.Fprintf(w, "%s\t%s %s\t%s prefixes\t%d countries\n", name, i.Type, i.Version, thousands(i.V4+i.V6), i.Seen)
	}
	if r.Damaged != "" {
		fmt.Fprintf(w, "present\tdamaged: %s\n", r.Damaged)
	}
	if r.Before.SHA256 != "" {
		database("present", r.Before)
	}
	database("new", r.After)
	if err := w.Flush(); err != nil {
		return err
	}
	if len(r.Move.Country) > 0 {
		verb := "would move"
		if r.Installed {
			verb = "moves"
		}
		fmt.Fprintf(out, "\n%s %.2f %% of the IPv4 addresses and %.2f %% of the IPv6 networks", verb, 100*r.Move.V4, 100*r.Move.V6)
		printMoves(out, r.Move)
	}
	var err error
	switch {
	case r.Same:
		_, err = fmt.Fprintf(out, "\n%s is this one already\n", path)
	case r.Installed && r.Previous != "":
		_, err = fmt.Fprintf(out, "\ninstalled as %s; the one before is %s\n", path, r.Previous)
	case r.Installed:
		_, err = fmt.Fprintf(out, "\ninstalled as %s\n", path)
	}
	return err
}

// printMoves lists the countries that gain and lose most IPv4 addresses.
func printMoves(out io.Writer, m geo.Move) {
	most := m.Most(func(c geo.Change) float64 { return c.Gained4 + c.Lost4 })
	if len(most) == 0 {
		fmt.Fprintln(out)
		return
	}
	fmt.Fprintln(out, "; most IPv4 in")
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, c := range most[:min(8, len(most))] {
		change := m.Country[c]
		fmt.Fprintf(w, "  %v\t+%s\t−%s\t  %s\n", c, thousands(int(change.Gained4)), thousands(int(change.Lost4)), c.Name())
	}
	_ = w.Flush() // the caller's next line has the same fate
}

func percent(part, whole float64) string {
	if whole == 0 {
		return "–"
	}
	return strconv.FormatFloat(100*part/whole, 'f', 1, 64) + " %"
}

// thousands writes a number for people: 1,204.
func thousands(n int) string {
	if n < 0 {
		return "-" + thousands(-n)
	}
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// A progressBar shows how far a download is, in one line that is written over. It
// shows nothing where that cannot be.
type progressBar struct {
	out  io.Writer
	last time.Time
}

func newProgressBar(out io.Writer) *progressBar {
	if !terminal(out) {
		return &progressBar{}
	}
	return &progressBar{out: out}
}

func (b *progressBar) show(done, total int64) {
	if b.out == nil || (done != total && time.Since(b.last) < 100*time.Millisecond) {
		return
	}
	b.last = time.Now()
	fmt.Fprint(b.out, "\r\x1b[K"+progressLine(done, total))
}

func progressLine(done, total int64) string {
	const width, mega = 40, 1 << 20
	if total <= 0 {
		return fmt.Sprintf("%.1f MiB", float64(done)/mega)
	}
	full := int(width * min(done, total) / total)
	return fmt.Sprintf("%3d %% %s%s %.1f of %.1f MiB", 100*min(done, total)/total, strings.Repeat("█", full), strings.Repeat("░", width-full), float64(done)/mega, float64(total)/mega)
}

func (b *progressBar) end() {
	if b.out != nil && !b.last.IsZero() {
		endLine(b.out)
	}
}
