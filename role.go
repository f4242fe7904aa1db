package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"reflect"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/lindero/lindero/core"
	"github.com/lindero/lindero/edge"
	"github.com/lindero/lindero/relay"
	"github.com/lindero/lindero/shield"
)

// A processConfig is what the file of every process has, whatever its role.
type processConfig struct {
	Role    string     `yaml:"role"`    // edge, relay, core or up: a file says what it is for
	Metrics string     `yaml:"metrics"` // addr:port of /metrics and its kin, or off
	Log     slog.Level `yaml:"log"`     // debug, info, warn or error
}

const defaultMetrics = "127.0.0.1:9464"

func (c processConfig) validate(role string) []error {
	var errs []error
	if c.Role != role {
		errs = append(errs, fmt.Errorf("role: must be %q in this file, not %q", role, c.Role))
	}
	if c.Metrics != "off" {
		if _, err := netip.ParseAddrPort(c.Metrics); err != nil {
			errs = append(errs, fmt.Errorf("metrics: %q is neither an address and port nor off", c.Metrics))
		}
	}
	return errs
}

func (c processConfig) logger(out io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: c.Log}))
}

// A roleFile is the configuration file of one role.
type roleFile[C interface{ Validate() error }] struct {
	Process processConfig `yaml:",inline"`
	Config  C             `yaml:",inline"`

	role string
}

// Validate reports every fault at once; readConfig calls it.
func (f *roleFile[C]) Validate() error {
	return errors.Join(append(f.Process.validate(f.role), f.Config.Validate())...)
}

func newRoleFile[C interface{ Validate() error }](role string, defaults C) *roleFile[C] {
	return &roleFile[C]{Process: processConfig{Metrics: defaultMetrics}, Config: defaults, role: role}
}

func edgeFile() *roleFile[shielded[edge.Config]] {
	return newRoleFile("edge", shielded[edge.Config]{edge.DefaultConfig(), shield.DefaultConfig()})
}

func relayFile() *roleFile[shielded[relay.Config]] {
	return newRoleFile("relay", shielded[relay.Config]{relay.DefaultConfig(), shield.DefaultConfig()})
}

func coreFile() *roleFile[core.Config] { return newRoleFile("core", core.DefaultConfig()) }

// The constructors of the roles, as parts, in the order in which they end. The
// guard is made first: its policy is in force before anybody listens.

func buildEdge(c shielded[edge.Config], log *slog.Logger, reg prometheus.Registerer) ([]part, error) {
	g, err := newGuard(c.Shield, stateBeside(c.Role.KeyFile), c.Role.Name, "edge", log, reg)
	if err != nil {
		return nil, err
	}
	e, err := newGuardedEdge(g, c.Role, log, reg)
	if err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return []part{{"edge", e.Run, e.Ready}, guardPart(g)}, nil
}

func buildRelay(c shielded[relay.Config], log *slog.Logger, reg prometheus.Registerer) ([]part, error) {
	c.Shield.Control = cmp.Or(c.Shield.Control, relayControl(c.Role.ID))
	if c.Role.State = cmp.Or(c.Role.State, relayState(c.Role.ID)); c.Role.State == "" {
		log.Warn("without state, and without a "+stateDir+", a restart forgets the calls", "role", "relay")
	}
	g, err := newGuard(c.Shield, stateOf(c.Role.ID), c.Role.ID, "relay", log, reg)
	if err != nil {
		return nil, err
	}
	r, err := newGuardedRelay(g, c.Role, log, reg, relay.EndWhenDrained())
	if err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return []part{{"relay", drainable(r), r.Ready}, guardPart(g)}, nil
}

// drainable runs a relay that a signal drains, too. When it is drained its process is
// done.
func drainable(r *relay.Relay) func(context.Context) error {
	return func(ctx context.Context) error {
		asked := make(chan os.Signal, 1)
		signal.Notify(asked, syscall.SIGUSR1)
		defer signal.Stop(asked)
		own, cancel := context.WithCancel(ctx)
		var listening sync.WaitGroup
		defer listening.Wait()
		defer cancel()
		listening.Go(func() {
			for {
				select {
				case <-asked:
					r.Drain(time.Time{})
				case <-own.Done():
					return
				}
			}
		})
		err := r.Run(ctx)
		if errors.Is(err, relay.ErrDrained) {
			return errDone
		}
		return err
	}
}

func buildCore(c core.Config, log *slog.Logger, reg prometheus.Registerer) ([]part, error) {
	k, err := core.New(c, log.With("role", "core"), reg)
	if err != nil {
		return nil, err
	}
	return []part{{"core", k.Run, k.Ready}}, nil
}

func newEdgeCommand() *cobra.Command {
	return roleCommand(edgeFile, buildEdge, "edge", "The session border controller: the only SIP a stranger can reach")
}

func newCoreCommand() *cobra.Command {
	return roleCommand(coreFile, buildCore, "core", "Registers phones and decides what calls do")
}

func roleCommand[C interface{ Validate() error }](file func() *roleFile[C], build func(C, *slog.Logger, prometheus.Registerer) ([]part, error), role, short string) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   role + " --config FILE",
		Short: short,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f := file()
			if err := readConfig(path, f); err != nil {
				return err
			}
			log := f.Process.logger(cmd.ErrOrStderr())
			return serveRoles(cmd.Context(), log, f.Process.Metrics, true, settingsOf(f, plainKey), func(reg prometheus.Registerer) ([]part, error) {
				return build(f.Config, log, reg)
			}, func() { log.Info("serving", "role", role, "version", version) })
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "the role's configuration file")
	if err := cmd.MarkFlagRequired("config"); err != nil {
		panic(err) // the flag is defined one line above
	}
	return cmd
}

// serveRoles builds parts and runs them with the health server of the process
// beside them; alone is for a role whose others are elsewhere. settings explain which
// key or flag chose an address.
func serveRoles(ctx context.Context, log *slog.Logger, metrics string, alone bool, settings []setting, build func(prometheus.Registerer) ([]part, error), started func()) error {
	var health *healthServer
	if metrics != "off" {
		var err error
		if health, err = newHealthServer(metrics); err != nil {
			return explainListen(err, settings)
		}
		defer health.close()
	}
	reg := newRegistry()
	parts, err := build(reg)
	if err != nil {
		return explainListen(err, settings)
	}
	g := &group{parts: parts, alone: alone, health: health, log: log}
	if health != nil {
		health.start(reg, g.ready)
	}
	return g.serve(ctx, started)
}

func plainKey(path string) string { return path + " in the configuration" }

// settingsOf lists the addresses of a configuration with the names by which a
// person changes them.
func settingsOf(config any, name func(path string) string) []setting {
	var all []setting
	collectSettings(reflect.ValueOf(config).Elem(), name, &all)
	return all
}

func collectSettings(v reflect.Value, name func(string) string, all *[]setting) {
	fields := map[string]reflect.Value{}
	fieldsOf(v, fields)
	for _, key := range sortedKeys(fields) {
		text := fmt.Sprint(fields[key].Interface())
		if at, err := netip.ParseAddrPort(text); err == nil {
			*all = append(*all, setting{name(key), at})
		}
	}
}
