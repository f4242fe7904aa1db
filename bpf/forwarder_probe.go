package bpf

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// ProbeForward says how the packets of a device would be repeated, and why not
// better: native, generic, tcx, or none, which is by user space. It loads the
// programs, attaches nothing, and asks about the calling thread's network namespace.
func ProbeForward(device string) (Mode, string) {
	if err := privileged(); err != nil {
		return None, err.Error()
	}
	d, err := net.InterfaceByName(device)
	if err != nil {
		return None, fmt.Sprintf("the device %s: %v", device, err)
	}
	spec, err := loadForward()
	if err != nil {
		return None, err.Error()
	}
	var programs struct {
		Forward *ebpf.Program `ebpf:"forward"`
	}
	if err := spec.LoadAndAssign(&programs, nil); err != nil {
		return None, refused(err).Error()
	}
	programs.Forward.Close()
	mode, reason := Probe(device)
	if now, err := onDevice(d.Index); err == nil && now.program != 0 && !now.ours() {
		if mode, reason = TCX, device+" has "+now.describe(); !haveTCX() {
			mode, reason = None, reason+"; this kernel ("+release()+") has no TCX (Linux 6.6 has)"
		}
	}
	return mode, join(reason, forwardingOff(device))
}

// ours tells whether it is a shield, or may be: who has few privileges cannot see.
func (a attachment) ours() bool {
	p, err := ebpf.NewProgramFromID(ebpf.ProgramID(a.program))
	if err != nil {
		return true
	}
	defer p.Close()
	i, err := p.Info()
	return err != nil || i.Name == shieldProgShield
}

// haveTCX attaches to a device that cannot be: a kernel that has TCX says so.
func haveTCX() bool {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "Dual BSD/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		return false
	}
	defer p.Close()
	l, err := link.AttachTCX(link.TCXOptions{Program: p, Interface: math.MaxInt32, Attach: ebpf.AttachTCXIngress})
	if err == nil {
		l.Close()
	}
	return errors.Is(err, unix.ENODEV)
}

// forwardingOff says of which families the kernel routes nothing that comes by a
// device: then the program is told of no way out, and user space sends.
func forwardingOff(device string) string {
	var off []string
	for _, family := range []string{"ipv4", "ipv6"} {
		b, err := os.ReadFile(filepath.Join("/proc/sys/net", family, "conf", device, "forwarding"))
		if err == nil && bytes.Equal(bytes.TrimSpace(b), []byte("0")) {
			off = append(off, "net/"+family+"/conf/"+device+"/forwarding")
		}
	}
	if len(off) == 0 {
		return ""
	}
	return "user space sends, as sysctl " + strings.Join(off, " and ") + " is 0"
}

// join puts reasons after one another.
func join(reasons ...string) string {
	var all []string
	for _, r := range reasons {
		if r != "" {
			all = append(all, r)
		}
	}
	return strings.Join(all, "; ")
}
