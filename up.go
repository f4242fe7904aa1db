package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/lindero/lindero/core"
	"github.com/lindero/lindero/core/api"
	"github.com/lindero/lindero/edge"
	"github.com/lindero/lindero/relay"
	"github.com/lindero/lindero/shield"
)

// An upConfig is how all roles in one process find each other and are found. Each
// key of it is a flag of `lindero up` too.
type upConfig struct {
	Data       string          `yaml:"data"`
	SIP        netip.AddrPort  `yaml:"sip"`
	SIPS       netip.AddrPort  `yaml:"sips"`
	Advertise  netip.Addr      `yaml:"advertise"`
	Media      netip.Addr      `yaml:"media"`
	MediaPorts relay.PortRange `yaml:"media_ports"`
	Inside     netip.AddrPort  `yaml:"inside"`
	Core       netip.AddrPort  `yaml:"core_sip"`
	NG         netip.AddrPort  `yaml:"ng"`
	VoicePorts string          `yaml:"voice_ports"`
	HTTP       string          `yaml:"http"`    // an address and port, or off
	Devices    string          `yaml:"devices"` // with commas between
}

// An upFile is the file of `lindero up`: its own keys, and for whoever wants
// more, what a role's own file could say, under the name of the role.
type upFile struct {
	Process processConfig `yaml:",inline"`
	Up      upConfig      `yaml:",inline"`
	Edge    edge.Config   `yaml:"edge"`
	Relay   relay.Config  `yaml:"relay"`
	Core    core.Config   `yaml:"core"`
	Shield  shield.Config `yaml:"shield"` // one for edge and relay
}

func defaultUp() upConfig {
	local := func(port uint16) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
	}
	return upConfig{
		Data: "./data", SIP: local(5060), SIPS: local(5061), Inside: local(5065), Core: local(5070), NG: local(2223), HTTP: core.DefaultConfig().HTTP,
		MediaPorts: relay.DefaultConfig().MediaPorts, VoicePorts: core.DefaultConfig().MediaPorts,
	}
}

func newUpFile() *upFile {
	return &upFile{
		Process: processConfig{Role: "up", Metrics: defaultMetrics},
		Up:      defaultUp(),
		Edge:    edge.DefaultConfig(), Relay: relay.DefaultConfig(), Core: core.DefaultConfig(), Shield: shield.DefaultConfig(),
	}
}

// upFlags are the flags that flags defines.
var upFlags = []string{"data", "sip", "sips", "advertise", "media", "media-ports", "inside", "core", "ng", "voice-ports", "http", "devices", "metrics"}

// flags defines one flag for each key.
func (f *upFile) flags(cmd *cobra.Command) {
	c, set := &f.Up, cmd.Flags()
	set.StringVar(&c.Data, "data", c.Data, "`directory` of the database, keys and demo accounts; made when missing")
	set.TextVar(&c.SIP, "sip", c.SIP, "`addr:port` where phones reach SIP over UDP and TCP")
	set.TextVar(&c.SIPS, "sips", c.SIPS, "`addr:port` where phones reach SIP over TLS; empty for none")
	set.TextVar(&c.Advertise, "advertise", c.Advertise, "public `IP` address, when it is another than that of --sip (1:1 NAT)")
	set.TextVar(&c.Media, "media", c.Media, "`IP` address where phones send audio (default the one of --sip)")
	set.TextVar(&c.MediaPorts, "media-ports", c.MediaPorts, "UDP `ports` of the relay")
	set.TextVar(&c.Inside, "inside", c.Inside, "`addr:port` of the edge's inside, for core")
	set.TextVar(&c.Core, "core", c.Core, "`addr:port` of core, for the edge")
	set.TextVar(&c.NG, "ng", c.NG, "`addr:port` of the relay's control, for the edge")
	set.StringVar(&c.VoicePorts, "voice-ports", c.VoicePorts, "UDP `ports` of core's own voice")
	set.StringVar(&c.HTTP, "http", c.HTTP, "`addr:port` of core's page and API, or off")
	set.StringVar(&c.Devices, "devices", c.Devices, "network `devices` to filter in the kernel, with commas between; it needs privileges")
	set.StringVar(&f.Process.Metrics, "metrics", f.Process.Metrics, "`addr:port` where /metrics, /healthz, /readyz and /debug/pprof are, or off")
}

