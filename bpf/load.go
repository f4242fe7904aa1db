package bpf

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// tables are maps by name.
type tables map[string]*ebpf.Map

func (t tables) close() {
	for _, m := range t {
		m.Close()
	}
}

// load makes maps and program without attaching them.
func (s *Shield) load(spec *ebpf.CollectionSpec, o Options) error {
	specs, err := fit(spec)
	if err != nil {
		return err
	}
	number, err := layout(spec)
	if err != nil {
		return err
	}
	t, err := create(specs, number, nil)
	if err != nil {
		return err
	}
	defer t.close()
	return s.assemble(spec, t, o)
}

// fit makes room for this machine in a spec and returns the maps it is made of.
func fit(spec *ebpf.CollectionSpec) (map[string]*ebpf.MapSpec, error) {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return nil, fmt.Errorf("bpf: counting CPUs: %w", err)
	}
	spec.Maps[shieldMapSamples].MaxEntries = uint32(cpus)
	specs := maps.Clone(spec.Maps)
	maps.DeleteFunc(specs, func(name string, _ *ebpf.MapSpec) bool { return strings.HasPrefix(name, ".") }) // variables
	return specs, nil
}

// layout is a number for what the maps mean and for the sizes that cannot be seen
// from outside them: the program's LAYOUT and its inner maps.
func layout(spec *ebpf.CollectionSpec) (uint32, error) {
	var number uint32
	if err := spec.Variables[shieldVarLayout].Get(&number); err != nil {
		return 0, fmt.Errorf("bpf: reading the layout: %w", err)
	}
	h := fnv.New32a()
	fmt.Fprint(h, number)
	for _, name := range slices.Sorted(maps.Keys(spec.Maps)) {
		if inner := spec.Maps[name].InnerMap; inner != nil {
			fmt.Fprint(h, name, inner.ValueSize)
		}
	}
	if piecesHere() {
		fmt.Fprint(h, "pieces") // the map next is only for programs that agree on them
	}
	return h.Sum32(), nil
}

// piecesHere tells whether this kernel has frames in pieces: a helper is asked for that
// is of the same release (5.18).
func piecesHere() bool { return features.HaveProgramHelper(ebpf.XDP, asm.FnXdpGetBuffLen) == nil }

// inPieces has an XDP program take frames in pieces where the kernel can. Programs
// that call each other have to agree on it.
func inPieces(p *ebpf.ProgramSpec) bool {
	if p.Type != ebpf.XDP || !piecesHere() {
		return false
	}
	p.Flags |= unix.BPF_F_XDP_HAS_FRAGS
	return true
}

// create makes the maps that are not in kept, and returns all; the caller closes
// them, whatever happens.
func create(specs map[string]*ebpf.MapSpec, number uint32, kept tables) (tables, error) {
	// Kernels before 5.11 count maps as locked memory. Where this is not allowed,
	// making the maps fails, and its error says it.
	_ = rlimit.RemoveMemlock()

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
	if kept[shieldMapState] != nil {
		return t, nil
	}
	var seed [8]byte
	rand.Read(seed[:])
	if err := t[shieldMapState].Put(uint32(0), &shieldState{Seed: seedOf(seed[:]), Layout: number}); err != nil {
		t.close()
		return nil, fmt.Errorf("bpf: sowing the seed: %w", err)
	}
	return t, nil
}

func seedOf(b []byte) uint64 { return binary.NativeEndian.Uint64(b) }

// assemble loads the program over the maps, and puts a policy into force when they hold none.
func (s *Shield) assemble(spec *ebpf.CollectionSpec, t tables, o Options) error {
	var state shieldState
	if err := t[shieldMapState].Lookup(uint32(0), &state); err != nil {
		return fmt.Errorf("bpf: reading the seed: %w", err)
	}
	tick, err := tick()
	if err != nil {
		return err
	}
	clocked := uint32(0)
	if o.Clock {
		clocked = 1
	}
	whole := uint32(0)
	if tick%1000 == 0 {
		whole = tick / 1000
	}
	pieces := uint32(0)
	if inPieces(spec.Programs[shieldProgShield]) {
		pieces = 1
	}
	v := spec.Variables
	err = errors.Join(v[shieldVarPieces].Set(pieces), v[shieldVarSeed].Set(state.Seed), v[shieldVarTickUs].Set(tick), v[shieldVarTickMs].Set(whole),
		v[shieldVarTestClock].Set(clocked))
	if err != nil {
		return fmt.Errorf("bpf: setting the program's constants: %w", err)
	}
	var objects struct {
		shieldPrograms
		shieldMaps
	}
	if err := spec.LoadAndAssign(&objects, &ebpf.CollectionOptions{MapReplacements: t}); err != nil {
		return fmt.Errorf("bpf: loading the program: %w", refused(err))
	}
	s.program, s.maps = objects.Shield, &objects.shieldMaps
	var clock clockPrograms
	if err := loadClockObjects(&clock, nil); err != nil {
		return fmt.Errorf("bpf: loading the clock: %w", refused(err))
	}
	s.ticks = clock.Ticks
	if s.memory, err = remember(s.maps); err != nil {
		return err
	}
	s.memory.tick, s.memory.seed = uint64(tick), state.Seed
	s.read = make([]uint64, len(s.memory.rings))
	for i := range s.memory.rings {
		s.read[i] = s.memory.head(i)
	}
	return s.first(o.Policy)
}

// first puts p into force unless a policy already is.
func (s *Shield) first(p *Policy) error {
	var id uint32
	switch err := s.maps.Policies.Lookup(uint32(0), &id); {
	case err == nil:
		return nil
	case !errors.Is(err, ebpf.ErrKeyNotExist):
		return fmt.Errorf("bpf: looking for a policy: %w", err)
	case p == nil:
		open := Policy{All: Budget{Rate: Unlimited}, Around: Budget{Rate: Unlimited}, HalfOpen: Unlimited}
		for i := range open.Budgets {
			open.Budgets[i] = Budget{Rate: Unlimited}
		}
		p = &open
	}
	return s.setPolicy(*p)
}

// tick is the length of a jiffy in microseconds: the coarse clock moves with it.
func tick() (uint32, error) {
	var t unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &t); err != nil {
		return 0, fmt.Errorf("bpf: asking for the length of a tick: %w", err)
	}
	return uint32(t.Nano() / 1000), nil
}
