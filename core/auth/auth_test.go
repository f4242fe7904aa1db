package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/digest"
)

const realm = "a.test"

// guest is an address where nobody is registered.
var guest = netip.MustParseAddr("198.51.100.200")

// company has one terminal, 101 with the password secret.
type company struct {
	err      error
	bindings []tenancy.Binding
	asked    *int // how often for bindings
}

func (c company) BindingsOf(_ context.Context, id tenancy.TerminalID) ([]tenancy.Binding, error) {
	if c.asked != nil {
		*c.asked++
	}
	if id != 7 {
		return nil, c.err
	}
	return c.bindings, c.err
}

func (c company) Terminal(_ context.Context, username string) (tenancy.Terminal, error) {
	if c.err != nil {
		return tenancy.Terminal{}, c.err
	}
	if username != "101" {
		return tenancy.Terminal{}, tenancy.ErrNotFound
	}
	return tenancy.Terminal{
		ID: 7, User: 3, Username: username,
		HA1MD5: digest.HA1(digest.MD5, username, realm, "secret"), HA1SHA: digest.HA1(digest.SHA256, username, realm, "secret"),
	}, nil
}

func newGuard(t testing.TB, cfg Config) *Guard {
	t.Helper()
	if cfg.Key == nil {
		cfg.Key = bytes.Repeat([]byte{7}, 32)
	}
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// challenges are the two that g offers.
func challenges(t testing.TB, g *Guard) (sha, md5 digest.Challenge) {
	t.Helper()
	lines := strings.Split(string(g.Challenge(nil, "WWW-Authenticate", realm, false)), "\r\n")
	if len(lines) != 3 {
		t.Fatalf("challenge: %q", lines)
	}
	var both [2]digest.Challenge
	for i := range both {
		value, ok := strings.CutPrefix(lines[i], "WWW-Authenticate: ")
		c, err := digest.ParseChallenge([]byte(value))
		if !ok || err != nil {
			t.Fatalf("challenge %q: %v", lines[i], err)
		}
		both[i] = c
	}
	return both[0], both[1]
}

func message(t testing.TB, method, uri string, headers ...string) *sip.Message {
	t.Helper()
	lines := append([]string{
		method + " " + uri + " SIP/2.0", "Via: SIP/2.0/TCP 198.51.100.1;branch=z9hG4bK1", "Max-Forwards: 69",
		"From: <sip:101@a.test>;tag=1", "To: <sip:101@a.test>", "Call-ID: x", "CSeq: 1 " + method,
	}, headers...)
	m := new(sip.Message)
	if err := m.Scan([]byte(strings.Join(append(lines, "Content-Length: 0", "", ""), "\r\n"))); err != nil {
		t.Fatal(err)
	}
	return m
}

// header prints credentials for a REGISTER.
func header(c digest.Credentials) string { return "Authorization: " + string(c.Append(nil)) }

func verify(t testing.TB, g *Guard, headers ...string) Verdict {
	t.Helper()
	d, v, err := g.Verify(t.Context(), message(t, "REGISTER", "sip:a.test", headers...), guest, realm, company{})
	if err != nil {
		t.Fatal(err)
	}
	if (v == Accepted) != (d.ID == 7) {
		t.Errorf("verdict %v with terminal %d", v, d.ID)
	}
	return v
}

func answer(ch digest.Challenge, nc uint32) digest.Credentials {
	return digest.Answer(ch, "REGISTER", "sip:a.test", "101", "secret", "c", nc)
}

func TestVerdicts(t *testing.T) {
	g := newGuard(t, Config{})
	other := newGuard(t, Config{Key: bytes.Repeat([]byte{8}, 32)})
	with := func(change func(*digest.Credentials)) string {
		ch, _ := challenges(t, g)
		c := answer(ch, 1)
		change(&c)
		return header(c)
	}
	as := func(user, password, method, uri string) string {
		_, ch := challenges(t, g)
		return header(digest.Answer(ch, method, uri, user, password, "c", 1))
	}
	foreign, _ := challenges(t, other)
	elsewhere := digest.Challenge{Realm: realm, Nonce: g.nonces.make("b.test", time.Now()), Algorithm: digest.MD5, QOP: true}
	swapped, _ := challenges(t, g)
	swapped.Realm = "b.test"

	for name, row := range map[string]struct {
		headers []string
		want    Verdict
	}{
		"nothing":                        {nil, None},
		"the right password":             {[]string{as("101", "secret", "REGISTER", "sip:a.test")}, Accepted},
		"and SHA-256":                    {[]string{with(func(*digest.Credentials) {})}, Accepted},
		"a wrong password":               {[]string{as("101", "wrong", "REGISTER", "sip:a.test")}, Wrong},
		"nobody":                         {[]string{as("999", "secret", "REGISTER", "sip:a.test")}, Wrong},
		"an unprintable name":            {[]string{as("\xff", "secret", "REGISTER", "sip:a.test")}, Wrong},
		"for another method":             {[]string{as("101", "secret", "INVITE", "sip:a.test")}, Wrong},
		"for another host":               {[]string{as("101", "secret", "REGISTER", "sip:b.test")}, Wrong},
		"for another user":               {[]string{as("101", "secret", "REGISTER", "sip:600@a.test")}, Wrong},
		"for no URI":                     {[]string{as("101", "secret", "REGISTER", "nonsense")}, Wrong},
		"a port and parameters more":     {[]string{as("101", "secret", "REGISTER", "sip:A.test:5060;transport=tls")}, Accepted},
		"the edge's address for a host":  {[]string{as("101", "secret", "REGISTER", "sip:192.0.2.1:5060")}, Accepted},
		"another user at that address":   {[]string{as("101", "secret", "REGISTER", "sip:600@192.0.2.1:5060")}, Wrong},
		"in the wrong header":            {[]string{"Proxy-" + with(func(*digest.Credentials) {})}, None},
		"another realm":                  {[]string{with(func(c *digest.Credentials) { c.Realm = "b.test" })}, None},
		"another realm, and ours":        {[]string{header(answer(swapped, 1)), with(func(*digest.Credentials) {})}, Accepted},
		"both algorithms, one wrong":     {[]string{as("101", "wrong", "REGISTER", "sip:a.test"), with(func(*digest.Credentials) {})}, Accepted},
		"a third guess":                  {[]string{as("101", "1", "REGISTER", "sip:a.test"), as("101", "2", "REGISTER", "sip:a.test"), with(func(*digest.Credentials) {})}, Wrong},
		"a broken header":                {[]string{"Authorization: Digest nonsense"}, None},
		"another scheme":                 {[]string{"Authorization: Basic MTAxOnNlY3JldA=="}, None},
		"no response":                    {[]string{with(func(c *digest.Credentials) { c.Response = "0" })}, Wrong},
		"a count that was not hashed":    {[]string{with(func(c *digest.Credentials) { c.NC = 2 })}, Wrong},
		"a count of zero":                {[]string{header(answer(swappedRealm(swapped, g), 0))}, Stale},
		"a nonce of another key":         {[]string{header(answer(foreign, 1))}, Stale},
		"of another key, wrong password": {[]string{header(digest.Answer(foreign, "REGISTER", "sip:a.test", "101", "x", "c", 1))}, Wrong},
		"a nonce of another realm":       {[]string{header(answer(elsewhere, 1))}, Stale},
		"a nonce nobody made":            {[]string{header(answer(digest.Challenge{Realm: realm, Nonce: "x", Algorithm: digest.MD5, QOP: true}, 1))}, Stale},
	} {
		t.Run(name, func(t *testing.T) {
			if got := verify(t, g, row.headers...); got != row.want {
				t.Errorf("verdict %v, want %v", got, row.want)
			}
		})
	}
}

func swappedRealm(c digest.Challenge, g *Guard) digest.Challenge {
	c.Realm, c.Nonce = realm, g.nonces.make(realm, time.Now())
	return c
}

func TestNonceGrowsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(t, Config{Life: time.Minute})
		ch, _ := challenges(t, g)
		<-time.After(time.Minute - time.Millisecond)
		if v := verify(t, g, header(answer(ch, 1))); v != Accepted {
			t.Errorf("just before its end a nonce is %v", v)
		}
		<-time.After(time.Millisecond)
		if v := verify(t, g, header(answer(ch, 2))); v != Stale {
			t.Errorf("after its end it is %v", v)
		}
		if v := verify(t, g, header(digest.Answer(ch, "REGISTER", "sip:a.test", "101", "guess", "c", 3))); v != Wrong {
			t.Errorf("an old nonce with a wrong password is %v, and would tell the guesser", v)
		}
	})
}

