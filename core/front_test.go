package core

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/digest"
)

func (d Demo) login(i int) *login {
	return &login{user: d.Users[i].Username, password: d.Users[i].Password}
}

// phone is a Contact with what an edge adds for its phone.
func phone(contact string) []string {
	return []string{"Contact: " + contact, "Path: <sip:tok@127.0.0.1:5065;transport=tcp;lr;ob>"}
}

func TestRegisterOverTCP(t *testing.T) {
	for _, algorithm := range []digest.Algorithm{digest.MD5, digest.SHA256} {
		t.Run(algorithm.String(), func(t *testing.T) {
			c, demo, _ := start(t, testConfig(t))
			e := dialEdge(t, c)
			l := demo.login(0)
			l.algorithm = algorithm
			m := e.askAs(l, request{headers: phone("<sip:101@192.0.2.7:5062>;expires=600")})
			wantCode(t, m, 200)
			if got := values(m, sip.Contact); len(got) != 1 || got[0] != "<sip:101@192.0.2.7:5062>;expires=600" {
				t.Errorf("bindings in the answer: %q", got)
			}
			company, err := c.store.Domain(t.Context(), demo.Domain)
			if err != nil {
				t.Fatal(err)
			}
			d, err := company.Terminal(t.Context(), "101")
			if err != nil {
				t.Fatal(err)
			}
			got, err := company.Bindings(t.Context(), d.User)
			if err != nil || len(got) != 1 {
				t.Fatalf("bindings kept: %+v %v", got, err)
			}
			if got[0].Source != "203.0.113.9:5062" || len(got[0].Path) != 1 || got[0].Path[0] != "<sip:tok@127.0.0.1:5065;transport=tcp;lr;ob>" {
				t.Errorf("kept %+v", got[0])
			}
		})
	}
}

func TestChallengeOrder(t *testing.T) {
	c, _, _ := start(t, testConfig(t))
	m := dialEdge(t, c).ask(request{})
	wantCode(t, m, 401)
	var order []string
	for _, v := range values(m, sip.WWWAuthenticate) {
		ch, err := digest.ParseChallenge([]byte(v))
		if err != nil || !ch.QOP || ch.Stale || ch.Realm != "demo.lindero.test" {
			t.Errorf("challenge %q: %+v %v", v, ch, err)
		}
		order = append(order, ch.Algorithm.String())
	}
	if got := strings.Join(order, " "); got != "SHA-256 MD5" {
		t.Errorf("challenges in order %s (RFC 8760 §2.4)", got)
	}
	if len(m.Tag(sip.To)) == 0 {
		t.Error("the answer has no To tag")
	}
}

// Whoever does not know a password learns nothing: unknown domain, unknown user
// and wrong password get answers that differ in realm and randomness alone.
func TestRefusalsLookAlike(t *testing.T) {
	c, demo, calls := start(t, testConfig(t))
	e := dialEdge(t, c)
	for _, method := range []string{"REGISTER", "INVITE"} {
		var shapes []string
		for _, who := range []struct{ user, domain, password string }{
			{"101", demo.Domain, "wrong"},
			{"999", demo.Domain, "wrong"},
			{"101", "nobody.test", demo.Users[0].Password},
			{"\xff", demo.Domain, "wrong"},
		} {
			aor := fmt.Sprintf("<sip:101@%s>", who.domain)
			m := e.askAs(&login{user: who.user, password: who.password},
				request{method: method, uri: "sip:" + who.domain, from: aor, to: aor, callID: "c" + who.user, cseq: 1})
			shapes = append(shapes, shape(m, who.domain))
		}
		for i, s := range shapes {
			if s != shapes[0] {
				t.Errorf("%s: refusal %d differs:\n%s\nfrom\n%s", method, i, s, shapes[0])
			}
		}
	}
	calls.none(t)
}

