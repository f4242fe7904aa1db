package b2bua_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lindero/lindero/core/b2bua"
	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/core/voice"
)

// A world is a B2BUA, its company, and the phones around it. Phones speak SIP as
// text, the way edges pass it: with Path, Record-Route and flow tokens. Bytes
// travel by function calls, so that a world also lives in a synctest bubble;
// TestSockets runs the same phones over UDP.
type world struct {
	t     *testing.T
	b     *b2bua.B2BUA
	co    *company
	local netip.AddrPort
	reg   *prometheus.Registry
	stop  func() // ends Run and waits for it

	mu     sync.Mutex // guards the fields below
	phones map[netip.AddrPort]*phone
	trace  []string
}

func newWorld(t *testing.T, options ...func(*b2bua.Config)) *world {
	t.Helper()
	w := &world{
		t: t, co: newCompany(), local: netip.MustParseAddrPort("127.0.0.1:5070"),
		reg: prometheus.NewRegistry(), phones: make(map[netip.AddrPort]*phone),
	}
	cfg := b2bua.Config{
		Send: w.send, Local: w.local, Registerer: w.reg, Log: slog.New(slog.DiscardHandler),
		Directory: func(id tenancy.CompanyID) b2bua.Tenant { return w.co.handle(id) },
	}
	for _, o := range options {
		o(&cfg)
	}
	b, err := b2bua.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.b = b
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := b.Run(ctx); err != nil {
			t.Error("Run:", err)
		}
	}()
	w.stop = func() { cancel(); <-done }
	t.Cleanup(func() {
		w.stop()
		if t.Failed() {
			w.mu.Lock()
			defer w.mu.Unlock()
			t.Log("\n" + strings.Join(w.trace, "\n"))
		}
	})
	return w
}

var errNobody = errors.New("nobody there")

// send is Config.Send.
func (w *world) send(to netip.AddrPort, data []byte) error {
	w.mu.Lock()
	p := w.phones[to]
	w.mu.Unlock()
	if p == nil {
		return errNobody
	}
	return p.receive(data)
}

func (w *world) note(who, arrow, text string) {
	line, _, _ := strings.Cut(text, "\r\n")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trace = append(w.trace, fmt.Sprintf("%-6s %s %s", who, arrow, line))
}

// withVoice gives the world a voice of real sockets.
func withVoice(t *testing.T) func(*b2bua.Config) {
	e, err := voice.New(voice.Config{
		Media: netip.MustParseAddr("127.0.0.1"), MinPort: 42000, MaxPort: 42199, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
		if n := e.Sessions(); n != 0 {
			t.Errorf("%d voices are left", n)
		}
	})
	return func(c *b2bua.Config) { c.Voice = e }
}

func withTiming(f func(*b2bua.Timing)) func(*b2bua.Config) {
	return func(c *b2bua.Config) { f(&c.Timing) }
}

// A company is the directory of a test: users 1 to 9 with extensions 101 to 109,
// 600 echoes, 601 greets.
type company struct {
	mu       sync.Mutex // guards the fields below
	bindings map[tenancy.UserID][]tenancy.Binding
	ring     time.Duration
	cdrs     []tenancy.CDR
	fail     func() error // what WriteCDR meets first
	dead     error        // what every query meets
	panics   bool         // Extension panics
}

func newCompany() *company {
	return &company{bindings: make(map[tenancy.UserID][]tenancy.Binding), ring: 30 * time.Second}
}

// bind registers a contact.
func (c *company) bind(b tenancy.Binding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bindings[b.User] = append(c.bindings[b.User], b)
}

type handle struct {
	*company
	id tenancy.CompanyID
}

func (c *company) handle(id tenancy.CompanyID) b2bua.Tenant { return handle{c, id} }

func (h handle) Company(context.Context) (tenancy.Company, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dead != nil {
		return tenancy.Company{}, h.dead
	}
	return tenancy.Company{ID: h.id, Name: "Demo", Domain: "demo.lindero.test", RingTime: h.ring}, nil
}

func (h handle) User(_ context.Context, id tenancy.UserID) (tenancy.User, error) {
	return tenancy.User{ID: id, Company: h.id, Name: fmt.Sprintf("User %d", id)}, nil
}

func (h handle) Extension(_ context.Context, number string) (tenancy.Extension, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.panics {
		panic("a bug in the directory")
	}
	e := tenancy.Extension{Company: h.id, Number: number}
	switch {
	case number == "600":
		e.Kind = tenancy.ToEcho
	case number == "601":
		e.Kind = tenancy.ToGreeting
	case len(number) == 3 && number > "100" && number < "110":
		e.Kind, e.User = tenancy.ToUser, tenancy.UserID(number[2]-'0')
	default:
		return e, tenancy.ErrNotFound
	}
	return e, nil
}

func (h handle) ExtensionOf(_ context.Context, id tenancy.UserID) (tenancy.Extension, error) {
	return tenancy.Extension{Company: h.id, Number: fmt.Sprint(100 + id), Kind: tenancy.ToUser, User: id}, nil
}

func (h handle) Bindings(_ context.Context, id tenancy.UserID) ([]tenancy.Binding, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]tenancy.Binding(nil), h.bindings[id]...), nil
}

func (h handle) WriteCDR(ctx context.Context, cdr tenancy.CDR) error {
	h.mu.Lock()
	fail := h.fail
	h.mu.Unlock()
	if fail != nil {
		if err := fail(); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, old := range h.cdrs {
		if old.ID == cdr.ID {
			return nil
		}
	}
	h.cdrs = append(h.cdrs, cdr)
	return nil
}

func (c *company) written() []tenancy.CDR {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]tenancy.CDR(nil), c.cdrs...)
}

// cdr waits for the only CDR and checks how the call ended.
func (w *world) cdr(verdict tenancy.Verdict, code int, by string) tenancy.CDR {
	w.t.Helper()
	all := w.cdrs(1)
	got := all[0]
	if got.Verdict != verdict || got.Code != code || got.HungUpBy != by {
		w.t.Errorf("CDR says %s %d by %s (%s), want %s %d by %s", got.Verdict, got.Code, got.HungUpBy, got.Reason, verdict, code, by)
	}
	return got
}

// cdrs waits for n CDRs, and fails if there are more.
func (w *world) cdrs(n int) []tenancy.CDR {
	w.t.Helper()
	w.until("a CDR", func() bool { return len(w.co.written()) >= n })
	all := w.co.written()
	if len(all) != n {
		w.t.Fatalf("%d CDRs, want %d: %+v", len(all), n, all)
	}
	return all
}

// until waits for what happens on other goroutines.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			w.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// ended waits until no call is left.
func (w *world) ended() {
	w.t.Helper()
	w.until("the calls to end", func() bool { return w.b.Calls() == 0 })
}

// count is the value of a counter.
func (w *world) count(name string) float64 {
	families, err := w.reg.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

type addrPort = netip.AddrPort
