package phone

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/netip"
	"time"

	"github.com/lindero/lindero/phone/audio"
	"github.com/lindero/lindero/wire/sip/transport"
)

// Config says who a phone is and how it speaks. The zero value is a phone on a
// free UDP port of 127.0.0.1 that calls addresses directly.
type Config struct {
	// Server is where every request outside a dialog goes first. When it is not
	// valid, requests go to the IP address in the called URI.
	Server   netip.AddrPort
	Protocol transport.Protocol // UDP (the default), TCP or TLS
	Domain   string             // of our address-of-record; without one it is our address
	Username string             // user of the address-of-record, and of the digest
	Password string
	// Local is our SIP socket. Port 0 picks a free one; an unset address is the
	// one from which Server is reached.
	Local     netip.AddrPort
	TLS       *tls.Config // to check the server's certificate with; nil: the system's roots
	TLSListen *tls.Config // our own certificate; nil: one signed by ourselves

	Codecs    []Codec             // in order of preference; default PCMU, PCMA
	Sound     func() audio.Source // makes what a call plays; nil: the tone of 440 Hz with the delay marker
	KeepAlive time.Duration       // between CRLF pings on streams; 0: 25 s; negative: never
	Timing    Timing
	Manners   Manners
	Log       *slog.Logger // nil: nowhere
}

// Timing holds the base timers of RFC 3261 §17.1.1.1; a zero field is the RFC's
// value: 500 ms, 4 s.
type Timing struct {
	T1, T2 time.Duration
}

// Manners are the ways in which a phone may depart from what is wanted of it. The
// zero value is a phone that behaves and leaves decisions to its owner.
type Manners struct {
	Answer      bool          // it answers every call by itself …
	AnswerAfter time.Duration // … after ringing this long
	Busy        bool          // it answers every call with 486
	NoACK       bool          // it never acknowledges a 200 to an INVITE
	NoMedia     bool          // it sends no packet of media, ever
	Claim       netip.Addr    // written in Via, Contact and SDP instead of its real address
}

// complete returns c with its defaults in place.
func (c Config) complete() (Config, error) {
	if c.Protocol == 0 {
		c.Protocol = transport.UDP
	}
	if protocolName(c.Protocol) == "" {
		return c, errors.New("protocol: must be UDP, TCP or TLS")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if len(c.Codecs) == 0 {
		c.Codecs = []Codec{PCMU, PCMA}
	}
	if c.Sound == nil {
		c.Sound = func() audio.Source { return audio.NewMarked(audio.NewTone(audio.DefaultLevel, 440)) }
	}
	if c.KeepAlive == 0 {
		c.KeepAlive = 25 * time.Second
	}
	if c.Timing.T1 == 0 {
		c.Timing.T1 = 500 * time.Millisecond
	}
	if c.Timing.T2 == 0 {
		c.Timing.T2 = 4 * time.Second
	}
	if err := c.completeLocal(); err != nil {
		return c, err
	}
	return c, c.completeTLS()
}

func (c *Config) completeLocal() error {
	if c.Local.IsValid() && !c.Local.Addr().IsUnspecified() {
		return nil
	}
	addr := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if c.Server.IsValid() {
		var err error
		if addr, err = route(c.Server); err != nil {
			return err
		}
	}
	c.Local = netip.AddrPortFrom(addr, c.Local.Port())
	return nil
}

// completeTLS gives a phone without a certificate one of its own making: a
// phone's peers know it by its connection, not by its name.
func (c *Config) completeTLS() error {
	if c.Protocol != transport.TLS {
		return nil
	}
	if c.TLS == nil {
		c.TLS = &tls.Config{ServerName: c.Domain, MinVersion: tls.VersionTLS12}
	}
	if c.TLSListen != nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("making a certificate: %w", err)
	}
	c.TLSListen = &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		MinVersion:   tls.VersionTLS12,
	}
	return nil
}

// protocolName is the transport's name in Via, or "" for one we do not speak.
func protocolName(p transport.Protocol) string {
	switch p {
	case transport.UDP:
		return "UDP"
	case transport.TCP:
		return "TCP"
	case transport.TLS:
		return "TLS"
	}
	return ""
}
