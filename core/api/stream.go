package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"

	"github.com/danielgtaylor/huma/v2"
)

// maxStreams is how many may look on at once.
const maxStreams = 64

// streams are those who are told once a second.
type streams struct {
	mu  sync.Mutex // guards all
	all map[chan []byte]bool
}

func newStreams() *streams { return &streams{all: map[chan []byte]bool{}} }

// add makes a stream; false when there are too many.
func (s *streams) add() (chan []byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) >= maxStreams {
		return nil, false
	}
	c := make(chan []byte, 1)
	s.all[c] = true
	return c, true
}

func (s *streams) remove(c chan []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, c)
}

func (s *streams) any() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all) > 0
}

// event writes one event as it goes over the wire.
func event(stats Stats) []byte {
	text, err := json.Marshal(stats)
	if err != nil {
		text = []byte("{}") // numbers, times and words always marshal
	}
	return fmt.Appendf(nil, "event: stats\ndata: %s\n\n", text)
}

// tell gives the event to every stream; one that is slow misses it.
func (s *streams) tell(stats Stats) {
	text := event(stats)
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.all {
		select {
		case c <- text:
		default:
		}
	}
}

func (a *API) stream(ctx context.Context, _ *struct{}) (*huma.StreamResponse, error) {
	events, ok := a.streams.add()
	if !ok {
		return nil, huma.Error503ServiceUnavailable("as many look on as may")
	}
	call := callOf(ctx)
	return &huma.StreamResponse{Body: func(out huma.Context) {
		defer a.streams.remove(events)
		out.SetHeader("Content-Type", "text/event-stream")
		out.SetHeader("Cache-Control", "no-store")
		out.SetStatus(http.StatusOK)
		for text := event(a.stats(statsSources)); ; {
			call.patience(writeLimit)
			if _, err := out.BodyWriter().Write(text); err != nil {
				return
			}
			if err := call.control.Flush(); err != nil {
				return
			}
			select {
			case text = <-events:
			case <-ctx.Done():
				return
			}
			if !call.still() {
				return // the token was taken back
			}
		}
	}}, nil
}
