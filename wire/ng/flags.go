package ng

import "strings"

// What a flag is to a Lindero relay.
type flagMeaning uint8

const (
	flagForeign flagMeaning = iota // asks for what no relay of ours does, or is unknown
	flagKept                       // in Command.Flags
	flagIdle                       // changes nothing for us
)

// meaning says what a flag in canonical spelling is.
func meaning(flag string) flagMeaning {
	switch flag {
	case FlagTrustAddress, FlagSIPSourceAddress, FlagSymmetric, FlagAsymmetric, FlagStrictSource, FlagMediaHandover,
		FlagPortLatching, FlagNoPortLatching, FlagNATWait, FlagPierceNAT, FlagReset, FlagOriginalSendrecv, FlagGenerateMid,
		FlagNoRTCPAttribute, FlagFullRTCP, FlagLoopProtect, FlagInjectDTMF, FlagBlockDTMF, FlagRejectICE, FlagTrickleICE,
		FlagStripExtmap, FlagSingleCodec, FlagReuseCodecs, FlagUnidirectional, FlagBidirectional, FlagDirectional, FlagEgress,
		FlagBlockEgress, FlagInactive, FlagFatal, FlagToTag, FlagFragment, FlagProvisional, FlagNewBranch, FlagAllowNoCodec:
		return flagKept
	case "debug", "debugging", // our log has one level for all
		"no-redis-update", "fast", // how rtpengine stores and deletes calls
		"no-jitter-buffer", "no-passthrough", "passthrough", "no-player", "no-audio-player", "early-media", // there is none
		"discard-recording", "exclude-recording", "skip-recording-db", "skip-recording-database", "recording-vsc",
		"symmetric-codecs", "asymmetric-codecs", "reorder-codecs", // rtpengine ignores them, too
		"allow-asymmetric-codecs", "allow-asymmetric-codec", "allow-transcoding", // permission, not a wish
		"no-tls-id", "pad-crypto", "recrypt", // SRTP ends elsewhere
		"static-codec", "static-codecs", "rtcp-mirror", "mirror-rtcp", "unsubscribe", "pause":
		return flagIdle
	}
	return flagForeign
}

// alias is the canonical name of a flag that has several.
func alias(flag string) string {
	switch flag {
	case "ice-reject":
		return FlagRejectICE
	case "no-codec-renegotiation":
		return FlagReuseCodecs
	case "allow-no-codec-medias", "allow-empty-codec-media", "allow-empty-codec-medias":
		return FlagAllowNoCodec
	}
	return flag
}

func (c *Command) addFlag(name string) { add(&c.Flags, name) }

// setFlag takes one of the list of flags. Options may be among them, joined to
// their value by a hyphen.
func (c *Command) setFlag(s string) error {
	name := alias(canonical(s))
	switch meaning(name) {
	case flagKept:
		c.addFlag(name)
		return nil
	case flagIdle:
		return nil
	}
	switch name {
	case "":
		return nil
	case AllParties:
		c.All = AllParties
		return nil
	}
	for _, key := range []string{
		"replace", "rtcp-mux", "endpoint-learning", "sdes", "osrtp", "bundle", "t38", "t.38", "from-tags",
		"codec-strip", "codec-except", "codec-offer", "codec-ignore", "codec-mask", "codec-transcode", "codec-set",
		"codec-accept", "codec-consume", "transcode",
	} {
		if rest, ok := strings.CutPrefix(name, key+"-"); ok && rest != "" {
			return c.setJoined(key, s[len(s)-len(rest):])
		}
	}
	c.miss(s)
	return nil
}

// setJoined takes an option and its value out of the list of flags.
func (c *Command) setJoined(key, value string) error {
	switch op, codec := strings.CutPrefix(key, "codec-"); {
	case codec:
		c.addCodec(op, value)
	case key == "transcode":
		c.addCodec(key, value)
	case key == "from-tags":
		add(&c.FromTags, unescape(value))
	default:
		return c.set(key, []any{value})
	}
	return nil
}
