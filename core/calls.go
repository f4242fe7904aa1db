package core

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lindero/lindero/core/b2bua"
	"github.com/lindero/lindero/core/tenancy"
	"github.com/lindero/lindero/core/voice"
)

// New opens the database, the key and the listener, and builds everything behind
// them; Run serves. On an error whatever was opened is closed again. log may be
// nil, and so may reg, where metrics are registered.
func New(cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Core, error) {
	return assemble(context.Background(), cfg, log, reg, func(c *Core) (callLogic, error) {
		return newCalls(c, cfg, reg)
	})
}

// newCalls makes the B2BUA, and the voice that answers for core itself.
func newCalls(c *Core, cfg Config, reg prometheus.Registerer) (callLogic, error) {
	first, last, err := portRange(cfg.MediaPorts)
	if err != nil {
		return callLogic{}, err
	}
	v, err := voice.New(voice.Config{Media: cfg.Media, MinPort: first, MaxPort: last, Log: c.log, Registerer: reg})
	if err != nil {
		return callLogic{}, err
	}
	b, err := b2bua.New(b2bua.Config{
		Send:       c.front.flows.send,
		Local:      c.addr,
		Directory:  func(id tenancy.CompanyID) b2bua.Tenant { return c.store.Tenant(id) },
		Voice:      v,
		Log:        c.log,
		Registerer: reg,
		Timing:     b2bua.Timing{Ring: cfg.RingTime.duration()},
	})
	if err != nil {
		return callLogic{}, err
	}
	return callLogic{calls: b, parts: []runner{b, v}, live: b}, nil
}
