package shield

import (
	"net/netip"

	"github.com/lindero/lindero/bpf"
	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/shield/judge"
	"github.com/lindero/lindero/shield/policy"
)

// A filter is who judges packets: the kernel on its devices, the engine at the
// listeners, or nobody. Methods may be called from any goroutine, also after
// close, when they do nothing.
type filter interface {
	// admit judges what came to a listener, if the filter judges there.
	admit(source netip.Addr, service policy.Service, tcp bool) bool

	setPolicy(*policy.Compiled) error
	setCountries(*geo.Table) error
	setServices([]Port) error
	setLeg(port uint16, live bool)

	// now is the clock that a Source's Until is of.
	now() judge.Millis
	put(judge.Key, judge.Source) error           // keeps the bucket of a source that is there
	drop(judge.Key) error                        // of a source that is not there too
	outdoes(judge.Key, judge.Source) bool        // another process gave the source more
	sources(func(judge.Key, judge.Source)) error // of every device
	width() int                                  // how many devices there are

	counters() (*tallies, error)
	samples(func(bpf.Sample)) error

	// look is what each device's filter knows of a source, for explanations.
	look(judge.Packet) ([]view, error)

	// tend puts right what somebody did to the filter, saying what; bpf.ErrGone is for
	// what cannot be.
	tend() (did []string, err error)
	close() error
}

// tallies are packets by country and verdict.
type tallies = judge.Counters

// A view is what a filter would judge a source's next packet by.
type view struct {
	device string // "": the listeners
	now    judge.Millis
	state  judge.State
}

// nobody is the filter of mode off.
type nobody struct{}

func (nobody) admit(netip.Addr, policy.Service, bool) bool { return true }
func (nobody) setPolicy(*policy.Compiled) error            { return nil }
func (nobody) setCountries(*geo.Table) error               { return nil }
func (nobody) setServices([]Port) error                    { return nil }
func (nobody) setLeg(uint16, bool)                         {}
func (nobody) now() judge.Millis                           { return 0 }
func (nobody) put(judge.Key, judge.Source) error           { return nil }
func (nobody) drop(judge.Key) error                        { return nil }
func (nobody) sources(func(judge.Key, judge.Source)) error { return nil }
func (nobody) counters() (*tallies, error)                 { return new(tallies), nil }
func (nobody) samples(func(bpf.Sample)) error              { return nil }
func (nobody) look(judge.Packet) ([]view, error)           { return nil, nil }
func (nobody) outdoes(judge.Key, judge.Source) bool        { return false }
func (nobody) width() int                                  { return 1 }
func (nobody) tend() ([]string, error)                     { return nil, nil }
func (nobody) close() error                                { return nil }
