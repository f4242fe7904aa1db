package edge

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"syscall"

	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/transport"
)

// A face is one way phones reach us.
type face struct {
	protocol transport.Protocol
	bound    netip.AddrPort // of the socket; Flow.Local
	public   netip.AddrPort // what phones are told
}

// faces are our outside listeners, in the order of Flow.Listener, and our inside
// one. They are constant once opened.
type faces struct {
	outside []face
	inside  netip.AddrPort
}

// of is the face by which a peer is spoken to over protocol.
func (f *faces) of(p transport.Protocol) *face {
	for i := range f.outside {
		if f.outside[i].protocol == p {
			return &f.outside[i]
		}
	}
	return nil
}

// outsideOurs tells whether host and port name one of our outside faces, by the
// address they are bound to or the one that is advertised.
func (f *faces) outsideOurs(a netip.AddrPort) bool {
	for i := range f.outside {
		if a == f.outside[i].public || a == f.outside[i].bound {
			return true
		}
	}
	return false
}

// appendURI appends sip:[user@]addr;transport=… of the face. Within a call that
// began with sips: it must be sips: again (RFC 5630 §3.1).
func (f *face) appendURI(dst, user []byte, secure bool) []byte {
	secure = secure && f.protocol == transport.TLS
	if secure {
		dst = append(dst, "sips:"...)
	} else {
		dst = append(dst, "sip:"...)
	}
	if len(user) > 0 {
		dst = append(append(dst, user...), '@')
	}
	dst = f.public.AppendTo(dst)
	if secure {
		return dst // the scheme says it all
	}
	dst = append(dst, ";transport="...)
	return append(dst, f.protocol.String()...)
}

// secureURI tells whether uri is a sips: URI.
func secureURI(uri []byte) bool {
	return len(uri) > 5 && strings.EqualFold(string(uri[:5]), "sips:")
}

// listen opens every listener of cfg, or none.
func (e *Edge) listen() (err error) {
	var conf *tls.Config
	if e.cfg.SIPS.IsValid() {
		if conf, err = transport.ServerTLS(e.cfg.TLS.Cert, e.cfg.TLS.Key, e.log); err != nil {
			return fmt.Errorf("edge: sips: %w", err)
		}
	}
	if err := e.listenBoth(); err != nil {
		return err
	}
	if conf != nil {
		bound, err := e.outside.Listen(transport.TLS, e.cfg.SIPS, conf)
		if err != nil {
			return explain("sips", err)
		}
		e.faces.outside = append(e.faces.outside, e.face(transport.TLS, bound))
	}
	if e.faces.inside, err = e.inside.Listen(transport.TCP, e.cfg.Inside, nil); err != nil {
		return explain("inside", err)
	}
	return nil
}

// listenBoth makes the outside stack with UDP and TCP on one port. When any port
// will do, the one that UDP got may be another's for TCP; then it tries again.
func (e *Edge) listenBoth() error {
	for attempt := 0; ; attempt++ {
		e.outside = transport.New(transport.Config{Log: e.log, Readers: udpReaders(), Admit: e.gate(), Holds: e.hold()}, outsideHandler{e})
		bound, err := e.outside.Listen(transport.UDP, e.cfg.SIP, nil)
		if err != nil {
			return explain("sip", err)
		}
		if _, err = e.outside.Listen(transport.TCP, bound, nil); err == nil {
			e.faces.outside = append(e.faces.outside, e.face(transport.UDP, bound), e.face(transport.TCP, bound))
			return nil
		}
		if e.cfg.SIP.Port() != 0 || attempt == 20 || !errors.Is(err, syscall.EADDRINUSE) {
			return explain("sip", err)
		}
		e.outside.Close()
	}
}

// udpReaders is how many sockets share the UDP port: one reader can keep one
// processor busy.
func udpReaders() int { return min(runtime.GOMAXPROCS(0), 8) }

func (e *Edge) face(p transport.Protocol, bound netip.AddrPort) face {
	public := bound
	if e.cfg.Advertise.IsValid() {
		public = netip.AddrPortFrom(e.cfg.Advertise, bound.Port())
	}
	return face{p, bound, public}
}

// explain says which key of the configuration a listener comes from, and what to
// do about a port in use.
func explain(key string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("edge: %s: another program uses this address and port; stop it or configure another: %w", key, err)
	}
	return fmt.Errorf("edge: %s: %w", key, err)
}

// transportOf is how a URI wants to be reached (RFC 3261 §19.1.1).
func transportOf(u sip.URI) (transport.Protocol, bool) {
	name, present := sip.Param(u.Params, "transport")
	switch {
	case strings.EqualFold(string(u.Scheme), "sips"):
		return transport.TLS, true
	case !present, strings.EqualFold(string(name), "udp"):
		return transport.UDP, true
	case strings.EqualFold(string(name), "tcp"):
		return transport.TCP, true
	case strings.EqualFold(string(name), "tls"):
		return transport.TLS, true
	}
	return 0, false
}
