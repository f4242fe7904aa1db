package call

import (
	"github.com/lindero/lindero/relay/forward"
	"github.com/lindero/lindero/wire/rtp"
)

// Rules are what is done to the media a party sends, by command.
type Rules struct {
	Block    bool // nothing of it is passed on, RTCP is
	Silence  bool // audio becomes silence where we know how, else nothing
	NoEvents bool // telephone events are not passed on
}

// treated is the forward.Treatment of one leg. It does not change; the player it
// may have does.
type treated struct {
	Rules
	events [2]events // of either half: a payload type may be named by one of them only
	player *player
}

// treatment is what is done to packets from h to other; nil when nothing is.
func treatment(rules Rules, h, other *half) forward.Treatment {
	if rules == (Rules{}) && h.player == nil {
		return nil
	}
	return &treated{Rules: rules, events: [2]events{h.events, other.events}, player: h.player}
}

// Treat implements forward.Treatment.
func (t *treated) Treat(b []byte) []byte {
	h, payload, err := rtp.Parse(b)
	if err != nil || rtp.KindOf(b) == rtp.RTCP {
		return b
	}
	if t.player != nil {
		if digit := t.player.carry(b, h); digit != nil {
			return digit
		}
	}
	event := t.events[0].has(h.PayloadType) || t.events[1].has(h.PayloadType)
	switch {
	case t.Block, t.NoEvents && event:
		return nil
	case !t.Silence:
		return b
	}
	quiet, ok := silent(h.PayloadType)
	if !ok || event {
		return nil
	}
	for i := range payload {
		payload[i] = quiet
	}
	return b
}

// silent is the byte of silence of a payload type. Codecs whose packets are not
// made of samples have none.
func silent(payloadType uint8) (b byte, ok bool) {
	switch payloadType {
	case rtp.PCMU:
		return rtp.SilencePCMU, true
	case rtp.PCMA:
		return rtp.SilencePCMA, true
	}
	return 0, false
}
