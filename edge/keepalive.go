package edge

import (
	"bytes"
	"context"
	"encoding/hex"
	"hash/maphash"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lindero/lindero/edge/wheel"
	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/transport"
)

const (
	maxFlows  = 200_000          // phones that are kept alive; a registration beyond is served but not kept
	maxSilent = 3                // keep-alives unanswered in a row before the flow counts as silent
	saveEvery = 10 * time.Second // between writings of the state file
	keepMark  = "z9hG4bKkeep"    // begins the branches of keep-alives
)

// A keeper keeps NATs between us and registered phones open: OPTIONS down the
// flow over UDP, CRLF on streams. It learns flows from what core answers to
// REGISTER, and remembers those over UDP across restarts.
type keeper struct {
	e    *Edge
	file string

	mu    sync.Mutex // guards the fields below
	flows map[flowKey]*kept
	dirty bool // the state file is out of date
}

// A flowKey is what tells flows apart: a transport.Flow without Local.
type flowKey struct {
	protocol transport.Protocol
	listener uint8
	remote   netip.AddrPort
	conn     uint64
}

func keyOf(f transport.Flow) flowKey { return flowKey{f.Protocol, f.Listener, f.Remote, f.Conn} }

// kept is one phone's flow.
type kept struct {
	keeper *keeper
	flow   transport.Flow
	nonce  uint64
	timer  wheel.Timer

	// Guarded by keeper.mu.
	aor     uint64    // the address-of-record that was registered last, hashed; 0 when it is not known
	expires time.Time // of the registration
	count   uint32
	silent  int // sent since the last answer
}

func newKeeper(e *Edge) *keeper {
	name := strings.TrimSuffix(e.cfg.KeyFile, filepath.Ext(e.cfg.KeyFile)) + ".flows"
	return &keeper{e: e, file: name, flows: make(map[flowKey]*kept)}
}

func (k *keeper) len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.flows)
}

// learn keeps the flow of p alive, whose REGISTER, as it was sent, is req and was
// answered by a 2xx: for as long as the registration lasts; or drops it when that
// has ended.
func (k *keeper) learn(req *sip.Message, p *passage, seconds uint32) {
	if k.e.cfg.KeepAlive.Off {
		return
	}
	if nat, _ := sip.Param(afterFirst(req.Get(sip.LinderoSource)), "nat"); p.up.Protocol == transport.UDP && string(nat) != "1" {
		return // nothing to keep open
	}
	to, err := sip.ParseNameAddr(req.Get(sip.To))
	if err != nil {
		return
	}
	aor := maphash.Bytes(tagSeed, to.URI)
	if seconds > 0 {
		k.put(p.up, aor, time.Now().Add(time.Duration(seconds)*time.Second))
	} else {
		k.drop(p.up, aor)
	}
}

// afterFirst is what follows the first ';' of a value, with it.
func afterFirst(value []byte) []byte {
	if i := bytes.IndexByte(value, ';'); i >= 0 {
		return value[i:]
	}
	return nil
}

// granted is the longest time, in seconds, that the 2xx m grants to a contact of
// the REGISTER req; 0 when it lists none of them.
func granted(m, req *sip.Message) uint32 {
	longest := uint32(0)
	for i := m.Index(sip.Contact); i >= 0; i = m.Next(i) {
		for value, rest := sip.NextValue(m.Value(i)); value != nil; value, rest = sip.NextValue(rest) {
			n, err := sip.ParseNameAddr(value)
			if err != nil || !hasContact(req, n.URI) {
				continue
			}
			text, _ := sip.Param(n.Params, "expires")
			seconds, ok := sip.ParseInt(text)
			if !ok {
				if seconds, ok = sip.ParseInt(m.Get(sip.Expires)); !ok {
					seconds = 3600 // RFC 3261 §10.2.1.1 leaves it to us
				}
			}
			longest = max(longest, seconds)
		}
	}
	return longest
}

func hasContact(req *sip.Message, uri []byte) bool {
	for i := req.Index(sip.Contact); i >= 0; i = req.Next(i) {
		for value, rest := sip.NextValue(req.Value(i)); value != nil; value, rest = sip.NextValue(rest) {
			if n, err := sip.ParseNameAddr(value); err == nil && bytes.Equal(n.URI, uri) {
				return true
			}
		}
	}
	return false
}

