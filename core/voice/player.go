package voice

import (
	"context"
	"time"
)

// A frame is 20 ms of G.711.
const (
	frameTime = 20 * time.Millisecond
	frameSize = 160
	tail      = 10 // frames between the last word and the end
)

// enlist lets a session speak from the next tick on.
func (e *Engine) enlist(s *Session) {
	e.mu.Lock()
	e.playing[s] = struct{}{}
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// play is the clock of all who speak. Ticks are counted from one moment, so that
// a late wake-up is made good by the next and nothing drifts.
func (e *Engine) play(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-e.wake:
		case <-ctx.Done():
			return
		}
		start := time.Now()
		for tick := time.Duration(1); e.tick(); tick++ {
			timer.Reset(time.Until(start.Add(tick * frameTime)))
			select {
			case <-timer.C:
			case <-ctx.Done():
				return
			}
		}
	}
}

// tick lets everybody say one frame; it is false when nobody is left.
func (e *Engine) tick() bool {
	e.mu.Lock()
	all := make([]*Session, 0, len(e.playing))
	for s := range e.playing {
		all = append(all, s)
	}
	e.mu.Unlock()
	for _, s := range all {
		if s.say() {
			continue
		}
		e.mu.Lock()
		delete(e.playing, s)
		e.mu.Unlock()
		if s.events.Ended != nil {
			s.events.Ended()
		}
	}
	return len(all) > 0
}

// say sends the next frame. Who is on hold, or has given no address yet, misses
// nothing: the words wait. It is false when all was said.
func (s *Session) say() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out.Timestamp += frameSize
	st := s.stream
	to, ok := s.target()
	if st == nil || !st.send || !ok {
		s.out.Marker = true
		return !s.closed
	}
	words := greeting
	if st.codec == pcma {
		words = s.e.alaw
	}
	end := min(s.said+frameSize, len(words))
	if s.said >= len(words) {
		s.said += frameSize
		return s.said < len(words)+tail*frameSize && !s.closed
	}
	s.out.Sequence++
	s.out.PayloadType = st.payload
	packet := append(s.out.Append(s.buf[:0]), words[s.said:end]...)
	s.said = end
	s.out.Marker = false
	s.write(packet, to)
	return !s.closed
}
