package main

import (
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lindero/lindero/shield"
	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

// Where nobody says where the state is, it outlives the process all the same.
func TestBansOutliveARoleThatNamesNoState(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("STATE_DIRECTORY", dir+":/somewhere/else")
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	for role, state := range map[string]string{"edge": stateBeside(filepath.Join(dir, "edge.key")), "relay": stateOf("relay-1")} {
		if filepath.Dir(state) != dir {
			t.Fatalf("the %s's state is %s", role, state)
		}
		begin := func() (*shield.Guard, func()) {
			g, err := newGuard(shield.DefaultConfig(), state, "node", role, log, nil)
			if err != nil {
				t.Fatal(err)
			}
			return g, runPart(t, guardPart(g))
		}
		g, stop := begin()
		err := g.Ban(protocol.Ban{Prefix: netip.MustParsePrefix("203.0.113.9/32"), Reason: "x", Until: time.Now().Add(time.Hour), Proven: true})
		if err != nil {
			t.Fatal(err)
		}
		stop()
		if at, err := os.Stat(state); err != nil || at.Mode().Perm() != 0o600 {
			t.Errorf("the %s's state: %v, %v", role, at, err)
		}
		g, stop = begin()
		if g.Admit(netip.MustParseAddr("203.0.113.9"), policy.SIP, false) {
			t.Errorf("the %s has forgotten a ban", role)
		}
		stop()
	}
}

// runPart runs a part until the function it returns is called.
func runPart(t *testing.T, p part) (stop func()) {
	t.Helper()
	ended := make(chan *runningPart, 1)
	r := startPart(t.Context(), p, ended)
	return func() {
		r.cancel()
		if <-ended; r.err != nil {
			t.Error(r.err)
		}
	}
}
