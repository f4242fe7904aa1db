package e2e

import (
	"syscall"
	"testing"
	"time"

	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/e2e/lab"
)

// An orderly end says BYE to everybody, while the edge still lives to carry it,
// and writes down what there was.
func TestSIGTERMHangsUpWhatStillTalks(t *testing.T) {
	i := startUp(t, lab.DataDir(t))
	alice, bob := newPhone(t, i, "101", "udp"), newPhone(t, i, "102", "tcp")
	alice.register()
	bob.register()
	call := alice.talk(bob)
	call.hear()
	i.Signal(syscall.SIGTERM)
	for who, end := range map[string]<-chan struct{}{"the caller": call.caller.Done(), "the callee": call.callee.Done()} {
		select {
		case <-end:
		case <-time.After(patience):
			t.Errorf("%s was never told", who)
		}
	}
	if err := i.Wait(15 * time.Second); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	records := cdrs(t, i.dir)
	if len(records) != 1 || records[0].Answer.IsZero() || records[0].HungUpBy != "core" {
		t.Errorf("the call's records are %+v", records)
	} else if v := records[0].Verdict; v != tenancy.Ours && v != tenancy.OK {
		t.Errorf("the verdict is %s", v)
	}
}

// Our own phone as a command: its exit status is the verdict.
func TestDialJudgesACall(t *testing.T) {
	i := startUp(t, lab.DataDir(t))
	cases := map[string]struct {
		args []string
		good bool
	}{
		"an echo":               {[]string{"600"}, true},
		"an echo's tone":        {[]string{"600", "--expect-tone", "440"}, true},
		"a greeting":            {[]string{"601"}, true},
		"over TLS":              {[]string{"600", "--transport", "tls", "--server", i.sips.String()}, true},
		"a greeting is no echo": {[]string{"601", "--expect-tone", "440"}, false},
		"nobody":                {[]string{"999"}, false},
		"not registered":        {[]string{"102"}, false},
		"a wrong password":      {[]string{"600", "--password", "wrong"}, false},
	}
	for name, c := range cases {
		args := append([]string{"dial"}, c.args...)
		out, err := lindero(t, append(args, "--demo", i.dir+"/demo.json", "--as", "101", "--for", "1s")...).CombinedOutput()
		if c.good != (err == nil) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
