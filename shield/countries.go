package shield

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/lindero/lindero/geo"
)

// countriesEvery is how often the country file is looked at.
const countriesEvery = 2 * time.Second

// loadCountries puts the country table into force before anything is judged. A
// file that is absent or no good turns countries off and nothing else.
func (g *Guard) loadCountries() {
	if g.cfg.Countries == "" {
		g.noCountries("no file is configured")
		return
	}
	t, err := geo.Open(g.cfg.Countries)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		g.noCountries("there is no " + g.cfg.Countries)
	case err != nil:
		g.noCountries(err.Error())
	default:
		g.install(t)
	}
}

// noCountries starts without a table, in a kernel too that has one from before:
// what is judged by and what is answered must be the same.
func (g *Guard) noCountries(why string) {
	g.log.Info("shield: countries are off", "why", why)
	if err := g.post.Load().setCountries(nil); err != nil {
		g.log.Warn("shield: the filter keeps an older country table", "err", err)
	}
}

// watchCountries follows the country file until ctx ends.
func (g *Guard) watchCountries(ctx context.Context) {
	if g.cfg.Countries == "" {
		return
	}
	said := ""
	geo.Watch(ctx, g.cfg.Countries, countriesEvery, g.install, func(err error) {
		g.tallied.notEnforced.Add(1)
		if said != err.Error() { // it is looked at every two seconds
			g.log.Warn("shield: the country table stays as it is", "err", err)
		}
		said = err.Error()
	})
}

// install puts a country table into force, or keeps the one there is.
func (g *Guard) install(t *geo.Table) {
	g.turnover.Lock()
	defer g.turnover.Unlock()
	info := t.Info()
	if old := g.table.Load(); old != nil && info.SHA256 != "" && old.Info().SHA256 == info.SHA256 {
		return
	}
	if err := g.post.Load().setCountries(t); err != nil {
		g.tallied.notEnforced.Add(1)
		g.log.Error("shield: the country table stays as it is", "err", fmt.Errorf("table %s: %w", info.Version, err))
		return
	}
	g.table.Store(t)
	g.log.Info("shield: country table in force", "table", info.Version, "type", info.Type,
		"v4", info.V4, "v6", info.V6, "not_representable", info.Lost, "compiled", info.Compiled)
}
