package geo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// ErrRefused is behind the errors of an Update that Force would let pass: the
// database can be read, but looks wrong beside the present one, or by itself.
var ErrRefused = errors.New("refused")

// What is less than this is somebody's test or a truncated list, not the world.
const (
	fewestCountries = 100
	fewestPrefixes  = 10_000
)

// UpdateOptions say what an Update accepts. The zero value is the careful one.
type UpdateOptions struct {
	MaxMoved float64                 // share of either family's addresses that may change their country; 0: a tenth
	Force    bool                    // install it though it moves more, is older, or holds little
	SHA256   string                  // of src, or of the database in it, in hex; "": any
	Progress func(done, total int64) // while src is read; total is -1 when its owner does not say
	Timeout  time.Duration           // for src; 0: a quarter of an hour
}

// A Report says what an Update did or refused to do.
type Report struct {
	Before    Info   `json:"before"` // of the database that was there; zero: none
	After     Info   `json:"after"`  // of the one in src
	Move      Move   `json:"move"`   // zero when nothing was there to compare with
	Installed bool   `json:"installed"`
	Same      bool   `json:"same"`               // it was there already
	Previous  string `json:"previous,omitempty"` // where the database from before is kept
	Damaged   string `json:"damaged,omitempty"`  // why the one from before could not be read
}

// Update puts the database that src holds in the place of dst, whole or not at
// all, and keeps the one from before beside it. src is a file or an http(s) URL of
// an MMDB, alone, gzipped, or the only one in a .tar.gz. Before it does, it
// compiles the table and compares it with the present one. Those who Watch dst see
// the new one at their next look.
func Update(ctx context.Context, dst, src string, o UpdateOptions) (Report, error) {
	var r Report
	fetched, err := fetch(ctx, dst, src, o)
	if err != nil {
		return r, fmt.Errorf("geo: fetching %s: %w", publicly(src), err)
	}
	defer fetched.remove()
	database, err := unpack(fetched, dst)
	if err != nil {
		return r, fmt.Errorf("geo: unpacking %s: %w", publicly(src), err)
	}
	defer database.remove()
	if want := strings.ToLower(strings.TrimSpace(o.SHA256)); want != "" && want != fetched.sum && want != database.sum {
		return r, fmt.Errorf("geo: %s has the SHA-256 %s, not %s: it is damaged or another one", publicly(src), fetched.sum, want)
	}
	after, err := open(database.path, publicly(src))
	if err != nil {
		return r, err
	}
	r.After = after.Info()
	before, err := Open(dst)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.Damaged = err.Error()
	}
	if before != nil {
		r.Before = before.Info()
		r.Move = Moved(before, after)
		if r.Same = r.Before.SHA256 == r.After.SHA256; r.Same {
			return r, nil
		}
	}
	if err := r.judge(o); err != nil && !o.Force {
		return r, err
	}
	if before != nil {
		r.Previous = dst + ".previous"
	}
	if err := install(database.path, dst, r.Previous); err != nil {
		return r, fmt.Errorf("geo: installing %s: %w", dst, err)
	}
	r.Installed = true
	return r, nil
}

// judge says everything that speaks against the new database.
func (r Report) judge(o UpdateOptions) error {
	var errs []error
	against := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("geo: %w: "+format, append([]any{ErrRefused}, args...)...))
	}
	if n := r.After.V4 + r.After.V6; r.After.Seen < fewestCountries || n < fewestPrefixes {
		against("it has %d countries in %d prefixes; a database of the world has at least %d in %d", r.After.Seen, n, fewestCountries, fewestPrefixes)
	}
	if r.After.Bytes > MaxBytes {
		against("its table takes %d bytes; the kernel has room for %d", r.After.Bytes, MaxBytes)
	}
	if r.After.Built.Before(r.Before.Built) {
		const form = "2006-01-02 15:04"
		against("it was made on %s, the present one on %s", r.After.Built.Format(form), r.Before.Built.Format(form))
	}
	most := o.MaxMoved
	if most == 0 {
		most = 0.1
	}
	if r.Move.V4 > most {
		against("it would move %.1f %% of all IPv4 addresses to other countries; up to %.1f %% may%s", 100*r.Move.V4, 100*most, r.foremost(func(c Change) float64 { return c.Gained4 + c.Lost4 }))
	}
	if r.Move.V6 > most {
		against("it would move %.1f %% of all IPv6 networks to other countries; up to %.1f %% may%s", 100*r.Move.V6, 100*most, r.foremost(func(c Change) float64 { return c.Gained6 + c.Lost6 }))
	}
	return errors.Join(errs...)
}

// foremost names the countries that change most.
func (r Report) foremost(by func(Change) float64) string {
	all := r.Move.Most(by)
	names := make([]string, 0, 4)
	for _, c := range all[:min(4, len(all))] {
		names = append(names, c.String())
	}
	return "; most in " + strings.Join(names, ", ")
}

// Most is the countries that changed, those first of which by says most.
func (m Move) Most(by func(Change) float64) []Country {
	var all []Country
	for c, change := range m.Country {
		if by(change) > 0 {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b Country) int {
		if d := by(m.Country[b]) - by(m.Country[a]); d != 0 {
			return int(max(-1, min(1, d)))
		}
		return int(a) - int(b)
	})
	return all
}

// install puts from in the place of dst, and a copy of dst at previous, "" for
// none. At no moment is there no dst.
func install(from, dst, previous string) error {
	if previous != "" {
		kept, err := beside(dst)
		if err != nil {
			return err
		}
		defer kept.remove()
		old, err := os.Open(dst)
		if err != nil {
			return err
		}
		defer old.Close()
		if err := kept.fill(old, maxFile, nil); err != nil {
			return err
		}
		if err := os.Rename(kept.path, previous); err != nil {
			return err
		}
	}
	if err := os.Rename(from, dst); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(dst))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync() // else a crash could bring the old name back
}

// A part is a file that is being made beside the one it may become.
type part struct {
	file *os.File
	path string
	sum  string // SHA-256 of what fill wrote
}

// beside makes an empty part in dst's folder, so that a rename puts it in place.
func beside(dst string) (*part, error) {
	f, err := os.CreateTemp(filepath.Dir(dst), "."+filepath.Base(dst)+".*")
	if err != nil {
		return nil, err
	}
	return &part{file: f, path: f.Name()}, nil
}

// remove removes the part, unless it has become something.
func (p *part) remove() {
	_ = p.file.Close()
	_ = os.Remove(p.path)
}

// A tooLarge is read where no database is as long.
type tooLarge int64

func (n tooLarge) Error() string {
	return fmt.Sprintf("more than %d MiB; no country database is as large", int64(n)>>20)
}

// bounded reads at most n bytes and fails when there are more.
type bounded struct {
	from io.Reader
	left int64
	most int64
	done func(n int64) // told of every read; nil: nobody
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, tooLarge(b.most)
	}
	if b.done != nil {
		b.done(b.most - b.left)
	}
	return n, err
}
