package phone

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/lindero/lindero/wire/sip"
)

// ringTime is how long a call that a peer asked for may ring (RFC 3261 timer C).
const ringTime = 3 * time.Minute

// Refer asks the peer to call target in our place (RFC 3515) and waits until it
// tells how that went. A transfer that failed is a *Failure with the code the
// peer reported. The call itself goes on: whoever transferred hangs up.
func (c *Call) Refer(ctx context.Context, target string) error {
	return c.transfer(ctx, "<"+c.p.absolute(target)+">")
}

// ReferTo connects the peers of two calls of ours with each other: our peer is
// asked to call the other's peer in the place of the other call (RFC 3891).
func (c *Call) ReferTo(ctx context.Context, other *Call) error {
	other.mu.Lock()
	replaces := fmt.Sprintf("%s;to-tag=%s;from-tag=%s", other.d.callID, other.d.remoteTag, other.d.localTag)
	target := other.d.target
	other.mu.Unlock()
	return c.transfer(ctx, "<"+target+"?Replaces="+url.QueryEscape(replaces)+">")
}

func (c *Call) transfer(ctx context.Context, referTo string) error {
	for drained := false; !drained; { // what was said of an earlier transfer
		select {
		case <-c.notified:
		default:
			drained = true
		}
	}
	lines := "Refer-To: " + referTo + "\r\nReferred-By: <" + c.p.own() + ">\r\n"
	if _, err := c.do(ctx, "REFER", lines, "", nil); err != nil {
		return err
	}
	for {
		select {
		case code := <-c.notified:
			switch {
			case code >= 300:
				return &Failure{Method: "REFER", Code: code, Reason: sip.ReasonPhrase(code)}
			case code >= 200:
				return nil
			}
		case <-c.done:
			return ErrOver
		case <-c.p.closed:
			return ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// refer does what a peer asks by REFER: it calls, and tells how it went.
func (c *Call) refer(t *serverTx) {
	uri, err := sip.ParseURI(t.req.address(sip.ReferTo).URI)
	if err != nil || !strings.HasPrefix(strings.ToLower(string(uri.Scheme)), "sip") {
		t.reply(sip.Response{Code: 400, Reason: "Bad Refer-To"})
		return
	}
	target, lines := string(t.req.address(sip.ReferTo).URI), ""
	if before, headers, found := strings.Cut(target, "?"); found {
		target = before
		for h := range strings.SplitSeq(headers, "&") {
			if name, value, _ := strings.Cut(h, "="); strings.EqualFold(name, "Replaces") {
				lines += "Replaces: " + line(unescape(value)) + "\r\nRequire: replaces\r\n"
			}
		}
	}
	if by := t.req.text(sip.ReferredBy); by != "" {
		lines += "Referred-By: " + by + "\r\n"
	}
	t.reply(sip.Response{Code: 202, Headers: []byte(c.dialogHeaders(t.req))})
	c.p.spawn(func() { c.follow(target, lines) })
}

// follow makes the call a REFER asked for.
func (c *Call) follow(target, lines string) {
	ctx, cancel := context.WithTimeout(context.Background(), ringTime)
	defer cancel()
	tell := func(code int, state string) {
		body := fmt.Sprintf("SIP/2.0 %d %s\r\n", code, sip.ReasonPhrase(code))
		head := "Event: refer\r\nSubscription-State: " + state + "\r\nContact: <" + c.p.URI() + ">\r\n"
		// The peer may have hung up by now; then it does not want to know.
		_, _ = c.do(ctx, "NOTIFY", head, "message/sipfrag", []byte(body))
	}
	tell(100, "active;expires=60")
	call, err := c.p.Invite(ctx, target, Options{Lines: lines})
	if err != nil {
		tell(max(Code(err), 400), "terminated;reason=noresource")
		return
	}
	tell(200, "terminated;reason=noresource")
	select {
	case c.p.referred <- call:
	default:
		_ = call.Hangup(ctx) // sixteen transferred calls nobody took: not a phone
	}
}

// line removes what would end a header line.
func line(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' || r == 0 {
			return -1
		}
		return r
	}, s)
}
