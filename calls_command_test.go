package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/lindero/lindero/core/api"
	"github.com/lindero/lindero/wire/session"
)

// aCall is a live call with a good side and a bad one.
func aCall(from, to string, since time.Time) api.Call {
	return api.Call{
		ID: "x", From: from, To: to, State: "talking", Since: since.Add(-time.Minute), Answered: &since,
		FromCaller: &api.Heard{Relay: "relay-frankfurt-1", Path: "kernel", Codec: "PCMA", Packets: 900, Lost: 100, Loss: 0.1, Jitter: 123.4, MOS: 3.4, Rating: "poor"},
		FromCallee: &api.Heard{Relay: "relay-1", Path: "user space", Codec: "opus", Packets: 5},
		Dialogs:    []api.Dialog{{Anchors: []api.Anchor{{Why: "the first in the list of edge e", Session: session.Session{Relay: "relay-1"}}}}},
	}
}

func TestCallsAreDrawnInAHundredColumns(t *testing.T) {
	now := time.Now()
	list := api.CallList{Total: 5, Silent: []string{"relay-9"}, Calls: []api.Call{
		aCall("101", "102", now.Add(-65*time.Second)),
		aCall("+34911234567890123", "00491711234567890123456", now.Add(-3*time.Hour)),
		{From: "101", State: "ringing", Since: now.Add(-3 * time.Second)},
		{Since: now},
	}}
	text := strings.Join(drawCalls(list, now), "\n")
	for _, want := range []string{
		"The newest 4 of 5 calls", "101 → 102          talking     1:05  101     relay-frank… kernel PCMA    10.0 %  123.4 ms  3.4 poor",
		"102     relay-1      user   opus     0.0 %    0.0 ms  –", "3:00:00", "101 → ?            ringing     0:03  no relay tells", "busy",
		"  relay-1: the first in the list of edge e", "missing: relay-9",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for line := range strings.Lines(text) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > callsWidth || strings.HasSuffix(line, " \n") {
			t.Errorf("%d columns: %q", n, line)
		}
	}
	if got := strings.Join(drawCalls(api.CallList{}, now), "\n"); got != "No calls go on." {
		t.Errorf("without calls it says %q", got)
	}
}

// callsOf runs `lindero calls` against a server that says list.
func callsOf(t *testing.T, ctx context.Context, list api.CallList, flags ...string) (string, error) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" || r.URL.String() != "/api/v1/calls?limit=7" {
			http.Error(w, "no", http.StatusTeapot)
			return
		}
		_ = json.NewEncoder(w).Encode(list) // whoever asked is gone
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, operatorToken), []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err := run(ctx, append([]string{"calls", "--data", dir, "--api", server.URL, "--limit", "7"}, flags...), &out, &out)
	return out.String(), err
}

func TestCallsAreAskedOfCore(t *testing.T) {
	list := api.CallList{Calls: []api.Call{aCall("101", "102", time.Now())}, Total: 1, Silent: []string{}}
	if text, err := callsOf(t, t.Context(), list); err != nil || !strings.HasPrefix(text, "1 call goes on\n") || !strings.HasSuffix(text, "\n") {
		t.Errorf("%v\n%s", err, text)
	}
	text, err := callsOf(t, t.Context(), list, "--json")
	var got api.CallList
	if err != nil || json.Unmarshal([]byte(text), &got) != nil || len(got.Calls) != 1 || got.Calls[0].FromCaller.Rating != "poor" {
		t.Errorf("%v\n%s", err, text)
	}
	ctx, cancel := context.WithTimeout(t.Context(), callsEvery+500*time.Millisecond)
	defer cancel()
	if text, err := callsOf(t, ctx, list, "--watch"); err != nil || strings.Count(text, "1 call goes on") != 2 {
		t.Errorf("watched: %v\n%s", err, text)
	}
	if _, err := callsOf(t, t.Context(), list, "everybody"); err == nil {
		t.Error("a word that means nothing was taken")
	}
	err = run(t.Context(), []string{"calls", "--data", t.TempDir()}, &bytes.Buffer{}, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "operator's token") {
		t.Errorf("without a token: %v", err)
	}
}
