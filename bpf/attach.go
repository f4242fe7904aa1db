package bpf

import (
	"fmt"

	"github.com/cilium/ebpf"
)

func (s *Shield) attach(_ *ebpf.CollectionSpec, o Options) error {
	return fmt.Errorf("bpf: attaching to %s: %w", o.Device, ErrNotHere)
}
