package shield

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// The kernel lends ports of the first range to outgoing connections and queries,
// except those the second names. A filtered RTP port that is lent so would drop
// the answers to this machine's own DNS.
const (
	ephemeralPath = "/proc/sys/net/ipv4/ip_local_port_range"
	reservedPath  = "/proc/sys/net/ipv4/ip_local_reserved_ports"
)

// A span is a range of ports, both ends included.
type span struct{ first, last uint16 }

func (s span) overlaps(o span) bool { return s.first <= o.last && o.first <= s.last }

func (s span) String() string {
	if s.first == s.last {
		return strconv.Itoa(int(s.first))
	}
	return fmt.Sprintf("%d-%d", s.first, s.last)
}

// A sysctl is a pair of files, so that tests need not touch the machine's.
type sysctl struct{ ephemeral, reserved string }

// reserve takes want out of what the kernel lends, beside what others have
// reserved. It says which spans it had to add; none when nothing was to do.
func (s sysctl) reserve(want []span) (added []span, err error) {
	lent, err := s.lent()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(s.reserved)
	if err != nil {
		return nil, fmt.Errorf("shield: reading reserved ports: %w", err)
	}
	have, err := parseSpans(string(text))
	if err != nil {
		return nil, fmt.Errorf("shield: reading %s: %w", s.reserved, err)
	}
	for _, w := range want {
		if w.overlaps(lent) && !covered(w, have) {
			added = append(added, w)
		}
	}
	if added == nil {
		return nil, nil
	}
	merged := merge(append(slices.Clone(have), added...))
	if err := os.WriteFile(s.reserved, []byte(formatSpans(merged)+"\n"), 0o644); err != nil {
		return nil, fmt.Errorf("shield: reserving ports %s: %w", formatSpans(added), err)
	}
	return added, nil
}

// have is what is reserved already, as far as it can be read.
func (s sysctl) have() []span {
	text, err := os.ReadFile(s.reserved)
	if err != nil {
		return nil
	}
	have, err := parseSpans(string(text))
	if err != nil {
		return nil
	}
	return have
}

// lent is the range the kernel lends from.
func (s sysctl) lent() (span, error) {
	text, err := os.ReadFile(s.ephemeral)
	if err != nil {
		return span{}, fmt.Errorf("shield: reading the kernel's port range: %w", err)
	}
	f := bytes.Fields(text)
	if len(f) != 2 {
		return span{}, fmt.Errorf("shield: %s says %q", s.ephemeral, text)
	}
	first, err1 := strconv.ParseUint(string(f[0]), 10, 16)
	last, err2 := strconv.ParseUint(string(f[1]), 10, 16)
	if err := cmp.Or(err1, err2); err != nil {
		return span{}, fmt.Errorf("shield: %s says %q: %w", s.ephemeral, text, err)
	}
	return span{uint16(first), uint16(last)}, nil
}

func parseSpans(text string) ([]span, error) {
	var out []span
	for part := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		if part == "" {
			continue
		}
		low, high, two := strings.Cut(part, "-")
		if !two {
			high = low
		}
		first, err1 := strconv.ParseUint(low, 10, 16)
		last, err2 := strconv.ParseUint(high, 10, 16)
		if err := cmp.Or(err1, err2); err != nil {
			return nil, fmt.Errorf("%q: %w", part, err)
		}
		out = append(out, span{uint16(first), uint16(last)})
	}
	return out, nil
}

func formatSpans(spans []span) string {
	words := make([]string, len(spans))
	for i, s := range spans {
		words[i] = s.String()
	}
	return strings.Join(words, ",")
}

// merge sorts spans and joins those that touch.
func merge(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	var out []span
	for _, s := range spans {
		if n := len(out); n > 0 && int(s.first) <= int(out[n-1].last)+1 {
			out[n-1].last = max(out[n-1].last, s.last)
			continue
		}
		out = append(out, s)
	}
	return out
}

func covered(s span, by []span) bool {
	return slices.ContainsFunc(merge(slices.Clone(by)), func(o span) bool { return o.first <= s.first && s.last <= o.last })
}

// without is s less the ports of hole.
func (s span) without(hole span) []span {
	if !s.overlaps(hole) {
		return []span{s}
	}
	var out []span
	if s.first < hole.first {
		out = append(out, span{s.first, hole.first - 1})
	}
	if s.last > hole.last {
		out = append(out, span{hole.last + 1, s.last})
	}
	return out
}
