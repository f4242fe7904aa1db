package call_test

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/lindero/lindero/relay/call"
)

var update = flag.Bool("update", false, "write what came out into testdata")

// TestConversations plays each file of testdata/sdp: a sentence, then commands
// with the SDP that goes in, each followed by what comes out. Ports of ours are
// written P1, P2 … in the order they appear, their RTCP ports P1+1 and so on.
func TestConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/sdp/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(text) {
				t.Errorf("got:\n%s\nwant:\n%s", got, text)
			}
		})
	}
}

// play runs the commands in text and returns text with what really came out.
func play(t *testing.T, text string) string {
	t.Helper()
	r, _ := newRegistry(t, newTable())
	names := map[int]string{}
	var out strings.Builder
	sections := strings.Split(text, "\n--- ")
	out.WriteString(sections[0])
	for _, section := range sections[1:] {
		head, body, _ := strings.Cut(section, "\n")
		if head == "out" || head == "error" {
			continue // written anew below
		}
		body = strings.TrimSuffix(body, "\n")
		fmt.Fprintf(&out, "\n--- %s\n%s", head, body)
		m := call.Message{CallID: "c", SDP: []byte(body + "\n"), Replace: call.Replace{Origin: true}}
		run := r.Offer
		for i, word := range strings.Fields(head) {
			switch {
			case i == 0 && word == "answer":
				run = r.Answer
			case i == 0 && word == "offer":
			default:
				set(t, &m, word)
			}
		}
		sdp, err := run(m)
		if err != nil {
			fmt.Fprintf(&out, "\n--- error\n%v", err)
			continue
		}
		fmt.Fprintf(&out, "\n--- out\n%s", strings.TrimSuffix(symbols(string(sdp), names), "\n"))
	}
	return out.String() + "\n"
}

// set takes a word of a command's head.
func set(t *testing.T, m *call.Message, word string) {
	t.Helper()
	key, value, _ := strings.Cut(word, "=")
	switch key {
	case "from":
		m.FromTag = value
	case "to":
		m.ToTag = value
	case "side":
		if m.Direction = [2]string{"external", "internal"}; value == "inside" {
			m.Direction = [2]string{"internal", "external"}
		}
	case "received":
		m.ReceivedFrom = netip.MustParseAddr(value)
	case "transport":
		m.Transport = value
	case "mux":
		m.Mux = call.Mux{
			Offer: value == "offer", Require: value == "require", Demux: value == "demux", Accept: value == "accept", Reject: value == "reject",
		}
	case "strip":
		m.Codecs.Strip = strings.Split(value, ",")
	case "except":
		m.Codecs.Except = strings.Split(value, ",")
	case "rtcp":
		m.RTCP = map[string]call.RTCPAttribute{"full": call.RTCPFull, "none": call.RTCPNone}[value]
	case "replace":
		m.Replace = call.Replace{
			Origin: value == "origin", User: value == "same", Name: value == "same", Version: value == "same", Zero: value == "zero",
		}
	default:
		t.Fatalf("%q is no word of a command", word)
	}
}

var ourPort = regexp.MustCompile(`\b30\d\d\d\b`)

func symbols(sdp string, names map[int]string) string {
	return ourPort.ReplaceAllStringFunc(sdp, func(s string) string {
		n, _ := strconv.Atoi(s)
		if n%2 == 1 {
			return names[n-1] + "+1"
		}
		if names[n] == "" {
			names[n] = fmt.Sprint("P", len(names)+1)
		}
		return names[n]
	})
}
