package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lindero/lindero/bpf"
	"github.com/lindero/lindero/relay"
	"github.com/lindero/lindero/wire/ng"
)

// relayConfig is what the file at path, of a relay or of lindero up, makes of a relay
// and the devices it forwards by.
func relayConfig(path string) (relay.Config, []string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return relay.Config{}, nil, fmt.Errorf("reading the configuration: %w", err)
	}
	switch role, _ := roleOf(text); role {
	case "relay":
		f := relayFile()
		err := decodeConfig(path, text, f)
		return f.Config.Role, f.Config.Shield.Devices, err
	case "up":
		f, err := readUp(path, text, nil)
		if err != nil {
			return relay.Config{}, nil, err
		}
		return f.Relay, f.Shield.Devices, nil
	}
	return relay.Config{}, nil, fmt.Errorf("%s: doctor knows files of a relay and of lindero up", path)
}

// examineRelay looks at what a relay of this configuration needs.
func examineRelay(ctx context.Context, cfg relay.Config, devices []string) []finding {
	findings := examineNG(ctx, cfg)
	secure := false
	for _, l := range cfg.NGListen {
		secure = secure || l.Scheme == "tls" || l.Scheme == "https"
	}
	if secure {
		findings = append(findings, examineCertificates(cfg.NGTLS, time.Now())...)
	}
	for _, a := range cfg.Binds() {
		findings = append(findings, examineAddress(a))
	}
	findings = append(findings,
		examineEphemeral(cfg.MediaPorts, readText("/proc/sys/net/ipv4/ip_local_port_range"), readText("/proc/sys/net/ipv4/ip_local_reserved_ports")),
		examineMediaFiles(cfg),
	)
	if len(devices) == 0 {
		return append(findings, finding{"forwarding", less, "by user space", "no devices are named: shield.devices has the kernel repeat packets of settled calls"})
	}
	for _, d := range devices {
		findings = append(findings, forwardFinding(d, bpf.ProbeForward), routeFinding("/proc/sys/net", d, cfg.Binds()))
		if driver(d) == "veth" {
			findings = append(findings, finding{"device " + d, less, "veth", "what XDP sends by it arrives only if its other end has XDP, or GRO: ethtool -K PEER gro on"})
		}
	}
	return findings
}

// examineNG tries the places where commands are taken. A relay that runs has them.
func examineNG(ctx context.Context, cfg relay.Config) []finding {
	runs := pings(ctx, cfg.NG)
	findings := []finding{ngFinding("udp", "relay control", cfg.NG, runs)}
	for _, l := range cfg.NGListen {
		findings = append(findings, ngFinding("tcp", "relay control, "+l.Scheme, l.Address, runs))
	}
	return findings
}

func ngFinding(network, what string, at netip.AddrPort, runs bool) finding {
	err := tryListen(network, at.String())
	switch {
	case err == nil:
		return finding{what, good, network + " " + at.String() + " is free", ""}
	case runs && errors.Is(err, syscall.EADDRINUSE):
		return finding{what, good, network + " " + at.String() + " is open; a relay answers here already", ""}
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return finding{what, wrong, at.Addr().String() + " is no address of this machine", "ng and ng_listen take addresses that ip addr shows"}
	}
	found := err.Error()
	if who := holder(network, at); who != "" {
		found = fmt.Sprintf("%s %v is taken by %s", network, at, who)
	}
	return finding{what, wrong, found, "stop it, or choose another with ng or ng_listen"}
}

// pings says whether a relay answers at a.
func pings(ctx context.Context, a netip.AddrPort) bool {
	client, err := ng.NewClient(a, ng.ClientConfig{Deadline: 500 * time.Millisecond})
	if err != nil {
		return false
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- client.Run(ctx) }()
	answered := make(chan bool, 1)
	client.Do(ng.Command{Name: ng.Ping}, func(r ng.Reply, err error) { answered <- err == nil && r.Result == ng.ResultPong })
	yes := <-answered
	stop()
	<-ended // nothing of it matters any more
	return yes
}

// soon is when a certificate that ends is told of.
const soon = 14 * 24 * time.Hour

// examineCertificates looks at the files of ng_tls.
func examineCertificates(c relay.NGTLS, now time.Time) []finding {
	const what, advice = "certificate", "nobody can speak to the relay by tls or https: ng_tls.cert and ng_tls.key"
	pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return []finding{{what, wrong, err.Error(), advice}, authorities(c.ClientCA, now)}
	}
	return []finding{validity(what, c.Cert, pair.Leaf, now), authorities(c.ClientCA, now)}
}

