package main

import (
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/lindero/lindero/shield"
	"github.com/lindero/lindero/shield/protocol"
)

// second is two frames, a second apart.
func second() (before, now topFrame) {
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	before = topFrame{at: at, top: shield.Top{Counters: []protocol.Counter{
		{Country: "ES", Verdict: "passed", Packets: 1000}, {Country: "KP", Verdict: "country_denied", Packets: 50_000}, {Country: "ZZ", Verdict: "not_ours", Packets: 7},
	}}}
	now = topFrame{at: at.Add(time.Second), status: shield.Status{Node: "edge-1", Mode: "native", PolicyVersion: 7, Bans: 1204}, top: shield.Top{
		Seconds: 10,
		Counters: []protocol.Counter{
			{Country: "ES", Verdict: "passed", Packets: 1100}, {Country: "KP", Verdict: "country_denied", Packets: 50_400}, {Country: "ZZ", Verdict: "not_ours", Packets: 7},
			{Country: "FR", Verdict: "banned", Packets: 1}, {Country: "FR", Verdict: "passed", Packets: 1},
		},
		Sources: []protocol.Seen{
			{Address: netip.MustParseAddr("203.0.113.9"), Country: "KP", Class: "unknown", Service: "sip", Verdict: "country_denied", Packets: 4000},
			{Address: netip.MustParseAddr("2001:db8::"), Country: "ES", Class: "registered", Service: "media", Verdict: "passed", Packets: 3},
		},
	}}
	return before, now
}

func TestTopShowsWhatHappenedInASecond(t *testing.T) {
	before, now := second()
	want := []string{
		"lindero shield  edge-1  judged by the kernel, in the network driver  policy 7  countries off  1…",
		"passed 101/s   dropped 401/s   51,509 packets since it was attached   12:00:01",
		"",
		"VERDICT                    PACKETS/S             ALL",
		"country_denied                   400          50,400  ██████████████████████████████████████████",
		"passed                           101           1,101  ██████████▌",
		"banned                           1.0               1  ▏",
		"not_ours                           0               7",
		"",
		"COUNTRY                    PACKETS/S             ALL",
		"KP Korea (North)                 400          50,400  ██████████████████████████████████████████",
		"ES Spain                         100           1,100  ██████████▌",
		"FR France                        2.0               2  ▏▏",
		"unknown                            0               7",
		"",
		"SOURCE                                   COUNTRY  CLASS       TO      PACKETS/S  LAST VERDICT",
		"203.0.113.9                              KP       unknown     sip           400  country_denied",
		"2001:db8::                               ES       registered  media         0.3  passed",
	}
	got := drawTop(before, now, screen{width: 96, lines: 40})
	for i := range max(len(got), len(want)) {
		g, w := "(no line)", "(no line)"
		if i < len(got) {
			g = strings.TrimRight(got[i], " ")
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Errorf("line %d is\n%s\nwant\n%s", i, g, w)
		}
	}
}

func TestTopFitsEveryScreen(t *testing.T) {
	before, now := second()
	for range 60 {
		now.top.Sources = append(now.top.Sources, now.top.Sources[0])
	}
	for width := 20; width < 200; width += 7 {
		for lines := 12; lines < 60; lines += 5 {
			picture := drawTop(before, now, screen{width: width, lines: lines})
			if len(picture) > max(lines, 14) { // what is more than a small screen holds is cut where it is shown
				t.Errorf("%d lines on a screen of %d", len(picture), lines)
			}
			for i, line := range picture {
				if n := utf8.RuneCountInString(line); n > width {
					t.Errorf("line %d is %d wide on a screen of %d: %s", i, n, width, line)
				}
			}
		}
	}
}

func TestTopCountsAnewWhenTheFilterDoes(t *testing.T) {
	before, now := second()
	verdicts, _, total := rates(now, before) // fewer packets than before
	if total.rate() != 0 || verdicts[0].packets != 50_000 {
		t.Errorf("%+v of %+v", verdicts[0], total)
	}
	if _, _, total := rates(now, now); total.rate() != 0 { // the first picture
		t.Errorf("%+v", total)
	}
}
