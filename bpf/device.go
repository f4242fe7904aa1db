package bpf

import (
	"fmt"
	"net"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// An attachment is the XDP program on a device.
type attachment struct {
	mode    Mode
	program uint32 // 0: none
}

// name is the program's, "" when the kernel does not tell.
func (a attachment) name() string {
	p, err := ebpf.NewProgramFromID(ebpf.ProgramID(a.program))
	if err != nil {
		return ""
	}
	defer p.Close()
	i, err := p.Info()
	if err != nil {
		return ""
	}
	return i.Name
}

// describe names it for a person.
func (a attachment) describe() string {
	what := "a program"
	if name := a.name(); name != "" {
		what = "the program " + name
	}
	return fmt.Sprintf("%s (id %d), attached as %s", what, a.program, a.mode)
}

// onDevice asks the kernel (rtnetlink) what is on a device, in the network
// namespace of the calling thread.
func onDevice(index int) (a attachment, err error) {
	found := false
	err = eachDevice(func(n uint32, _ string, on attachment) {
		if n == uint32(index) {
			a, found = on, true
		}
	})
	if err == nil && !found {
		err = fmt.Errorf("bpf: device %d is no more", index)
	}
	return a, err
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
