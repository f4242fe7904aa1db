package e2e

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"github.com/lindero/lindero/e2e/lab"
	"github.com/lindero/lindero/phone"
	"github.com/lindero/lindero/wire/ng"
)

// deployRTPEngine is deploy with an rtpengine from the distribution for the relay.
func deployRTPEngine(t *testing.T) *deployment {
	t.Helper()
	program, err := exec.LookPath("rtpengine")
	if err != nil {
		t.Skip("rtpengine is not installed; make tools does that")
	}
	d := prepare(t)
	d.roles["relay"] = lab.Start(t, "rtpengine", unprivileged(exec.CommandContext(context.WithoutCancel(t.Context()), program,
		"--config-file=none", "--foreground", "--log-stderr", "--log-level=5", "--table=-1", "--num-threads=1", "--pidfile="+d.dir+"/rtpengine.pid",
		"--interface=external/127.0.0.1", "--interface=internal/127.0.0.4", "--listen-ng="+d.ng.String(),
		"--port-min=29100", "--port-max=29499", "--delete-delay=0")))
	if !eventually(2*patience, func() bool { return d.asks(ng.Command{Name: ng.Ping}).Result == ng.ResultPong }) {
		t.Fatal("rtpengine does not answer ping")
	}
	d.start("core")
	d.start("edge")
	return d
}

// asks sends a command to the relay, whoever that is; no answer is a reply without
// result.
func (d *deployment) asks(c ng.Command) ng.Reply {
	d.t.Helper()
	client, err := ng.NewClient(d.ng, ng.ClientConfig{})
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(d.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- client.Run(ctx) }()
	replies := make(chan ng.Reply, 1)
	client.Do(c, func(r ng.Reply, _ error) { replies <- r })
	r := <-replies
	stop()
	if err := <-ended; err != nil {
		d.t.Error(err)
	}
	return r
}

// packets is how many packets of RTP rtpengine says a call had.
func (d *deployment) packets(call string) int64 {
	d.t.Helper()
	r := d.asks(ng.Command{Name: ng.Query, CallID: call})
	if r.Result != ng.ResultOK {
		d.t.Fatalf("query of %s: %+v", call, r)
	}
	return r.More.Dict(ng.KeyTotals).Dict("RTP").Int("packets")
}

// Our edge drives a relay nobody here wrote: its calls have sound, may be held and
// offered anew, and are gone from the relay when they are over.
func TestTheEdgeDrivesRTPEngine(t *testing.T) {
	d := deployRTPEngine(t)
	alice, bob := newPhone(t, &d.instance, "101", "udp"), newPhone(t, &d.instance, "102", "tls")
	alice.register()
	bob.register()
	for _, who := range [][2]*handset{{alice, bob}, {bob, alice}} {
		call := who[0].talk(who[1])
		call.hear()
		ids := []string{call.caller.ID(), call.callee.ID()}
		for _, id := range ids {
			if n := d.packets(id); n < 60 {
				t.Errorf("rtpengine knows of %d packets in %s", n, id)
			}
		}
		call.modify()
		call.hangup()
		for _, id := range ids {
			if !eventually(patience, func() bool {
				r := d.asks(ng.Command{Name: ng.Query, CallID: id})
				return r.Result == ng.ResultError && r.ErrorReason == "Unknown call-id"
			}) {
				t.Errorf("rtpengine still has the call %s", id)
			}
		}
	}
	d.recorded(t)
	if list := d.asks(ng.Command{Name: ng.List}); list.Result != ng.ResultOK || len(list.More.List(ng.KeyCalls)) != 0 {
		t.Errorf("rtpengine's calls: %+v", list)
	}
}

// modify holds the call and takes it back, from either side, and offers it anew
// without a change. When held, nothing comes; after it, sound does.
func (c conversation) modify() {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 2*patience)
	defer cancel()
	must := func(what string, err error) {
		c.t.Helper()
		if err != nil {
			c.t.Fatalf("%s: %v", what, err)
		}
	}
	for name, ends := range map[string][2]*phone.Call{"the caller": {c.caller, c.callee}, "the callee": {c.callee, c.caller}} {
		must(name+" holds", ends[0].Hold(ctx))
		if !eventually(patience, ends[1].Held) {
			c.t.Errorf("%s holds, and the other does not know", name)
		}
		if !quiet(ends[0]) {
			c.t.Errorf("%s holds, and the other goes on sending", name)
		}
		must(name+" takes it back", ends[0].Resume(ctx))
		c.flows(name + " has taken it back")
		must(name+" offers anew", ends[0].Reinvite(ctx, false))
		c.flows(name + " has offered anew")
	}
}

// quiet waits until nothing has come to c for a quarter of a second.
func quiet(c *phone.Call) bool {
	last, since := c.Media().Counts().Received, time.Now()
	return eventually(patience, func() bool {
		if n := c.Media().Counts().Received; n != last {
			last, since = n, time.Now()
		}
		return time.Since(since) > 250*time.Millisecond
	})
}

// flows checks that packets come to both and none is lost.
func (c conversation) flows(when string) {
	c.t.Helper()
	for who, call := range map[string]*phone.Call{c.from: c.caller, c.to: c.callee} {
		before := call.Media().Counts()
		if !eventually(patience, func() bool { return call.Media().Counts().Received >= before.Received+50 }) {
			c.t.Errorf("%s: %s hears nothing", when, who)
		}
		if after := call.Media().Counts(); after.Lost > before.Lost+2 {
			c.t.Errorf("%s: %s lost %d packets", when, who, after.Lost-before.Lost)
		}
	}
}
