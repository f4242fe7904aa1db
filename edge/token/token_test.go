package token_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/lindero/lindero/edge/token"
)

func ring(t *testing.T, fill ...byte) *token.Ring {
	t.Helper()
	var keys [][]byte
	for _, f := range fill {
		keys = append(keys, bytes.Repeat([]byte{f}, token.KeySize))
	}
	r, err := token.NewRing(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSealAndOpen(t *testing.T) {
	r := ring(t, 1)
	for _, plain := range []string{"x", "sip:c0ffee@192.0.2.7:5070;transport=tcp", string(make([]byte, 400))} {
		text := r.Append([]byte("<sip:"), token.Flow, []byte(plain))[len("<sip:"):]
		if !token.Like(text) {
			t.Errorf("%q does not look like a token", text)
		}
		if bytes.Contains(text, []byte("192")) {
			t.Errorf("%q shows what was sealed", text)
		}
		got, err := r.Open([]byte("kept "), token.Flow, text)
		if err != nil || string(got) != "kept "+plain {
			t.Errorf("Open = %q, %v, want %q", got, err, plain)
		}
		if again := r.Append(nil, token.Flow, []byte(plain)); !bytes.Equal(again, text) {
			t.Errorf("sealed twice, %q differs from %q", again, text)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	ours := ring(t, 1)
	good := ours.Append(nil, token.Contact, []byte("sip:a@192.0.2.7:5070"))
	for name, text := range map[string][]byte{
		"nothing":             nil,
		"an extension":        []byte("101"),
		"a long name":         []byte("maria.de.los.angeles.fernandez.garcia.de.la.torre"),
		"random characters":   bytes.Repeat([]byte("Zq"), 40),
		"a flow token":        ours.Append(nil, token.Flow, []byte("sip:a@192.0.2.7:5070")),
		"another edge's":      ring(t, 2).Append(nil, token.Contact, []byte("sip:a@192.0.2.7:5070")),
		"one cut short":       good[:len(good)-4],
		"one with more added": append(bytes.Clone(good), "AAAA"...),
	} {
		if plain, err := ours.Open(nil, token.Contact, text); err == nil {
			t.Errorf("%s opens as %q", name, plain)
		}
	}
	if _, err := ours.Open(nil, token.Contact, []byte("101")); !errors.Is(err, token.ErrNotAToken) {
		t.Errorf("an extension: %v, want ErrNotAToken", err)
	}
	for i := range good {
		bent := bytes.Clone(good)
		if bent[i]++; !token.Like(bent) {
			bent[i] = 'A'
		}
		if bytes.Equal(bent, good) {
			continue
		}
		if plain, err := ours.Open(nil, token.Contact, bent); err == nil {
			t.Errorf("changed at %d it opens as %q", i, plain)
		}
	}
}

func TestKeysCanBeChanged(t *testing.T) {
	old, both, gone := ring(t, 1), ring(t, 2, 1), ring(t, 2)
	before := old.Append(nil, token.Flow, []byte("flow"))
	after := both.Append(nil, token.Flow, []byte("flow"))
	if got, err := both.Open(nil, token.Flow, before); err != nil || string(got) != "flow" {
		t.Errorf("a token of the old key: %q, %v", got, err)
	}
	if _, err := gone.Open(nil, token.Flow, before); !errors.Is(err, token.ErrForged) {
		t.Errorf("a token of a key taken out: %v, want ErrForged", err)
	}
	if _, err := gone.Open(nil, token.Flow, after); err != nil {
		t.Errorf("a token of the new key: %v", err)
	}
}

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "edge.key")
	var rings [8]*token.Ring
	var wg sync.WaitGroup
	for i := range rings {
		wg.Go(func() {
			var err error
			if rings[i], err = token.LoadRing(path); err != nil {
				t.Errorf("LoadRing: %v", err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	text := rings[0].Append(nil, token.Flow, []byte("flow"))
	for i, r := range rings {
		if _, err := r.Open(nil, token.Flow, text); err != nil {
			t.Errorf("process %d that started at the same time has another key: %v", i, err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != token.KeySize {
		t.Errorf("key file is %v, %v, want 32 bytes, readable by its owner only", info, err)
	}
	if files, _ := os.ReadDir(filepath.Dir(path)); len(files) != 1 {
		t.Errorf("%d files beside the key, want none", len(files)-1)
	}
	for name, content := range map[string]string{"empty": "", "short": "secret", "huge": string(make([]byte, 17*token.KeySize))} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := token.LoadRing(path); err == nil {
			t.Errorf("%s key file was accepted", name)
		}
	}
}

func FuzzOpen(f *testing.F) {
	r, err := token.NewRing(make([]byte, token.KeySize))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("101"))
	f.Add(r.Append(nil, token.Contact, []byte("sip:a@192.0.2.7:5070")))
	f.Fuzz(func(t *testing.T, text []byte) {
		plain, err := r.Open(nil, token.Contact, text)
		if err == nil && !bytes.Equal(r.Append(nil, token.Contact, plain), text) {
			t.Errorf("%q opens as %q, which is sealed otherwise", text, plain)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	r, err := token.NewRing(make([]byte, token.KeySize))
	if err != nil {
		b.Fatal(err)
	}
	dst, plain := make([]byte, 0, 256), make([]byte, 24)
	b.ReportAllocs()
	for b.Loop() {
		r.Append(dst, token.Flow, plain)
	}
}
