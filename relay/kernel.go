package relay

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/lindero/lindero/bpf"
)

// An Opener opens what repeats packets in the kernel, for the relay's addresses and
// ports, or says why there is none.
type Opener func(faces []netip.Addr, first, last uint16) (*bpf.Forwarder, error)

// WithKernel has confirmed legs repeated in the kernel, if open can. The relay runs
// what it opens and closes it. Without it all packets go by the sockets.
func WithKernel(open Opener) Option { return func(r *Relay) { r.open = open } }

// openKernel opens the forwarder of all addresses, and says how packets go.
func (r *Relay) openKernel(faces []netip.Addr) {
	r.how = "user space"
	if r.open == nil {
		return
	}
	f, err := r.open(faces, r.media.Low, r.media.High)
	if err != nil {
		r.how += ": " + strings.ReplaceAll(err.Error(), "\n", "; ")
		return
	}
	if r.reasons, err = bpf.ReasonNames(); err != nil {
		r.log.Warn("why the kernel passes packets will not be told", "error", err)
	}
	r.kernel, r.how = f, "kernel"
	for _, e := range f.Forwarding() {
		r.how += ", " + e.Device + " " + string(e.Mode)
		if e.Reason != "" {
			r.how += " (" + e.Reason + ")"
		}
	}
}

// closeKernel lets go of it. Legs that are in force stay so.
func (r *Relay) closeKernel() error {
	if r.kernel == nil {
		return nil
	}
	return r.kernel.Close()
}

// binds are the addresses of this machine that media comes to, each once.
func binds(cfg Config) (all []netip.Addr) {
	for _, i := range cfg.faces() {
		if !slices.Contains(all, i.Bind) {
			all = append(all, i.Bind)
		}
	}
	return all
}
