package relay_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lindero/lindero/relay"
	"github.com/lindero/lindero/wire/ng"
	"github.com/lindero/lindero/wire/rtp"
)

// childEnv makes this test binary a relay with the configuration it holds.
const childEnv = "LINDERO_TEST_RELAY"

// TestMain lets the binary be the process that is killed.
func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		if err := beRelay(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A childConfig is what of a configuration the tests change.
type childConfig struct {
	NG                 netip.AddrPort
	External, Internal netip.Addr
	State              string
	Pin                string   // of a relay that forwards in the kernel
	Devices            []string // on which it does
	Rest               time.Duration
	Most               int             // calls; 0: as many as usual
	Ports              relay.PortRange // the zero range is the usual one
	Interfaces         []relay.Named
	Namespace          string // of the network; "": the test's
}

func (c childConfig) config() relay.Config {
	cfg := relay.DefaultConfig()
	cfg.NG, cfg.State, cfg.PortRest = c.NG, c.State, relay.Duration(c.Rest)
	cfg.External.Bind, cfg.Internal.Bind = c.External, c.Internal
	cfg.Interfaces = c.Interfaces
	if c.Most > 0 {
		cfg.MaxCalls, cfg.MediaPorts = c.Most, c.Ports
	}
	return cfg
}

func beRelay(text string) error {
	var c childConfig
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	var options []relay.Option
	k := &kernel{config: c}
	if c.Pin != "" {
		options = []relay.Option{relay.WithKernel(k.open), relay.WithLegs(k)}
	}
	r, err := relay.New(c.config(), slog.New(slog.NewTextHandler(os.Stderr, nil)), prometheus.NewRegistry(), options...)
	if err != nil {
		return err
	}
	if err := k.serve(r.Addresses().Media); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	fmt.Println("serves")
	return r.Run(ctx)
}

// A child is a relay in a process of its own.
type child struct {
	cmd *exec.Cmd
	log *strings.Builder // valid when the process has ended
}

// start starts one and returns when it serves.
func (c childConfig) start(t *testing.T) *child {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	arguments := []string{os.Args[0]}
	if c.Namespace != "" {
		arguments = []string{"nsenter", "--net=" + c.Namespace, os.Args[0]}
	}
	p := &child{cmd: exec.Command(arguments[0], arguments[1:]...), log: &strings.Builder{}}
	p.cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	p.cmd.Stderr = p.log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.end(syscall.SIGKILL) })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "serves\n" {
		p.end(syscall.SIGKILL)
		t.Fatalf("%q %v: %s", line, err, p.log)
	}
	go io.Copy(io.Discard, out) // it says nothing more, and ends with the process
	return p
}

// end sends a signal and waits.
func (p *child) end(s os.Signal) error {
	if p.cmd.ProcessState != nil {
		return nil
	}
	_ = p.cmd.Process.Signal(s) // it may have ended by itself
	return p.cmd.Wait()
}

// newChild is the configuration of a relay that keeps its calls.
func newChild(t *testing.T) childConfig {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	t.Cleanup(func() { os.Remove(relay.InMemory(dir)) })
	free := listen(t, "127.0.0.1")
	at := addr(free)
	free.Close()
	return childConfig{
		NG: at, External: netip.MustParseAddr("127.0.0.2"), Internal: netip.MustParseAddr("127.0.0.3"), State: dir, Rest: 30 * time.Second,
	}
}

// newClientOf speaks to a relay in another process.
func newClientOf(t *testing.T, at netip.AddrPort) *rig {
	t.Helper()
	g := &rig{t: t}
	var err error
	if g.client, err = ng.NewClient(at, ng.ClientConfig{}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.client.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return g
}

// A talker sends a packet every 10 ms and counts those that come.
type talker struct {
	*phone
	sent, heard atomic.Int64
	last        atomic.Uint32 // sequence number
	odd         atomic.Int64  // that were not of the other one, or came from elsewhere
}

func (k *talker) talk(ctx context.Context, all *sync.WaitGroup, other uint32) {
	all.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if _, err := k.rtp.WriteToUDPAddrPort(k.packet(), k.peer); err == nil {
					k.sent.Add(1)
				}
			case <-ctx.Done():
				return
			}
		}
	})
	all.Go(func() {
		b := make([]byte, 2048)
		for {
			n, from, err := k.rtp.ReadFromUDPAddrPort(b)
			if err != nil {
				return // the deadline that ends the test
			}
			h, _, err := rtp.Parse(b[:n])
			if err != nil || h.SSRC != other || from != k.peer {
				k.odd.Add(1)
				continue
			}
			k.heard.Add(1)
			k.last.Store(uint32(h.Sequence))
		}
	})
}

