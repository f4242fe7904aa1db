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

// A sample is what had moved at a moment, by who moved it.
type sample struct {
	at           time.Time
	user, kernel call.Flow
}

// samples are those of the last two looks, a second apart.
type samples struct {
	mu          sync.Mutex // guards the fields below
	last, prior sample
}

// look takes a sample.
func (r *Relay) look(now time.Time) {
	fresh := r.moved(now, r.calls.Flow())
	s := &r.samples
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prior, s.last = s.last, fresh
}

// moved tells apart what user space moved, which it counts by itself, and what the
// kernel did, which is the rest. What calls had seen before this process was there to
// serve them is taken for the kernel's.
func (r *Relay) moved(now time.Time, all call.Flow) sample {
	verdicts := r.table.Packets()
	user := call.Flow{
		Packets: min(verdicts[forward.Forwarded]+verdicts[forward.Held]+verdicts[forward.Failed]+verdicts[forward.Blocked], all.Packets),
		Bytes:   min(r.table.Bytes(), all.Bytes),
		Failed:  min(verdicts[forward.Failed], all.Failed),
	}
	return sample{now, user, call.Flow{Packets: all.Packets - user.Packets, Bytes: all.Bytes - user.Bytes, Failed: all.Failed - user.Failed}}
}

// rates are per second, over the time between the last two looks.
func (s *samples) rates() (user, kernel call.Flow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	over := s.last.at.Sub(s.prior.at)
	if s.prior.at.IsZero() || over <= 0 {
		return user, kernel
	}
	rate := func(now, before uint64) uint64 {
		return uint64(float64(now-min(before, now))/over.Seconds() + 0.5)
	}
	flow := func(now, before call.Flow) call.Flow {
		return call.Flow{Packets: rate(now.Packets, before.Packets), Bytes: rate(now.Bytes, before.Bytes), Failed: rate(now.Failed, before.Failed)}
	}
	return flow(s.last.user, s.prior.user), flow(s.last.kernel, s.prior.kernel)
}

// statistics is what rtpengine calls so, in its words. Rates are those of the last
// second; numbers of packets are of those that were believed, whatever became of them.
func (r *Relay) statistics(now time.Time) ng.Dict {
	past, live := r.calls.Totals()
	return ng.Dict{
		"currentstatistics":  r.current(live),
		"totalstatistics":    r.total(past, r.moved(now, live.Flow), now),
		"intervalstatistics": r.commands.interval(),
		"mos":                opinions(past),
		"controlstatistics":  r.commands.control(),
		"interfaces":         r.interfaces(),
		"transcoders":        []any{},
	}
}

// split writes a flow three times: what user space moved, what the kernel did, and all.
func split(d ng.Dict, packets, bytes, failed string, user, kernel call.Flow) {
	for suffix, f := range map[string]call.Flow{
		"_user": user, "_kernel": kernel,
		"": {Packets: user.Packets + kernel.Packets, Bytes: user.Bytes + kernel.Bytes, Failed: user.Failed + kernel.Failed},
	} {
		d[packets+suffix], d[bytes+suffix], d[failed+suffix] = f.Packets, f.Bytes, f.Failed
	}
}

func (r *Relay) current(live call.State) ng.Dict {
	d := ng.Dict{
		"sessionsown": live.Calls, "sessionsforeign": 0, "sessionstotal": live.Calls, "transcodedmedia": 0,
		"media_userspace": live.User, "media_kernel": live.Kernel, "media_mixed": live.Mixed,
		"media": live.Streams, "ports": live.Legs,
	}
	user, kernel := r.samples.rates()
	split(d, "packetrate", "byterate", "errorrate", user, kernel)
	return d
}

func (r *Relay) total(past call.Totals, moved sample, now time.Time) ng.Dict {
	ended := uint64(0)
	for _, n := range past.Ended {
		ended += n
	}
	mean, deviation := spread(past.Talk.Seconds(), past.TalkSquared, past.Answered)
	d := ng.Dict{
		"uptime":                    strconv.FormatInt(int64(now.Sub(r.begun).Seconds()), 10),
		"managedsessions":           ended,
		"rejectedsessions":          past.Ended[call.Failed],
		"timeoutsessions":           past.Ended[call.Idle],
		"silenttimeoutsessions":     past.Ended[call.Idle],
		"finaltimeoutsessions":      0,
		"offertimeoutsessions":      past.Ended[call.Unanswered],
		"regularterminatedsessions": past.Ended[call.Deleted],
		"forcedterminatedsessions":  0,
		"zerowaystreams":            past.ZeroWay, "onewaystreams": past.OneWay,
		"avgcallduration": decimal(mean), "totalcallsduration": decimal(past.Talk.Seconds()),
		"totalcallsduration2": decimal(past.TalkSquared), "totalcallsduration_stddev": decimal(deviation),
	}
	split(d, "relayedpackets", "relayedbytes", "relayedpacketerrors", moved.user, moved.kernel)
	return d
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
			"free":     total - used - 2*resting, "resting": 2 * resting, "last": int(r.pools[f.Bind].Last()),
		}})
	}
	return all
}

// interval is the last whole minute, or what there is of the first.
func (c *commands) interval() ng.Dict {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn(time.Now())
	w, length := c.last, interval
	if w.begun.IsZero() {
		w, length = c.window, max(time.Since(c.window.begun), time.Second)
		w.talked = c.talk - w.talk
	}
	d := ng.Dict{"minmanagedsessions": w.min, "maxmanagedsessions": w.max, "totalcallsduration": decimal(w.talked.Seconds())}
	for _, known := range counted() {
		t := w.counts[known.name]
		if t == nil {
			t = &timing{}
		}
		d["min"+known.name+"delay"], d["max"+known.name+"delay"] = decimal(t.least.Seconds()), decimal(t.most.Seconds())
		d["avg"+known.name+"delay"] = decimal(t.all.Seconds() / float64(max(t.n, 1)))
		d["min"+known.name+"requestrate"] = strconv.FormatUint(t.rarest, 10)
		d["max"+known.name+"requestrate"] = strconv.FormatUint(t.mostOften, 10)
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
