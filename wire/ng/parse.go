package ng

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ParseCommand reads a dictionary, bencode or JSON, as a Command. What it does
// not know is in Unsupported, as rtpengine warns and goes on; addresses and
// numbers that are malformed are errors, since a relay that guesses sends audio to
// the wrong place. The bytes of the result are copies.
func ParseCommand(b []byte) (Command, error) {
	var c Command
	var script string
	set := func(key string, v any) error {
		if canonical(key) == KeyRTPPFlags {
			script = text(v) // last: what a script says by hand goes above what the module adds
			return nil
		}
		if err := c.set(key, v); err != nil {
			return fmt.Errorf("ng: %s: %w", key, err)
		}
		return nil
	}
	if err := eachEntry(b, set); err != nil {
		return c, err
	}
	if script != "" {
		if err := c.parseRTPP(script); err != nil {
			return c, fmt.Errorf("ng: %s: %w", KeyRTPPFlags, err)
		}
	}
	if c.Name == "" {
		return c, ErrNoCommand
	}
	return c, nil
}

// eachEntry gives the entries of a dictionary to take: in their order when it is
// bencode, so that the last of several spellings counts, else sorted.
func eachEntry(b []byte, take func(key string, v any) error) error {
	if len(b) > 0 && b[0] == '{' {
		dict, err := DecodeJSON(b)
		if err != nil {
			return err
		}
		for _, key := range slices.Sorted(maps.Keys(dict)) {
			if err := take(key, dict[key]); err != nil {
				return err
			}
		}
		return nil
	}
	d := decoder{b: string(b)}
	if len(b) == 0 || b[0] != 'd' {
		return d.fault("a dictionary expected")
	}
	if err := d.each(0, take); err != nil {
		return err
	}
	if d.pos != len(b) {
		return d.fault("something follows the dictionary")
	}
	return nil
}

