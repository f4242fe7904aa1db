package e2e

import (
	"fmt"
	"os"
	"testing"

	"github.com/lindero/lindero/e2e/lab"
)

// binary is the lindero under test, built once by TestMain.
var binary string

func TestMain(m *testing.M) {
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "lindero-e2e-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if binary, err = lab.Build(dir); err != nil {
		return 0, err
	}
	return m.Run(), nil
}
