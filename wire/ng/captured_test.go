package ng

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// Captured dictionaries mean what the file says they mean.
func TestWhatKamailioSends(t *testing.T) {
	const file = "testdata/kamailio.txt"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var script, sent string
	n := 0
	for i, line := range strings.Split(string(text), "\n") {
		kind, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimLeft(rest, " ")
		switch kind {
		case "script":
			script = rest
		case "sends":
			if sent, err = strconv.Unquote(rest); err != nil {
				t.Fatalf("line %d: %v", i+1, err)
			}
		case "means":
			n++
			c, err := ParseCommand([]byte(sent))
			got := fmt.Sprintf("%s %q", c.Dict().AppendJSON(nil), c.Unsupported)
			if err != nil || got != rest {
				t.Errorf("%s:\ngot  %s %v\nwant %s", script, got, err, rest)
			}
		}
	}
	if n != 13 {
		t.Errorf("%d dictionaries", n)
	}
}
