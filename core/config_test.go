package core

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/core/api"
)

func TestConfig(t *testing.T) {
	good := testConfig(t)
	if err := good.Validate(); err != nil {
		t.Fatalf("the defaults are refused: %v", err)
	}
	for name, row := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"an unknown database":      {func(c *Config) { c.Database = "mysql://x" }, "database: "},
		"a database without path":  {func(c *Config) { c.Database = "sqlite:" }, "database: "},
		"every address":            {func(c *Config) { c.SIP = netip.MustParseAddrPort("0.0.0.0:5070") }, "sip: "},
		"audio on every address":   {func(c *Config) { c.Media = netip.MustParseAddrPort("[::]:1").Addr() }, "media: "},
		"ports the wrong way":      {func(c *Config) { c.MediaPorts = "41000-40000" }, "media_ports: "},
		"one port":                 {func(c *Config) { c.MediaPorts = "40000" }, "media_ports: "},
		"a port too many":          {func(c *Config) { c.MediaPorts = "40000-65536" }, "media_ports: "},
		"ports of the system":      {func(c *Config) { c.MediaPorts = "80-90" }, "media_ports: "},
		"a ring too short":         {func(c *Config) { c.RingTime = Duration(time.Millisecond) }, "ring_time: "},
		"a minimum over an hour":   {func(c *Config) { c.MinExpires = Duration(2 * time.Hour) }, "min_expires: "},
		"a maximum under it":       {func(c *Config) { c.MaxExpires = Duration(time.Second) }, "max_expires: "},
		"no place for the key":     {func(c *Config) { c.KeyFile = "" }, "key_file: "},
		"an algorithm of nobody":   {func(c *Config) { c.Digest = []string{"CRC32"} }, "digest: "},
		"an algorithm twice":       {func(c *Config) { c.Digest = []string{"MD5", "MD5"} }, "digest: "},
		"no algorithm":             {func(c *Config) { c.Digest = nil }, "digest: "},
		"nothing wrong, MD5 alone": {func(c *Config) { c.Digest = []string{"MD5"} }, ""},
		"nothing wrong, spaced":    {func(c *Config) { c.MediaPorts = "40000 - 40999" }, ""},
		"nothing wrong, an alias":  {func(c *Config) { c.Database = "postgresql://x/y" }, ""},
		"no port for HTTP":         {func(c *Config) { c.HTTP = "127.0.0.1" }, "http: "},
		"nothing wrong, no HTTP":   {func(c *Config) { c.HTTP = "off" }, ""},
		"a token of nobody":        {func(c *Config) { c.Tokens = []api.Token{{File: "x", Scope: api.Node}} }, "tokens[0].name: "},
		"a token of nowhere":       {func(c *Config) { c.Tokens = []api.Token{{Name: "x", Scope: api.Node}} }, "tokens[0].file: "},
		"an operator's token of a node": {func(c *Config) {
			c.Tokens = []api.Token{{Name: "x", File: "x", Scope: api.Operator, Nodes: []string{"edge-1"}}}
		}, "tokens[0].nodes: "},
		"a token of a node's odd name": {func(c *Config) {
			c.Tokens = []api.Token{{Name: "x", File: "x", Scope: api.Node, Nodes: []string{"edge-1", "edge 2"}}}
		}, "tokens[0].nodes[1]: "},
		"a token for nothing": {func(c *Config) { c.Tokens = []api.Token{{Name: "x", File: "x"}} }, "tokens[0].scope: "},
		"two tokens, one name": {func(c *Config) {
			one := api.Token{Name: "x", File: "x", Scope: api.Node}
			c.Tokens = []api.Token{one, one}
		}, "tokens[1].name: "},
		"a registration of a year": {func(c *Config) { c.MaxExpires = Duration(365 * 24 * time.Hour) }, "max_expires: "},
	} {
		t.Run(name, func(t *testing.T) {
			c := good
			row.change(&c)
			err := c.Validate()
			if got := err == nil; got != (row.want == "") || err != nil && !strings.HasPrefix(err.Error(), row.want) {
				t.Errorf("got %v, want a fault of %q", err, row.want)
			}
		})
	}
}

func TestDurationText(t *testing.T) {
	var d Duration
	if err := d.UnmarshalText([]byte("1m30s")); err != nil || d.duration() != 90*time.Second {
		t.Errorf("read %v, %v", d.duration(), err)
	}
	if text, err := d.MarshalText(); err != nil || string(text) != "1m30s" {
		t.Errorf("written %q, %v", text, err)
	}
	if err := d.UnmarshalText([]byte("soon")); err == nil {
		t.Error("soon is a duration")
	}
}
