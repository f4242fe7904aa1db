package relay

import (
	"strings"

	"github.com/lindero/lindero/relay/call"
	"github.com/lindero/lindero/wire/ng"
)

// rule is how a command changes what is done to a party's media.
func rule(c ng.Command) (change func(*call.Rules), ok bool) {
	switch c.Name {
	case ng.BlockMedia:
		return func(r *call.Rules) { r.Block = true }, true
	case ng.UnblockMedia:
		return func(r *call.Rules) { r.Block = false }, true
	case ng.SilenceMedia:
		return func(r *call.Rules) { r.Silence = true }, true
	case ng.UnsilenceMedia:
		return func(r *call.Rules) { r.Silence = false }, true
	case ng.BlockDTMF:
		return func(r *call.Rules) { r.NoEvents = c.DTMFSecurity != "off" }, true
	case ng.UnblockDTMF:
		return func(r *call.Rules) { r.NoEvents = false }, true
	}
	return nil, false
}

// rule runs a command that blocks or silences, or the opposite.
func (r *Relay) rule(c ng.Command, change func(*call.Rules)) ng.Reply {
	warning, err := r.calls.Rule(selection(c), change)
	if err != nil {
		return ng.Refuse("%v", err)
	}
	switch c.DTMFSecurity {
	case "", "drop", "off":
	default:
		warning = join(warning, "DTMF-security="+c.DTMFSecurity+" is not done here: events are dropped")
	}
	return ng.Reply{Result: ng.ResultOK, Warning: warning}
}

// play runs play DTMF.
func (r *Relay) play(c ng.Command) ng.Reply {
	code, ok := c.Event()
	if !ok {
		return ng.Refuse("no digit to play")
	}
	d := call.Digits{Codes: []uint8{code}, Duration: c.Duration, Pause: c.Pause, Volume: 8}
	if c.Volume != nil {
		d.Volume = uint8(min(max(*c.Volume, 0), 63))
	}
	warning, err := r.calls.Play(selection(c), d)
	if err != nil {
		return ng.Refuse("%v", err)
	}
	return ng.Reply{Result: ng.ResultOK, Warning: warning}
}

// selection is whom a command means.
func selection(c ng.Command) call.Selection {
	s := call.Selection{
		CallID: c.CallID, From: c.FromTag, Label: c.Label, Address: c.Address, To: c.ToTag, ToLabel: c.ToLabel,
		All: c.All == ng.AllParties || c.All == ng.AllOfferAnswer || c.All == ng.AllFlows,
	}
	s.Towards = c.Has(ng.FlagEgress) || c.Has(ng.FlagBlockEgress)
	if s.All && s.From != "" {
		s.All = false // of a party, all that it sends: to whomever
		s.To, s.ToLabel = "", ""
	}
	return s
}

func join(texts ...string) string {
	var said []string
	for _, t := range texts {
		if t != "" {
			said = append(said, t)
		}
	}
	return strings.Join(said, "; ")
}
