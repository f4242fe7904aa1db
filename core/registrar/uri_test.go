package registrar

import (
	"testing"

	"github.com/lindero/lindero/wire/sip"
)

// The examples of RFC 3261 §19.1.4, and the cases around them.
func TestSameURI(t *testing.T) {
	for name, row := range map[string]struct {
		a, b string
		same bool
	}{
		"an escape of a letter":             {"sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp", true},
		"a parameter in one alone":          {"sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5", true},
		"another one in the other":          {"sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on", true},
		"parameters and headers in order":   {"sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com", "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com", true},
		"headers in another order":          {"sip:alice@atlanta.com?subject=project%20x&priority=urgent", "sip:alice@atlanta.com?priority=urgent&subject=project%20x", true},
		"a user by case":                    {"SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP", false},
		"a port that is only the default":   {"sip:bob@biloxi.com", "sip:bob@biloxi.com:5060", false},
		"a transport that is the default":   {"sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp", false},
		"a port and a transport":            {"sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp", false},
		"a header in one alone":             {"sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting", false},
		"a name and what it resolves to":    {"sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4", false},
		"the same parameter, another value": {"sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off", false},
		"sip and sips":                      {"sip:a@b", "sips:a@b", false},
		"no user and a user":                {"sip:b", "sip:a@b", false},
		"a password":                        {"sip:a:x@b", "sip:a@b", false},
		"an escape of what separates":       {"sip:a%3Bb@h", "sip:a;b@h", false},
		"two spellings of it":               {"sip:a%3bb@h", "sip:a%3Bb@h", true},
		"the same header twice and once":    {"sip:a@b?x=1&x=1", "sip:a@b?x=1", false},
	} {
		t.Run(name, func(t *testing.T) {
			a, errA := sip.ParseURI([]byte(row.a))
			b, errB := sip.ParseURI([]byte(row.b))
			if errA != nil || errB != nil {
				t.Fatal(errA, errB)
			}
			if sameURI(a, b) != row.same || sameURI(b, a) != row.same {
				t.Errorf("%s and %s: same is %v one way and %v the other, want %v", row.a, row.b, sameURI(a, b), sameURI(b, a), row.same)
			}
		})
	}
}

// Comparing is symmetric, and a URI is itself.
func FuzzSameURI(f *testing.F) {
	f.Add("sip:%61lice@atlanta.com;transport=TCP?a=b&c", "sips:x:y@[2001:db8::1]:5061;lr")
	f.Add("sip:a%3Bb@h;x;x=1", "sip:a@b?x=1&x=1")
	f.Fuzz(func(t *testing.T, x, y string) {
		a, errA := sip.ParseURI([]byte(x))
		b, errB := sip.ParseURI([]byte(y))
		if errA != nil || errB != nil {
			return
		}
		if !sameURI(a, a) || !sameURI(b, b) {
			t.Errorf("%q or %q is not itself", x, y)
		}
		if sameURI(a, b) != sameURI(b, a) {
			t.Errorf("%q and %q: it depends on who asks", x, y)
		}
	})
}
