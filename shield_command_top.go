package main

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/lindero/lindero/shield"
	"github.com/lindero/lindero/shield/policy"
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
			t := topView{node: f.node()}
			if f.json {
				frame, err := t.take(cmd.Context())
				if err != nil {
					return err
				}
				return printJSON(cmd.OutOrStdout(), frame.top)
			}
			return view[topFrame]{cmd.OutOrStdout(), t.take, drawTop}.show(cmd.Context(), once)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "print one picture of a second and end")
	return cmd
}

// A topView asks the node.
type topView struct{ node *caller }

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
