package shield

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/lindero/lindero/bpf"
)

// Forward opens what repeats the relay's RTP in the kernel, on the configured
// devices: behind their filters, of what those let through; or, where no filter can be
// in the kernel, at their TCX hooks. It is the relay's to run and to close. The error
// says why there is none; the relay's sockets do without.
func (g *Guard) Forward(faces []netip.Addr, first, last uint16) (*bpf.Forwarder, error) {
	if len(g.cfg.Devices) == 0 {
		return nil, errors.New("no devices are configured (shield.devices)")
	}
	f, err := bpf.OpenForwarder(bpf.ForwarderOptions{Pin: g.cfg.Pin, Faces: faces, First: first, Last: last})
	if err != nil {
		return nil, err
	}
	at := g.post.Load()
	if k, ok := at.filter.(*kernel); ok {
		err = k.each("chaining the forwarder", func(s *bpf.Shield) error { return s.Chain(f) })
	} else {
		err = hook(f, g.cfg.Devices, at.reason)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// hook attaches f to devices that have no filter, for why. One is enough: a call
// whose other leg comes by another device costs user space half.
func hook(f *bpf.Forwarder, devices []string, why string) error {
	var errs []error
	for _, d := range devices {
		if err := f.Attach(d, errors.New(why)); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) < len(devices) {
		return nil
	}
	return fmt.Errorf("shield: the kernel cannot forward: %s: %w", why, errors.Join(errs...))
}
