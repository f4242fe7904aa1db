package forward

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An outbox is packets on their way out of one socket. Packets of one length that
// follow each other to one address leave as one message, which the kernel cuts up
// after it has done most of its work once (UDP_SEGMENT, Linux 4.18).
type outbox struct {
	messages [batch]message
	first    [batch]int // packet of each message
	iov      [batch]unix.Iovec
	tracks   [batch]*Track // of the packets
	control  [batch]segment

	via     *socket
	n       int // messages
	packets int
	last    *way // of the last message
	size    int  // of its packets
	total   int  // of its bytes
	closed  bool // its last packet is shorter
}

// A segment is the control message that says how long the packets are.
type segment struct {
	header unix.Cmsghdr
	size   uint16
	_      [6]byte
}

// What the kernel takes in one message is limited by the length of IP packets.
const mostBytes = 60_000

func newOutbox() *outbox {
	o := &outbox{}
	for i := range o.messages {
		o.messages[i].header.SetIovlen(1)
		c := &o.control[i]
		c.header.Level, c.header.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
		c.header.SetLen(unix.CmsgLen(2))
	}
	return o
}

// add puts p behind what is there. All packets have the same socket.
func (o *outbox) add(p parcel) {
	i := o.packets
	o.iov[i].Base = unsafe.SliceData(p.b) // a packet may be empty
	o.iov[i].SetLen(len(p.b))
	o.tracks[i] = p.track
	o.packets++
	if o.n > 0 && p.way == o.last && !o.closed && len(p.b) > 0 && len(p.b) <= o.size && o.total+len(p.b) <= mostBytes && !o.via.whole.Load() {
		h := &o.messages[o.n-1].header
		h.SetIovlen(i - o.first[o.n-1] + 1)
		c := &o.control[o.n-1]
		c.size = uint16(o.size)
		h.Control = (*byte)(unsafe.Pointer(c))
		h.SetControllen(int(unsafe.Sizeof(*c)))
		o.total += len(p.b)
		o.closed = len(p.b) < o.size
		return
	}
	o.single(o.n, i, p.way)
	o.last, o.size, o.total, o.closed = p.way, len(p.b), len(p.b), false
	o.n++
}

// single makes message m of packet i alone.
func (o *outbox) single(m, i int, w *way) {
	h := &o.messages[m].header
	h.Name, h.Namelen = (*byte)(unsafe.Pointer(&w.to.raw)), w.to.size
	h.Iov, h.Control = &o.iov[i], nil
	h.SetIovlen(1)
	h.SetControllen(0)
	o.first[m] = i
}

// flush sends everything and counts how it ended.
func (o *outbox) flush(verdicts *[Verdicts]atomic.Uint64) {
	for at := 0; at < o.n; {
		sent := max(send(o.via.fd.Load(), &o.messages, at, o.n), 0)
		for range sent {
			verdicts[Forwarded].Add(uint64(o.messages[at].header.Iovlen))
			at++
		}
		if at == o.n {
			break
		}
		// This one cannot be sent (no route, a full queue); the next may be.
		if o.messages[at].header.Iovlen > 1 {
			o.apart(at, verdicts)
		} else {
			o.fail(o.first[at], verdicts)
		}
		at++
	}
	o.n, o.packets = 0, 0
}

// apart sends the packets of message m one by one. When that works, the message was
// refused because there were several: the way out cannot cut it up (a device that
// makes no checksums, a tunnel). This socket's packets then leave one by one.
func (o *outbox) apart(m int, verdicts *[Verdicts]atomic.Uint64) {
	h := &o.messages[m].header
	packets := int(h.Iovlen)
	h.Control = nil
	h.SetControllen(0)
	h.SetIovlen(1)
	for i := range packets {
		h.Iov = &o.iov[o.first[m]+i]
		if send(o.via.fd.Load(), &o.messages, m, m+1) > 0 {
			verdicts[Forwarded].Add(1)
			o.via.whole.Store(true)
		} else {
			o.fail(o.first[m]+i, verdicts)
		}
	}
}

func (o *outbox) fail(packet int, verdicts *[Verdicts]atomic.Uint64) {
	verdicts[Failed].Add(1)
	atomic.AddUint64(&o.tracks[packet].failed, 1)
}
