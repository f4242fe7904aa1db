package api

import (
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

// How many sources are kept, and for how long after they were last seen.
const (
	maxSources = 100_000
	window     = time.Hour
)

// sources are who was seen at the border in the last hour. A flood from made-up
// addresses fills it with sources seen once; those are forgotten first.
type sources struct {
	max   int
	since time.Time // when this core began to look

	mu        sync.Mutex // guards the fields below
	seen      map[sourceKey]*source
	forgotten uint64 // for want of room
}

type sourceKey struct {
	addr    netip.Addr // as sourceOf has it
	service policy.Service
}

type source struct {
	country geo.Country // as the node's table has it
	class   policy.Class
	verdict policy.Verdict
	packets uint64
	last    time.Time
}

func newSources(most int) *sources {
	return &sources{max: most, since: time.Now(), seen: map[sourceKey]*source{}}
}

// saw takes what a node noticed. Words of a newer node that this core does not
// know are read as unknown; a source without a proper address or service is passed over.
func (s *sources) saw(all []protocol.Seen, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range all {
		service, err := policy.ParseService(one.Service)
		if err != nil || !one.Address.IsValid() {
			continue
		}
		country, errC := geo.ParseCountry(one.Country)
		verdict, errV := policy.ParseVerdict(one.Verdict)
		class, errL := policy.ParseClass(one.Class)
		if errC != nil {
			country = geo.Unknown
		}
		if errV != nil {
			verdict = policy.Unclassified
		}
		if errL != nil {
			class = policy.Unknown
		}
		key := sourceKey{sourceOf(one.Address), service}
		is := s.seen[key]
		if is == nil {
			if len(s.seen) >= s.max {
				s.makeRoom()
			}
			is = &source{}
			s.seen[key] = is
		}
		is.country, is.class, is.verdict, is.last = country, class, verdict, now
		is.packets += one.Packets
	}
}

// makeRoom forgets a tenth: the rarest, and among those the oldest. mu is held.
func (s *sources) makeRoom() {
	worths := make([]uint64, 0, len(s.seen))
	for _, is := range s.seen {
		worths = append(worths, is.worth())
	}
	slices.Sort(worths)
	n := max(1, len(worths)/10)
	last := worths[n-1]
	below, _ := slices.BinarySearch(worths, last)
	equal := n - below // how many of those worth just as much go too
	for key, is := range s.seen {
		worth := is.worth()
		if worth > last || worth == last && equal == 0 {
			continue
		}
		if worth == last {
			equal--
		}
		delete(s.seen, key)
		s.forgotten++
	}
}

// worth orders sources by packets, and those with as many by when they were last seen.
func (is *source) worth() uint64 {
	return min(is.packets, math.MaxUint32)<<32 | uint64(uint32(is.last.Unix()))
}

// earned is the class that the source has beside its budget's: what a ban is held against.
func (is *source) earned() policy.Class {
	if is.class == policy.Known || is.class == policy.Registered {
		return is.class
	}
	return policy.Unknown
}

// forget drops who was not seen for an hour.
func (s *sources) forget(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, is := range s.seen {
		if now.Sub(is.last) > window {
			delete(s.seen, key)
		}
	}
}

// each gives do every source of the last hour. do must not call s, nor keep the source.
func (s *sources) each(now time.Time, do func(sourceKey, *source)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, is := range s.seen {
		if now.Sub(is.last) <= window {
			do(key, is)
		}
	}
}

// count says how many there are, and how many more were forgotten for want of room.
func (s *sources) count() (n int, forgotten uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen), s.forgotten
}
