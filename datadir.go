package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/lindero/lindero/core/api"
	"github.com/lindero/lindero/wire/sip/transport"
)

// A dataDir is the directory in which `lindero up` keeps everything. While it is
// open no other process can open it.
type dataDir struct {
	path string
	lock *os.File
}

// openDataDir makes the directory when it is missing and locks it.
func openDataDir(path string) (*dataDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("making the data directory: %w; choose another with --data", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the data directory cannot be written: %w; choose another with --data", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(lock.Name()) // only for the message
		_ = lock.Close()
		return nil, fmt.Errorf("the data directory %s is in use by process %s; choose another with --data", path, strings.TrimSpace(string(holder)))
	}
	_ = lock.Truncate(0) // who holds it is only told, never relied on
	_, _ = fmt.Fprintln(lock, os.Getpid())
	return &dataDir{path: path, lock: lock}, nil
}

// close lets others in. The lock file stays: removing it would let two in.
func (d *dataDir) close() { _ = d.lock.Close() }

func (d *dataDir) file(name string) string { return filepath.Join(d.path, name) }

// ensureCertificate makes a key and a self-signed certificate for TLS on first
// use. Whoever has real ones puts them in their place.
func (d *dataDir) ensureCertificate(addrs ...netip.Addr) error {
	if _, err := os.Stat(d.file("tls.crt")); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	hosts := []string{demoDomain, "localhost"}
	for _, a := range addrs {
		if a.IsValid() && !a.IsUnspecified() {
			hosts = append(hosts, a.String())
		}
	}
	if err := transport.SelfSigned(hosts, d.file("tls.crt"), d.file("tls.key")); err != nil {
		return fmt.Errorf("making a TLS certificate: %w", err)
	}
	return nil
}

// ensureTokens makes those tokens that are kept here on first use. Others are
// their owner's to make.
func (d *dataDir) ensureTokens(all []api.Token) error {
	for _, t := range all {
		if filepath.Dir(t.File) != filepath.Clean(d.path) {
			continue
		}
		if _, err := os.Stat(t.File); err == nil {
			continue
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("looking for the token %s: %w", t.Name, err)
		}
		if err := writeWhole(t.File, []byte(rand.Text()+rand.Text()+"\n")); err != nil {
			return fmt.Errorf("making the token %s: %w", t.Name, err)
		}
	}
	return nil
}

// writeWhole writes a file for its owner only, whole or not at all, even when the
// machine stops in the middle.
func writeWhole(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer os.Remove(f.Name()) // fails when it was renamed, which is well
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
