package relay_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lindero/lindero/wire/ng"
)

// script has Kamailio ask a relay what a call sounded like, and say it in its answer.
const script = `#!KAMAILIO
debug=1
log_stderror=yes
fork=no
children=1
listen=udp:%v
loadmodule "pv.so"
loadmodule "sl.so"
loadmodule "textops.so"
loadmodule "rtpengine.so"
modparam("rtpengine", "rtpengine_sock", "udp:%v")
%s
request_route {
	$avp(label_a) = "caller";
	$avp(label_b) = "callee";
	if (is_method("INFO")) { rtpengine_query(); }
	if (is_method("BYE")) { rtpengine_delete(); }
%s
	append_to_reply("X-Stat: $rtpstat\r\n");
	sl_send_reply("200", "OK");
}
`

// ratings are the variables of Kamailio's module that it fills in.
func ratings() (names []string) {
	for _, side := range []string{"", "_A", "_B"} {
		for _, which := range []string{"min", "max", "average"} {
			for _, what := range []string{"", "_at", "_packetloss", "_jitter", "_roundtrip", "_samples"} {
				if what == "_at" && which == "average" || what == "_samples" && which != "average" {
					continue
				}
				names = append(names, "mos_"+which+what+side)
			}
		}
	}
	return names
}

// newKamailio runs Kamailio beside g and returns what sends it a request and gives the
// headers of its answer.
func newKamailio(t *testing.T, g *rig) func(method string) map[string]string {
	t.Helper()
	program, err := exec.LookPath("kamailio")
	if err != nil {
		t.Skip("kamailio is not installed (apt-get install kamailio): whether it reads our ratings is not tested")
	}
	me, spare := listen(t, "127.0.0.1"), listen(t, "127.0.0.1")
	at := addr(spare)
	spare.Close()
	var params, says strings.Builder
	fmt.Fprintf(&params, "modparam(\"rtpengine\", \"mos_A_label_pv\", \"$avp(label_a)\")\nmodparam(\"rtpengine\", \"mos_B_label_pv\", \"$avp(label_b)\")\n")
	for _, name := range ratings() {
		fmt.Fprintf(&params, "modparam(\"rtpengine\", %q, \"$avp(%s)\")\n", name+"_pv", name)
		fmt.Fprintf(&says, "\tappend_to_reply(\"X-%s: $avp(%s)\\r\\n\");\n", name, name)
	}
	file := filepath.Join(t.TempDir(), "kamailio.cfg")
	if err := os.WriteFile(file, fmt.Appendf(nil, script, at, g.relay.Addresses().NG, params.String(), says.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-DD", "-E", "-f", file, "-m", "16", "-M", "4", "-Y", t.TempDir())
	cmd.Stdout, cmd.Stderr = log, log // a file: its children would hold a pipe open
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // and its children
		_ = cmd.Wait()                                      // killed, as asked
		if said, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("kamailio: %s", said)
		}
		log.Close()
	})
	serial := 0
	return func(method string) map[string]string {
		t.Helper()
		serial++
		request := fmt.Sprintf("%s sip:b@%v SIP/2.0\r\nVia: SIP/2.0/UDP %v;branch=z9hG4bK%d\r\nMax-Forwards: 70\r\n"+
			"From: <sip:a@example.com>;tag=a\r\nTo: <sip:b@example.com>;tag=b\r\nCall-ID: call\r\nCSeq: %d %s\r\nContent-Length: 0\r\n\r\n",
			method, at, addr(me), serial, serial, method)
		var reply []byte
		for begun := time.Now(); reply == nil; {
			if _, err := me.WriteToUDPAddrPort([]byte(request), at); err != nil {
				t.Fatal(err)
			}
			if reply, _ = read(t, me, 500*time.Millisecond); time.Since(begun) > 20*time.Second {
				t.Fatal("kamailio does not answer")
			}
		}
		said := make(map[string]string)
		for _, line := range strings.Split(string(reply), "\r\n") {
			if name, value, ok := strings.Cut(line, ": "); ok {
				said[strings.TrimPrefix(name, "X-")] = value
			}
		}
		return said
	}
}

// A real Kamailio asks for a call and for its end, and finds in our replies what its
// module promises scripts: the ratings of the call and of either side by its label.
func TestKamailioReadsOurRatings(t *testing.T) {
	g := newRig(t)
	ask := newKamailio(t, g)
	a, b := newPhone(t, outside), newPhone(t, inside)
	a.ssrc, b.ssrc = 0x11111111, 0xf2222222 // also of those that are no int32
	c := offer(a, "")
	c.Label = "caller"
	b.hear(g.do(c, ng.ResultOK).SDP)
	c = answer(b)
	c.Label = "callee"
	a.hear(g.do(c, ng.ResultOK).SDP)
	for i := range 60 {
		if i%5 == 3 {
			a.sequence++ // one in six of a's is lost on its way
		}
		talk(a, b, 1)
		if i%20 == 0 {
			a.report(b)
			b.report(a)
		}
	}
	for _, method := range []string{"INFO", "BYE"} {
		said := ask(method)
		number := func(name string) float64 {
			n, err := strconv.ParseFloat(said[name], 64)
			if err != nil {
				t.Errorf("%s: %s is %q", method, name, said[name])
			}
			return n
		}
		low, high := number("mos_min"), number("mos_max")
		if low < 1 || low > 3.5 || high < 4.2 || high > 4.5 || number("mos_average") < low || number("mos_average") > high {
			t.Errorf("%s: from %v to %v, on average %v", method, low, high, number("mos_average"))
		}
		if number("mos_min_A") != low || number("mos_max_A") != low || number("mos_min_B") != high || number("mos_average_B") != high {
			t.Errorf("%s: of the sides: %v", method, said)
		}
		if loss := number("mos_min_packetloss"); loss != 17 || number("mos_max_packetloss") != 0 {
			t.Errorf("%s: %v %% lost", method, loss)
		}
		if trip := number("mos_average_roundtrip_A"); trip <= 0 || trip > 2e6 || number("mos_average_samples_A") != 1 {
			t.Errorf("%s: a round trip of %v µs", method, trip)
		}
		if at := said["mos_min_at"]; !regexp.MustCompile(`^0:\d\d$`).MatchString(at) {
			t.Errorf("%s: the worst was at %q", method, at)
		}
		for _, name := range ratings() {
			if v := said[name]; v == "" || v == "<null>" {
				t.Errorf("%s: no %s", method, name)
			}
		}
		if method == "INFO" && !strings.Contains(said["Stat"], "RTP: 20640 bytes, 120 packets, 0 errors") {
			t.Errorf("$rtpstat is %q", said["Stat"])
		}
	}
	g.do(ng.Command{Name: ng.Query, CallID: "call"}, ng.ResultError)
}