func (k *keeper) put(f transport.Flow, aor uint64, expires time.Time) {
	key := keyOf(f)
	k.mu.Lock()
	defer k.mu.Unlock()
	one := k.flows[key]
	if one == nil {
		if len(k.flows) >= maxFlows {
			k.e.metrics.flowsFull.Add(1)
			return
		}
		one = &kept{keeper: k, flow: f, nonce: rand.Uint64()}
		one.timer.Task = one
		k.flows[key] = one
		// The first one comes early in the interval, at random: phones that register
		// together after an outage are not kept alive together.
		k.e.wheel.Schedule(&one.timer, k.e.wheel.Now().After(rand.N(k.interval(f))))
	}
	one.aor, one.expires = aor, expires
	k.dirty = true
}

// drop forgets f unless another address-of-record was registered on it since.
func (k *keeper) drop(f transport.Flow, aor uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if one := k.flows[keyOf(f)]; one != nil && (one.aor == aor || one.aor == 0) {
		k.remove(one)
	}
}

// forget forgets f, whose connection is gone.
func (k *keeper) forget(f transport.Flow) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if one := k.flows[keyOf(f)]; one != nil {
		k.remove(one)
	}
}

func (k *keeper) remove(one *kept) {
	delete(k.flows, keyOf(one.flow))
	k.e.wheel.Stop(&one.timer)
	k.dirty = true
}

func (k *keeper) interval(f transport.Flow) time.Duration {
	if f.Protocol == transport.UDP {
		return time.Duration(k.e.cfg.KeepAlive.UDP)
	}
	return time.Duration(k.e.cfg.KeepAlive.Stream)
}

// Expire sends the next keep-alive. It is called by the wheel.
func (one *kept) Expire(now wheel.Time) {
	k := one.keeper
	k.mu.Lock()
	if k.flows[keyOf(one.flow)] != one {
		k.mu.Unlock()
		return
	}
	if time.Now().After(one.expires) {
		k.remove(one)
		k.mu.Unlock()
		return
	}
	if one.silent++; one.silent == maxSilent+1 {
		k.e.metrics.silent.Add(1)
	}
	one.count++
	count := one.count
	// Up to a fifth early, never late: the interval is what NATs allow.
	d := k.interval(one.flow)
	k.e.wheel.Schedule(&one.timer, now.After(d-rand.N(d/5+1)))
	k.mu.Unlock()

	k.e.metrics.pings.Add(1)
	if one.flow.Protocol != transport.UDP {
		_ = k.e.outside.Ping(one.flow) // a connection that is gone is forgotten by Closed
		return
	}
	_ = k.e.outside.Send(one.flow, one.options(count)) // lost like any datagram
}

// options is the keep-alive of that count over UDP. It has no transaction: it is
// not repeated, and its answer is known by its branch.
func (one *kept) options(count uint32) []byte {
	e := one.keeper.e
	face := e.faces.of(one.flow.Protocol)
	b := append(make([]byte, 0, 512), "OPTIONS sip:"...)
	b = one.flow.Remote.AppendTo(b)
	b = append(b, " SIP/2.0\r\nVia: "...)
	b = e.appendVia(b, one.flow)
	b = one.branch(append(b, ";branch="...))
	b = strconv.AppendUint(append(b, '.'), uint64(count), 10)
	b = append(b, ";rport\r\nMax-Forwards: 70\r\nFrom: <sip:keepalive@"...)
	b = face.public.AppendTo(b)
	b = strconv.AppendUint(append(b, ">;tag="...), one.nonce, 36)
	b = one.flow.Remote.AppendTo(append(b, "\r\nTo: <sip:"...))
	b = strconv.AppendUint(append(b, ">\r\nCall-ID: keep"...), one.nonce, 36)
	b = strconv.AppendUint(append(b, "\r\nCSeq: "...), uint64(count), 10)
	return append(b, " OPTIONS\r\nContent-Length: 0\r\n\r\n"...)
}

func (one *kept) branch(dst []byte) []byte {
	var b [8]byte
	for i := range b {
		b[i] = byte(one.nonce >> (8 * i))
	}
	return hex.AppendEncode(append(dst, keepMark...), b[:])
}

// answered takes the response with that branch if it answers a keep-alive.
func (k *keeper) answered(branch []byte, f transport.Flow) bool {
	if !bytes.HasPrefix(branch, []byte(keepMark)) {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	one := k.flows[keyOf(f)]
	var want [64]byte
	if one == nil || !bytes.HasPrefix(branch, append(one.branch(want[:0]), '.')) {
		k.e.metrics.count(verdictStray)
		return true
	}
	one.silent = 0
	k.e.metrics.pongs.Add(1)
	return true
}

// run writes the state file from time to time, when there is something new to
// write. Whoever stops the edge saves once more, when nothing is learned any more.
func (k *keeper) run(ctx context.Context) error {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			k.save()
		case <-ctx.Done():
			return nil
		}
	}
}
