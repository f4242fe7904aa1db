package bpf

import (
	"fmt"
	"net"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// Probe says how a shield would be attached to a device by Open with Auto, or is
// attached, and why not better: native, generic or none. It loads a program of two
// instructions and attaches nothing, so traffic does not notice. device "" asks
// about the machine only.
func Probe(device string) (Mode, string) {
	if err := privileged(); err != nil {
		return None, err.Error()
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name:         "probe",
		Type:         ebpf.XDP,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()},
		License:      "Dual BSD/GPL",
	})
	if err != nil {
		return None, refused(err).Error()
	}
	p.Close()
	if device == "" {
		return Native, "where the device's driver has XDP"
	}
	d, err := net.InterfaceByName(device)
	if err != nil {
		return None, fmt.Sprintf("the device %s: %v", device, err)
	}
	now, err := onDevice(d.Index)
	if err != nil {
		return None, err.Error()
	}
	if name := now.name(); now.program != 0 && name != "" && name != shieldProgShield {
		return None, fmt.Sprintf("%s has %s", device, now.describe())
	}
	if now.program != 0 {
		return now.mode, fmt.Sprintf("%s has %s", device, now.describe())
	}
	features, err := xdpFeatures(d.Index)
	switch {
	case err != nil:
		return Generic, fmt.Sprintf("native is tried when attaching: %v", err)
	case features&basicXDP == 0:
		return Generic, fmt.Sprintf("the driver of %s has no XDP", device)
	}
	return Native, ""
}

// privileged fails when this thread lacks a capability, naming it.
func privileged() error {
	if lacks := lacking(); len(lacks) > 0 {
		return lack(lacks)
	}
	return nil
}
