package token

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// maxKeys is how many keys a key file may hold; more is a wrong file.
const maxKeys = 16

// LoadRing reads the key file at path: KeySize bytes per key, the key that seals
// first. To change keys, put a new one in front and keep the old ones as long as
// calls and registrations made with them live. When there is no file, one with a
// random key is made, readable by its owner only.
func LoadRing(path string) (*Ring, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		b, err = create(path)
	}
	if err != nil {
		return nil, fmt.Errorf("token: key file: %w", err)
	}
	if len(b) == 0 || len(b)%KeySize != 0 || len(b) > maxKeys*KeySize {
		return nil, fmt.Errorf("token: key file %s: %d bytes long, want %d for each of up to %d keys", path, len(b), KeySize, maxKeys)
	}
	var keys [][]byte
	for ; len(b) > 0; b = b[KeySize:] {
		keys = append(keys, b[:KeySize])
	}
	return NewRing(keys...)
}

// create makes the key file whole or not at all: two processes that start at
// once end up with the same key.
func create(path string) ([]byte, error) {
	key := make([]byte, KeySize)
	_, _ = rand.Read(key)                                                 // never fails (crypto/rand)
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(key)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, err
	}
	// Unlike a rename, a link does not replace the key another process made meanwhile.
	if err := os.Link(f.Name(), path); errors.Is(err, fs.ErrExist) {
		return os.ReadFile(path)
	} else if err != nil {
		return nil, err
	}
	return key, nil
}
