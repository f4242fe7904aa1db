package edge

import (
	"bytes"
	"hash/maphash"

	"github.com/lindero/lindero/edge/transaction"
	"github.com/lindero/lindero/wire/sip"
	"github.com/lindero/lindero/wire/sip/transport"
)

// A work is what the handling of one message needs and the next one reuses.
type work struct {
	msg  sip.Message
	edit sip.Editor
	out  []byte // the message being printed
	buf  []byte // a value being printed
}

type record = transaction.Record[passage]

// A passage is one request on its way through the edge, the data of a
// transaction's record; the record's lock guards it.
type passage struct {
	from   side // whence the request came
	method method
	dialog bool // it may form a dialog: INVITE, SUBSCRIBE or REFER without a To tag
	early  bool // INVITE without a To tag: its failure frees the anchor
	secure bool // its Request-URI is a sips: URI
	signed bool // has credentials, of which core's answer will be the judgement
	fresh  bool // may go to another core when the first cannot be reached

	up, down transport.Flow // of the sender, and of the target
	head     head           // what responses to the request begin with
	sent     []byte         // the request as it was sent; before that, as it came
	last     []byte         // the last response that went up
	cancel   []byte         // the CANCEL that went down
	reason   []byte         // the Reason of the CANCEL that came (RFC 3326)

	core int // index of the core it was sent to

	media media // the relay's part

	// Responses that came while the relay was asked wait here, in order.
	busy  bool
	queue [][]byte
}

// A method is one the edge treats in its own way.
type method uint8

// The methods; the zero method is any other.
const (
	otherMethod method = iota
	invite
	register_
	bye
	update
	prack
	subscribe
	refer
)

func methodOf(m *sip.Message) method {
	switch string(m.CSeqMethod) {
	case "INVITE":
		return invite
	case "REGISTER":
		return register_
	case "BYE":
		return bye
	case "UPDATE":
		return update
	case "PRACK":
		return prack
	case "SUBSCRIBE":
		return subscribe
	case "REFER":
		return refer
	}
	return otherMethod
}

// begin fills p in for the request m that came from f; rl is the relay that a
// token named. The relay of a call is chosen with its INVITE, since tokens that
// leave with it name the relay.
func (e *Edge) begin(p *passage, m *sip.Message, from side, f transport.Flow, rl *relay) {
	p.from, p.up, p.method = from, f, methodOf(m)
	first := len(m.Tag(sip.To)) == 0
	p.early = first && p.method == invite
	p.dialog = first && (p.method == invite || p.method == subscribe || p.method == refer)
	p.fresh = first
	p.signed = from == outside && signed(m)
	p.secure = secureURI(m.URI)
	p.head = newHead(m, f)
	p.media.relay = rl
	switch {
	case p.method == invite && rl == nil:
		p.media.relay = e.relays.pick()
	case p.method == bye:
		p.media.note(m)
	}
}

// A head is what every response to a request repeats of it: its Vias, the top one
// with received and rport, then From, To, Call-ID and CSeq, as lines.
type head struct {
	lines []byte
	vias  int // where the Vias end
	to    int // where a To tag would go
	tag   bool
	own   uint64 // the To tag of our own responses
}

func newHead(m *sip.Message, f transport.Flow) (h head) {
	b := make([]byte, 0, 512)
	for i, top := m.Index(sip.Via), true; i >= 0; i, top = m.Next(i), false {
		b = append(b, "Via: "...)
		value := m.Value(i)
		if top {
			var first []byte
			first, value = sip.NextValue(value)
			b = sip.AppendReceived(b, first, f.Remote)
			if len(value) > 0 {
				b = append(b, ", "...)
			}
		}
		b = append(append(b, value...), "\r\n"...)
	}
	h.vias = len(b)
	for _, id := range [...]sip.HeaderID{sip.From, sip.To, sip.CallID, sip.CSeq} {
		line := m.Header(m.Index(id))
		b = append(b, m.Raw[line.Start:line.ValueEnd]...)
		if id == sip.To {
			h.to = len(b)
		}
		b = append(b, "\r\n"...)
	}
	h.tag = len(m.Tag(sip.To)) > 0
	h.own = ownTag(m)
	h.lines = b
	return h
}

// via is the value that restores the sender's Vias under one name: lines after
// the first bring their own.
func (h *head) via() []byte { return h.lines[len("Via: ") : h.vias-len("\r\n")] }

// top is the topmost Via value.
func (h *head) top() []byte {
	via, _ := sip.NextValue(h.lines[len("Via: "):h.vias])
	return via
}

// append appends the head as the beginning of a response of our own.
func (h *head) append(dst []byte) []byte {
	dst = append(dst, h.lines[:h.to]...)
	if !h.tag {
		dst = appendTag(append(dst, ";tag="...), h.own)
	}
	return append(dst, h.lines[h.to:]...)
}

// key is what identifies the transaction of m to its sender (RFC 3261 §17.2.3).
// The method is that of the transaction, INVITE for its ACK and CANCEL. The
// sender's address, not its port, is part of it: a NAT may change the port, but
// nobody else can name the transaction.
func (e *Edge) key(m *sip.Message, method []byte, from side, f transport.Flow) transaction.Key {
	top := m.Topmost(sip.Via)
	via, err := sip.ParseVia(top)
	ip := f.Remote.Addr().As16()
	at := []byte{'o'}
	if from == inside {
		at[0] = 'i'
	}
	branch := via.Branch()
	if err != nil || !bytes.HasPrefix(branch, []byte("z9hG4bK")) {
		// RFC 2543 had no branches that identify (§17.2.3, second list).
		from, seq := m.Tag(sip.From), m.Get(sip.CSeq)
		if i := bytes.IndexAny(seq, " \t"); i > 0 {
			seq = seq[:i]
		}
		return e.table.Key(at, ip[:], top, from, m.Get(sip.CallID), seq, m.URI, method)
	}
	port := [2]byte{byte(via.Port >> 8), byte(via.Port)}
	var host [64]byte
	return e.table.Key(at, ip[:], branch, appendLower(host[:0], via.Host), port[:], method)
}

func appendLower(dst, b []byte) []byte {
	for _, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// fingerprint is what makes the request with uri the same one when it comes back
// unchanged (RFC 3261 §16.6 item 8): going round with the same fingerprint is a
// loop, with another it is a spiral.
func fingerprint(m *sip.Message, uri []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(loopSeed)
	for _, part := range [...][]byte{uri, m.Get(sip.CallID), m.Tag(sip.From), m.Tag(sip.To), m.Get(sip.CSeq)} {
		h.Write(part)
		h.WriteByte(0)
	}
	return h.Sum64()
}

// loopSeed makes fingerprints unlike any other process's.
var loopSeed = maphash.MakeSeed()
