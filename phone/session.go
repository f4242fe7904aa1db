package phone

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/lindero/lindero/wire/sip"
)

// timerLines is what our 2xx says of the session timer a request asked for
// (RFC 4028 §9): we agree to its interval, and let the peer refresh if it can.
func (c *Call) timerLines(req *message) string {
	interval, refresher := sessionExpires(req)
	if interval == 0 {
		return ""
	}
	if refresher == "" {
		refresher = "uas"
		for _, option := range req.all(sip.Supported) {
			if option == "timer" {
				refresher = "uac"
			}
		}
	}
	lines := fmt.Sprintf("Session-Expires: %d;refresher=%s\r\n", interval, refresher)
	if refresher == "uac" {
		lines += "Require: timer\r\n"
	}
	return lines
}

// sessionExpires reads the header of that name; interval is 0 without it.
func sessionExpires(m *message) (interval int, refresher string) {
	interval, params, ok := seconds(m.Get(sip.SessionExpires))
	if !ok {
		return 0, ""
	}
	who, _ := sip.Param(params, "refresher")
	return interval, strings.ToLower(string(who))
}

// refreshLines asks in a refresh of ours for the timer that is in force.
func (c *Call) refreshLines() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session == 0 {
		return ""
	}
	return fmt.Sprintf("Session-Expires: %d;refresher=uac\r\n", c.session/time.Second)
}

// watch starts the session timer anew, as a request of the peer that we answered,
// or an answer to a request of ours, says.
func (c *Call) watch(m *message, ours bool) {
	interval, refresher := sessionExpires(m)
	if interval == 0 {
		return
	}
	refresh := refresher == "uac" && ours
	if !ours {
		refresh = refresher == "uas" || refresher == "" && !strings.Contains(c.timerLines(m), "uac")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = time.Duration(interval) * time.Second
	if c.timer != nil {
		c.timer.Stop()
	}
	if c.state == over {
		return
	}
	// Half the interval to refresh; to give up, a little before its end (RFC 4028 §10).
	after, do := c.session/2, c.refreshSession
	if !refresh {
		after, do = c.session-min(32*time.Second, c.session/3), c.expire
	}
	c.timer = time.AfterFunc(after, func() { c.p.spawn(do) })
}

func (c *Call) refreshSession() {
	ctx, cancel := context.WithTimeout(context.Background(), 64*c.p.cfg.Timing.T1)
	defer cancel()
	err := c.Update(ctx)
	if code := Code(err); code == 405 || code == 501 {
		c.mu.Lock()
		hold := c.wanted == sendonly
		c.mu.Unlock()
		err = c.Reinvite(ctx, hold)
	}
	if err != nil {
		c.bye(End{Ours: true, Reason: "the session could not be refreshed", Err: err})
	}
}

func (c *Call) expire() {
	c.bye(End{Ours: true, Reason: "the peer did not refresh the session"})
}
