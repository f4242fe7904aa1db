package registrar_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/core/registrar"
	"github.com/lindero/lindero/core/store/storetest"
	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/wire/sip"
)

// A step is one REGISTER and what it gets: the code, and for a 200 all Contacts.
type step struct {
	cseq    int
	callID  string // default "call"
	headers string // lines separated by " | "
	want    string
}

const (
	flow1 = `;+sip.instance="<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>";reg-id=1`
	flow2 = `;+sip.instance="<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>";reg-id=2`
	path  = " | Path: <sip:tok@198.51.100.1;lr;ob>"
)

var dialogues = map[string][]step{
	"a phone asks, comes, stays and goes": {
		{cseq: 1, want: "200"},
		{cseq: 2, headers: "Contact: <sip:101@192.0.2.1>;expires=600", want: "200 <sip:101@192.0.2.1>;expires=600"},
		{cseq: 3, want: "200 <sip:101@192.0.2.1>;expires=600"},
		{cseq: 4, headers: "Contact: <sip:101@192.0.2.1>;expires=1200", want: "200 <sip:101@192.0.2.1>;expires=1200"},
		{cseq: 5, headers: "Contact: <sip:101@192.0.2.1>;expires=0", want: "200"},
		{cseq: 6, headers: "Contact: <sip:101@192.0.2.1>;expires=0", want: "200"},
	},
	"how long: the contact's word, then the header's, then an hour": {
		{cseq: 1, headers: "Contact: <sip:a@h>;expires=600, <sip:b@h> | Expires: 700", want: "200 <sip:a@h>;expires=600 <sip:b@h>;expires=700"},
		{cseq: 2, callID: "2", headers: "Contact: <sip:a@h>", want: "200 <sip:a@h>;expires=3600 <sip:b@h>;expires=700"},
		{cseq: 3, callID: "3", headers: "Contact: <sip:a@h>;expires=soon | Expires: 700", want: "200 <sip:a@h>;expires=3600 <sip:b@h>;expires=700"},
		{cseq: 4, callID: "4", headers: "Contact: <sip:a@h> | Expires: 0", want: "200 <sip:b@h>;expires=700"},
	},
	"too long is cut, too short is refused": {
		{cseq: 1, headers: "Contact: <sip:a@h>;expires=86400", want: "200 <sip:a@h>;expires=7200"},
		{cseq: 2, headers: "Contact: <sip:a@h>;expires=99999999999999", want: "200 <sip:a@h>;expires=7200"},
		{cseq: 3, headers: "Contact: <sip:a@h>;expires=59", want: "423 Min-Expires: 60"},
		{cseq: 4, headers: "Contact: <sip:a@h> | Expires: 1", want: "423 Min-Expires: 60"},
		{cseq: 5, headers: "Contact: <sip:a@h>;expires=60", want: "200 <sip:a@h>;expires=60"},
	},
	"one short contact refuses the whole request": {
		{cseq: 1, headers: "Contact: <sip:a@h>;expires=600, <sip:b@h>;expires=1", want: "423 Min-Expires: 60"},
		{cseq: 2, want: "200"},
	},
	"a star removes all, and only with Expires 0 and alone": {
		{cseq: 1, headers: "Contact: <sip:a@h> | Contact: <sip:b@h>", want: "200 <sip:a@h>;expires=3600 <sip:b@h>;expires=3600"},
		{cseq: 2, headers: "Contact: *", want: "400"},
		{cseq: 3, headers: "Contact: * | Expires: 60", want: "400"},
		{cseq: 5, headers: "Contact: <sip:c@h> | Contact: * | Expires: 0", want: "400"},
		{cseq: 1, headers: "Contact: * | Expires: 0", want: "500"},
		{cseq: 6, headers: "Contact: * | Expires: 0", want: "200"},
		{cseq: 7, headers: "Contact: * | Expires: 0", want: "200"},
	},
	"an older request of the same Call-ID changes nothing": {
		{cseq: 5, headers: "Contact: <sip:a@h>;expires=600", want: "200 <sip:a@h>;expires=600"},
		{cseq: 4, headers: "Contact: <sip:a@h>;expires=900", want: "500"},
		{cseq: 5, headers: "Contact: <sip:a@h>;expires=900", want: "500"},
		{cseq: 4, headers: "Contact: <sip:a@h>;expires=0", want: "500"},
		{cseq: 4, headers: "Contact: <sip:new@h>, <sip:a@h>;expires=0", want: "500"},
		{cseq: 4, want: "200 <sip:a@h>;expires=600"},
		{cseq: 1, callID: "rebooted", headers: "Contact: <sip:a@h>;expires=900", want: "200 <sip:a@h>;expires=900"},
	},
	"contacts are compared as URIs": {
		{cseq: 1, headers: "Contact: <sip:%61lice@HOST.test;foo=1>;expires=600", want: "200 <sip:%61lice@HOST.test;foo=1>;expires=600"},
		{cseq: 2, headers: "Contact: <SIP:alice@host.test;bar=2>;expires=700", want: "200 <SIP:alice@host.test;bar=2>;expires=700"},
		{cseq: 3, headers: "Contact: <sip:alice@host.test:5060>;expires=800", want: "200 <SIP:alice@host.test;bar=2>;expires=700 <sip:alice@host.test:5060>;expires=800"},
		{cseq: 4, headers: "Contact: <sip:alice@host.test>;expires=0", want: "200 <sip:alice@host.test:5060>;expires=800"},
	},
	"a flow is known by its instance and reg-id, whatever its address": {
		{cseq: 1, headers: "Contact: <sip:a@192.0.2.1:1000>" + flow1, want: "200 <sip:a@192.0.2.1:1000>" + flow1 + ";expires=3600"},
		{cseq: 1, callID: "rebooted", headers: "Contact: <sip:a@192.0.2.1:2000>" + strings.ToLower(flow1),
			want: "200 <sip:a@192.0.2.1:2000>" + strings.ToLower(flow1) + ";expires=3600"},
		{cseq: 1, callID: "second", headers: "Contact: <sip:a@192.0.2.1:3000>" + flow2,
			want: "200 <sip:a@192.0.2.1:2000>" + strings.ToLower(flow1) + ";expires=3600 <sip:a@192.0.2.1:3000>" + flow2 + ";expires=3600"},
		{cseq: 2, callID: "second", headers: "Contact: <sip:a@elsewhere>;expires=0" + flow2, want: "200 <sip:a@192.0.2.1:2000>" + strings.ToLower(flow1) + ";expires=3600"},
		{cseq: 2, callID: "rebooted", headers: "Contact: <sip:a@192.0.2.1:2000>;expires=0", want: "200"},
	},
	"two flows in one request are refused": {
		{cseq: 1, headers: "Contact: <sip:a@h>" + flow1 + ", <sip:a@i>" + flow2, want: "400"},
	},
	"an instance without reg-id is an ordinary contact": {
		{cseq: 1, headers: `Contact: <sip:a@h>;+sip.instance="<urn:x>", <sip:b@h>;+sip.instance="<urn:x>"`,
			want: `200 <sip:a@h>;+sip.instance="<urn:x>";expires=3600 <sip:b@h>;+sip.instance="<urn:x>";expires=3600`},
	},
	"outbound is promised only over a first hop that keeps flows": {
		{cseq: 1, headers: "Supported: outbound, path | Contact: <sip:a@h>" + flow1 + path,
			want: "200 <sip:a@h>" + flow1 + ";expires=3600 Path: <sip:tok@198.51.100.1;lr;ob> Require: outbound"},
		{cseq: 2, headers: "Supported: outbound | Path: <sip:x;lr> | Contact: <sip:a@h>" + flow1, want: "439"},
		{cseq: 3, headers: "Path: <sip:x;lr> | Contact: <sip:a@h>" + flow1, want: "200 <sip:a@h>" + flow1 + ";expires=3600"},
	},
	"ten bindings and no more": {
		{cseq: 1, headers: "Contact: <sip:1@h>,<sip:2@h>,<sip:3@h>,<sip:4@h>,<sip:5@h>,<sip:6@h>,<sip:7@h>,<sip:8@h>,<sip:9@h>,<sip:10@h>,<sip:11@h>", want: "403"},
		{cseq: 2, headers: "Contact: <sip:1@h>,<sip:2@h>,<sip:3@h>,<sip:4@h>,<sip:5@h>,<sip:6@h>,<sip:7@h>,<sip:8@h>,<sip:9@h>,<sip:10@h> | Expires: 60",
			want: "200 <sip:10@h>;expires=60 <sip:1@h>;expires=60 <sip:2@h>;expires=60 <sip:3@h>;expires=60 <sip:4@h>;expires=60 <sip:5@h>;expires=60 <sip:6@h>;expires=60 <sip:7@h>;expires=60 <sip:8@h>;expires=60 <sip:9@h>;expires=60"},
		{cseq: 3, headers: "Contact: <sip:11@h>", want: "403"},
		{cseq: 4, headers: "Contact: <sip:11@h>;expires=60,<sip:2@h>;expires=0,<sip:3@h>;expires=0,<sip:4@h>;expires=0,<sip:5@h>;expires=0,<sip:6@h>;expires=0,<sip:7@h>;expires=0,<sip:8@h>;expires=0,<sip:9@h>;expires=0",
			want: "200 <sip:10@h>;expires=60 <sip:11@h>;expires=60 <sip:1@h>;expires=60"},
	},
	"contacts that cannot be": {
		{cseq: 1, headers: "Contact: <tel:+34600>", want: "400"},
		{cseq: 2, headers: "Contact: <sip:a@h>, <sip:a@h>;expires=60", want: "400"},
		{cseq: 3, headers: "Contact: <sip:a@h;" + strings.Repeat("x", 1100) + ">", want: "400"},
		{cseq: 5, headers: "Contact: <sip:a@h>" + strings.Repeat(path, 9), want: "400"},
		{cseq: 6, headers: "Contact: <sip:a@h>;expires=0" + strings.Repeat(",<sip:a@h>;expires=0", 32), want: "400"},
		{cseq: 7, want: "200"},
	},
	"what is required and not done is named": {
		{cseq: 1, headers: "Require: gruu, Path | Require: x | Contact: <sip:a@h>", want: "420 Unsupported: gruu, x"},
		{cseq: 2, headers: "Require: path, outbound", want: "200"},
	},
	"parameters come back as they were written": {
		{cseq: 1, headers: "Contact: \"Ana, \\\"the\\\" boss\" <sip:a@h;transport=tcp>;q=0.7;methods=\"INVITE, ACK\";EXPIRES=60;flag",
			want: "200 <sip:a@h;transport=tcp>;q=0.7;methods=\"INVITE, ACK\";flag;expires=60"},
		{cseq: 1, callID: "x", headers: "Contact: sip:bare@h;q=1;expires=60", want: "200 <sip:a@h;transport=tcp>;q=0.7;methods=\"INVITE, ACK\";flag;expires=60 <sip:bare@h>;q=1;expires=60"},
	},
}

