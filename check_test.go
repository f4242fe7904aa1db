package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// lindero runs the command as a shell would and returns what it printed.
func lindero(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	var b bytes.Buffer
	err = run(t.Context(), args, &b, &b)
	return b.String(), err
}

func TestTheExamplesAreGood(t *testing.T) {
	for _, role := range []string{"edge", "relay", "core", "up"} {
		out, err := lindero(t, "check", "--config", filepath.Join("examples", role+".yaml"))
		if err != nil {
			t.Errorf("%s: %v", role, err)
		}
		if !strings.HasSuffix(out, "good, for lindero "+role+"\n") {
			t.Errorf("%s: printed %q", role, out)
		}
	}
}

// What check says of a bad file is what the role itself says.
func TestABadFileGetsAllItsFaultsAtOnce(t *testing.T) {
	cases := map[string]struct {
		text string
		want []string
	}{
		"edge": {"role: edge\nname: a b\nsip: 198.51.100.10\ninside: 0.0.0.0:5065\nrelays:\n  - id: r\n    ng: 192.0.2.20\nkeepalive: {udp: 1ms}\nkeys: x\nshield:\n  mode: kernel\n  devices: [eth0, a/b]\n  core: 127.0.0.1\n  pins: x\n", []string{
			":2: name:", ":3: sip:", ":4: inside:", ":7: relays[0].ng:", ":8: keepalive.udp:", ":9: keys: unknown key",
			":11: shield.mode:", ":12: shield.devices[1]:", ":13: shield.core:", ":14: shield.pins: unknown key",
		}},
		"core": {"role: core\ndatabase: mysql://x\nmedia_ports: 1-2-3\nring_time: 0s\nmetrics: here\nhttp: 8080\ntokens:\n- {name: a, scope: boss, file: f}\n- scope: node\n", []string{
			":2: database:", ":3: media_ports:", ":4: ring_time:", ":5: metrics:", ":1: key_file:",
			":6: http:", ":8: tokens[0].scope:", ":9: tokens[1].name:", ":9: tokens[1].file:",
		}},
		"relay": {"role: relay\nid: ''\nng: nowhere\nmedia_ports: 9-1\nexternal: everywhere\nshield:\n  mode: native\n", []string{
			":2: id:", ":3: ng:", ":4: media_ports:", ":5: external:", ":6: shield.devices:",
		}},
		"up": {"role: up\nsip: 0.0.0.0:5060\nedge:\n  max_transactions: 0\ncore:\n  ring_time: 1us\n  rang: 1\nhttp: 127.0.0.1:0\nshield: {mode: none}\n", []string{
			":1: advertise:", ":1: media:", ":4: edge.max_transactions:", ":6: core.ring_time:", ":7: core.rang: unknown key",
			":8: http:", ":9: shield.mode:",
		}},
	}
	for role, c := range cases {
		t.Run(role, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), role+".yaml")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, checked := lindero(t, "check", "--config", path)
			if checked == nil {
				t.Fatal("check found it good")
			}
			for _, want := range c.want {
				if !strings.Contains("\n"+checked.Error(), "\n"+path+want) {
					t.Errorf("no fault %q in\n%v", want, checked)
				}
			}
			if _, err := lindero(t, role, "--config", path); err == nil || err.Error() != checked.Error() {
				t.Errorf("lindero %s says\n%v\ncheck says\n%v", role, err, checked)
			}
		})
	}
}

func TestAFileMustSayWhatItIsFor(t *testing.T) {
	cases := map[string]struct{ text, want string }{
		"nothing":  {"sip: 198.51.100.10:5060\n", "role: must be edge, relay, core or up"},
		"nonsense": {"sip: x\nrole: border\n", `:2: role: must be edge, relay, core or up, not "border"`},
		"empty":    {"", "role: must be"},
		"no YAML":  {"a: [\n", "not YAML"},
	}
	for name, c := range cases {
		path := filepath.Join(t.TempDir(), "x.yaml")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := lindero(t, "check", "--config", path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := lindero(t, "relay", "--config", filepath.Join("examples", "edge.yaml")); err == nil || !strings.Contains(err.Error(), `role: must be "relay" in this file, not "edge"`) {
		t.Errorf("an edge's file started a relay: %v", err)
	}
}
