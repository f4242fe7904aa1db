package call

import (
	"net/netip"

	"github.com/lindero/lindero/relay/forward"
)

// A joint is where what comes to one of our ports goes, when that are others of
// them: RTP, and RTCP that came with it. Calls are joined so when one's SDP names a
// port of another.
type joint [2]netip.AddrPort

// longestChain is how many ports of ours a packet may come to before it leaves.
const longestChain = 32

// join notes whom the leg sends to. What would come back to it, by way of other calls
// and for ever, it sends to nobody: then join takes that from leg and says no. So
// much for the leg that closes a ring; the others stay as they are.
func (r *Registry) join(leg *forward.Leg) bool {
	r.mu.RLock()
	next := r.joint(leg)
	_, before := r.joins[leg.Local]
	r.mu.RUnlock()
	if next == (joint{}) && !before {
		return true // as nearly all are
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	next = r.joint(leg)
	whole := true
	for i, to := range next {
		if !to.IsValid() || r.leaves(to, leg.Local) {
			continue
		}
		next[i], whole = netip.AddrPort{}, false
		if i == 0 {
			leg.To = netip.AddrPort{}
		} else {
			leg.RTCPTo = netip.AddrPort{}
		}
	}
	delete(r.joins, leg.Local)
	if next != (joint{}) {
		r.joins[leg.Local] = next
	}
	return whole
}

// joint is which ports of ours leg sends to. The caller has r.mu.
func (r *Registry) joint(leg *forward.Leg) (j joint) {
	for i, to := range []netip.AddrPort{leg.To, leg.RTCPTo} {
		if _, ours := r.owners[to]; ours {
			j[i] = to
		}
	}
	return j
}

// leaves says whether what comes to the port at leaves us in the end, without having
// come to the port of. The caller has r.mu.
func (r *Registry) leaves(at, of netip.AddrPort) bool {
	seen := map[netip.AddrPort]bool{}
	for todo := []netip.AddrPort{at}; len(todo) > 0; {
		last := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if last == of || len(seen) > longestChain {
			return false
		}
		if !last.IsValid() || seen[last] {
			continue
		}
		seen[last] = true
		next := r.joins[last]
		todo = append(todo, next[0], next[1])
	}
	return true
}
