package ng

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// By every transport, in both encodings, a command is answered in its encoding,
// once; its repetition gets the same reply, also by another transport.
func TestEveryTransport(t *testing.T) {
	s := newStation(t, ServerConfig{}, nil)
	ways := s.ways(t)
	run := 0
	for name, ask := range ways {
		for encoding, message := range map[string]string{
			"bencode": name + "_b d7:command5:offer7:call-id1:c3:sdp5:v=0\r\ne",
			"json":    name + `_j {"command": "offer", "call-id": "c", "sdp": "v=0\r\n"}`,
		} {
			run++
			want := fmt.Sprintf("%s_b d6:result2:ok3:sdp5:v=0\r\n7:warning%d:%de", name, len(fmt.Sprint(run)), run)
			if encoding == "json" {
				want = fmt.Sprintf(`%s_j {"result":"ok","sdp":"v=0\r\n","warning":"%d"}`, name, run)
			}
			for again, other := range ways {
				if got, err := other(message); err != nil || got != want {
					t.Fatalf("%s by %s, then by %s: %q %v, want %q", encoding, name, again, got, err, want)
				}
			}
			if got, err := ask(message); err != nil || got != want {
				t.Errorf("%q %v, want %q", got, err, want)
			}
		}
	}
	if n := s.Stats(); n.Commands != 8 || n.Duplicates != 8*4 || n.Malformed != 0 {
		t.Errorf("%+v", n)
	}
	// The same cookie with another command is another command.
	for _, id := range []string{"x", "y"} {
		run++
		got, err := ways["udp"]("same d7:command4:ping7:call-id1:" + id + "e")
		if want := fmt.Sprint(run, "e"); err != nil || !strings.HasSuffix(got, want) {
			t.Errorf("%q %v, want %s", got, err, want)
		}
	}
}

func TestPlainDictionaries(t *testing.T) {
	s := newStation(t, ServerConfig{}, nil)
	ws := s.webSocket(t, subprotocolPlain)
	for i := range 4 {
		want := fmt.Sprintf(`{"result":"ok","warning":"%d"}`, i+1)
		var got string
		var err error
		if i%2 == 0 {
			got, err = s.post("/ng-plain", "application/json; charset=utf-8", `{"command":"ping"}`)
		} else {
			if err = ws.Write(t.Context(), websocket.MessageText, []byte(`{"command":"ping"}`)); err == nil {
				var b []byte
				_, b, err = ws.Read(t.Context())
				got = string(b)
			}
		}
		if err != nil || got != want {
			t.Errorf("%q %v, want %q: nothing is remembered without a cookie", got, err, want)
		}
	}
}

// Commands of one call run in the order in which they came, those of another
// meanwhile.
func TestOrderWithinACallAndNoneBetweenCalls(t *testing.T) {
	var mu sync.Mutex
	seen := map[string][]string{}
	hold := make(chan struct{})
	s := newStation(t, ServerConfig{Workers: 4}, func(_ netip.AddrPort, c Command) Reply {
		if c.CallID == "slow" {
			<-hold
		}
		mu.Lock()
		defer mu.Unlock()
		seen[c.CallID] = append(seen[c.CallID], c.FromTag)
		return Reply{Result: ResultOK}
	})
	// Calls that are not the slow one's worker's.
	at := func(id string) *worker {
		return s.worker(job{message: message([]byte("c d7:command4:ping7:call-id" + fmt.Sprint(len(id)) + ":" + id + "e"))})
	}
	var calls []string
	for i := 0; len(calls) < 5; i++ {
		if id := fmt.Sprint("call", i); at(id) != at("slow") {
			calls = append(calls, id)
		}
	}
	c := dialConn(t, "tcp", s.tcp)
	var all strings.Builder
	put := func(id string, n int) {
		fmt.Fprintf(&all, "%s-%d d7:command4:ping7:call-id%d:%s8:from-tag%d:%de", id, n, len(id), id, len(fmt.Sprint(n)), n)
	}
	put("slow", 0)
	const n = 40
	for i := range n {
		for _, id := range calls {
			put(id, i)
		}
	}
	text := all.String()
	go func() { // in small pieces, over a connection that is answered meanwhile
		for i := 0; i < len(text); i += 37 {
			if _, err := io.WriteString(c, text[i:min(i+37, len(text))]); err != nil {
				return
			}
		}
	}()
	f := &framer{max: maxReply}
	for range n * len(calls) {
		if m, err := readReply(c, f); err != nil || strings.HasPrefix(m, "slow") {
			t.Fatalf("%q %v", m, err)
		}
	}
	close(hold)
	if m, err := readReply(c, f); err != nil || !strings.HasPrefix(m, "slow-0 ") {
		t.Fatalf("%q %v", m, err)
	}
	for _, id := range calls {
		for i, tag := range seen[id] {
			if tag != fmt.Sprint(i) {
				t.Fatalf("%s: %v", id, seen[id])
			}
		}
	}
}

