package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/lindero/lindero/geo"
)

// geoFlags are what all of `lindero geo` understands.
type geoFlags struct {
	database, data string
	json           bool
}

func newGeoCommand() *cobra.Command {
	var f geoFlags
	cmd := &cobra.Command{
		Use:   "geo",
		Short: "The country table: look up addresses, install and inspect databases",
		Long: `geo looks after the database that says which country an address is in: any MMDB
of countries or cities, such as GeoLite2, GeoIP2, DB-IP, IPtoASN, geo-whois or
IPinfo. Without one, countries are off and everything else works.

A running lindero sees a new database by itself.`,
		Example: `  lindero geo update https://example.net/country.mmdb.gz
  lindero geo lookup 192.0.2.1 2001:db8::1
  lindero geo inspect`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("geo: no command %q; there are lookup, update and inspect", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	set := cmd.PersistentFlags()
	set.StringVar(&f.database, "database", "", "the MMDB `file` (default DATA/countries.mmdb)")
	set.StringVar(&f.data, "data", defaultUp().Data, "`directory` where lindero up keeps everything")
	set.BoolVar(&f.json, "json", false, "print JSON, for programs")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{fmt.Errorf("geo: %w", err)} })
	cmd.AddCommand(newGeoLookupCommand(&f), newGeoUpdateCommand(&f), newGeoInspectCommand(&f))
	return cmd
}

// path is where the database is.
func (f *geoFlags) path() string {
	if f.database != "" {
		return f.database
	}
	return filepath.Join(f.data, "countries.mmdb")
}

// open opens the database, or says how to get one.
func (f *geoFlags) open() (*geo.Table, error) {
	table, err := geo.Open(f.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no country database at %s\n"+
			"lindero geo update FILE-OR-URL installs one there; --database or --data name another place;\n"+
			"in a checkout of the source, make geo-db fetches a free one for trying out", f.path())
	}
	return table, err
}

func newGeoLookupCommand(f *geoFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "lookup ADDR…",
		Short: "Say which country addresses are in",
		Long:  "lookup prints a line for each address: the address, the country's code and its name. With - as the only argument it reads addresses from its input, one a line.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("geo lookup: give one or more IP addresses, or - to read them from the input")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && args[0] == "-" {
				table, err := f.open()
				if err != nil {
					return err
				}
				return f.lookupLines(cmd.OutOrStdout(), cmd.InOrStdin(), table)
			}
			addrs := make([]netip.Addr, len(args))
			for i, text := range args {
				var err error
				if addrs[i], err = netip.ParseAddr(text); err != nil {
					return usageError{fmt.Errorf("geo lookup: %q is no IP address", text)}
				}
			}
			table, err := f.open()
			if err != nil {
				return err
			}
			return f.lookup(cmd.OutOrStdout(), table, addrs)
		},
	}
}

// A foundPlace is one answer of `lindero geo lookup --json`.
type foundPlace struct {
	Address netip.Addr  `json:"address"`
	Country geo.Country `json:"country"`
	Name    string      `json:"name"`
}

func (f *geoFlags) lookup(out io.Writer, table *geo.Table, addrs []netip.Addr) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, a := range addrs {
		c := table.Country(a)
		if f.json {
			if err := json.NewEncoder(out).Encode(foundPlace{a, c, c.Name()}); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(w, "%v\t%v\t%s\n", a, c, c.Name())
	}
	return w.Flush()
}

// lookupLines answers as it reads; a line that is no address is an error at the
// end, since one bad line of a log is no reason to stop.
func (f *geoFlags) lookupLines(out io.Writer, in io.Reader, table *geo.Table) error {
	bad, first := 0, ""
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		text := strings.TrimSpace(lines.Text())
		if text == "" {
			continue
		}
		a, err := netip.ParseAddr(text)
		if err != nil {
			if bad++; bad == 1 {
				first = text
			}
			continue
		}
		if err := f.lookup(out, table, []netip.Addr{a}); err != nil {
			return err
		}
	}
	if bad > 0 {
		return fmt.Errorf("geo lookup: %d lines are no IP addresses, the first is %q", bad, first)
	}
	return lines.Err()
}

func newGeoUpdateCommand(f *geoFlags) *cobra.Command {
	var o geo.UpdateOptions
	var moved float64
	cmd := &cobra.Command{
		Use:   "update SRC",
		Short: "Install a country database from a file or URL",
		Long: `update takes an .mmdb, an .mmdb.gz or a .tar.gz with one .mmdb in it from a file or
an http or https URL, compiles it, compares it with the present database, and puts
it in its place at once or not at all. The one from before stays beside it, with
.previous at its end.

It refuses a database that is older than the present one, holds little, or would
move more addresses to other countries than --max-moved says, since a rule that
was right yesterday would then shut out half a country today. --force takes it.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("geo update: give one file or URL")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if moved <= 0 || moved > 100 {
				return usageError{fmt.Errorf("geo update: --max-moved %v: it is a share in percent, above 0 and up to 100", moved)}
			}
			o.MaxMoved = moved / 100
			if f.database == "" {
				if err := os.MkdirAll(f.data, 0o700); err != nil { // as lindero up would
					return fmt.Errorf("making the data directory: %w", err)
				}
			}
			return f.update(cmd, args[0], o)
		},
	}
	set := cmd.Flags()
	set.Float64Var(&moved, "max-moved", 10, "`percent` of the addresses of either family that may change their country")
	set.BoolVar(&o.Force, "force", false, "install it whatever speaks against it")
	set.StringVar(&o.SHA256, "sha256", "", "what the SHA-256 of the download or of the database in it must be, in `hex`")
	set.DurationVar(&o.Timeout, "timeout", o.Timeout, "how long the download may take (default 15m)")
	return cmd
}

func (f *geoFlags) update(cmd *cobra.Command, src string, o geo.UpdateOptions) error {
	bar := newProgressBar(cmd.ErrOrStderr())
	o.Progress = bar.show
	report, err := geo.Update(cmd.Context(), f.path(), src, o)
	bar.end()
	if f.json && (err == nil || errors.Is(err, geo.ErrRefused)) {
		err = errors.Join(json.NewEncoder(cmd.OutOrStdout()).Encode(report), err)
	} else if err == nil || errors.Is(err, geo.ErrRefused) {
		err = errors.Join(printUpdate(cmd.OutOrStdout(), f.path(), report), err)
	}
	if errors.Is(err, geo.ErrRefused) {
		return fmt.Errorf("%w\nnothing was installed; --force installs it all the same", err)
	}
	return err
}

func newGeoInspectCommand(f *geoFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "inspect",
		Short: "Say what the country database is and what it holds",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			table, err := f.open()
			if err != nil {
				return err
			}
			return f.inspect(cmd.OutOrStdout(), table)
		},
	}
}
