package shield

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lindero/lindero/bpf"
)

// tend looks after the filter in the kernel, and lets the listeners judge when it
// was detached or another build's took its place.
func (g *Guard) tend(now time.Time) {
	at := g.post.Load()
	did, err := at.tend()
	if errors.Is(err, bpf.ErrGone) {
		g.stepIn(at, err, now)
		return
	}
	for _, what := range did {
		g.log.Warn("shield: the filter in the kernel is whole again", "did", what)
	}
	mode, reason := at.mode, at.reason
	if k, ok := at.filter.(*kernel); ok {
		mode, reason = k.standing()
		if err != nil {
			reason = join(reason, strings.ReplaceAll(err.Error(), "\n", "; "))
		}
	}
	if mode == at.mode && reason == at.reason {
		return
	}
	g.log.Warn("shield: how the kernel filters has changed", "mode", mode, "reason", reason)
	g.post.Store(&post{at.filter, mode, reason})
}

// tend looks after every device.
func (f *kernel) tend() (did []string, err error) {
	var errs []error
	for _, d := range f.devices {
		what, e := d.shield.Tend()
		if what != "" {
			did = append(did, d.name+": "+what)
		}
		if e != nil {
			errs = append(errs, fmt.Errorf("%s: %w", d.name, e))
		}
	}
	return did, errors.Join(errs...)
}

// standing is how good the worst device's filter is, and why it is not better.
func (f *kernel) standing() (mode, reason string) {
	mode = modeNative
	for _, d := range f.devices {
		m, why := d.shield.Mode()
		if m == bpf.Generic {
			mode = modeGeneric
		}
		if why != "" {
			reason = join(reason, d.name+": "+why)
		}
	}
	return mode, reason
}
