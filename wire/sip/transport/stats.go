package transport

import "sync/atomic"

// Stats are counters since New, but for Conns, which is how many there are.
type Stats struct {
	DatagramsIn, DatagramsOut uint64 // messages over UDP
	MessagesIn, MessagesOut   uint64 // messages over streams
	BytesIn, BytesOut         uint64 // of those messages

	Oversized    uint64 // datagrams over sip.MaxDatagram, dropped
	Tiny         uint64 // datagrams too short for SIP, dropped
	KeepAlives   uint64 // datagrams of CRLF alone, dropped
	STUN         uint64 // STUN binding requests on a SIP port, dropped
	BadSource    uint64 // datagrams from port 0, which cannot be answered, dropped
	ReceiveDrops uint64 // datagrams the kernel dropped because a socket's buffer was full
	Denied       uint64 // datagrams and connections that Config.Admit refused or Config.Holds ended
	ReadErrors   uint64 // failed reads of a UDP socket
	SendErrors   uint64 // failed sends of a datagram

	Conns            uint64 // stream connections now
	Accepted, Dialed uint64 // connections begun
	DialsFailed      uint64
	Refused          uint64 // over MaxConns
	RefusedSource    uint64 // over MaxPerSource
	AcceptErrors     uint64 // failed accepts, for instance without a free descriptor
	HandshakesFailed uint64 // TLS, timeouts included
	IdleClosed       uint64 // silent for longer than Idle
	HalfClosed       uint64 // message not whole after Half
	PongMissed       uint64 // silent after a Ping
	StallClosed      uint64 // took nothing for Stall
	QueueOverflows   uint64 // had more than Queue waiting
	FramesRefused    uint64 // sent what has no frame

	PingsIn, PingsOut, PongsIn uint64 // double CRLFs answered and sent, answers to ours
}

type counters struct {
	datagramsIn, datagramsOut, messagesIn, messagesOut, bytesIn, bytesOut                      atomic.Uint64
	oversized, tiny, keepAlives, stun, badSource, denied, receiveDrops, readErrors, sendErrors atomic.Uint64
	accepted, dialed, dialsFailed, refused, refusedSource, acceptErrors, handshakeFailed       atomic.Uint64
	idleClosed, halfClosed, pongMissed, stallClosed, queueOverflows, framesRefused             atomic.Uint64
	pingsIn, pingsOut, pongsIn                                                                 atomic.Uint64
}

// Stats reads all counters; each is exact, together they are not of one moment.
func (s *Stack) Stats() Stats {
	c := &s.count
	s.mu.RLock()
	open := len(s.conns)
	s.mu.RUnlock()
	return Stats{
		DatagramsIn: c.datagramsIn.Load(), DatagramsOut: c.datagramsOut.Load(),
		MessagesIn: c.messagesIn.Load(), MessagesOut: c.messagesOut.Load(),
		BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
		Oversized: c.oversized.Load(), Tiny: c.tiny.Load(), KeepAlives: c.keepAlives.Load(),
		STUN: c.stun.Load(), BadSource: c.badSource.Load(), Denied: c.denied.Load(), ReceiveDrops: c.receiveDrops.Load(),
		ReadErrors: c.readErrors.Load(), SendErrors: c.sendErrors.Load(),
		Conns: uint64(open), Accepted: c.accepted.Load(), Dialed: c.dialed.Load(),
		DialsFailed: c.dialsFailed.Load(), Refused: c.refused.Load(), RefusedSource: c.refusedSource.Load(),
		AcceptErrors: c.acceptErrors.Load(), HandshakesFailed: c.handshakeFailed.Load(),
		IdleClosed: c.idleClosed.Load(), HalfClosed: c.halfClosed.Load(), PongMissed: c.pongMissed.Load(),
		StallClosed: c.stallClosed.Load(), QueueOverflows: c.queueOverflows.Load(), FramesRefused: c.framesRefused.Load(),
		PingsIn: c.pingsIn.Load(), PingsOut: c.pingsOut.Load(), PongsIn: c.pongsIn.Load(),
	}
}
