package auth

import (
	"strings"
	"testing"

	"github.com/lindero/lindero/wire/sip/digest"
)

// Asking for MD5 alone is a smaller choice among what is offered, never a way
// around what is not.
func TestMD5AloneIsAskedOnlyWhereItIsOffered(t *testing.T) {
	both := string(newGuard(t, Config{}).ChallengeMD5(nil, "WWW-Authenticate", realm, false))
	if strings.Count(both, "\r\n") != 1 || !strings.Contains(both, "algorithm=MD5") {
		t.Errorf("asked %q", both)
	}
	strict := string(newGuard(t, Config{Algorithms: []digest.Algorithm{digest.SHA256}}).ChallengeMD5(nil, "WWW-Authenticate", realm, false))
	if strings.Contains(strict, "MD5") || !strings.Contains(strict, "algorithm=SHA-256") {
		t.Errorf("asked %q, though MD5 is not offered", strict)
	}
}
