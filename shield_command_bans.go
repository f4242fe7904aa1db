package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/lindero/lindero/core/api"
	"github.com/lindero/lindero/shield"
	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

// banFlags choose between core, which bans everywhere, and this machine's node.
type banFlags struct {
	*shieldFlags
	here bool
}

func (f *banFlags) declare(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.here, "here", false, "only on this machine's node, also when core is away")
}

// judge is whoever is asked.
func (f *banFlags) judge() (*caller, error) {
	if f.here {
		return f.node(), nil
	}
	return f.core()
}

func newShieldBansCommand(shared *shieldFlags) *cobra.Command {
	f := &banFlags{shieldFlags: shared}
	cmd := &cobra.Command{
		Use:   "bans",
		Short: "List who is banned, until when, and why",
		Args:  none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			judge, err := f.judge()
			if err != nil {
				return err
			}
			var all []protocol.Ban
			if err := judge.ask(cmd.Context(), http.MethodGet, "/bans", nil, &all); err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), all)
			}
			if len(all) == 0 {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "nobody is banned")
				return err
			}
			slices.SortStableFunc(all, func(a, b protocol.Ban) int {
				return cmp.Or(a.Until.Compare(b.Until), a.Prefix.Compare(b.Prefix))
			})
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "source\tends\t\tby\treason")
			for _, b := range all {
				fmt.Fprintf(w, "%v\t%s\t%s\t%s\t%s\n", b.Prefix, moment(b.Until), left(b.Until), oneLine(b.By), oneLine(b.Reason))
			}
			return w.Flush()
		},
	}
	f.declare(cmd)
	return cmd
}

func newShieldBanCommand(shared *shieldFlags) *cobra.Command {
	f := &banFlags{shieldFlags: shared}
	var long time.Duration
	var reason string
	cmd := &cobra.Command{
		Use:   "ban ADDR --reason PHRASE",
		Short: "Ban a source for a time, on every node at once",
		Long: `ban shuts a source out: one IPv4 address, or an IPv6 address with all of its /64.
Allow lists and carriers of the policy win over bans. Whole networks, and whoever
shall never come back, belong into the policy's deny list.`,
		Args: exactly(1, "one ADDR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			source, err := sourceOf(args[0])
			if err != nil {
				return err
			}
			if reason == "" {
				return usageError{errors.New("shield ban: --reason: say why in a phrase; whoever is asked must be able to tell")}
			}
			judge, err := f.judge()
			if err != nil {
				return err
			}
			until := time.Now().Add(long)
			d := policy.Duration(long)
			var body any = api.BanRequest{Prefix: source.String(), Reason: reason, For: &d}
			if f.here {
				body = shield.BanRequest{Prefix: source.String(), Reason: reason, For: d, By: "operator"}
			}
			b := protocol.Ban{Prefix: source, Reason: reason, Until: until}
			if err := judge.ask(cmd.Context(), http.MethodPost, "/bans", body, &b); err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), b)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%v is banned %s, until %s\n", b.Prefix, left(b.Until), moment(b.Until))
			return err
		},
	}
	cmd.Flags().DurationVar(&long, "for", time.Hour, "how long")
	cmd.Flags().StringVar(&reason, "reason", "", "a `phrase` for whoever asks why")
	f.declare(cmd)
	return cmd
}

func newShieldLiftCommand(shared *shieldFlags) *cobra.Command {
	f := &banFlags{shieldFlags: shared}
	cmd := &cobra.Command{
		Use:   "lift ADDR",
		Short: "Lift a ban",
		Args:  exactly(1, "one ADDR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			source, err := sourceOf(args[0])
			if err != nil {
				return err
			}
			judge, err := f.judge()
			if err != nil {
				return err
			}
			err = judge.ask(cmd.Context(), http.MethodDelete, "/bans/"+url.PathEscape(source.String()), nil, nil)
			var r *refusal
			if errors.As(err, &r) && r.Status == http.StatusNotFound {
				return fmt.Errorf("%v is not banned", source)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%v may speak again\n", source)
			return err
		},
	}
	f.declare(cmd)
	return cmd
}
