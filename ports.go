package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// A setting is an address of the configuration and how a person changes it.
type setting struct {
	name string // "--sip" or "sip"
	addr netip.AddrPort
}

// explainListen turns a failure to listen into what a person can act on: which
// setting chose the address, and which process has it. Other errors pass through.
func explainListen(err error, settings []setting) error {
	var op *net.OpError
	if err == nil || !errors.As(err, &op) || op.Addr == nil {
		return err
	}
	at, parseErr := netip.ParseAddrPort(op.Addr.String())
	if parseErr != nil {
		return err
	}
	which := ""
	for _, s := range settings {
		if s.addr == at || (s.addr.Port() == at.Port() && s.addr.Addr().Unmap() == at.Addr().Unmap()) {
			which = s.name
		}
	}
	change := ""
	if which != "" {
		change = fmt.Sprintf("; choose another with %s", which)
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		who := "another process"
		if h := holder(op.Net, at); h != "" {
			who = h
		}
		if strings.HasSuffix(who, "(lindero)") {
			change += "\nlindero up --help shows how two run side by side"
		}
		return fmt.Errorf("%w\n%s port %v is taken by %s%s", err, strings.ToUpper(op.Net[:3]), at, who, change)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%w\n%v is not an address of this machine%s", err, at.Addr(), change)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w\nport %d needs CAP_NET_BIND_SERVICE or a higher number%s", err, at.Port(), change)
	default:
		return err
	}
}

// holder names the process that has a socket bound to at, as far as /proc tells
// this user; otherwise it returns nothing.
func holder(network string, at netip.AddrPort) string {
	inodes := map[string]bool{}
	kind := strings.TrimRight(network, "46")
	for _, table := range []string{kind, kind + "6"} {
		socketsAt("/proc/net/"+table, at, inodes)
	}
	if len(inodes) == 0 {
		return ""
	}
	fds, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return ""
	}
	for _, fd := range fds {
		target, err := os.Readlink(fd)
		if err != nil {
			continue // not ours to see, or gone
		}
		inode, ok := strings.CutPrefix(target, "socket:[")
		if !ok || !inodes[strings.TrimSuffix(inode, "]")] {
			continue
		}
		pid := strings.Split(fd, "/")[2]
		name, err := os.ReadFile("/proc/" + pid + "/comm")
		if err != nil {
			return "process " + pid
		}
		return fmt.Sprintf("process %s (%s)", pid, strings.TrimSpace(string(name)))
	}
	return ""
}

// socketsAt collects the inodes of sockets bound to at, or to its port on every
// address, from one table of /proc/net. Connected sockets do not count.
func socketsAt(table string, at netip.AddrPort, inodes map[string]bool) {
	f, err := os.Open(table)
	if err != nil {
		return
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 {
			continue
		}
		const listen, unconnected = "0A", "07"
		local, ok := parseProcAddr(fields[1])
		if !ok || local.Port() != at.Port() || (fields[3] != listen && fields[3] != unconnected) {
			continue
		}
		if a := local.Addr().Unmap(); a.IsUnspecified() || at.Addr().IsUnspecified() || a == at.Addr().Unmap() {
			inodes[fields[9]] = true
		}
	}
}

// parseProcAddr reads "0100007F:13C4": the address in words of the machine's byte
// order (we run on little-endian ones), the port as a number.
func parseProcAddr(s string) (netip.AddrPort, bool) {
	host, port, ok := strings.Cut(s, ":")
	raw, err := hex.DecodeString(host)
	if !ok || err != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		raw[i], raw[i+1], raw[i+2], raw[i+3] = raw[i+3], raw[i+2], raw[i+1], raw[i]
	}
	addr, ok := netip.AddrFromSlice(raw)
	n, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr, uint16(n)), true
}
