package b2bua

import (
	"github.com/emiago/sipgo/sip"

	"github.com/lindero/lindero/core/tenancy"
)

// A roamer is a user who calls from elsewhere than the company's networks.
type roamer struct {
	company tenancy.CompanyID
	user    tenancy.UserID
}

// roam counts the call among its caller's from elsewhere, of which core/front says
// how many there may be; it refuses one too many. settle takes it out again.
func (c *call) roam(o origin) error {
	if o.roaming == 0 {
		return nil
	}
	who := roamer{o.company, o.user}
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	if c.b.roaming[who] >= o.roaming {
		c.b.metrics.roamers.Inc()
		return deny(sip.StatusForbidden, tenancy.Caller, "calls from anywhere are all in use")
	}
	c.b.roaming[who]++
	c.roams = true
	return nil
}

// settle gives back what roam took.
func (c *call) settle() {
	if !c.roams {
		return
	}
	c.roams = false
	who := roamer{c.cdr.Company, c.cdr.CallerUser}
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	if c.b.roaming[who]--; c.b.roaming[who] == 0 {
		delete(c.b.roaming, who)
	}
}
