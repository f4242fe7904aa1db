package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
)

// A Batch is some changes that are written together.
type Batch struct{ b []byte }

// Batch returns an empty one. It is given back with Write.
func (j *Journal) Batch() *Batch {
	b := j.pool.Get().(*Batch)
	b.b = b.b[:0]
	return b
}

// Put makes what encode appends the value of key.
func (b *Batch) Put(key string, encode func(b []byte) []byte) { b.add(put, key, encode) }

// Drop makes key have no value any more.
func (b *Batch) Drop(key string) { b.add(drop, key, nil) }

func (b *Batch) add(kind byte, key string, encode func(b []byte) []byte) {
	at := len(b.b)
	b.b = append(b.b, make([]byte, perHead)...)
	b.b = append(b.b, kind)
	b.b = binary.AppendUvarint(b.b, uint64(len(key)))
	b.b = append(b.b, key...)
	if encode != nil {
		b.b = encode(b.b)
	}
	body := b.b[at+perHead:]
	binary.LittleEndian.PutUint32(b.b[at:], uint32(len(body)))
	binary.LittleEndian.PutUint32(b.b[at+4:], crc32.Checksum(body, castagnoli))
}

// Write writes the batch, which must not be used any more. What cannot be written is
// to be seen in Fault; nothing more is written then before the journal is rewritten,
// since a record behind a torn one could not be read.
func (j *Journal) Write(b *Batch) {
	defer j.pool.Put(b)
	if len(b.b) == 0 {
		return
	}
	j.mu.RLock()
	defer j.mu.RUnlock()
	if j.closed || j.fault.Load() != nil {
		return
	}
	n, err := j.file.Write(b.b)
	j.size.Add(int64(n))
	if err != nil {
		text := err.Error()
		j.fault.Store(&text)
	}
}

// Fault says why nothing is written, "" when all is well.
func (j *Journal) Fault() string {
	if f := j.fault.Load(); f != nil {
		return *f
	}
	return ""
}

// Size is how many bytes the file has that is written to.
func (j *Journal) Size() int64 { return j.size.Load() }

// Grown says whether most of the journal has been overtaken by later records.
func (j *Journal) Grown() bool { return j.size.Load() > max(4*j.whole.Load(), 1<<20) }

// Rewrite begins a new file, has all write everything that is known there, and
// removes the older ones. Changes may be written meanwhile: all must put a value and
// a change of it in their order.
func (j *Journal) Rewrite(all func()) error {
	if err := j.next(); err != nil {
		return err
	}
	all()
	if fault := j.Fault(); fault != "" {
		return fmt.Errorf("journal: %s", fault)
	}
	j.whole.Store(j.size.Load())
	numbers, err := j.numbers()
	if err != nil {
		return err
	}
	var errs []error
	for _, n := range numbers {
		if n == j.number { // only Rewrite changes it
			continue
		}
		if err := os.Remove(j.path(n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("journal: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Close ends writing and lets go of the folder.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil
	}
	j.closed = true
	err := errors.Join(j.file.Close(), j.lock.Close())
	if err != nil {
		return fmt.Errorf("journal: closing: %w", err)
	}
	return nil
}
