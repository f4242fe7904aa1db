package shield

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"
)

const (
	saveAfter = time.Second     // a change; more of them may come
	saveEvery = 5 * time.Minute // for sources, which change all the time
)

// loadState reads what an earlier process saved, with the policy that is to be in
// force. A file that is no good is put aside and the built-in policy holds: a
// border that does not start is worse.
func loadState(path string, now time.Time, log *slog.Logger) (state, *force, error) {
	var s state
	if path != "" {
		var err error
		if s, err = readState(path); err != nil {
			log.Warn("shield: starting with the built-in policy and without the bans of before", "err", err)
			if errors.Is(err, errDamaged) {
				if err := os.Rename(path, path+".damaged"); err != nil {
					log.Warn("shield: the damaged state could not be put aside", "err", err)
				}
			}
			s = state{}
		}
	}
	if s.Policy != nil {
		f, err := compile(*s.Policy, now)
		if err == nil {
			return s, f, nil
		}
		log.Warn("shield: the last good policy is no good to this program; starting with the built-in one", "err", err)
	}
	f, err := compile(builtin(), now)
	return s, f, err
}

// save asks for the state to be written soon. It never blocks.
func (g *Guard) save() {
	select {
	case g.unsaved <- struct{}{}:
	default:
	}
}

// keepState writes the state when it changed, and now and then; Run does at the end.
func (g *Guard) keepState(ctx context.Context) {
	if g.cfg.State == "" {
		return
	}
	every := time.NewTicker(saveEvery)
	defer every.Stop()
	for rest := saveAfter; ctx.Err() == nil; {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		case <-g.unsaved:
			if !pause(ctx, rest) {
				return
			}
		}
		began := time.Now()
		g.writeState()
		rest = max(saveAfter, 10*time.Since(began)) // many sources on a slow disk: not all the time
	}
}

func (g *Guard) writeState() {
	if g.cfg.State == "" {
		return
	}
	v := g.force.Load().version
	s := state{Format: stateFormat, Policy: &v}
	g.ledger.save(&s, time.Now())
	if err := s.write(g.cfg.State); err != nil {
		g.tallied.saveFaults.Add(1)
		g.log.Warn("shield: the state on disk is an old one", "err", err)
	}
}
