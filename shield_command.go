package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/lindero/lindero/shield/policy"
)

// shieldFlags are what all of `lindero shield` understands.
type shieldFlags struct {
	api, tokenFile, data, control string
	json                          bool
}

func newShieldCommand() *cobra.Command {
	var f shieldFlags
	cmd := &cobra.Command{
		Use:   "shield",
		Short: "The border: its policy, bans, and why a packet was dropped",
		Long: `shield shows and changes what decides at the border.

The policy and the bans are core's and hold on every node: policy, dry-run, bans,
ban and lift ask core's API (--api), with an operator's token. What this machine's
own filter does comes from the process that runs it (--control): status, explain
and top. Beside a lindero up with its usual data directory no flag is needed.`,
		Example: `  lindero shield explain 203.0.113.9 --service sip
  lindero shield policy get > policy.yaml     and, when it is changed,
  lindero shield dry-run policy.yaml
  lindero shield policy put policy.yaml --note "Spain alone"
  lindero shield ban 203.0.113.9 --for 1h --reason "scans all day"`,
		Args: oneOf("shield"),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	set := cmd.PersistentFlags()
	f.reach(cmd)
	set.StringVar(&f.control, "control", "", "`socket` of the process that filters here (default DATA/control.sock)")
	set.BoolVar(&f.json, "json", false, "print JSON, for programs")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{fmt.Errorf("shield: %w", err)} })
	cmd.AddCommand(
		newShieldStatusCommand(&f), newShieldExplainCommand(&f), newShieldTopCommand(&f), newShieldDetachCommand(&f),
		newShieldPolicyCommand(&f), newShieldDryRunCommand(&f),
		newShieldBansCommand(&f), newShieldBanCommand(&f), newShieldLiftCommand(&f),
	)
	return cmd
}

// reach adds the flags by which core's API is found.
func (f *shieldFlags) reach(cmd *cobra.Command) {
	set := cmd.PersistentFlags()
	set.StringVar(&f.api, "api", "http://127.0.0.1:8080", "base `URL` of core's HTTP")
	set.StringVar(&f.tokenFile, "token-file", "", "`file` with an operator's token (default DATA/operator.token)")
	set.StringVar(&f.data, "data", defaultUp().Data, "`directory` where lindero up keeps everything")
}

// oneOf is for commands that only hold others.
func oneOf(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usageError{fmt.Errorf("%s: no command %q; lindero %s --help lists them", name, args[0], name)}
		}
		return nil
	}
}

// exactly is for commands that want so many words, which what describes.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usageError{fmt.Errorf("%s: wants %s", cmd.CommandPath(), what)}
		}
		return nil
	}
}

// none is for commands that want no words.
func none(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%s: wants no %q", cmd.CommandPath(), args[0])}
	}
	return nil
}

func (f *shieldFlags) tokenPath() string {
	if f.tokenFile != "" {
		return f.tokenFile
	}
	return filepath.Join(f.data, "operator.token")
}

func (f *shieldFlags) socket() string {
	if f.control != "" {
		return f.control
	}
	return filepath.Join(f.data, "control.sock")
}

// printJSON is --json: what the server said, in a form people can read too.
func printJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// sourceOf reads what the shield counts as one source: an address, or its prefix.
func sourceOf(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if a, addrErr := netip.ParseAddr(text); addrErr == nil {
		a = a.Unmap().WithZone("")
		bits := 32
		if a.Is6() {
			bits = 64 // the shield counts IPv6 by it
		}
		p, err = a.Prefix(bits)
	}
	if err != nil {
		return p, usageError{fmt.Errorf("%q is no address and no prefix", text)}
	}
	if p != p.Masked() {
		return p, usageError{fmt.Errorf("%v has bits beyond its length; %v?", p, p.Masked())}
	}
	if p.Addr().Is4() && p.Bits() != 32 || p.Addr().Is6() && p.Bits() != 64 {
		return p, usageError{fmt.Errorf("%v is not one source, which is an IPv4 address or an IPv6 /64; whole networks go into the policy's deny list", p)}
	}
	return p, nil
}

// left says how long something goes on, for people.
func left(until time.Time) string {
	d := time.Until(until)
	switch {
	case d < 0:
		return "over"
	case d < time.Minute:
		return fmt.Sprintf("for %d s", int(d.Seconds())+1)
	case d < 2*time.Hour:
		return fmt.Sprintf("for %d min", int(d.Minutes())+1)
	case d < 48*time.Hour:
		return fmt.Sprintf("for %d h", int(d.Hours())+1)
	default:
		return fmt.Sprintf("for %d days", int(d.Hours()/24)+1)
	}
}

func moment(t time.Time) string { return policy.When(t) }
