package call

// Mux says what a message wants done about RTP and RTCP on one port (RFC 5761).
// The zero Mux goes along with what the parties say.
type Mux struct {
	Offer   bool // offer it, asked or not
	Require bool // the same, as if it were accepted already
	Demux   bool // take it from who offers it, but do not offer it on
	Accept  bool // take it from who offers it, whatever the other side says to it
	Reject  bool // do not take it
}

// mux is how a half stands to it.
type mux struct {
	asked   bool // its last SDP, an offer, wanted it
	put     Mux  // what to do with that when the answer comes
	told    bool // our last offer to this half had it
	settled bool // that offer, of whichever half, has an answer
	agreed  bool // it sends and gets RTCP at its RTP port
}

// hears says whether RTCP may come to the half's RTP port: also while an answer
// is awaited, since nobody knows when the party takes it for given.
func (m *mux) hears() bool { return m.agreed || !m.settled && (m.told || m.asked) }

// offerMux takes what the offer of half x says, and decides what half y is told.
func offerMux(x, y *half, asked bool, want Mux) {
	x.mux.asked, x.mux.put, x.mux.told, x.mux.settled = asked, want, false, false
	y.mux.told = asked && !want.Demux || want.Offer || want.Require
	y.mux.asked, y.mux.settled = false, false
	if want.Require {
		y.mux.agreed = true
	}
}

// answerMux takes what the answer of half y says, and decides what half x is told.
// It may come again: a fork answers more than once.
func answerMux(x, y *half, accepted bool) {
	y.mux.agreed = accepted && y.mux.told
	x.mux.agreed = x.mux.asked && !x.mux.put.Reject && (y.mux.agreed || x.mux.put.Accept || x.mux.put.Demux)
	x.mux.settled, y.mux.settled = true, true
}
