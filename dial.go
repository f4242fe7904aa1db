package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/lindero/lindero/phone"
	"github.com/lindero/lindero/phone/audio"
	"github.com/lindero/lindero/phone/trial"
	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/transport"
)

// A usageError is a command line that makes no sense; the process ends with 2.
type usageError struct{ error }

// talkTime is how long `lindero dial` talks when it is not told.
const talkTime = 5 * time.Second

// dialFlags are the flags of `lindero dial`.
type dialFlags struct {
	from, password, server, transport string
	demo, as                          string
	insecure, register, answer        bool
	duration                          time.Duration
	tone, expect                      float64
	play, record, digits              string
	json                              bool
}

func newDialCommand() *cobra.Command {
	var f dialFlags
	cmd := &cobra.Command{
		Use:   "dial [sip:NUMBER@DOMAIN]",
		Short: "place a real test call, or answer one, and judge the audio",
		Long: `dial is a telephone: it calls (or with --answer registers and waits for one
call), plays a tone and listens.

It ends with 0 only when the call was answered, sound went both ways and what
was expected was heard; with 1 and one line that says why not; with 2 when the
command line makes no sense. A call expects its own tone, as an echo returns it;
--expect-tone says otherwise, and --expect-tone 0 takes any sound.`,
		Example: `  lindero dial 600 --demo data/demo.json --as 101
  lindero dial --answer --demo data/demo.json --as 102 --tone 880
  lindero dial sip:102@demo.lindero.test --from sip:101@demo.lindero.test --password … --server 127.0.0.1:5060 --expect-tone 880`,
		Args: func(_ *cobra.Command, args []string) error {
			if f.answer == (len(args) == 1) || len(args) > 1 {
				return usageError{errors.New("dial: give one number to call, or --answer to wait for a call")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			plan, err := f.plan(cmd.Context(), args, cmd.Flags().Changed)
			if err != nil {
				return err
			}
			return f.run(cmd.Context(), plan, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{fmt.Errorf("dial: %w", err)} })
	f.declare(cmd)
	return cmd
}

func (f *dialFlags) declare(cmd *cobra.Command) {
	set := cmd.Flags()
	set.StringVar(&f.from, "from", "", "our own address, like sip:101@demo.lindero.test")
	set.StringVar(&f.password, "password", "", "our password (or in the environment: LINDERO_PASSWORD)")
	set.StringVar(&f.server, "server", "", "the edge, host:port; default: the domain of --from")
	set.StringVar(&f.transport, "transport", "udp", "udp, tcp or tls")
	set.BoolVar(&f.insecure, "insecure", false, "take any certificate of the server")
	set.StringVar(&f.demo, "demo", "", "the demo.json of `lindero up`, which names server and password")
	set.StringVar(&f.as, "as", "101", "which of the demo's users to be")
	set.BoolVar(&f.register, "register", false, "register before the call")
	set.BoolVar(&f.answer, "answer", false, "register, wait for one call and answer it")
	set.DurationVar(&f.duration, "for", talkTime, "how long to talk; with --answer the default is until the caller hangs up")
	set.Float64Var(&f.tone, "tone", 440, "the tone we play, in Hz")
	set.StringVar(&f.play, "play", "", "a WAV (8 kHz mono 16 bit) or raw file to play instead")
	set.Float64Var(&f.expect, "expect-tone", 0, "the tone we must hear, in Hz; 0: any sound (default: our own, or any with --answer or --play)")
	set.StringVar(&f.digits, "dtmf", "", "keys to press when answered")
	set.StringVar(&f.record, "record", "", "write what we hear to this WAV file")
	set.BoolVar(&f.json, "json", false, "print the report as JSON")
}

// plan is what the command line asks for; its errors are the caller's mistakes.
func (f *dialFlags) plan(ctx context.Context, args []string, given func(string) bool) (trial.Plan, error) {
	plan := trial.Plan{Register: f.register, Answer: f.answer, For: f.duration, Tone: f.tone, Digits: f.digits}
	if len(args) == 1 {
		plan.Target = args[0]
	}
	if f.answer && !given("for") {
		plan.For = 0
	}
	switch {
	case given("expect-tone"):
		plan.Expect = f.expect
	case !f.answer && f.play == "":
		plan.Expect = f.tone
	}
	for name, hz := range map[string]float64{"tone": f.tone, "expect-tone": plan.Expect} {
		if hz != 0 && (hz < 50 || hz > audio.Rate/2-50) {
			return plan, usageError{fmt.Errorf("dial: --%s %g: a telephone carries 50 to %d Hz", name, hz, audio.Rate/2-50)}
		}
	}
	source, err := f.sound()
	if err != nil {
		return plan, usageError{fmt.Errorf("dial: --play: %w", err)}
	}
	plan.Phone, err = f.phone(ctx)
	plan.Phone.Sound = source
	if err != nil {
		return plan, usageError{fmt.Errorf("dial: %w", err)}
	}
	return plan, nil
}

// sound makes what each call plays.
func (f *dialFlags) sound() (func() audio.Source, error) {
	if f.play == "" {
		return func() audio.Source { return audio.NewMarked(audio.NewTone(audio.DefaultLevel, f.tone)) }, nil
	}
	samples, err := audio.Load(f.play)
	if err != nil {
		return nil, err
	}
	return func() audio.Source { return audio.NewLoop(samples) }, nil
}

// phone is who we are and where the server is.
func (f *dialFlags) phone(ctx context.Context) (phone.Config, error) {
	cfg := phone.Config{Password: f.password}
	if cfg.Password == "" {
		cfg.Password = os.Getenv("LINDERO_PASSWORD")
	}
	for _, p := range []transport.Protocol{transport.UDP, transport.TCP, transport.TLS} {
		if p.String() == f.transport {
			cfg.Protocol = p
		}
	}
	if cfg.Protocol == 0 {
		return cfg, fmt.Errorf("--transport %s: must be udp, tcp or tls", f.transport)
	}
	server := f.server
	if f.demo != "" {
		edge, err := f.readDemo(&cfg)
		if err != nil {
			return cfg, err
		}
		if server == "" {
			server = edge
		}
	}
	if f.from != "" {
		uri, err := sip.ParseURI([]byte(f.from))
		if err != nil || len(uri.User) == 0 || len(uri.Host) == 0 {
			return cfg, fmt.Errorf("--from %s: must look like sip:101@demo.lindero.test", f.from)
		}
		if cfg.Username, err = url.PathUnescape(string(uri.User)); err != nil {
			return cfg, fmt.Errorf("--from %s: %w", f.from, err)
		}
		cfg.Domain = string(uri.Host)
	}
	if cfg.Username == "" {
		return cfg, errors.New("who are we? give --from and --password, or --demo and --as")
	}
	if server == "" {
		server = cfg.Domain
	}
	if cfg.Protocol == transport.TLS {
		f.trust(&cfg, server)
	}
	var err error
	cfg.Server, err = resolve(ctx, server, cfg.Protocol)
	return cfg, err
}

// readDemo takes an account out of the demo's sheet and returns the edge's
// address for the protocol.
func (f *dialFlags) readDemo(cfg *phone.Config) (edge string, err error) {
	text, err := os.ReadFile(f.demo)
	if err != nil {
		return "", fmt.Errorf("--demo: %w", err)
	}
	var sheet demoSheet
	if err := json.Unmarshal(text, &sheet); err != nil {
		return "", fmt.Errorf("--demo %s: %w", f.demo, err)
	}
	for _, u := range sheet.Users {
		if u.Extension != f.as {
			continue
		}
		cfg.Username, cfg.Domain = u.Username, sheet.Domain
		if cfg.Password == "" {
			cfg.Password = u.Password
		}
		if cfg.Protocol != transport.TLS {
			return sheet.Edge, nil
		}
		// TLS is served on the port after that of UDP and TCP, unless the flags of
		// `lindero up` said otherwise; then --server does too.
		plain, err := netip.ParseAddrPort(sheet.Edge)
		if err != nil {
			return "", fmt.Errorf("--demo %s: edge: %w", f.demo, err)
		}
		return netip.AddrPortFrom(plain.Addr(), plain.Port()+1).String(), nil
	}
	return "", fmt.Errorf("--as %s: the demo has no such user", f.as)
}

// trust says which certificates of the server are good: any, the demo's own,
// which lies beside its sheet, or what the system trusts.
func (f *dialFlags) trust(cfg *phone.Config, server string) {
	host, _, err := net.SplitHostPort(server)
	if err != nil {
		host = server
	}
	cfg.TLS = &tls.Config{ServerName: host, InsecureSkipVerify: f.insecure, MinVersion: tls.VersionTLS12}
	if f.demo == "" {
		return
	}
	if pem, err := os.ReadFile(filepath.Join(filepath.Dir(f.demo), "tls.crt")); err == nil {
		cfg.TLS.RootCAs = x509.NewCertPool()
		cfg.TLS.RootCAs.AppendCertsFromPEM(pem)
	}
}

// resolve turns host, host:port or an address into an address.
func resolve(ctx context.Context, server string, proto transport.Protocol) (netip.AddrPort, error) {
	if addr, err := netip.ParseAddrPort(server); err == nil {
		return addr, nil
	}
	port := "5060"
	if proto == transport.TLS {
		port = "5061"
	}
	if _, _, err := net.SplitHostPort(server); err == nil {
		port = ""
	} else {
		server = net.JoinHostPort(server, port)
	}
	host, number, err := net.SplitHostPort(server)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("--server %s: %w", server, err)
	}
	n, err := net.DefaultResolver.LookupPort(ctx, "udp", number)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("--server %s: %w", server, err)
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil || len(addrs) == 0 {
		return netip.AddrPort{}, fmt.Errorf("--server: where is %s? %w", host, err)
	}
	return netip.AddrPortFrom(addrs[0].Unmap(), uint16(n)), nil
}

// run does the plan, shows it and says how it went.
func (f *dialFlags) run(ctx context.Context, plan trial.Plan, out, errs io.Writer) error {
	show := liveLine(errs)
	result, err := trial.Run(ctx, plan, show)
	endLine(errs)
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	if f.record != "" && result.Answered {
		if err := writeRecording(f.record, result.Recording); err != nil {
			return fmt.Errorf("dial: %w", err)
		}
	}
	if f.json {
		err = json.NewEncoder(out).Encode(result)
	} else if result.Answered {
		err = printResult(out, result)
	}
	if err != nil {
		return fmt.Errorf("dial: printing the report: %w", err)
	}
	if !result.OK {
		return errors.New("dial: " + result.Why)
	}
	return nil
}

func writeRecording(path string, samples []int16) error {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("recording: %w", err)
	}
	return errors.Join(audio.WriteWAV(file, samples), file.Close())
}

// printResult is the table at the end of a call.
func printResult(out io.Writer, r trial.Result) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, name+"\t"+format+"\n", args...) // a tabwriter keeps its error until Flush
	}
	line("set-up", "%.0f ms", r.SetupMS)
	line("codec", "%s", r.Codec)
	line("talked", "%.1f s; %s", r.Seconds, r.Ended)
	line("sent", "%d packets", r.Sent)
	line("received", "%d packets, %d lost (%.1f %%), %d reordered", r.Received, r.Lost, r.LossPercent, r.Reordered)
	line("jitter", "%.1f ms", r.JitterMS)
	switch {
	case r.ToneShare > 0:
		line("heard", "%g Hz, %.0f %% of the time, %.0f dB, %d gaps", r.Expected, 100*r.ToneShare, r.ToneLevel, r.ToneGaps)
	case r.Strongest > 0:
		line("heard", "%g Hz", r.Strongest)
	case r.Loud > 0:
		line("heard", "sound %.0f %% of the time, no tone", 100*r.Loud)
	default:
		line("heard", "nothing")
	}
	if r.Echo {
		line("echo after", "%.0f ms", r.RoundTripMS)
	}
	if r.Digits != "" {
		line("digits", "%s", r.Digits)
	}
	line("MOS", "%.1f", r.MOS)
	return w.Flush()
}

// terminal tells whether w is one, on which a line can be written over.
func terminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// liveLine shows progress in one line that is written over; where it cannot be,
// it shows each new state once.
func liveLine(w io.Writer) func(trial.Progress) {
	over, last := terminal(w), ""
	return func(p trial.Progress) {
		switch {
		case over && p.Talked > 0:
			fmt.Fprintf(w, "\r\x1b[K%s %4.1f s, %d packets sent, %d received, %d lost, jitter %.1f ms", p.State,
				p.Talked.Seconds(), p.Report.Sent, p.Report.Received, p.Report.Lost, float64(p.Report.Jitter)/float64(time.Millisecond))
		case over:
			fmt.Fprintf(w, "\r\x1b[K%s …", p.State)
		case p.State != last:
			fmt.Fprintln(w, p.State)
		}
		last = p.State
	}
}

func endLine(w io.Writer) {
	if terminal(w) {
		fmt.Fprint(w, "\r\x1b[K")
	}
}
