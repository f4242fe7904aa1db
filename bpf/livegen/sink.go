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

// A sink is an attached program that drops everything.
type sink struct {
	program *ebpf.Program
	link    link.Link
}

func (s sink) Close() error { return errors.Join(s.link.Close(), s.program.Close()) }

// Drop attaches a program to the far end that drops every packet and does nothing
// else, until it is closed: what a packet costs at least.
func (w *Wire) Drop() (io.Closer, error) {
	const xdpDrop = 1
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP, Name: "sink", License: "Dual BSD/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpDrop), asm.Return()},
	})
	if err != nil {
		return nil, fmt.Errorf("livegen: loading the sink: %w", err)
	}
	s := sink{program: p}
	err = w.InFar(func() error {
		device, err := net.InterfaceByName(FarDevice)
		if err != nil {
			return err
		}
		s.link, err = link.AttachXDP(link.XDPOptions{Program: p, Interface: device.Index, Flags: link.XDPDriverMode})
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("livegen: attaching the sink: %w", err), p.Close())
	}
	return s, nil
}
