package forward_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/lindero/lindero/relay/forward"
	"github.com/lindero/lindero/relay/forward/forwardtest"
)

// memory opens the one at path for the ports of the machine.
func memory(t *testing.T, path string, last uint16) (m *forward.Memory, kept bool) {
	t.Helper()
	m, kept, err := forward.OpenMemory(path, []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")}, 1, last)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m, kept
}

// counted is a leg over a memory that has counted so many packets, by Resume or Put.
func counted(t *testing.T, put func(u *forward.Userspace, l forward.Leg) error, packets int, options ...forward.Option) forward.Counts {
	t.Helper()
	u := start(t, nil, options...)
	a, b := forwardtest.Loopback{}.Peer(t, forwardtest.Place{}), forwardtest.Loopback{}.Peer(t, forwardtest.Place{})
	leg := forward.Leg{Local: netip.MustParseAddrPort("127.0.0.1:29998"), From: addr(a), Via: netip.MustParseAddrPort("127.0.0.1:29999"), To: addr(b)}
	for _, local := range []netip.AddrPort{leg.Local, leg.Via} {
		if err := u.Open(local); err != nil {
			t.Fatal(err)
		}
	}
	if err := put(u, leg); err != nil {
		t.Fatal(err)
	}
	for i := range packets {
		if _, err := a.WriteToUDPAddrPort(media(uint16(i)), leg.Local); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 2048)
		if _, _, err := b.ReadFromUDPAddrPort(got); err != nil {
			t.Fatal(err)
		}
	}
	c, err := u.Delete(leg.Local)
	if err != nil {
		t.Fatal(err)
	}
	for _, local := range []netip.AddrPort{leg.Local, leg.Via} {
		if err := u.Close(local); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// What was counted in a memory is there for who resumes, and for nobody else.
func TestMemoryOutlivesATable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "counts")
	m, kept := memory(t, path, 30000)
	if kept {
		t.Error("a new one has counts")
	}
	if c := counted(t, (*forward.Userspace).Put, 3, forward.WithMemory(m)); c.Packets != 3 {
		t.Errorf("%+v", c)
	}
	m.Close()
	m, kept = memory(t, path, 30000)
	if !kept {
		t.Error("the counts are gone")
	}
	if c := counted(t, (*forward.Userspace).Resume, 0, forward.WithMemoryOf(m)); c.Packets != 3 || c.Expected != 3 {
		t.Errorf("copied: %+v", c)
	}
	if c := counted(t, (*forward.Userspace).Resume, 2, forward.WithMemory(m)); c.Packets != 5 {
		t.Errorf("resumed: %+v", c)
	}
	if c := counted(t, (*forward.Userspace).Put, 1, forward.WithMemory(m)); c.Packets != 1 {
		t.Errorf("put: %+v", c)
	}
	m.Close()
	if _, kept := memory(t, path, 30001); kept {
		t.Error("the counts of other ports are taken for these")
	}
}

// A file that somebody else could have made or can change is not trusted.
func TestMemoryOfSomebodyElse(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"for all":   func(path string) error { return os.WriteFile(path, nil, 0o666) },
		"link":      func(path string) error { return os.Symlink(filepath.Join(filepath.Dir(path), "x"), path) },
		"directory": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		path := filepath.Join(t.TempDir(), "counts")
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		if name == "for all" {
			if err := os.Chmod(path, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if m, _, err := forward.OpenMemory(path, []netip.Addr{netip.MustParseAddr("127.0.0.1")}, 1, 2); err == nil {
			m.Close()
			t.Errorf("%s: it is taken", name)
		}
	}
}
