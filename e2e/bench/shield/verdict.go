package main

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// A verdictCost is what the kernel says of one million runs of the whole judge over
// a frame, and of a program that does nothing but return.
type verdictCost struct{ overEmpty, empty float64 }

// verdictRound runs the kernel program's own benchmark (BPF_PROG_TEST_RUN, so that
// no packet exists) and returns its figures by name.
func verdictRound(ctx context.Context, say func(string, ...any)) (map[string]verdictCost, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkVerdict$", "-benchtime", "1x", "./bpf")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("the judge's benchmark: %w: %.500s", err, out)
	}
	costs := map[string]verdictCost{}
	lines := bufio.NewScanner(strings.NewReader(string(out)))
	for lines.Scan() {
		name, cost, ok := verdictLine(lines.Text())
		if ok {
			costs[name] = cost
			say("%-18s %-30s %+5.0f ns over an empty program's %.0f", "verdict", name, cost.overEmpty, cost.empty)
		}
	}
	if len(costs) == 0 {
		return nil, fmt.Errorf("the judge's benchmark says nothing: %.500s", out)
	}
	return costs, nil
}

// verdictLine reads "BenchmarkVerdict/1000_sources-2  1  22.0 empty  61.0 net  70.0 over-empty".
func verdictLine(line string) (name string, c verdictCost, ok bool) {
	f := strings.Fields(line)
	if len(f) < 4 {
		return "", c, false
	}
	name, ok = strings.CutPrefix(f[0], "BenchmarkVerdict/")
	if !ok {
		return "", c, false
	}
	if i := strings.LastIndexByte(name, '-'); i > 0 {
		name = name[:i]
	}
	found := 0
	for i := 2; i+1 < len(f); i += 2 {
		v, err := strconv.ParseFloat(f[i], 64)
		if err != nil {
			return "", c, false
		}
		switch f[i+1] {
		case "net":
			c.overEmpty = v
			found++
		case "empty":
			c.empty = v
			found++
		}
	}
	return strings.ReplaceAll(name, "_", " "), c, found == 2
}