// A restarted process does not know what nonces were used for, so it takes none
// of those.
// Phones that give up at SHA-256 are a reason to offer MD5 alone; what is not
// offered is then not accepted either.
func TestOneAlgorithmOffered(t *testing.T) {
	both := newGuard(t, Config{})
	sha, _ := challenges(t, both)
	g := newGuard(t, Config{Algorithms: []digest.Algorithm{digest.MD5}})
	line := string(g.Challenge(nil, "WWW-Authenticate", realm, false))
	ch, err := digest.ParseChallenge([]byte(strings.TrimPrefix(strings.TrimSpace(line), "WWW-Authenticate: ")))
	if err != nil || ch.Algorithm != digest.MD5 || strings.Count(line, "\r\n") != 1 {
		t.Fatalf("challenge %q, %v", line, err)
	}
	if v := verify(t, g, header(answer(ch, 1))); v != Accepted {
		t.Errorf("MD5: verdict %v", v)
	}
	ch.Algorithm = sha.Algorithm
	if v := verify(t, g, header(answer(ch, 2))); v != Wrong {
		t.Errorf("SHA-256: verdict %v", v)
	}
}

func TestRestartForgetsNonces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := newGuard(t, Config{})
		ch, _ := challenges(t, before)
		<-time.After(time.Second)
		if v := verify(t, newGuard(t, Config{}), header(answer(ch, 1))); v != Stale {
			t.Errorf("verdict %v", v)
		}
	})
}

