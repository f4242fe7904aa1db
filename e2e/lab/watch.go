package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// A Tally is what a counter of Watch has counted.
type Tally struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"` // from the IP header on
}

// Watch counts the host's packets as its kernel meets them, before any socket and
// whoever sent them: counters by name, each with what nft matches packets by. Those
// whose name begins with "to " are of packets that leave, all others of such that
// arrive. It may be called once.
func (h *Host) Watch(counters map[string]string) {
	h.lab.t.Helper()
	var decls, in, out strings.Builder
	for i, name := range slices.Sorted(maps.Keys(counters)) {
		fmt.Fprintf(&decls, "counter c%d { comment %q; }\n", i, name)
		chain := &in
		if strings.HasPrefix(name, "to ") {
			chain = &out
		}
		fmt.Fprintf(chain, "%s counter name c%d\n", counters[name], i)
	}
	h.nft(fmt.Sprintf("table inet watch {\n%schain in { type filter hook prerouting priority -300;\n%s}\nchain out { type filter hook postrouting priority 300;\n%s}\n}",
		decls.String(), in.String(), out.String()))
}

// Watched is what Watch has counted so far.
func (h *Host) Watched() map[string]Tally {
	h.lab.t.Helper()
	var list struct {
		Nftables []struct {
			Counter *struct {
				Tally
				Comment string `json:"comment"`
			} `json:"counter"`
		} `json:"nftables"`
	}
	if err := json.Unmarshal([]byte(h.Run("nft", "-j", "list", "counters", "table", "inet", "watch")), &list); err != nil {
		h.lab.t.Fatalf("%s: nft: %v", h.Name, err)
	}
	all := map[string]Tally{}
	for _, o := range list.Nftables {
		if o.Counter != nil {
			all[o.Counter.Comment] = o.Counter.Tally
		}
	}
	return all
}

// Rings gives both ends of the host's wire the receive ring that frames want which
// an XDP program has sent.
func (h *Host) Rings() {
	h.lab.t.Helper()
	h.Run("ethtool", "-K", "eth0", "gro", "on")
	h.lab.inet.Run("ethtool", "-K", h.lab.towards(h.lab.t, h.Addr), "gro", "on")
}

// Forwards lets the host's kernel route packets, which its forwarding in XDP wants.
func (h *Host) Forwards() { h.sysctl("net.ipv4.ip_forward", "1") }

// Dial connects from inside the host.
func (h *Host) Dial(ctx context.Context, network, address string) (c net.Conn, err error) {
	err = h.In(func() error {
		c, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// Get fetches a page of a server inside the host.
func (h *Host) Get(t testing.TB, url string) string {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DialContext: h.Dial, DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