// canonical is s in lower case, with hyphens for spaces and underscores.
func canonical(s string) string {
	plain := true
	for i := range len(s) {
		if c := s[i]; c == ' ' || c == '_' || 'A' <= c && c <= 'Z' {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ' || r == '_':
			return '-'
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// set takes one entry of the dictionary.
func (c *Command) set(key string, v any) error {
	name := canonical(key)
	known, err := c.setParties(name, v)
	if !known {
		known, err = c.setAddresses(name, v)
	}
	if !known {
		known, err = c.setOptions(name, v)
	}
	if !known {
		known, err = c.setNumbers(name, v)
	}
	if known {
		return err
	}
	switch name {
	case "flags":
		for _, f := range texts(v) {
			if err := c.setFlag(f); err != nil {
				return err
			}
		}
	case "codec", "codecs":
		return c.setCodec(v)
	case "metadata", "instance", "alias-key", "template", "blob", "blob64", "file", "db-id", "repeat-times", "repeat-duration",
		"start-pos", "xmlrpc-callback", "dtls-fingerprint", "dtmf-log-dest", "dtmf-log-destination", "t38-version", "t.38-version",
		"sip-code", "sip-response-code", "message", "frequency", "frequencies", "to-call-id", "calls", "tags", "media", "medias":
		// Of no effect on what a Lindero relay does, or of commands that it refuses.
	default:
		c.setRare(name, v)
	}
	return nil
}

// setRare takes keys of rtpengine that are flags of ours or ask for what we do
// not do, and keys that nobody knows.
func (c *Command) setRare(name string, v any) {
	value := text(v)
	switch v := v.(type) {
	case int64:
		value = strconv.FormatInt(v, 10)
	case Dict:
		if len(v) > 0 {
			c.miss(name)
		}
		return
	case []any:
		if len(v) > 0 && meaning(name) == flagForeign {
			c.miss(name)
		}
		return
	}
	switch meaning(name) {
	case flagKept:
		if affirmative(value) {
			c.addFlag(name)
		}
		return
	case flagIdle:
		return
	}
	if value == "" || slices.Contains([]string{"no", "off", "disable", "disabled", "none", "default", "0"}, value) {
		return
	}
	c.miss(name + "=" + value)
}

func affirmative(s string) bool {
	return s == "" || slices.Contains([]string{"yes", "on", "true", "1", "enable", "enabled"}, s)
}

// miss notes what nobody here does. Strangers write it, so it is bounded.
func (c *Command) miss(what string) {
	if what = strings.ToValidUTF8(what, "?"); len(what) > 64 {
		what = what[:64]
	}
	if len(c.Unsupported) < 16 && !slices.Contains(c.Unsupported, what) {
		c.Unsupported = append(c.Unsupported, strings.Clone(what))
	}
}

func (c *Command) setParties(name string, v any) (known bool, err error) {
	switch name {
	case "command":
		c.Name = word(v)
	case "call-id":
		c.CallID = word(v)
	case "from-tag":
		c.FromTag = word(v)
	case "to-tag":
		c.ToTag = word(v)
	case "from-tags":
		c.FromTags = words(v)
	case "via-branch":
		c.ViaBranch = word(v)
	case "label", "from-label":
		c.Label = word(v)
	case "to-label":
		c.ToLabel = word(v)
	case "set-label":
		c.SetLabel = word(v)
	case "address":
		c.Address, err = address(text(v))
	case "all":
		c.setAll(text(v))
	case "supports":
		c.Supports = words(v)
	case "sip-message-type":
		switch canonical(text(v)) {
		case "request", "sip-request":
			c.MessageType = "request"
		case "reply", "sip-reply", "sip-response":
			c.MessageType = "reply"
		}
	default:
		return false, nil
	}
	return true, err
}

func (c *Command) setAll(s string) {
	switch s {
	case AllNone, "":
		c.All = ""
	case AllParties, AllOfferAnswer, AllExceptOfferAnswer, AllFlows:
		c.All = strings.Clone(s)
	case "not-offer-answer", "non-offer-answer":
		c.All = AllExceptOfferAnswer
	default:
		c.miss("all=" + s)
	}
}

func (c *Command) setAddresses(name string, v any) (known bool, err error) {
	switch name {
	case "direction":
		names := texts(v)
		if len(names) > 2 {
			return true, errors.New("wants two interface names")
		}
		for i, n := range names {
			c.Direction[i] = strings.Clone(n)
		}
	case "from-interface":
		c.Direction[0] = word(v)
	case "to-interface":
		c.Direction[1] = word(v)
	case "interface":
		c.Interface = word(v)
	case "received-from":
		// A family and an address, or the address alone; the family is in it anyway.
		if from := texts(v); len(from) > 0 {
			c.ReceivedFrom, err = address(from[len(from)-1])
		} else {
			err = errors.New("no address")
		}
	case "media-address":
		c.MediaAddress, err = address(text(v))
	case "address-family":
		switch s := strings.ToUpper(word(v)); s {
		case FamilyIPv4, FamilyIPv6:
			c.Family = s
		case "INET", "IPV4":
			c.Family = FamilyIPv4
		case "INET6", "IPV6":
			c.Family = FamilyIPv6
		default:
			err = fmt.Errorf("%q is neither IP4 nor IP6", s)
		}
	default:
		return false, nil
	}
	return true, err
}

// address reads an address without a zone; IPv4 in IPv6 is IPv4.
func address(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	return a.Unmap().WithZone(""), err
}

func (c *Command) setNumbers(name string, v any) (known bool, err error) {
	switch name {
	case "tos":
		c.TOS, err = number(v, -1, 1<<16)
	case "code", "digit":
		c.Digit, err = digit(v)
	case "duration":
		c.Duration, err = span(v, time.Millisecond)
	case "pause":
		if c.Pause, err = span(v, time.Millisecond); err != nil && text(v) != "" {
			err = nil // of stop recording, "yes"
		}
	case "volume":
		c.Volume, err = number(v, -63, 63)
		if err == nil && *c.Volume < 0 {
			*c.Volume = -*c.Volume
		}
	case "delete-delay":
		if n, bad := integer(v); bad == nil && n < 0 {
			return true, nil // the relay's own
		}
		var d time.Duration
		if d, err = span(v, time.Second); err == nil {
			c.DeleteDelay = &d
		}
	case "limit":
		var n int64
		n, err = integer(v)
		c.Limit = int(min(max(n, 0), maxItems))
	default:
		return false, nil
	}
	return true, err
}

// text is v when it is a string, or "". It is a part of the whole message.
func text(v any) string { s, _ := v.(string); return s }

// word is text on its own: what is kept of a call must not keep its message.
func word(v any) string { return strings.Clone(text(v)) }

// texts are the strings in a list; a single string is a list with commas.
func texts(v any) []string {
	switch v := v.(type) {
	case string:
		if v == "" {
			return nil
		}
		return strings.Split(v, ",")
	case []any:
		var out []string
		for _, e := range v {
			if s, ok := e.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}

// words are texts on their own.
func words(v any) []string {
	out := texts(v)
	for i, s := range out {
		out[i] = strings.Clone(s)
	}
	return out
}

// integer is v, a number or the digits of one: a script's options are text.
func integer(v any) (int64, error) {
	switch v := v.(type) {
	case int64:
		return v, nil
	case string:
		n, err := strconv.ParseInt(v, 10, 64)
		if err == nil {
			return n, nil
		}
	}
	return 0, errors.New("not a number")
}

func number(v any, low, high int64) (*int, error) {
	n, err := integer(v)
	i := int(min(max(n, low), high))
	if err != nil {
		return nil, err
	}
	return &i, nil
}

// span is a number of units, at most a day.
func span(v any, unit time.Duration) (time.Duration, error) {
	n, err := integer(v)
	switch {
	case err != nil:
		return 0, err
	case n < 0:
		return 0, errors.New("below 0")
	}
	return time.Duration(min(n, int64(24*time.Hour/unit))) * unit, nil
}

func digit(v any) (string, error) {
	if s := strings.ToUpper(word(v)); len(s) == 1 && strings.Contains(events, s) {
		return s, nil
	}
	if n, err := integer(v); err == nil && n >= 0 && n < int64(len(events)) {
		return events[n : n+1], nil
	}
	return "", errors.New("wants an event from 0 to 15, or one of 0-9 * # A-D")
}
