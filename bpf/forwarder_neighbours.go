package bpf

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// refreshEvery is how often Run looks at devices and neighbours.
const refreshEvery = 2 * time.Second

// Of leg.h: stamps of ways out, and how old one may be to keep its neighbour.
const (
	exitShift = 20
	idle      = 10_000 // about ms
)

// Run keeps what the program knows of devices true, and the neighbours alive that it
// sends to, until ctx ends: what XDP forwards never confirms a neighbour to the
// kernel. An error of one round is shown by Forwarding until a round succeeds.
func (f *Forwarder) Run(ctx context.Context) error {
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := errors.Join(f.Refresh(), f.KeepNeighbours())
		if errors.Is(err, ErrClosed) {
			return nil
		}
		f.mu.Lock()
		f.trouble = err
		f.mu.Unlock()
	}
}

// atOnce is how many legs are looked at before others may write ways again.
const atOnce = 4096

// neighbours are the link-layer addresses that kernel legs have sent to lately.
func (f *Forwarder) neighbours() (map[[6]byte]bool, error) {
	used := map[[6]byte]bool{}
	for from := 0; from < len(f.faces)*f.span(); from += atOnce {
		if err := f.neighboursFrom(from, used); err != nil {
			return nil, err
		}
	}
	return used, nil
}

func (f *Forwarder) neighboursFrom(from int, used map[[6]byte]bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return ErrClosed
	}
	now := uint32(f.now() >> exitShift)
	for i := from; i < min(from+atOnce, len(f.legs)); i++ {
		x := &f.legs[i].Exit
		if version := atomic.LoadUint32(&x.Version); version == 0 || now-atomic.LoadUint32(&x.Stamp) > idle {
			continue
		}
		used[x.To] = true // one that is being written is half another's, or nobody's
	}
	return nil
}

// KeepNeighbours has the kernel ask again, in the network namespace of the calling
// thread, for neighbours that legs use and that it has not heard of for a while. Run
// does it every two seconds.
func (f *Forwarder) KeepNeighbours() error {
	used, err := f.neighbours()
	if err != nil || len(used) == 0 {
		return err
	}
	answer, err := syscall.NetlinkRIB(unix.RTM_GETNEIGH, unix.AF_UNSPEC)
	if err != nil {
		return fmt.Errorf("bpf: asking for neighbours: %w", err)
	}
	messages, err := syscall.ParseNetlinkMessage(answer)
	if err != nil {
		return fmt.Errorf("bpf: reading neighbours: %w", err)
	}
	var stale [][]byte
	for i := range messages {
		m := &messages[i]
		if m.Header.Type == unix.RTM_NEWNEIGH && isStale(m.Data, used) {
			stale = append(stale, use(m.Data))
		}
	}
	if len(stale) == 0 {
		return nil
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("bpf: netlink: %w", err)
	}
	defer unix.Close(fd)
	var errs []error
	for _, m := range stale {
		errs = append(errs, unix.Sendto(fd, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("bpf: having neighbours asked for: %w", err)
	}
	return nil
}

// isStale reads struct ndmsg and what follows it.
func isStale(b []byte, used map[[6]byte]bool) bool {
	if len(b) < unix.SizeofNdMsg || binary.NativeEndian.Uint16(b[8:]) != unix.NUD_STALE {
		return false
	}
	for kind, value := range attributes(b[unix.SizeofNdMsg:]) {
		if kind == unix.NDA_LLADDR && len(value) == 6 {
			return used[[6]byte(value)]
		}
	}
	return false
}

// use is a request to behave as if something had been sent to that neighbour.
func use(b []byte) []byte {
	m := make([]byte, unix.NLMSG_HDRLEN, 128)
	binary.NativeEndian.PutUint16(m[4:], unix.RTM_NEWNEIGH)
	binary.NativeEndian.PutUint16(m[6:], unix.NLM_F_REQUEST)
	head := append([]byte(nil), b[:unix.SizeofNdMsg]...)
	binary.NativeEndian.PutUint16(head[8:], 0)
	head[10] = unix.NTF_USE
	m = append(m, head...)
	for kind, value := range attributes(b[unix.SizeofNdMsg:]) {
		if kind != unix.NDA_DST {
			continue
		}
		m = binary.NativeEndian.AppendUint16(m, uint16(unix.NLA_HDRLEN+len(value)))
		m = binary.NativeEndian.AppendUint16(m, kind)
		m = append(m, value...)
	}
	binary.NativeEndian.PutUint32(m, uint32(len(m)))
	return m
}
