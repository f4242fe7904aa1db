package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"

	"github.com/lindero/lindero/bpf/livegen"
)

// A contender is a way to drop packets at the far end of a wire. start puts it in
// force and returns what takes it away again.
type contender struct {
	name  string
	start func(w *livegen.Wire) (guard, error)
}

// A guard is a contender in force.
type guard struct {
	stop func() error
	// seen tells how many packets ended how, for a look at whether all contenders
	// did the same work.
	seen func() (string, error)
}

// What every contender enforces: the budget of a source that nobody knows, and how
// many sources are remembered.
const (
	sipPort = 5060
	rate    = 5
	burst   = 20
	tracked = 1 << 18
)

// bare drops everything in the driver: what sending and receiving alone cost.
func bare() contender {
	return contender{"bare drop", func(w *livegen.Wire) (guard, error) {
		drop, err := w.Drop()
		if err != nil {
			return guard{}, err
		}
		return guard{stop: drop.Close, seen: func() (string, error) { return "all dropped", nil }}, nil
	}}
}

// nftables judges at the netdev ingress hook, the first place it can. What it would
// let in is dropped by the next rule, so it never pays for the stack.
func nftables(denied []netip.Prefix) contender {
	rules := fmt.Sprintf(`table netdev peer {
	set countries { type ipv4_addr; flags interval; elements = { %s } }
	set sources { type ipv4_addr; flags dynamic,timeout; timeout 60s; size %d; }
	chain in { type filter hook ingress device %s priority 0; policy accept;
		ip saddr @countries counter drop
		udp dport %d add @sources { ip saddr limit rate over %d/second burst %d packets } counter drop
		counter drop
	}
}
`, join(denied), tracked, livegen.FarDevice, sipPort, rate, burst)
	return contender{"nftables", func(w *livegen.Wire) (guard, error) {
		if err := withGRO(w); err != nil {
			return guard{}, err
		}
		if err := feed(w, rules, "nft", "-f", "-"); err != nil {
			return guard{}, err
		}
		return guard{
			stop: func() error { return feed(w, "", "nft", "flush", "ruleset") },
			seen: func() (string, error) {
				out, err := w.Command("nft", "list", "chain", "netdev", "peer", "in").Output()
				return lines(string(out), "counter"), err
			},
		}, nil
	}}
}

// ipset judges in iptables' raw table: countries by a set, sources by hashlimit.
func ipset(denied []netip.Prefix) contender {
	var set strings.Builder
	fmt.Fprintf(&set, "create countries hash:net family inet hashsize 65536 maxelem 1000000\n")
	for _, p := range denied {
		fmt.Fprintf(&set, "add countries %s\n", p)
	}
	// The rules of the older kernel interface: the newer one is nftables again.
	rules := fmt.Sprintf(`*raw
-A PREROUTING -m set --match-set countries src -j DROP
-A PREROUTING -p udp --dport %d -m hashlimit --hashlimit-above %d/sec --hashlimit-burst %d --hashlimit-mode srcip --hashlimit-htable-size 65536 --hashlimit-htable-max %d --hashlimit-name sip -j DROP
-A PREROUTING -i %s -j DROP
COMMIT
`, sipPort, rate, burst, tracked, livegen.FarDevice)
	return contender{"ipset + hashlimit", func(w *livegen.Wire) (guard, error) {
		if err := withGRO(w); err != nil {
			return guard{}, err
		}
		g := guard{
			stop: func() error {
				return errors.Join(feed(w, "", "iptables-legacy", "-t", "raw", "-F"), feed(w, "", "ipset", "destroy"))
			},
			seen: func() (string, error) {
				out, err := w.Command("iptables-legacy", "-t", "raw", "-L", "PREROUTING", "-v", "-x", "-n").Output()
				return lines(string(out), "DROP"), err
			},
		}
		if err := feed(w, set.String(), "ipset", "restore"); err != nil {
			return guard{}, err
		}
		if err := feed(w, rules, "iptables-legacy-restore"); err != nil {
			return guard{}, errors.Join(err, g.stop())
		}
		return g, nil
	}}
}

// withGRO makes the far device take in what is sent without an XDP program on it.
func withGRO(w *livegen.Wire) error {
	return feed(w, "", "ethtool", "-K", livegen.FarDevice, "gro", "on")
}

// dropRest drops what a contender in the driver lets up, so that all of them end
// there and no packet of the load reaches the stack.
func dropRest(w *livegen.Wire) error {
	return feed(w, "table inet rest {\n\tchain in { type filter hook prerouting priority raw; policy drop; }\n}\n", "nft", "-f", "-")
}

// feed runs a program at the far end with text as its input.
func feed(w *livegen.Wire, text, name string, args ...string) error {
	c := w.Command(name, args...)
	c.Stdin = strings.NewReader(text)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %.300s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

func join(list []netip.Prefix) string {
	words := make([]string, len(list))
	for i, p := range list {
		words[i] = p.String()
	}
	return strings.Join(words, ",")
}

// lines picks those that hold word, on one line.
func lines(text, word string) string {
	var picked []string
	for l := range strings.Lines(text) {
		if strings.Contains(l, word) {
			picked = append(picked, strings.Join(strings.Fields(l), " "))
		}
	}
	return strings.Join(picked, "; ")
}

// missing names the tools that are not installed.
func missing() (names []string) {
	for _, tool := range []string{"ip", "nft", "ethtool", "nsenter", "ipset", "iptables-legacy", "iptables-legacy-restore"} {
		if _, err := exec.LookPath(tool); err != nil {
			names = append(names, tool)
		}
	}
	return names
}
