package audio_test

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/phone/audio"
)

var update = flag.Bool("update", false, "write what the judge says into testdata")

// TestJudge mixes the sounds each file describes and asks the judge about them.
//
//	1s                      length of the recording
//	200ms 800ms tone 440 -12    from, to, what
//	0s 1s noise -30
//	clip -6                 everything beyond this level is cut
//	ask 440 880
func TestJudge(t *testing.T) {
	files, err := filepath.Glob("testdata/judge/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sentence, rest, _ := strings.Cut(string(text), "--- in\n")
			in, want, _ := strings.Cut(rest, "--- out\n")
			got := describe(mix(t, in))
			if *update {
				if err := os.WriteFile(file, []byte(sentence+"--- in\n"+in+"--- out\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("%sgot:\n%swant:\n%s", sentence, got, want)
			}
		})
	}
}

// mix makes the recording a recipe describes, and the frequencies it asks about.
func mix(t *testing.T, recipe string) (samples []int16, ask []float64) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	for line := range strings.Lines(recipe) {
		word := strings.Fields(line)
		switch {
		case len(word) == 1:
			samples = make([]int16, index(t, word[0]))
		case word[0] == "ask":
			for _, w := range word[1:] {
				ask = append(ask, number(t, w))
			}
		case word[0] == "clip":
			limit := math.MaxInt16 * math.Pow(10, number(t, word[1])/20)
			for i, s := range samples {
				samples[i] = int16(max(-limit, min(limit, float64(s))))
			}
		case word[2] == "tone":
			part := samples[index(t, word[0]):index(t, word[1])]
			add := make([]int16, len(part))
			audio.NewTone(number(t, word[4]), number(t, word[3])).Fill(add)
			for i := range part {
				part[i] = int16(max(math.MinInt16, min(math.MaxInt16, int(part[i])+int(add[i]))))
			}
		case word[2] == "noise":
			// White noise of the same power as a sine of that level.
			deviation := math.MaxInt16 * math.Pow(10, number(t, word[3])/20) / math.Sqrt2
			for i := index(t, word[0]); i < index(t, word[1]); i++ {
				samples[i] = int16(max(math.MinInt16, min(math.MaxInt16, float64(samples[i])+deviation*random.NormFloat64())))
			}
		default:
			t.Fatalf("recipe line %q", line)
		}
	}
	return samples, ask
}

func describe(samples []int16, ask []float64) string {
	var b strings.Builder
	for _, v := range audio.Judge(samples, ask...) {
		if !v.Heard {
			fmt.Fprintf(&b, "%g not heard\n", v.Hz)
			continue
		}
		fmt.Fprintf(&b, "%g heard %v-%v share %.2f level %.1f", v.Hz, v.From, v.To, v.Share, v.Level)
		for _, g := range v.Gaps {
			fmt.Fprintf(&b, " gap %v-%v", g.From, g.To)
		}
		b.WriteString("\n")
	}
	if hz, ok := audio.Dominant(samples); ok {
		fmt.Fprintf(&b, "strongest %g\n", hz)
	} else {
		b.WriteString("no tone\n")
	}
	fmt.Fprintf(&b, "loud %.2f\n", audio.Loud(samples))
	return b.String()
}

func index(t *testing.T, s string) int {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return int(d * audio.Rate / time.Second)
}

func number(t *testing.T, s string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
