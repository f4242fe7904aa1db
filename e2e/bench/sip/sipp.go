package main

import (
	"context"
	"embed"
	"encoding/csv"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lindero/lindero/e2e/bench/process"
)

//go:embed testdata
var testdata embed.FS

// The addresses of the phones: callers, and those that are called. The called
// phones register from the very socket on which they are called later.
const (
	callerPort = 17070
	calledPort = 17060
)

// A load is one run of sipp against a contender.
type load struct {
	scenario string // a file of testdata, without .xml
	port     int    // our side's port
	target   int    // the contender's port
	rate     int    // per second
	count    int
	users    string // CSV file
}

// An outcome is what sipp saw.
type outcome struct {
	ok, failed, retransmissions int
	p50, p99                    time.Duration // request to final answer
}

// run drives one load to its end.
func (l load) run(ctx context.Context, dir string) (outcome, error) {
	dir, err := os.MkdirTemp(dir, l.scenario)
	if err != nil {
		return outcome{}, err
	}
	scenario, err := extract(dir, l.scenario+".xml")
	if err != nil {
		return outcome{}, err
	}
	stat := filepath.Join(dir, "stat.csv")
	limit := time.Duration(l.count/l.rate+40) * time.Second
	ctx, cancel := context.WithTimeout(ctx, limit+10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sipp", "-sf", scenario, "-i", "127.0.0.1", "-p", strconv.Itoa(l.port), "-inf", l.users,
		"-r", strconv.Itoa(l.rate), "-m", strconv.Itoa(l.count), "-l", strconv.Itoa(max(6000, 3*l.rate)),
		"-trace_stat", "-stf", stat, "-fd", "1", "-trace_rtt", "-rtt_freq", "200", "-nostdin", "-buff_size", "4000000",
		"-recv_timeout", "20000", "-timeout", fmt.Sprintf("%ds", int(limit.Seconds())), fmt.Sprintf("127.0.0.1:%d", l.target))
	cmd.Dir = dir
	out, runErr := cmd.CombinedOutput() // sipp's code is 1 when a call failed; the statistics say so better
	o, err := readStat(stat)
	if err != nil {
		return o, fmt.Errorf("sipp %s: %v: %w\n%s", l.scenario, runErr, err, tail(out))
	}
	rtts, _ := filepath.Glob(filepath.Join(dir, "*rtt*.csv"))
	o.p50, o.p99 = quantiles(rtts)
	return o, nil
}

// answer starts the phones that are called; stop ends them.
func answer(dir string) (stop func(), err error) {
	scenario, err := extract(dir, "uas.xml")
	if err != nil {
		return nil, err
	}
	_, stop, err = process.Start(filepath.Join(dir, "uas.log"), "sipp", "-sf", scenario, "-i", "127.0.0.1", "-p", strconv.Itoa(calledPort),
		"-nostdin", "-timeout", "600s", "-buff_size", "4000000")
	return stop, err
}

func extract(dir, name string) (string, error) {
	b, err := testdata.ReadFile("testdata/" + name)
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, name)
	return file, os.WriteFile(file, b, 0o644)
}

// readStat reads the last line of sipp's statistics.
func readStat(file string) (outcome, error) {
	f, err := os.Open(file)
	if err != nil {
		return outcome{}, err
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma, r.FieldsPerRecord = ';', -1
	rows, err := r.ReadAll()
	if err != nil || len(rows) < 2 {
		return outcome{}, fmt.Errorf("no statistics (%v)", err)
	}
	last := rows[len(rows)-1]
	value := func(name string) int {
		i := slices.Index(rows[0], name)
		if i < 0 || i >= len(last) {
			return 0
		}
		n, _ := strconv.Atoi(last[i])
		return n
	}
	return outcome{ok: value("SuccessfulCall(C)"), failed: value("FailedCall(C)"), retransmissions: value("Retransmissions(C)")}, nil
}

// quantiles reads sipp's response times, whose clock moves in steps of some ms.
func quantiles(files []string) (p50, p99 time.Duration) {
	var ms []float64
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Split(strings.TrimSpace(line), ";")
			if len(f) < 3 || f[2] != "setup" {
				continue
			}
			if v, err := strconv.ParseFloat(f[1], 64); err == nil {
				ms = append(ms, v)
			}
		}
	}
	if len(ms) == 0 {
		return 0, 0
	}
	slices.Sort(ms)
	at := func(q float64) time.Duration {
		return time.Duration(ms[min(len(ms)-1, int(float64(len(ms))*q))] * float64(time.Millisecond))
	}
	return at(0.5), at(0.99)
}

func tail(b []byte) string { return string(b[max(0, len(b)-400):]) }
