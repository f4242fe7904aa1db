// Package bpf holds the programs that meet packets before the kernel does, and
// their loaders: the shield (shield.bpf.c), one XDP program per device. It moves
// tables and counters between Go and the kernel and keeps the filter in force over
// restarts; what the tables should say is shield's to decide.
package bpf

import "net/netip"

// A Mode is how a shield is attached.
type Mode string

// The modes, best first. Auto takes the best that works.
const (
	Auto    Mode = "auto"
	Native  Mode = "native"  // in the driver
	Generic Mode = "generic" // after the driver made an skb: any device, some 3 times the price
)

// Options say how to open a shield.
type Options struct {
	Device string // interface name, resolved in the network namespace of the calling thread
	Pin    string // directory of a BPF file system; the device's name is added to it. "": nothing is pinned and nothing is attached (tests)
	Mode   Mode
	Owner  string // "edge" or "relay": whose services SetServices replaces, when two processes share a device
}

// A Shield is the filter of one device, in force while its pin exists: closing it
// or the death of the process changes nothing. Methods may be called from any goroutine.
type Shield struct{}

// ErrBusy is returned when another XDP program sits on the device; the message names it.
// ErrNotHere is returned when this machine or its privileges do not allow XDP; the message says which and why.

// Open loads the program and attaches it, or finds the one that is pinned and puts
// this binary's program in its place without a gap, with the state it had.
func Open(o Options) (*Shield, error) { panic("not written") }

// Detach ends the filter of a device and removes its pins. Nothing else does.
func Detach(device, pin string) error { panic("not written") }

// Close lets go of the filter, which stays in force.
func (s *Shield) Close() error { panic("not written") }

// Mode says how the filter is attached, and why not better.
func (s *Shield) Mode() (m Mode, reason string) { panic("not written") }

// A Policy is what the kernel enforces; see shield/policy.Compiled, which shield turns into it.
type Policy struct {
	Version  uint64
	Deny     [5][4]uint64 // by service, a bit for each country
	Budgets  [5]Budget    // by class
	Around   Budget
	All      Budget
	HalfOpen uint32
	Root4    []uint32 // list trie, 256 entries
	Root6    []uint32
	Nodes    [][16]uint32
}

// A Budget is a token bucket: packets a second and packets. Unlimited: Rate is 1<<32-1.
type Budget struct{ Rate, Burst uint32 }

// SetPolicy puts p into force whole: a packet is judged by the old one or the new one.
func (s *Shield) SetPolicy(p Policy) error { panic("not written") }

// SetCountries puts a country table into force whole; root4 and root6 have 65536
// entries. Without any, every country is 0. It fails when the table is too large, saying by how much.
func (s *Shield) SetCountries(root4, root6 []uint32, nodes [][16]uint32) error { panic("not written") }

// A Port is a port of ours and its service (1 SIP, 2 web, 3 TURN, 4 RTP).
type Port struct {
	TCP         bool
	First, Last uint16
	Service     uint8
}

// SetServices replaces the owner's ports.
func (s *Shield) SetServices(ports []Port) error { panic("not written") }

// SetLeg says whether a call has the RTP port. One store into shared memory.
func (s *Shield) SetLeg(port uint16, live bool) { panic("not written") }

// A Source is exact state of a source; see shield/judge.Source.
type Source struct {
	Class  uint8
	Proven bool
	Until  uint32 // second of the kernel's clock; 0: never
	Stamp  uint32 // of the bucket, ms
	Tokens uint32 // thousandths
}

// PutSource makes or changes a source; its bucket starts full when it is new and
// is kept when it is not. DeleteSource forgets one. ErrFull when the table is full.
func (s *Shield) PutSource(key uint64, v Source) error { panic("not written") }
func (s *Shield) DeleteSource(key uint64) error        { panic("not written") }

// Sources calls f for all of them.
func (s *Shield) Sources(f func(key uint64, v Source)) error { panic("not written") }

// A Surroundings is all that the kernel knows of one source now, for explanations.
type Surroundings struct {
	Now      uint64 // ms of the kernel's clock
	Source   *Source
	Cell     uint64 // raw, see shield/judge.Cell
	Around   [2]uint32
	All      [16][2]uint32 // by service*2, +1 for TCP
	HalfOpen [2]uint32
}

// Look reads what there is about a source (key and neighbourhood as in shield/judge).
func (s *Shield) Look(key, around uint64) (Surroundings, error) { panic("not written") }

// Now is the kernel's clock in ms: jiffies, so it moves in steps of a tick.
func (s *Shield) Now() uint64 { panic("not written") }

// Seed is what keys are hashed with; it lives as long as the pins.
func (s *Shield) Seed() uint64 { panic("not written") }

// Counters are packets by country and verdict since the maps were made, summed over CPUs.
func (s *Shield) Counters() (*[256][16]uint64, error) { panic("not written") }

// A Sample is one packet of about 64 that ended like it, or the first of its kind.
type Sample struct {
	Source  netip.Addr
	Country uint8
	Verdict uint8
	Service uint8
	Class   uint8
	Weight  uint32 // packets it stands for
}

// Samples hands over what was sampled since the last call.
func (s *Shield) Samples(f func(Sample)) error { panic("not written") }
