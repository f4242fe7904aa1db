package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lindero/lindero/relay"
)

func newRelayTopCommand(f *relayFlags) *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch calls, packets and the legs that sound worst, live",
		Long: `top shows what the relay of this machine does, once a second, until Ctrl-C. Where its
output is no terminal it prints one picture, as with --once.`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.json {
				frame, err := f.frame(cmd.Context())
				if err != nil {
					return err
				}
				return printJSON(cmd.OutOrStdout(), map[string]any{"status": frame.status, "worst": frame.worst})
			}
			return view[relayFrame]{cmd.OutOrStdout(), f.frame, drawRelay}.show(cmd.Context(), once)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "print one picture of a second and end")
	return cmd
}

// A relayFrame is what the relay said at a moment.
type relayFrame struct {
	at     time.Time
	status relay.Status
	worst  []relay.Worst
}

const worstLegs = 60 // more than most screens have lines for

func (f *relayFlags) frame(ctx context.Context) (frame relayFrame, err error) {
	if frame.status, err = f.status(ctx); err != nil {
		return frame, err
	}
	err = f.ask(ctx, http.MethodGet, "worst?limit="+strconv.Itoa(worstLegs), nil, &frame.worst)
	frame.at = time.Now()
	return frame, err
}

// drawRelay is the picture of what happened between two frames, in lines.
func drawRelay(before, now relayFrame, s screen) []string {
	lines := drawRelayHead(before, now, s)
	lines = append(lines, drawDevices(now.status, s)...)
	room := s.lines - len(lines) - 2
	if room < 1 {
		return lines
	}
	lines = append(lines, "", s.paint(dim, fit(fmt.Sprintf(worstFormat, "WORST LEGS", "FROM", "REMOTE", "PATH", "CODEC", "LOST", "JITTER", "MOS"), s.width)))
	if len(now.worst) == 0 {
		return append(lines, fit("no leg has had packets enough to be judged", s.width))
	}
	for _, l := range now.worst[:min(len(now.worst), room)] {
		mos := mosWords(l.MOS) + " " + mosWord(l.MOS)
		line := fit(fmt.Sprintf(worstFormat, shortened(l.CallID, 30), l.Interface, remote(l.Remote), pathWords(l.Path), l.Codec,
			lostWords(l.Quality), jitterWords(l.Quality), mos), s.width)
		how := green
		if mosWord(l.MOS) == "poor" {
			how = red
		}
		if at := strings.LastIndex(line, mos); at > 0 {
			line = line[:at] + s.paint(how, line[at:])
		}
		lines = append(lines, line)
	}
	return lines
}

const worstFormat = "%-30s %-9s %-22s %-6s %-6s %7s %9s  %-9s"

func drawRelayHead(before, now relayFrame, s screen) []string {
	st := now.status
	seconds := max(now.at.Sub(before.at).Seconds(), 0.001)
	rate := func(now, before uint64) float64 { return float64(now-min(before, now)) / seconds }
	all, user := rate(st.Packets, before.status.Packets), rate(st.UserPackets, before.status.UserPackets)
	if !st.Since.Equal(before.status.Since) || now.at.Equal(before.at) { // another process, or the first look
		all, user = st.Rate, 0
	}
	user = min(user, all)
	title := fmt.Sprintf("lindero relay  %s  NG %v  %s", st.Relay, st.NG, now.at.Format(time.TimeOnly))
	state := newCalls(st)
	calls := fmt.Sprintf("%s calls of %s, %s answered: %s in the kernel, %s one way, %s in user space",
		thousands(st.Calls), thousands(st.MaxCalls), thousands(st.Answered), thousands(st.Kernel), thousands(st.Mixed), thousands(st.User))
	how := green
	if state != "taken" {
		how = red
	}
	width := max(4, min(maxBar, s.width-52))
	row := func(name, value string, part, most float64) string { // most of 0: there is no bar
		text := fmt.Sprintf("%-16s %22s", name, value)
		if most > 0 {
			text += "  " + s.paint(green, bar(min(part, most), most, width))
		}
		return text
	}
	return []string{
		s.paint(bold, fit(title, s.width)),
		s.paint(how, fit("new calls "+state, s.width)),
		fit(calls, s.width),
		"",
		row("kernel", perSecond(all-user), all-user, all),
		row("user space", perSecond(user), user, all),
		row("media", fmt.Sprintf("%.1f Mbit/s", st.Bandwidth), st.Bandwidth, st.Limits.Bandwidth),
		row("processors", fmt.Sprintf("%.0f %%", 100*st.CPU), st.CPU, 1),
	}
}

// drawDevices says how packets of each device go, and what the kernel passes most.
func drawDevices(st relay.Status, s screen) []string {
	lines := []string{"", s.paint(dim, fit("DEVICES", s.width))}
	if len(st.Devices) == 0 {
		return append(lines, fit("none: packets go by "+oneLine(strings.Replace(st.Forwarding, ": ", ", since ", 1)), s.width))
	}
	for _, d := range st.Devices {
		lines = append(lines, fit(deviceWords(d), s.width))
	}
	if reasons := busiest(st.Fallbacks); len(reasons) > 0 {
		var words []string
		for _, r := range reasons {
			words = append(words, reasonWords(r)+" "+thousands(int(st.Fallbacks[r])))
		}
		lines = append(lines, fit("left to user space: "+strings.Join(words, ", "), s.width))
	}
	return lines
}
