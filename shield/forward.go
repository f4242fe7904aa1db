package shield

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/lindero/lindero/bpf"
)

// Forward opens what repeats the relay's RTP in the kernel, on the devices that the
// filter is on: of what the filter lets through, packets of legs that the relay
// confirmed go on from there. It is the relay's to run and to close. The error says
// why there is none; the relay's sockets do without.
func (g *Guard) Forward(faces []netip.Addr, first, last uint16) (*bpf.Forwarder, error) {
	if len(g.cfg.Devices) == 0 {
		return nil, errors.New("no devices are configured (shield.devices)")
	}
	at := g.post.Load()
	k, ok := at.filter.(*kernel)
	if !ok {
		return nil, fmt.Errorf("the shield is not in the kernel: %s", at.reason)
	}
	f, err := bpf.OpenForwarder(bpf.ForwarderOptions{Pin: g.cfg.Pin, Faces: faces, First: first, Last: last})
	if err != nil {
		return nil, err
	}
	if err := k.each("chaining the forwarder", func(s *bpf.Shield) error { return s.Chain(f) }); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
