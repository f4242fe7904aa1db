package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"golang.org/x/sys/unix"

	"github.com/lindero/lindero/core/store"
	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/wire/sip/digest"
)

// The floods a border must stand: from everywhere in the blocks that labs may use.
const (
	floodRate    = 1_000_000
	floodPayload = "OPTIONS sip:100@198.51.100.10 SIP/2.0\r\nVia: SIP/2.0/UDP 198.18.0.1:5060;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: 1@b\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
	crewDomain   = "flood.lindero.test"
	crewPassword = "a-password-of-the-lab"
)

// Ten phones go on as if nothing were: five that were registered before and go on
// registering and being called, and five that nobody has seen, over and over again.
func TestPhonesWorkDuringAFloodOfAMillionPacketsASecond(t *testing.T) {
	for name, from := range map[string]string{"IPv4": "198.18.0.0/15", "IPv6": "2001:db8::/32"} {
		t.Run(name, func(t *testing.T) {
			f := newFloodLab(t, "devices: eth0\nshield: {mode: native, pin: %s/bpf}")
			f.crews(t, 75*time.Second)
			before := f.counters(t)
			flood := f.flood(t, netip.MustParsePrefix(from))
			f.await(t)
			packets, rate := flood.Stop(t)
			after := f.counters(t)
			t.Logf("%d packets of flood, %.0f a second; counted %v", packets, rate, less(after, before))
			f.judge(t, 0.001)
			if passed := after["passed"] - before["passed"]; passed > packets/50 {
				t.Errorf("%d packets passed of a flood of %d", passed, packets)
			}
			if n := after["unclassified"]; n > 0 {
				t.Errorf("%d packets were judged by nothing", n)
			}
			if rate < floodRate/5 {
				t.Errorf("the flood had %.0f packets a second only; that shows nothing", rate)
			}
		})
	}
}

// The counterpart, which shows what the shield is worth. It asserts no more than
// that it was measured.
func TestPhonesDuringAFloodWithoutAShield(t *testing.T) {
	f := newFloodLab(t, "shield: {mode: off}")
	f.server.Run("ethtool", "-K", "eth0", "gro", "on")
	f.crews(t, 20*time.Second)
	flood := f.flood(t, netip.MustParsePrefix("198.18.0.0/15"))
	f.await(t)
	packets, rate := flood.Stop(t)
	t.Logf("%d packets of flood, %.0f a second, and no shield", packets, rate)
	f.judge(t, 1)
}

// A floodLab is a server with a border on it and two hosts with five phones each.
type floodLab struct {
	*Lab
	server, residents, newcomers *Host
	border                       *Process
	data                         string
	processes                    []*Process
}

const floodConfig = `
role: up
data: %[1]s
sip: 198.51.100.10:5060
sips: 198.51.100.10:5061
core: {digest: [MD5]}
`

