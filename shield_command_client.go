package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"
)

// patience is how long an answer may take; explanations of far nodes take two seconds.
const patience = 30 * time.Second

// maxAnswer bounds an answer; the largest policy is a few megabytes.
const maxAnswer = 64 << 20

// A caller asks core's API or a process's control socket.
type caller struct {
	http  *http.Client
	base  string // URL that paths are put behind
	token string // "": none is wanted
	// explain says what to do when nobody answers.
	unreachable func(error) error
}

// core asks the shield's part of core's REST API.
func (f *shieldFlags) core() (*caller, error) { return f.portal("/shield") }

// portal asks the part of core's REST API that is below a path.
func (f *shieldFlags) portal(below string) (*caller, error) {
	base, err := url.Parse(f.api)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, usageError{fmt.Errorf("--api %q: it is a URL such as http://127.0.0.1:8080", f.api)}
	}
	token, err := os.ReadFile(f.tokenPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no operator's token at %s: lindero up makes one in its data directory (--data names it);\n"+
			"for a core with its own configuration, --token-file names a file of its tokens", f.tokenPath())
	}
	if err != nil {
		return nil, fmt.Errorf("reading the operator's token: %w", err)
	}
	return &caller{
		http: &http.Client{Timeout: patience}, base: strings.TrimSuffix(f.api, "/") + "/api/v1" + below, token: strings.TrimSpace(string(token)),
		unreachable: func(err error) error {
			return fmt.Errorf("core's API at %s does not answer: %w\nis lindero up, or core, running there? --api names another place", f.api, err)
		},
	}, nil
}

// node asks the process that filters on this machine.
func (f *shieldFlags) node() *caller {
	path := f.socket()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	return &caller{
		http: &http.Client{Timeout: patience, Transport: &http.Transport{DialContext: dial}}, base: "http://lindero",
		unreachable: func(err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return fmt.Errorf("no shield runs here: there is no %s\n"+
					"lindero up makes it in its data directory (--data); for an edge or relay, --control names its socket;\n"+
					"what an earlier one put into the kernel is in force all the same", path)
			case errors.Is(err, syscall.ECONNREFUSED):
				return fmt.Errorf("no shield runs here: nobody listens at %s, which an earlier process left;\nwhat that put into the kernel is in force all the same", path)
			case errors.Is(err, fs.ErrPermission):
				return fmt.Errorf("%w; the socket is for its owner alone: run this as the same user, or as root", err)
			}
			return fmt.Errorf("the shield at %s does not answer: %w", path, err)
		},
	}
}

// ask sends body, unless it is nil, as JSON and reads the answer into what into
// points to, unless that is nil.
func (c *caller) ask(ctx context.Context, method, path string, body, into any) error {
	var text io.Reader = http.NoBody
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("writing the request: %w", err)
		}
		text = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, text)
	if err != nil {
		return fmt.Errorf("making the request: %w", err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // the URL is in the words around it
		}
		return c.unreachable(err)
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if answer.StatusCode >= 300 {
		return refusalOf(answer, said)
	}
	if into == nil || len(said) == 0 {
		return nil
	}
	if err := json.Unmarshal(said, into); err != nil {
		return fmt.Errorf("%s%s answers what is no answer of ours (is it lindero's?): %w", c.base, path, err)
	}
	return nil
}

// A refusal is an error that the server answered with.
type refusal struct {
	Status int
	Detail string        `json:"detail"`
	Said   string        `json:"error"` // of a control socket
	Faults []refusedPart `json:"errors"`
}

type refusedPart struct {
	Location string `json:"location"`
	Message  string `json:"message"`
}

func (r *refusal) Error() string {
	lines := []string{r.Detail}
	if len(r.Faults) > 0 {
		lines = nil // the faults say more than their count
	}
	for _, f := range r.Faults {
		line := f.Message
		if at := strings.TrimPrefix(f.Location, "body."); at != "" {
			line = at + ": " + line
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// refusalOf reads an answer that is none.
func refusalOf(answer *http.Response, said []byte) error {
	r := &refusal{}
	if err := json.Unmarshal(said, r); err != nil || r.Detail == "" && r.Said == "" && len(r.Faults) == 0 {
		r.Detail = "the server answers " + answer.Status
	}
	if r.Status = answer.StatusCode; r.Detail == "" {
		r.Detail = r.Said
	}
	switch r.Status {
	case http.StatusUnauthorized:
		r.Detail = "core does not take this token: " + r.Detail
	case http.StatusForbidden:
		r.Detail = "this token may not do that, it wants an operator's: " + r.Detail
	}
	return r
}
