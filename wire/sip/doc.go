// Package sip holds SIP messages as the bytes that crossed the wire: a scanner
// that finds every header without copying or changing it, an editor that splices
// new lines into old bytes, and readers for the values of the headers that a
// border must understand. It opens no socket, starts no goroutine and reads no
// clock; sockets live in wire/sip/transport, transactions in edge.
package sip
