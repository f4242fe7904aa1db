package bpf

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// memory is what Go and the program both see of maps, without system calls. What
// it points to is the kernel's: it may change at any time, and is there until close.
type memory struct {
	buckets *shieldBuckets
	ports   *shieldPorts
	legs    *shieldLegs
	marks   *shieldMarks
	clock   *uint64
	rings   []shieldRing

	tick   uint64 // µs
	seed   uint64
	mapped [][]byte
}

func remember(m *shieldMaps) (mem memory, err error) {
	at := func(of *ebpf.Map) unsafe.Pointer {
		if err != nil {
			return nil
		}
		var b []byte
		if b, err = mapMemory(of); err != nil {
			return nil
		}
		mem.mapped = append(mem.mapped, b)
		return unsafe.Pointer(&b[0])
	}
	mem.buckets = (*shieldBuckets)(at(m.Buckets))
	mem.ports = (*shieldPorts)(at(m.Ports))
	mem.legs = (*shieldLegs)(at(m.Legs))
	mem.marks = (*shieldMarks)(at(m.Marks))
	mem.clock = (*uint64)(at(m.Clock))
	mem.rings = unsafe.Slice((*shieldRing)(at(m.Samples)), m.Samples.MaxEntries())
	if err != nil {
		mem.close()
		return memory{}, err
	}
	return mem, nil
}

// mapMemory maps an array's values, one after the other.
func mapMemory(m *ebpf.Map) ([]byte, error) {
	page := os.Getpagesize()
	size := (int(m.ValueSize())*int(m.MaxEntries()) + page - 1) / page * page
	b, err := unix.Mmap(m.FD(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("bpf: mapping %s: %w", m, err)
	}
	return b, nil
}

func (m *memory) close() error {
	var errs []error
	for _, b := range m.mapped {
		errs = append(errs, unix.Munmap(b))
	}
	*m = memory{}
	return errors.Join(errs...)
}

// head is how many samples a CPU has written.
func (m *memory) head(cpu int) uint64 { return atomic.LoadUint64(&m.rings[cpu].Head) }
