package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lindero/lindero/core/api"
)

// callsFlags are what `lindero calls` understands.
type callsFlags struct {
	shieldFlags
	watch bool
	limit int
}

func newCallsCommand() *cobra.Command {
	var f callsFlags
	cmd := &cobra.Command{
		Use:   "calls",
		Short: "The calls that go on: which relay carries them, and how they sound",
		Long: `calls asks core's API (--api), with an operator's token, for the calls that go on,
and core asks the relays. Beside a lindero up with its usual data directory no flag
is needed.

Each call has a line for what either side sends, as its relay takes it in: the path
of its packets (kernel or user space), codec, loss, jitter, and the mean opinion
score that the E-model makes of them (ITU-T G.107): good, fair or poor.`,
		Example: `  lindero calls
  lindero calls --watch
  lindero calls --json`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), cmd.OutOrStdout()) },
	}
	f.reach(cmd)
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON, for programs")
	cmd.Flags().BoolVar(&f.watch, "watch", false, "draw anew every two seconds, until Ctrl-C")
	cmd.Flags().IntVar(&f.limit, "limit", 200, "show at most so `many` calls, the newest; up to 1000")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{fmt.Errorf("calls: %w", err)} })
	return cmd
}

func (f *callsFlags) run(ctx context.Context, out io.Writer) error {
	core, err := f.portal("")
	if err != nil {
		return err
	}
	take := func() (list api.CallList, err error) {
		err = core.ask(ctx, http.MethodGet, "/calls?limit="+strconv.Itoa(f.limit), nil, &list)
		return list, err
	}
	list, err := take()
	switch {
	case err != nil:
		return err
	case f.json && !f.watch:
		return printJSON(out, list)
	case !f.watch:
		_, err := io.WriteString(out, strings.Join(drawCalls(list, time.Now()), "\n")+"\n")
		return err
	}
	return f.follow(ctx, out, list, take)
}

// callsEvery is how often --watch asks.
const callsEvery = 2 * time.Second

// follow draws until ctx ends: over the picture before on a terminal, below it
// elsewhere; as JSON a line for each answer. A core that stops answering is waited for.
func (f *callsFlags) follow(ctx context.Context, out io.Writer, list api.CallList, take func() (api.CallList, error)) error {
	screenful := terminal(out) && !f.json
	if screenful {
		fmt.Fprint(out, enterScreen)
		defer fmt.Fprint(out, leaveScreen)
	}
	tick := time.NewTicker(callsEvery)
	defer tick.Stop()
	for fault := ""; ; {
		if err := f.draw(out, list, fault, screenful); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		next, err := take()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			fault, _, _ = strings.Cut(err.Error(), "\n")
		default:
			list, fault = next, ""
		}
	}
}

// draw writes one picture. fault says why it is an old one.
func (f *callsFlags) draw(out io.Writer, list api.CallList, fault string, screenful bool) error {
	if f.json {
		if fault != "" {
			fmt.Fprintln(os.Stderr, fault)
			return nil
		}
		return printJSON(out, list)
	}
	lines := drawCalls(list, time.Now())
	if fault != "" {
		lines[0] = fault
	}
	text := strings.Join(lines, "\n") + "\n\n"
	if screenful {
		s := screenOf(out)
		for i, line := range lines {
			lines[i] = strings.TrimRight(fit(line, s.width), " ")
		}
		text = home + strings.Join(lines[:min(len(lines), s.lines)], clearLine+"\r\n") + clearLine + clearBelow
	}
	_, err := io.WriteString(out, text)
	return err
}
