package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lindero/lindero/bpf"
)

// examine looks at this machine. Every look is harmless: sockets are opened and
// closed again, files are read, nothing is attached anywhere.
func examine(ctx context.Context, data string) []finding {
	kernel := kernelVersion()
	findings := []finding{
		{"build", good, "lindero " + version + ", " + runtime.Version() + ", " + runtime.GOARCH, ""},
		{"processors", good, strconv.Itoa(runtime.NumCPU()), ""},
		examineKernel(kernel),
		examineCapability("CAP_NET_ADMIN", unix.CAP_NET_ADMIN, "attaching XDP programs needs it; everything else works without"),
		examineCapability("CAP_BPF", unix.CAP_BPF, "loading BPF programs needs it; everything else works without"),
	}
	findings = append(findings, examineXDP()...)
	findings = append(findings,
		examineBPFFS("/sys/fs/bpf"),
		examineCountries(filepath.Join(data, countriesFile), time.Now()),
		examineEphemeral(defaultUp().MediaPorts, readText("/proc/sys/net/ipv4/ip_local_port_range"), readText("/proc/sys/net/ipv4/ip_local_reserved_ports")),
	)
	findings = append(findings, examinePorts()...)
	return append(findings,
		examineReceiveBuffer(),
		examineOpenFiles(),
		examineIPv6(),
		examineConsul(ctx),
		examinePostgreSQL(),
	)
}

func kernelVersion() (v struct{ major, minor int }) {
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		_, _ = fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &v.major, &v.minor) // zero when it is no such thing
	}
	return v
}

func examineKernel(v struct{ major, minor int }) finding {
	f := finding{"kernel", good, fmt.Sprintf("Linux %d.%d", v.major, v.minor), ""}
	if v.major < 5 || (v.major == 5 && v.minor < 15) {
		f.state, f.means = less, "5.15 or later is what the kernel programs are made for; user space forwarding works on any"
	}
	return f
}

// capable tells whether this process effectively has a capability.
func capable(bit int) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&header, &data[0]) != nil {
		return false
	}
	return data[bit/32].Effective&(1<<(bit%32)) != 0
}

func examineCapability(name string, bit int, need string) finding {
	if capable(bit) {
		return finding{name, good, "held", ""}
	}
	return finding{name, less, "not held", need + " (setcap, or AmbientCapabilities= of systemd)"}
}

// mostDevices is how many network devices are told of: a host of containers has hundreds.
const mostDevices = 8

// examineXDP says how a shield would run in the kernel: on this machine at all, and
// on each of its devices.
func examineXDP() []finding {
	mode, reason := bpf.Probe("")
	if mode == bpf.None {
		return []finding{{"XDP", less, "none: " + reason, "the shield judges at the listeners, with the same policy"}}
	}
	findings := []finding{{"XDP", good, "this machine and its privileges allow it", "--devices of lindero up, or shield.devices of a role, puts it to use"}}
	all, err := net.Interfaces()
	if err != nil {
		return append(findings, finding{"XDP on devices", less, err.Error(), "which devices there are cannot be told"})
	}
	for _, d := range all {
		if d.Flags&net.FlagLoopback != 0 || d.Flags&net.FlagUp == 0 {
			continue
		}
		if len(findings) > mostDevices {
			break
		}
		findings = append(findings, xdpFinding(d.Name, bpf.Probe))
	}
	return findings
}

// xdpFinding is what probe says of one device.
func xdpFinding(device string, probe func(string) (bpf.Mode, string)) finding {
	mode, reason := probe(device)
	f := finding{"XDP on " + device, less, string(mode), reason}
	switch mode {
	case bpf.Native:
		f.state = good
	case bpf.Generic:
		f.means += "; it works, at some three times the price"
	default:
		f.means += "; the listeners judge what comes by it"
	}
	return f
}

// examineBPFFS looks whether a BPF file system is at path: what is pinned there
// filters on while lindero restarts.
func examineBPFFS(path string) finding {
	f := finding{"BPF file system", less, "not mounted at " + path, "a shield in the kernel mounts it when it may, and cannot do without: mount -t bpf bpf " + path}
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err == nil && int64(s.Type) == unix.BPF_FS_MAGIC {
		return finding{"BPF file system", good, "mounted at " + path, ""}
	}
	return f
}