// shape is m without what is random or repeats the request.
func shape(m *sip.Message, domain string) string {
	lines := []string{fmt.Sprint(m.Code, " ", string(m.Reason))}
	for i := range m.Len() {
		name, value := string(m.Name(i)), string(m.Value(i))
		if c, err := digest.ParseChallenge(m.Value(i)); err == nil {
			value = strings.ReplaceAll(strings.ReplaceAll(value, c.Nonce, strings.Repeat("N", len(c.Nonce))), domain, "D")
		} else {
			value = ""
		}
		lines = append(lines, name+": "+value)
	}
	return strings.Join(lines, "\n")
}

func TestNoncesAreSpent(t *testing.T) {
	c, demo, _ := start(t, testConfig(t))
	e := dialEdge(t, c)
	l := demo.login(0)
	r := request{method: "REGISTER", uri: "sip:demo.lindero.test", headers: phone("<sip:101@192.0.2.7>")}
	wantCode(t, e.askAs(l, r), 200)

	again := func(what string, code int) {
		t.Helper()
		r := r
		r.headers = append([]string{l.again("Authorization", r)}, r.headers...)
		m := e.ask(r)
		if m.Code != code {
			t.Fatalf("%s: got %d, want %d", what, m.Code, code)
		}
		if code == 401 && !strings.Contains(values(m, sip.WWWAuthenticate)[0], "stale=true") {
			t.Errorf("%s: a right password is not told that only its nonce is stale", what)
		}
	}
	again("the nonce with its next count", 200)
	l.nc--
	again("the same count again", 401)
	l.nc += 10
	again("a count further on", 200)
	l.nc -= 2
	again("one that came late", 200)
	l.plain = true
	again("the nonce without a count", 401)

	l = demo.login(0)
	l.plain = true
	wantCode(t, e.askAs(l, r), 200)
	again("without a count a second time", 401)
	l.plain = false
	l.challenge.QOP = true
	again("with a count after one without", 401)
}

