package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Token lets whoever has it use a part of the API. The file holds it in one line.
type Token struct {
	Name  string   `yaml:"name"`  // who the audit names
	File  string   `yaml:"file"`  // read anew when it changes
	Scope Scope    `yaml:"scope"` // operator or node
	Nodes []string `yaml:"nodes"` // names that whoever has it may go by, of scope node; none: any
}

// A Scope is the part of the API a token is for.
type Scope string

// The scopes.
const (
	Operator Scope = "operator" // what people do
	Node     Scope = "node"     // what edges and relays do
)

// Valid tells whether there is such a scope.
func (s Scope) Valid() bool { return s == Operator || s == Node }

// speaksFor tells whether whoever has the token may go by a node's name.
func (t Token) speaksFor(node string) bool {
	return len(t.Nodes) == 0 || slices.Contains(t.Nodes, node)
}

// A token is at least 128 bits in any usual writing; files are looked at again after a second.
const (
	minToken   = 22
	maxToken   = 512
	tokensLook = time.Second
)

type digest = [sha256.Size]byte

// tokens know who may do what.
type tokens struct {
	log *slog.Logger
	all []Token // static

	mu      sync.Mutex // guards the fields below
	looked  time.Time
	stamps  []stamp
	digests []digest
	usable  []bool
}

// A stamp tells one state of a file from another.
type stamp struct {
	changed time.Time
	size    int64
}

// loadTokens reads every token and reports every fault at once.
func loadTokens(all []Token, log *slog.Logger) (*tokens, error) {
	t := &tokens{log: log, all: all, looked: time.Now(),
		stamps: make([]stamp, len(all)), digests: make([]digest, len(all)), usable: make([]bool, len(all))}
	var errs []error
	for i, token := range all {
		var err error
		if t.stamps[i], t.digests[i], err = readToken(token.File); err != nil {
			errs = append(errs, fmt.Errorf("api: tokens[%d] (%s): %w", i, token.Name, err))
			continue
		}
		t.usable[i] = true
		for j := range i {
			if t.usable[j] && t.digests[j] == t.digests[i] {
				errs = append(errs, fmt.Errorf("api: tokens[%d] (%s): the same token as %s has; the audit could not tell them apart", i, token.Name, all[j].Name))
			}
		}
	}
	return t, errors.Join(errs...)
}

func readToken(file string) (stamp, digest, error) {
	info, err := os.Stat(file)
	if err != nil {
		return stamp{}, digest{}, err
	}
	at := stamp{info.ModTime(), info.Size()}
	if at.size > maxToken {
		return at, digest{}, fmt.Errorf("%s: %d bytes; a token has at most %d", file, at.size, maxToken)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return at, digest{}, err
	}
	token := strings.TrimSpace(string(text))
	if len(token) < minToken || strings.ContainsAny(token, " \t\r\n") {
		return at, digest{}, fmt.Errorf("%s: wants one line with a token of at least %d characters and no spaces", file, minToken)
	}
	return at, sha256.Sum256([]byte(token)), nil
}

// who has the token. It compares with all of them, in constant time, so that how
// long it takes says nothing.
func (t *tokens) who(token string) (Token, bool) {
	d := sha256.Sum256([]byte(token))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.look()
	found := -1
	for i := range t.all {
		same := subtle.ConstantTimeCompare(d[:], t.digests[i][:])
		if same == 1 && t.usable[i] {
			found = i
		}
	}
	if found < 0 {
		return Token{}, false
	}
	return t.all[found], true
}

// look reads the files that changed. The token of a file that is gone, or is none
// any more, opens nothing: that is how one is taken back. mu is held.
func (t *tokens) look() {
	if time.Since(t.looked) < tokensLook {
		return
	}
	t.looked = time.Now()
	for i, token := range t.all {
		info, err := os.Stat(token.File)
		if err == nil && t.stamps[i] == (stamp{info.ModTime(), info.Size()}) {
			continue
		}
		if errors.Is(err, fs.ErrNotExist) && !t.usable[i] && t.stamps[i] == (stamp{}) {
			continue // said already
		}
		at, d, err := readToken(token.File)
		if err != nil {
			t.log.Warn("a token cannot be read, so it opens nothing", "name", token.Name, "err", err)
			t.stamps[i], t.digests[i], t.usable[i] = at, digest{}, false
			continue
		}
		t.log.Info("a token was read anew", "name", token.Name)
		t.stamps[i], t.digests[i], t.usable[i] = at, d, true
	}
}
