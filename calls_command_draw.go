package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lindero/lindero/core/api"
)

// callsWidth is how wide the picture of calls may be.
const callsWidth = 100

// The columns: who calls whom, how far, for how long, then one line for each side.
const callsColumns = "%-18s %-8s %7s  %-7s %-12s %-6s %-6s %7s %9s  %s"

// drawCalls is the list for people: no line is wider than callsWidth.
func drawCalls(list api.CallList, now time.Time) []string {
	lines := []string{counted(list)}
	if len(list.Calls) > 0 {
		lines = append(lines, "", line(callsColumns, "FROM → TO", "STATE", "FOR", "SPEAKS", "RELAY", "PATH", "CODEC", "LOSS", "JITTER", "MOS"))
	}
	why := map[string]int{}
	for _, c := range list.Calls {
		lines = append(lines, drawCall(c, now)...)
		for _, d := range c.Dialogs {
			for _, a := range d.Anchors {
				if a.Why != "" {
					why[a.Relay+": "+a.Why]++
				}
			}
		}
	}
	if len(why) > 0 {
		lines = append(lines, "", "Why these relays:")
		for _, reason := range slices.Sorted(maps.Keys(why)) {
			lines = append(lines, trim("  "+reason, callsWidth))
		}
	}
	if len(list.Silent) > 0 {
		lines = append(lines, "", trim("No answer in time, so what they carry is missing: "+strings.Join(list.Silent, ", "), callsWidth))
	}
	return lines
}

func counted(list api.CallList) string {
	switch n := len(list.Calls); {
	case list.Total == 0:
		return "No calls go on."
	case n < list.Total:
		return fmt.Sprintf("The newest %d of %d calls (--limit shows more)", n, list.Total)
	case n == 1:
		return "1 call goes on"
	default:
		return fmt.Sprintf("%d calls go on", n)
	}
}

func line(format string, columns ...any) string {
	return strings.TrimRight(fmt.Sprintf(format, columns...), " ")
}

func drawCall(c api.Call, now time.Time) []string {
	parties := fit(cmp.Or(c.From, "?")+" → "+cmp.Or(c.To, "?"), 18)
	state, long := cmp.Or(c.State, "busy"), clock(now.Sub(c.Since))
	if c.Answered != nil {
		long = clock(now.Sub(*c.Answered))
	}
	first := []any{parties, state, long}
	if c.FromCaller == nil && c.FromCallee == nil {
		return []string{line("%-18s %-8s %7s  no relay tells anything of it", first...)}
	}
	var lines []string
	for _, side := range []struct {
		who   string
		heard *api.Heard
	}{{c.From, c.FromCaller}, {c.To, c.FromCallee}} {
		if side.heard != nil {
			lines = append(lines, line(callsColumns, append(first, drawHeard(side.who, side.heard)...)...))
			first = []any{"", "", ""}
		}
	}
	return lines
}

func drawHeard(who string, h *api.Heard) []any {
	loss, jitter, mos := "–", "–", "–"
	if h.Packets+h.Lost > 0 {
		loss, jitter = fmt.Sprintf("%.1f %%", 100*h.Loss), fmt.Sprintf("%.1f ms", h.Jitter)
	}
	if h.MOS > 0 {
		mos = fmt.Sprintf("%.1f %s", h.MOS, h.Rating)
	}
	path := h.Path
	if path == "user space" {
		path = "user"
	}
	return []any{trim(who, 7), trim(h.Relay, 12), trim(path, 6), trim(cmp.Or(h.Codec, "–"), 6), loss, jitter, mos}
}

// trim is text no wider than it may be.
func trim(text string, width int) string { return strings.TrimRight(fit(text, width), " ") }

// clock writes a duration as 1:05 or 2:03:04.
func clock(d time.Duration) string {
	s := max(int(d.Seconds()), 0)
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}
