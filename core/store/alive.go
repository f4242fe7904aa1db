package store

import (
	"context"
	"crypto/tls"
	"database/sql/driver"
	"syscall"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"
)

// alive is asked before an idle connection is used again: what a server that died
// or restarted has closed is replaced, instead of failing the request that meets
// it. It looks at the socket without waiting, since pgx's own ping is a round trip
// and is made only after a second of idleness. An idle server has nothing to say,
// so bytes that wait mean a farewell.
func alive(_ context.Context, c *pgx.Conn) error {
	conn := c.PgConn().Conn()
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	if quiet(socket) {
		return nil
	}
	return driver.ErrBadConn
}

// quiet tells whether a socket is open and has nothing to be read.
func quiet(conn syscall.Conn) bool {
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	var n int
	var peeked error
	// Control and not Read: after a slow write pgx may have left a reader waiting on
	// the idle connection, and Read would wait for that one to end.
	err = raw.Control(func(fd uintptr) {
		var one [1]byte
		n, _, peeked = unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	})
	return err == nil && n <= 0 && peeked == unix.EAGAIN
}
