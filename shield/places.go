package shield

// Places tells whether a country table is in force: only then does Unknown, as
// Country answers it, say something of an address.
func (g *Guard) Places() bool { return g.table.Load() != nil }
