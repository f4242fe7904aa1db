package audio_test

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/lindero/lindero/phone/audio"
)

// record plays a source for d.
func record(s audio.Source, d time.Duration) []int16 {
	samples := make([]int16, int(d*audio.Rate/time.Second))
	for at := 0; at < len(samples); at += audio.Frame {
		s.Fill(samples[at:min(len(samples), at+audio.Frame)])
	}
	return samples
}

func TestDelayOfEcho(t *testing.T) {
	marked := audio.NewMarked(audio.NewTone(audio.DefaultLevel, 440))
	sent := record(marked, 7*time.Second)
	other := record(audio.NewMarked(audio.NewTone(audio.DefaultLevel, 440)), 3*time.Second)
	silent := make([]int16, 300*audio.Rate/1000)
	for name, c := range map[string]struct {
		heard []int16
		begin time.Duration // when the first heard sample was heard
		want  time.Duration
		ok    bool
	}{
		"at once":                        {heard: sent, want: 0, ok: true},
		"after 35 ms":                    {heard: sent, begin: 35 * time.Millisecond, want: 35 * time.Millisecond, ok: true},
		"silence first":                  {heard: slices.Concat(silent, sent), want: 300 * time.Millisecond, ok: true},
		"the first marker was not heard": {heard: sent[audio.Rate:], begin: 1080 * time.Millisecond, want: 80 * time.Millisecond, ok: true},
		"another's tone":                 {heard: record(audio.NewTone(-12, 440), 3*time.Second)},
		"another's marker":               {heard: other},
		"nothing":                        {},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := marked.Delay(c.heard, c.begin)
			if ok != c.ok || (got-c.want).Abs() > time.Millisecond {
				t.Errorf("Delay = %v, %v; want %v, %v", got, ok, c.want, c.ok)
			}
		})
	}
}

// A marked tone must still pass the judge as the tone it marks.
func TestMarkedToneIsHeard(t *testing.T) {
	v := audio.Judge(record(audio.NewMarked(audio.NewTone(-12, 440)), 2*time.Second), 440)[0]
	if !v.Heard || v.Share < 1 || len(v.Gaps) > 0 {
		t.Errorf("heard %v, share %.2f, gaps %v; the marker hides the tone", v.Heard, v.Share, v.Gaps)
	}
}

// Figures of the E-model that are published: R 93.2 is MOS 4.41.
func TestMOS(t *testing.T) {
	for name, c := range map[string]struct {
		delay time.Duration
		loss  float64
		want  float64
	}{
		"perfect":              {0, 0, 4.41},
		"150 ms":               {150 * time.Millisecond, 0, 4.33},
		"400 ms":               {400 * time.Millisecond, 0, 3.03},
		"1 % lost":             {0, 0.01, 3.84},
		"everything lost":      {0, 1, 1},
		"one second and lossy": {time.Second, 0.3, 1},
	} {
		if got := audio.MOS(c.delay, c.loss); math.Abs(got-c.want) > 0.05 {
			t.Errorf("%s: MOS %.2f, want %.2f", name, got, c.want)
		}
	}
}

func TestWAVComesBack(t *testing.T) {
	tone := record(audio.NewTone(-6, 440, 880), 100*time.Millisecond)
	var b bytes.Buffer
	if err := audio.WriteWAV(&b, tone); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{"a.wav": b.Bytes(), "a.raw": b.Bytes()[44:]} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := audio.Load(path)
		if err != nil || !slices.Equal(got, tone) {
			t.Errorf("%s: %d samples, %v; want %d", name, len(got), err, len(tone))
		}
	}
	stereo := bytes.Clone(b.Bytes())
	stereo[22] = 2
	for name, data := range map[string][]byte{"stereo": stereo, "no samples": b.Bytes()[:36], "text": []byte("hello"), "nothing": nil} {
		if _, err := audio.ParseWAV(data); !errors.Is(err, audio.ErrFormat) {
			t.Errorf("%s: %v, want ErrFormat", name, err)
		}
	}
}

func FuzzParseWAV(f *testing.F) {
	var b bytes.Buffer
	if err := audio.WriteWAV(&b, []int16{1, 2, 3}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		samples, err := audio.ParseWAV(data)
		if err == nil && 2*len(samples) > len(data) {
			t.Errorf("%d samples out of %d bytes", len(samples), len(data))
		}
	})
}

func TestLoop(t *testing.T) {
	got := make([]int16, 7)
	audio.NewLoop([]int16{1, 2, 3}).Fill(got)
	if want := []int16{1, 2, 3, 1, 2, 3, 1}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	audio.NewLoop(nil).Fill(got)
	if !slices.Equal(got, make([]int16, 7)) {
		t.Errorf("a loop of nothing plays %v", got)
	}
}
