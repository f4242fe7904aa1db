package lab

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// Build builds the lindero of this source tree and returns the path of the binary,
// which every user may run.
func Build(dir string) (string, error) {
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "lindero")
	_, here, _, _ := runtime.Caller(0)
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Dir = filepath.Join(filepath.Dir(here), "..", "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building lindero: %w\n%s", err, out)
	}
	return binary, nil
}

// Served is the end of what `lindero up` prints; SIP is served before it does.
const Served = "Ctrl-C ends it"

// A Demo is DATA/demo.json.
type Demo struct {
	Domain   string     `json:"domain"`
	Edge     string     `json:"edge"`
	Users    []DemoUser `json:"users"`
	Echo     string     `json:"echo"`
	Greeting string     `json:"greeting"`
	API      string     `json:"api"`                 // base URL of core's HTTP
	Operator string     `json:"operator_token_file"` // who has what it holds may use all of it
}

// A DemoUser is an account of the demo.
type DemoUser struct {
	Extension string `json:"extension"`
	Username  string `json:"username"`
	Password  string `json:"password"`
}

// ReadDemo reads the sheet of a data directory.
func ReadDemo(t testing.TB, dir string) (d Demo) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "demo.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatalf("demo.json: %v\n%s", err, text)
	}
	return d
}

// User finds an account by its extension.
func (d Demo) User(t testing.TB, extension string) DemoUser {
	t.Helper()
	for _, u := range d.Users {
		if u.Extension == extension {
			return u
		}
	}
	t.Fatalf("demo.json has no user %s: %+v", extension, d)
	return DemoUser{}
}

// Nobody is the user and group without any privilege.
const Nobody = 65534

// DataDir makes an empty directory that an unprivileged lindero may write to.
func DataDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lindero-data-") // not t.TempDir: its parents may shut Nobody out
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // what is left lies in the system's temporary directory
	if os.Getuid() == 0 {
		if err := os.Chown(dir, Nobody, Nobody); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
