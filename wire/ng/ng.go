// Package ng is rtpengine's NG protocol: how an edge, Kamailio or OpenSIPS asks a
// relay for ports and has SDP rewritten. It encodes and decodes dictionaries,
// turns them into Command and Reply values, and holds a client that never blocks
// its caller and a server that takes commands by every transport rtpengine has. It
// knows neither SIP nor SDP and lends no port: anchoring is the edge's business,
// handling commands the relay's. Who may speak by TLS is decided by the
// configuration it is given; files of certificates are not its business.
//
// # Protocol
//
// A message, in both directions, is
//
//	cookie SP dictionary
//
// where the dictionary is bencode, or a JSON object; a reply has its command's
// encoding. The cookie is any text without a space. The reply bears the cookie of
// its command; a command that is repeated with the same cookie from the same
// address is a retransmission and gets the same reply without being run again.
//
//	UDP         a datagram is a message
//	TCP, TLS    messages follow each other with nothing between; dictionaries show where they end
//	HTTP        POST /ng has a message as its body, and so has the response; /ng-plain has dictionaries alone
//	WebSocket   subprotocol ng.rtpengine.com: a frame is a message; ng-plain.rtpengine.com: a dictionary alone
//
// Commands of one call-id are run in the order in which they came, those of
// different calls at once.
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
