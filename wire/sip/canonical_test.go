package sip_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	sipgo "github.com/emiago/sipgo/sip"

	"github.com/lindero/lindero/wire/sip"
)

func TestAppendCanonical(t *testing.T) {
	m := scan(t, torture(t, "wsinv"))
	want := `INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0
To: <sip:vivekg@chair-dnrc.example.com>;tag=1918181833n
From: "J Rosenberg \\\"" <sip:jdrosen@example.com>;tag=98asjd8
Max-Forwards: 68
Call-ID: wsinv.ndaksdj@192.0.2.1
CSeq: 9 INVITE
Via: SIP/2.0/UDP 192.0.2.2;branch=390skdjuw
s: ` + `
NewFangledHeader: newfangled value continued newfangled value
UnknownHeaderWithUnusualValue: ;;,,;;,;
Content-Type: application/sdp
Route: <sip:services.example.com;lr;unknownwith=value;unknown-no-value>
Via: SIP/2.0/TCP spindle.example.com;branch=z9hG4bK9ikj8
Via: SIP/2.0/UDP 192.168.255.111;branch=z9hG4bK30239
Contact: "Quoted string \"\"" <sip:jdrosen@example.com>;newparam=newvalue;secondparam;q=0.33
Content-Length: 150

`
	got := sip.AppendCanonical(nil, m)
	if head := strings.ReplaceAll(string(got[:len(got)-len(m.Body)]), "\r\n", "\n"); head != want {
		t.Errorf("printed\n%s\nwant\n%s", head, want)
	}
	theirs, err := sipgo.ParseMessage(got)
	if err != nil {
		t.Fatalf("sipgo cannot read it: %v", err)
	}
	if tag, _ := theirs.From().Params.Get("tag"); tag != "98asjd8" || len(theirs.GetHeaders("Via")) != 3 {
		t.Errorf("sipgo reads tag %q and %d Vias", tag, len(theirs.GetHeaders("Via")))
	}
}

// What every value means is the same before and after, and there is only one
// canonical form.
func checkCanonical(t *testing.T, m *sip.Message) {
	t.Helper()
	printed := sip.AppendCanonical(nil, m)
	if len(printed) > sip.MaxStream {
		return
	}
	c := new(sip.Message)
	if err := c.Scan(printed); err != nil {
		if strings.Contains(err.Error(), "too many") || strings.Contains(err.Error(), "too long") {
			return // lists became lines
		}
		t.Fatalf("the canonical form is refused: %v\n%q", err, printed)
	}
	if got, want := meaning(c), meaning(m); got != want {
		t.Fatalf("the canonical form means\n%s\nthe message\n%s", got, want)
	}
	if again := sip.AppendCanonical(nil, c); !bytes.Equal(again, printed) {
		t.Fatalf("canonical again:\n%q\nonce:\n%q", again, printed)
	}
	if n, err := sip.Frame(printed); err != nil || n != len(printed) {
		t.Fatalf("the canonical form has length %d, %v", n, err)
	}
}

func meaning(m *sip.Message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %d %q %d %s %s %q\n", m.Method, m.URI, m.Code, m.Reason, m.CSeqNumber, m.CSeqMethod, m.Get(sip.CallID), m.Body)
	eachValue(m, sip.Via, func(v []byte) {
		via, err := sip.ParseVia(v)
		fmt.Fprintf(&b, "via %s %s %d %q %v\n", via.Transport, via.Host, via.Port, via.Branch(), err)
	})
	for _, id := range []sip.HeaderID{sip.From, sip.To} {
		n, err := sip.ParseNameAddr(m.Get(id))
		fmt.Fprintf(&b, "%s %s %q %v\n", id, n.URI, m.Tag(id), err)
	}
	for _, id := range []sip.HeaderID{sip.Contact, sip.Route, sip.RecordRoute, sip.Path} {
		eachValue(m, id, func(v []byte) {
			n, _ := sip.ParseNameAddr(v)
			fmt.Fprintf(&b, "%s %s", id, n.URI)
			for p := n.Params; ; {
				name, value, rest, ok := sip.NextParam(p)
				if !ok {
					break
				}
				fmt.Fprintf(&b, ";%s=%q", name, strings.Join(strings.Fields(string(value)), " "))
				p = rest
			}
			b.WriteString("\n")
		})
	}
	return b.String()
}

func TestCanonicalMeansTheSame(t *testing.T) {
	for _, row := range tortureTable(t) {
		if row.scanner == "accept" {
			checkCanonical(t, scan(t, torture(t, row.name)))
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		checkCanonical(t, scan(t, wellFormed(r)))
	}
}

func TestCanonicalDoesNotAllocate(t *testing.T) {
	m := scan(t, wire(invite))
	buf := sip.AppendCanonical(nil, m)
	if n := testing.AllocsPerRun(100, func() { buf = sip.AppendCanonical(buf[:0], m) }); n != 0 {
		t.Errorf("printing allocates %v times", n)
	}
}

func FuzzCanonical(f *testing.F) {
	seeds(f, func(raw []byte) { f.Add(raw) })
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := new(sip.Message)
		if m.Scan(raw) == nil {
			checkCanonical(t, m)
		}
	})
}
