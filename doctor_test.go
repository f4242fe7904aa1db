package main

import (
	"net"
	"strconv"
	"strings"
	"testing"
)

func TestDoctorExplainsWhatItFinds(t *testing.T) {
	findings := examine(t.Context())
	named := map[string]bool{}
	for _, f := range findings {
		named[f.what] = true
		if f.found == "" {
			t.Errorf("%s: finds nothing", f.what)
		}
		if f.state != good && f.means == "" && !strings.Contains(f.found, "unknown") {
			t.Errorf("%s is %s (%s) and does not say what that means", f.what, f.state, f.found)
		}
	}
	for _, what := range []string{"kernel", "XDP", "CAP_NET_ADMIN", "CAP_BPF", "SIP over UDP", "UDP receive buffer", "open files", "IPv6", "Consul", "PostgreSQL"} {
		if !named[what] {
			t.Errorf("nothing about %s", what)
		}
	}
}

func TestDoctorNamesWhoHasAPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := tryListen("tcp", l.Addr().String()); err == nil {
		t.Error("a taken port counts as free")
	}
	if err := tryListen("udp", "127.0.0.1:0"); err != nil {
		t.Errorf("a free port counts as taken: %v", err)
	}
}

func TestDoctorFailsOnlyForWhatIsNeeded(t *testing.T) {
	if err := judge([]finding{{state: good}, {state: less}}); err != nil {
		t.Errorf("the next best mode is no failure: %v", err)
	}
	if err := judge([]finding{{state: good}, {state: wrong}}); err == nil || !strings.Contains(err.Error(), strconv.Itoa(1)) {
		t.Errorf("got %v", err)
	}
}
