package relay

import "github.com/lindero/lindero/wire/session"

// Sessions describes at most limit live calls, the newest first; the one of callID
// alone, with the history of its legs, when that is not "".
func (r *Relay) Sessions(callID string, limit int) []session.Session {
	done, ok := r.hold()
	if !ok {
		return nil
	}
	defer done()
	return r.calls.Sessions(callID, limit)
}

// Ended are the last words about calls that ended since Ended was asked before, the
// oldest first. They are told once; of more than 4096 that wait, the oldest are lost.
func (r *Relay) Ended() []session.Session { return r.calls.Ended() }
