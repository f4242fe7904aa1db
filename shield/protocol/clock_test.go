package protocol

import (
	"testing"
	"time"
)

func TestAClocksCorrectionIsSteady(t *testing.T) {
	now := time.Now()
	b := Ban{Since: now, Until: now.Add(time.Hour)}
	var c Clock
	for i, step := range []struct {
		ahead, want time.Duration
		wrong       bool
	}{
		{0, 0, false}, {1900 * time.Millisecond, 0, false}, {10*time.Second + 300*time.Millisecond, 10 * time.Second, true},
		{10*time.Second + 900*time.Millisecond, 10 * time.Second, true}, {9200 * time.Millisecond, 10 * time.Second, true},
		{-time.Hour, -time.Hour, true}, {time.Second, 0, false}, {-1500 * time.Millisecond, 0, false},
	} {
		c.Heard(now.Add(step.ahead), now)
		c.Heard(time.Time{}, now) // says nothing
		if got := b.Since.Sub(c.Ours(b).Since); got != step.want || b.Until.Sub(c.Ours(b).Until) != step.want || c.Wrong() != step.wrong || c.Ahead() != step.ahead {
			t.Errorf("step %d: %v ahead is corrected by %v, want %v; wrong %v", i, step.ahead, got, step.want, c.Wrong())
		}
	}
}
