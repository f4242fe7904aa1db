package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// A finding is one thing about this machine.
type finding struct {
	what  string
	state state
	found string // what is so
	means string // what follows from it, and what to do when something is wanted
}

// A state says at a glance how good a finding is.
type state string

const (
	good  state = "ok"
	less  state = "less" // works, in the next best mode
	wrong state = "no"   // a default setup would not work
)

func newDoctorCommand() *cobra.Command {
	var data, path string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "What this machine can do for lindero, and why",
		Long: `doctor looks at the kernel, privileges, network devices, the country database,
ports, limits, Consul and PostgreSQL, and says for each what works, in which mode,
and what to do for more. It changes nothing and attaches nothing.

With --config it looks at what a relay of that file needs instead: its addresses,
ports, certificates and open files, and how packets would be repeated by each device.

It fails only when something lindero cannot do without is missing.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var findings []finding
			if path == "" {
				findings = examine(cmd.Context(), data)
			} else {
				cfg, devices, err := relayConfig(path)
				if err != nil {
					return err
				}
				findings = examineRelay(cmd.Context(), cfg, devices)
			}
			printFindings(cmd.OutOrStdout(), findings)
			return judge(findings)
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "`file` of a relay, or of lindero up, to look at what it needs")
	cmd.Flags().StringVar(&data, "data", defaultUp().Data, "`directory` of lindero up, where its country database is looked for")
	return cmd
}

func printFindings(out io.Writer, findings []finding) {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	for _, f := range findings {
		fmt.Fprintf(w, "%s\t%s\t%s\n", f.state, f.what, f.found)
		if f.means != "" {
			fmt.Fprintf(w, "\t\t%s\n", f.means)
		}
	}
	_ = w.Flush() // a closed terminal is no finding
}

func judge(findings []finding) error {
	n := 0
	for _, f := range findings {
		if f.state == wrong {
			n++
		}
	}
	if n > 0 {
		return fmt.Errorf("doctor: %d of %d things are in the way of a start", n, len(findings))
	}
	return nil
}
