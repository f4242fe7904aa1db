// Package journal keeps on disk what a process must know again after it was killed:
// the last value of each key. Every change is one write(2) at the end of a file, so
// it is safe as soon as the call returns, whatever becomes of the process; after a
// loss of power the last seconds may be missing. What values mean is not known here.
//
//	FOLDER/lock            held by the process that writes
//	FOLDER/00000007.log    header, then records; the highest number is written to
//
// A record is its length and CRC-32C (4 bytes each, little-endian), a kind, the key's
// length as a varint, the key, the value. Files are read in the order of their
// numbers; of one that ends in the middle of a record, or has another header, the
// rest is left out.
package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// ErrInUse is returned when another process writes the journal.
var ErrInUse = errors.New("another process uses it")

const (
	magic   = "lindero\x00journal\x01"
	ending  = ".log"
	headLen = len(magic) + 4
	perHead = 8       // bytes before a record's body
	longest = 1 << 24 // bytes of a record; more is damage
)

// Kinds of records.
const (
	put  = 1
	drop = 2
)

// A Journal is open for writing. Its methods may be called from any goroutine, but
// for Rewrite, from one at a time.
type Journal struct {
	dir   string
	lock  *os.File
	head  []byte
	pool  sync.Pool // of *Batch
	size  atomic.Int64
	whole atomic.Int64 // size when it was rewritten last
	fault atomic.Pointer[string]

	mu     sync.RWMutex // held for reading to write a record, for writing to change the file
	file   *os.File
	number uint64 // of file
	closed bool
}

// Open opens the journal in the folder dir, which it makes, for values of a version.
// It returns what is known: the last value of each key. notes say what could not be
// read. A journal should be rewritten as soon as what was known is in force.
func Open(dir string, version uint32) (j *Journal, known map[string][]byte, notes []error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, nil, fmt.Errorf("journal: %w", err)
	}
	j = &Journal{dir: dir, head: binary.LittleEndian.AppendUint32([]byte(magic), version)}
	j.pool.New = func() any { return &Batch{} }
	if j.lock, err = os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, nil, nil, fmt.Errorf("journal: %w", err)
	}
	if err := unix.Flock(int(j.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrInUse
		}
		return nil, nil, nil, fmt.Errorf("journal: %s: %w", dir, errors.Join(err, j.lock.Close()))
	}
	numbers, err := j.numbers()
	if err != nil {
		return nil, nil, nil, errors.Join(err, j.lock.Close())
	}
	known = make(map[string][]byte)
	for _, n := range numbers {
		if err := j.load(n, known); err != nil {
			notes = append(notes, err)
		}
		j.number = n
	}
	if err := j.next(); err != nil {
		return nil, nil, nil, errors.Join(err, j.lock.Close())
	}
	return j, known, notes, nil
}

// numbers are those of the files there are, in their order.
func (j *Journal) numbers() (all []uint64, err error) {
	entries, err := os.ReadDir(j.dir)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ending)
		if n, err := strconv.ParseUint(name, 10, 63); ok && err == nil && n > 0 {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all, nil
}

func (j *Journal) path(n uint64) string {
	return filepath.Join(j.dir, fmt.Sprintf("%08d%s", n, ending))
}

// load reads file n over what is known.
func (j *Journal) load(n uint64, known map[string][]byte) error {
	b, err := os.ReadFile(j.path(n))
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if len(b) < headLen && strings.HasPrefix(string(j.head), string(b)) {
		return nil // ended while it was begun
	}
	if len(b) < headLen || string(b[:headLen]) != string(j.head) {
		return fmt.Errorf("journal: %s is of another version, or no journal of ours", j.path(n))
	}
	at := headLen
	for at < len(b) {
		kind, key, value, size, ok := record(b[at:])
		if !ok {
			return fmt.Errorf("journal: %s ends in the middle of a record: %d of its bytes are left out", j.path(n), len(b)-at)
		}
		if at += size; kind == put {
			known[key] = value
		} else {
			delete(known, key)
		}
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// record reads the first record of b, which is so many bytes long.
func record(b []byte) (kind byte, key string, value []byte, size int, ok bool) {
	if len(b) < perHead {
		return
	}
	length := binary.LittleEndian.Uint32(b)
	if length > longest || int(length) > len(b)-perHead {
		return
	}
	body := b[perHead : perHead+int(length)]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[4:]) || len(body) == 0 {
		return
	}
	n, used := binary.Uvarint(body[1:])
	if used <= 0 || n > uint64(len(body)-1-used) || body[0] != put && body[0] != drop {
		return
	}
	at := 1 + used + int(n)
	return body[0], string(body[1+used : at]), body[at:], perHead + len(body), true
}

// next begins the next file.
func (j *Journal) next() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return fmt.Errorf("journal: %w", fs.ErrClosed)
	}
	file, err := os.OpenFile(j.path(j.number+1), os.O_CREATE|os.O_TRUNC|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = file.Write(j.head)
	}
	if err != nil {
		if file != nil {
			file.Close()
		}
		return fmt.Errorf("journal: %w", err)
	}
	if j.file != nil {
		j.file.Close() // every write has returned
	}
	j.number++
	j.file = file
	j.size.Store(int64(headLen))
	j.whole.Store(int64(headLen))
	j.fault.Store(nil)
	return nil
}
