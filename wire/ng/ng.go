// Package ng is rtpengine's NG protocol: how an edge asks a relay for ports and
// has SDP rewritten. It encodes and decodes bencode, turns dictionaries into
// Command and Reply values, and holds a client that never blocks its caller and
// a server loop that answers duplicates with the reply already given. It knows
// neither SIP nor SDP and lends no port: anchoring is the edge's business,
// handling commands the relay's.
//
// # Protocol
//
// One datagram is one message, in both directions:
//
//	cookie SP bencoded-dictionary
//
// The cookie is any text without a space. The reply bears the cookie of its
// command; a command that is repeated with the same cookie from the same address
// is a retransmission and gets the same reply without being run again.
//
//	edge                                          relay
//	  | offer  call-id from-tag sdp direction …     |   lends ports, rewrites the SDP
//	  |-------------------------------------------->|
//	  |<--------------------------- ok sdp ---------|
//	  | answer call-id from-tag to-tag sdp …        |   joins the two sides
//	  |-------------------------------------------->|
//	  |<--------------------------- ok sdp ---------|
//	  | delete call-id from-tag [to-tag]            |   counts, and rests the ports
//	  |-------------------------------------------->|
//	  |<--------------------------- ok totals … ----|
//
// In offer, from-tag belongs to whoever made the SDP. In answer, from-tag is
// still the offerer's and to-tag is the one whose SDP this is. A SIP request
// that brings the answer to an offer made in a response (INVITE without SDP)
// therefore swaps the tags of its headers.
package ng

// MaxDatagram is the longest message that is read or written, in bytes: the
// largest payload of a UDP datagram over IPv4. Streams keep to it too, so that a
// reply may take any way.
const MaxDatagram = 65507
