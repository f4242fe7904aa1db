package auth

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Nobody without the key makes a nonce, and every nonce has one spelling.
func FuzzNonce(f *testing.F) {
	m := &mint{key: bytes.Repeat([]byte{7}, 32), life: time.Minute}
	now := time.UnixMilli(1_700_000_000_000)
	good := m.print(nonceAt(now, 1), realm) // the same in every process of the fuzzer
	for _, s := range []string{good, good[:42], good + "A", good[:42] + "_", strings.Repeat("A", 43), "", "\x00", "=", good + "="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, fresh := m.read(s, realm, now)
		if fresh != (s == good) {
			t.Errorf("%q is taken for ours: %v", s, fresh)
		}
		if _, other := m.read(s, "b.test", now); other {
			t.Errorf("%q serves another realm", s)
		}
		if fresh && !n.made().Equal(now) {
			t.Errorf("made %v, want %v", n.made(), now)
		}
	})
}

func TestNoncesDiffer(t *testing.T) {
	m := &mint{key: bytes.Repeat([]byte{7}, 32), life: time.Minute}
	now := time.UnixMilli(1_700_000_000_000)
	seen := map[string]bool{}
	for range 1000 {
		seen[m.make(realm, now)] = true
	}
	if len(seen) != 1000 {
		t.Errorf("%d of 1000 nonces differ", len(seen))
	}
	s := m.make(realm, now)
	if _, fresh := m.read(s, realm, now.Add(-time.Millisecond)); fresh {
		t.Error("a nonce from the future is fresh")
	}
	for i := range s { // any one letter changed
		c := byte('A')
		if s[i] == c {
			c = 'B'
		}
		if _, fresh := m.read(s[:i]+string(c)+s[i+1:], realm, now); fresh {
			t.Errorf("a nonce with letter %d changed is fresh", i)
		}
	}
}

func TestWindow(t *testing.T) {
	for name, row := range map[string]struct{ counts, want string }{
		"in order":             {"1 2 3", "yes yes yes"},
		"twice":                {"1 1 2 2 1", "yes no yes no no"},
		"late":                 {"5 3 4 3", "yes yes yes no"},
		"too late":             {"100 37 36", "yes yes no"},
		"from anywhere":        {"4294967295 4294967295 4294967294", "yes no yes"},
		"a jump forgets":       {"1 100 1 99", "yes yes no yes"},
		"a jump of just 64":    {"1 65 1 2", "yes yes no yes"},
		"a jump of just 63":    {"1 64 1", "yes yes no"},
		"zero never":           {"0 1 0", "no yes no"},
		"uncounted only once":  {"- -", "yes no"},
		"uncounted ends it":    {"- 1", "yes no"},
		"counted then without": {"1 -", "yes no"},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.UnixMilli(1_700_000_000_000)
			l := newLedger(time.Minute, 100, now)
			n := nonceAt(now, 0)
			var got []string
			for c := range strings.FieldsSeq(row.counts) {
				var nc uint32
				counted, _ := fmt.Sscan(c, &nc)
				got = append(got, map[bool]string{true: "yes", false: "no"}[l.take(n, counted == 1, nc, now)])
			}
			if strings.Join(got, " ") != row.want {
				t.Errorf("counts %s: %v, want %s", row.counts, got, row.want)
			}
		})
	}
}

func nonceAt(at time.Time, i int) (n nonce) {
	ms := at.UnixMilli()
	for k := range 8 {
		n[k] = byte(ms >> (56 - 8*k))
	}
	n[8], n[9], n[10] = byte(i), byte(i>>8), byte(i>>16)
	return n
}

// However many nonces are used, memory has a bound, none is used twice, and a
// fresh one always works.
func TestLedgerIsBounded(t *testing.T) {
	const limit, life = 100, time.Minute
	now := time.UnixMilli(1_700_000_000_000)
	l := newLedger(life, limit, now)
	var used []nonce
	for i := range 3000 {
		now = now.Add(37 * time.Millisecond)
		n := nonceAt(now, i)
		if !l.take(n, true, 1, now) {
			// Declared stale with its slice; the phone is asked again and comes with a newer one.
			now = now.Add(time.Millisecond)
			n = nonceAt(now, i)
			if !l.take(n, true, 1, now) {
				t.Fatalf("fresh nonce %d is refused twice", i)
			}
		}
		used = append(used, n)
		if l.n > limit {
			t.Fatalf("%d nonces are remembered, the limit is %d", l.n, limit)
		}
	}
	for i, n := range used {
		if now.Sub(n.made()) < life && l.take(n, true, 1, now) {
			t.Fatalf("nonce %d of %d is used twice", i, len(used))
		}
	}
	l.take(nonceAt(now.Add(2*life), 0), true, 1, now.Add(2*life))
	if l.n != 1 {
		t.Errorf("%d nonces are remembered after all but one died", l.n)
	}
}

func TestLedgerUnderLoad(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	l := newLedger(time.Minute, 1<<20, now)
	var wg sync.WaitGroup
	var mu sync.Mutex
	wins := map[uint32]int{}
	for range 8 {
		wg.Go(func() {
			for nc := uint32(1); nc <= 60; nc++ {
				if l.take(nonceAt(now, 1), true, nc, now) {
					mu.Lock()
					wins[nc]++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	for nc := uint32(1); nc <= 60; nc++ {
		if wins[nc] != 1 {
			t.Errorf("count %d was accepted %d times", nc, wins[nc])
		}
	}
}

func TestLoadKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "core.key")
	keys := make([][]byte, 8)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], err = LoadKey(path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, k := range keys {
		if len(k) != keySize || !bytes.Equal(k, keys[0]) {
			t.Fatalf("keys made at once differ: %x", keys)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key file: %v %v", info, err)
	}
	if left, err := filepath.Glob(path + ".*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}

	if err := os.WriteFile(path, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKey(path); err == nil {
		t.Error("a short key is taken")
	}
	if _, err := LoadKey(filepath.Join(t.TempDir(), "no", "such")); err == nil {
		t.Error("a folder that is not is no error")
	}
	if _, err := New(Config{Key: []byte("short")}); err == nil {
		t.Error("a Guard with a short key is made")
	}
}
