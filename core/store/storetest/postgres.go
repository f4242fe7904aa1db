package storetest

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A Postgres is a PostgreSQL server of one test's own, reached by a socket file
// in its own folder, so that any number can run side by side.
type Postgres struct {
	dir string
	bin string
	as  *syscall.Credential // nil: who we are
	n   int
}

// StartPostgres starts a server and stops it with the test. The test is skipped
// when the machine has no server binary, and only then.
func StartPostgres(t testing.TB) *Postgres {
	t.Helper()
	p := &Postgres{bin: postgresBin(t)}
	var err error
	if p.dir, err = os.MkdirTemp("", "lindero-pg-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(p.dir) })
	if os.Geteuid() == 0 {
		p.dropRoot(t)
	}
	data := filepath.Join(p.dir, "data")
	p.run(t, "initdb", "-D", data, "-U", "lindero", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8")
	p.Start(t)
	t.Cleanup(func() { p.Stop(t) })
	return p
}

// Start starts the server again after Stop.
func (p *Postgres) Start(t testing.TB) {
	t.Helper()
	p.run(t, "pg_ctl", "-D", filepath.Join(p.dir, "data"), "-w", "-l", filepath.Join(p.dir, "log"), "-o",
		"-c listen_addresses='' -k "+p.dir+" -c fsync=off -c full_page_writes=off", "start")
}

// Stop ends the server at once, as a crash would.
func (p *Postgres) Stop(t testing.TB) {
	t.Helper()
	p.run(t, "pg_ctl", "-D", filepath.Join(p.dir, "data"), "-m", "immediate", "-w", "stop")
}

// Fresh makes an empty database and returns its URL.
func (p *Postgres) Fresh(t testing.TB) string {
	t.Helper()
	p.n++
	name := fmt.Sprintf("db%d", p.n)
	p.run(t, "createdb", "-h", p.dir, "-U", "lindero", name)
	return fmt.Sprintf("postgres://lindero@/%s?host=%s", name, p.dir)
}

// postgresBin is the folder of the newest server's programs: on the PATH, or
// where Debian keeps them.
func postgresBin(t testing.TB) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is well formed
	best, bin := -1, ""
	for _, f := range found {
		dir := filepath.Dir(f)
		if v, err := strconv.Atoi(filepath.Base(filepath.Dir(dir))); err == nil && v > best {
			best, bin = v, dir
		}
	}
	if bin != "" {
		return bin
	}
	f, err := exec.LookPath("initdb")
	if err != nil {
		t.Skip("skipped: no PostgreSQL server on this machine (initdb is neither on the PATH nor in /usr/lib/postgresql)")
	}
	return filepath.Dir(f)
}

// dropRoot makes the server run as the user postgres, because it refuses to run as root.
func (p *Postgres) dropRoot(t testing.TB) {
	t.Helper()
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatalf("PostgreSQL does not run as root, and there is no user postgres: %v", err)
	}
	uid, errU := strconv.Atoi(u.Uid)
	gid, errG := strconv.Atoi(u.Gid)
	if errU != nil || errG != nil {
		t.Fatalf("the user postgres is %s:%s", u.Uid, u.Gid)
	}
	if err := os.Chown(p.dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	p.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func (p *Postgres) run(t testing.TB, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(p.bin, name), args...)
	cmd.Dir = p.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.as}
	// The server would inherit a pipe and keep it open: what is said goes to a file.
	out, err := os.CreateTemp(p.dir, name)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(out.Name()) // if it cannot be read, the error alone is shown
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, said)
	}
}
