package livegen

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net"
	"net/netip"
)

// A Way is where Repeat sends what comes to a port.
type Way struct{ Local, From, To uint16 }

// A Repeater is what all of Repeat's packets have in common.
type Repeater struct {
	Network, Device, Out string // path of the namespace, and devices in it
	FromMAC, ToMAC       net.HardwareAddr
	From, To             netip.Addr
	Ways                 []Way
}

// Repeat attaches the least program that rewrites UDP over IPv4 and sends it on:
// what a relay can reach on this machine. Out's far end wants an XDP program or GRO.
func Repeat(r Repeater) (io.Closer, error) {
	spec, err := loadRepeat()
	if err != nil {
		return nil, fmt.Errorf("livegen: %w", err)
	}
	var v repeatVariableSpecs
	if err := spec.Assign(&v); err != nil {
		return nil, fmt.Errorf("livegen: %w", err)
	}
	var out *net.Interface
	if err := in(r.Network, func() (err error) { out, err = net.InterfaceByName(r.Out); return err }); err != nil {
		return nil, fmt.Errorf("livegen: %s: %w", r.Out, err)
	}
	var ways [65536]repeatWay
	for _, w := range r.Ways {
		ways[w.Local] = repeatWay{FromBe: bits.ReverseBytes16(w.From), ToBe: bits.ReverseBytes16(w.To)}
	}
	var macs [12]uint8
	copy(macs[:6], r.ToMAC)
	copy(macs[6:], r.FromMAC)
	number := func(a netip.Addr) uint32 { b := a.As4(); return binary.LittleEndian.Uint32(b[:]) }
	err = errors.Join(v.Ways.Set(ways), v.Macs.Set(macs), v.Device.Set(uint32(out.Index)),
		v.FromBe.Set(number(r.From)), v.ToBe.Set(number(r.To)))
	if err != nil {
		return nil, fmt.Errorf("livegen: setting the repeater up: %w", err)
	}
	var o repeatObjects
	if err := spec.LoadAndAssign(&o, nil); err != nil {
		return nil, fmt.Errorf("livegen: loading the repeater: %w", err)
	}
	defer o.repeatMaps.Close() // the program keeps them
	return attach(o.Repeat, r.Network, r.Device)
}
