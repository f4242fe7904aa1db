package journal

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// open opens the journal in dir and fails the test when it cannot.
func open(t testing.TB, dir string) (*Journal, map[string]string, []error) {
	t.Helper()
	j, known, notes, err := Open(dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	texts := make(map[string]string)
	for k, v := range known {
		texts[k] = string(v)
	}
	return j, texts, notes
}

func (j *Journal) put(key, value string) {
	b := j.Batch()
	b.Put(key, func(b []byte) []byte { return append(b, value...) })
	j.Write(b)
}

func (j *Journal) drop(keys ...string) {
	b := j.Batch()
	for _, k := range keys {
		b.Drop(k)
	}
	j.Write(b)
}

func equal(t *testing.T, got, want map[string]string) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Errorf("known: %v, want %v", got, want)
	}
}

func TestTheLastValueIsKnown(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	j, known, notes := open(t, dir)
	equal(t, known, nil)
	j.put("one", "1")
	j.put("two", "2")
	j.put("one", "eins")
	j.put("three", "")
	j.drop("two", "never")
	j.Close()
	j.put("one", "after the end")
	j, known, more := open(t, dir)
	equal(t, known, map[string]string{"one": "eins", "three": ""})
	j.drop("three") // in another file than it was put
	j.Close()
	_, known, last := open(t, dir)
	equal(t, known, map[string]string{"one": "eins"})
	if len(notes)+len(more)+len(last) > 0 {
		t.Error(notes, more, last)
	}
}

// Wherever a file is cut, all records before are read, and nothing else.
func TestTornTails(t *testing.T) {
	dir := t.TempDir()
	j, _, _ := open(t, dir)
	path := j.path(j.number)
	ends := map[int]int{headLen: 0}
	for i := range 5 {
		j.put(fmt.Sprint(i), strings.Repeat("x", 20*i))
		ends[int(j.Size())] = i + 1
	}
	j.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	records := 0
	for cut := range len(whole) + 1 {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		n, at := ends[cut]
		if at {
			records = n
		}
		j, known, notes := open(t, dir)
		if len(known) != records || (len(notes) == 0) != (at || cut < headLen) {
			t.Fatalf("cut at %d: %d known, want %d; %v", cut, len(known), records, notes)
		}
		j.put("more", "")
		j.Close()
		if _, known, _ := open(t, dir); len(known) != records+1 {
			t.Fatalf("cut at %d: %d known after another record", cut, len(known))
		}
	}
}

// A byte that is another leaves out what is behind it, and invents nothing.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	j, _, _ := open(t, dir)
	path := j.path(j.number)
	for i := range 4 {
		j.put(fmt.Sprint(i), "value")
	}
	j.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := range whole {
		dir := t.TempDir()
		bad := append([]byte(nil), whole...)
		bad[at] ^= 1 << rand.IntN(8)
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		_, known, notes := open(t, dir)
		if len(notes) == 0 {
			t.Fatalf("byte %d: nobody saw it", at)
		}
		for k, v := range known {
			if v != "value" || len(k) != 1 || k < "0" || k > "3" {
				t.Fatalf("byte %d: %q is %q", at, k, v)
			}
		}
	}
}

func TestAnotherVersionIsLeftOut(t *testing.T) {
	dir := t.TempDir()
	j, _, _ := open(t, dir)
	j.put("a", "1")
	j.Close()
	j2, known, notes, err := Open(dir, 2)
	if err != nil || len(known) != 0 || len(notes) != 1 || !strings.Contains(notes[0].Error(), "another version") {
		t.Fatalf("%v %v %v", known, notes, err)
	}
	if err := j2.Rewrite(func() {}); err != nil {
		t.Fatal(err)
	}
	j2.Close()
	if _, _, notes, err := Open(dir, 2); err != nil || len(notes) != 0 {
		t.Errorf("after it was rewritten: %v %v", notes, err)
	}
}

func TestOneProcessWrites(t *testing.T) {
	dir := t.TempDir()
	j, _, _ := open(t, dir)
	j.put("a", "1")
	if _, _, _, err := Open(dir, 1); !errors.Is(err, ErrInUse) {
		t.Fatalf("a second one: %v", err)
	}
	j.put("b", "2")
	j.Close()
	_, known, _ := open(t, dir)
	equal(t, known, map[string]string{"a": "1", "b": "2"})
}

// Changes may come while the journal is rewritten; none is lost, and what is
// overtaken goes.
func TestRewrite(t *testing.T) {
	dir := t.TempDir()
	j, _, _ := open(t, dir)
	var mu sync.Mutex // of the values, as a call has one
	values := map[string]string{}
	stop := make(chan struct{})
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				key := fmt.Sprint(w, "-", rand.IntN(20))
				mu.Lock()
				if i%5 == 0 {
					delete(values, key)
					j.drop(key)
				} else {
					values[key] = fmt.Sprint(i)
					j.put(key, values[key])
				}
				mu.Unlock()
			}
		})
	}
	for range 50 {
		err := j.Rewrite(func() {
			mu.Lock()
			keys := maps.Clone(values)
			mu.Unlock()
			for k := range keys {
				mu.Lock()
				if v, ok := values[k]; ok {
					j.put(k, v)
				}
				mu.Unlock()
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	all.Wait()
	if files, err := j.numbers(); err != nil || len(files) != 1 {
		t.Errorf("files %v, %v", files, err)
	}
	j.Close()
	_, known, notes := open(t, dir)
	equal(t, known, values)
	if len(notes) > 0 {
		t.Error(notes)
	}
}

func TestGrown(t *testing.T) {
	j, _, _ := open(t, t.TempDir())
	for j.Size() < 1<<20 {
		if j.Grown() {
			t.Fatalf("at %d bytes", j.Size())
		}
		j.put("a", strings.Repeat("x", 1000))
	}
	j.put("a", "")
	if !j.Grown() {
		t.Fatal("not grown")
	}
	if err := j.Rewrite(func() { j.put("a", "1") }); err != nil || j.Grown() || j.Size() > 100 {
		t.Errorf("%d bytes, %v", j.Size(), err)
	}
}

// A disk that is full ends writing, not the process, until there is room.
func TestFault(t *testing.T) {
	j, _, _ := open(t, t.TempDir())
	j.put("a", "1")
	good := j.file
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	j.file = full
	j.put("b", "2")
	if j.Fault() == "" {
		t.Fatal("nobody saw it")
	}
	good.Close()
	if err := j.Rewrite(func() { j.put("b", "2") }); err != nil || j.Fault() != "" {
		t.Fatalf("%v %s", err, j.Fault())
	}
	j.Close()
	_, known, _ := open(t, j.dir)
	equal(t, known, map[string]string{"b": "2"})
}

func BenchmarkWrite(b *testing.B) {
	j, _, _ := open(b, b.TempDir())
	value := make([]byte, 600)
	b.ReportAllocs()
	for b.Loop() {
		batch := j.Batch()
		batch.Put("call-id@host", func(b []byte) []byte { return append(b, value...) })
		j.Write(batch)
	}
}
