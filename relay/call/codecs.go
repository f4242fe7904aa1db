package call

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/lindero/lindero/wire/sdp"
)

// Codecs says which codecs of an offer are not passed on. Each is a name (PCMA), or
// name and rate, and channels if there are several (opus/48000/2), in any case.
// Codecs that the offer does not have cannot be added: nobody here transcodes.
type Codecs struct {
	Strip  []string // these; "all": every one
	Except []string // but not these
	Offer  []string // nor these, which come after the others and in this order
}

// codecs takes codecs out of d; none when that would be all.
func (t *turn) codecs(e *sdp.Edit, d *sdp.Media) {
	want := &t.m.Codecs
	if len(want.Strip) == 0 {
		return
	}
	var kept, offered []string
	place := func(format string) int { return match(d, format, want.Offer) }
	for _, format := range d.Formats {
		switch {
		case place(format) >= 0 && stripped(d, format, want.Strip):
			offered = append(offered, format)
		case match(d, format, want.Except) >= 0 || !stripped(d, format, want.Strip):
			kept = append(kept, format)
		}
	}
	slices.SortStableFunc(offered, func(a, b string) int { return cmp.Compare(place(a), place(b)) })
	if kept = append(kept, offered...); len(kept) > 0 && !slices.Equal(kept, d.Formats) {
		e.Formats(d, kept)
	}
}

func stripped(d *sdp.Media, format string, strip []string) bool {
	return slices.Contains(strip, "all") || slices.Contains(strip, "full") || match(d, format, strip) >= 0
}

// match is the first of names that means the codec of a format, or -1.
func match(d *sdp.Media, format string, names []string) int {
	codec, ok := d.Codec(format)
	if !ok {
		return -1
	}
	full := codec.Name + "/" + strconv.FormatUint(uint64(codec.Clock), 10)
	if codec.Channels > 1 {
		full += "/" + strconv.Itoa(codec.Channels)
	}
	return slices.IndexFunc(names, func(name string) bool {
		return strings.EqualFold(name, codec.Name) || strings.EqualFold(strings.TrimSuffix(name, "/1"), full)
	})
}
