package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/relay"
	"github.com/lindero/lindero/wire/ng"
	"github.com/lindero/lindero/wire/session"
)

// A runningRelay is the role, run by its file.
type runningRelay struct {
	t             *testing.T
	file, metrics string
	ng            netip.AddrPort
	ended         chan error
	client        *ng.Client
}

func startRelay(t *testing.T) *runningRelay {
	t.Helper()
	dir := t.TempDir()
	r := &runningRelay{t: t, file: filepath.Join(dir, "relay.yaml"), ng: freePlace(t), metrics: freePlace(t).String(), ended: make(chan error, 1)}
	// The counts of calls lie in a file system in memory, by the path of their folder.
	text := fmt.Sprintf("role: relay\nid: east-1\nng: %v\nexternal: 127.0.0.2\ninternal: 127.0.0.3\nmetrics: %s\nstate: %s\nshield: {control: %s}\n",
		r.ng, r.metrics, "off", filepath.Join(dir, "c.sock"))
	if err := os.WriteFile(r.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		r.ended <- run(ctx, []string{"relay", "--config", r.file}, io.Discard, io.Discard)
	}()
	var err error
	if r.client, err = ng.NewClient(r.ng, ng.ClientConfig{}); err != nil {
		t.Fatal(err)
	}
	asking := make(chan error, 1)
	go func() { asking <- r.client.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		<-over
		<-asking
	})
	if got := r.ask(ng.Command{Name: ng.Ping}); got.Result != ng.ResultPong {
		t.Fatal(got)
	}
	return r
}

func freePlace(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func (r *runningRelay) ask(c ng.Command) ng.Reply {
	r.t.Helper()
	said := make(chan ng.Reply, 1)
	failed := make(chan error, 1)
	r.client.Do(c, func(reply ng.Reply, err error) {
		if err != nil {
			failed <- err
			return
		}
		said <- reply
	})
	select {
	case reply := <-said:
		return reply
	case err := <-failed:
		r.t.Fatal(err)
	}
	return ng.Reply{}
}

// command runs lindero relay what about it.
func (r *runningRelay) command(what ...string) string {
	r.t.Helper()
	var out bytes.Buffer
	if err := run(r.t.Context(), append(append([]string{"relay"}, what...), "--config", r.file), &out, &out); err != nil {
		r.t.Fatalf("relay %v: %v", what, err)
	}
	return out.String()
}

func (r *runningRelay) call(id string) ng.Reply {
	return r.ask(ng.Command{
		Name: ng.Offer, CallID: id, FromTag: "a", Direction: [2]string{"external", "internal"},
		SDP: []byte("v=0\r\no=- 1 1 IN IP4 127.0.1.1\r\ns=-\r\nc=IN IP4 127.0.1.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"),
	})
}

func wants(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("no %q in:\n%s", w, text)
		}
	}
}

func TestRelayCommands(t *testing.T) {
	r := startRelay(t)
	wants(t, r.command("sessions"), "no calls")
	if got := r.call("first@host"); got.Result != ng.ResultOK {
		t.Fatal(got)
	}
	wants(t, r.command("status"), "east-1, NG at "+r.ng.String(), "taken", "1 of at most 5,000, 0 answered", "no devices are configured",
		"external 127.0.0.2: 1 pairs of ports lent", "forgets the calls")
	wants(t, r.command("sessions"), "first@host", "rings", "external", "not heard yet", "PCMU")
	wants(t, r.command("sessions", "first@host"), "audio 1, from the offerer", "audio 1, from the answerer", "too few packets to say")
	wants(t, r.command("top", "--once"), "lindero relay  east-1", "new calls taken", "1 calls of 5,000", "WORST LEGS", "no leg has had packets enough")
	var s relay.Status
	if err := json.Unmarshal([]byte(r.command("status", "--json")), &s); err != nil || s.Calls != 1 {
		t.Errorf("%+v %v", s, err)
	}
	var all []session.Session
	if err := json.Unmarshal([]byte(r.command("sessions", "--json")), &all); err != nil || len(all) != 1 || all[0].Relay != "east-1" {
		t.Errorf("%+v %v", all, err)
	}
	for _, wrong := range [][]string{{"sessions", "a", "b"}, {"status", "x"}, {"sessions", "--limit", "0"}, {"drain", "--deadline", "-1s"}} {
		if _, err := lindero(t, append([]string{"relay"}, wrong...)...); err == nil {
			t.Errorf("%v is taken", wrong)
		}
	}
	if _, err := lindero(t, "relay", "sessions", "nobody", "--config", r.file); err == nil || !strings.Contains(err.Error(), `no call "nobody"`) {
		t.Error(err)
	}
	if _, err := lindero(t, "relay", "status", "--control", filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "no relay runs here") {
		t.Error(err)
	}
}

// A relay that is drained refuses new calls, says so at /readyz, and ends well with
// its last call.
func TestRelayDrainsAndEnds(t *testing.T) {
	r := startRelay(t)
	r.call("first@host")
	wants(t, r.command("drain"), "takes no new calls; 1 call is left")
	if got := r.call("second@host"); got.Result != ng.ResultLoadLimit {
		t.Errorf("%+v", got)
	}
	status, text := get(t, "http://"+r.metrics+"/readyz")
	if status != http.StatusServiceUnavailable || !strings.Contains(text, "draining, 1 calls are left") {
		t.Errorf("%d %s", status, text)
	}
	wants(t, r.command("undrain"), "takes new calls")
	if got := r.call("second@host"); got.Result != ng.ResultOK {
		t.Errorf("%+v", got)
	}
	waited := make(chan string, 1)
	go func() { waited <- r.command("drain", "--wait", "--deadline", "1h") }()
	deadline := time.After(10 * time.Second)
	for r.ask(ng.Command{Name: ng.Ping}).Warning == "" {
		select {
		case <-deadline:
			t.Fatal("it does not drain")
		case <-time.After(10 * time.Millisecond):
		}
	}
	wants(t, r.command("status"), "draining since", "at the latest")
	for _, id := range []string{"first@host", "second@host"} {
		if got := r.ask(ng.Command{Name: ng.Delete, CallID: id, FromTag: "a"}); got.Result != ng.ResultOK {
			t.Error(got)
		}
	}
	select {
	case err := <-r.ended:
		if err != nil {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it does not end")
	}
	wants(t, <-waited, "2 calls are left", "east-1 ")
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}
