package core

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/lindero/lindero/core/tenancy"
)

// The policy in force says how many guesses there may be at one account. Who has
// the password by then is asked for it like everybody; the phone at its own
// address goes on.
func TestGuessesAtOneAccount(t *testing.T) {
	c, demo, _ := start(t, testConfig(t))
	e := dialEdge(t, c)
	try := func(source, password, callID string) int {
		t.Helper()
		e.source = source + ":5062;transport=udp;edge=e1"
		r := request{callID: callID, headers: []string{"Contact: <sip:101@192.168.1.9:5062>", "Supported: path"}}
		return e.askAs(&login{user: "101", password: password}, r).Code
	}
	password := demo.Users[0].Password
	if code := try("203.0.113.9", password, "phone"); code != 200 {
		t.Fatalf("the phone registers: %d", code)
	}
	document := json.RawMessage(`{"bans": {"account": 3, "window": "5m"}}`)
	v, err := c.store.Platform().PutPolicy(t.Context(), tenancy.PolicyVersion{Document: document, Author: "test"}, "put", nil)
	if err != nil {
		t.Fatal(err)
	}
	version, err := readGuesses(t.Context(), c.store, c.front.guard, 0)
	if err != nil || version != v.Number {
		t.Fatalf("version %d, %v", version, err)
	}
	for i, source := range []string{"198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4"} {
		if code := try(source, "guess", "guess"); code != 401 {
			t.Errorf("guess %d: %d", i, code)
		}
	}
	if code := try("198.51.100.5", password, "thief"); code != 401 {
		t.Errorf("the right password from elsewhere: %d", code)
	}
	if code := try("203.0.113.9", password, "phone"); code != 200 {
		t.Errorf("the phone at home: %d", code)
	}
}

// A policy that cannot be read leaves the last one that can in force, and is told once.
func TestGuessesByTheLastGoodPolicy(t *testing.T) {
	c, _, _ := start(t, testConfig(t))
	for _, document := range []string{`{"bans": {"account": 3, "window": "5m"}}`, `{"bans": 7}`} {
		if _, err := c.store.Platform().PutPolicy(t.Context(), tenancy.PolicyVersion{Document: json.RawMessage(document), Author: "test"}, "put", nil); err != nil {
			t.Fatal(err)
		}
	}
	version, err := readGuesses(t.Context(), c.store, c.front.guard, 0)
	if err == nil || version != 2 || !strings.Contains(err.Error(), "policy 1") {
		t.Fatalf("version %d, %v", version, err)
	}
	if version, err = readGuesses(t.Context(), c.store, c.front.guard, version); err != nil || version != 2 {
		t.Errorf("told again: %d, %v", version, err)
	}
}
