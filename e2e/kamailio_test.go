package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lindero/lindero/e2e/lab"
)

// What a Kamailio and its phones do at our relay.
const (
	proxyCalls  = 1000
	proxyAtOnce = 80
	proxyRate   = 30    // calls a second, of two seconds each
	proxyTalk   = 95    // packets each way at least that a call's two seconds are
	proxyMay    = 0.005 // of the packets may be lost by a busy machine
)

// A proxyLab is a relay with a Kamailio beside it, a caller and a callee.
type proxyLab struct {
	*relayLab
	proxy          *lab.Process
	caller, callee *lab.Host
	answering      *lab.Process
}

// newProxyLab starts them. control is where the proxy finds the relay.
func newProxyLab(t *testing.T, kernel bool, control string) *proxyLab {
	t.Helper()
	for _, tool := range []string{"kamailio", "kamcmd", "sipp"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed; make tools does that", tool)
		}
	}
	web := strings.HasPrefix(control, "ws:")
	if lwsc, _ := filepath.Glob("/usr/lib/*/kamailio/modules/lwsc.so"); web && len(lwsc) == 0 {
		t.Skip("kamailio-lwsc-modules is not installed; make tools does that")
	}
	l := &proxyLab{relayLab: newRelayLab(t, kernel)}
	l.caller, l.callee = l.Server("caller", callerHost), l.Server("callee", calleeHost)
	const media = "udp dport 30000-33999"
	l.caller.Watch(map[string]string{"to relay": "ip daddr 198.51.100.10 " + media, "from relay": "ip saddr 198.51.100.10 udp sport 30000-33999"})
	l.callee.Watch(map[string]string{"to relay": "ip daddr 198.51.100.11 " + media, "from relay": "ip saddr 198.51.100.11 udp sport 30000-33999"})
	b, err := os.ReadFile(filepath.Join("testdata", "kamailio", "kamailio.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	words := []string{"@SIP@", "198.51.100.10:5060", "@RPC@", "127.0.0.1:2049", "@RELAY@", control, "@CALLEE@", "203.0.113.22:5060", "@MODULES@", "", "@SETTINGS@", ""}
	if web {
		words[9], words[11] = `loadmodule "lwsc.so"`, `modparam("rtpengine", "wsapi", "lwsc")`
	}
	file := l.file("kamailio.cfg")
	if err := os.WriteFile(file, []byte(strings.NewReplacer(words...).Replace(string(b))), 0o600); err != nil {
		t.Fatal(err)
	}
	l.proxy = lab.Start(t, "kamailio", l.server.Command(context.WithoutCancel(t.Context()), "kamailio", "-f", file, "-DD", "-m", "64", "-M", "16",
		"-P", l.file("kamailio.pid"), "-w", l.dir, "-Y", l.dir))
	t.Cleanup(func() { // it takes its children with it
		l.proxy.Signal(syscall.SIGTERM)
		eventually(patience, func() bool { return syscall.Kill(l.proxy.PID(), 0) != nil })
	})
	if !eventually(patience, func() bool { return strings.Contains(l.shown(), control) }) {
		t.Fatalf("kamailio does not know its relay: %s", l.shown())
	}
	sound(t, l.file("tone.ul"))
	l.answering = l.sipp(l.callee, "callee.xml", "-p", "5060", "-mp", "26000", "-rtp_echo")
	return l
}

// shown is what Kamailio says of its relay.
func (l *proxyLab) shown() string {
	out, _ := l.server.Command(l.t.Context(), "kamcmd", "-s", "tcp:127.0.0.1:2049", "rtpengine.show", "all").CombinedOutput() // it says what is wrong
	return string(out)
}

// healthy says whether Kamailio would use its relay.
func (l *proxyLab) healthy() bool { return strings.Contains(l.shown(), "disabled: 0") }

// calling starts callers, of whom one half is anchored by rtpengine_manage.
func (l *proxyLab) calling(n int) *lab.Process {
	l.t.Helper()
	if err := os.WriteFile(l.file("numbers.csv"), []byte("SEQUENTIAL\nmanaged\nexplicit\n"), 0o600); err != nil {
		l.t.Fatal(err)
	}
	return l.sipp(l.caller, "caller_proxy.xml", "-p", "5060", "-mp", "27000", "-inf", l.file("numbers.csv"),
		"-m", strconv.Itoa(n), "-r", strconv.Itoa(proxyRate), "-l", strconv.Itoa(proxyAtOnce),
		"-trace_err", "-error_file", l.file("errors"), "198.51.100.10:5060")
}

var counted = regexp.MustCompile(`call over: \S+ mos=(\S+) samples=\d+ RTP: (\d+) bytes, (\d+) packets, (\d+) errors`)

// reported is what Kamailio was told by the relay about the calls that are over.
func (l *proxyLab) reported() (calls, packets, errors, bad int) {
	for _, m := range counted.FindAllStringSubmatch(l.proxy.Output(), -1) {
		mos, _ := strconv.ParseFloat(m[1], 64) // none is bad
		n, _ := strconv.Atoi(m[3])
		e, _ := strconv.Atoi(m[4])
		calls, packets, errors = calls+1, packets+n, errors+e
		if mos < 4 || n < 2*proxyTalk*9/10 {
			bad++
		}
	}
	return calls, packets, errors, bad
}

// A thousand calls by a Kamailio from the distribution, as its module speaks, with
// every packet counted before it leaves either phone and where it arrives.
func TestAThousandCallsByKamailio(t *testing.T) {
	for name, c := range map[string]struct {
		kernel  bool
		control string
	}{
		"UDP, user space":   {false, "udp:127.0.0.1:2223"},
		"WebSocket, kernel": {true, "ws://127.0.0.1:2225/ng"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newProxyLab(t, c.kernel, c.control)
			sippEnds(t, l.calling(proxyCalls), 3*time.Minute)
			if errors, err := os.ReadFile(l.file("errors")); err == nil && len(errors) > 0 {
				t.Errorf("sipp complains:\n%.2000s", errors)
			}
			if !l.healthy() {
				t.Errorf("kamailio says of its relay: %s", l.shown())
			}
			l.commands(t)
			l.audio(t)
		})
	}
}

