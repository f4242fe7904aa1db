package bpf

import (
	"fmt"
	"net"
	"syscall"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// An attachment is the XDP program on a device.
type attachment struct {
	mode    Mode
	program uint32 // 0: none
}

// describe names it for a person.
func (a attachment) describe() string {
	name := "a program"
	if p, err := ebpf.NewProgramFromID(ebpf.ProgramID(a.program)); err == nil {
		defer p.Close()
		if i, err := p.Info(); err == nil && i.Name != "" {
			name = "the program " + i.Name
		}
	}
	return fmt.Sprintf("%s (id %d), attached as %s", name, a.program, a.mode)
}

// onDevice asks the kernel (rtnetlink) what is on a device, in the network
// namespace of the calling thread.
func onDevice(index int) (attachment, error) {
	answer, err := syscall.NetlinkRIB(unix.RTM_GETLINK, unix.AF_UNSPEC)
	if err != nil {
		return attachment{}, fmt.Errorf("bpf: asking for devices: %w", err)
	}
	messages, err := syscall.ParseNetlinkMessage(answer)
	if err != nil {
		return attachment{}, fmt.Errorf("bpf: reading devices: %w", err)
	}
	for i := range messages {
		m := &messages[i]
		if m.Header.Type != unix.RTM_NEWLINK || len(m.Data) < unix.SizeofIfInfomsg || number(m.Data[4:8]) != uint32(index) {
			continue
		}
		for kind, value := range attributes(m.Data[unix.SizeofIfInfomsg:]) {
			if kind == unix.IFLA_XDP {
				return attached(value), nil
			}
		}
		return attachment{}, nil
	}
	return attachment{}, fmt.Errorf("bpf: device %d is no more", index)
}

// attached reads IFLA_XDP.
func attached(nested []byte) (a attachment) {
	modes := [...]Mode{None, Native, Generic, "offload", "several"}
	for kind, value := range attributes(nested) {
		switch {
		case kind == unix.IFLA_XDP_ATTACHED && len(value) > 0 && int(value[0]) < len(modes):
			a.mode = modes[value[0]]
		case kind == unix.IFLA_XDP_PROG_ID && len(value) >= 4:
			a.program = number(value)
		}
	}
	return a
}

// whyNotNative says why a filter is generic, as far as the kernel tells.
func whyNotNative(device *net.Interface) string {
	features, err := xdpFeatures(device.Index)
	switch {
	case err != nil:
		return fmt.Sprintf("the filter was attached as generic before; whether the driver of %s has XDP is not known: %v", device.Name, err)
	case features&basicXDP == 0:
		return fmt.Sprintf("the driver of %s has no XDP", device.Name)
	}
	return fmt.Sprintf("the filter was attached as generic before, and changing that would leave a gap: detach it first, for the driver of %s has XDP", device.Name)
}
