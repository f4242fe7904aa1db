package bpf

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// forwardPin is where the forwarder's pins are, beside those of devices.
const forwardPin = "forward"

// tcxPin goes before the name of a device whose TCX link is pinned.
const tcxPin = "tcx_"

// takeOver opens what is pinned, or makes it: maps first, then the program over them,
// then every device that had the program before this one.
func (f *Forwarder) takeOver(spec *ebpf.CollectionSpec, specs map[string]*ebpf.MapSpec, number uint32, pin string) error {
	if err := mount(pin); err != nil {
		return err
	}
	unlock, err := lock(pin)
	if err != nil {
		return err
	}
	defer unlock()
	p := &pins{dir: filepath.Join(pin, forwardPin)}
	if err := os.Mkdir(p.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("bpf: making a place for pins: %w", err)
	}
	kept, old, err := f.find(p, specs, number)
	if err != nil {
		return err
	}
	defer old.close()
	t, err := f.create(specs, number, kept)
	if err != nil {
		return err
	}
	defer t.close()
	if err := f.assemble(spec, t); err != nil {
		return err
	}
	f.repair()
	late, err := f.carry(old, number)
	if err != nil {
		return err
	}
	defer late.close()
	if err := f.Refresh(); err != nil {
		return err
	}
	if err := p.pin(t, kept); err != nil {
		p.unpin(t)
		return err
	}
	f.pins = p
	if err := f.replace(pin); err != nil {
		p.unpin(t)
		return err
	}
	if err := p.rename(t, kept); err != nil {
		return err
	}
	late.add()
	return nil
}

// find loads the maps that are pinned: kept are those that fit, old those whose legs
// are of other addresses, ports or layout.
func (f *Forwarder) find(p *pins, specs map[string]*ebpf.MapSpec, number uint32) (kept, old tables, err error) {
	kept, old = tables{}, tables{}
	for name, spec := range specs {
		m, err := ebpf.LoadPinnedMap(p.path(name), nil)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			kept.close()
			old.close()
			return nil, nil, fmt.Errorf("bpf: opening the pinned map %s: %w", name, refused(err))
		}
		if spec.Compatible(m) == nil {
			kept[name] = m
		} else {
			old[name] = m
		}
	}
	same := kept[forwardMapLegs] != nil && kept[forwardMapState] != nil
	if same {
		var now forwardRange
		err := kept[forwardMapState].Lookup(uint32(0), &now)
		want := f.extent()
		want.Layout, want.Generation = number, now.Generation
		same = err == nil && now == want
	}
	if !same {
		retire(kept, old, forwardMapLegs)
		retire(kept, old, forwardMapState)
	}
	return kept, old, nil
}

// repair ends ways that a process did not write to their end.
func (f *Forwarder) repair() {
	for i := range f.legs {
		if f.legs[i].Way.Version&1 != 0 {
			f.write(i, [wayWords]uint32{})
		}
	}
}

// replace puts the program where one of ours is, at every device.
func (f *Forwarder) replace(pin string) error {
	files, err := os.ReadDir(pin)
	if err != nil {
		return fmt.Errorf("bpf: looking for devices: %w", err)
	}
	for _, d := range files {
		if !d.IsDir() {
			continue
		}
		device := strings.ReplaceAll(d.Name(), ":", ".")
		m, err := ebpf.LoadPinnedMap(filepath.Join(pin, d.Name(), shieldMapNext), nil)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("bpf: opening what comes behind the shield of %s: %w", device, refused(err))
		}
		err = f.replaceIn(m)
		if m.Close(); err != nil {
			return fmt.Errorf("bpf: replacing the forwarder behind the shield of %s: %w", device, refused(err))
		}
		f.found(device)
	}
	return f.replaceTCX()
}

func (f *Forwarder) replaceIn(next *ebpf.Map) error {
	var id uint32
	if err := next.Lookup(uint32(0), &id); missing(err) {
		return nil
	} else if err != nil {
		return err
	}
	return next.Put(uint32(0), f.program)
}

// found notes how a device was forwarding when this process came.
func (f *Forwarder) found(device string) {
	e := Exit{Device: device, Mode: None, Reason: "the device is no more"}
	if d, err := net.InterfaceByName(device); err == nil {
		now, err := onDevice(d.Index)
		e.Mode, e.Reason = now.mode, ""
		switch {
		case err != nil:
			e.Mode, e.Reason = None, err.Error()
		case now.program == 0:
			e.Mode, e.Reason = None, "its shield is no more"
		case now.mode == Generic:
			e.Reason = whyNotNative(d)
		}
	}
	f.exits[device] = e
}

// Unforward ends forwarding in the kernel at all devices and removes its pins; what
// comes to legs goes to user space. Nothing else does.
func Unforward(pin string) error {
	if on, err := mounted(pin); err != nil || !on {
		return fmt.Errorf("bpf: no forwarder is pinned at %s: %w", pin, errors.Join(err, fs.ErrNotExist))
	}
	unlock, err := lock(pin)
	if err != nil {
		return err
	}
	defer unlock()
	p := &pins{dir: filepath.Join(pin, forwardPin)}
	files, err := os.ReadDir(p.dir)
	if err != nil {
		return fmt.Errorf("bpf: no forwarder is pinned at %s: %w", pin, err)
	}
	errs := []error{unchain(pin)}
	for _, file := range files {
		if strings.HasPrefix(file.Name(), tcxPin) {
			errs = append(errs, detach(p.path(file.Name())))
		}
	}
	// What is still in force keeps its pins, so that this can be done again.
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("bpf: ending the forwarder: %w", refused(err))
	}
	for _, file := range files {
		errs = append(errs, os.Remove(p.path(file.Name())))
	}
	if err := errors.Join(append(errs, os.Remove(p.dir))...); err != nil {
		return fmt.Errorf("bpf: removing the forwarder's pins: %w", err)
	}
	return nil
}

// unchain takes the program from behind all shields.
func unchain(pin string) error {
	files, err := os.ReadDir(pin)
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range files {
		if !d.IsDir() {
			continue
		}
		m, err := ebpf.LoadPinnedMap(filepath.Join(pin, d.Name(), shieldMapNext), nil)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			if err = m.Delete(uint32(0)); missing(err) {
				err = nil
			}
			m.Close()
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// detach ends a pinned link: processes may hold it open.
func detach(path string) error {
	l, err := link.LoadPinnedLink(path, nil)
	if err != nil {
		return err
	}
	return errors.Join(l.Detach(), l.Close())
}