func TestDialogues(t *testing.T) {
	for name, steps := range dialogues {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			for i, s := range steps {
				if got := c.register(t, s); got != s.want {
					t.Fatalf("step %d, %s:\n got %s\nwant %s", i+1, s.headers, got, s.want)
				}
			}
		})
	}
}

type company struct {
	storetest.Company
	r *registrar.Registrar
}

func newCompany(t testing.TB) company {
	s := storetest.Open(t, "sqlite:"+filepath.Join(t.TempDir(), "test.db"))
	return company{storetest.Make(t, s, "a.test", "101", "101"), registrar.New(registrar.Config{})}
}

func scan(t testing.TB, s step) *sip.Message {
	t.Helper()
	if s.callID == "" {
		s.callID = "call"
	}
	lines := []string{
		"REGISTER sip:a.test SIP/2.0", "Via: SIP/2.0/TCP 198.51.100.1:5065;branch=z9hG4bK1", "Max-Forwards: 69",
		"From: <sip:101@a.test>;tag=1", "To: <sip:101@a.test>", "Call-ID: " + s.callID,
		fmt.Sprintf("CSeq: %d REGISTER", s.cseq), "User-Agent: phone\xff/1",
	}
	if s.headers != "" {
		lines = append(lines, strings.Split(strings.TrimPrefix(s.headers, " | "), " | ")...)
	}
	m := new(sip.Message)
	if err := m.Scan([]byte(strings.Join(append(lines, "Content-Length: 0", "", ""), "\r\n"))); err != nil {
		t.Fatalf("%s: %v", s.headers, err)
	}
	return m
}

