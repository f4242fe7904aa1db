package shield

import (
	"strings"
	"testing"
)

func TestAConfigurationSaysAllItsFaults(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   []string // beginnings of lines
	}{
		"the default":                       {func(*Config) {}, nil},
		"devices":                           {func(c *Config) { c.Devices = []string{"eth0", "bond0.7"} }, nil},
		"core with a token":                 {func(c *Config) { c.Core, c.TokenFile = "https://core.example:8080", "t" }, nil},
		"no such mode":                      {func(c *Config) { c.Mode = "fast" }, []string{"mode:"}},
		"an empty mode":                     {func(c *Config) { c.Mode = "" }, []string{"mode:"}},
		"native without a device":           {func(c *Config) { c.Mode = "native" }, []string{"devices:"}},
		"user space with a device":          {func(c *Config) { c.Mode, c.Devices = "user", []string{"eth0"} }, []string{"devices:"}},
		"off with a device":                 {func(c *Config) { c.Mode, c.Devices = "off", []string{"eth0"} }, []string{"devices:"}},
		"a device twice":                    {func(c *Config) { c.Devices = []string{"eth0", "eth0"} }, []string{"devices[1]:"}},
		"a device that would leave the pin": {func(c *Config) { c.Devices = []string{".."} }, []string{"devices[0]:"}},
		"a device with a slash":             {func(c *Config) { c.Devices = []string{"a/b"} }, []string{"devices[0]:"}},
		"a relative pin":                    {func(c *Config) { c.Devices, c.Pin = []string{"eth0"}, "bpf" }, []string{"pin:"}},
		"core without a token":              {func(c *Config) { c.Core = "http://127.0.0.1:8080" }, []string{"token_file:"}},
		"core that is no URL":               {func(c *Config) { c.Core, c.TokenFile = "127.0.0.1:8080", "t" }, []string{"core:"}},
		"a socket with a long path":         {func(c *Config) { c.Control = strings.Repeat("x", 108) }, []string{"control:"}},
		"all at once": {func(c *Config) { c.Mode, c.Core, c.Devices = "x", "y", []string{""} },
			[]string{"mode:", "devices[0]:", "core:", "token_file:"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultConfig()
			c.change(&cfg)
			var got []string
			if err := cfg.Validate(); err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if len(got) != len(c.want) {
				t.Fatalf("faults %q, want %q", got, c.want)
			}
			for i, w := range c.want {
				if !strings.HasPrefix(got[i], w) {
					t.Errorf("fault %q, want one of %q", got[i], w)
				}
			}
		})
	}
}
