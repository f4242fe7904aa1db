package bpf

// pins are where a filter's maps and link outlive their process.
type pins struct{}

func (*pins) current() bool { return true }
