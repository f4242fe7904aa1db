// Package transport carries SIP messages over UDP, TCP and TLS: listeners that
// survive whatever arrives, stream framing with hard limits, connections with an
// identity, and the CRLF keep-alive of RFC 5626 §4.4.1. It does not look inside
// a message beyond its frame and knows no transaction.
package transport
