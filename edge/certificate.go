package edge

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificateAge is how long a certificate is used before its files are looked at
// again.
const certificateAge = 10 * time.Second

// A certificate is read from two files and read anew when they change, so that a
// renewal needs no restart and ends no connection.
type certificate struct {
	files Files
	log   *slog.Logger

	mu      sync.Mutex // guards the fields below
	cert    *tls.Certificate
	written time.Time // when the files were changed last, as far as is known
	looked  time.Time
}

func loadCertificate(files Files, log *slog.Logger) (*certificate, error) {
	c := &certificate{files: files, log: log, looked: time.Now()}
	c.written = c.changed()
	cert, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return nil, fmt.Errorf("edge: certificate: %w", err)
	}
	c.cert = &cert
	return c, nil
}

// changed is when the later of the two files was.
func (c *certificate) changed() time.Time {
	var last time.Time
	for _, name := range []string{c.files.Cert, c.files.Key} {
		if info, err := os.Stat(name); err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last
}

// config is that of a listener.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current(time.Now()), nil
		},
	}
}

// current is the certificate to show at the moment now. Files that cannot be used
// (they may be half written) leave the old one in force.
func (c *certificate) current(now time.Time) *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.looked) < certificateAge {
		return c.cert
	}
	c.looked = now
	written := c.changed()
	if !written.After(c.written) {
		return c.cert
	}
	cert, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
	if err != nil {
		c.log.Warn("the new certificate cannot be used; the old one is shown", "err", err)
		return c.cert
	}
	c.cert, c.written = &cert, written
	c.log.Info("new certificate", "file", c.files.Cert)
	return c.cert
}
