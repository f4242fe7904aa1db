package voice

import "github.com/lindero/lindero/wire/rtp"

// A dtmf tells the key of each telephone event once, however often its end is
// repeated (RFC 4733 §2.5.1.4), and also when all its ends were lost and the
// next event shows that it is over.
type dtmf struct {
	ssrc, timestamp uint32
	code            uint8
	begun           bool // there was an event
	open            bool // its key was not told yet
}

// add takes an event packet and returns the keys that are complete by it.
func (d *dtmf) add(h rtp.Header, ev rtp.Event) (keys []byte) {
	fresh := !d.begun || h.SSRC != d.ssrc || int32(h.Timestamp-d.timestamp) > 0
	if fresh {
		if d.open {
			keys = d.tell(keys)
		}
		*d = dtmf{ssrc: h.SSRC, timestamp: h.Timestamp, code: ev.Code, begun: true, open: true}
	}
	if ev.End && d.open && h.Timestamp == d.timestamp {
		keys = d.tell(keys)
	}
	return keys
}

func (d *dtmf) tell(keys []byte) []byte {
	d.open = false
	if key, ok := (rtp.Event{Code: d.code}).Digit(); ok {
		return append(keys, key)
	}
	return keys
}
