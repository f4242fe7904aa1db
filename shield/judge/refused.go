package judge

// Refused names the four sources that were refused last, for the sake of what all
// strangers share, among those that meet in one place: 16 bits of each one's hash,
// the latest lowest. Cells are too few to know a phone that comes back: a million
// forged sources a second would have each of them several times before a phone
// repeats its request half a second later. There is room for 2^21 names, looked at by
// nobody but who is refused, and no time in them: how long one is remembered depends
// on how many come. Who is new is taken for one of the four by chance once in 16,384
// times, which of a million a second is 61, and 560 of so many random IPv4 addresses
// truly are among the last 2^21: both together are less than the 2,000 a second that
// strangers have, so the rest is there for phones. More room would remember more
// forged sources. No source is called 0, as a name that nobody wrote is.
type Refused uint64

// place is where a name is, in bits, or that of the name to be forgotten next.
func (r Refused) place(name uint16) int {
	for bits := 0; bits < 48; bits += 16 {
		if uint16(r>>bits) == name {
			return bits
		}
	}
	return 48
}

// again tells whether a source is among those that were refused.
func (r Refused) again(name uint16) bool { return uint16(r>>r.place(name)) == name }

// with is r when a source is refused now.
func (r Refused) with(name uint16) Refused {
	bits := r.place(name)
	older, younger := r&(^Refused(0xffff)<<bits), r&(1<<bits-1)
	return older | younger<<16 | Refused(name)
}
