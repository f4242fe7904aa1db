package bpf

import (
	"fmt"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// A Policy is what the kernel enforces; see shield/policy.Compiled, which shield turns into it.
type Policy struct {
	Version  uint64
	Deny     [5][4]uint64 // by service, a bit for each country
	Budgets  [5]Budget    // by class
	Around   Budget
	All      Budget
	HalfOpen uint32
	Root4    []uint32 // list trie, 256 entries; none: the list says nothing
	Root6    []uint32
	Nodes    [][16]uint32
}

// A Budget is a token bucket: packets a second and packets.
type Budget struct{ Rate, Burst uint32 }

// Unlimited is the Rate of no budget.
const Unlimited = 1<<32 - 1

// maxBurst is what a bucket of 32 bits can hold, in packets.
const maxBurst = 4_000_000

// leaf marks an entry that says nothing more: geo/trie's Leaf with the value 0.
const leaf = 1 << 31

// SetPolicy puts p into force whole: a packet is judged by the old one or the new one.
func (s *Shield) SetPolicy(p Policy) error {
	done, err := s.use()
	if err != nil {
		return err
	}
	defer done()
	return s.setPolicy(p)
}

func (s *Shield) setPolicy(p Policy) error {
	var room *shieldPolicy
	if err := check("policy list", p.Root4, p.Root6, p.Nodes, len(room.Root4), len(room.Nodes)); err != nil {
		return err
	}
	for _, b := range append([]Budget{p.Around, p.All}, p.Budgets[:]...) {
		if b.Rate != Unlimited && b.Burst > maxBurst {
			return fmt.Errorf("bpf: a burst of %d packets is more than %d", b.Burst, maxBurst)
		}
	}
	return replace(s.maps.Policies, "policy", func(k *shieldPolicy) {
		k.Version, k.Deny, k.HalfOpen = p.Version, p.Deny, p.HalfOpen
		k.Around, k.All = shared(p.Around), shared(p.All)
		for i, b := range p.Budgets {
			k.Budgets[i] = budget(b)
		}
		fill(k.Root4[:], p.Root4)
		fill(k.Root6[:], p.Root6)
		copy(unsafe.Slice((*[16]uint32)(unsafe.Pointer(&k.Nodes)), len(k.Nodes)), p.Nodes)
	})
}

func budget(b Budget) shieldBudget { return shieldBudget{Rate: b.Rate, Burst: b.Burst} }

// shared is a budget of many sources. Without a limit it is a bucket that each
// millisecond fills from empty to the brim, which no number of CPUs can drink in one.
func shared(b Budget) shieldBudget {
	if b.Rate == Unlimited {
		b.Burst = maxBurst
	}
	return budget(b)
}

// SetCountries puts a country table into force whole; root4 and root6 have 65536
// entries. Without any, every country is 0 and no country is denied. It fails when
// the table is too large, saying by how much.
func (s *Shield) SetCountries(root4, root6 []uint32, nodes [][16]uint32) error {
	done, err := s.use()
	if err != nil {
		return err
	}
	defer done()
	var room *shieldTable
	if err := check("country table", root4, root6, nodes, len(room.Root4), len(room.Nodes)); err != nil {
		return err
	}
	return replace(s.maps.Tables, "table", func(k *shieldTable) {
		fill(k.Root4[:], root4)
		fill(k.Root6[:], root6)
		copy(unsafe.Slice((*[16]uint32)(unsafe.Pointer(&k.Nodes)), len(k.Nodes)), nodes)
	})
}

// ClearCountries takes the country table away: countries are off.
func (s *Shield) ClearCountries() error {
	done, err := s.use()
	if err != nil {
		return err
	}
	defer done()
	if err := s.maps.Tables.Delete(uint32(0)); err != nil && !missing(err) {
		return fmt.Errorf("bpf: taking the country table away: %w", err)
	}
	return nil
}

func check(what string, root4, root6 []uint32, nodes [][16]uint32, root, room int) error {
	if len(root4) != root && len(root4) != 0 || len(root6) != root && len(root6) != 0 {
		return fmt.Errorf("bpf: the %s's roots have %d and %d entries, not %d", what, len(root4), len(root6), root)
	}
	if len(nodes) > room {
		return fmt.Errorf("bpf: %w: the %s has %d nodes, %d more than the kernel's %d",
			ErrFull, what, len(nodes), len(nodes)-room, room)
	}
	return nil
}

// fill copies a root table; none says nothing of any address.
func fill(to, from []uint32) {
	if copy(to, from) == 0 {
		for i := range to {
			to[i] = leaf
		}
	}
}

// replace makes a new inner map, lets write fill it, and puts it in the place of
// the old one, which goes when the last packet has left it.
func replace[T any](outer *ebpf.Map, name string, write func(*T)) error {
	inner, err := ebpf.NewMap(&ebpf.MapSpec{
		Name:       name,
		Type:       ebpf.Array,
		KeySize:    4,
		ValueSize:  uint32(unsafe.Sizeof(*new(T))),
		MaxEntries: 1,
		Flags:      unix.BPF_F_MMAPABLE,
	})
	if err != nil {
		return fmt.Errorf("bpf: making a new %s: %w", name, refused(err))
	}
	defer inner.Close() // the outer map holds it from here on
	b, err := mapMemory(inner)
	if err != nil {
		return err
	}
	write((*T)(unsafe.Pointer(&b[0])))
	if err := unix.Munmap(b); err != nil {
		return fmt.Errorf("bpf: a new %s: %w", name, err)
	}
	if err := outer.Put(uint32(0), inner); err != nil {
		return fmt.Errorf("bpf: putting a new %s into force: %w", name, err)
	}
	return nil
}
