package shield

import (
	"fmt"
	"testing"
	"time"

	"github.com/lindero/lindero/shield/policy"
	"github.com/lindero/lindero/shield/protocol"
)

// Who is banned is written once, in protocol, by which core explains and tries
// policies; this holds what a node does to it.
func TestANodeDropsWhomProtocolSaysIsBanned(t *testing.T) {
	for _, earned := range []policy.Class{policy.Unknown, policy.Known, policy.Registered} {
		for _, proven := range []bool{false, true} {
			for _, before := range []bool{false, true} {
				t.Run(fmt.Sprintf("%v proven=%v before=%v", earned, proven, before), func(t *testing.T) {
					u := newUser()
					f, err := compile(builtin(), time.Now())
					if err != nil {
						t.Fatal(err)
					}
					u.engine.SetPolicy(f.compiled)
					l := newLedger(u, "edge-1", quiet())
					now := time.Now()
					since := now.Add(-time.Minute)
					if !before {
						since = now
					}
					switch earned {
					case policy.Known:
						l.promote(addr("192.0.2.7"), time.Time{}, since)
					case policy.Registered:
						l.promote(addr("192.0.2.7"), now.Add(time.Hour), since)
					}
					b := protocol.Ban{Prefix: pfx("192.0.2.7/32"), Since: now.Add(-time.Second), Until: now.Add(time.Hour), Proven: proven}
					list, _ := banMap([]protocol.Ban{b}, now)
					l.replaceBans(list, now)
					for _, tcp := range []bool{false, true} {
						if dropped, want := !u.admit(addr("192.0.2.7"), policy.SIP, tcp), b.Holds(earned, since, tcp); dropped != want {
							t.Errorf("tcp=%v: dropped %v, by protocol %v", tcp, dropped, want)
						}
					}
				})
			}
		}
	}
}
