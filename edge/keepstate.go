package edge

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/lindero/lindero/wire/sip/transport"
)

// The state file holds one line for each flow over UDP:
//
//	listener SP remote address SP expiry in Unix seconds
//
// A line that cannot be read is left out: the worst that follows is a phone that
// is not called until it registers again.

// save writes the state file if anything has changed. It is replaced whole, so a
// process that is killed leaves the old one or the new one.
func (k *keeper) save() {
	k.mu.Lock()
	if !k.dirty {
		k.mu.Unlock()
		return
	}
	k.dirty = false
	type line struct {
		listener uint8
		remote   netip.AddrPort
		expires  time.Time
	}
	lines := make([]line, 0, len(k.flows))
	for key, one := range k.flows {
		if key.protocol == transport.UDP {
			lines = append(lines, line{key.listener, key.remote, one.expires})
		}
	}
	k.mu.Unlock()
	var b bytes.Buffer // printed without the lock: REGISTERs wait for it
	for _, l := range lines {
		fmt.Fprintln(&b, l.listener, l.remote, l.expires.Unix())
	}
	if err := replaceFile(k.file, b.Bytes()); err != nil {
		k.mu.Lock()
		k.dirty = true
		k.mu.Unlock()
		k.e.metrics.stateFaults.Add(1)
		k.e.log.Warn("flows of phones are not written down; a restart forgets them until they register again", "err", err)
	}
}

// replaceFile puts b where name is, readable by its owner only.
func replaceFile(name string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// load reads the flows that an earlier process has left.
func (k *keeper) load() {
	if k.e.cfg.KeepAlive.Off {
		return
	}
	b, err := os.ReadFile(k.file)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			k.e.log.Warn("flows of phones cannot be read; they are learned when phones register", "err", err)
		}
		return
	}
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		var listener uint8
		var remote string
		var expires int64
		if _, err := fmt.Sscan(lines.Text(), &listener, &remote, &expires); err != nil {
			continue
		}
		addr, err := netip.ParseAddrPort(remote)
		if err != nil || int(listener) >= len(k.e.faces.outside) || time.Now().Unix() >= expires {
			continue
		}
		face := k.e.faces.outside[listener]
		if face.protocol == transport.UDP {
			if k.e.shield != nil {
				k.e.shield.Registered(addr.Addr(), time.Unix(expires, 0))
			}
			k.put(transport.Flow{Protocol: transport.UDP, Listener: listener, Local: face.bound, Remote: addr}, 0, time.Unix(expires, 0))
		}
	}
}
