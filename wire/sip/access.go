package sip

// IsRequest tells a request from a response.
func (m *Message) IsRequest() bool { return m.Code == 0 }

// Is tells whether the request's method is exactly method.
func (m *Message) Is(method string) bool { return string(m.Method) == method }

// Len is the number of header lines.
func (m *Message) Len() int { return m.n }

// Header returns header line i.
func (m *Message) Header(i int) Header { return m.headers[i] }

// Name is the name of line i as written.
func (m *Message) Name(i int) []byte {
	h := &m.headers[i]
	return m.Raw[h.Start:h.NameEnd:h.NameEnd]
}

// Value is the value of line i without surrounding white space; inner folds are
// in it as they came.
func (m *Message) Value(i int) []byte {
	h := &m.headers[i]
	return m.Raw[h.ValueStart:h.ValueEnd:h.ValueEnd]
}

// Index is the first header line with id, or -1.
func (m *Message) Index(id HeaderID) int { return int(m.first[id]) - 1 }

// Next is the next line after i with the same id, or -1.
func (m *Message) Next(i int) int {
	id := m.headers[i].ID
	for i++; i < m.n; i++ {
		if m.headers[i].ID == id {
			return i
		}
	}
	return -1
}

// Get is the value of the first header line with id, nil when absent.
func (m *Message) Get(id HeaderID) []byte {
	if i := m.Index(id); i >= 0 {
		return m.Value(i)
	}
	return nil
}

// Find is the value of the first header line called name, whatever its case, nil
// when absent. It is for names that HeaderID lacks; for the others it finds the
// name as given, long or compact.
func (m *Message) Find(name string) []byte {
	for i := range m.n {
		if equalFold(m.Name(i), name) {
			return m.Value(i)
		}
	}
	return nil
}

// Topmost is the first value of the first header line with id, nil when absent:
// the top Via, the next Route.
func (m *Message) Topmost(id HeaderID) []byte {
	v, _ := NextValue(m.Get(id))
	return v
}
