package main

import (
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/lindero/lindero/bpf/livegen"
)

// leave takes away what our relay left in force in the kernel when it ended.
func leave(s *street, binary, dir string) {
	pin := filepath.Join(dir, "bpf")
	for _, device := range []string{livegen.FarDevice, livegen.NearDevice} {
		// Nothing may be there, when it did not start.
		_ = exec.Command("nsenter", "--net="+s.left.Far, binary, "shield", "detach", device, "--pin", pin).Run()
	}
	_ = unix.Unmount(pin, 0)
}