// register sends one step and returns what matters of the answer.
func (c company) register(t testing.TB, s step) string {
	t.Helper()
	r, err := c.r.Register(t.Context(), scan(t, s), c.Terminal, "203.0.113.9:5062", c.Tenant)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{fmt.Sprint(r.Code)}
	var tail []string
	for line := range strings.SplitSeq(strings.TrimSuffix(string(r.Headers), "\r\n"), "\r\n") {
		if line == "" {
			continue
		}
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "Contact":
			got = append(got, value)
		case "Date":
			if d, err := time.Parse(time.RFC1123, value); err != nil || time.Since(d).Abs() > time.Minute {
				t.Errorf("Date: %s", value)
			}
		case "Supported":
			if value != "path, outbound" {
				t.Errorf("Supported: %s", value)
			}
		default:
			tail = append(tail, line)
		}
	}
	slices.Sort(got[1:]) // the order of bindings means nothing
	return strings.Join(append(got, tail...), " ")
}

// storetest.Company has a field and a method of this name; the interface wants the method.
var _ registrar.Bindings = company{}.Tenant

func TestWhatIsKept(t *testing.T) {
	c := newCompany(t)
	c.register(t, step{cseq: 7, headers: "Contact: <sip:a@192.0.2.1>;q=0.5 | Path: <sip:one@h;lr>,\r\n <sip:two@h;lr> | Path: <sip:three@h;lr>"})
	got, err := c.Bindings(t.Context(), c.User.ID)
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	b := got[0]
	left := time.Until(b.Expires)
	if b.Contact != "sip:a@192.0.2.1" || b.Params != ";q=0.5" || b.CallID != "call" || b.CSeq != 7 || b.Source != "203.0.113.9:5062" ||
		strings.Join(b.Path, " ") != "<sip:one@h;lr> <sip:two@h;lr> <sip:three@h;lr>" || b.UserAgent != "phone\ufffd/1" ||
		left > time.Hour || left < time.Hour-time.Minute {
		t.Errorf("kept %+v", b)
	}
}

