package shield

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/lindero/lindero/shield/protocol"
)

const (
	maxOrders     = 64 << 20 // bytes of an answer of core; a ban is some 200
	maxRefusal    = 16 << 10 // bytes of one that is no
	watchTimeout  = protocol.Hold + 15*time.Second
	reportTimeout = 5 * time.Second
)

// A client makes the two calls of a node to core.
type client struct {
	base      string
	node      string
	tokenFile string
	http      *http.Client
}

// newClient is the client of a configuration, nil without a core.
func newClient(cfg Config, node string) *client {
	if cfg.Core == "" {
		return nil
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 2
	return &client{
		base: strings.TrimRight(cfg.Core, "/"), node: node, tokenFile: cfg.TokenFile,
		http: &http.Client{
			Transport: t,
			// The token is core's alone, wherever it would send us.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// watch also says when the answer began to come, which is when core's clock said what
// is in it.
func (c *client) watch(ctx context.Context, w protocol.Watch) (o protocol.Orders, at time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	at, err = c.post(ctx, protocol.WatchPath, w, &o)
	return o, at, err
}

func (c *client) report(ctx context.Context, r protocol.Report) error {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	_, err := c.post(ctx, protocol.ReportPath, r, nil)
	return err
}

// post sends in and reads the answer into out, unless that is nil. at is when the
// answer began to come.
func (c *client) post(ctx context.Context, path string, in, out any) (at time.Time, err error) {
	body, err := json.Marshal(in)
	if err != nil {
		return at, fmt.Errorf("shield: asking core: %w", err)
	}
	// The file is read each time, so that a new token needs no restart.
	token, err := os.ReadFile(c.tokenFile)
	if err != nil {
		return at, fmt.Errorf("shield: asking core: %w", err)
	}
	path = strings.ReplaceAll(path, "{node}", url.PathEscape(c.node))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader(body))
	if err != nil {
		return at, fmt.Errorf("shield: asking core: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	resp, err := c.http.Do(req)
	if err != nil {
		return at, fmt.Errorf("shield: asking core: %w", err)
	}
	at = time.Now()
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
		var problem struct{ Detail string }
		if json.Unmarshal(text, &problem) != nil || problem.Detail == "" {
			problem.Detail = string(text) // no core of ours, or a proxy before it
		}
		return at, &refusalError{resp.Status, printable(problem.Detail)}
	}
	if out == nil {
		_, err := io.Copy(io.Discard, io.LimitReader(resp.Body, maxDetail))
		if err != nil {
			return at, fmt.Errorf("shield: core's answer: %w", err)
		}
		return at, nil
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxOrders+1))
	if err != nil {
		return at, fmt.Errorf("shield: core's answer: %w", err)
	}
	if len(text) > maxOrders {
		return at, errors.New("shield: core's answer is too long")
	}
	if err := json.Unmarshal(text, out); err != nil {
		return at, fmt.Errorf("shield: core's answer: %w", err)
	}
	return at, nil
}

// A refusalError is that core answered, and will not have what it was told.
type refusalError struct{ status, detail string }

func (e *refusalError) Error() string { return "shield: core answers " + e.status + ": " + e.detail }

// A backoff is how long to wait after each of several failures in a row: twice as
// long each time, and not the same for all nodes.
type backoff struct {
	first, most time.Duration
	next        time.Duration
}

func (b *backoff) reset() { b.next = 0 }

func (b *backoff) wait() time.Duration {
	b.next = min(max(2*b.next, b.first), b.most)
	return b.next/2 + rand.N(b.next)
}

// pause waits, and says no when ctx ended meanwhile.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
