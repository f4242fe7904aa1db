package main

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/lindero/lindero/relay"
	"github.com/lindero/lindero/wire/session"
)

func newRelayStatusCommand(f *relayFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "What the relay of this machine does, and how packets go",
		Args:  none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := f.status(cmd.Context())
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), s)
			}
			return printRelayStatus(cmd.OutOrStdout(), s)
		},
	}
}

func printRelayStatus(out io.Writer, s relay.Status) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(w, name+"\t"+format+"\n", args...) }
	line("relay", "%s, NG at %v, since %s", s.Relay, s.NG, moment(s.Since))
	line("new calls", "%s", newCalls(s))
	line("calls", "%s of at most %s, %s answered", thousands(s.Calls), thousands(s.MaxCalls), thousands(s.Answered))
	line("", "%s in the kernel, %s one way, %s in user space", thousands(s.Kernel), thousands(s.Mixed), thousands(s.User))
	line("media", "%s packets/s, %.1f Mbit/s%s", number(s.Rate), s.Bandwidth, ofLimit(s.Limits.Bandwidth, "%g Mbit/s"))
	line("processors", "%.0f %% busy%s", 100*s.CPU, ofLimit(100*s.Limits.CPU, "%.0f %%"))
	line("packets go", "%s", oneLine(strings.Split(s.Forwarding, ", ")[0]))
	for _, d := range s.Devices {
		line("", "%s", deviceWords(d))
	}
	for i, reason := range busiest(s.Fallbacks) {
		line([]string{"not by the kernel", ""}[min(i, 1)], "%s packets: %s", thousands(int(s.Fallbacks[reason])), reasonWords(reason))
	}
	for i, a := range s.Addresses {
		line([]string{"addresses", ""}[min(i, 1)], "%s %s: %s pairs of ports lent, %s rest, %s free", a.Interface, advertised(a), thousands(a.Lent), thousands(a.Resting), thousands(a.Free))
	}
	switch k := s.State; {
	case k == nil:
		line("restart", "forgets the calls: relay.state is off")
	case k.Fault != "":
		line("restart", "may forget calls: %s: %s", k.Folder, oneLine(k.Fault))
	default:
		line("restart", "calls go on: %s has %s kB; this process took %s over, and lost %s", k.Folder, thousands(int(k.Size+1023)/1024), thousands(k.Resumed), thousands(k.Lost))
	}
	return w.Flush()
}

// newCalls says whether new calls are taken.
func newCalls(s relay.Status) string {
	switch {
	case s.Drained && s.Calls == 0:
		return "refused: drained since " + moment(s.Drain.Since) + ", no call is left"
	case s.Drain != nil && !s.Drain.Deadline.IsZero():
		return "refused: draining since " + moment(s.Drain.Since) + ", until " + moment(s.Drain.Deadline) + " at the latest"
	case s.Refuses != "":
		return "refused: " + oneLine(s.Refuses)
	}
	return "taken"
}

func ofLimit(limit float64, format string) string {
	if limit == 0 {
		return ""
	}
	return fmt.Sprintf("; new calls are refused from "+format+" on", limit)
}

func deviceWords(d relay.Device) string {
	how := map[string]string{
		"native": "in the network driver", "generic": "behind the network driver", "tcx": "at its TCX hook", "none": "not here",
	}
	text := d.Name + ": " + cmp.Or(how[d.Mode], d.Mode) + " (" + d.Mode + ")"
	if d.Reason != "" {
		text += ", not better because " + oneLine(d.Reason)
	}
	return text
}

// reasonWords is a reason of the kernel's program for people.
func reasonWords(reason string) string { return strings.ReplaceAll(reason, "_", " ") }

// busiest are the reasons of most packets, most first.
func busiest(counts map[string]uint64) (all []string) {
	for name := range counts {
		all = append(all, name)
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) })
	return all[:min(len(all), 5)]
}

func advertised(a relay.Address) string {
	if a.Advertise == a.Address {
		return a.Address.String()
	}
	return fmt.Sprintf("%v (told as %v)", a.Address, a.Advertise)
}

func newRelaySessionsCommand(f *relayFlags) *cobra.Command {
	limit := 50
	cmd := &cobra.Command{
		Use:   "sessions [CALL-ID]",
		Short: "List the calls at the relay, or all that is known of one",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{fmt.Errorf("relay sessions: wants one CALL-ID at most")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 1 {
				return usageError{fmt.Errorf("relay sessions: --limit: a number above 0")}
			}
			query := url.Values{"limit": {strconv.Itoa(limit)}}
			if len(args) > 0 {
				query.Set("call", args[0])
			}
			all := []session.Session{}
			if err := f.ask(cmd.Context(), http.MethodGet, "sessions?"+query.Encode(), nil, &all); err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if f.json {
				return printJSON(out, all)
			}
			if len(args) > 0 {
				return printSession(out, all[0])
			}
			return printSessions(out, all, limit)
		},
	}
	cmd.Flags().IntVar(&limit, "limit", limit, "list so many at most, the newest")
	return cmd
}

