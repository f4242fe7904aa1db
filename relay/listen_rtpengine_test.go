package relay_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/wire/ng"
)

// rtpengine takes the same messages by TCP and HTTP: our client by TCP sets up a
// call through it, and what it says by HTTP is what our relay says.
func TestRTPEngineByStreams(t *testing.T) {
	program, err := exec.LookPath("rtpengine")
	if err != nil {
		t.Skip("rtpengine is not installed (apt-get install rtpengine-daemon): our streams are not compared with the original's")
	}
	free := func() string {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Addr().String()
	}
	tcp, web, udp := free(), free(), free()
	cmd := exec.Command(program, "--config-file=none", "--foreground", "--log-stderr", "--log-level=1", "--table=-1", "--num-threads=1",
		"--interface=external/127.0.0.2", "--interface=internal/127.0.0.3", "--listen-ng="+udp, "--listen-tcp-ng="+tcp, "--listen-http="+web,
		"--port-min=32200", "--port-max=32300")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed, as asked
	})
	theirs := (&rig{t: t}).over(t, func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "tcp", tcp) })
	for begun := time.Now(); theirs.try(ng.Command{Name: ng.Ping}).Result != ng.ResultPong; {
		if time.Since(begun) > 15*time.Second {
			t.Fatal("rtpengine does not answer ping by TCP")
		}
	}
	a, b := newPhone(t, outside), newPhone(t, inside)
	theirs.connect(a, b, outside)
	talk(a, b, 10)
	theirs.do(ng.Command{Name: ng.Delete, CallID: "call", FromTag: "a", ToTag: "b"}, ng.ResultOK)

	_, _, _, at := newSecureRig(t)
	say := func(addr, message string) string {
		r, err := http.Post("http://"+addr+"/ng", "application/x-rtpengine-ng", strings.NewReader(message))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.Status + " " + r.Header.Get("Content-Type") + " " + string(text)
	}
	for _, message := range []string{"a d7:command4:pinge", "b d7:command4:ping7:call-id1:xe"} {
		if ours, other := say(at["http"], message), say(web, message); ours != other {
			t.Errorf("%s: rtpengine says %q and we %q", message, other, ours)
		}
	}
}