// authorities looks at who signs the certificates of those who may speak.
func authorities(path string, now time.Time) finding {
	f := finding{"client authority", wrong, "", "nobody is known by certificate: ng_tls.client_ca"}
	text, err := os.ReadFile(path)
	if err != nil {
		f.found = err.Error()
		return f
	}
	best := f
	best.found = "no certificate in " + path
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if block.Type != "CERTIFICATE" || err != nil {
			continue
		}
		if v := validity(f.what, path, cert, now); best.state == wrong {
			best = v
		}
	}
	return best
}

// validity is the finding about one certificate's time.
func validity(what, path string, c *x509.Certificate, now time.Time) finding {
	f := finding{what, good, path + " is good until " + c.NotAfter.Format(time.DateOnly), ""}
	switch {
	case now.After(c.NotAfter):
		f.state, f.found, f.means = wrong, path+" was good until "+c.NotAfter.Format(time.DateOnly), "renew it; a relay that runs reads the new file by itself"
	case now.Before(c.NotBefore):
		f.state, f.found, f.means = wrong, path+" is good from "+c.NotBefore.Format(time.DateOnly), "is this machine's clock right?"
	case c.NotAfter.Sub(now) < soon:
		f.state, f.means = less, "renew it soon; a relay that runs reads the new file by itself"
	}
	return f
}

func examineAddress(a netip.Addr) finding {
	f := finding{"media address", good, a.String(), ""}
	if err := tryListen("udp", net.JoinHostPort(a.String(), "0")); err != nil {
		f.state, f.found, f.means = wrong, err.Error(), "external, internal and interfaces take addresses that ip addr shows; what phones see instead stands behind a !"
	}
	return f
}

// examineMediaFiles compares the limit of open files with a socket for each port.
func examineMediaFiles(cfg relay.Config) finding {
	ports := (int(cfg.MediaPorts.High) - int(cfg.MediaPorts.Low) + 1) * len(cfg.Binds())
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return finding{"open files of media", less, err.Error(), "whether all ports can be lent cannot be told"}
	}
	return filesFinding(ports, limit.Max, capable(unix.CAP_SYS_RESOURCE))
}

func filesFinding(ports int, most uint64, raises bool) finding {
	const besides = 256 // of the relay, that are no media
	f := finding{"open files of media", good, fmt.Sprintf("up to %d, for %d media ports", most, ports), ""}
	if most < uint64(ports+besides) && !raises {
		f.state = less
		f.means = fmt.Sprintf("calls are refused before all ports are lent: LimitNOFILE=%d, or ulimit -Hn", ports+besides)
	}
	return f
}

// forwardFinding is what probe says of repeating packets of a device.
func forwardFinding(device string, probe func(string) (bpf.Mode, string)) finding {
	mode, reason := probe(device)
	reason, _, _ = strings.Cut(reason, "user space sends") // routeFinding says that
	f := finding{"forwarding on " + device, less, string(mode), strings.TrimSuffix(reason, "; ")}
	switch mode {
	case bpf.Native:
		f.state = good
	case bpf.Generic:
		f.means = sentence(f.means, "it works, at some three times the price")
	case bpf.TCX:
		f.means = sentence(f.means, "it works, at some seven times the price")
	default:
		f.found, f.means = "by user space", sentence(f.means, "all calls work, at more CPU for each packet")
	}
	return f
}

func sentence(parts ...string) string {
	var said []string
	for _, p := range parts {
		if p != "" {
			said = append(said, p)
		}
	}
	return strings.Join(said, "; ")
}

// routeFinding looks in the settings under dir whether the kernel routes what comes by
// a device, of the families that media has: else it tells the program of no way out.
func routeFinding(dir, device string, media []netip.Addr) finding {
	off := map[string]bool{}
	for _, a := range media {
		family := "ipv4"
		if a.Is6() {
			family = "ipv6"
		}
		if strings.TrimSpace(readText(filepath.Join(dir, family, "conf", device, "forwarding"))) != "1" {
			off[family] = true
		}
	}
	f := finding{"routing on " + device, good, "on", ""}
	if len(off) == 0 {
		return f
	}
	var want []string
	for _, family := range []string{"ipv4", "ipv6"} {
		if off[family] {
			want = append(want, fmt.Sprintf("sysctl -w net.%s.conf.%s.forwarding=1", family, strings.ReplaceAll(device, ".", "/")))
		}
	}
	f.state, f.found = less, "off"
	f.means = "the kernel's program asks the routing table, which answers only where routing is on; until then user space sends: " +
		strings.Join(want, "; ") + " (and let the firewall's forward chain drop, unless this is a router)"
	return f
}

// driver is the name of a device's driver, "" when it cannot be told.
func driver(device string) string {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	info, err := unix.IoctlGetEthtoolDrvinfo(fd, device)
	if err != nil {
		return ""
	}
	return unix.ByteSliceToString(info.Driver[:])
}
