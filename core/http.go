package core

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lindero/lindero/core/api"
	"github.com/lindero/lindero/core/store"
	"github.com/lindero/lindero/core/web"
)

// newAPI opens core's HTTP; nil when it is off.
func newAPI(ctx context.Context, cfg Config, s *store.Store, live api.Calls, log *slog.Logger, reg prometheus.Registerer) (*api.API, error) {
	if cfg.HTTP == httpOff {
		return nil, nil
	}
	a, err := api.New(ctx, api.Config{
		Listen: cfg.HTTP, Store: s, Tokens: cfg.Tokens, Countries: cfg.Countries, Web: web.Handler(), Calls: live, Log: log, Reg: reg,
	})
	if err != nil {
		return nil, fmt.Errorf("core: %w", err)
	}
	return a, nil
}
