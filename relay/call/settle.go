package call

import "time"

// settle closes the window in which e's source may still be corrected, when its
// time is over, and tells whether it did. Learn does so too, but only when a packet
// comes from elsewhere; and until a source is settled the kernel cannot repeat its
// packets.
func (e *end) settle(now time.Time, window time.Duration) bool {
	if e.pinned || e.exact() || !e.source.IsValid() || now.Sub(e.latched) <= window {
		return false
	}
	e.pinned = true
	return true
}

// settle closes the windows of the call, which is locked.
func (r *Registry) settle(c *Call, now time.Time) {
	any := false
	for _, f := range c.forks {
		for _, s := range f.streams {
			settled := false
			for _, h := range s.halves {
				if h != nil {
					settled = h.rtp.settle(now, r.cfg.Latch) || settled
					settled = h.rtcp.settle(now, r.cfg.Latch) || settled
				}
			}
			if !settled {
				continue
			}
			any = true
			if err := r.programme(c, f, s); err != nil {
				r.log.Warn("a source that is settled could not be put into force", "call", c.ID, "error", err)
			}
		}
	}
	if any {
		r.note(c)
	}
}
