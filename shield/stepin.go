package shield

import (
	"errors"
	"time"

	"github.com/lindero/lindero/bpf"
	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/shield/judge"
	"github.com/lindero/lindero/shield/policy"
)

// stepIn lets the listeners judge from now on: the filter was detached from a
// device while this process relied on it, or is another build's. It is not put back,
// since that was somebody's wish; the next start does it.
func (g *Guard) stepIn(at *post, why error, now time.Time) {
	g.turnover.Lock()
	defer g.turnover.Unlock()
	u := newUser()
	u.engine.SetPolicy(g.force.Load().compiled)
	u.engine.SetTable(g.table.Load())
	var next filter = u
	if k, ok := at.filter.(*kernel); ok {
		next = k.besides(u)
	}
	g.ledger.move(next, now)
	g.post.Store(&post{next, modeUser, why.Error()})
	g.log.Warn("shield: the kernel does not filter any more, the listeners do", "err", why)
	if next != filter(u) {
		return
	}
	if err := at.close(); err != nil {
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

// mixed is the listeners' filter while some devices still have one of ours: those
// that nobody detached, and those where another build's filter wants to know of this
// process's calls. They are kept up to date, or they would shut the media ports of
// every new call.
type mixed struct {
	*user
	rest *kernel
}

// besides is u, with the devices whose filters are still there.
func (f *kernel) besides(u *user) filter {
	m := mixed{u, &kernel{devices: f.devices, half: true}}
	if m.tend(); m.left() == 0 {
		return u
	}
	return m
}

// tend lets go of devices whose filter was detached.
func (m mixed) tend() (did []string, err error) {
	for _, d := range m.rest.devices {
		if _, err := d.shield.Tend(); errors.Is(err, bpf.ErrGone) && !errors.Is(err, bpf.ErrReplaced) {
			_ = d.shield.Close() // nothing is lost with it
		}
	}
	return nil, nil
}

// left is how many filters there are still to keep up to date.
func (m mixed) left() (n int) {
	for _, d := range m.rest.devices {
		if _, err := d.shield.Tend(); !errors.Is(err, bpf.ErrClosed) {
			n++
		}
	}
	return n
}

func (m mixed) setPolicy(c *policy.Compiled) error {
	return errors.Join(m.user.setPolicy(c), m.rest.setPolicy(c))
}

func (m mixed) setCountries(t *geo.Table) error {
	return errors.Join(m.user.setCountries(t), m.rest.setCountries(t))
}

func (m mixed) setServices(ports []Port) error { return m.rest.setServices(ports) }
func (m mixed) setLeg(port uint16, live bool)  { m.rest.setLeg(port, live) }

func (m mixed) put(k judge.Key, s judge.Source) error {
	return errors.Join(m.user.put(k, s), m.rest.put(k, s))
}

func (m mixed) drop(k judge.Key) error { return errors.Join(m.user.drop(k), m.rest.drop(k)) }

func (m mixed) close() error { return m.rest.close() }