// A dialogue is a call with audio both ways.
type dialogue struct {
	id   string
	a, b *talker
}

// set sets up a call whose caller is, of every second one, behind a NAT.
func (g *rig) set(i int) *dialogue {
	return g.setBetween(i, newPhone(g.t, outside), newPhone(g.t, inside))
}

// setBetween sets up a call between a, outside, and b, inside.
func (g *rig) setBetween(i int, a, b *phone) *dialogue {
	d := &dialogue{id: fmt.Sprint("call ", i), a: &talker{phone: a}, b: &talker{phone: b}}
	a.claims, b.claims = addr(a.rtp).Addr(), addr(b.rtp).Addr()
	d.a.ssrc, d.b.ssrc = uint32(2*i+1), uint32(2*i+2)
	if i%2 == 1 {
		d.a.claims = netip.MustParseAddr("192.168.1.4")
	}
	first, second := offer(a, addr(a.rtp).Addr().String()), answer(b)
	first.CallID, second.CallID = d.id, d.id
	d.b.hear(g.do(first, ng.ResultOK).SDP)
	d.a.hear(g.do(second, ng.ResultOK).SDP)
	return d
}

// rtpStats are what the relay counted of the RTP of a tag.
func (g *rig) rtpStats(id, tag string) ng.Dict {
	g.t.Helper()
	more := g.do(ng.Command{Name: ng.Query, CallID: id}, ng.ResultOK).More
	return more.Dict(ng.KeyTags).Dict(tag).List("medias")[0].(ng.Dict).List("streams")[0].(ng.Dict).Dict("stats")
}

// eventually waits until so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	deadline := time.After(15 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("never: ", what)
		}
	}
}

// both waits until everybody has heard so many packets more.
func both(t *testing.T, calls []*dialogue, more int64) {
	t.Helper()
	wants := map[*talker]int64{}
	for _, d := range calls {
		wants[d.a], wants[d.b] = d.a.heard.Load()+more, d.b.heard.Load()+more
	}
	for k, want := range wants {
		eventually(t, fmt.Sprint(k.ssrc, " hears"), func() bool { return k.heard.Load() >= want })
	}
}

// Calls with audio go on in another process after kill -9: the same ports, the same
// sources, the counts, and everything that signalling wants of them.
func TestKilledRelayGoesOn(t *testing.T) {
	c := newChild(t)
	first := c.start(t)
	g := newClientOf(t, c.NG)
	var calls []*dialogue
	for i := range 10 {
		calls = append(calls, g.set(i))
	}
	over := g.set(99) // ends before, so its ports rest
	talk(over.a.phone, over.b.phone, 3)
	g.do(ng.Command{Name: ng.Delete, CallID: over.id}, ng.ResultOK)

	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, d := range calls {
		d.a.talk(ctx, &all, d.b.ssrc)
		d.b.talk(ctx, &all, d.a.ssrc)
	}
	both(t, calls, 50)
	before := map[string]int64{}
	for _, d := range calls {
		before[d.id] = g.rtpStats(d.id, "a").Int("packets")
	}
	killed := time.Now()
	first.end(syscall.SIGKILL)
	second := c.start(t)
	gap := time.Since(killed)
	both(t, calls, 50)
	t.Logf("another process serves %v after the kill", gap)

	for _, d := range calls {
		if now := g.rtpStats(d.id, "a").Int("packets"); now <= before[d.id] {
			t.Errorf("%s: %d packets, %d before the kill", d.id, now, before[d.id])
		}
	}
	reoffered(t, g, calls[0])
	stop()
	quiet(t, g, calls)
	for _, d := range calls {
		for _, k := range []*talker{d.a, d.b} {
			if err := k.rtp.SetReadDeadline(time.Now()); err != nil {
				t.Fatal(err)
			}
			if n := k.odd.Load(); n > 0 {
				t.Errorf("%s: %d odd packets", d.id, n)
			}
		}
	}
	all.Wait()
	if taken, err := net4(t, "127.0.0.2", over.a.peer.Port()); err == nil {
		t.Errorf("%v does not rest", addr(taken))
	}
	for _, d := range calls {
		g.do(ng.Command{Name: ng.Delete, CallID: d.id, FromTag: "a"}, ng.ResultOK)
	}
	if n := len(g.do(ng.Command{Name: ng.List}, ng.ResultOK).More.List(ng.KeyCalls)); n != 0 {
		t.Errorf("%d calls are left", n)
	}
	if err := second.end(syscall.SIGTERM); err != nil {
		t.Errorf("%v: %s", err, second.log)
	}
	third := c.start(t)
	if n := len(g.do(ng.Command{Name: ng.List}, ng.ResultOK).More.List(ng.KeyCalls)); n != 0 {
		t.Errorf("%d calls came back", n)
	}
	third.end(syscall.SIGTERM)
}

