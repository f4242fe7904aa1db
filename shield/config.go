package shield

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
)

// A Config is the shield's part of an edge's or relay's configuration file, under "shield".
type Config struct {
	Mode      string   `yaml:"mode"`       // auto, native, generic, user or off
	Devices   []string `yaml:"devices"`    // to filter in the kernel; none: user space
	Pin       string   `yaml:"pin"`        // a BPF file system; mounted when it is not
	State     string   `yaml:"state"`      // file of the last good policy, bans and classes; made when absent; an edge and a relay have defaults
	Countries string   `yaml:"countries"`  // MMDB; absent file: countries are off
	Core      string   `yaml:"core"`       // base URL of core's HTTP; empty: what State says stays in force
	TokenFile string   `yaml:"token_file"` // of scope node
	Control   string   `yaml:"control"`    // unix socket for lindero shield on this machine; empty: none
}

// DefaultConfig is mode auto, no devices, pins under /sys/fs/bpf/lindero.
func DefaultConfig() Config { return Config{Mode: modeAuto, Pin: "/sys/fs/bpf/lindero"} }

// What Config.Mode may say, and what Mode answers but for auto.
const (
	modeAuto    = "auto"
	modeNative  = "native"
	modeGeneric = "generic"
	modeUser    = "user"
	modeOff     = "off"
)

const (
	maxDeviceName = 15  // the kernel's IFNAMSIZ with its closing zero
	maxSocketPath = 107 // of a unix socket's sun_path, likewise
)

// Validate reports every fault at once, a line each, "key: what".
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	modes := []string{modeAuto, modeNative, modeGeneric, modeUser, modeOff}
	check(slices.Contains(modes, c.Mode), "mode: %q is none of auto, native, generic, user, off", c.Mode)
	kernel := c.Mode == modeNative || c.Mode == modeGeneric
	check(!kernel || len(c.Devices) > 0, "devices: mode %s wants at least one", c.Mode)
	user := c.Mode == modeUser || c.Mode == modeOff
	check(!user || len(c.Devices) == 0, "devices: mode %s filters none", c.Mode)
	for i, d := range c.Devices {
		check(validDevice(d), "devices[%d]: %q is no name of a device", i, d)
		check(slices.Index(c.Devices, d) == i, "devices[%d]: %q is there twice", i, d)
	}
	check(len(c.Devices) == 0 || filepath.IsAbs(c.Pin), "pin: wants the full path of a folder, not %q", c.Pin)
	if c.Core != "" {
		u, err := url.Parse(c.Core)
		check(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "",
			"core: wants a URL such as http://127.0.0.1:8080, not %q", c.Core)
		check(c.TokenFile != "", "token_file: required with core")
	}
	check(len(c.Control) <= maxSocketPath, "control: a socket's path has at most %d characters", maxSocketPath)
	return errors.Join(errs...)
}

func validDevice(name string) bool {
	for _, c := range name {
		if c <= ' ' || c > '~' || c == '/' {
			return false
		}
	}
	return name != "" && name != "." && name != ".." && len(name) <= maxDeviceName
}
