package bpf

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// A capability that the kernel wants for XDP, or an older one that holds it.
type capability struct {
	name string
	bit  uint
}

var wanted = [...]capability{
	{"CAP_BPF", unix.CAP_BPF},
	{"CAP_NET_ADMIN", unix.CAP_NET_ADMIN},
	{"CAP_PERFMON", unix.CAP_PERFMON},
}

// refused says of an error of the kernel what to do about it. Its own text speaks
// of locked memory, or of pointer arithmetic, when what lacks is a privilege.
func refused(err error) error {
	if errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, unix.ENOSYS) {
		return fmt.Errorf("%w: this kernel (%s) cannot: %w", ErrNotHere, release(), err)
	}
	if !errors.Is(err, os.ErrPermission) {
		return err
	}
	lacks := lacking()
	var verifier *ebpf.VerifierError
	if len(lacks) == 0 && errors.As(err, &verifier) {
		return err // our fault: the program is wrong
	}
	if len(lacks) == 0 {
		return fmt.Errorf("%w: the kernel refuses, though all of CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are there (lockdown or a security module?): %w",
			ErrNotHere, brief(err))
	}
	return lack(lacks)
}

func lack(names []string) error {
	return fmt.Errorf("%w: it needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, and this process lacks %s",
		ErrNotHere, strings.Join(names, ", "))
}

// brief is the error number under err: what is written around it misleads here.
func brief(err error) error {
	var number unix.Errno
	if errors.As(err, &number) {
		return number
	}
	return os.ErrPermission
}

// lacking names the capabilities that this thread does not have.
func lacking() (names []string) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return []string{"what cannot be told (" + err.Error() + ")"}
	}
	has := func(bit uint) bool { return data[bit/32].Effective>>(bit%32)&1 != 0 }
	for _, c := range wanted {
		if has(c.bit) || c.bit != unix.CAP_NET_ADMIN && has(unix.CAP_SYS_ADMIN) {
			continue
		}
		names = append(names, c.name)
	}
	return names
}

func release() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "of unknown release"
	}
	return unix.ByteSliceToString(u.Release[:])
}
