package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/lindero/lindero/shield/policy"
)

// Columns of a picture of top. What is left of the width is the bars'.
const (
	nameWidth  = 24
	rateWidth  = 11
	countWidth = 15
	maxBar     = 48
)

// drawTop is the picture of what happened between two frames, in lines.
func drawTop(before, now topFrame, s screen) []string {
	verdicts, countries, total := rates(before, now)
	lines := drawHead(now, total, s)

	// Verdicts have all the lines they want, then countries and sources share.
	room := s.lines - len(lines) - 2
	lines = append(lines, "", s.paint(dim, fit(columns("VERDICT"), s.width)))
	lines = append(lines, drawRows(verdicts[:min(len(verdicts), max(3, room/2))], s, func(r row) string { return r.name })...)

	room = s.lines - len(lines) - 4
	n := min(len(countries), max(3, room/2))
	lines = append(lines, "", s.paint(dim, fit(columns("COUNTRY"), s.width)))
	lines = append(lines, drawRows(countries[:n], s, func(r row) string { return countryWords(r.name) })...)

	if room = s.lines - len(lines) - 2; room < 1 {
		return lines
	}
	lines = append(lines, "", s.paint(dim, fit(fmt.Sprintf("%-40s %-8s %-11s %-6s %10s  LAST VERDICT", "SOURCE", "COUNTRY", "CLASS", "TO", "PACKETS/S"), s.width)))
	return append(lines, drawSources(now, s, room)...)
}

func drawHead(now topFrame, total row, s screen) []string {
	st := now.status
	rules := "the built-in policy"
	if st.PolicyVersion != 0 {
		rules = fmt.Sprintf("policy %d", st.PolicyVersion)
	}
	title := fmt.Sprintf("lindero shield  %s  judged by %s  %s", st.Node, cmp.Or(modes[st.Mode], st.Mode), rules)
	table := "countries off"
	if st.Table != nil {
		table = "countries " + st.Table.Version
	}
	title += "  " + table + fmt.Sprintf("  %s banned", thousands(st.Bans))
	passed, dropped := "passed "+perSecond(total.pass), "dropped "+perSecond(total.dropped)
	sum := fmt.Sprintf("%s   %s   %s packets since it was attached   %s", passed, dropped, thousands(int(total.packets)), now.at.Format("15:04:05"))
	sum = fit(sum, s.width)
	sum = strings.Replace(sum, passed, s.paint(green, passed), 1)
	sum = strings.Replace(sum, dropped, s.paint(red, dropped), 1)
	return []string{s.paint(bold, fit(title, s.width)), sum}
}

func columns(first string) string {
	return fmt.Sprintf("%-*s %*s %*s", nameWidth, first, rateWidth, "PACKETS/S", countWidth, "ALL")
}

// drawRows draws rows with bars, whose longest is the busiest row's. A bar's
// passed part comes first.
func drawRows(rows []row, s screen, name func(row) string) []string {
	width := min(maxBar, s.width-nameWidth-rateWidth-countWidth-4)
	most := 0.0
	for _, r := range rows {
		most = max(most, r.rate())
	}
	lines := make([]string, 0, len(rows))
	for _, r := range rows {
		line := fmt.Sprintf("%s %*s %*s", fit(name(r), nameWidth), rateWidth, number(r.rate()), countWidth, thousands(int(r.packets)))
		if width > 4 && most > 0 {
			pass, dropped := bar(r.pass, most, width), bar(r.dropped, most, width)
			line += "  " + s.paint(green, pass) + s.paint(red, dropped)
		} else {
			line = fit(line, s.width)
		}
		lines = append(lines, line)
	}
	return lines
}

// bar is as long as its part of most, and there when there is anything at all.
func bar(part, most float64, width int) string {
	eighths := int(part / most * float64(width) * 8)
	if part > 0 {
		eighths = max(eighths, 1)
	}
	text := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		text += string([]rune("▏▎▍▌▋▊▉")[rest-1])
	}
	return text
}

func drawSources(now topFrame, s screen, room int) []string {
	var lines []string
	over := max(now.top.Seconds, 1)
	for _, seen := range now.top.Sources[:min(len(now.top.Sources), room)] {
		line := fit(fmt.Sprintf("%-40v %-8s %-11s %-6s %10s  %s", seen.Address, seen.Country, seen.Class, seen.Service, number(float64(seen.Packets)/over), seen.Verdict), s.width)
		how := green
		if v, err := policy.ParseVerdict(seen.Verdict); err == nil && v.Drops() {
			how = red
		}
		if at := strings.LastIndex(line, seen.Verdict); at > 0 && seen.Verdict != "" {
			line = line[:at] + s.paint(how, line[at:])
		}
		lines = append(lines, line)
	}
	return lines
}

// number is a rate for people: 0, 0.4, 37, 1,204.
func number(rate float64) string {
	if rate > 0 && rate < 9.95 {
		return fmt.Sprintf("%.1f", rate)
	}
	return thousands(int(rate + 0.5))
}

func perSecond(rate float64) string { return number(rate) + "/s" }
