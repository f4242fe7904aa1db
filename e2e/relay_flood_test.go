package e2e

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/wire/ng"
)

// Garbage and floods on the NG socket cost a call nothing, and are not logged one by
// one.
func TestFloodsOfCommandsDisturbNoCall(t *testing.T) {
	onBoth(t, func(t *testing.T, l *attackLab) {
		a, b := l.newParty(l.caller), l.newParty(l.callee)
		l.connect("call", a, b)
		a.talk()
		b.talk()
		l.heardAfter(t, a, b, 20)
		lines := strings.Count(l.relay.Output(), "\n")
		var c *net.UDPConn
		if err := l.server.In(func() (err error) { c, err = net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(relayNG)); return err }); err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		offer := l.offer("x", a)
		garbage := [][]byte{
			{}, []byte("x"), []byte("cookie "), []byte("cookie d7:command4:ping"), []byte("cookie d7:command99999999999:ping"), bytes.Repeat([]byte("l"), 8000),
			append([]byte("cookie "), bytes.Repeat([]byte("d1:a"), 4000)...), []byte(`cookie {"command":"offer"`), append([]byte("cookie "), bytes.Repeat([]byte("["), 9000)...),
			[]byte("cookie d7:command5:dancee"), []byte("cookie d7:call-id1:x7:command5:querye"), offer.Dict().Append([]byte("same ")), bytes.Repeat([]byte{0}, 60000),
			[]byte("cookie d7:call-id4:call7:command6:delete8:from-tag8:stranger6:to-tag5:othere"),
		}
		const times = 3000
		for n := range times {
			for i, g := range garbage {
				g = bytes.Replace(g, []byte("cookie"), fmt.Appendf(nil, "%d-%d", n, i), 1)
				_, _ = c.Write(g) // a full queue is one of the things under test
			}
			if n%30 == 0 {
				l.heardAfter(t, a, b, 1)
				if r, err := l.try(ng.Command{Name: ng.Ping}); err != nil || r.Result != ng.ResultPong {
					t.Fatalf("in the flood: %+v %v", r, err)
				}
			}
		}
		l.do(ng.Command{Name: ng.Query, CallID: "call"})
		l.complete(t, a, b)
		if more := strings.Count(l.relay.Output(), "\n") - lines; more > 30 {
			t.Errorf("%d lines were logged of %d datagrams", more, times*len(garbage))
		}
		t.Logf("malformed %.0f, duplicate %.0f, dropped %.0f", l.metric("lindero_relay_control_total", `event="malformed"`),
			l.metric("lindero_relay_control_total", `event="duplicate"`), l.metric("lindero_relay_control_total", `event="dropped"`))
	})
}

// spent is the processor time of a process and its threads.
func spent(t *testing.T, pid int) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(after)
	user, _ := strconv.Atoi(fields[11]) // the kernel writes numbers
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100 on all that run Linux
}

// Twenty calls go by the kernel and lose nothing while somebody else sends RTP to one
// of their ports, as fast as this machine can make it; the relay's process has next to
// nothing to do with it.
func TestCallsLoseNothingInAFloodAtALivePort(t *testing.T) {
	l := newAttackLab(t, true)
	const calls = 20
	var talking [calls][2]*party
	for i := range talking {
		a, b := l.newParty(l.caller), l.newParty(l.callee)
		l.connect(fmt.Sprint("call-", i), a, b)
		talking[i] = [2]*party{a, b}
		a.talk()
		b.talk()
	}
	// Who says where it is and sends from there is settled at once or after the window.
	l.heardAfter(t, talking[0][0], talking[0][1], 200)
	target := talking[0][0]
	user := l.metric("lindero_relay_packets_total", `verdict="forwarded"`)
	cpu := spent(t, l.relay.PID())
	said := target.sent.Load()
	payload := string((&party{ssrc: target.ssrc}).packet(said))
	begun := time.Now()
	flood := l.Flood(t, l.server, target.relay, netip.MustParsePrefix("198.18.0.0/15"), 1_000_000, payload)
	l.heardAfter(t, talking[0][0], talking[0][1], 300) // six seconds
	packets, rate := flood.Stop(t)
	took := time.Since(begun)
	busy := spent(t, l.relay.PID()) - cpu
	wrong := l.stat("call-0", "wrong source")
	var all, lost, foreign uint64
	for _, c := range talking {
		c[0].pause()
		c[1].pause()
	}
	eventually(2*time.Second, func() bool { // what is under way arrives
		all, lost, foreign = 0, 0, 0
		for _, c := range talking {
			for i := range c {
				said := c[i].sent.Load()
				n, f := c[1-i].hears(c[i])
				all, lost, foreign = all+said, lost+said-n, foreign+f
			}
		}
		return lost == 0
	})
	byUser := l.metric("lindero_relay_packets_total", `verdict="forwarded"`) - user
	t.Logf("%d packets of flood, %.0f a second; %d counted as of the wrong source; %d packets of %d calls, %d lost, %.0f by user space; the relay's process: %v in %v (%.1f %%)",
		packets, rate, wrong, all, calls, lost, byUser, busy, took.Round(time.Millisecond), 100*busy.Seconds()/took.Seconds())
	if uint64(wrong) > packets || uint64(wrong) < packets*9/10 {
		t.Errorf("%d packets of %d are counted as of the wrong source", wrong, packets)
	}
	// The device's queue before the program is short, and the flood fills it now and
	// then: it loses packets of the flood, and of calls as many in proportion.
	if lost > all/1000 || foreign > 0 {
		t.Errorf("%d packets of %d are lost, and %d of nobody were heard", lost, all, foreign)
	}
	if rate < 200_000 {
		t.Errorf("the flood had %.0f packets a second only; that shows nothing", rate)
	}
	if byUser > 100 || busy > took/20 {
		t.Errorf("the relay's process had to do with it: %.0f packets, %v of %v", byUser, busy, took)
	}
}
