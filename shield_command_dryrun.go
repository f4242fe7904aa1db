package main

import (
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/lindero/lindero/core/api"
	"github.com/lindero/lindero/shield/policy"
)

func newShieldDryRunCommand(f *shieldFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "dry-run FILE",
		Short: "Say whom a policy would drop, of those seen in the last hour and those registered",
		Args:  exactly(1, "one FILE, or - for its input"),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, _, err := readPolicy(args[0])
			if err != nil {
				return err
			}
			core, err := f.core()
			if err != nil {
				return err
			}
			var r api.DryRun
			if err := core.ask(cmd.Context(), http.MethodPost, "/dry-run", api.DryRunRequest{Document: d}, &r); err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), r)
			}
			return printDryRun(cmd.OutOrStdout(), r)
		},
	}
}

func printDryRun(out io.Writer, r api.DryRun) error {
	printChanges(out, api.PolicyDiff{Changes: r.Changes})
	fmt.Fprintf(out, "\n%s\n", r.Summary)
	fmt.Fprintf(out, "of %s sources seen in %s or registered, against %s\n", thousands(r.Sources), r.Window, policy.Named(r.VersionChecked))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(r.RegisteredDropped) > 0 {
		fmt.Fprint(w, "\nregistered, and would be dropped\ncompany\tuser\tterminal\taddress\tcountry\trule\n")
		for _, d := range r.RegisteredDropped {
			fmt.Fprintf(w, "%s\t%s\t%s\t%v\t%s\t%s\n", oneLine(d.Company), oneLine(d.User), oneLine(d.Terminal), d.Address, d.Country, oneLine(d.Rule))
		}
	}
	countryTable(w, "would be dropped", r.ByCountry)
	countryTable(w, "would pass again", r.PassByCountry)
	if err := w.Flush(); err != nil {
		return err
	}
	for i, note := range r.Notes {
		if i == 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintf(out, "note: %s\n", note)
	}
	return nil
}

func countryTable(w io.Writer, title string, list []api.DryCountry) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s, by country\nsources\tregistered\tcountry\n", title)
	for _, c := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\n", thousands(c.Sources), thousands(c.Registered), countryWords(c.Country))
	}
}
