package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/phone"
	"github.com/lindero/lindero/phone/audio"
	"github.com/lindero/lindero/phone/trial"
)

// answeringPhone answers every call and plays hz.
func answeringPhone(t *testing.T, hz float64, cfg phone.Config) string {
	t.Helper()
	cfg.Manners.Answer = true
	cfg.Sound = func() audio.Source { return audio.NewTone(audio.DefaultLevel, hz) }
	p, err := phone.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- p.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
	return p.Addr().String()
}

func TestDialSaysHowTheCallWent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		hz     float64
		callee phone.Config
		args   []string
		why    string // part of the error; "" for none
	}{
		"an echo's tone":           {hz: 440},
		"a greeting's":             {hz: 523},
		"the expected tone":        {hz: 880, args: []string{"--expect-tone", "880"}},
		"any sound":                {hz: 500, args: []string{"--expect-tone", "0"}},
		"another tone":             {hz: 880, args: []string{"--expect-tone", "440"}, why: "heard 880 Hz, not the expected 440 Hz"},
		"no sound":                 {hz: 440, callee: phone.Config{Manners: phone.Manners{NoMedia: true}}, why: "no audio heard"},
		"busy":                     {callee: phone.Config{Manners: phone.Manners{Busy: true}}, why: "busy (486"},
		"no server with that name": {args: []string{"--server", "nowhere.invalid"}, why: "where is nowhere.invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			record := filepath.Join(t.TempDir(), "heard.wav")
			args := append([]string{"dial", "sip:600@example.test", "--from", "sip:101@example.test", "--for", "800ms",
				"--server", answeringPhone(t, c.hz, c.callee), "--record", record, "--json"}, c.args...)
			var out, errs bytes.Buffer
			err := run(context.Background(), args, &out, &errs)
			if c.why != "" {
				if err == nil || !strings.Contains(err.Error(), c.why) {
					t.Errorf("got %v, want %q", err, c.why)
				}
				return
			}
			var r trial.Result
			if jerr := json.Unmarshal(out.Bytes(), &r); err != nil || jerr != nil || !r.OK || r.Received < 30 {
				t.Errorf("got %v, %v, %s", err, jerr, &out)
			}
			if heard, err := audio.Load(record); err != nil || len(heard) < audio.Rate/2 {
				t.Errorf("the recording: %d samples, %v", len(heard), err)
			}
			if errs.Len() > 0 {
				t.Errorf("what is no terminal is told %q", &errs)
			}
		})
	}
}

func TestDialPrintsATable(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	args := []string{"dial", "600", "--from", "sip:101@example.test", "--for", "500ms", "--server", answeringPhone(t, 440, phone.Config{})}
	if err := run(context.Background(), args, &out, new(bytes.Buffer)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"set-up", "PCMU", "440 Hz", "MOS", "jitter", "0 lost"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

// The demo's sheet names server, user and password.
func TestDialReadsTheDemo(t *testing.T) {
	t.Parallel()
	text := fmt.Appendf(nil, `{"domain": "demo.test", "edge": %q, "users": [{"extension": "101", "username": "101", "password": "secret"}], "echo": "600"}`,
		answeringPhone(t, 440, phone.Config{}))
	path := filepath.Join(t.TempDir(), "demo.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"dial", "600", "--demo", path, "--as", "101", "--for", "500ms"}
	if err := run(context.Background(), args, new(bytes.Buffer), new(bytes.Buffer)); err != nil {
		t.Error(err)
	}
	err := run(context.Background(), []string{"dial", "600", "--demo", path, "--as", "109"}, new(bytes.Buffer), new(bytes.Buffer))
	if !errors.As(err, new(usageError)) {
		t.Errorf("a user the demo lacks: %v", err)
	}
}

func TestDialUsage(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"dial",
		"dial 1 2",
		"dial 1 --answer",
		"dial 1 --frm x",
		"dial 1",
		"dial 1 --from 101",
		"dial 1 --from sip:101@example.test --transport ws",
		"dial 1 --from sip:101@example.test --tone 5000",
		"dial 1 --from sip:101@example.test --play /does/not/exist.wav",
		"dial 1 --demo /does/not/exist.json",
		"dial 1 --for long",
		"dial 1 --for -1s --from sip:101@example.test --server 127.0.0.1",
	} {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		err := run(ctx, strings.Fields(line), new(bytes.Buffer), new(bytes.Buffer))
		cancel()
		if !errors.As(err, new(usageError)) {
			t.Errorf("%s: %v, want a usage error", line, err)
		}
	}
}
