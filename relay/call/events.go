package call

import (
	"strconv"
	"strings"

	"github.com/lindero/lindero/wire/sdp"
)

// events are the payload types by which a half takes telephone events (RFC 4733).
type events struct {
	types [2]uint64 // a bit for each
	first uint8     // the one to send, if there is any
	clock uint32    // of the first, in Hz; 0: there is none
}

// has says whether pt is one of them.
func (e *events) has(pt uint8) bool { return e.types[pt>>6&1]>>(pt&63)&1 != 0 }

// eventsOf reads the payload types of d that are telephone events. Of several, the
// one whose clock is the audio's is sent.
func eventsOf(d *sdp.Media, audio uint32) (e events) {
	for _, format := range d.Formats {
		c, ok := d.Codec(format)
		if !ok || !strings.EqualFold(c.Name, "telephone-event") {
			continue
		}
		pt, err := strconv.ParseUint(format, 10, 7)
		if err != nil {
			continue
		}
		e.types[pt>>6] |= 1 << (pt & 63)
		if e.clock == 0 || e.clock != audio && c.Clock == audio {
			e.first, e.clock = uint8(pt), c.Clock
		}
	}
	return e
}
