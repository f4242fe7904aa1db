package relay

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/lindero/lindero/relay/call"
	"github.com/lindero/lindero/relay/forward"
	"github.com/lindero/lindero/wire/ng"
)

// A sample is the sums of a moment, from which rates are made.
type sample struct {
	mu     sync.Mutex // guards the fields below
	at     time.Time
	sums   forward.Counts
	inUser uint64 // packets
}

// statistics is what rtpengine calls so, in its words. Rates are those since
// statistics were asked for last; numbers of packets are of those that were
// believed, whatever became of them.
func (r *Relay) statistics(now time.Time) ng.Dict {
	past, live := r.calls.Totals()
	sums := past.RTP
	for _, c := range []forward.Counts{past.RTCP, live.Live.RTP, live.Live.RTCP} {
		sums.Packets += c.Packets
		sums.Bytes += c.Bytes
		sums.Failed += c.Failed
	}
	verdicts := r.table.Packets()
	user := min(verdicts[forward.Forwarded]+verdicts[forward.Held]+verdicts[forward.Failed]+verdicts[forward.Blocked], sums.Packets)
	return ng.Dict{
		"currentstatistics":  r.current(live, sums, user, now),
		"totalstatistics":    r.total(past, sums, user, now),
		"intervalstatistics": r.commands.interval(past.Talk),
		"mos":                opinions(past),
		"controlstatistics":  r.commands.control(),
		"interfaces":         r.interfaces(),
		"load":               r.loadStatistics(),
		"transcoders":        []any{},
	}
}

func (r *Relay) current(live call.State, sums forward.Counts, user uint64, now time.Time) ng.Dict {
	s := &r.sample
	s.mu.Lock()
	defer s.mu.Unlock()
	rate := func(now, before uint64, over time.Duration) uint64 {
		if over <= 0 || now < before {
			return 0
		}
		return uint64(float64(now-before) / over.Seconds())
	}
	over := now.Sub(s.at)
	packets, inUser := rate(sums.Packets, s.sums.Packets, over), rate(user, s.inUser, over)
	d := ng.Dict{
		"sessionsown": live.Calls, "sessionsforeign": 0, "sessionstotal": live.Calls, "transcodedmedia": 0,
		"packetrate": packets, "byterate": rate(sums.Bytes, s.sums.Bytes, over), "errorrate": rate(sums.Failed, s.sums.Failed, over),
		"packetrate_user": inUser, "packetrate_kernel": packets - min(inUser, packets),
		"media": live.Streams, "ports": live.Legs,
	}
	s.at, s.sums, s.inUser = now, sums, user
	return d
}

func (r *Relay) total(past call.Totals, sums forward.Counts, user uint64, now time.Time) ng.Dict {
	ended := uint64(0)
	for _, n := range past.Ended {
		ended += n
	}
	mean, deviation := spread(past.Talk.Seconds(), past.TalkSquared, past.Answered)
	return ng.Dict{
		"uptime":                    strconv.FormatInt(int64(now.Sub(r.begun).Seconds()), 10),
		"managedsessions":           ended,
		"rejectedsessions":          past.Ended[call.Failed],
		"timeoutsessions":           past.Ended[call.Idle],
		"silenttimeoutsessions":     past.Ended[call.Idle],
		"finaltimeoutsessions":      0,
		"offertimeoutsessions":      past.Ended[call.Unanswered],
		"regularterminatedsessions": past.Ended[call.Deleted],
		"forcedterminatedsessions":  0,
		"relayedpackets":            sums.Packets, "relayedpackets_user": user, "relayedpackets_kernel": sums.Packets - user,
		"relayedbytes":        sums.Bytes,
		"relayedpacketerrors": sums.Failed, "relayedpacketerrors_user": sums.Failed, "relayedpacketerrors_kernel": 0,
		"zerowaystreams": past.ZeroWay, "onewaystreams": past.OneWay,
		"avgcallduration": decimal(mean), "totalcallsduration": decimal(past.Talk.Seconds()),
		"totalcallsduration2": decimal(past.TalkSquared), "totalcallsduration_stddev": decimal(deviation),
	}
}

