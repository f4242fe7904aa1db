package main

import (
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/lindero/lindero/phone/trial"
)

// printResult is the table at the end of a call.
func printResult(out io.Writer, r trial.Result) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, name+"\t"+format+"\n", args...) // a tabwriter keeps its error until Flush
	}
	line("set-up", "%.1f ms", r.SetupMS)
	line("codec", "%s", r.Codec)
	line("talked", "%.1f s; %s", r.Seconds, r.Ended)
	line("sent", "%d packets", r.Sent)
	line("received", "%d packets, %d lost (%.1f %%), %d reordered", r.Received, r.Lost, r.LossPercent, r.Reordered)
	line("jitter", "%.1f ms", r.JitterMS)
	switch {
	case r.ToneShare > 0:
		line("heard", "%g Hz, %.0f %% of the time, %.0f dB, %d gaps", r.Expected, 100*r.ToneShare, r.ToneLevel, r.ToneGaps)
	case r.Strongest > 0:
		line("heard", "%g Hz; sound %.0f %% of the time", r.Strongest, 100*r.Loud)
	case r.Loud > 0:
		line("heard", "sound %.0f %% of the time, no tone", 100*r.Loud)
	default:
		line("heard", "nothing")
	}
	if r.Echo {
		line("echo", "our own sound came back after %.1f ms", r.RoundTripMS)
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

// liveLine shows progress in one line that is written over. Where it cannot be,
// it says only when to call, which whoever runs two of us must know.
func liveLine(w io.Writer) func(trial.Progress) {
	over := terminal(w)
	return func(p trial.Progress) {
		switch {
		case !over && p.State == trial.Waiting:
			fmt.Fprintln(w, p.State)
		case !over:
		case p.Talked > 0:
			fmt.Fprintf(w, "\r\x1b[K%s %4.1f s, %d packets sent, %d received, %d lost, jitter %.1f ms", p.State,
				p.Talked.Seconds(), p.Report.Sent, p.Report.Received, p.Report.Lost, float64(p.Report.Jitter)/float64(time.Millisecond))
		default:
			fmt.Fprintf(w, "\r\x1b[K%s …", p.State)
		}
	}
}

func endLine(w io.Writer) {
	if terminal(w) {
		fmt.Fprint(w, "\r\x1b[K")
	}
}