// readText is a file's text, "" when it cannot be read.
func readText(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(text)
}

// examinePorts tries the addresses a default start would use.
func examinePorts() []finding {
	c := defaultUp()
	type place struct {
		network, what string
		at            netip.AddrPort
	}
	wanted := []place{
		{"udp", "SIP over UDP", c.SIP}, {"tcp", "SIP over TCP", c.SIP}, {"tcp", "SIP over TLS", c.SIPS},
		{"tcp", "edge, inside", c.Inside}, {"tcp", "core", c.Core}, {"udp", "relay control", c.NG},
	}
	if http, err := netip.ParseAddrPort(c.HTTP); err == nil {
		wanted = append(wanted, place{"tcp", "page and API", http})
	}
	var findings []finding
	for _, w := range wanted {
		f := finding{w.what, good, w.network + " " + w.at.String() + " is free", ""}
		if err := tryListen(w.network, w.at.String()); err != nil {
			f.state, f.found, f.means = wrong, err.Error(), "stop it, or choose another: lindero up --help"
			if who := holder(w.network, w.at); who != "" {
				f.found = fmt.Sprintf("%s %v is taken by %s", w.network, w.at, who)
			}
		}
		findings = append(findings, f)
	}
	return findings
}

func tryListen(network, address string) error {
	if network == "udp" {
		c, err := net.ListenPacket(network, address)
		if err != nil {
			return err
		}
		return c.Close()
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return err
	}
	return l.Close()
}

func readNumber(path string) (int, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	return n, err == nil
}

func examineReceiveBuffer() finding {
	const wanted = 4 << 20
	f := finding{what: "UDP receive buffer", state: good}
	n, ok := readNumber("/proc/sys/net/core/rmem_max")
	switch {
	case !ok:
		f.state, f.found = less, "unknown; /proc/sys/net/core/rmem_max cannot be read"
	case n < wanted:
		f.state = less
		f.found = fmt.Sprintf("at most %d KiB", n>>10)
		f.means = fmt.Sprintf("bursts of registrations may be lost; sysctl -w net.core.rmem_max=%d", wanted)
	default:
		f.found = fmt.Sprintf("up to %d KiB", n>>10)
	}
	return f
}

func examineOpenFiles() finding {
	const wanted = 65536 // a call holds four UDP ports of the relay, a phone on TCP or TLS one connection
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return finding{"open files", less, err.Error(), ""}
	}
	f := finding{"open files", good, fmt.Sprintf("up to %d", limit.Max), ""}
	if limit.Max < wanted {
		f.state = less
		f.means = fmt.Sprintf("for about %d calls; more: ulimit -Hn, LimitNOFILE=", limit.Max/10)
	}
	return f
}

func examineIPv6() finding {
	if err := tryListen("udp", "[::1]:0"); err != nil {
		return finding{"IPv6", less, "none: " + err.Error(), "phones reach this machine by IPv4 only"}
	}
	return finding{"IPv6", good, "available", ""}
}

func examineConsul(ctx context.Context) finding {
	address := os.Getenv("CONSUL_HTTP_ADDR")
	if address == "" {
		address = "127.0.0.1:8500"
	}
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	f := finding{"Consul", less, "not reached at " + address, "one machine needs none"}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/v1/status/leader", nil)
	if err != nil {
		f.found = err.Error()
		return f
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return f
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return finding{"Consul", good, "answers at " + address, "this version does not use it yet"}
	}
	f.found = fmt.Sprintf("%s at %s", resp.Status, address)
	return f
}

func examinePostgreSQL() finding {
	found, err := exec.LookPath("postgres")
	if err != nil {
		if paths, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres"); len(paths) > 0 {
			found = paths[len(paths)-1]
		}
	}
	if found == "" {
		return finding{"PostgreSQL", less, "no server on this machine", "SQLite keeps the data of one machine; core's database: postgres://… may also be elsewhere"}
	}
	return finding{"PostgreSQL", good, found, ""}
}
