package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/lindero/lindero/shield"
	"github.com/lindero/lindero/shield/policy"
)

// What a terminal is told: another screen without a cursor and back; to the upper
// left corner; to clear the rest of the line, the rest of the screen.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
	bold        = "\x1b[1m"
	dim         = "\x1b[2m"
	green       = "\x1b[32m"
	red         = "\x1b[31m"
	ordinary    = "\x1b[0m"
)

func newShieldTopCommand(f *shieldFlags) *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch packets by verdict, country and source, live",
		Long: `top shows what this machine's filter does, once a second, until Ctrl-C. Packets of
sources are estimated from samples. Where its output is no terminal it prints one
picture, as with --once.`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t := topView{node: f.node(), out: cmd.OutOrStdout()}
			if f.json {
				frame, err := t.take(cmd.Context())
				if err != nil {
					return err
				}
				return printJSON(cmd.OutOrStdout(), frame.top)
			}
			if once || !terminal(t.out) {
				return t.once(cmd.Context())
			}
			return t.live(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "print one picture of a second and end")
	return cmd
}

// A topView draws what the node says.
type topView struct {
	node *caller
	out  io.Writer
}

// A topFrame is what the node said at a moment.
type topFrame struct {
	at     time.Time
	status shield.Status
	top    shield.Top
}

const topSources = 100 // more than any screen has lines for

func (t *topView) take(ctx context.Context) (f topFrame, err error) {
	if err = t.node.ask(ctx, http.MethodGet, "/status", nil, &f.status); err != nil {
		return f, err
	}
	err = t.node.ask(ctx, http.MethodGet, "/top?limit="+strconv.Itoa(topSources), nil, &f.top)
	f.at = time.Now()
	return f, err
}

// once prints one picture, of what happened in a second.
func (t *topView) once(ctx context.Context) error {
	before, err := t.take(ctx)
	if err != nil {
		return err
	}
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return ctx.Err()
	}
	now, err := t.take(ctx)
	if err != nil {
		return err
	}
	for _, line := range drawTop(before, now, screen{width: 120, lines: 60}) {
		if _, err := fmt.Fprintln(t.out, strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	return nil
}

// live draws until ctx ends. A node that stops answering is waited for.
func (t *topView) live(ctx context.Context) error {
	before, err := t.take(ctx)
	if err != nil {
		return err
	}
	fmt.Fprint(t.out, enterScreen)
	defer fmt.Fprint(t.out, leaveScreen)
	now, fault := before, ""
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		s := screenOf(t.out)
		lines := drawTop(before, now, s)
		if fault != "" {
			lines[0] = s.paint(red, fault)
		}
		if _, err := io.WriteString(t.out, home+strings.Join(lines[:min(len(lines), s.lines)], clearLine+"\r\n")+clearLine+clearBelow); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		next, err := t.take(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			fault, _, _ = strings.Cut(err.Error(), "\n")
		default:
			before, now, fault = now, next, ""
		}
	}
}

// A screen is where a picture is to fit.
type screen struct {
	width, lines int
	colour       bool
}

// screenOf asks the terminal, which may have been resized.
func screenOf(out io.Writer) screen {
	s := screen{width: 80, lines: 24, colour: true}
	if file, ok := out.(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 && size.Row > 0 {
			s.width, s.lines = int(size.Col), int(size.Row)
		}
	}
	return s
}

func (s screen) paint(how, text string) string {
	if !s.colour {
		return text
	}
	return how + text + ordinary
}

// fit makes text exactly as wide as it may be.
func fit(text string, width int) string {
	r := []rune(text)
	if len(r) > width {
		return string(r[:max(0, width-1)]) + "…"
	}
	return text + strings.Repeat(" ", width-len(r))
}

// A row of packets: since the filter was attached, and each second now.
type row struct {
	name          string
	drops         bool
	packets       uint64
	pass, dropped float64
}

func (r row) rate() float64 { return r.pass + r.dropped }

// rates compares two counts; a filter that began anew starts from nothing.
func rates(before, now topFrame) (verdicts, countries []row, total row) {
	type key struct{ country, verdict string }
	was := map[key]uint64{}
	for _, c := range before.top.Counters {
		was[key{c.Country, c.Verdict}] = c.Packets
	}
	seconds := max(now.at.Sub(before.at).Seconds(), 0.001)
	byVerdict, byCountry := map[string]*row{}, map[string]*row{}
	for _, c := range now.top.Counters {
		v, err := policy.ParseVerdict(c.Verdict)
		drops := err == nil && v.Drops()
		rate := 0.0
		if old := was[key{c.Country, c.Verdict}]; c.Packets >= old && before.at != now.at {
			rate = float64(c.Packets-old) / seconds
		}
		for _, r := range []*row{rowOf(byVerdict, c.Verdict), rowOf(byCountry, c.Country), &total} {
			r.packets += c.Packets
			if drops {
				r.dropped += rate
			} else {
				r.pass += rate
			}
			r.drops = drops
		}
	}
	return ordered(byVerdict), ordered(byCountry), total
}

func rowOf(rows map[string]*row, name string) *row {
	if rows[name] == nil {
		rows[name] = &row{name: name}
	}
	return rows[name]
}

// ordered lists the busiest first, now and then ever.
func ordered(rows map[string]*row) []row {
	all := make([]row, 0, len(rows))
	for _, r := range rows {
		all = append(all, *r)
	}
	slices.SortFunc(all, func(a, b row) int {
		return cmp.Or(cmp.Compare(b.rate(), a.rate()), cmp.Compare(b.packets, a.packets), cmp.Compare(a.name, b.name))
	})
	return all
}