func TestWhatHTTPRefuses(t *testing.T) {
	s := newStation(t, ServerConfig{}, nil)
	for name, c := range map[string]struct {
		method, path, kind, origin, body string
		want                             int
	}{
		"ping":            {"GET", "/ping", "", "", "", 200},
		"nothing":         {"GET", "/", "", "", "", 404},
		"GET":             {"GET", "/ng", "", "", "", 405},
		"a form":          {"POST", "/ng", "application/x-www-form-urlencoded", "", "c de", 415},
		"no type":         {"POST", "/ng", "", "", "c de", 415},
		"no cookie":       {"POST", "/ng", httpType, "", "de", 400},
		"too long":        {"POST", "/ng", httpType, "", "c d3:sdp" + strings.Repeat("x", MaxDatagram), 413},
		"good":            {"POST", "/ng", httpType, "", "c d7:command4:pinge", 200},
		"a page":          {"POST", "/ng", httpType, "https://example.com", "c d7:command4:pinge", 403},
		"a rebound page":  {"POST", "/ng", httpType, "http://SELF", "c d7:command4:pinge", 403},
		"a program":       {"POST", "/ng", httpType, "http://127.0.0.1", "c d7:command4:pinge", 200},
		"a page's socket": {"WS", "/", "", "https://example.com", "", 403},
		"no subprotocol":  {"WS", "/", "", "", "", 400},
	} {
		t.Run(name, func(t *testing.T) {
			method := strings.Replace(c.method, "WS", "GET", 1)
			r, err := http.NewRequest(method, "http://"+s.http+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			if c.method == "WS" {
				r.Header.Set("Connection", "Upgrade")
				r.Header.Set("Upgrade", "websocket")
				r.Header.Set("Sec-WebSocket-Version", "13")
				r.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
			}
			if c.kind != "" {
				r.Header.Set("Content-Type", c.kind)
			}
			if c.origin == "http://SELF" { // a name of the attacker's that resolves to us
				r.Host, c.origin = "evil.example", "http://evil.example"
			}
			if c.origin != "" {
				r.Header.Set("Origin", c.origin)
			}
			got, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			got.Body.Close()
			if got.StatusCode != c.want {
				t.Errorf("%s, want %d", got.Status, c.want)
			}
		})
	}
}

// A reply that no datagram holds goes by the other ways; by UDP it is an apology.
func TestLongReplies(t *testing.T) {
	s := newStation(t, ServerConfig{}, func(netip.AddrPort, Command) Reply {
		return Reply{Result: ResultOK, SDP: make([]byte, 200_000)}
	})
	for name, ask := range s.ways(t) {
		if name == "websocket" {
			continue // the client of this test has a limit of its own
		}
		got, err := ask(name + " d7:command5:querye")
		if err != nil {
			t.Fatal(name, err)
		}
		_, dict, err := SplitCookie([]byte(got))
		if err != nil {
			t.Fatal(name, err)
		}
		r, err := ParseReply(dict)
		if want := name != "udp"; err != nil || (r.Result == ResultOK) != want || want && len(r.SDP) != 200_000 {
			t.Errorf("%s: %s %q %d %v", name, r.Result, r.ErrorReason, len(r.SDP), err)
		}
	}
}

func TestLoadLimitOnlyForThoseWhoKnowIt(t *testing.T) {
	s := newStation(t, ServerConfig{}, func(netip.AddrPort, Command) Reply { return RefuseLoad("too many calls: %d", 7) })
	ask := s.ways(t)["udp"]
	for message, want := range map[string]string{
		"a d7:command5:offere":                          "a d12:error-reason17:too many calls: 76:result5:errore",
		"b d7:command5:offer8:supportsl10:load limitee": "b d12:error-reason17:too many calls: 77:message17:too many calls: 76:result10:load limite",
	} {
		if got, err := ask(message); err != nil || got != want {
			t.Errorf("%q %v, want %q", got, err, want)
		}
	}
	client, err := NewClient(netip.MustParseAddrPort(s.udp), ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go client.Run(ctx)
	done := make(chan Reply, 1)
	client.Do(Command{Name: Offer}, func(r Reply, _ error) { done <- r })
	select {
	case r := <-done:
		if r.Result != ResultLoadLimit || r.ErrorReason != "too many calls: 7" {
			t.Errorf("%+v", r)
		}
	case <-time.After(5 * time.Second):
		t.Error("no reply")
	}
}
