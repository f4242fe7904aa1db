package shield

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

const (
	maxControlBody = 1 << 16
	defaultTop     = 20
	controlLinger  = 2 * time.Second // for requests under way at the end
)

// Status is what the control socket says of the guard.
type Status struct {
	Node          string         `json:"node"`
	Role          string         `json:"role"`
	Mode          string         `json:"mode"`
	Reason        string         `json:"reason"`
	Devices       []string       `json:"devices,omitempty"`
	PolicyVersion uint64         `json:"policy_version"`
	PolicyNote    string         `json:"policy_note,omitempty"`
	Table         *geo.Info      `json:"table,omitempty"` // absent: countries are off
	Core          string         `json:"core,omitempty"`
	CoreHeard     *time.Time     `json:"core_heard,omitempty"` // absent: never
	CoreFault     string         `json:"core_fault,omitempty"` // "": it answers
	CoreAhead     float64        `json:"core_ahead,omitzero"`  // seconds by which core's clock is ahead of this machine's
	Bans          int            `json:"bans"`
	Sources       map[string]int `json:"sources"` // by class
}

// Status is what there is to say of the guard now.
func (g *Guard) Status() Status {
	v := g.force.Load().version
	c := g.ledger.census(time.Now())
	at := g.post.Load()
	s := Status{
		Node: g.node, Role: g.role, Mode: at.mode, Reason: at.reason, Devices: g.cfg.Devices,
		PolicyVersion: v.Number, PolicyNote: v.Note, Core: g.cfg.Core, Bans: c.bans,
		Sources: map[string]int{policy.Known.String(): c.known, policy.Registered.String(): c.registered},
	}
	if t := g.table.Load(); t != nil {
		info := t.Info()
		s.Table = &info
	}
	s.CoreAhead = g.contact.coreAhead().Ahead().Seconds()
	heard, fault := g.contact.state()
	if s.CoreFault = fault; !heard.IsZero() {
		s.CoreHeard = &heard
	}
	return s
}

// serveControl answers lindero shield on this machine until ctx ends.
func (g *Guard) serveControl(ctx context.Context) error {
	server := &http.Server{Handler: g.control(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		linger, cancel := context.WithTimeout(context.WithoutCancel(ctx), controlLinger)
		defer cancel()
		if server.Shutdown(linger) != nil {
			server.Close()
		}
	})
	err := server.Serve(g.socket)
	if !stop() {
		<-done
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("shield: control socket: %w", err)
}

// listenControl opens the socket for its owner alone. One that a process left
// behind is taken over, one that is in use is not.
func listenControl(path string) (net.Listener, error) {
	if at, err := os.Lstat(path); err == nil {
		if at.Mode().Type() != fs.ModeSocket {
			return nil, fmt.Errorf("shield: control: %s is no socket", path)
		}
		if c, err := net.Dial("unix", path); err == nil {
			c.Close()
			return nil, fmt.Errorf("shield: control: another process answers at %s", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("shield: control: %w", err)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("shield: control: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("shield: control: %w", err)
	}
	return l, nil
}

// A mount is what another part of the process answers at the control socket.
type mount struct {
	pattern string
	handler http.Handler
}

// Mount has h answer what pattern says (http.ServeMux) at the control socket, whoever
// may ask there. It comes before Run.
func (g *Guard) Mount(pattern string, h http.Handler) {
	g.mounted = append(g.mounted, mount{pattern, h})
}

// control is what the socket answers.
func (g *Guard) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, g.Status()) })
	mux.HandleFunc("GET /explain", g.controlExplain)
	mux.HandleFunc("GET /bans", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, g.Bans()) })
	mux.HandleFunc("POST /bans", g.controlBan)
	mux.HandleFunc("DELETE /bans/{prefix...}", g.controlLift)
	mux.HandleFunc("GET /top", g.controlTop)
	for _, m := range g.mounted {
		mux.Handle(m.pattern, m.handler)
	}
	return mux
}

func (g *Guard) controlExplain(w http.ResponseWriter, r *http.Request) {
	a, err := netip.ParseAddr(r.FormValue("address"))
	if err != nil {
		refuse(w, http.StatusBadRequest, fmt.Errorf("address: %w", err))
		return
	}
	service := policy.SIP
	if s := r.FormValue("service"); s != "" {
		if service, err = policy.ParseService(s); err != nil {
			refuse(w, http.StatusBadRequest, err)
			return
		}
	}
	say(w, http.StatusOK, g.Explain(a, service))
}

// A BanRequest is the body of POST /bans: how long, or until when.
type BanRequest struct {
	Prefix string          `json:"prefix"` // or an address
	Reason string          `json:"reason"`
	For    policy.Duration `json:"for,omitzero"`
	Until  time.Time       `json:"until,omitzero"`
	By     string          `json:"by,omitempty"`
}

func (g *Guard) controlBan(w http.ResponseWriter, r *http.Request) {
	var q BanRequest
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxControlBody))
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	p, err := parsePrefix(q.Prefix)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	if (q.For > 0) == !q.Until.IsZero() {
		refuse(w, http.StatusBadRequest, errors.New("wants one of for and until"))
		return
	}
	now := time.Now()
	b := protocol.Ban{Prefix: p, Reason: q.Reason, Since: now, Until: q.Until, By: q.By, Proven: true}
	if q.For > 0 {
		b.Until = now.Add(time.Duration(q.For))
	}
	if err := g.Ban(b); err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (g *Guard) controlLift(w http.ResponseWriter, r *http.Request) {
	p, err := parsePrefix(r.PathValue("prefix"))
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	was, err := g.Lift(p)
	switch {
	case err != nil:
		refuse(w, http.StatusBadRequest, err)
	case !was:
		refuse(w, http.StatusNotFound, fmt.Errorf("%v is not banned", p))
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func (g *Guard) controlTop(w http.ResponseWriter, r *http.Request) {
	limit := defaultTop
	if s := r.FormValue("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			refuse(w, http.StatusBadRequest, fmt.Errorf("limit: %q is no number above 0", s))
			return
		}
		limit = n
	}
	top, err := g.Top(limit)
	if err != nil {
		refuse(w, http.StatusInternalServerError, err)
		return
	}
	say(w, http.StatusOK, top)
}

// parsePrefix reads a prefix, or an address as the source it is of.
func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = clean(a)
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.ParsePrefix(s)
}

func say(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The asker may have gone; there is nobody else to tell.
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, status int, err error) {
	say(w, status, map[string]string{"error": err.Error()})
}
