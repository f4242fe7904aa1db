package ng

import (
	"maps"
	"slices"
	"strings"
)

func (c *Command) setOptions(name string, v any) (known bool, err error) {
	switch name {
	case "sdp":
		c.SDP = []byte(text(v))
	case "replace":
		c.each(v, name, (*Command).setReplace)
	case "rtcp-mux":
		c.each(v, name, (*Command).setMux)
	case "ice":
		c.each(v, name, (*Command).setICE)
	case "ice-lite":
		c.setICELite(text(v))
	case "dtls", "dtls-reverse":
		for _, s := range words(v) {
			c.DTLS = append(c.DTLS, offWord(s))
		}
	case "sdes":
		for _, s := range words(v) {
			c.SDES = append(c.SDES, offWord(s))
		}
	case "osrtp":
		c.OSRTP = append(c.OSRTP, words(v)...)
	case "bundle":
		c.each(v, name, (*Command).setBundle)
	case "t.38", "t38":
		c.each(v, "t38", (*Command).setT38)
	case "transport-protocol":
		if c.Transport = word(v); c.Transport != TransportAccept {
			c.Transport = strings.ToUpper(c.Transport)
		}
	case "endpoint-learning":
		c.each(v, name, (*Command).setLearning)
	case "drop-traffic":
		c.each(v, name, (*Command).setDrop)
	case "dtmf-security":
		c.DTMFSecurity = canonical(word(v))
	default:
		return false, nil
	}
	return true, nil
}

// offWord is s, and "off" for the other words that mean it.
func offWord(s string) string {
	switch s {
	case "no", "disable", "disabled":
		return "off"
	}
	return s
}

// each gives the canonical words of v to set, and notes those it does not know.
func (c *Command) each(v any, name string, set func(*Command, string) bool) {
	for _, s := range texts(v) {
		if !set(c, canonical(s)) {
			c.miss(name + "=" + s)
		}
	}
}

// maxWords is how many words of one option count.
const maxWords = 256

// add appends s to list unless it is there.
func add(list *[]string, s string) {
	if len(*list) < maxWords && !slices.Contains(*list, s) {
		*list = append(*list, strings.Clone(s))
	}
}

func (c *Command) setReplace(s string) bool {
	switch s {
	case ReplaceOrigin, ReplaceOriginFull, ReplaceSession, ReplaceSessionName, ReplaceUsername, ReplaceVersion, ReplaceForceVer, ReplaceZeroAddress:
		add(&c.Replace, s)
		return true
	}
	return false
}

func (c *Command) setMux(s string) bool {
	switch s {
	case MuxOffer, MuxRequire, MuxDemux, MuxAccept, MuxReject:
		add(&c.Mux, s)
		return true
	}
	return false
}

func (c *Command) setICE(s string) bool {
	switch s {
	case ICERemove, ICEForce, ICEDefault, ICEOptional, ICEForceRelay:
		c.ICE = strings.Clone(s)
	case "trickle":
		c.addFlag(FlagTrickleICE)
	case "ice2":
	case "no-lite":
		c.ICELite = "off"
	case "lite":
		c.ICELite = "forward"
	default:
		lite, ok := strings.CutPrefix(s, "lite-")
		return ok && c.setICELite(lite)
	}
	return true
}

func (c *Command) setICELite(s string) bool {
	switch canonical(s) {
	case "off", "none", "no":
		c.ICELite = "off"
	case "forward", "offer", "fwd", "fw":
		c.ICELite = "forward"
	case "backward", "backwards", "reverse", "answer", "back", "bkw", "bk":
		c.ICELite = "backward"
	case "both":
		c.ICELite = "both"
	default:
		return false
	}
	return true
}

func (c *Command) setBundle(s string) bool {
	switch s {
	case "accept", "reject":
	case "offer", "require", "strict":
		c.miss("bundle=" + s) // a relay passes groups on and makes none
	default:
		return false
	}
	add(&c.Bundle, s)
	return true
}

func (c *Command) setT38(s string) bool {
	switch s {
	case "decode", "force":
		return false // T.38 is passed on; a gateway is a fax machine
	}
	add(&c.T38, s)
	return true
}

func (c *Command) setLearning(s string) bool {
	switch s {
	case LearnOff, LearnImmediate, LearnDelayed, LearnHeuristic:
		c.Learning = strings.Clone(s)
		return true
	}
	return false
}

// setDrop lets stop win over start, as rtpengine does.
func (c *Command) setDrop(s string) bool {
	switch s {
	case DropStop:
		c.DropTraffic = strings.Clone(s)
	case DropStart:
		if c.DropTraffic != DropStop {
			c.DropTraffic = strings.Clone(s)
		}
	default:
		return false
	}
	return true
}

// setCodec takes the dictionary of codecs.
func (c *Command) setCodec(v any) error {
	d, _ := v.(Dict)
	for _, op := range slices.Sorted(maps.Keys(d)) {
		for _, name := range texts(d[op]) {
			c.addCodec(canonical(op), name)
		}
	}
	return nil
}

func (c *Command) addCodec(op, name string) {
	name = unescape(name)
	switch op {
	case "strip":
		add(&c.Codec.Strip, name)
	case "except":
		add(&c.Codec.Except, name)
	case "offer":
		add(&c.Codec.Offer, name)
	case "ignore":
		add(&c.Codec.Ignore, name)
	default: // transcode, mask, set, accept, consume
		c.miss("codec-" + op + "=" + name)
	}
}

// unescape undoes what scripts write where an equals sign or a space would end
// the option: two hyphens, two dots.
func unescape(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "--", "="), "..", " ")
}
