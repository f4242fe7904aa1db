package forward

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/lindero/lindero/bpf"
)

// The kernel's program counts in the same memory.
func TestTrackLayout(t *testing.T) {
	if ours, theirs := layout(reflect.TypeFor[Track]()), layout(reflect.TypeFor[bpf.Track]()); ours != theirs {
		t.Errorf("Track %s\nbpf.Track %s", ours, theirs)
	}
}

func layout(kind reflect.Type) string {
	if kind.Kind() != reflect.Struct {
		return kind.String()
	}
	s := fmt.Sprintf("%d {", kind.Size())
	for i := range kind.NumField() {
		f := kind.Field(i)
		s += fmt.Sprintf(" %s at %d: %s", strings.ToLower(f.Name), f.Offset, layout(f.Type))
	}
	return s + " }"
}
