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
	Lists    Trie // roots of 12 bits; values: 1 allow, 2 carrier, 3 deny
}

// A Trie is what geo/trie makes. The zero Trie says nothing of any address.
type Trie struct {
	Root4, Root6 []uint32
	Words        []uint64
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
	if err := p.Lists.check("policy list", len(room.Root4), len(room.Root6), len(room.Words)); err != nil {
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
		p.Lists.copy(k.Root4[:], k.Root6[:], k.Words[:])
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

// SetCountries puts a country table into force whole; its roots are of 18 bits for
// IPv4 and 14 for IPv6. Without any, every country is 0 and no country is denied. It
// fails when the table is too large, saying by how much.
func (s *Shield) SetCountries(t Trie) error {
	done, err := s.use()
	if err != nil {
		return err
	}
	defer done()
	var room *shieldTable
	if err := t.check("country table", len(room.Root4), len(room.Root6), len(room.Words)); err != nil {
		return err
	}
	return replace(s.maps.Tables, "table", func(k *shieldTable) { t.copy(k.Root4[:], k.Root6[:], k.Words[:]) })
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

func (t Trie) check(what string, root4, root6, words int) error {
	if len(t.Root4) != root4 && len(t.Root4) != 0 || len(t.Root6) != root6 && len(t.Root6) != 0 {
		return fmt.Errorf("bpf: the %s's roots have %d and %d entries, not %d and %d", what, len(t.Root4), len(t.Root6), root4, root6)
	}
	if n := len(t.Words); n > words {
		return fmt.Errorf("bpf: %w: the %s has %d words, %d more than the kernel's %d", ErrFull, what, n, n-words, words)
	}
	return nil
}

func (t Trie) copy(root4, root6 []uint32, words []uint64) {
	fill(root4, t.Root4)
	fill(root6, t.Root6)
	copy(words, t.Words)
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
