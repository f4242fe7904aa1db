package bpf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// make makes the directory of the pins.
func (p *pins) make() error {
	err := os.Mkdir(p.dir, 0o700)
	switch {
	case err == nil || errors.Is(err, fs.ErrExist):
		return nil
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("bpf: %w: making a place for pins: %w", ErrNotHere, err)
	}
	return fmt.Errorf("bpf: making a place for pins: %w", err)
}

// straighten moves the pins of devices that were renamed to their names of now: else
// the filter of such a device would stay on it without anybody who looks after it.
// Devices of other network namespaces are not seen and not touched.
func straighten(pin string) error {
	entries, err := os.ReadDir(pin)
	if err != nil {
		return fmt.Errorf("bpf: looking for pins: %w", err)
	}
	var wrong [][2]string // from, to
	var names map[uint32]string
	for _, e := range entries {
		p := pins{root: pin, dir: filepath.Join(pin, e.Name())}
		program, alive := p.program()
		if !alive {
			continue
		}
		if names == nil {
			if names, err = filtered(); err != nil {
				return err
			}
		}
		if name, here := names[program]; here && pinsOf(pin, name).dir != p.dir {
			wrong = append(wrong, [2]string{p.dir, pinsOf(pin, name).dir})
		}
	}
	for i := range wrong { // names may have been swapped
		aside := filepath.Join(pin, fmt.Sprintf("%s%d", fresh, i))
		if err := os.Rename(wrong[i][0], aside); err != nil {
			return fmt.Errorf("bpf: moving the pins of a device that was renamed: %w", err)
		}
		wrong[i][0] = aside
	}
	for _, w := range wrong {
		// What is there is of a device that is no more, or the same link once more.
		if err := errors.Join(os.RemoveAll(w[1]), os.Rename(w[0], w[1])); err != nil {
			return fmt.Errorf("bpf: moving the pins of a device that was renamed: %w", err)
		}
	}
	return nil
}

// program is the one that the pinned link has on a device.
func (p *pins) program() (number uint32, alive bool) {
	l, err := link.LoadPinnedLink(p.path(linkPin), nil)
	if err != nil {
		return 0, false
	}
	defer l.Close()
	number, alive, err = inForce(l)
	return number, alive && err == nil
}

// filtered are the names of the devices that have XDP programs, by these, in the
// network namespace of the calling thread.
func filtered() (map[uint32]string, error) {
	names := map[uint32]string{}
	err := eachDevice(func(_ uint32, name string, a attachment) {
		if a.program != 0 {
			names[a.program] = name
		}
	})
	return names, err
}

// eachDevice asks the kernel (rtnetlink) for all devices of the calling thread's
// network namespace and what is on them.
func eachDevice(visit func(index uint32, name string, a attachment)) error {
	answer, err := syscall.NetlinkRIB(unix.RTM_GETLINK, unix.AF_UNSPEC)
	if err != nil {
		return fmt.Errorf("bpf: asking for devices: %w", err)
	}
	messages, err := syscall.ParseNetlinkMessage(answer)
	if err != nil {
		return fmt.Errorf("bpf: reading devices: %w", err)
	}
	for i := range messages {
		m := &messages[i]
		if m.Header.Type != unix.RTM_NEWLINK || len(m.Data) < unix.SizeofIfInfomsg {
			continue
		}
		var name string
		var a attachment
		for kind, value := range attributes(m.Data[unix.SizeofIfInfomsg:]) {
			switch kind {
			case unix.IFLA_IFNAME:
				name = strings.TrimRight(string(value), "\x00")
			case unix.IFLA_XDP:
				a = attached(value)
			}
		}
		visit(number(m.Data[4:8]), name, a)
	}
	return nil
}
