package edge

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// writeCertificate writes a new pair, changed at the moment at.
func writeCertificate(t *testing.T, files Files, serial int64, at time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: at.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		files.Cert: {Type: "CERTIFICATE", Bytes: der}, files.Key: {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
}

// A renewed certificate is shown without a restart; a broken file changes nothing.
func TestCertificateIsReadAnew(t *testing.T) {
	dir := t.TempDir()
	files := Files{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}
	begin := time.Now().Add(-time.Hour)
	writeCertificate(t, files, 1, begin)
	c, err := loadCertificate(files, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	first := c.current(time.Now())
	writeCertificate(t, files, 2, begin.Add(time.Minute))
	if got := c.current(time.Now()); got != first {
		t.Error("the files are looked at for every connection")
	}
	later := time.Now().Add(certificateAge + time.Second)
	second := c.current(later)
	if bytes.Equal(second.Certificate[0], first.Certificate[0]) {
		t.Error("the new certificate is not shown")
	}
	if err := os.WriteFile(files.Cert, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := c.current(later.Add(certificateAge + time.Second)); got != second {
		t.Error("a broken file took the certificate away")
	}
}