func newUpCommand() *cobra.Command {
	var path string
	shown := newUpFile() // what --help shows, and what the flags are parsed into
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Edge, relay and core in one process, with a demo company",
		Long: `up runs all roles in one process over the same protocols they use apart. It needs
no privileges. On an empty data directory it makes a demo company and prints its
accounts; later starts keep what is there.

A file given by --config has "role: up", the flags as keys (with _ for -; the flag
--core is the key core_sip), and under edge, relay, core and shield whatever the
roles' own files may say. Flags win over the file.`,
		Example: `  lindero up
  lindero up --sip 192.0.2.1:5060 --sips 192.0.2.1:5061    for the phones of a network

  A second one beside the first:
  lindero up --data data2 --sip 127.0.0.2:5060 --sips 127.0.0.2:5061 --inside 127.0.0.2:5065 \
    --core 127.0.0.2:5070 --ng 127.0.0.2:2223 --metrics 127.0.0.2:9464 --http 127.0.0.2:8080 --voice-ports 41000-41999`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var text []byte
			if path != "" {
				var err error
				if text, err = os.ReadFile(path); err != nil {
					return fmt.Errorf("reading the configuration: %w", err)
				}
			}
			f, err := readUp(path, text, cmd)
			if err != nil {
				return err
			}
			return f.run(cmd)
		},
	}
	shown.flags(cmd)
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return fmt.Errorf("up: %w\naddresses look like 127.0.0.1:5060, port ranges like 30000-39999; lindero up --help has all flags", err)
	})
	cmd.Flags().StringVar(&path, "config", "", "`file` with these settings and more")
	return cmd
}

// readUp puts together the defaults, the file and the flags that were given, in
// that order, then what follows from them for each role, over which the file's
// sections for the roles have the last word. text and given may be nil.
func readUp(path string, text []byte, given *cobra.Command) (*upFile, error) {
	f := newUpFile()
	if text != nil {
		f.Process.Role = "" // the file must say it
		first := newUpFile()
		if _, err := decodeOver(path, text, first); err != nil {
			return nil, err
		}
		f.Up, f.Process.Metrics = first.Up, first.Process.Metrics // its faults come up again below
	}
	if given != nil {
		own := &cobra.Command{}
		f.flags(own)
		for _, name := range upFlags {
			if flag := given.Flags().Lookup(name); flag.Changed {
				_ = own.Flags().Set(name, flag.Value.String()) // it was parsed once already
			}
		}
	}
	f.derive()
	if text == nil {
		return f, f.Validate()
	}
	up, metrics := f.Up, f.Process.Metrics
	d, err := decodeOver(path, text, f)
	if err != nil {
		return nil, err
	}
	f.Up, f.Process.Metrics = up, metrics
	d.validate(f)
	return f, d.err()
}

// derive fills in what the settings of up mean for each role.
func (f *upFile) derive() {
	up, in := f.Up, func(name string) string { return filepath.Join(f.Up.Data, name) }
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})

	f.Edge.Name = "edge"
	f.Edge.SIP, f.Edge.SIPS, f.Edge.Advertise, f.Edge.Inside = up.SIP, up.SIPS, up.Advertise, up.Inside
	f.Edge.Core = []netip.AddrPort{up.Core}
	f.Edge.Relays = []edge.Relay{{ID: "relay", NG: edge.UDP(up.NG)}}
	f.Edge.KeyFile = in("edge.key")
	f.Edge.TLS.Cert, f.Edge.TLS.Key = in("tls.crt"), in("tls.key")

	f.Relay.ID, f.Relay.NG, f.Relay.MediaPorts = "relay", up.NG, up.MediaPorts
	f.Relay.State = in("calls")
	f.Relay.External, f.Relay.Internal = up.media(), relay.Interface{Bind: loopback}

	f.Core.SIP, f.Core.Database, f.Core.KeyFile = up.Core, "sqlite:"+in("lindero.db"), in("core.key")
	f.Core.Media, f.Core.MediaPorts = loopback, up.VoicePorts

	f.Shield.State, f.Shield.Countries, f.Shield.Control = in("shield.json"), in(countriesFile), in("control.sock")
	if up.Devices != "" {
		f.Shield.Devices = strings.FieldsFunc(up.Devices, func(c rune) bool { return c == ',' || c == ' ' })
	}
	f.Core.HTTP, f.Core.Countries = up.HTTP, in(countriesFile)
	if at, err := netip.ParseAddrPort(up.HTTP); err == nil { // else off, or a fault that core finds
		f.Core.Tokens = []api.Token{
			{Name: "operator", File: in(operatorToken), Scope: api.Operator},
			{Name: "node", File: in(nodeToken), Scope: api.Node},
		}
		f.Shield.Core, f.Shield.TokenFile = urlOf(at), in(nodeToken)
	}
}

// Files of the data directory that more than one part of the process knows.
const (
	countriesFile = "countries.mmdb"
	operatorToken = "operator.token"
	nodeToken     = "node.token"
)

