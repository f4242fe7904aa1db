package forward

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Memory is Tracks in a file that is mapped, one for each port of some addresses:
// what is counted there is in the file at once, without a system call, and a process
// after this one goes on with it. Belongs on a file system in memory: a disk may make
// who counts wait while it writes.
type Memory struct {
	faces       []netip.Addr
	first, last uint16
	b           []byte // a page of what it is, then the Tracks
}

const (
	memoryHead  = 4096
	memoryTrack = (int(unsafe.Sizeof(Track{})) + 63) &^ 63 // a cache line belongs to one leg
)

// OpenMemory maps the file at path, which is made when it is not there, for the ports
// of faces from first to last. kept says that the counts in it are of the same ports
// and of this start of the machine; otherwise all are 0. A file of somebody else is an
// error.
func OpenMemory(path string, faces []netip.Addr, first, last uint16) (m *Memory, kept bool, err error) {
	m = &Memory{faces: faces, first: first, last: last}
	defer func() {
		if err != nil {
			err = fmt.Errorf("forward: memory of counts %s: %w", path, err)
		}
	}()
	head, err := m.head()
	if err != nil {
		return nil, false, err
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, false, err
	}
	defer unix.Close(fd) // what is mapped stays so
	var at unix.Stat_t
	if err := unix.Fstat(fd, &at); err != nil {
		return nil, false, err
	}
	if at.Uid != uint32(os.Geteuid()) || at.Mode&unix.S_IFMT != unix.S_IFREG || at.Mode&0o077 != 0 {
		return nil, false, errors.New("it is not a file of this user alone")
	}
	size := memoryHead + len(faces)*m.span()*memoryTrack
	before := make([]byte, len(head))
	n, err := unix.Pread(fd, before, 0)
	if err != nil {
		return nil, false, err
	}
	if kept = at.Size == int64(size) && n == len(head) && string(before) == string(head); !kept {
		if err := unix.Ftruncate(fd, 0); err != nil {
			return nil, false, err
		}
		if err := unix.Ftruncate(fd, int64(size)); err != nil {
			return nil, false, err
		}
	}
	if m.b, err = unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return nil, false, err
	}
	copy(m.b, head)
	return m, kept, nil
}

func (m *Memory) span() int { return int(m.last-m.first) + 1 }

// head says what the Tracks are of. Times in them are of one start of the machine.
func (m *Memory) head() ([]byte, error) {
	start, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf("lindero tracks 1, of %d bytes, start %s, ports %d-%d, of %v\n",
		unsafe.Sizeof(Track{}), strings.TrimSpace(string(start)), m.first, m.last, m.faces)
	if len(text) > memoryHead {
		return nil, errors.New("too many addresses")
	}
	return []byte(text), nil
}

// track is the memory of the leg at local; nil when local is none of its ports.
func (m *Memory) track(local netip.AddrPort) *Track {
	if m.b == nil || local.Port() < m.first || local.Port() > m.last {
		return nil
	}
	for i, a := range m.faces {
		if a == local.Addr() {
			at := memoryHead + (i*m.span()+int(local.Port()-m.first))*memoryTrack
			return (*Track)(unsafe.Pointer(&m.b[at]))
		}
	}
	return nil
}

// Close lets go of the memory. No table that has it may be used any more.
func (m *Memory) Close() error {
	if m == nil || m.b == nil {
		return nil
	}
	b := m.b
	m.b = nil
	return unix.Munmap(b)
}
