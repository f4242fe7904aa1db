package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/lindero/lindero/phone/audio"
	"github.com/lindero/lindero/phone/trial"
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
		Short: "Place a real test call, or answer one, and judge the audio",
		Long: `dial is a telephone: it calls (or with --answer registers and waits for one
call), plays a tone and listens.

It ends with 0 only when the call was answered, sound went both ways and what
was expected was heard; with 1 and one line that says why not; with 2 when the
command line makes no sense. Any sound that lasts will do, be it a person, a greeting or
an echo of our own; --expect-tone asks for one tone, most of the time.`,
		Example: `  lindero dial 600 --demo data/demo.json --as 101
  lindero dial --answer --demo data/demo.json --as 102 --tone 880
  lindero dial sip:102@demo.lindero.test --from sip:101@demo.lindero.test --password … --server 127.0.0.1:5060 --expect-tone 880`,
		Args: func(_ *cobra.Command, args []string) error {
			if f.answer == (len(args) == 1) || len(args) > 1 || len(args) == 1 && args[0] == "" {
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
	set.StringVar(&f.demo, "demo", "", "the demo.json that lindero up wrote: it names server and password")
	set.StringVar(&f.as, "as", "101", "which of the demo's users to be")
	set.BoolVar(&f.register, "register", false, "register before the call")
	set.BoolVar(&f.answer, "answer", false, "register, wait for one call and answer it")
	set.DurationVar(&f.duration, "for", talkTime, "how long to talk; 0, the default with --answer: until the other side hangs up")
	set.Float64Var(&f.tone, "tone", 440, "the tone we play, in Hz")
	set.StringVar(&f.play, "play", "", "a WAV (8 kHz mono 16 bit) or raw file to play instead")
	set.Float64Var(&f.expect, "expect-tone", 0, "the tone we must hear, in Hz; 0: any sound will do")
	set.StringVar(&f.digits, "dtmf", "", "keys to press when answered")
	set.StringVar(&f.record, "record", "", "write what we hear to this WAV file")
	set.BoolVar(&f.json, "json", false, "print the report as JSON")
}

// plan is what the command line asks for; its errors are the caller's mistakes.
func (f *dialFlags) plan(ctx context.Context, args []string, given func(string) bool) (trial.Plan, error) {
	plan := trial.Plan{Register: f.register, Answer: f.answer, For: f.duration, Expect: f.expect, Digits: f.digits}
	if len(args) == 1 {
		plan.Target = args[0]
	}
	if f.answer && !given("for") {
		plan.For = 0
	}
	if f.duration < 0 {
		return plan, usageError{fmt.Errorf("dial: --for %v: must not be negative", f.duration)}
	}
	for name, hz := range map[string]float64{"tone": f.tone, "expect-tone": f.expect} {
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