// commands checks that the relay was asked what it had to be, and all went well.
func (l *proxyLab) commands(t *testing.T) {
	t.Helper()
	for _, command := range []string{"offer", "answer", "query", "delete"} {
		good := l.metric("lindero_relay_commands_total", `command="`+command+`"`, `result="ok"`)
		if all := l.metric("lindero_relay_commands_total", `command="`+command+`"`); good != proxyCalls || all != good {
			t.Errorf("%s: %v of %v commands went well, of %d calls", command, good, all, proxyCalls)
		}
	}
	if n := l.metric("lindero_relay_commands_total", `command="ping"`, `result="pong"`); n == 0 {
		t.Error("nobody has pinged the relay")
	}
	if n := l.metric("lindero_relay_calls"); n != 0 {
		t.Errorf("%v calls are left", n)
	}
	if ended := l.metric("lindero_relay_calls_ended_total", `why="deleted"`); ended != proxyCalls {
		t.Errorf("%v calls were deleted", ended)
	}
}

// audio compares what left the phones, what arrived at them, and what the relay says.
func (l *proxyLab) audio(t *testing.T) {
	t.Helper()
	caller, callee := l.caller.Watched(), l.callee.Watched()
	sent, heard := caller["to relay"].Packets, callee["from relay"].Packets
	back, home := callee["to relay"].Packets, caller["from relay"].Packets
	calls, packets, errors, bad := l.reported()
	user := l.metric("lindero_relay_packets_total", `verdict="forwarded"`)
	t.Logf("callers sent %d, callees heard %d and sent back %d, callers heard %d; the relay told of %d packets in %d calls and %d errors, and moved %.0f in user space",
		sent, heard, back, home, packets, calls, errors, user)
	least := func(what string, n, of uint64) {
		if n > of || float64(n) < (1-proxyMay)*float64(of) {
			t.Errorf("%s: %d packets of %d", what, n, of)
		}
	}
	if sent < proxyCalls*proxyTalk {
		t.Errorf("callers sent %d packets only", sent)
	}
	least("callees heard", heard, sent)
	least("callers heard", home, back)
	least("callees sent back", back, heard)
	least("the relay told of", uint64(packets), sent+back)
	if calls != proxyCalls || errors > 0 || bad > proxyCalls/100 {
		t.Errorf("the relay told of %d calls, %d of them bad, and %d errors", calls, bad, errors)
	}
	if !l.kernel && uint64(user) != heard+home {
		t.Errorf("the relay says it forwarded %.0f packets, and %d arrived", user, heard+home)
	}
	if l.kernel && user > float64(heard+home)/5 {
		t.Errorf("%.0f of %d packets went by user space", user, heard+home)
	}
}

var succeeded = regexp.MustCompile(`Successful call +\| +\d+ +\| +(\d+)`)

// A relay that dies takes its calls' audio with it, and nothing else: the proxy
// notices, refuses what cannot be anchored, and uses it again when it is back.
func TestKamailioNoticesThatARelayDiesAndIsBack(t *testing.T) {
	l := newProxyLab(t, false, "udp:127.0.0.1:2223")
	one := func() bool { return l.calling(1).Wait(30*time.Second) == nil }
	if !one() {
		t.Fatal("no call succeeds before")
	}
	many := l.calling(300) // ten seconds of new calls
	if !eventually(patience, func() bool { return l.metric("lindero_relay_calls") >= 30 }) {
		t.Fatal("there are no calls")
	}
	l.relay.Kill()
	if !eventually(patience, func() bool { return !l.healthy() }) {
		t.Error("kamailio does not notice that its relay is gone")
	}
	l.proxy.Await("no available proxies", 20, patience) // calls that it refuses at once
	l.start()
	if !eventually(patience, l.healthy) {
		t.Error("kamailio does not notice that its relay is back")
	}
	_ = many.Wait(time.Minute) // some calls were refused: that is its exit code
	all := succeeded.FindAllStringSubmatch(many.Output(), -1)
	if len(all) == 0 {
		t.Fatal("sipp does not say how many calls succeeded")
	}
	n, _ := strconv.Atoi(all[len(all)-1][1])
	refused := strings.Count(l.proxy.Output(), "no available proxies")
	t.Logf("%d calls of 300 succeeded, and kamailio found no relay %d times", n, refused)
	if n < 100 || n == 300 {
		t.Errorf("%d calls of 300 succeeded while the relay died and came back", n)
	}
	for range 3 {
		if !one() {
			t.Error("a call fails though the relay is back")
		}
	}
	if left := l.metric("lindero_relay_calls"); left != 0 {
		t.Errorf("%v calls are left", left)
	}
}