// urlOf is where this machine reaches what listens at a.
func urlOf(a netip.AddrPort) string {
	if a.Addr().IsUnspecified() {
		loopback := netip.IPv6Loopback()
		if a.Addr().Is4() {
			loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
		a = netip.AddrPortFrom(loopback, a.Port())
	}
	return "http://" + a.String()
}

// media is the relay's outside: where it binds, and what phones are told.
func (c upConfig) media() relay.Interface {
	i := relay.Interface{Bind: c.Media}
	if !i.Bind.IsValid() {
		i.Bind = c.SIP.Addr()
	}
	if c.Advertise != i.Bind {
		i.Advertise = c.Advertise
	}
	return i
}

// Validate reports every fault at once.
func (f *upFile) Validate() error {
	errs := f.Process.validate("up")
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if f.Up.Data == "" {
		fail("data: required")
	}
	if at, err := netip.ParseAddrPort(f.Up.HTTP); err == nil && at.Port() == 0 {
		fail("http: wants a port, since the shield must find it (flag --http)")
	}
	if at, err := netip.ParseAddrPort(f.Up.HTTP); f.Core.HTTP != f.Up.HTTP && err == nil && f.Shield.Core == urlOf(at) {
		fail("core.http: say it outside of core, as http, so that the shield finds it too")
	}
	told := map[string]bool{} // the roles find the same faults again
	if f.Up.SIP.Addr().IsUnspecified() && !f.Up.Advertise.IsValid() {
		fail("advertise: required when sip is %v: phones must be told one address (flag --advertise)", f.Up.SIP)
		told["edge.advertise"] = true
	}
	if f.Up.SIP.Addr().IsUnspecified() && !f.Up.Media.IsValid() {
		fail("media: required when sip is %v: the relay sends from one address (flag --media)", f.Up.SIP)
		told["relay.external"] = true
	}
	return errors.Join(append(errs, prefixed("edge.", f.Edge.Validate(), told),
		prefixed("relay.", f.Relay.Validate(), told), prefixed("core.", f.Core.Validate(), told),
		prefixed("shield.", f.Shield.Validate(), told))...)
}

// prefixed puts prefix before every line of err, and drops what was told already.
func prefixed(prefix string, err error, told map[string]bool) error {
	if err == nil {
		return nil
	}
	var lines []error
	for line := range strings.SplitSeq(err.Error(), "\n") {
		path, _, _ := strings.Cut(prefix+line, ":")
		if !told[path] {
			lines = append(lines, errors.New(prefix+line))
		}
	}
	return errors.Join(lines...)
}

// run serves until the command's context ends.
func (f *upFile) run(cmd *cobra.Command) error {
	ctx, log := cmd.Context(), f.Process.logger(cmd.ErrOrStderr())
	dir, err := openDataDir(f.Up.Data)
	if err != nil {
		return err
	}
	defer dir.close()
	if err := dir.ensureCertificate(f.Up.SIP.Addr(), f.Up.Advertise); err != nil {
		return err
	}
	if err := dir.ensureTokens(f.Core.Tokens); err != nil {
		return err
	}
	var border *edge.Edge
	var demo *demoSheet
	build := func(reg prometheus.Registerer) (parts []part, err error) {
		if parts, border, err = f.build(log, reg); err != nil {
			return nil, err
		}
		// Only now: a start that fails for want of a port leaves no accounts behind.
		demo, err = dir.ensureDemo(ctx, f.Core.Database, f.places(border.Addresses()))
		return parts, err
	}
	return serveRoles(ctx, log, f.Process.Metrics, false, settingsOf(f, upName), build, func() {
		if err := dir.announce(cmd.OutOrStdout(), demo, f.places(border.Addresses())); err != nil {
			log.Error("announcing the demo", "err", err)
		}
	})
}

// build makes the guard and the three roles, the callee of each connection before
// its caller, and lists them in the order in which they end.
func (f *upFile) build(log *slog.Logger, reg prometheus.Registerer) (parts []part, border *edge.Edge, err error) {
	g, err := shield.New(f.Shield, f.Edge.Name, "up", log.With("role", "shield"), reg)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.Close())
		}
	}()
	r, err := newGuardedRelay(g, f.Relay, log, reg)
	if err != nil {
		return nil, nil, err
	}
	parts, err = buildCore(f.Core, log, reg)
	if err != nil {
		return nil, nil, err
	}
	border, err = newGuardedEdge(g, f.Edge, log, reg)
	if err != nil {
		return nil, nil, err
	}
	return append(parts, part{"edge", border.Run, border.Ready}, part{"relay", r.Run, r.Ready}, guardPart(g)), border, nil
}

// upName is the flag for a key of up's file.
func upName(key string) string {
	if key == "core_sip" {
		key = "core"
	}
	return "--" + strings.ReplaceAll(key, "_", "-")
}
