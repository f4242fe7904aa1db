package audio

import "time"

// MOS estimates how people would rate G.711 speech, 1 to 4.5, by the E-model of
// ITU-T G.107 with all defaults but two: the mouth-to-ear delay one way, and the
// share of packets lost (0 to 1), which are taken to be lost at random and to be
// heard as they are: G.113 appendix I, Ie 0, Bpl 4.3, no concealment.
func MOS(oneWay time.Duration, loss float64) float64 {
	const (
		clean      = 93.2 // R with every default of G.107
		robustness = 4.3  // Bpl
	)
	ms := float64(oneWay) / float64(time.Millisecond)
	late := 0.024 * ms
	if ms > 177.3 {
		late += 0.11 * (ms - 177.3)
	}
	percent := 100 * loss
	r := clean - late - 95*percent/(percent+robustness)
	switch {
	case r <= 0:
		return 1
	case r >= 100:
		return 4.5
	}
	return max(1, 1+0.035*r+r*(r-60)*(100-r)*7e-6)
}
