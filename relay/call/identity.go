package call

import (
	"hash/maphash"

	"github.com/lindero/lindero/wire/sdp"
)

// A memory is by what a side was told who describes the session, so that it can be
// told the same when somebody else speaks: phones take a changed o= line for
// another session (RFC 3264, section 8).
type memory struct {
	said bool
	id   sdp.Identity
	body uint64 // a hash of the last SDP without its version
}

// identity writes o= and s= as the side that gets the SDP knows them, and returns
// all that e writes.
func (t *turn) identity(e *sdp.Edit) []byte {
	want := t.m.Replace
	id, ok := t.sdp.Identity()
	if !ok {
		return e.Bytes()
	}
	was := &t.fork.sides[1-t.x].said
	if was.said && want.User && id.User != was.id.User {
		e.User(was.id.User)
		id.User = was.id.User
	}
	if was.said && want.Name && id.Name != was.id.Name {
		e.Name(was.id.Name)
		id.Name = was.id.Name
	}
	out := e.Bytes()
	now := memory{said: true, id: id}
	if want.Version || want.Force {
		out, now = t.version(out, *was, now)
	}
	*was = now
	return out
}

// version counts the versions of what a side is told.
func (t *turn) version(out []byte, was, now memory) ([]byte, memory) {
	s, err := sdp.Parse(out)
	if err != nil {
		return out, now // it came from one that could be parsed
	}
	zero := s.Edit()
	zero.Version(0)
	if now.body = maphash.Bytes(t.r.seed, zero.Bytes()); !was.said {
		return out, now
	}
	if now.id.Version = was.id.Version; now.body != was.body || t.m.Replace.Force {
		now.id.Version++
	}
	e := s.Edit()
	e.Version(now.id.Version)
	return e.Bytes(), now
}
