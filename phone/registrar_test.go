package phone_test

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/lindero/lindero/phone"
	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/digest"
	"github.com/lindero/lindero/wire/sip/transport"
)

// A registrar is a small one for tests: it asks for digests and remembers what
// was registered. It shares nothing with the product's.
type registrar struct {
	t          *testing.T
	stack      *transport.Stack
	algorithms []digest.Algorithm // offered, in order
	grant      int                // seconds given, whatever was asked; 0: what was asked
	least      int                // Min-Expires

	mu    sync.Mutex
	nonce string
	log   []string // one word per REGISTER that was accepted
	flow  transport.Flow
}

// newRegistrar serves proto on a free port until the test ends.
func newRegistrar(t *testing.T, proto transport.Protocol, r *registrar) netip.AddrPort {
	t.Helper()
	r.t, r.nonce = t, "n1"
	r.stack = transport.New(transport.Config{}, r)
	addr, err := r.stack.Listen(proto, netip.MustParseAddrPort("127.0.0.1:0"), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- r.stack.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
	return addr
}

func (r *registrar) Closed(transport.Flow, error) {}

func (r *registrar) Message(flow transport.Flow, data []byte) {
	var m sip.Message
	if err := m.Scan(bytes.Clone(data)); err != nil {
		r.t.Errorf("the phone sent something bad: %v\n%s", err, data)
		return
	}
	if !m.IsRequest() || m.Is("ACK") {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	answer := r.answer(&m, flow)
	answer.ToTag = "registrar"
	if err := r.stack.Send(flow, sip.Respond(nil, &m, flow.Remote, answer)); err != nil {
		r.t.Errorf("answering: %v", err)
	}
}

func (r *registrar) answer(m *sip.Message, flow transport.Flow) sip.Response {
	challenge, id, code := "WWW-Authenticate", sip.Authorization, 401
	if !m.Is("REGISTER") {
		challenge, id, code = "Proxy-Authenticate", sip.ProxyAuthorization, 407
	}
	ok, stale := r.check(m, id)
	if !ok {
		var lines []byte
		for _, a := range r.algorithms {
			c := digest.Challenge{Realm: "example.test", Nonce: r.nonce, Algorithm: a, QOP: true, Stale: stale}
			lines = fmt.Appendf(lines, "%s: %s\r\n", challenge, c.Append(nil))
		}
		return sip.Response{Code: code, Headers: lines}
	}
	if !m.Is("REGISTER") {
		return sip.Response{Code: 404}
	}
	expires, _ := sip.ParseInt(m.Get(sip.Expires))
	if expires != 0 && int(expires) < r.least {
		return sip.Response{Code: 423, Headers: fmt.Appendf(nil, "Min-Expires: %d\r\n", r.least)}
	}
	r.flow = flow
	r.log = append(r.log, fmt.Sprint(expires))
	if expires == 0 {
		return sip.Response{Code: 200}
	}
	if r.grant != 0 {
		expires = uint32(r.grant)
	}
	return sip.Response{Code: 200, Headers: fmt.Appendf(nil,
		"Contact: <sip:other@192.0.2.1>;expires=7, %s;expires=%d\r\n", m.Get(sip.Contact), expires)}
}

// check tells whether the credentials are right for user 101, password secret,
// and whether they are only too old.
func (r *registrar) check(m *sip.Message, id sip.HeaderID) (ok, stale bool) {
	if len(r.algorithms) == 0 {
		return true, false
	}
	c, err := digest.ParseCredentials(m.Get(id))
	if err != nil || c.Algorithm != r.algorithms[0] || c.URI != string(m.URI) {
		return false, false
	}
	right := c.Check(digest.HA1(c.Algorithm, "101", "example.test", "secret"), string(m.Method))
	return right && c.Nonce == r.nonce, right && c.Nonce != r.nonce
}

func (r *registrar) accepted() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprint(r.log)
}

func TestRegister(t *testing.T) {
	t.Parallel()
	md5, sha := digest.MD5, digest.SHA256
	for name, c := range map[string]struct {
		offers   []digest.Algorithm
		least    int
		password string
		code     int    // of the failure; 0: none
		accepted string // what the registrar took
	}{
		"without digest":           {accepted: "[60 0]"},
		"MD5":                      {offers: []digest.Algorithm{md5}, accepted: "[60 0]"},
		"SHA-256":                  {offers: []digest.Algorithm{sha}, accepted: "[60 0]"},
		"the server's first wins":  {offers: []digest.Algorithm{sha, md5}, accepted: "[60 0]"},
		"… whatever it is":         {offers: []digest.Algorithm{md5, sha}, accepted: "[60 0]"},
		"wrong password":           {offers: []digest.Algorithm{md5}, password: "x", code: 401, accepted: "[]"},
		"too short for the server": {least: 300, accepted: "[300 0]"},
	} {
		for _, proto := range []transport.Protocol{transport.UDP, transport.TCP} {
			t.Run(name+" over "+proto.String(), func(t *testing.T) {
				t.Parallel()
				r := &registrar{algorithms: c.offers, least: c.least}
				password := c.password
				if password == "" {
					password = "secret"
				}
				p := start(t, 440, phone.Config{
					Server: newRegistrar(t, proto, r), Protocol: proto, Domain: "example.test", Username: "101", Password: password,
				})
				if err := p.Register(within(t), time.Minute); phone.Code(err) != c.code {
					t.Fatalf("Register: %v, want %d", err, c.code)
				}
				if c.code == 0 {
					if err := p.Unregister(within(t)); err != nil {
						t.Fatal(err)
					}
				}
				if got := r.accepted(); got != c.accepted {
					t.Errorf("the registrar took %s, want %s", got, c.accepted)
				}
			})
		}
	}
}

func TestRegistrationIsRefreshed(t *testing.T) {
	t.Parallel()
	r := &registrar{grant: 1, algorithms: []digest.Algorithm{digest.SHA256}}
	p := start(t, 440, phone.Config{Server: newRegistrar(t, transport.UDP, r), Domain: "example.test", Username: "101", Password: "secret"})
	if err := p.Register(within(t), time.Minute); err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	r.nonce = "n2" // the first has grown old: the refresh is answered stale=true
	r.mu.Unlock()
	eventually(t, "a refresh", func() bool { return r.accepted() == "[60 60]" })
}

// A phone whose connection is lost comes back by itself.
func TestRegistersAgainWhenTheConnectionIsLost(t *testing.T) {
	t.Parallel()
	r := &registrar{}
	server := newRegistrar(t, transport.TCP, r)
	p := start(t, 440, phone.Config{Server: server, Protocol: transport.TCP, Domain: "example.test", Username: "101"})
	if err := p.Register(within(t), time.Hour); err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	first := r.flow
	r.mu.Unlock()
	// What is no SIP ends a stream: the phone's side closes it.
	if err := r.stack.Send(first, []byte("SIP/2.0 200 OK\r\nContent-Length: none\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a second registration", func() bool { return r.accepted() == "[3600 3600]" })
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flow.Conn == first.Conn {
		t.Error("the second registration came by the lost connection")
	}
}

func TestCallIsAuthenticated(t *testing.T) {
	t.Parallel()
	r := &registrar{algorithms: []digest.Algorithm{digest.SHA256, digest.MD5}}
	server := newRegistrar(t, transport.UDP, r)
	for password, code := range map[string]int{"secret": 404, "wrong": 407} {
		p := start(t, 440, phone.Config{Server: server, Domain: "example.test", Username: "101", Password: password})
		if _, err := p.Dial(within(t), "600"); phone.Code(err) != code {
			t.Errorf("with password %s: %v, want %d", password, err, code)
		}
	}
}
