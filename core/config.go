package core

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lindero/lindero/core/api"
	"github.com/lindero/lindero/wire/sip/digest"
)

// A Config is a core's part of a configuration file.
type Config struct {
	SIP        netip.AddrPort `yaml:"sip"`         // TCP for edges, a private address; port 0 picks one
	Database   string         `yaml:"database"`    // sqlite:PATH or postgres://…
	Media      netip.Addr     `yaml:"media"`       // where core's voice sends and receives audio
	MediaPorts string         `yaml:"media_ports"` // of core's voice, "first-last"
	KeyFile    string         `yaml:"key_file"`    // key of nonces; made when absent
	Digest     []string       `yaml:"digest"`      // algorithms offered, in order; [MD5] for phones that give up at SHA-256
	RingTime   Duration       `yaml:"ring_time"`   // how long phones ring in a company that does not say
	MinExpires Duration       `yaml:"min_expires"` // shortest registration
	MaxExpires Duration       `yaml:"max_expires"` // longest registration
	HTTP       string         `yaml:"http"`        // addr:port of the API and the web page, a private address, or off
	Tokens     []api.Token    `yaml:"tokens"`      // who may use the API
	Countries  string         `yaml:"countries"`   // MMDB country database; when empty or absent, countries are off
}

// A Duration is a time.Duration that a configuration file writes as "25s".
type Duration time.Duration

// UnmarshalText reads what time.ParseDuration does.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = Duration(v)
	return err
}

func (d Duration) duration() time.Duration { return time.Duration(d) }

// MarshalText writes what UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// DefaultConfig is the core of `lindero up`, but for the database and the key,
// which have no default place.
func DefaultConfig() Config {
	return Config{
		SIP:        netip.MustParseAddrPort("127.0.0.1:5070"),
		Media:      netip.MustParseAddr("127.0.0.1"),
		MediaPorts: "40000-40999",
		Digest:     []string{digest.SHA256.String(), digest.MD5.String()},
		RingTime:   Duration(60 * time.Second),
		MinExpires: Duration(60 * time.Second),
		MaxExpires: Duration(2 * time.Hour),
		HTTP:       "127.0.0.1:8080",
	}
}

// Validate reports everything that is wrong with c at once, a line for each.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.SIP.IsValid(), "sip: required, an address and a port")
	check(!c.SIP.IsValid() || !c.SIP.Addr().IsUnspecified(), "sip: wants the one address that edges reach, not %v", c.SIP)
	check(databaseKnown(c.Database), "database: wants sqlite:PATH or postgres://…")
	check(c.Media.IsValid() && !c.Media.IsUnspecified(), "media: wants the one address that relays reach")
	_, _, err := portRange(c.MediaPorts)
	check(err == nil, "media_ports: %v", err)
	check(c.KeyFile != "", "key_file: required")
	_, err = c.algorithms()
	check(err == nil, "digest: %v", err)
	check(c.RingTime.duration() >= time.Second, "ring_time: at least 1s")
	minimum, maximum := c.MinExpires.duration(), c.MaxExpires.duration()
	check(minimum >= time.Second && minimum <= time.Hour, "min_expires: between 1s and 1h (RFC 3261 §10.3)")
	check(maximum >= minimum && maximum <= 24*time.Hour, "max_expires: between min_expires and 24h")
	if c.HTTP != httpOff {
		_, err = netip.ParseAddrPort(c.HTTP)
		check(err == nil, "http: wants an address and port, or off, not %q", c.HTTP)
	}
	return errors.Join(append(errs, c.validateTokens()...)...)
}

// httpOff is Config.HTTP for none.
const httpOff = "off"

func (c Config) validateTokens() (errs []error) {
	names := map[string]bool{}
	for i, t := range c.Tokens {
		fail := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("tokens[%d].%w", i, fmt.Errorf(format, args...)))
		}
		if t.Name == "" {
			fail("name: required; the audit says who made a change")
		} else if names[t.Name] {
			fail("name: %q is taken", t.Name)
		}
		names[t.Name] = true
		if t.File == "" {
			fail("file: required")
		}
		if !t.Scope.Valid() {
			fail("scope: wants operator or node, not %q", t.Scope)
		}
		if len(t.Nodes) > 0 && t.Scope != api.Node {
			fail("nodes: only a token of scope node speaks for nodes")
		}
		for j, n := range t.Nodes {
			if !api.ValidNode(n) {
				fail("nodes[%d]: %q is no name of a node: 1 to %d letters, digits, dots, hyphens and underscores, a letter or digit first", j, n, api.MaxNodeName)
			}
		}
	}
	return errs
}

// algorithms reads Digest.
func (c Config) algorithms() ([]digest.Algorithm, error) {
	var all []digest.Algorithm
	for _, name := range c.Digest {
		a, err := digest.ParseAlgorithm(name)
		if err != nil || slices.Contains(all, a) {
			return nil, fmt.Errorf("wants SHA-256, MD5 or both, the preferred one first, not %q", c.Digest)
		}
		all = append(all, a)
	}
	if len(all) == 0 {
		return nil, errors.New("wants at least one of SHA-256 and MD5")
	}
	return all, nil
}

func databaseKnown(url string) bool {
	scheme, rest, ok := strings.Cut(url, ":")
	return ok && rest != "" && (scheme == "sqlite" || scheme == "postgres" || scheme == "postgresql")
}

// portRange reads "first-last".
func portRange(s string) (first, last uint16, err error) {
	a, b, ok := strings.Cut(s, "-")
	f, errF := strconv.ParseUint(strings.TrimSpace(a), 10, 16)
	l, errL := strconv.ParseUint(strings.TrimSpace(b), 10, 16)
	if !ok || errF != nil || errL != nil || f < 1024 || f >= l {
		return 0, 0, errors.New("wants two ports from 1024 up, the lower first, as in 40000-40999")
	}
	return uint16(f), uint16(l), nil
}
