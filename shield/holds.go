package shield

import (
	"net/netip"

	"github.com/lindero/lindero/shield/judge"
	"github.com/lindero/lindero/shield/policy"
)

// Holds judges what comes down a connection that Admit let in: who is banned or
// denied since then is not heard any more, as if the kernel judged every packet. It
// is true at once when it does.
func (g *Guard) Holds(source netip.Addr, service policy.Service) bool {
	u, here := g.post.Load().filter.(*user)
	return !here || !u.engine.Judge(judge.Packet{Source: source, Service: service, TCP: true}, u.now()).Verdict.Drops()
}
