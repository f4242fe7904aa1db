package ng

import (
	"errors"
	"strings"
)

const maxScriptDepth = 4

// parseRTPP reads options as a script writes them: words apart by spaces, each a
// flag, an option=value, or option=[list or dictionary]. Kamailio sends them so
// when it is told to leave the reading to the relay; then words that its module
// would have translated come here as well.
func (c *Command) parseRTPP(s string) error {
	var transport transportWords
	faces := 0
	for p := (script{s: s}); p.spaces(); {
		word := p.word(" [")
		key, value, assigned := strings.Cut(word, "=")
		var err error
		switch {
		case assigned && value == "" && p.i < len(s) && s[p.i] == '[':
			p.i++
			var v any
			if v, err = p.group(0); err == nil {
				err = c.set(key, v)
			}
		case p.i < len(s) && s[p.i] == '[':
			err = errScript
		case !assigned && transport.take(word):
		case word == "internal", word == "external", key == "direction":
			if !assigned {
				value = word
			}
			if faces < len(c.Direction) {
				c.Direction[faces] = strings.Clone(value)
			}
			faces++
		case !assigned || value == "":
			err = c.setFlag(key)
		case key == "transcode", strings.HasPrefix(key, "codec-"):
			err = c.setJoined(canonical(key), value)
		default:
			err = c.set(key, value)
		}
		if err != nil {
			return err
		}
		if key == "from-tag" {
			c.addFlag(FlagDirectional)
		}
	}
	if t := transport.String(); t != "" {
		c.Transport = t
	}
	return nil
}

// transportWords are the words that name a transport protocol, alone or in parts.
type transportWords struct{ said, secure, feedback, dtls bool }

func (t *transportWords) take(word string) bool {
	switch word {
	case "RTP":
		t.secure = false
	case "AVP":
		t.feedback = false
	case "SRTP":
		t.secure = true
	case "AVPF":
		t.feedback = true
	case "DTLS":
		t.dtls = true
	case "RTP/AVP", "RTP/AVPF", "RTP/SAVP", "RTP/SAVPF", "UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF":
		*t = transportWords{
			secure: strings.Contains(word, "SAVP"), feedback: strings.HasSuffix(word, "F"), dtls: strings.HasPrefix(word, "UDP"),
		}
	default:
		return false
	}
	t.said = true
	return true
}

// String is "" when nothing was said.
func (t *transportWords) String() string {
	if !t.said {
		return ""
	}
	s := "RTP/AVP"
	if t.dtls {
		s = "UDP/TLS/RTP/SAVP"
	} else if t.secure {
		s = "RTP/SAVP"
	}
	if t.feedback {
		s += "F"
	}
	return s
}

// script is text that is read word by word.
type script struct {
	s string
	i int
}

// spaces steps over spaces and says whether something is left.
func (p *script) spaces() bool {
	for p.i < len(p.s) && p.s[p.i] == ' ' {
		p.i++
	}
	return p.i < len(p.s)
}

// word reads up to one of the bytes of end, or to the end of the text.
func (p *script) word(end string) string {
	n := strings.IndexAny(p.s[p.i:], end)
	if n < 0 {
		n = len(p.s) - p.i
	}
	w := p.s[p.i : p.i+n]
	p.i += n
	return w
}

var errScript = errors.New("brackets that do not match")

// group reads a list or dictionary, whose opening bracket was read. An entry with
// an equals sign makes it a dictionary.
func (p *script) group(depth int) (any, error) {
	if depth > maxScriptDepth {
		return nil, ErrLimit
	}
	list, dict := []any{}, Dict{}
	for {
		if !p.spaces() {
			return nil, errScript
		}
		word := p.word(" []")
		key, value, assigned := strings.Cut(word, "=")
		if !assigned {
			value = word
		}
		var v any = value
		if p.i < len(p.s) && p.s[p.i] == '[' {
			p.i++
			if value != "" {
				return nil, errScript
			}
			var err error
			if v, err = p.group(depth + 1); err != nil {
				return nil, err
			}
		}
		switch {
		case assigned:
			dict[key] = v
		case v != "":
			list = append(list, v)
		}
		if p.i < len(p.s) && p.s[p.i] == ']' {
			p.i++
			break
		}
	}
	if len(dict) > 0 {
		return dict, nil
	}
	return list, nil
}
