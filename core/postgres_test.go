package core

import (
	"testing"
	"time"

	"github.com/lindero/lindero/core/store/storetest"
)

// On PostgreSQL as on SQLite. When the server dies, what needs it is answered with
// a failure in time and everything else goes on; when it is back, so are we.
func TestPostgresDiesAndReturns(t *testing.T) {
	server := storetest.StartPostgres(t)
	cfg := testConfig(t)
	cfg.Database = server.Fresh(t)
	c, demo, calls := start(t, cfg)
	e := dialEdge(t, c)
	register := func(callID string) int {
		t.Helper()
		m := e.ask(request{callID: callID})
		if m.Code != 401 {
			return int(m.Code)
		}
		r := request{method: "REGISTER", uri: "sip:demo.lindero.test", callID: callID, headers: phone("<sip:101@192.0.2.7>")}
		r.headers = append([]string{demo.login(0).credentials(t, m, r)}, r.headers...)
		return e.ask(r).Code
	}
	if got := register("a"); got != 200 {
		t.Fatalf("REGISTER on PostgreSQL got %d", got)
	}

	server.Stop(t)
	began := time.Now()
	if got := register("b"); got != 500 {
		t.Errorf("REGISTER without a database got %d, want 500", got)
	}
	stranger := "<sip:1@not-asked-before.test>"
	wantCode(t, e.ask(request{from: stranger, to: stranger}), 500)
	if took := time.Since(began); took > lookupLimit {
		t.Errorf("it took %v", took)
	}
	if c.Ready() == nil {
		t.Error("core is ready without its database")
	}
	wantCode(t, e.ask(request{method: "OPTIONS"}), 200)
	e.send(e.text(request{method: "BYE", to: "<sip:x@y>;tag=t"}))
	calls.next(t)

	server.Start(t)
	eventually(t, "ready again", func() bool { return c.Ready() == nil })
	if got := register("c"); got != 200 {
		t.Errorf("REGISTER after the database came back got %d", got)
	}
}
