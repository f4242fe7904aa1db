package bpf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// pins are where a filter's maps and link outlive their process: files in a
// directory of a BPF file system, named like the maps, and "link".
type pins struct {
	root, dir string
	inode     uint64 // of the pin of the map state; another one means other maps
	hook      uint64 // of the link's
}

const linkPin = "link"

// fresh goes before the name of a map that takes its place when the program that
// uses it is in force. (A dot is not possible in this file system.)
const fresh = "new_"

// pinsOf names the directory of a device's pins. A device's name may hold dots, but no colon.
func pinsOf(pin, device string) *pins {
	return &pins{root: pin, dir: filepath.Join(pin, strings.ReplaceAll(device, ".", ":"))}
}

func (p *pins) path(name string) string { return filepath.Join(p.dir, name) }

// settle remembers what is pinned.
func (p *pins) settle() (err error) {
	if p.inode, err = inode(p.path(shieldMapState)); err == nil {
		p.hook, err = inode(p.path(linkPin))
	}
	if err != nil {
		return fmt.Errorf("bpf: looking at the pins: %w", err)
	}
	return nil
}

// whole tells whether n pins are there, and those of the state and the link are
// what settle saw.
func (p *pins) whole(n int) bool {
	files, err := os.ReadDir(p.dir)
	if err != nil || len(files) < n || !p.current() {
		return false
	}
	i, err := inode(p.path(linkPin))
	return err == nil && i == p.hook
}

// current tells whether the maps are still those that settle saw.
func (p *pins) current() bool {
	i, err := inode(p.path(shieldMapState))
	return err == nil && i == p.inode
}

func inode(path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return st.Ino, nil
}

// lock keeps other processes from opening or detaching filters under pin until
// unlock is called.
func lock(pin string) (unlock func(), err error) {
	d, err := os.Open(pin)
	if err != nil {
		return nil, fmt.Errorf("bpf: %w: %w", ErrNotHere, err)
	}
	for {
		if err = unix.Flock(int(d.Fd()), unix.LOCK_EX); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		d.Close()
		return nil, fmt.Errorf("bpf: waiting for %s: %w", pin, err)
	}
	return func() { d.Close() }, nil
}

// mountPoint is where a BPF file system belongs by custom.
const mountPoint = "/sys/fs/bpf"

// mount makes the directory pin in a BPF file system: in the one that is there, or
// in a new one at the customary place when pin is below it, else at pin itself.
func mount(pin string) error {
	on, err := mounted(pin)
	if err != nil {
		return err
	}
	if !on {
		at := pin
		if pin == mountPoint || strings.HasPrefix(pin, mountPoint+"/") {
			at = mountPoint
		} else if err := os.MkdirAll(pin, 0o700); err != nil {
			return fmt.Errorf("bpf: %w: making a place for pins: %w", ErrNotHere, err)
		}
		if err := unix.Mount("bpf", at, "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700"); err != nil {
			return fmt.Errorf("bpf: %w: no BPF file system at %s, and mounting one failed (it needs CAP_SYS_ADMIN; mount -t bpf bpf %s): %w",
				ErrNotHere, pin, at, err)
		}
	}
	if err := os.MkdirAll(pin, 0o700); err != nil {
		return fmt.Errorf("bpf: %w: making a place for pins: %w", ErrNotHere, err)
	}
	return nil
}

// mounted tells whether path, or what of it exists, is in a BPF file system.
func mounted(path string) (bool, error) {
	for {
		var st unix.Statfs_t
		err := unix.Statfs(path, &st)
		if err == nil {
			return st.Type == unix.BPF_FS_MAGIC, nil
		}
		if up := filepath.Dir(path); errors.Is(err, unix.ENOENT) && up != path {
			path = up
			continue
		}
		return false, fmt.Errorf("bpf: %w: looking at %s: %w", ErrNotHere, path, err)
	}
}