// Whoever guesses names must not see by the clock which exist: the number of
// hashes is the same.
func TestRefusalsCostTheSame(t *testing.T) {
	for _, alg := range []digest.Algorithm{digest.MD5, digest.SHA256} {
		for name, try := range map[string]struct {
			user    string
			company Terminals
			want    Verdict
		}{
			"right":          {"101", company{}, Wrong},
			"unknown user":   {"999", company{}, Wrong},
			"broken name":    {"\xff", company{}, Wrong},
			"unknown domain": {"101", nil, Wrong},
		} {
			t.Run(fmt.Sprint(alg, " ", name), func(t *testing.T) {
				g := newGuard(t, Config{})
				ch, _ := challenges(t, g)
				ch.Algorithm = alg
				c := digest.Answer(ch, "REGISTER", "sip:a.test", try.user, "guess", "c", 1)
				_, v, err := g.Verify(t.Context(), message(t, "REGISTER", "sip:a.test", header(c)), guest, realm, try.company)
				if v != try.want || err != nil {
					t.Errorf("verdict %v, %v", v, err)
				}
				if n := g.computed.Load(); n != 1 {
					t.Errorf("%d responses were computed, want 1", n)
				}
			})
		}
	}
}

func TestDatabaseFails(t *testing.T) {
	g := newGuard(t, Config{})
	broken := errors.New("gone")
	ch, _ := challenges(t, g)
	m := message(t, "REGISTER", "sip:a.test", header(answer(ch, 1)))
	if _, v, err := g.Verify(t.Context(), m, guest, realm, company{err: broken}); v == Accepted || !errors.Is(err, broken) {
		t.Errorf("verdict %v, %v", v, err)
	}
}

type numbers map[string]tenancy.Extension

func (n numbers) Extension(_ context.Context, number string) (tenancy.Extension, error) {
	if number == "broken" {
		return tenancy.Extension{}, errors.New("gone")
	}
	e, ok := n[number]
	if !ok {
		return e, tenancy.ErrNotFound
	}
	return e, nil
}

func TestOwns(t *testing.T) {
	n := numbers{
		"101": {Kind: tenancy.ToUser, User: 3}, "102": {Kind: tenancy.ToUser, User: 4}, "600": {Kind: tenancy.ToEcho},
	}
	d := tenancy.Terminal{User: 3, Username: "desk"}
	for uri, want := range map[string]bool{
		"sip:desk@a.test": true, "sip:101@a.test": true, "sip:102@a.test": false, "sip:600@a.test": false, "sip:DESK@a.test": false, "sip:a.test": false,
	} {
		u, err := sip.ParseURI([]byte(uri))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Owns(t.Context(), d, u, n); got != want || err != nil {
			t.Errorf("%s: %v %v, want %v", uri, got, err, want)
		}
	}
	u, _ := sip.ParseURI([]byte("sip:broken@a.test"))
	if owns, err := Owns(t.Context(), d, u, n); owns || err == nil {
		t.Error("a broken database lets anybody be anybody")
	}
}