func printSessions(out io.Writer, all []session.Session, limit int) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(out, "no calls")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CALL-ID\tSINCE\tFROM\tREMOTE\tPATH\tCODEC\tPACKETS\tLOST\tJITTER\tMOS")
	for _, s := range all {
		name, since := shortened(s.CallID, 28), lasting(time.Since(s.Created))
		if !s.Answered {
			since += " rings"
		} else if s.Held {
			since += " held"
		}
		for _, st := range s.Streams {
			for _, l := range st.Legs {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", name, since, l.Interface, remote(l.Remote), legWords(l))
				name, since = "", ""
			}
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(all) == limit {
		fmt.Fprintf(out, "%d are shown; there may be more (--limit)\n", limit)
	}
	return nil
}

// legWords are the columns of a leg from its path on.
func legWords(l session.Leg) string {
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s", pathWords(l.Path), cmp.Or(l.Codec, "-"), thousands(int(l.Packets)), lostWords(l.Quality), jitterWords(l.Quality), mosWords(l.MOS))
}

func pathWords(path string) string {
	if path == "user space" {
		return "user"
	}
	return path
}

func lostWords(q session.Quality) string {
	if q.Packets == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(q.Lost)/float64(q.Packets+q.Lost))
}

func jitterWords(q session.Quality) string {
	if q.Packets == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f ms", q.Jitter)
}

func mosWords(mos float64) string {
	if mos == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", mos)
}

func remote(a netip.AddrPort) string {
	if !a.IsValid() {
		return "not heard yet"
	}
	return a.String()
}

// lasting is a length of time for people: 0:07, 12:40, 1:02:03.
func lasting(d time.Duration) string {
	s := int(max(d, 0).Seconds())
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// shortened cuts text that is longer than n.
func shortened(text string, n int) string {
	r := []rune(text)
	if len(r) <= n {
		return text
	}
	return string(r[:n-1]) + "…"
}

// printSession is all that is known of a call.
func printSession(out io.Writer, s session.Session) error {
	state := "rings"
	if s.Answered {
		state = "is answered"
	}
	if s.Held {
		state += ", on hold"
	}
	fmt.Fprintf(out, "%s\nat relay %s since %s (%s), %s\n", s.CallID, s.Relay, moment(s.Created), lasting(time.Since(s.Created)), state)
	for i, st := range s.Streams {
		for x, l := range st.Legs {
			w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
			line := func(name, format string, args ...any) { fmt.Fprintf(w, "  "+name+"\t"+format+"\n", args...) }
			fmt.Fprintf(out, "\n%s %d, from the %s\n", cmp.Or(st.Kind, "stream"), i+1, []string{"offerer", "answerer"}[x])
			line("tag", "%s", cmp.Or(l.Tag, "-"))
			line("arrives", "%v (%s), from %s", l.Local, l.Interface, remote(l.Remote))
			line("path", "%s", l.Path)
			line("codec", "%s", cmp.Or(l.Codec, "-"))
			line("packets", "%s, %s bytes%s", thousands(int(l.Packets)), thousands(int(l.Bytes)), lastSeen(l.LastSeen))
			line("lost", "%s (%s), reordered %s, twice %s", thousands(int(l.Lost)), lostWords(l.Quality), thousands(int(l.Reordered)), thousands(int(l.Duplicate)))
			line("jitter", "%s", jitterWords(l.Quality))
			if l.RoundTrip > 0 {
				line("round trip", "%.1f ms, relay to this side and back", l.RoundTrip)
			}
			line("MOS", "%s", mosSentence(l.MOS))
			if l.WrongSource+l.NotRTP > 0 {
				line("dropped", "%s from elsewhere, %s that are no RTP", thousands(int(l.WrongSource)), thousands(int(l.NotRTP)))
			}
			for _, h := range historyWords(l.History) {
				line(h[0], "%s", h[1])
			}
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func lastSeen(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return ", the last " + lasting(time.Since(at)) + " ago"
}

func mosSentence(mos float64) string {
	if mos == 0 {
		return "too few packets to say"
	}
	return fmt.Sprintf("%.2f, %s", mos, mosWord(mos))
}

// mosWord is a mean opinion score in words.
func mosWord(mos float64) string {
	switch {
	case mos >= 4:
		return "good"
	case mos >= 3.6:
		return "fair"
	}
	return "poor"
}

// historyWords draws the last minutes of a leg, the oldest first.
func historyWords(points []session.Point) (lines [][2]string) {
	if len(points) == 0 {
		return nil
	}
	loss, jitter := make([]float64, len(points)), make([]float64, len(points))
	for i, p := range points {
		loss[i], jitter[i] = p.Lost*100, p.Jitter
	}
	over := lasting(points[len(points)-1].At.Sub(points[0].At) + session.Every)
	return [][2]string{
		{"last " + over, fmt.Sprintf("loss    %s  up to %.1f %%", spark(loss), slices.Max(loss))},
		{"", fmt.Sprintf("jitter  %s  up to %.1f ms", spark(jitter), slices.Max(jitter))},
	}
}

// spark draws values as blocks as high as their part of the largest.
func spark(values []float64) string {
	most := max(slices.Max(values), 1e-9)
	var b strings.Builder
	for _, v := range values {
		b.WriteRune([]rune("▁▂▃▄▅▆▇█")[min(int(v/most*7.999), 7)])
	}
	return b.String()
}
