package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/lindero/lindero/geo"
	"github.com/lindero/lindero/relay"
)

// staleAfter is when a country database is told to be old: by then some hundred
// networks have moved to another country.
const staleAfter = 35 * 24 * time.Hour

// licences says what the makers of databases want, by how their types begin.
var licences = []struct{ kind, wants string }{
	{"GeoLite2", "MaxMind's GeoLite2 licence: use the newest, delete older ones within 30 days, say where it is from"},
	{"GeoIP2", "MaxMind's GeoIP2 licence: yours to keep with MaxMind, not to pass on"},
	{"DBIP", "CC BY 4.0: name DB-IP.com where you show what it says"},
	{"ipinfo", "CC BY-SA 4.0: name IPinfo where you show what it says"},
	{"iptoasn", "PDDL: free for everything"},
	{"geo-whois", "CC0: free for everything"},
}

// examineCountries looks at the country database in the file at path.
func examineCountries(path string, now time.Time) finding {
	f := finding{what: "countries", state: less}
	table, err := geo.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.found = "no database at " + path
		f.means = "country rules are off, everything else works; lindero geo update puts one there"
		return f
	case err != nil:
		f.found, f.means = err.Error(), "country rules are off; lindero geo update puts another there"
		return f
	}
	info := table.Info()
	age := now.Sub(info.Built)
	days := max(int(age/(24*time.Hour)), 0)
	f.state = good
	f.found = fmt.Sprintf("%s of %s, %s old, %d countries, %d prefixes", info.Type, info.Built.Format(time.DateOnly), plural(days, "day"), info.Seen, info.V4+info.V6)
	var advice []string
	if age > staleAfter {
		f.state = less
		advice = append(advice, "networks move between countries: take a fresh one with lindero geo update")
	}
	if info.Lost > 0 {
		advice = append(advice, plural(info.Lost, "prefix")+" longer than IPv6's /64 count as what is around them")
	}
	f.means = strings.Join(append(advice, licenceOf(info)), "; ")
	return f
}

func licenceOf(info geo.Info) string {
	for _, l := range licences {
		if strings.HasPrefix(strings.ToLower(info.Type), strings.ToLower(l.kind)) || strings.Contains(strings.ToLower(info.Description), strings.ToLower(l.kind)) {
			return l.wants
		}
	}
	return "its licence is not known to lindero; its maker says what it allows"
}

func plural(n int, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case strings.HasSuffix(what, "x"):
		return strconv.Itoa(n) + " " + what + "es"
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// examineEphemeral compares the relay's ports with those the kernel lends to
// everybody: a filter that shuts media ports without a call would shut those too.
// lent and reserved are the texts of the kernel's two settings.
func examineEphemeral(media relay.PortRange, lent, reserved string) finding {
	f := finding{what: "media ports", state: good}
	bounds := strings.Fields(lent)
	if len(bounds) != 2 {
		f.state, f.found = less, "unknown; ip_local_port_range cannot be read"
		return f
	}
	first, errFirst := strconv.ParseUint(bounds[0], 10, 16)
	last, errLast := strconv.ParseUint(bounds[1], 10, 16)
	if errFirst != nil || errLast != nil {
		f.state, f.found = less, fmt.Sprintf("unknown; ip_local_port_range says %q", lent)
		return f
	}
	f.found = fmt.Sprintf("%d-%d, apart from the kernel's own %d-%d", media.Low, media.High, first, last)
	low, high := max(media.Low, uint16(first)), min(media.High, uint16(last))
	if low > high {
		return f
	}
	for part := range strings.SplitSeq(strings.TrimSpace(reserved), ",") {
		from, to, two := strings.Cut(part, "-")
		if !two {
			to = from
		}
		a, errA := strconv.ParseUint(from, 10, 16)
		b, errB := strconv.ParseUint(to, 10, 16)
		if errA == nil && errB == nil && uint16(a) <= low && high <= uint16(b) {
			f.found = fmt.Sprintf("%d-%d, reserved from the kernel's own %d-%d", media.Low, media.High, first, last)
			return f
		}
	}
	f.state = less
	f.found = fmt.Sprintf("%d-%d; the kernel lends %d-%d of them to other programs", media.Low, media.High, low, high)
	f.means = fmt.Sprintf("a shield in the kernel reserves them, or leaves them open when it may not: sysctl -w net.ipv4.ip_local_reserved_ports=%d-%d", media.Low, media.High)
	return f
}