func TestWhoMayBeWhom(t *testing.T) {
	c, demo, calls := start(t, testConfig(t))
	e := dialEdge(t, c)
	m := e.askAs(demo.login(0), request{to: "<sip:102@demo.lindero.test>", from: "<sip:102@demo.lindero.test>"})
	wantCode(t, m, 403)
	if got := string(m.Find("Lindero-Credentials")); got != "right" {
		t.Errorf("the edge is told that the credentials were %q", got) // and would count a guess
	}
	m = e.askAs(demo.login(0), request{method: "INVITE", uri: "sip:600@demo.lindero.test", from: "<sip:102@demo.lindero.test>"})
	wantCode(t, m, 403)
	m = e.askAs(demo.login(0), request{method: "INVITE", uri: "sip:600@demo.lindero.test", from: "<sip:600@demo.lindero.test>"})
	wantCode(t, m, 403)
	calls.none(t)

	// The domain is compared without case; the number of one's own user will do as well as the username.
	m = e.askAs(demo.login(0), request{from: "<sip:101@DEMO.lindero.test>", to: "<sip:101@DEMO.lindero.test>", callID: "x"})
	wantCode(t, m, 200)
	company, err := c.store.Domain(t.Context(), demo.Domain)
	if err != nil {
		t.Fatal(err)
	}
	own, err := company.Terminal(t.Context(), "101")
	if err != nil {
		t.Fatal(err)
	}
	own.Username = "desk-phone"
	own.HA1MD5 = digest.HA1(digest.MD5, own.Username, demo.Domain, "secret")
	if _, err := company.CreateTerminal(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	m = e.askAs(&login{user: "desk-phone", password: "secret", algorithm: digest.MD5}, request{callID: "y"})
	wantCode(t, m, 200)
}

func TestInviteIsChallengedAndNamed(t *testing.T) {
	c, demo, calls := start(t, testConfig(t))
	e := dialEdge(t, c)
	r := request{
		method: "INVITE", uri: "sip:600@demo.lindero.test", to: "<sip:600@demo.lindero.test>",
		headers: []string{"LINDERO-caller: 1;user=1;terminal=1", "Contact: <sip:a@b>", "lindero-Caller : 2"}, body: "v=0\r\n",
	}
	m := e.ask(r)
	wantCode(t, m, 407)
	calls.none(t)

	l := demo.login(1)
	r.from = "<sip:102@demo.lindero.test>"
	r.headers = append(r.headers, l.credentials(t, m, r))
	sent := e.text(r)
	e.send(sent)
	got := calls.next(t)
	company, err := c.store.Domain(t.Context(), demo.Domain)
	if err != nil {
		t.Fatal(err)
	}
	d, err := company.Terminal(t.Context(), "102")
	if err != nil {
		t.Fatal(err)
	}
	named := fmt.Sprintf("Lindero-Caller: %d;user=%d;terminal=%d\r\n", d.Company, d.User, d.ID)
	if strings.Count(strings.ToLower(got), "lindero-caller") != 1 || !strings.Contains(got, named) {
		t.Errorf("the caller is not named by us alone, %q:\n%s", named, got)
	}
	without := strings.Replace(got, named, "", 1)
	want := strings.NewReplacer("LINDERO-caller: 1;user=1;terminal=1\r\n", "", "lindero-Caller : 2\r\n", "").Replace(sent)
	if without != want {
		t.Errorf("the B2BUA was given\n%s\nwant but for the name\n%s", without, want)
	}
}

func TestWhatPassesUnasked(t *testing.T) {
	c, _, calls := start(t, testConfig(t))
	e := dialEdge(t, c)
	for name, r := range map[string]request{
		"a CANCEL":                {method: "CANCEL"},
		"a BYE inside a dialog":   {method: "BYE", to: "<sip:x@y>;tag=t"},
		"an ACK inside a dialog":  {method: "ACK", to: "<sip:x@y>;tag=t"},
		"an INVITE in a dialog":   {method: "INVITE", to: "<sip:x@y>;tag=t"},
		"a REGISTER in a dialog":  {method: "REGISTER", to: "<sip:x@y>;tag=t"},
		"an OPTIONS in a dialog":  {method: "OPTIONS", to: "<sip:x@y>;tag=t"},
		"one with a false caller": {method: "BYE", to: "<sip:x@y>;tag=t", headers: []string{"Lindero-Caller: 1;user=1"}},
	} {
		t.Run(name, func(t *testing.T) {
			sent := e.text(r)
			e.send(sent)
			got := calls.next(t)
			if want := strings.Replace(sent, "Lindero-Caller: 1;user=1\r\n", "", 1); got != want {
				t.Errorf("the B2BUA was given\n%s\nwant\n%s", got, want)
			}
		})
	}
	response := "SIP/2.0 180 Ringing\r\nVia: SIP/2.0/TCP 127.0.0.1:5070;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\n" +
		"To: <sip:c@d>;tag=2\r\nCall-ID: z\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
	e.send(response)
	if got := calls.next(t); got != response {
		t.Errorf("the B2BUA was given\n%s", got)
	}

	m := e.ask(request{method: "OPTIONS"})
	wantCode(t, m, 200)
	if len(m.Get(sip.Allow)) == 0 {
		t.Error("OPTIONS learns no Allow")
	}
	e.send(e.text(request{method: "ACK"})) // of nothing: no answer, no B2BUA
	wantCode(t, e.ask(request{method: "OPTIONS"}), 200)
	calls.none(t)
}

func TestBadMessages(t *testing.T) {
	c, _, calls := start(t, testConfig(t))
	e := dialEdge(t, c)
	twice := e.text(request{headers: []string{"Call-ID: another"}})
	e.send(twice)
	wantCode(t, e.receive(), 400)
	e.send("OPTIONS sip:x SIP/2.0\r\nContent-Length: 0\r\n\r\n") // no answer, and the connection lives
	wantCode(t, e.ask(request{method: "OPTIONS"}), 200)
	m := e.ask(request{from: "<tel:+34>", to: "<tel:+34>", uri: "tel:+34"})
	wantCode(t, m, 400)
	calls.none(t)
}
