package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Of linux/netdev.h: the driver takes packets from other devices' XDP.
const xmitXDP = 4

// What a forwardDevice's flags and tag say, as forward_maps.h has it.
const (
	deviceXmit = 1 << iota
	deviceBack
	deviceGeneric

	noTag = 0xffff
)

// A netDevice is what matters of a network device here.
type netDevice struct {
	index  uint32
	name   string
	kind   string // "" for hardware
	parent uint32 // of a VLAN
	vlan   uint16
	mode   Mode // of the XDP program on it
}

// netDevices lists the devices that are up, but for loopback, in the network
// namespace of the calling thread.
func netDevices() ([]netDevice, error) {
	answer, err := syscall.NetlinkRIB(unix.RTM_GETLINK, unix.AF_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("bpf: asking for devices: %w", err)
	}
	messages, err := syscall.ParseNetlinkMessage(answer)
	if err != nil {
		return nil, fmt.Errorf("bpf: reading devices: %w", err)
	}
	var all []netDevice
	for i := range messages {
		m := &messages[i]
		if m.Header.Type != unix.RTM_NEWLINK || len(m.Data) < unix.SizeofIfInfomsg {
			continue
		}
		if flags := number(m.Data[8:]); flags&unix.IFF_UP == 0 || flags&unix.IFF_LOOPBACK != 0 {
			continue
		}
		if d, ok := netDeviceOf(m.Data); ok {
			all = append(all, d)
		}
	}
	return all, nil
}

func netDeviceOf(b []byte) (d netDevice, ok bool) {
	d.index, ok = number(b[4:]), true
	var away, tagged bool
	for kind, value := range attributes(b[unix.SizeofIfInfomsg:]) {
		switch kind {
		case unix.IFLA_IFNAME:
			d.name = unix.ByteSliceToString(value)
		case unix.IFLA_LINK:
			if len(value) >= 4 {
				d.parent = number(value)
			}
		case unix.IFLA_LINK_NETNSID:
			away = true
		case unix.IFLA_XDP:
			d.mode = attached(value).mode
		case unix.IFLA_LINKINFO:
			d.kind, d.vlan, tagged = linkInfo(value)
		}
	}
	if d.kind == "vlan" {
		ok = tagged && !away // a parent in another namespace is not ours to send by
	} else {
		d.parent = 0
	}
	return d, ok
}

// linkInfo reads IFLA_LINKINFO; tagged says that vlan is the number of an 802.1Q tag.
func linkInfo(nested []byte) (kind string, vlan uint16, tagged bool) {
	protocol := uint16(unix.ETH_P_8021Q)
	for k, value := range attributes(nested) {
		switch k {
		case unix.IFLA_INFO_KIND:
			kind = unix.ByteSliceToString(value)
		case unix.IFLA_INFO_DATA:
			for k, value := range attributes(value) {
				if len(value) < 2 {
					continue
				}
				switch k {
				case unix.IFLA_VLAN_ID:
					vlan, tagged = binary.NativeEndian.Uint16(value), true
				case unix.IFLA_VLAN_PROTOCOL:
					protocol = binary.BigEndian.Uint16(value)
				}
			}
		}
	}
	return kind, vlan, kind == "vlan" && tagged && protocol == unix.ETH_P_8021Q
}

// flags say what a device can do with what XDP gives it.
func (d netDevice) flags() (flags uint8) {
	if d.mode == Generic {
		flags |= deviceGeneric
	}
	features, err := xdpFeatures(int(d.index))
	if err == nil && features&xmitXDP != 0 {
		flags |= deviceXmit
	}
	// What a veth sends back is lost unless an XDP program is at its other end, which
	// cannot be known here: GRO there, which is enough for what is redirected, is not.
	if d.kind != "veth" {
		flags |= deviceBack
	}
	return flags
}

// Refresh tells the program which devices packets may leave by, as they are now in
// the network namespace of the calling thread. Run does it every two seconds; until
// then packets to a new device go by user space.
func (f *Forwarder) Refresh() error {
	all, err := netDevices()
	if err != nil {
		return err
	}
	wanted := map[uint32]forwardDevice{}
	for _, d := range all {
		if d.parent == 0 {
			wanted[d.index] = forwardDevice{Index: d.index, Tag: noTag, Flags: d.flags()}
		}
	}
	for _, d := range all {
		if parent, ok := wanted[d.parent]; ok {
			wanted[d.index] = forwardDevice{Index: parent.Index, Tag: d.vlan, Flags: parent.Flags}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return ErrClosed
	}
	return f.replaceDevices(wanted)
}

// replaceDevices has the maps say what is wanted. Ways out that legs remember are good
// for one generation only, and so never lead to a device in another one's slot.
func (f *Forwarder) replaceDevices(wanted map[uint32]forwardDevice) error {
	have := map[uint32]forwardDevice{}
	var index uint32
	var d forwardDevice
	entries := f.maps.Exits.Iterate()
	for entries.Next(&index, &d) {
		have[index] = d
	}
	if err := entries.Err(); err != nil {
		return fmt.Errorf("bpf: reading the ways out: %w", err)
	}
	var errs []error
	changed := false
	slots := map[uint8]uint32{} // and which device is in it
	for i, d := range have {
		w, ok := wanted[i]
		if ok && w.Index == d.Index {
			slots[d.Slot] = d.Index
			continue
		}
		errs = append(errs, f.maps.Exits.Delete(i))
		delete(have, i)
		changed = true
	}
	for i, w := range wanted {
		slot, ok := place(slots, w.Index, uint8(f.maps.Devices.MaxEntries()))
		if !ok {
			continue // more devices than slots: by user space
		}
		w.Slot = slot
		now, there := have[i]
		var at uint32
		if there && now == w && f.maps.Devices.Lookup(uint32(slot), &at) == nil && at == w.Index {
			continue // a device of the same number that was made anew has lost its slot
		}
		errs = append(errs, f.maps.Devices.Put(uint32(slot), w.Index), f.maps.Exits.Put(i, w))
		changed = true
	}
	if changed {
		f.newGeneration()
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("bpf: saying which ways out there are: %w", refused(err))
	}
	return nil
}

// place is the slot of a device: the one that it has, or a free one.
func place(slots map[uint8]uint32, index uint32, size uint8) (uint8, bool) {
	free, found := uint8(0), false
	for s := range size {
		has, taken := slots[s]
		if taken && has == index {
			return s, true
		}
		if !taken && !found {
			free, found = s, true
		}
	}
	if found {
		slots[free] = index
	}
	return free, found
}
