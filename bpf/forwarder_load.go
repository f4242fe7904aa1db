package bpf

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// open makes or finds the maps, and loads the program over them.
func (f *Forwarder) open(spec *ebpf.CollectionSpec, o ForwarderOptions) error {
	var number uint32
	if err := spec.Variables[forwardVarLayout].Get(&number); err != nil {
		return fmt.Errorf("bpf: reading the layout: %w", err)
	}
	spec.Maps[forwardMapLegs].MaxEntries = uint32(len(f.faces) * f.span())
	specs := maps.Clone(spec.Maps)
	maps.DeleteFunc(specs, func(name string, _ *ebpf.MapSpec) bool { return strings.HasPrefix(name, ".") }) // variables
	if o.Pin != "" {
		return f.takeOver(spec, specs, number, o.Pin)
	}
	t, err := f.create(specs, number, nil)
	if err != nil {
		return err
	}
	defer t.close()
	if err := f.assemble(spec, t); err != nil {
		return err
	}
	return f.Refresh()
}

// create makes the maps that are not in kept, and returns all; the caller closes
// them, whatever happens.
func (f *Forwarder) create(specs map[string]*ebpf.MapSpec, number uint32, kept tables) (tables, error) {
	_ = rlimit.RemoveMemlock() // see the shield's create

	t := tables{}
	maps.Copy(t, kept)
	for name, spec := range specs {
		if t[name] != nil {
			continue
		}
		m, err := ebpf.NewMap(spec)
		if err != nil {
			t.close()
			return nil, fmt.Errorf("bpf: making the map %s: %w", name, refused(err))
		}
		t[name] = m
	}
	if kept[forwardMapState] != nil {
		return t, nil
	}
	r := f.extent()
	r.Layout = number
	if err := t[forwardMapState].Put(uint32(0), &r); err != nil {
		t.close()
		return nil, fmt.Errorf("bpf: saying what the legs are of: %w", err)
	}
	return t, nil
}

// assemble loads the program over the maps and maps their memory.
func (f *Forwarder) assemble(spec *ebpf.CollectionSpec, t tables) error {
	if err := f.constants(spec); err != nil {
		return err
	}
	inPieces(spec.Programs["forward"]) // as the shield, which calls it; media in several pieces it leaves to user space
	var objects struct {
		Forward *ebpf.Program `ebpf:"forward"`
		forwardMaps
	}
	if err := spec.LoadAndAssign(&objects, &ebpf.CollectionOptions{MapReplacements: t}); err != nil {
		return fmt.Errorf("bpf: loading the program: %w", refused(err))
	}
	f.program, f.maps = objects.Forward, &objects.forwardMaps
	return f.remember()
}

// constants tells the program what it is for.
func (f *Forwarder) constants(spec *ebpf.CollectionSpec) error {
	clocked := uint32(0)
	if f.clocked {
		clocked = 1
	}
	r := f.extent()
	v := spec.Variables
	err := errors.Join(v[forwardVarFaceCount].Set(r.Count), v[forwardVarFaces].Set(r.Faces), v[forwardVarFirstPort].Set(uint32(f.first)),
		v[forwardVarLastPort].Set(uint32(f.last)), v[forwardVarTestClock].Set(clocked))
	if err != nil {
		return fmt.Errorf("bpf: setting the program's constants: %w", err)
	}
	return nil
}

// extent is what this forwarder's legs are indexed by.
func (f *Forwarder) extent() (r forwardRange) {
	r.First, r.Last, r.Count = f.first, f.last, uint32(len(f.faces))
	for i, a := range f.faces {
		r.Faces[i].AddressBe, _ = network(netip.AddrPortFrom(a, 0))
		if a.Is6() {
			r.Faces[i].V6 = 1
		}
	}
	return r
}

// remember maps what Go and the program both see.
func (f *Forwarder) remember() error {
	at := func(m *ebpf.Map) (unsafe.Pointer, error) {
		b, err := mapMemory(m)
		if err != nil {
			return nil, err
		}
		f.mapped = append(f.mapped, b)
		return unsafe.Pointer(&b[0]), nil
	}
	legs, err := at(f.maps.Legs)
	if err != nil {
		return err
	}
	state, err := at(f.maps.State)
	if err != nil {
		return err
	}
	clock, err := at(f.maps.Clock)
	if err != nil {
		return err
	}
	f.legs = unsafe.Slice((*forwardLeg)(legs), f.maps.Legs.MaxEntries())
	f.state, f.clock = (*forwardRange)(state), (*uint64)(clock)
	return nil
}

// newGeneration ends what legs remember of ways out.
func (f *Forwarder) newGeneration() { atomic.AddUint32(&f.state.Generation, 1) }

func (f *Forwarder) unmap() error {
	var errs []error
	for _, b := range f.mapped {
		errs = append(errs, unix.Munmap(b))
	}
	f.mapped, f.legs, f.state, f.clock = nil, nil, nil, nil
	return errors.Join(errs...)
}
