package relay

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

const (
	usualLimit = 100
	maxBody    = 1 << 12
)

// A DrainRequest is the body of POST /relay/drain. Its zero value drains without an
// end.
type DrainRequest struct {
	Undrain  bool      `json:"undrain,omitempty"` // take new calls again
	Deadline time.Time `json:"deadline,omitzero"`
}

// Handler answers what operators ask a relay, under /relay/. Whoever serves it lets
// only operators in.
func (r *Relay) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /relay/status", func(w http.ResponseWriter, _ *http.Request) { say(w, r.Status()) })
	mux.HandleFunc("GET /relay/sessions", r.handleSessions)
	mux.HandleFunc("GET /relay/worst", func(w http.ResponseWriter, q *http.Request) {
		if limit, ok := limitIn(w, q); ok {
			say(w, r.Worst(limit))
		}
	})
	mux.HandleFunc("POST /relay/drain", r.handleDrain)
	return mux
}

func (r *Relay) handleSessions(w http.ResponseWriter, q *http.Request) {
	limit, ok := limitIn(w, q)
	if !ok {
		return
	}
	id := q.FormValue("call")
	all := r.Sessions(id, limit)
	if id != "" && len(all) == 0 {
		refuse(w, http.StatusNotFound, fmt.Errorf("no call %q is at this relay", id))
		return
	}
	say(w, all)
}

func (r *Relay) handleDrain(w http.ResponseWriter, q *http.Request) {
	var d DrainRequest
	body := json.NewDecoder(http.MaxBytesReader(w, q.Body, maxBody))
	body.DisallowUnknownFields()
	err := body.Decode(&d)
	if err == nil && !d.Deadline.IsZero() && !time.Now().Before(d.Deadline) {
		err = errors.New("deadline: has passed")
	}
	switch {
	case err != nil:
		refuse(w, http.StatusBadRequest, err)
		return
	case d.Undrain:
		r.Undrain()
	default:
		r.Drain(d.Deadline)
	}
	say(w, r.Status())
}

// limitIn reads how much is asked for.
func limitIn(w http.ResponseWriter, q *http.Request) (limit int, ok bool) {
	text := q.FormValue("limit")
	if text == "" {
		return usualLimit, true
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		refuse(w, http.StatusBadRequest, fmt.Errorf("limit: %q is no number above 0", text))
		return 0, false
	}
	return n, true
}

func say(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	// The asker may have gone; there is nobody else to tell.
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
}
