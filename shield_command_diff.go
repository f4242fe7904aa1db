package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/lindero/lindero/core/api"
	"github.com/lindero/lindero/shield/policy"
)

func newPolicyDiffCommand(f *shieldFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "diff [FILE | VERSION [VERSION]]",
		Short: "Say what a file, or a version, changes",
		Long: `diff without arguments says what the last change did. With a FILE it says what
putting it would change, with one VERSION what has changed since, with two what
the second changed in the first.`,
		Args: cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			core, err := f.core()
			if err != nil {
				return err
			}
			ask, err := diffOf(cmd.Context(), core, args)
			if err != nil {
				return err
			}
			var d api.PolicyDiff
			if err := core.ask(cmd.Context(), http.MethodPost, "/policy/diff", ask, &d); err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), d)
			}
			if printChanges(cmd.OutOrStdout(), d); len(d.Changes) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "nothing is different")
			}
			return nil
		},
	}
}

// diffOf says which documents to compare.
func diffOf(ctx context.Context, core *caller, args []string) (ask api.PolicyDiffRequest, err error) {
	if len(args) == 1 && !regexp.MustCompile(`^\d+$`).MatchString(args[0]) {
		d, _, err := readPolicy(args[0])
		return api.PolicyDiffRequest{Document: &d}, err
	}
	numbers := make([]uint64, 0, 2)
	for _, a := range args {
		n, err := versionArg(a)
		if err != nil {
			return ask, err
		}
		numbers = append(numbers, n)
	}
	if len(numbers) < 2 {
		var now policy.Version
		if err := core.ask(ctx, http.MethodGet, "/policy", nil, &now); err != nil {
			return ask, err
		}
		if len(numbers) == 0 {
			numbers = append(numbers, max(now.Number, 1)-1)
		}
		numbers = append(numbers, now.Number)
	}
	return api.PolicyDiffRequest{From: &numbers[0], To: &numbers[1]}, nil
}

// printChanges lists what one policy changes in another.
func printChanges(out io.Writer, d api.PolicyDiff) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, c := range d.Changes {
		switch {
		case c.Before == "":
			fmt.Fprintf(w, "+ %s\t%s\n", c.Path, c.After)
		case c.After == "":
			fmt.Fprintf(w, "- %s\t%s\n", c.Path, c.Before)
		default:
			fmt.Fprintf(w, "~ %s\t%s → %s\n", c.Path, c.Before, c.After)
		}
	}
	_ = w.Flush() // the next line has the same fate
	for _, warning := range d.Warnings {
		fmt.Fprintf(out, "! %s\n", warning)
	}
}
