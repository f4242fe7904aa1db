package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/lindero/lindero/core/api"
	"github.com/lindero/lindero/shield/policy"
)

func newShieldPolicyCommand(f *shieldFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "The policy in force: read it, change it, compare it, go back",
		Args:  oneOf("shield policy"),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPolicyGetCommand(f), newPolicyPutCommand(f), newPolicyDiffCommand(f), newPolicyRollbackCommand(f), newPolicyVersionsCommand(f))
	return cmd
}

func newPolicyGetCommand(f *shieldFlags) *cobra.Command {
	var full bool
	cmd := &cobra.Command{
		Use:   "get [VERSION]",
		Short: "Print the policy in force, or an earlier one, as YAML",
		Long: `get prints the policy in a form that put takes back. Its first line says which
version it is; put refuses it when another version has come into force since, so
that two people do not undo each other's changes.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			core, err := f.core()
			if err != nil {
				return err
			}
			path := "/policy"
			if len(args) == 1 {
				n, err := versionArg(args[0])
				if err != nil {
					return err
				}
				path = fmt.Sprintf("/policy/versions/%d", n)
			}
			var v policy.Version
			if err := core.ask(cmd.Context(), http.MethodGet, path, nil, &v); err != nil {
				return err
			}
			if full {
				v.Document = v.Document.Canonical()
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), v)
			}
			return printPolicy(cmd.OutOrStdout(), v)
		},
	}
	cmd.Flags().BoolVar(&full, "full", false, "write the defaults out")
	return cmd
}

func versionArg(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, usageError{fmt.Errorf("%q is no version of the policy; they are numbers", text)}
	}
	return n, nil
}

func newPolicyPutCommand(f *shieldFlags) *cobra.Command {
	var note string
	var anyBase bool
	cmd := &cobra.Command{
		Use:   "put FILE",
		Short: "Put a policy from a YAML or JSON file into force, on every node at once",
		Long: `put checks the file, shows what it changes, and puts it into force. A file from
"policy get" names the version it was made from and is refused when another is in
force by now; --any-base takes it all the same. Try it first with dry-run.`,
		Args: exactly(1, "one FILE, or - for its input"),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, base, err := readPolicy(args[0])
			if err != nil {
				return err
			}
			core, err := f.core()
			if err != nil {
				return err
			}
			var diff api.PolicyDiff
			if err := core.ask(cmd.Context(), http.MethodPost, "/policy/diff", api.PolicyDiffRequest{Document: &d}, &diff); err != nil {
				return err
			}
			if anyBase {
				base = nil
			}
			return f.put(cmd.Context(), cmd.OutOrStdout(), core, api.PolicyChange{Document: d, Note: note, BaseVersion: base}, diff)
		},
	}
	cmd.Flags().StringVar(&note, "note", "", "why, for those who read the history")
	cmd.Flags().BoolVar(&anyBase, "any-base", false, "whatever version is in force now")
	return cmd
}

func (f *shieldFlags) put(ctx context.Context, out io.Writer, core *caller, change api.PolicyChange, diff api.PolicyDiff) error {
	if len(diff.Changes) == 0 && !f.json {
		_, err := fmt.Fprintln(out, "nothing is different; the policy in force stays")
		return err
	}
	var v policy.Version
	err := core.ask(ctx, http.MethodPut, "/policy", change, &v)
	var r *refusal
	if errors.As(err, &r) && r.Status == http.StatusConflict {
		return fmt.Errorf("%w\nget it anew and make the change there; --any-base overwrites it", err)
	}
	if err != nil {
		return err
	}
	if f.json {
		return printJSON(out, v)
	}
	printChanges(out, diff)
	_, err = fmt.Fprintf(out, "\nversion %d is in force\n", v.Number)
	return err
}

func newPolicyRollbackCommand(f *shieldFlags) *cobra.Command {
	var note string
	cmd := &cobra.Command{
		Use:   "rollback VERSION",
		Short: "Put an earlier version into force again, as a new one",
		Args:  exactly(1, "one VERSION; lindero shield policy versions lists them"),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := versionArg(args[0])
			if err != nil {
				return err
			}
			core, err := f.core()
			if err != nil {
				return err
			}
			var diff api.PolicyDiff
			var v policy.Version
			if err := core.ask(cmd.Context(), http.MethodPost, "/policy/diff", api.PolicyDiffRequest{To: &n}, &diff); err != nil {
				return err
			}
			if err := core.ask(cmd.Context(), http.MethodPost, "/policy/rollback", api.PolicyRollback{Version: n, Note: note}, &v); err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), v)
			}
			printChanges(cmd.OutOrStdout(), diff)
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "\nversion %d is in force; it says what version %d said\n", v.Number, n)
			return err
		},
	}
	cmd.Flags().StringVar(&note, "note", "", "why, for those who read the history")
	return cmd
}

func newPolicyVersionsCommand(f *shieldFlags) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "versions",
		Short: "List the versions there were, newest first",
		Args:  none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			core, err := f.core()
			if err != nil {
				return err
			}
			var all []policy.Version
			if err := core.ask(cmd.Context(), http.MethodGet, fmt.Sprintf("/policy/versions?limit=%d", limit), nil, &all); err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), all)
			}
			if len(all) == 0 {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "none was put yet; "+policy.Named(0)+", is in force")
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "version\tmade\tby\tnote")
			for _, v := range all {
				fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", v.Number, moment(v.Made), oneLine(v.Author), oneLine(v.Note))
			}
			return w.Flush()
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 20, "how many")
	return cmd
}
