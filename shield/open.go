package shield

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/lindero/lindero/bpf"
	"github.com/lindero/lindero/shield/policy"
)

// A post is where the guard stands: who judges, and why nobody better does.
type post struct {
	filter
	mode, reason string
}

// openFilter opens the best filter that the configuration allows and the machine has.
func openFilter(cfg Config, role string, first *policy.Compiled, log *slog.Logger) (*post, error) {
	switch {
	case cfg.Mode == modeOff:
		tellOfPins(cfg, log)
		return &post{nobody{}, modeOff, "configured so"}, nil
	case cfg.Mode == modeUser:
		tellOfPins(cfg, log)
		return &post{newUser(), modeUser, "configured so"}, nil
	case len(cfg.Devices) == 0:
		tellOfPins(cfg, log)
		return &post{newUser(), modeUser, "no devices are configured"}, nil
	}
	at, err := openKernel(cfg, role, first)
	if err == nil {
		return at, nil
	}
	here := errors.Is(err, bpf.ErrBusy) || errors.Is(err, bpf.ErrNotHere)
	if cfg.Mode != modeAuto || !here {
		return nil, err
	}
	log.Warn("shield: the kernel will not filter, the listeners do", "err", err)
	return &post{newUser(), modeUser, err.Error()}, nil
}

// tellOfPins says that there are filters which this process does not look after:
// another one's, or left in force by a configuration of before.
func tellOfPins(cfg Config, log *slog.Logger) {
	if !filepath.IsAbs(cfg.Pin) {
		return
	}
	entries, err := os.ReadDir(cfg.Pin)
	if err != nil {
		return // none, or not ours to see
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, strings.ReplaceAll(e.Name(), ":", ".")) // a pin's name has no dots
		}
	}
	if names != nil {
		log.Warn("shield: filters are in force that this process does not use", "devices", names,
			"do", "lindero shield detach DEVICE, unless another process uses it")
	}
}

// openKernel opens the filter of every device or of none.
func openKernel(cfg Config, role string, first *policy.Compiled) (*post, error) {
	k, p := &kernel{}, kernelPolicy(first)
	for _, name := range cfg.Devices {
		s, err := bpf.Open(bpf.Options{Device: name, Pin: cfg.Pin, Mode: bpf.Mode(cfg.Mode), Owner: role, Policy: &p})
		if err != nil {
			err = fmt.Errorf("shield: device %s: %w", name, err)
			// Half a border is none: who falls to user space leaves no filter behind
			// that nobody keeps up to date. With a mode demanded the next start tries again.
			return nil, errors.Join(err, k.abandon(cfg))
		}
		k.devices = append(k.devices, device{name, s})
	}
	mode, reason := k.standing()
	return &post{k, mode, reason}, nil
}

// abandon closes what was opened, and when the mode is auto ends it.
func (f *kernel) abandon(cfg Config) error {
	devices := f.devices
	errs := []error{f.close()}
	if cfg.Mode == modeAuto {
		for _, d := range devices {
			errs = append(errs, bpf.Detach(d.name, cfg.Pin))
		}
	}
	return errors.Join(errs...)
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}
