package main

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/lindero/lindero/bpf"
	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/shield"
	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

func newShieldStatusCommand(f *shieldFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Who judges on this machine, by which policy and country table",
		Args:  none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s shield.Status
			if err := f.node().ask(cmd.Context(), http.MethodGet, "/status", nil, &s); err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), s)
			}
			return printStatus(cmd.OutOrStdout(), s)
		},
	}
}

// modes say who judges.
var modes = map[string]string{
	"native":  "the kernel, in the network driver",
	"generic": "the kernel, behind the network driver",
	"user":    "this process, at its listeners",
	"off":     "nobody: everything passes",
}

func printStatus(out io.Writer, s shield.Status) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(w, name+"\t"+format+"\n", args...) }
	line("node", "%s (%s)", s.Node, s.Role)
	line("judged by", "%s", cmp.Or(modes[s.Mode], s.Mode))
	if s.Reason != "" {
		line("", "not better because %s", oneLine(s.Reason))
	}
	if len(s.Devices) > 0 {
		line("devices", "%s", strings.Join(s.Devices, ", "))
	}
	number := policy.Named(s.PolicyVersion)
	if s.PolicyNote != "" && s.PolicyVersion != 0 {
		number += ": " + oneLine(s.PolicyNote)
	}
	line("policy", "%s", number)
	if s.Table == nil {
		line("countries", "off: there is no country database; lindero geo update installs one")
	} else {
		line("countries", "%s %s, %d countries in %s prefixes%s", s.Table.Type, s.Table.Version, s.Table.Seen, thousands(s.Table.V4+s.Table.V6), age(time.Since(s.Table.Built)))
	}
	line("bans", "%s", thousands(s.Bans))
	line("sources", "%s known, %s registered", thousands(s.Sources[policy.Known.String()]), thousands(s.Sources[policy.Registered.String()]))
	switch {
	case s.Core == "":
		line("core", "none is configured; what is in force stays")
	case s.CoreFault != "" && s.CoreHeard != nil:
		line("core", "%s does not answer since %s: %s", s.Core, moment(*s.CoreHeard), oneLine(s.CoreFault))
	case s.CoreFault != "":
		line("core", "%s never answered: %s", s.Core, oneLine(s.CoreFault))
	default:
		line("core", "%s answers", s.Core)
	}
	if ahead := time.Duration(s.CoreAhead * float64(time.Second)).Round(100 * time.Millisecond); ahead.Abs() > protocol.ClockWarn {
		line("clock", "core's is %v %s this machine's; ends of bans are corrected by it, but set the clocks right, as by NTP", ahead.Abs(), aheadOf(ahead))
	} else if s.CoreHeard != nil {
		line("clock", "as core's, within %v", max(ahead.Abs(), 100*time.Millisecond))
	}
	return w.Flush()
}

func aheadOf(d time.Duration) string {
	if d < 0 {
		return "behind"
	}
	return "ahead of"
}

func newShieldExplainCommand(f *shieldFlags) *cobra.Command {
	var service, node string
	cmd := &cobra.Command{
		Use:   "explain ADDR",
		Short: "Say what would happen to a source's next packet, and why",
		Long: `explain asks the filter of this machine. With --node it asks core, and core the
node of that name, or all of them with --node all; when none answers, core says
what the policy, the bans and the country table say. Nothing is changed by asking.`,
		Args: exactly(1, "one ADDR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := netip.ParseAddr(args[0])
			if err != nil {
				return usageError{fmt.Errorf("shield explain: %q is no IP address", args[0])}
			}
			if _, err := policy.ParseService(service); err != nil {
				return usageError{fmt.Errorf("shield explain: --service %q: there are sip, web and media", service)}
			}
			query := url.Values{"address": {a.String()}, "service": {service}}
			var all []protocol.Explanation
			if node == "" {
				var one protocol.Explanation
				if err := f.node().ask(cmd.Context(), http.MethodGet, "/explain?"+query.Encode(), nil, &one); err != nil {
					return fmt.Errorf("%w\n--node all asks core and all of its nodes instead", err)
				}
				all = append(all, one)
			} else {
				core, err := f.core()
				if err != nil {
					return err
				}
				if node != "all" {
					query.Set("node", node)
				}
				if err := core.ask(cmd.Context(), http.MethodGet, "/explain?"+query.Encode(), nil, &all); err != nil {
					return err
				}
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), all)
			}
			for i, e := range all {
				if i > 0 {
					fmt.Fprintln(cmd.OutOrStdout())
				}
				if err := printExplanation(cmd.OutOrStdout(), e); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&service, "service", "sip", "`what` it speaks to: sip, web or media")
	cmd.Flags().StringVar(&node, "node", "", "ask core about the node of this `name`, or all")
	return cmd
}

func printExplanation(out io.Writer, e protocol.Explanation) error {
	words := e.Verdict
	if v, err := policy.ParseVerdict(e.Verdict); err == nil {
		words = v.Words()
	}
	fmt.Fprintf(out, "%v at %s: %s\n", e.Address, e.Service, words)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(w, "  "+name+"\t"+format+"\n", args...) }
	line("verdict", "%s", e.Verdict)
	if e.Rule != "" {
		line("rule", "%s", oneLine(e.Rule))
	}
	line("class", "%s", e.Class)
	line("country", "%s", countryWords(e.Country))
	if e.BudgetLeft != nil {
		line("budget", "%s packets left, %s more each second", number(*e.BudgetLeft), thousands(int(e.BudgetRate)))
	}
	if e.BanEnds != nil {
		line("ban", "%s, until %s: %s", left(*e.BanEnds), moment(*e.BanEnds), oneLine(e.BanReason))
	}
	line("policy", "%s", policy.Named(e.PolicyVersion))
	line("table", "%s", cmp.Or(e.TableVersion, "none: countries are off"))
	line("judged by", "%s%s", cmp.Or(modes[e.Mode], e.Mode), cmp.Or(prefixedWord(" on ", e.Node), ""))
	for i, change := range e.Change {
		name := ""
		if i == 0 {
			name = "would change it"
		}
		line(name, "%s", oneLine(change))
	}
	return w.Flush()
}

func prefixedWord(before, word string) string {
	if word == "" {
		return ""
	}
	return before + word
}

// countryWords is a code and its name.
func countryWords(code string) string {
	c, err := geo.ParseCountry(code)
	switch {
	case err != nil:
		return code
	case c == geo.Unknown:
		return "unknown"
	}
	return code + " " + c.Name()
}

func newShieldDetachCommand(f *shieldFlags) *cobra.Command {
	pin := shield.DefaultConfig().Pin
	cmd := &cobra.Command{
		Use:   "detach DEVICE",
		Short: "Take the filter off a network device",
		Long: `detach ends the kernel's filter of a device and forgets what it counted. Nothing
else does: it stays in force when lindero stops, crashes or is upgraded. A lindero
that is configured for the device attaches it anew at its next start.`,
		Args: exactly(1, "one DEVICE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := bpf.Detach(args[0], pin); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "nothing filters %s any more\n", args[0])
			return err
		},
	}
	cmd.Flags().StringVar(&pin, "pin", pin, "`directory` where the filter is pinned, as in the configuration's shield.pin")
	return cmd
}
