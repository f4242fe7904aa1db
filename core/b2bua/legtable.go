package b2bua

import (
	"sync"

	"github.com/emiago/sipgo/sip"
)

// legTable finds the leg a message belongs to.
type legTable struct {
	mu      sync.Mutex      // guards the fields below
	byTag   map[string]*leg // by our tag, which is random and ours alone
	invites map[string]*leg // legs of callers, by inviteKey
}

func (t *legTable) init() {
	t.byTag = make(map[string]*leg)
	t.invites = make(map[string]*leg)
}

func (t *legTable) find(callID, localTag string) *leg {
	if localTag == "" {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.byTag[localTag]; l != nil && l.callID == callID {
		return l
	}
	return nil
}

func (t *legTable) invited(key string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.invites[key] != nil
}

func (t *legTable) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byTag)
}

func (t *legTable) add(l *leg) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.byTag[l.localTag] = l
	if l.inviteKey != "" {
		t.invites[l.inviteKey] = l
	}
}

func (t *legTable) remove(l *leg) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byTag, l.localTag)
	if l.inviteKey != "" {
		delete(t.invites, l.inviteKey)
	}
}

// inviteKey is what two copies of one INVITE share, whatever way they came.
func inviteKey(req *sip.Request) string {
	return header(req, "call-id") + "\x00" + tagOf(header(req, "from")) + "\x00" + header(req, "cseq")
}
