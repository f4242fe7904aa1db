package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lindero/lindero/e2e/bench/process"
)

const domain = "bench.lindero.test"

// A contender is a running SIP service under test.
type contender struct {
	name  string
	port  int           // where phones send
	group process.Group // whose CPU and memory count
	stop  func()
}

// startKamailio runs the peer: one worker, its faster allocator.
func startKamailio(ctx context.Context, dir string, port int) (*contender, error) {
	b, err := testdata.ReadFile("testdata/kamailio.cfg")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "kamailio.cfg")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(b), "@PORT@", fmt.Sprint(port))), 0o644); err != nil {
		return nil, err
	}
	p, stop, err := process.Start(filepath.Join(dir, "kamailio.log"), "kamailio", "-f", file, "-DD", "-m", "1024", "-M", "32",
		"-x", "fm", "-X", "fm", "-P", filepath.Join(dir, "kamailio.pid"), "-w", dir, "-Y", dir)
	if err != nil {
		return nil, err
	}
	c := &contender{name: "kamailio", port: port, group: process.Group{p}, stop: stop}
	if err := process.Await(ctx, "kamailio", func() bool { return udpTaken(port) }); err != nil {
		stop()
		return nil, err
	}
	return c, nil
}

// startLindero runs edge, core and relay as three processes, as an operator
// would. The relay is in every call's path; Kamailio anchors no media, so the
// relay's CPU is not counted, while the edge's talk with it is.
func startLindero(ctx context.Context, binary, dir string, port, users int) (*contender, error) {
	if err := seed(ctx, filepath.Join(dir, "bench.db"), users); err != nil {
		return nil, fmt.Errorf("seed: %w", err)
	}
	// All load comes from one address, which a shield would take for a flood; what it
	// costs is measured in e2e/bench/shield.
	noShield := map[string]any{"mode": "off"}
	configs := map[string]map[string]any{
		"relay": {"id": "r1", "ng": addr(port + 3), "external": "127.0.0.1", "internal": "127.0.0.1", "media_ports": "20000-59999",
			"shield":    noShield,
			"port_rest": "1s"}, // hundreds of calls of 0.2 s a second would otherwise wait for ports
		"core": {"sip": addr(port + 2), "database": "sqlite:" + filepath.Join(dir, "bench.db"), "media": "127.0.0.1",
			"media_ports": "41000-41099", "key_file": filepath.Join(dir, "core.key"), "http": "off",
			"digest": []string{"MD5"}}, // sipp gives up at SHA-256, and Kamailio is asked for MD5 too,
		"edge": {"name": "e1", "sip": addr(port), "inside": addr(port + 1), "core": []string{addr(port + 2)},
			"relays": []any{map[string]any{"id": "r1", "ng": addr(port + 3)}}, "key_file": filepath.Join(dir, "edge.key"),
			"shield": noShield},
	}
	c := &contender{name: "lindero", port: port}
	var stops []func()
	c.stop = func() {
		for _, s := range stops {
			s()
		}
	}
	for i, role := range []string{"relay", "core", "edge"} {
		health := addr(port + 10 + i)
		configs[role]["role"], configs[role]["metrics"] = role, health
		b, err := json.Marshal(configs[role])
		if err != nil {
			return nil, err
		}
		file := filepath.Join(dir, role+".yaml")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			return nil, err
		}
		p, stop, err := process.Start(filepath.Join(dir, role+".log"), binary, role, "--config", file)
		if err != nil {
			c.stop()
			return nil, err
		}
		stops = append([]func(){stop}, stops...)
		if role != "relay" {
			c.group = append(c.group, p)
		}
		if err := process.Await(ctx, "lindero "+role, func() bool { return healthy(health) }); err != nil {
			c.stop()
			return nil, err
		}
	}
	return c, nil
}

func addr(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func healthy(addr string) bool {
	client := http.Client{Timeout: time.Second}
	r, err := client.Get("http://" + addr + "/readyz")
	if err != nil {
		return false
	}
	r.Body.Close()
	return r.StatusCode == http.StatusOK
}

func udpTaken(port int) bool {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err == nil {
		c.Close()
		return false
	}
	return true
}