// A broken database fails the request and is told to the caller; a race lost to a
// newer request is only that.
func TestFailures(t *testing.T) {
	c := newCompany(t)
	broken := errors.New("disk full")
	for name, row := range map[string]struct {
		b    faulty
		code int
		err  error
	}{
		"reading fails":     {faulty{c.Tenant, broken, nil}, 500, broken},
		"writing fails":     {faulty{c.Tenant, nil, broken}, 500, broken},
		"a newer one came":  {faulty{c.Tenant, nil, fmt.Errorf("x: %w", tenancy.ErrOutOfOrder)}, 500, nil},
		"nothing goes awry": {faulty{c.Tenant, nil, nil}, 200, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := c.r.Register(t.Context(), scan(t, step{cseq: 1, callID: strings.ReplaceAll(name, " ", "-"), headers: "Contact: <sip:a@h>"}), c.Terminal, "", row.b)
			if r.Code != row.code || !errors.Is(err, row.err) {
				t.Errorf("got %d and %v, want %d and %v", r.Code, err, row.code, row.err)
			}
		})
	}
}

type faulty struct {
	registrar.Bindings
	read, write error
}

func (f faulty) BindingsOf(ctx context.Context, id tenancy.TerminalID) ([]tenancy.Binding, error) {
	if f.read != nil {
		return nil, f.read
	}
	return f.Bindings.BindingsOf(ctx, id)
}

func (f faulty) ChangeBindings(ctx context.Context, id tenancy.TerminalID, c tenancy.BindingChange) error {
	if f.write != nil {
		return f.write
	}
	return f.Bindings.ChangeBindings(ctx, id, c)
}
