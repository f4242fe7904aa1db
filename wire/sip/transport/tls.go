package transport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// ServerTLS is a configuration for Listen that serves the certificate chain and
// key in two PEM files, from TLS 1.2 on. Changed files are taken up by the next
// handshake, looked at once a second at most: connections stay, nothing is
// restarted and nothing runs behind (trap 24). Files that cannot be used after
// a change are logged once, and the old certificate goes on being served.
func ServerTLS(certFile, keyFile string, log *slog.Logger) (*tls.Config, error) {
	pair, err := loadPair(certFile, keyFile, log)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return pair.at(time.Now()), nil
		},
	}, nil
}

// loadPair is a certificate in files that may change.
func loadPair(certFile, keyFile string, log *slog.Logger) (*reloaded[tls.Certificate], error) {
	return load("certificate", []string{certFile, keyFile}, log, func() (tls.Certificate, error) {
		return tls.LoadX509KeyPair(certFile, keyFile)
	})
}

// SelfSigned writes a new ECDSA key and a certificate that it signs itself for
// hosts (names and IP addresses; the first is its subject), both as PEM, good for
// ten years: enough to begin with, and for clients that are told to trust it.
// keyFile is readable by its owner alone. Files that exist are replaced; the
// certificate comes last, so that when it is there, so is its key.
func SelfSigned(hosts []string, certFile, keyFile string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("transport: self-signed: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return fmt.Errorf("transport: self-signed: %w", err)
	}
	template := x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "lindero"}, // without hosts
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(10, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		// Phones that let their owner trust one certificate want it to be an authority.
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	if len(hosts) > 0 {
		template.Subject.CommonName = hosts[0]
	}
	for _, h := range hosts {
		if ip, err := netip.ParseAddr(h); err == nil {
			template.IPAddresses = append(template.IPAddresses, ip.AsSlice())
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	cert, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		return fmt.Errorf("transport: self-signed: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("transport: self-signed: %w", err)
	}
	if err := writePEM(keyFile, "PRIVATE KEY", private, 0o600); err != nil {
		return fmt.Errorf("transport: self-signed: %w", err)
	}
	if err := writePEM(certFile, "CERTIFICATE", cert, 0o644); err != nil {
		return fmt.Errorf("transport: self-signed: %w", err)
	}
	return nil
}

// writePEM replaces file whole, even when the machine stops in the middle: nobody
// reads half of it.
func writePEM(file, kind string, der []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails when it has been renamed
	defer f.Close()
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if err := pem.Encode(f, &pem.Block{Type: kind, Bytes: der}); err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
