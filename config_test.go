package main

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// exampleConfig has one of everything a role's configuration may hold.
type exampleConfig struct {
	Name   string           `yaml:"name"`
	SIP    netip.AddrPort   `yaml:"sip"`
	Core   []netip.AddrPort `yaml:"core"`
	Relays []exampleRelay   `yaml:"relays"`
	Alive  struct {
		UDP time.Duration `yaml:"udp"`
		Off bool          `yaml:"off"`
	} `yaml:"keepalive"`
	Max int `yaml:"max"`
}

type exampleRelay struct {
	ID string         `yaml:"id"`
	NG netip.AddrPort `yaml:"ng"`
}

func (c exampleConfig) Validate() error {
	var errs []error
	if c.Name == "" {
		errs = append(errs, errors.New("name: required"))
	}
	if c.Max < 0 {
		errs = append(errs, errors.New("max: negative"))
	}
	for i, r := range c.Relays {
		if r.ID == "" {
			errs = append(errs, errors.New("relays["+string(rune('0'+i))+"].id: required"))
		}
	}
	if !c.SIP.IsValid() {
		errs = append(errs, errors.New("sip: required"))
	}
	return errors.Join(errs...)
}

func TestAConfigurationFileIsReadOverTheDefaults(t *testing.T) {
	c := exampleConfig{Max: 7}
	c.Alive.UDP = 25 * time.Second
	text := "name: a\nsip: 192.0.2.1:5060\ncore: [127.0.0.1:5070, '[::1]:5071']\nrelays:\n- id: r1\n  ng: 127.0.0.1:2223\nkeepalive: {off: true}\n"
	if err := decodeConfig("edge.yaml", []byte(text), &c); err != nil {
		t.Fatal(err)
	}
	if c.Max != 7 || c.Alive.UDP != 25*time.Second {
		t.Errorf("defaults were lost: max %d, keep-alive %v", c.Max, c.Alive.UDP)
	}
	if c.Name != "a" || len(c.Core) != 2 || c.Core[1] != netip.MustParseAddrPort("[::1]:5071") || c.Relays[0].ID != "r1" || !c.Alive.Off {
		t.Errorf("read %+v", c)
	}
}

func TestJSONIsRead(t *testing.T) {
	var c exampleConfig
	if err := decodeConfig("edge.json", []byte(`{"name": "a", "sip": "192.0.2.1:5060", "keepalive": {"udp": "5s"}}`), &c); err != nil {
		t.Fatal(err)
	}
	if c.Alive.UDP != 5*time.Second {
		t.Errorf("keep-alive is %v, not 5s", c.Alive.UDP)
	}
}

func TestEveryFaultIsReportedWithItsLine(t *testing.T) {
	cases := map[string]struct{ text, want string }{
		"all kinds at once": {
			"sip: 192.0.2.1\nnaem: x\nrelays:\n- id: r1\n  ng: nowhere\n- ng: 127.0.0.1:1\n  port: 3\nkeepalive:\n  udp: soon\n  off: [1]\nmax: many\nmax: 3\ncore: 127.0.0.1:5070\n",
			"f:1: name: required\nf:1: sip:\nf:2: naem: unknown key; known here: core, keepalive, max, name, relays, sip\nf:5: relays[0].ng:\nf:6: relays[1].id: required\n" +
				"f:7: relays[1].port: unknown key\nf:9: keepalive.udp: \"soon\" is not a time such as 30s\nf:10: keepalive.off: wants true or false, not a list\n" +
				"f:11: max: \"many\" is not a whole number\nf:12: max: here a second time; first on line 11\nf:13: core: wants a list, not a single value",
		},
		"an empty key is a fault":         {"name:\nsip: 192.0.2.1:1\n", "f:1: name: empty; give it a value or remove the key"},
		"an empty file gets what is left": {"", "f:1: name: required\nf:1: sip: required"},
		"a comment only":                  {"# nothing\n", "f:1: name: required\nf:1: sip: required"},
		"not YAML":                        {"name: a\n\tsip: b\n", "f:2: not YAML:"},
		"not a mapping":                   {"- a\n", "f:1: wants keys and values, not a list\nf:1:"},
		"two documents":                   {"name: a\nsip: 192.0.2.1:1\n---\nname: b\n", "f:3: not YAML: a second document"},
		"a negative number is Validate's": {"name: a\nsip: 192.0.2.1:1\nmax: -1\n", "f:3: max: negative"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			err := decodeConfig("f", []byte(c.text), &exampleConfig{})
			if err == nil {
				t.Fatal("accepted")
			}
			got, want := strings.Split(err.Error(), "\n"), strings.Split(c.want, "\n")
			for _, w := range want {
				if !slices.ContainsFunc(got, func(g string) bool { return strings.HasPrefix(g, w) }) {
					t.Errorf("no fault %q in\n%v", w, err)
				}
			}
		})
	}
}

func TestAFileThatIsNotThereIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.yaml")
	if err := readConfig(path, &exampleConfig{}); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}
