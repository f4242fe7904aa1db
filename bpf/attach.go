package bpf

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// attach opens the filter of a device: maps first, then the program over them, then
// the device, which from there on is never without one.
func (s *Shield) attach(spec *ebpf.CollectionSpec, o Options) error {
	device, err := net.InterfaceByName(o.Device)
	if err != nil {
		return fmt.Errorf("bpf: the device %s: %w", o.Device, err)
	}
	if s.network, err = inode(thisNetwork); err != nil {
		return fmt.Errorf("bpf: %w", err)
	}
	if err := mount(o.Pin); err != nil {
		return err
	}
	unlock, err := lock(o.Pin)
	if err != nil {
		return err
	}
	defer unlock()
	if err := straighten(o.Pin); err != nil {
		return err
	}
	p := pinsOf(o.Pin, o.Device)
	if err := p.make(); err != nil {
		return err
	}
	specs, err := fit(spec)
	if err != nil {
		return err
	}
	number, err := layout(spec)
	if err != nil {
		return err
	}
	kept, old, err := p.find(specs, number)
	if err != nil {
		return err
	}
	defer old.close()
	t, err := create(specs, number, kept)
	if err != nil {
		return err
	}
	defer t.close()
	if err := carry(t, old); err != nil {
		return err
	}
	if kept[shieldMapMarks] == nil {
		if err := recount(t); err != nil {
			return err
		}
	}
	if err := s.assemble(spec, t, o); err != nil {
		return err
	}
	if err := p.pin(t, kept); err != nil {
		p.unpin(t)
		return err
	}
	if err := s.hook(p, device, s.program); err != nil {
		p.unpin(t)
		return err
	}
	if err := p.rename(t, kept); err != nil {
		return err
	}
	s.pins = p
	return p.settle()
}

// hook puts the program on the device: in the place of the one whose link is
// pinned, or as the first. Where there is one, nil leaves it.
func (s *Shield) hook(p *pins, device *net.Interface, program *ebpf.Program) error {
	l, err := link.LoadPinnedLink(p.path(linkPin), nil)
	if errors.Is(err, fs.ErrNotExist) {
		return s.fresh(p, device)
	}
	if err != nil {
		return fmt.Errorf("bpf: opening the pinned link of %s: %w", device.Name, refused(err))
	}
	defer func() {
		if l != s.link {
			l.Close()
		}
	}()
	number, alive, err := inForce(l)
	if err != nil {
		return fmt.Errorf("bpf: the pinned link of %s: %w", device.Name, err)
	}
	if !alive { // the device it was on is no more
		if err := l.Unpin(); err != nil {
			return fmt.Errorf("bpf: taking the pin of a lost device away: %w", err)
		}
		return s.fresh(p, device)
	}
	now, err := onDevice(device.Index)
	if err != nil {
		return err
	}
	if now.program != number {
		return fmt.Errorf("bpf: %w: the filter pinned at %s is not on %s but on a device of another network namespace; another pin keeps them apart",
			ErrBusy, p.dir, device.Name)
	}
	if program != nil {
		if err := l.Update(program); err != nil {
			return fmt.Errorf("bpf: replacing the program on %s: %w", device.Name, refused(err))
		}
	}
	s.hold(l)
	s.mode, s.reason = now.mode, ""
	mode := s.asked
	switch {
	case mode == Native && now.mode == Generic || mode == Generic && now.mode == Native:
		s.reason = fmt.Sprintf("%s was asked for, but the filter is attached as %s, and changing that would leave a gap: detach it first", mode, now.mode)
	case now.mode == Generic:
		s.reason = whyNotNative(device)
	}
	return nil
}

// hold keeps a link open in the place of the one before.
func (s *Shield) hold(l link.Link) {
	if s.link != nil {
		s.link.Close()
	}
	s.link = l
}

// inForce tells which program a link has on a device, and whether there is one.
func inForce(l link.Link) (program uint32, alive bool, err error) {
	info, err := l.Info()
	if err != nil {
		return 0, false, err
	}
	x := info.XDP()
	return uint32(info.Program), x != nil && x.Ifindex != 0, nil
}

// fresh attaches to a device that has no filter of ours.
func (s *Shield) fresh(p *pins, device *net.Interface) error {
	mode := s.asked
	now, err := onDevice(device.Index)
	if err != nil {
		return err
	}
	if now.program != 0 {
		return busy(device, now)
	}
	var l link.Link
	s.reason = ""
	if mode != Generic {
		l, err = link.AttachXDP(link.XDPOptions{Program: s.program, Interface: device.Index, Flags: link.XDPDriverMode})
		s.mode = Native
	}
	if mode == Auto || mode == "" {
		if err != nil && !errors.Is(err, os.ErrPermission) && !taken(err) {
			s.reason = fmt.Sprintf("the driver of %s has no XDP, or not as the device is set up: %v", device.Name, brief(err))
			mode = Generic
		}
	}
	if mode == Generic {
		l, err = link.AttachXDP(link.XDPOptions{Program: s.program, Interface: device.Index, Flags: link.XDPGenericMode})
		s.mode = Generic
	}
	if err != nil {
		m := s.mode
		s.mode, s.reason = None, ""
		if taken(err) {
			now, _ = onDevice(device.Index)
			return busy(device, now)
		}
		if errors.Is(err, unix.EOPNOTSUPP) {
			err = fmt.Errorf("%w: %w", ErrNotHere, brief(err))
		}
		return fmt.Errorf("bpf: attaching to %s in mode %s: %w", device.Name, m, refused(err))
	}
	if err := l.Pin(p.path(linkPin)); err != nil {
		l.Close()
		return fmt.Errorf("bpf: pinning the link of %s: %w", device.Name, refused(err))
	}
	s.hold(l)
	return nil
}

func taken(err error) bool { return errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EEXIST) }

// busy names the program that is on the device.
func busy(device *net.Interface, now attachment) error {
	return fmt.Errorf("bpf: %w: %s has %s", ErrBusy, device.Name, now.describe())
}

// Detach ends the filter of a device and removes its pins. Nothing else does.
func Detach(device, pin string) error {
	if on, err := mounted(pin); err != nil || !on {
		return fmt.Errorf("bpf: no filter of %s is pinned at %s: %w", device, pin, errors.Join(err, fs.ErrNotExist))
	}
	unlock, err := lock(pin)
	if err != nil {
		return err
	}
	defer unlock()
	p := pinsOf(pin, device)
	files, err := os.ReadDir(p.dir)
	if err != nil {
		return fmt.Errorf("bpf: no filter of %s is pinned at %s: %w", device, pin, err)
	}
	l, err := link.LoadPinnedLink(p.path(linkPin), nil)
	switch {
	case err == nil:
		// Processes may hold the link open, so taking the pin away would not be enough.
		err = errors.Join(l.Detach(), l.Close())
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	}
	if err != nil {
		return fmt.Errorf("bpf: detaching from %s: %w", device, refused(err))
	}
	for _, f := range files {
		err = errors.Join(err, os.Remove(p.path(f.Name())))
	}
	if err = errors.Join(err, os.Remove(p.dir)); err != nil {
		return fmt.Errorf("bpf: removing the pins of %s: %w", device, err)
	}
	return nil
}