func opinions(past call.Totals) ng.Dict {
	mean, deviation := spread(past.MOS, past.MOSSquared, past.Rated)
	return ng.Dict{
		"mos_total": decimal(past.MOS), "mos2_total": decimal(past.MOSSquared), "mos_samples_total": past.Rated,
		"mos_average": decimal(mean), "mos_stddev": decimal(deviation),
	}
}

// spread is mean and standard deviation of n numbers by their sum and that of
// their squares.
func spread(sum, squares float64, n uint64) (mean, deviation float64) {
	if n == 0 {
		return 0, 0
	}
	mean = sum / float64(n)
	return mean, math.Sqrt(max(squares/float64(n)-mean*mean, 0))
}

// decimal is x as rtpengine writes numbers that are not whole: bencode has none.
func decimal(x float64) string { return strconv.FormatFloat(x, 'f', 6, 64) }

// interfaces are the addresses and what their ports do.
func (r *Relay) interfaces() []any {
	all := []any{}
	for _, f := range r.faces {
		_, lent, resting := r.pools[f.Bind].Counts()
		total := int(r.media.High) - int(r.media.Low) + 1
		used := 2 * lent
		all = append(all, ng.Dict{"name": f.Name, "address": f.Bind.String(), "ports": ng.Dict{
			"min": int(r.media.Low), "max": int(r.media.High), "totals": total, "used": used,
			"used_pct": strconv.FormatFloat(100*float64(used)/float64(total), 'f', 2, 64),
			"free":     total - used - 2*resting, "resting": 2 * resting,
		}})
	}
	return all
}

// interval is the last whole minute, or what there is of the first.
func (c *commands) interval(talk time.Duration) ng.Dict {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn(time.Now())
	w, length := c.last, interval
	if w.begun.IsZero() {
		w, length = c.window, max(time.Since(c.window.begun), time.Second)
	}
	d := ng.Dict{"minmanagedsessions": w.min, "maxmanagedsessions": w.max, "totalcallsduration": decimal(talk.Seconds())}
	for _, known := range counted() {
		t := w.counts[known.name]
		if t == nil {
			t = &timing{}
		}
		d["min"+known.name+"delay"], d["max"+known.name+"delay"] = decimal(t.least.Seconds()), decimal(t.most.Seconds())
		d["avg"+known.name+"delay"] = decimal(t.all.Seconds() / float64(max(t.n, 1)))
		d["avg"+known.name+"requestrate"] = strconv.FormatFloat(float64(t.n)/length.Seconds(), 'f', 3, 64)
	}
	return d
}

// control is who asked for what.
func (c *commands) control() ng.Dict {
	c.mu.Lock()
	defer c.mu.Unlock()
	proxies := []any{}
	totals := make(map[string]uint64)
	for _, from := range sorted(c.proxies) {
		p := c.proxies[from]
		d := ng.Dict{"proxy": from.String(), "errorcount": p.errors}
		for _, known := range counted() {
			t := p.counts[known.name]
			if t == nil {
				t = &timing{}
			}
			d[known.short+"count"], d[known.short+"duration"] = t.n, decimal(t.all.Seconds())
			totals[known.short] += t.n
		}
		proxies = append(proxies, d)
	}
	d := ng.Dict{"proxies": proxies}
	for _, known := range counted() {
		d["total"+known.short+"count"] = totals[known.short]
	}
	return d
}

func sorted(proxies map[netip.Addr]*proxy) []netip.Addr {
	all := make([]netip.Addr, 0, len(proxies))
	for a := range proxies {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b netip.Addr) int { return cmp.Compare(a.String(), b.String()) })
	return all
}
