package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// newRegistry has what is true of every process; the roles add their own.
func newRegistry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "lindero_build_info", Help: "Always 1; the label says which build runs."}, []string{"version"})
	build.WithLabelValues(version).Set(1)
	reg.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return reg
}

// A healthServer answers operators' questions: /metrics, /healthz (the process
// lives), /readyz (calls can be made) and /debug/pprof. It is for private
// addresses only and asks nobody for a password.
type healthServer struct {
	listener net.Listener
	server   http.Server
	draining atomic.Bool
	done     chan error
}

// newHealthServer listens at once; nothing is answered before start.
func newHealthServer(address string) (*healthServer, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening for metrics: %w", err)
	}
	return &healthServer{listener: l, done: make(chan error, 1)}, nil
}

// start serves until close. ready tells whether the roles can serve.
func (h *healthServer) start(reg *prometheus.Registry, ready func() error) {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{Registry: reg}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		err := ready()
		if h.draining.Load() {
			err = errors.New("stopping")
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	h.server = http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { h.done <- h.server.Serve(h.listener) }()
}

// drain makes /readyz say no, so that a load balancer looks elsewhere.
func (h *healthServer) drain() { h.draining.Store(true) }

// close ends the server; running questions get a moment. It may be called without start.
func (h *healthServer) close() {
	if h.server.Handler == nil {
		_ = h.listener.Close() // it never served anybody
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if h.server.Shutdown(ctx) != nil {
		_ = h.server.Close() // a profile that runs on; the process ends anyway
	}
	<-h.done
}