// quiet checks, when nobody sends any more, that every packet was counted: those that
// came, and those that were sent while there was no relay as lost.
func quiet(t *testing.T, g *rig, calls []*dialogue) {
	t.Helper()
	lost := int64(0)
	for _, d := range calls {
		for tag, k := range map[string]*talker{"a": d.a, "b": d.b} {
			var s ng.Dict
			eventually(t, fmt.Sprint(d.id, " ", tag, " is counted whole"), func() bool {
				s = g.rtpStats(d.id, tag)
				return s.Int("packets")+s.Int("lost") == k.sent.Load()
			})
			if lost += s.Int("lost"); s.Int("lost") > 100 || s.Int("reordered")+s.Int("duplicate") != 0 {
				t.Errorf("%s %s: sent %d, %v", d.id, tag, k.sent.Load(), s)
			}
		}
	}
	t.Logf("%d packets of %d parties were lost while there was no relay", lost, 2*len(calls))
	if lost == 0 {
		t.Error("none was lost: was there no gap?")
	}
}

// reoffered sends another offer and answer in a call; ports stay, and so does audio.
func reoffered(t *testing.T, g *rig, d *dialogue) {
	t.Helper()
	again, back := offer(d.a.phone, addr(d.a.rtp).Addr().String()), answer(d.b.phone)
	again.CallID, back.CallID, again.ToTag = d.id, d.id, "b"
	a, b := *d.a.phone, *d.b.phone
	b.hear(g.do(again, ng.ResultOK).SDP)
	a.hear(g.do(back, ng.ResultOK).SDP)
	if a.peer != d.a.peer || b.peer != d.b.peer {
		t.Errorf("another offer moved the ports: %v to %v, %v to %v", d.a.peer, a.peer, d.b.peer, b.peer)
	}
	both(t, []*dialogue{d}, 10)
}

// A process that is told to end leaves its calls to the next one, too: an upgrade.
func TestUpgradedRelayGoesOn(t *testing.T) {
	c := newChild(t)
	first := c.start(t)
	g := newClientOf(t, c.NG)
	d := g.set(1)
	talk(d.a.phone, d.b.phone, 10)
	if err := first.end(syscall.SIGTERM); err != nil {
		t.Fatalf("%v: %s", err, first.log)
	}
	c.start(t)
	talk(d.a.phone, d.b.phone, 10)
	if n := g.rtpStats(d.id, "a").Int("packets"); n != 20 {
		t.Errorf("%d packets are counted", n)
	}
}

// A second relay with the same NG socket, or only with the same state, ends at once
// and disturbs nobody.
func TestASecondRelayDisturbsNobody(t *testing.T) {
	c := newChild(t)
	c.start(t)
	g := newClientOf(t, c.NG)
	d := g.set(1)
	other := c
	other.NG = netip.AddrPortFrom(c.NG.Addr(), 0)
	for _, same := range []childConfig{c, other} {
		r, err := relay.New(same.config(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err == nil {
			r.Close()
			t.Fatal("it starts")
		}
		if same.NG == other.NG && !strings.Contains(err.Error(), "another process uses it") {
			t.Error(err)
		}
		talk(d.a.phone, d.b.phone, 10)
	}
}

// Ports that somebody took meanwhile end their call, and no other.
func TestALostPortEndsItsCall(t *testing.T) {
	c := newChild(t)
	first := c.start(t)
	g := newClientOf(t, c.NG)
	lost, kept := g.set(1), g.set(2)
	first.end(syscall.SIGKILL)
	if _, err := net4(t, "127.0.0.2", lost.a.peer.Port()); err != nil {
		t.Fatal(err)
	}
	p := c.start(t)
	talk(kept.a.phone, kept.b.phone, 10)
	g.do(ng.Command{Name: ng.Query, CallID: lost.id}, ng.ResultError)
	p.end(syscall.SIGTERM)
	if log := p.log.String(); !strings.Contains(log, "call 1") || !strings.Contains(log, lost.a.peer.String()) {
		t.Errorf("the log does not name it: %s", log)
	}
}
