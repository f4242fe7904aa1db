package digest_test

import (
	"errors"
	"strings"
	"testing"

	icholy "github.com/icholy/digest"

	"github.com/lindero/lindero/wire/sip/digest"
)

// The examples of the RFCs, with the responses printed there.
var examples = map[string]struct {
	header, method, password string
	ch                       digest.Challenge
	cnonce                   string
	response                 string
}{
	"RFC 2617 §3.5": {
		header:   `Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"`,
		method:   "GET",
		password: "Circle Of Life",
		ch:       digest.Challenge{Realm: "testrealm@host.com", Nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093", Opaque: "5ccc069c403ebaf9f0171e9517f40e41", Algorithm: digest.MD5, QOP: true},
		cnonce:   "0a4f113b",
		response: "6629fae49393a05397450978507c4ef1",
	},
	"RFC 7616 §3.9.1, MD5": {
		header:   `Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=MD5, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`,
		method:   "GET",
		password: "Circle of Life",
		ch:       digest.Challenge{Realm: "http-auth@example.org", Nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", Opaque: "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS", Algorithm: digest.MD5, QOP: true},
		cnonce:   "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
		response: "8ca523f5e9506fed4657c9700eebdbec",
	},
	"RFC 7616 §3.9.1, SHA-256": {
		header:   `Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`,
		method:   "GET",
		password: "Circle of Life",
		ch:       digest.Challenge{Realm: "http-auth@example.org", Nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", Opaque: "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS", Algorithm: digest.SHA256, QOP: true},
		cnonce:   "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
		response: "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
	},
}

func TestExamplesOfTheRFCs(t *testing.T) {
	for name, ex := range examples {
		t.Run(name, func(t *testing.T) {
			ch, err := digest.ParseChallenge([]byte(ex.header))
			if err != nil || ch != ex.ch {
				t.Fatalf("challenge reads %+v, %v; want %+v", ch, err, ex.ch)
			}
			got := digest.Answer(ch, ex.method, "/dir/index.html", "Mufasa", ex.password, ex.cnonce, 1)
			if got.Response != ex.response {
				t.Fatalf("response is %s, want %s", got.Response, ex.response)
			}
			read, err := digest.ParseCredentials(got.Append(nil))
			if err != nil || read != got {
				t.Fatalf("credentials read back %+v, %v; want %+v", read, err, got)
			}
			ha1 := digest.HA1(ch.Algorithm, "Mufasa", ch.Realm, ex.password)
			if !read.Check(ha1, ex.method) {
				t.Error("the right password is refused")
			}
			if read.Check(ha1, "POST") || read.Check(digest.HA1(ch.Algorithm, "Mufasa", ch.Realm, "x"), ex.method) || read.Check("", ex.method) {
				t.Error("another method, a wrong password or no password is accepted")
			}
			again, err := digest.ParseChallenge(ch.Append(nil))
			if err != nil || again != ch {
				t.Errorf("challenge reads back %+v, %v", again, err)
			}
		})
	}
}

// RFC 2069's form, without qop; the value is that of its erratum 749.
func TestWithoutQOP(t *testing.T) {
	ch := digest.Challenge{Realm: "testrealm@host.com", Nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093", Algorithm: digest.MD5}
	c := digest.Answer(ch, "GET", "/dir/index.html", "Mufasa", "CircleOfLife", "unused", 7)
	if want := "1949323746fe6a43ef61f9606e7febea"; c.Response != want {
		t.Errorf("response is %s, want %s", c.Response, want)
	}
	if c.CNonce != "" || c.NC != 0 || strings.Contains(string(c.Append(nil)), "qop") {
		t.Errorf("an answer without qop carries its parameters: %s", c.Append(nil))
	}
}

func TestChallengesRefused(t *testing.T) {
	for name, row := range map[string]struct {
		header string
		want   error
	}{
		"another scheme":           {`Basic realm="x"`, digest.ErrScheme},
		"a longer scheme":          {`Digestive nonce="x"`, digest.ErrScheme},
		"a session form":           {`Digest nonce="x", algorithm=MD5-sess`, digest.ErrAlgorithm},
		"SHA-256 session form":     {`Digest nonce="x", algorithm=SHA-256-sess`, digest.ErrAlgorithm},
		"SHA-512-256":              {`Digest nonce="x", algorithm=SHA-512-256`, digest.ErrAlgorithm},
		"integrity only":           {`Digest nonce="x", qop="auth-int"`, digest.ErrQOP},
		"no nonce":                 {`Digest realm="x"`, digest.ErrMalformed},
		"nothing":                  {`Digest`, digest.ErrMalformed},
		"a name twice":             {`Digest nonce="x", NONCE="y"`, digest.ErrMalformed},
		"an open quote":            {`Digest nonce="x`, digest.ErrMalformed},
		"an escape at the end":     {`Digest nonce="x\`, digest.ErrMalformed},
		"text after the quote":     {`Digest nonce="x" y, realm="z"`, digest.ErrMalformed},
		"a comma at the end":       {`Digest nonce="x",`, digest.ErrMalformed},
		"no value":                 {`Digest nonce=, realm="z"`, digest.ErrMalformed},
		"two challenges in a line": {`Digest nonce="x", Digest nonce="y"`, digest.ErrMalformed},
		"too many parameters":      {"Digest nonce=x" + manyParams(40), digest.ErrMalformed},
	} {
		if _, err := digest.ParseChallenge([]byte(row.header)); !errors.Is(err, row.want) {
			t.Errorf("%s: error is %v, want %v", name, err, row.want)
		}
	}
}

func manyParams(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(", p" + strings.Repeat("x", i) + "=1")
	}
	return b.String()
}

func TestCredentialsRefused(t *testing.T) {
	const good = `Digest username="u", realm="r", nonce="n", uri="sip:x", response="00", cnonce="c", qop=auth, nc=00000001`
	if _, err := digest.ParseCredentials([]byte(good)); err != nil {
		t.Fatalf("good credentials: %v", err)
	}
	for name, row := range map[string]struct {
		old, new string
		want     error
	}{
		"no username":       {`username="u", `, ``, digest.ErrMalformed},
		"no uri":            {`uri="sip:x", `, ``, digest.ErrMalformed},
		"no nonce":          {`nonce="n", `, ``, digest.ErrMalformed},
		"no response":       {`response="00", `, ``, digest.ErrMalformed},
		"no cnonce":         {`cnonce="c", `, ``, digest.ErrMalformed},
		"no count":          {`, nc=00000001`, ``, digest.ErrMalformed},
		"a short count":     {`nc=00000001`, `nc=1`, digest.ErrMalformed},
		"a signed count":    {`nc=00000001`, `nc=+0000001`, digest.ErrMalformed},
		"integrity":         {`qop=auth`, `qop=auth-int`, digest.ErrQOP},
		"unknown algorithm": {`qop=auth`, `qop=auth, algorithm=AKAv1-MD5`, digest.ErrAlgorithm},
		"unknown scheme":    {`Digest `, `NoOneKnowsThisScheme `, digest.ErrScheme},
	} {
		if _, err := digest.ParseCredentials([]byte(strings.Replace(good, row.old, row.new, 1))); !errors.Is(err, row.want) {
			t.Errorf("%s: error is %v, want %v", name, err, row.want)
		}
	}
}

func TestSpellingsAccepted(t *testing.T) {
	want := digest.Credentials{Username: `a"b\c`, Realm: "r, s", Nonce: "n==", URI: "sip:x;y=z", Response: "00",
		CNonce: "c", Algorithm: digest.SHA256, QOP: true, NC: 0xab}
	for _, header := range []string{
		`Digest username="a\"b\\c",realm="r, s",nonce="n==",uri="sip:x;y=z",response="00",cnonce="c",algorithm=SHA-256,qop=auth,nc=000000ab`,
		"DIGEST\r\n username = \"a\\\"b\\\\c\" ,\r\n\trealm=\"r, s\",  nonce=n==,uri=sip:x;y=z,response=00,cnonce=c,algorithm=\"sha-256\",qop=\"AUTH\",nc=000000AB,userhash=false,x=y",
	} {
		if got, err := digest.ParseCredentials([]byte(header)); err != nil || got != want {
			t.Errorf("%s\nreads %+v, %v\n want %+v", header, got, err, want)
		}
	}
}

func TestChooseTakesTheFirstItSpeaks(t *testing.T) {
	rows := [][]byte{
		[]byte(`Basic realm="x"`),
		[]byte(`Digest realm="x", nonce="1", algorithm=SHA-512-256, qop="auth"`),
		[]byte(`Digest realm="x", nonce="2", algorithm=SHA-256, qop="auth"`),
		[]byte(`Digest realm="x", nonce="3", algorithm=MD5, qop="auth"`),
	}
	if c, ok := digest.Choose(rows...); !ok || c.Nonce != "2" {
		t.Errorf("chose %+v, %v; want the SHA-256 one", c, ok)
	}
	if c, ok := digest.Choose(rows[3], rows[2]); !ok || c.Nonce != "3" {
		t.Errorf("chose %+v, %v; want the server's order to count", c, ok)
	}
	if c, ok := digest.Choose(rows[:2]...); ok {
		t.Errorf("chose %+v out of none", c)
	}
}

func TestZeroAlgorithmNeverPasses(t *testing.T) {
	c := digest.Credentials{Username: "u", Nonce: "n", URI: "sip:x"}
	if c.Check("", "REGISTER") || c.Check("x", "REGISTER") || digest.HA1(0, "u", "r", "p") != "" {
		t.Error("credentials without an algorithm are accepted")
	}
}

// Another implementation answers our challenges, and we its.
func TestAgreesWithIcholy(t *testing.T) {
	for _, alg := range []digest.Algorithm{digest.MD5, digest.SHA256} {
		for _, qop := range []bool{true, false} {
			ch := digest.Challenge{Realm: "demo.lindero.test", Nonce: "bm9uY2U=", Opaque: "o", Algorithm: alg, QOP: qop}
			theirs, err := icholy.ParseChallenge(string(ch.Append(nil)))
			if err != nil {
				t.Fatalf("%v: our challenge is not read: %v", alg, err)
			}
			answer, err := icholy.Digest(theirs, icholy.Options{Method: "REGISTER", URI: "sip:demo.lindero.test", Count: 3, Username: "101", Password: "secret", Cnonce: "cn"})
			if err != nil {
				t.Fatalf("%v: %v", alg, err)
			}
			got, err := digest.ParseCredentials([]byte(answer.String()))
			if err != nil {
				t.Fatalf("%v: credentials %s are not read: %v", alg, answer, err)
			}
			if !got.Check(digest.HA1(alg, "101", ch.Realm, "secret"), "REGISTER") {
				t.Errorf("%v, qop %v: %s is refused", alg, qop, answer)
			}
			if ours := digest.Answer(ch, "REGISTER", "sip:demo.lindero.test", "101", "secret", "cn", 3); ours.Response != answer.Response {
				t.Errorf("%v, qop %v: we answer %s, they %s", alg, qop, ours.Response, answer.Response)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, ex := range examples {
		f.Add([]byte(ex.header))
	}
	f.Add([]byte(`Digest username="u", realm="r", nonce="n", uri="sip:x", response="00", cnonce="c", qop=auth, nc=00000001`))
	f.Fuzz(func(t *testing.T, header []byte) {
		if c, err := digest.ParseCredentials(header); err == nil {
			if again, err := digest.ParseCredentials(c.Append(nil)); err != nil || c.QOP && again != c {
				t.Fatalf("%+v reads back %+v, %v", c, again, err)
			}
		}
		if c, err := digest.ParseChallenge(header); err == nil {
			if again, err := digest.ParseChallenge(c.Append(nil)); err != nil || again != c {
				t.Fatalf("%+v reads back %+v, %v", c, again, err)
			}
		}
	})
}
