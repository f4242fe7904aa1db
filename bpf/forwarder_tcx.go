package bpf

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// Attach has the packets of a device repeated behind its XDP hook, where no shield
// can be: why says what keeps it out and is shown by Forwarding. It does without
// legs of two families, which go to user space. Where this is not possible either
// (TCX came with Linux 6.6), Forwarding shows both reasons and the error is the
// second. The device is one of the calling thread's network namespace.
func (f *Forwarder) Attach(device string, why error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return ErrClosed
	}
	e := Exit{Device: device, Mode: TCX}
	if why != nil {
		e.Reason = why.Error()
	}
	err := f.attach(device)
	if err != nil {
		e.Mode, e.Reason = None, join(e.Reason, err.Error())
	}
	f.exits[device] = e
	return err
}

func (f *Forwarder) attach(device string) error {
	d, err := net.InterfaceByName(device)
	if err != nil {
		return fmt.Errorf("bpf: the device %s: %w", device, err)
	}
	if err := f.loadTCX(); err != nil {
		return err
	}
	if f.pins != nil {
		switch again, err := f.hookAgain(tcxPinOf(device), uint32(d.Index)); {
		case err != nil:
			return fmt.Errorf("bpf: replacing the forwarder at the TCX hook of %s: %w", device, refused(err))
		case again:
			return nil
		}
	}
	l, err := link.AttachTCX(link.TCXOptions{Program: f.tcx, Interface: d.Index, Attach: ebpf.AttachTCXIngress})
	if err != nil {
		return fmt.Errorf("bpf: attaching to the TCX hook of %s: %w", device, refused(err))
	}
	if f.pins == nil {
		f.hooks = append(f.hooks, l)
		return nil
	}
	defer l.Close()
	if err := l.Pin(f.pins.path(tcxPinOf(device))); err != nil {
		return fmt.Errorf("bpf: pinning the link of %s: %w", device, refused(err))
	}
	return nil
}

// unhook ends what Attach pinned at a device: a shield takes its place.
func (f *Forwarder) unhook(device string) error {
	if f.pins == nil {
		return nil
	}
	path := f.pins.path(tcxPinOf(device))
	err := detach(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, os.Remove(path))
}

// tcxPinOf is what a device's link is pinned as.
func tcxPinOf(device string) string { return tcxPin + strings.ReplaceAll(device, ".", ":") }

// loadTCX loads the program for TCX hooks over the maps that are in force.
func (f *Forwarder) loadTCX() error {
	if f.tcx != nil {
		return nil
	}
	spec, err := loadForward()
	if err != nil {
		return fmt.Errorf("bpf: reading the program: %w", err)
	}
	if err := f.constants(spec); err != nil {
		return err
	}
	t := map[string]*ebpf.Map{
		forwardMapClock: f.maps.Clock, forwardMapDevices: f.maps.Devices, forwardMapExits: f.maps.Exits, forwardMapLegs: f.maps.Legs,
		forwardMapMoments: f.maps.Moments, forwardMapReasons: f.maps.Reasons, forwardMapState: f.maps.State,
	}
	for name, m := range t {
		spec.Maps[name].MaxEntries = m.MaxEntries()
	}
	var objects struct {
		Forward *ebpf.Program `ebpf:"forward_tcx"`
	}
	if err := spec.LoadAndAssign(&objects, &ebpf.CollectionOptions{MapReplacements: t}); err != nil {
		return fmt.Errorf("bpf: loading the program for TCX: %w", refused(err))
	}
	f.tcx = objects.Forward
	return nil
}

// hookAgain puts the program into a link that is pinned, if there is one on the
// device of that number (0: on any), and takes the pin of a lost device away.
func (f *Forwarder) hookAgain(pin string, index uint32) (bool, error) {
	l, err := link.LoadPinnedLink(f.pins.path(pin), nil)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer l.Close()
	info, err := l.Info()
	if err != nil {
		return false, err
	}
	if t := info.TCX(); t == nil || t.Ifindex == 0 || index != 0 && t.Ifindex != index {
		return false, l.Unpin()
	}
	return true, l.Update(f.tcx)
}

// replaceTCX puts the program where one of ours is at TCX hooks.
func (f *Forwarder) replaceTCX() error {
	files, err := os.ReadDir(f.pins.dir)
	if err != nil {
		return fmt.Errorf("bpf: looking for links: %w", err)
	}
	for _, file := range files {
		name, ok := strings.CutPrefix(file.Name(), tcxPin)
		if !ok {
			continue
		}
		device := strings.ReplaceAll(name, ":", ".")
		if err := f.loadTCX(); err != nil {
			return err
		}
		there, err := f.hookAgain(file.Name(), 0)
		if err != nil {
			return fmt.Errorf("bpf: replacing the forwarder at the TCX hook of %s: %w", device, refused(err))
		}
		if there {
			f.exits[device] = Exit{Device: device, Mode: TCX, Reason: "it was attached so before"}
		}
	}
	return nil
}
