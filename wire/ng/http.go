package ng

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"
)

const (
	httpType      = "application/x-rtpengine-ng"
	httpTypePlain = "application/json"
)

// ServeHTTP answers as rtpengine's listen-http does: POST /ng takes a message with
// its cookie, POST /ng-plain a dictionary alone, GET /ping says pong, and a
// WebSocket on any path speaks the subprotocol ng.rtpengine.com (messages) or
// ng-plain.rtpengine.com (dictionaries). A page in somebody's browser may not.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !native(r) {
		http.Error(w, "not for web pages", http.StatusForbidden)
		return
	}
	switch {
	case r.Header.Get("Upgrade") != "":
		s.serveWebSocket(w, r)
	case r.Method == http.MethodGet && r.URL.Path == "/ping":
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, "pong")
	case r.URL.Path != "/ng" && r.URL.Path != "/ng-plain":
		http.NotFound(w, r)
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "POST a command", http.StatusMethodNotAllowed)
	default:
		s.servePost(w, r)
	}
}

// native says whether r comes from a program rather than from a page that a
// browser has loaded from elsewhere: browsers name the page's origin. A page whose
// name was made to lead here would name itself, so only an origin that is our own
// literal address counts, as some WebSocket libraries send it. Whoever shows a
// certificate is known anyway.
func native(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	_, err = netip.ParseAddr(u.Hostname())
	return err == nil && u.Hostname() == host
}

func (s *Server) servePost(w http.ResponseWriter, r *http.Request) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != httpType && kind != httpTypePlain {
		http.Error(w, "Content-Type must be "+httpType+" or "+httpTypePlain, http.StatusUnsupportedMediaType)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxDatagram))
	if err != nil {
		status := http.StatusBadRequest
		var long *http.MaxBytesError
		if errors.As(err, &long) {
			status = http.StatusRequestEntityTooLarge
		}
		s.stats.malformed.Add(1)
		http.Error(w, http.StatusText(status), status)
		return
	}
	from, _ := netip.ParseAddrPort(r.RemoteAddr)
	back := make(httpSink, 1)
	j := job{from: from, message: message(body), plain: r.URL.Path == "/ng-plain", back: back}
	if s.worker(j) == nil {
		release(j.message)
		s.stats.malformed.Add(1)
		http.Error(w, ErrNoCookie.Error(), http.StatusBadRequest)
		return
	}
	if !s.give(r.Context(), j) {
		http.Error(w, "closing", http.StatusServiceUnavailable)
		return
	}
	select {
	case reply := <-back:
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write(reply)
	case <-s.done:
		http.Error(w, "closing", http.StatusServiceUnavailable)
	case <-r.Context().Done():
	}
}

// An httpSink takes the one reply of a request.
type httpSink chan []byte

func (h httpSink) longest() int { return maxReply }

func (h httpSink) send(b []byte, _ netip.AddrPort) { h <- append([]byte(nil), b...) }

// ServeWeb serves HTTP and WebSocket on l, over TLS with config, until ctx ends,
// and closes l and the connections then. It has the limits of ServeStream.
func (s *Server) ServeWeb(ctx context.Context, l net.Listener, config *tls.Config) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	limit := net.Listener(&limited{Listener: l, ctx: ctx, server: s})
	if config != nil {
		limit = tls.NewListener(limit, config) // without HTTP/2, over which WebSocket is not spoken
	}
	var requests sync.WaitGroup
	web := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			defer requests.Done()
			s.ServeHTTP(w, r)
		}),
		ReadTimeout: s.cfg.Message, WriteTimeout: s.cfg.Message + s.cfg.Write, IdleTimeout: s.cfg.Idle, MaxHeaderBytes: 16 << 10,
		ErrorLog:    slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelInfo),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stopped := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(stopped)
		patience, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if web.Shutdown(patience) != nil {
			web.Close()
		}
	})
	err := web.Serve(limit)
	cancel()
	<-stopped
	requests.Wait() // WebSockets, too, which the server does not know any more
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
