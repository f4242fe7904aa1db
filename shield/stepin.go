package shield

import "time"

// stepIn lets the listeners judge from now on: the filter was detached from the
// device while this process relied on it. It is not put back, since that was
// somebody's wish; the next start does it.
func (g *Guard) stepIn(why error, now time.Time) {
	g.turnover.Lock()
	defer g.turnover.Unlock()
	old, u := g.post.Load(), newUser()
	u.engine.SetPolicy(g.force.Load().compiled)
	u.engine.SetTable(g.table.Load())
	g.ledger.move(u, now)
	g.post.Store(&post{u, modeUser, why.Error()})
	g.log.Warn("shield: the kernel does not filter any more, the listeners do", "err", why)
	if err := old.close(); err != nil {
		g.log.Warn("shield: closing what is left of the filter", "err", err)
	}
}

// move takes what counts of every source to another filter.
func (l *ledger) move(f filter, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.filter = f
	at := l.at(now)
	for k := range l.bans.keys() {
		l.enforce(k, at)
	}
	for k := range l.standings {
		l.enforce(k, at)
	}
}
