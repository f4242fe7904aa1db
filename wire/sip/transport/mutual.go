package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"
)

// A Mutual is how hosts of ours know each other: each shows a certificate, and
// believes those that an authority in CA has signed. All are PEM files, and
// changed files are taken up by the next handshake as with ServerTLS.
type Mutual struct {
	Cert, Key string
	CA        string

	// Names are whom to speak with, by a DNS name, an address, a URI or the common
	// name in the certificate; none means whomever the authority knows. Of a
	// server that is dialed the name that was dialed must be in it besides.
	Names []string
}

var errNotNamed = errors.New("transport: the certificate bears none of the names that are allowed")

// Server is a configuration that asks every client for its certificate.
func (m Mutual) Server(log *slog.Logger) (*tls.Config, error) {
	pair, err := loadPair(m.Cert, m.Key, log)
	if err != nil {
		return nil, err
	}
	// One configuration for as long as the authorities stay: it also holds the keys
	// of session tickets, so a client of a former authority cannot resume.
	current, err := load("certificate authority", []string{m.CA}, log, func() (*tls.Config, error) {
		authorities, err := readPool(m.CA)
		return &tls.Config{
			MinVersion: tls.VersionTLS12,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				return pair.at(time.Now()), nil
			},
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authorities, VerifyConnection: m.named,
		}, err
	})
	if err != nil {
		return nil, err
	}
	config := (*current.at(time.Now())).Clone()
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		return *current.at(time.Now()), nil
	}
	return config, nil
}

// Client returns what gives the configuration of the next handshake with the
// server called name, a DNS name or an address.
func (m Mutual) Client(name string, log *slog.Logger) (func() *tls.Config, error) {
	pair, err := loadPair(m.Cert, m.Key, log)
	if err != nil {
		return nil, err
	}
	current, err := load("certificate authority", []string{m.CA}, log, func() (*tls.Config, error) {
		authorities, err := readPool(m.CA)
		return &tls.Config{
			MinVersion: tls.VersionTLS12, ServerName: name, RootCAs: authorities, VerifyConnection: m.named,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				return pair.at(time.Now()), nil
			},
		}, err
	})
	if err != nil {
		return nil, err
	}
	return func() *tls.Config { return *current.at(time.Now()) }, nil
}

// named refuses whom Names does not name. It sees resumed sessions, too.
func (m Mutual) named(c tls.ConnectionState) error {
	if len(m.Names) == 0 {
		return nil
	}
	if len(c.PeerCertificates) == 0 {
		return errNotNamed
	}
	leaf := c.PeerCertificates[0]
	names := append([]string{leaf.Subject.CommonName}, leaf.DNSNames...)
	for _, a := range leaf.IPAddresses {
		names = append(names, a.String())
	}
	for _, u := range leaf.URIs {
		names = append(names, u.String())
	}
	for _, n := range names {
		if n != "" && slices.Contains(m.Names, n) {
			return nil
		}
	}
	return fmt.Errorf("%w: it is of %q", errNotNamed, names)
}

func readPool(file string) (*x509.CertPool, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s: no certificate in it", file)
	}
	return pool, nil
}
