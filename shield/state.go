package shield

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

// stateFormat is the number of the layout below; a file of another is not read.
const stateFormat = 1

// maxState bounds what is read: room for every ban and every source that the
// ledger can hold.
const maxState = 128 << 20

// A state is what outlives the process.
type state struct {
	Format  int             `json:"format"`
	Policy  *policy.Version `json:"policy,omitempty"` // the last good one
	Core    []protocol.Ban  `json:"core,omitempty"`   // core's list, as last heard
	Bans    []savedBan      `json:"bans,omitempty"`   // made here
	Lifted  []savedLift     `json:"lifted,omitempty"`
	Repeats []savedRepeat   `json:"repeats,omitempty"`
	Sources []savedSource   `json:"sources,omitempty"`
}

type savedBan struct {
	protocol.Ban
	Origin origin `json:"origin"`
}

type savedLift struct {
	Prefix netip.Prefix `json:"prefix"`
	At     time.Time    `json:"at"`
}

type savedRepeat struct {
	Prefix     netip.Prefix `json:"prefix"`
	Times      int          `json:"times"`
	Ended      time.Time    `json:"ended"`
	Registered bool         `json:"registered,omitempty"`
	Proven     bool         `json:"proven,omitempty"`
}

// savedSource is a standing; there may be many, so its keys are short and its
// times seconds.
type savedSource struct {
	Prefix     netip.Prefix `json:"p"`
	Known      int64        `json:"k,omitempty"`
	Registered int64        `json:"r,omitempty"`
	Since      int64        `json:"s,omitempty"`
}

// readState reads the state at path. No file is an empty state; the error of a
// file that is no good says so and wraps errDamaged.
func readState(path string) (state, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return state{Format: stateFormat}, nil
	}
	if err != nil {
		return state{}, fmt.Errorf("shield: reading state: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxState+1))
	if err != nil {
		return state{}, fmt.Errorf("shield: reading state: %w", err)
	}
	if len(text) > maxState {
		return state{}, fmt.Errorf("shield: state %s has more than %d MiB: %w", path, maxState>>20, errDamaged)
	}
	var s state
	if err := json.Unmarshal(text, &s); err != nil {
		return state{}, fmt.Errorf("shield: state %s: %w: %w", path, errDamaged, err)
	}
	if s.Format != stateFormat {
		return state{}, fmt.Errorf("shield: state %s has format %d, this program knows %d: %w", path, s.Format, stateFormat, errDamaged)
	}
	return s, nil
}

var errDamaged = errors.New("damaged")

// write replaces the file at path: whoever reads it, even after a loss of power,
// finds the old state or the new one, whole.
func (s state) write(path string) (err error) {
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("shield: writing state: %w", err)
	}
	if len(text) > maxState {
		return fmt.Errorf("shield: writing state: %d MiB are more than would be read again", len(text)>>20)
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".new*") // made 0600
	if err != nil {
		return fmt.Errorf("shield: writing state: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(text); err != nil {
		return fmt.Errorf("shield: writing state: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("shield: writing state: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("shield: writing state: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("shield: writing state: %w", err)
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("shield: writing state: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("shield: writing state: %w", err)
	}
	return nil
}
