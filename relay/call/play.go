package call

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Digits are what is to be played.
type Digits struct {
	Codes    []uint8       // telephone events
	Duration time.Duration // of each; 0 is 250 ms
	Pause    time.Duration // between two; 0 is 100 ms
	Volume   uint8         // dB below full scale
}

const (
	maxDigits    = 32 // that wait to be played, of one party
	shortest     = 40 * time.Millisecond
	longest      = 5 * time.Second
	usual        = 250 * time.Millisecond
	usualPause   = 100 * time.Millisecond
	maxPlayers   = 1024 // at once; a relay is no announcement server
	longestPause = 5 * time.Second
)

// A played is a half that digits are played from.
type played struct {
	call   *Call
	fork   *fork
	stream *stream
	half   *half
}

// Play plays digits as if the selected parties had pressed them, to those they
// speak to. Run must run.
func (r *Registry) Play(sel Selection, d Digits) (warning string, err error) {
	c, picked, err := r.pick(sel)
	if err != nil {
		return "", err
	}
	defer c.mu.Unlock()
	if len(d.Codes) == 0 || len(d.Codes) > maxDigits {
		return "", fmt.Errorf("%d digits to play: from 1 to %d are", len(d.Codes), maxDigits)
	}
	heard := 0
	for _, p := range picked {
		for _, s := range p.fork.streams {
			h, other := s.halves[p.side], s.halves[1-p.side]
			if h == nil || s.kind != "audio" || other.events.clock == 0 || !other.rtp.to().IsValid() {
				continue
			}
			if err := r.play(c, p.fork, s, h, other, d); err != nil {
				return "", err
			}
			heard++
		}
	}
	if heard == 0 {
		return "", errors.New("nobody there takes telephone events")
	}
	return "", nil
}

// play adds digits to what is played from h to other.
func (r *Registry) play(c *Call, f *fork, s *stream, h, other *half, d Digits) error {
	clock := other.events.clock
	units := func(v time.Duration) uint32 { return uint32(uint64(v) * uint64(clock) / uint64(time.Second)) }
	fresh := h.player == nil
	p := h.player
	if fresh {
		p = &player{kind: other.events.first, clock: clock, step: units(tickEvery)}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.digits)+len(d.Codes) > maxDigits {
		return fmt.Errorf("more than %d digits wait to be played", maxDigits)
	}
	p.pause, p.volume = min(orElse(d.Pause, usualPause), longestPause), d.Volume&0x3f
	duration := min(units(min(max(orElse(d.Duration, usual), shortest), longest)), 0xffff)
	for _, code := range d.Codes {
		p.digits = append(p.digits, digit{code, duration})
	}
	if !fresh {
		return nil
	}
	if at, err := r.table.Counts(h.rtp.local); err == nil {
		p.heard = at.LastSeen
	}
	if err := r.enlist(played{c, f, s, h}); err != nil {
		return err
	}
	h.player = p
	return r.programme(c, f, s)
}

func orElse(d, usual time.Duration) time.Duration {
	if d <= 0 {
		return usual
	}
	return d
}

// enlist makes Run look after a player.
func (r *Registry) enlist(p played) error {
	r.playMu.Lock()
	defer r.playMu.Unlock()
	if len(r.playing) >= maxPlayers {
		return fmt.Errorf("digits are played in %d streams already", maxPlayers)
	}
	r.playing = append(r.playing, p)
	select {
	case r.wake <- struct{}{}:
	default: // it is awake
	}
	return nil
}

// Run plays what Play has begun, until ctx ends.
func (r *Registry) Run(ctx context.Context) error {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		busy := r.tick(time.Now())
		if !busy {
			tick.Stop()
			select {
			case <-r.wake:
				tick.Reset(tickEvery)
				continue
			case <-ctx.Done():
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// tick serves every player once and says whether any is left.
func (r *Registry) tick(now time.Time) bool {
	r.playMu.Lock()
	all := append([]played(nil), r.playing...)
	r.playMu.Unlock()
	left := all[:0]
	for _, p := range all {
		if !r.served(p, now) {
			left = append(left, p)
		}
	}
	r.playMu.Lock()
	defer r.playMu.Unlock()
	// Those enlisted meanwhile stand behind the ones we took.
	r.playing = append(left, r.playing[len(all):]...)
	return len(r.playing) > 0
}

// served serves one player, and takes it out of its stream when it is done. It
// says whether it is.
func (r *Registry) served(p played, now time.Time) bool {
	p.call.mu.Lock()
	defer p.call.mu.Unlock()
	player := p.half.player
	if player == nil || p.call.ended {
		return true
	}
	other := p.stream.halves[0]
	if other == p.half {
		other = p.stream.halves[1]
	}
	send := func(b []byte) error {
		if r.cfg.Send == nil || !other.rtp.to().IsValid() {
			return errors.New("nowhere to send")
		}
		return r.cfg.Send(other.rtp.local, other.rtp.to(), b)
	}
	if !player.tick(now, send) {
		return false
	}
	p.half.player = nil
	// A port that is not open any more has no packets to treat.
	_ = r.programme(p.call, p.fork, p.stream)
	return true
}
