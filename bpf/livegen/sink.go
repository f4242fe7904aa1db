package livegen

import (
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// An end is a program at a device.
type end struct {
	program *ebpf.Program
	link    link.Link
}

func (e end) Close() error { return errors.Join(e.link.Close(), e.program.Close()) }

// attach puts a program on a device of a network namespace, and closes it when it
// cannot.
func attach(p *ebpf.Program, network, device string) (io.Closer, error) {
	e := end{program: p}
	err := in(network, func() error {
		d, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		e.link, err = link.AttachXDP(link.XDPOptions{Program: p, Interface: d.Index, Flags: link.XDPDriverMode})
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("livegen: attaching to %s: %w", device, err), p.Close())
	}
	return e, nil
}

// Drop attaches a program to the far end that drops every packet and does nothing
// else, until it is closed: what a packet costs at least.
func (w *Wire) Drop() (io.Closer, error) { return Drop(w.Far, FarDevice) }

// Drop is Wire.Drop for any device, in the network namespace at a path. The device
// counts what is dropped as received.
func Drop(network, device string) (io.Closer, error) {
	const xdpDrop = 1
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP, Name: "sink", License: "Dual BSD/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpDrop), asm.Return()},
	})
	if err != nil {
		return nil, fmt.Errorf("livegen: loading the sink: %w", err)
	}
	return attach(p, network, device)
}

// In calls f on a thread in the network namespace at a path; goroutines that f
// starts do not run there.
func In(network string, f func() error) error { return in(network, f) }
