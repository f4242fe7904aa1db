package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/lindero/lindero/bpf"
	"github.com/lindero/lindero/relay"
	"github.com/lindero/lindero/shield"
)

// relayFlags are what all of the commands about a running relay understand.
type relayFlags struct {
	config, data, control string
	json                  bool
}

func newRelayCommand() *cobra.Command {
	cmd := roleCommand(relayFile, buildRelay, "relay", "Moves the audio between phones and the inside")
	cmd.Long = `relay runs the role by its configuration file. The commands below ask a relay that
runs on this machine, by the control socket of its process: beside a lindero up with
its usual data directory no flag is needed, for a relay --config names its file.

The signal SIGUSR1 drains a relay, as lindero relay drain does.`
	cmd.Example = `  lindero relay --config /etc/lindero/relay.yaml
  lindero relay top
  lindero relay sessions 3848276298220188511@atlanta.example
  lindero relay drain --wait --deadline 1h --config /etc/lindero/relay.yaml`
	for _, of := range []func(*relayFlags) *cobra.Command{
		newRelayStatusCommand, newRelayTopCommand, newRelaySessionsCommand, newRelayDrainCommand, newRelayUndrainCommand,
	} {
		f := &relayFlags{}
		sub := of(f)
		sub.Flags().StringVar(&f.config, "config", "", "configuration `file` of the relay, to find its control socket")
		sub.Flags().StringVar(&f.data, "data", defaultUp().Data, "`directory` where lindero up keeps everything")
		sub.Flags().StringVar(&f.control, "control", "", "control `socket` of the relay's process (default DATA/control.sock)")
		sub.Flags().BoolVar(&f.json, "json", false, "print JSON, for programs")
		sub.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{fmt.Errorf("relay: %w", err)} })
		cmd.AddCommand(sub)
	}
	cmd.AddCommand(newRelayDetachCommand())
	return cmd
}

// socket is where the relay's process answers.
func (f *relayFlags) socket() (string, error) {
	switch {
	case f.control != "":
		return f.control, nil
	case f.config == "":
		return filepath.Join(f.data, "control.sock"), nil
	}
	file := relayFile()
	if err := readConfig(f.config, file); err != nil {
		return "", err
	}
	if c := file.Config.Shield.Control; c != "" {
		return c, nil
	}
	if at := relayControl(file.Config.Role.ID); at != "" {
		return at, nil
	}
	return "", fmt.Errorf("a relay with this configuration has no control socket: shield.control names one, or make %s", stateDir)
}

// ask asks the relay.
func (f *relayFlags) ask(ctx context.Context, method, path string, body, into any) error {
	socket, err := f.socket()
	if err != nil {
		return err
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	c := &caller{
		http: &http.Client{Timeout: patience, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}, base: "http://lindero",
		unreachable: func(err error) error { return noRelay(socket, err) },
	}
	err = c.ask(ctx, method, "/relay/"+path, body, into)
	if r := new(refusal); errors.As(err, &r) && r.Status == http.StatusNotFound && r.Said == "" {
		return fmt.Errorf("the process at %s has no relay (is it an edge's?)", socket)
	}
	return err
}

// noRelay says what to do when nobody answers.
func noRelay(socket string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("no relay runs here: there is no %s\n"+
			"lindero up makes it in its data directory (--data); for a relay, --config names its file, or --control the socket;\n"+
			"calls that an earlier one put into the kernel go on all the same", socket)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no relay runs here: nobody listens at %s, which an earlier process left;\ncalls that it put into the kernel go on all the same", socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; the socket is for its owner alone: run this as the same user, or as root", err)
	}
	return fmt.Errorf("the relay at %s does not answer: %w", socket, err)
}

// status asks for the relay's status.
func (f *relayFlags) status(ctx context.Context) (s relay.Status, err error) {
	return s, f.ask(ctx, http.MethodGet, "status", nil, &s)
}

func newRelayDrainCommand(f *relayFlags) *cobra.Command {
	var wait bool
	var limit time.Duration
	cmd := &cobra.Command{
		Use:   "drain",
		Short: "Take no new calls; a relay that runs by itself ends with its last one",
		Long: `drain has the relay refuse new calls, so that edges take another one; calls in
progress go on. When the last of them has ended, a relay that runs by itself ends, too;
lindero up only says that it is drained. With --deadline it ends then at the latest;
calls that are left go on in the kernel, and in the next process.`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 0 {
				return usageError{errors.New("relay drain: --deadline: a time such as 1h")}
			}
			var d relay.DrainRequest
			if limit > 0 {
				d.Deadline = time.Now().Add(limit)
			}
			var s relay.Status
			if err := f.ask(cmd.Context(), http.MethodPost, "drain", d, &s); err != nil {
				return err
			}
			if wait {
				return f.waitDrained(cmd, s)
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), s)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s takes no new calls; %s\n", s.Relay, callsLeft(s.Calls))
			return nil
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until the last call has ended")
	cmd.Flags().DurationVar(&limit, "deadline", 0, "`time` after which it ends in any case, such as 1h")
	return cmd
}

// waitDrained tells how many calls are left until none is, or the relay has ended.
func (f *relayFlags) waitDrained(cmd *cobra.Command, s relay.Status) error {
	out := cmd.OutOrStdout()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	told := -1
	for !s.Drained {
		if s.Calls != told {
			told = s.Calls
			fmt.Fprintf(out, "%s  %s takes no new calls; %s\n", time.Now().Format(time.TimeOnly), s.Relay, callsLeft(s.Calls))
		}
		select {
		case <-tick.C:
		case <-cmd.Context().Done():
			return errors.New("relay drain: no longer waiting; the relay goes on draining (lindero relay undrain takes it back)")
		}
		name := s.Relay
		var err error
		if s, err = f.status(cmd.Context()); err != nil {
			if cmd.Context().Err() != nil {
				continue
			}
			fmt.Fprintf(out, "%s  %s has ended\n", time.Now().Format(time.TimeOnly), name)
			return nil
		}
		if s.Drain == nil {
			return fmt.Errorf("relay drain: %s takes new calls again: somebody has taken the drain back, or it was restarted", name)
		}
	}
	fmt.Fprintf(out, "%s  %s is drained; %s\n", time.Now().Format(time.TimeOnly), s.Relay, callsLeft(s.Calls))
	return nil
}

func callsLeft(n int) string {
	switch n {
	case 0:
		return "no call is left"
	case 1:
		return "1 call is left"
	}
	return thousands(n) + " calls are left"
}

func newRelayUndrainCommand(f *relayFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "undrain",
		Short: "Take new calls again",
		Args:  none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s relay.Status
			if err := f.ask(cmd.Context(), http.MethodPost, "drain", relay.DrainRequest{Undrain: true}, &s); err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), s)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s takes new calls\n", s.Relay)
			return nil
		},
	}
}

func newRelayDetachCommand() *cobra.Command {
	var pin string
	cmd := &cobra.Command{
		Use:   "detach",
		Short: "Take the forwarding of packets out of the kernel",
		Long: `detach takes out of the kernel what repeats packets there, on all devices. Nothing
else does: neither the end of a relay nor its death. A relay that runs moves the
packets itself from then on; calls that nobody serves fall silent. The filters of the
shield stay (lindero shield detach).`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := bpf.Unforward(pin); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "the kernel repeats no packets any more")
			return nil
		},
	}
	cmd.Flags().StringVar(&pin, "pin", shield.DefaultConfig().Pin, "`directory` of the BPF file system, shield.pin")
	return cmd
}
