package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

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

// printPolicy writes a version as a YAML file with a head that put understands.
func printPolicy(out io.Writer, v policy.Version) error {
	if v.Number == 0 {
		fmt.Fprintf(out, "# version 0, the built-in policy\n")
	} else {
		fmt.Fprintf(out, "# version %d, by %s at %s\n", v.Number, oneLine(v.Author), moment(v.Made))
	}
	if v.Note != "" {
		fmt.Fprintf(out, "# %s\n", oneLine(v.Note))
	}
	text, err := json.Marshal(v.Document)
	if err != nil {
		return fmt.Errorf("writing the policy: %w", err)
	}
	if string(text) == "{}" {
		_, err := fmt.Fprint(out, "# Nothing is set: every country may come in, and the default budgets hold (--full writes them out).\n{}\n")
		return err
	}
	// By way of JSON, which leaves out what is not set, and keeps the order of keys.
	var tree yaml.Node
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return fmt.Errorf("writing the policy: %w", err)
	}
	plainStyle(&tree)
	enc := yaml.NewEncoder(out)
	enc.SetIndent(2)
	if err := enc.Encode(&tree); err != nil {
		return fmt.Errorf("writing the policy: %w", err)
	}
	return enc.Close()
}

// plainStyle takes away JSON's braces and quotes, save where countries stand: a
// list of two hundred is better read in lines than as a column.
func plainStyle(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		plainStyle(c)
	}
	if n.Kind == yaml.SequenceNode && len(n.Content) > 0 && n.Content[0].Kind == yaml.ScalarNode {
		n.Style = yaml.FlowStyle
	}
}

// oneLine keeps a stranger's words from being more than words, in a file or on a
// terminal.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

// basedOn finds the first line of what get printed.
var basedOn = regexp.MustCompile(`\A# version (\d+)\b`)

// readPolicy reads a policy's file strictly, with the line of every fault, and the
// version it was made from, if it says one.
func readPolicy(path string) (d policy.Document, base *uint64, err error) {
	var text []byte
	if path == "-" {
		text, err = io.ReadAll(os.Stdin)
		path = "(input)"
	} else {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return d, nil, fmt.Errorf("reading the policy: %w", err)
	}
	if err := decodeConfig(path, text, &d); err != nil {
		return d, nil, err
	}
	if m := basedOn.FindSubmatch(text); m != nil {
		if n, err := strconv.ParseUint(string(m[1]), 10, 64); err == nil {
			base = &n
		}
	}
	return d, base, nil
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
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "none was put yet; version 0, the built-in policy, is in force")
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
	fmt.Fprintf(out, "of %s sources seen in %s or registered, against version %d\n", thousands(r.Sources), r.Window, r.VersionChecked)
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
