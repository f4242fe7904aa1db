package sip

import (
	"slices"
	"strconv"
)

// An Editor makes a new message out of a scanned one by changing some lines and
// passing every other byte as it came. It is reused: Reset starts anew. Edits of
// one line win in order of call. Line numbers are those of the scanned message,
// whatever was edited before; lines put in have none. Values are copied, so the
// caller may reuse its buffers at once; they must hold no line break that is not
// a fold. After a warm-up nothing allocates.
type Editor struct {
	m       *Message
	lines   [MaxHeaders]lineEdit
	inserts []insert // ordered by before
	buf     []byte   // the bytes of all new values
	uri     span     // empty: unchanged
	body    span
	newBody bool
}

type span struct{ from, to int32 }

type lineEdit struct {
	state lineState
	value span // of Raw when cut, of buf when replaced
}

type lineState uint8

const (
	kept lineState = iota
	removed
	cut      // lost values at its front
	replaced // has a new value
)

// An insert is a new line before line number before.
type insert struct {
	before int32
	id     HeaderID // of a line that Set may find again
	name   string
	value  span
}

// Reset begins a new message out of m, which must have been scanned without
// error and must not change until AppendTo is done.
func (e *Editor) Reset(m *Message) {
	clear(e.lines[:m.n])
	e.m = m
	e.inserts = e.inserts[:0]
	e.buf = e.buf[:0]
	e.uri, e.body, e.newBody = span{}, span{}, false
}

func (e *Editor) store(b []byte) span {
	from := len(e.buf)
	e.buf = append(e.buf, b...)
	return span{int32(from), int32(len(e.buf))}
}

// SetURI changes the Request-URI; an empty one is ignored.
func (e *Editor) SetURI(uri []byte) { e.uri = e.store(uri) }

// Remove takes header line i out.
func (e *Editor) Remove(i int) { e.lines[i].state = removed }

// RemoveAll takes out all lines with id, also one that Set put in.
func (e *Editor) RemoveAll(id HeaderID) {
	for i := e.m.Index(id); i >= 0; i = e.m.Next(i) {
		e.Remove(i)
	}
	if id != Other {
		e.inserts = slices.DeleteFunc(e.inserts, func(n insert) bool { return n.id == id })
	}
}

// RemoveFirstValue takes out the first comma-separated value of the first line
// with id that is still there, and the line when nothing is left of it. Called
// again, it takes out the next value.
func (e *Editor) RemoveFirstValue(id HeaderID) {
	i := e.m.Index(id)
	for i >= 0 && e.lines[i].state == removed {
		i = e.m.Next(i)
	}
	if i < 0 {
		return
	}
	l := &e.lines[i]
	h := &e.m.headers[i]
	from, v := e.m.Raw, span{h.ValueStart, h.ValueEnd}
	switch l.state {
	case cut:
		v = l.value
	case replaced:
		from, v = e.buf, l.value
	}
	_, rest := NextValue(from[v.from:v.to])
	if len(rest) == 0 {
		l.state = removed
		return
	}
	l.value = span{v.to - int32(len(rest)), v.to}
	if l.state == kept {
		l.state = cut
	}
}

// Replace changes the value of line i, keeping its name.
func (e *Editor) Replace(i int, value []byte) {
	e.lines[i] = lineEdit{replaced, e.store(value)}
}

// Set replaces the first line with id, dropping the others, or appends one. id is
// one of the named headers.
func (e *Editor) Set(id HeaderID, value []byte) {
	if i := e.m.Index(id); i >= 0 {
		e.RemoveAll(id)
		e.Replace(i, value)
		return
	}
	for i := range e.inserts {
		if e.inserts[i].id == id {
			e.inserts[i].value = e.store(value)
			return
		}
	}
	e.insert(insert{int32(e.m.n), id, id.String(), e.store(value)}, false)
}

// Prepend puts a line before the first header line; the last call comes first.
func (e *Editor) Prepend(name string, value []byte) {
	e.insert(insert{-1, Other, name, e.store(value)}, true)
}

// InsertBefore puts a line before line i, after those put there before.
func (e *Editor) InsertBefore(i int, name string, value []byte) {
	e.insert(insert{int32(i), Other, name, e.store(value)}, false)
}

// Append puts a line after the last header.
func (e *Editor) Append(name string, value []byte) {
	e.insert(insert{int32(e.m.n), Other, name, e.store(value)}, false)
}

// insert keeps inserts in the order they will be printed in.
func (e *Editor) insert(n insert, front bool) {
	at := len(e.inserts)
	for at > 0 && (e.inserts[at-1].before > n.before || front && e.inserts[at-1].before == n.before) {
		at--
	}
	e.inserts = slices.Insert(e.inserts, at, n)
}

// SetBody changes the body, and Content-Length with it. Content-Type is the
// caller's.
func (e *Editor) SetBody(body []byte) {
	e.body, e.newBody = e.store(body), true
	e.setLength(len(body))
}

// SetLength puts in the Content-Length that a message from a datagram may lack
// and a stream must have.
func (e *Editor) SetLength() {
	if e.m.Index(ContentLength) < 0 && !e.newBody {
		e.setLength(len(e.m.Body))
	}
}

func (e *Editor) setLength(n int) {
	var digits [20]byte
	e.Set(ContentLength, strconv.AppendInt(digits[:0], int64(n), 10))
}

// AppendTo prints the edited message at the end of dst.
func (e *Editor) AppendTo(dst []byte) []byte {
	m := e.m
	done := 0 // Raw up to here is printed
	if e.uri.to > e.uri.from && m.Method != nil {
		dst = append(append(append(dst, m.Method...), ' '), e.buf[e.uri.from:e.uri.to]...)
		done = len(m.Method) + 1 + len(m.URI)
	}
	next := 0
	for i := range m.n {
		h, l := &m.headers[i], &e.lines[i]
		insertHere := next < len(e.inserts) && int(e.inserts[next].before) <= i
		if l.state == kept && !insertHere {
			continue
		}
		dst = append(dst, m.Raw[done:h.Start]...)
		done = int(h.Start)
		for ; next < len(e.inserts) && int(e.inserts[next].before) <= i; next++ {
			dst = e.appendInsert(dst, &e.inserts[next])
		}
		switch l.state {
		case cut:
			dst = append(dst, m.Raw[h.Start:h.ValueStart]...)
			dst = append(dst, m.Raw[l.value.from:l.value.to]...)
			done = int(h.ValueEnd)
		case replaced:
			dst = append(dst, m.Raw[h.Start:h.ValueStart]...)
			dst = append(dst, e.buf[l.value.from:l.value.to]...)
			done = int(h.ValueEnd)
		case removed:
			done = int(h.End)
		}
	}
	end := m.bodyAt - len("\r\n")
	dst = append(dst, m.Raw[done:end]...)
	for ; next < len(e.inserts); next++ {
		dst = e.appendInsert(dst, &e.inserts[next])
	}
	dst = append(dst, '\r', '\n')
	if e.newBody {
		return append(dst, e.buf[e.body.from:e.body.to]...)
	}
	return append(dst, m.Body...)
}

func (e *Editor) appendInsert(dst []byte, n *insert) []byte {
	dst = append(append(dst, n.name...), ": "...)
	dst = append(dst, e.buf[n.value.from:n.value.to]...)
	return append(dst, '\r', '\n')
}