// newFloodLab starts a border whose configuration ends with more, in which %s is
// the data directory.
func newFloodLab(t *testing.T, more string) *floodLab {
	t.Helper()
	l := New(t)
	f := &floodLab{Lab: l, server: l.Server("server", serverAddr), data: t.TempDir()}
	f.residents = l.Server("residents", netip.MustParseAddr("203.0.113.11"))
	f.newcomers = l.Server("newcomers", netip.MustParseAddr("203.0.113.129"))
	for n := byte(12); n <= 15; n++ {
		f.residents.Also(netip.AddrFrom4([4]byte{203, 0, 113, n}))
	}
	for n := byte(130); n < 254; n++ {
		f.newcomers.Also(netip.AddrFrom4([4]byte{203, 0, 113, n}))
	}
	f.found(t)
	f.countries(t)
	f.mountBPF(t)
	if strings.Contains(more, "%s") {
		more = fmt.Sprintf(more, f.data)
	}
	file := filepath.Join(f.data, "up.yaml")
	if err := os.WriteFile(file, []byte(fmt.Sprintf(floodConfig, f.data)+more+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.border = Start(t, "lindero", f.server.Command(context.WithoutCancel(t.Context()), binary, "up", "--config", file))
	f.border.Await(Served, 1, 30*time.Second)
	return f
}

// found makes a company with ten users, before lindero makes one with two.
func (f *floodLab) found(t *testing.T) {
	t.Helper()
	s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(f.data, "lindero.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	founding := store.Founding{
		Brand:   tenancy.Brand{Name: "lab"},
		Company: tenancy.Company{Name: "lab", Domain: crewDomain, RingTime: 30 * time.Second},
	}
	for i := range 10 {
		number := userOf(i)
		founding.Members = append(founding.Members, store.Member{
			User: tenancy.User{Name: "User " + number}, Number: number,
			Terminal: tenancy.Terminal{
				Username: number,
				HA1MD5:   digest.HA1(digest.MD5, number, crewDomain, crewPassword),
				HA1SHA:   digest.HA1(digest.SHA256, number, crewDomain, crewPassword),
			},
		})
	}
	if _, err := s.Platform().Found(t.Context(), founding); err != nil {
		t.Fatal(err)
	}
}

// countries writes a small database that places the lab's addresses.
func (f *floodLab) countries(t *testing.T) {
	t.Helper()
	w, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "Lab-Country", RecordSize: 24, IncludeReservedNetworks: true, DisableIPv4Aliasing: true})
	if err != nil {
		t.Fatal(err)
	}
	for prefix, code := range map[string]string{"203.0.113.0/24": "ES", "198.51.100.0/24": "PT", "198.18.0.0/15": "NL", "2001:db8::/32": "SE"} {
		_, network, err := net.ParseCIDR(prefix)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Insert(network, mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String(code)}}); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.Create(filepath.Join(f.data, "countries.mmdb"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := w.WriteTo(file); err != nil {
		t.Fatal(err)
	}
}

// mountBPF mounts a BPF file system for the shield's pins. It is unmounted after
// the border has ended; the filter goes with its device.
func (f *floodLab) mountBPF(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("ethtool"); err != nil {
		t.Skip("ethtool is not installed; make tools does that")
	}
	dir := filepath.Join(f.data, "bpf")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("bpf", dir, "bpf", 0, ""); err != nil {
		t.Skipf("a BPF file system cannot be mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
}

// crews starts the phones and waits until the residents are registered. Resident i
// is called by newcomer i.
func (f *floodLab) crews(t *testing.T, life time.Duration) {
	t.Helper()
	residents := crew{Server: netip.AddrPortFrom(serverAddr, 5060), Domain: crewDomain, Password: crewPassword, Life: life}
	newcomers := residents
	newcomers.Life -= 5 * time.Second // so that their last calls find somebody
	for i := range 5 {
		r := member{User: userOf(i), Tone: 440 + 20*float64(i), Expect: 880 + 40*float64(i)}
		n := member{User: userOf(i + 5), Tone: r.Expect, Expect: r.Tone, Call: r.User}
		r.Addresses = []netip.Addr{netip.AddrFrom4([4]byte{203, 0, 113, byte(11 + i)})}
		for a := 130 + i; a < 254; a += 5 {
			n.Addresses = append(n.Addresses, netip.AddrFrom4([4]byte{203, 0, 113, byte(a)}))
		}
		residents.Phones, newcomers.Phones = append(residents.Phones, r), append(newcomers.Phones, n)
	}
	f.start(t, f.residents, residents).Await(crewReady, 1, 60*time.Second)
	f.start(t, f.newcomers, newcomers)
}

func userOf(i int) string { return fmt.Sprint(101 + i) }

// start runs a crew in a process of its own on its host.
func (f *floodLab) start(t *testing.T, on *Host, c crew) *Process {
	t.Helper()
	plan, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := on.Command(context.WithoutCancel(t.Context()), self, "-test.run=^TestCrew$", "-test.count=1")
	cmd.Env = append(os.Environ(), crewVariable+"="+string(plan))
	p := Start(t, on.Name, cmd)
	f.processes = append(f.processes, p)
	return p
}

func (f *floodLab) flood(t *testing.T, from netip.Prefix) *Flood {
	t.Helper()
	at := netip.AddrPortFrom(serverAddr, 5060)
	if from.Addr().Is6() {
		// Only the shield sees it: the server has no such address, which does not
		// make it cheaper.
		at = netip.AddrPortFrom(netip.MustParseAddr("2001:db8:ffff::10"), 5060)
	}
	return f.Flood(t, f.server, at, from, floodRate, floodPayload)
}

// await waits until both crews have gone home.
func (f *floodLab) await(t *testing.T) {
	t.Helper()
	for _, p := range f.processes {
		if err := p.Wait(4 * time.Minute); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
}

// judge counts what went well and what did not, by kind.
func (f *floodLab) judge(t *testing.T, mayFail float64) {
	t.Helper()
	good, bad, all := map[string]int{}, map[string]int{}, 0
	slowest := map[string]time.Duration{}
	failed := 0
	for _, p := range f.processes {
		for line := range strings.Lines(p.Output()) {
			text, ok := strings.CutPrefix(line, crewMark)
			if !ok {
				continue
			}
			var o operation
			if err := json.Unmarshal([]byte(text), &o); err != nil {
				t.Fatalf("%s: %q: %v", p.Name, line, err)
			}
			all++
			slowest[o.What] = max(slowest[o.What], o.Took)
			if o.Failed == "" {
				good[o.What]++
				continue
			}
			bad[o.What]++
			if failed++; failed <= 20 {
				t.Logf("%s: %s failed after %v: %s", o.Phone, o.What, o.Took.Round(time.Millisecond), o.Failed)
			}
		}
	}
	t.Logf("%d operations, %d failed: good %v, bad %v, slowest %v", all, failed, good, bad, slowest)
	if mayFail >= 1 {
		return
	}
	if all < 1000 || good["first registration"] < 50 || good["sound at the called"] < 50 || good["sound at the caller"] < 50 {
		t.Errorf("too little happened to say anything: %v", good)
	}
	if float64(failed) > mayFail*float64(all) {
		t.Errorf("%d of %d operations failed: %v", failed, all, bad)
	}
}

// counters are the packets by verdict since the shield is there, as it says itself.
func (f *floodLab) counters(t *testing.T) map[string]uint64 {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(f.data, "control.sock"))
		},
	}}
	defer client.CloseIdleConnections()
	r, err := client.Get("http://guard/top")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("the shield's counters: %s: %.300s %v", r.Status, text, err)
	}
	var top struct {
		Counters []struct {
			Verdict string `json:"verdict"`
			Packets uint64 `json:"packets"`
		} `json:"counters"`
	}
	if err := json.Unmarshal(text, &top); err != nil {
		t.Fatalf("the shield's counters: %v: %.300s", err, text)
	}
	sum := map[string]uint64{}
	for _, c := range top.Counters {
		sum[c.Verdict] += c.Packets
	}
	return sum
}

func less(after, before map[string]uint64) map[string]uint64 {
	d := map[string]uint64{}
	for verdict, n := range after {
		if n > before[verdict] {
			d[verdict] = n - before[verdict]
		}
	}
	return d
}
