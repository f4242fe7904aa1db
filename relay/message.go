package relay

import (
	"github.com/lindero/lindero/relay/call"
	"github.com/lindero/lindero/wire/ng"
)

// message is an offer or answer as calls understand it. Options that are ours
// always need no field: strict-source (a source is pinned once it is known),
// port-latching (our ports stay), symmetric, ICE=remove, replace of addresses.
func message(c ng.Command) call.Message {
	m := call.Message{
		CallID: c.CallID, FromTag: c.FromTag, ToTag: c.ToTag, Branch: c.ViaBranch, Label: c.Label, SDP: c.SDP,
		Direction: c.Direction, Family: family(c.Family), MediaAddress: c.MediaAddress,
		ReceivedFrom: c.ReceivedFrom,
		Trust:        c.Has(ng.FlagTrustAddress), Source: c.Has(ng.FlagSIPSourceAddress),
		Asymmetric: c.Has(ng.FlagAsymmetric) || c.Learning == ng.LearnOff,
		Handover:   c.Has(ng.FlagMediaHandover),
		Drop:       c.DropTraffic == ng.DropStart, Undrop: c.DropTraffic == ng.DropStop,
		Replace: call.Replace{
			Origin: c.Replaces(ng.ReplaceOrigin) || c.Replaces(ng.ReplaceOriginFull), Zero: c.Replaces(ng.ReplaceZeroAddress),
			User: c.Replaces(ng.ReplaceUsername), Name: c.Replaces(ng.ReplaceSessionName),
			Version: c.Replaces(ng.ReplaceVersion), Force: c.Replaces(ng.ReplaceForceVer),
		},
		Mux: call.Mux{
			Offer: c.HasMux(ng.MuxOffer), Require: c.HasMux(ng.MuxRequire), Demux: c.HasMux(ng.MuxDemux),
			Accept: c.HasMux(ng.MuxAccept), Reject: c.HasMux(ng.MuxReject),
		},
		Codecs:    call.Codecs{Strip: c.Codec.Strip, Except: c.Codec.Except, Offer: c.Codec.Offer},
		Transport: c.Transport, Loop: c.Has(ng.FlagLoopProtect),
		KeepHold: c.Has(ng.FlagOriginalSendrecv), NoEvents: c.Has(ng.FlagBlockDTMF),
	}
	if m.Direction[0] == "" {
		m.Direction[0] = c.Interface
	}
	switch {
	case c.Has(ng.FlagNoRTCPAttribute):
		m.RTCP = call.RTCPNone
	case c.Has(ng.FlagFullRTCP):
		m.RTCP = call.RTCPFull
	}
	return m
}

func family(name string) call.Family {
	switch name {
	case ng.FamilyIPv4:
		return call.IPv4
	case ng.FamilyIPv6:
		return call.IPv6
	}
	return call.AnyFamily
}
