package b2bua

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"

	wire "github.com/lindero/lindero/wire/sip"
)

// newParser makes a parser that leaves header lines as they came, but for the
// few that the transaction layer reads all the time. What a phone wrote is then
// echoed byte for byte, where sipgo's typed headers would print it their own way.
func newParser() *sip.Parser {
	all, typed := sip.DefaultHeadersParser(), map[string]sip.HeaderParser{}
	for _, name := range []string{"cseq", "call-id", "i", "content-length", "l"} {
		typed[name] = all[name]
	}
	return sip.NewParser(sip.WithHeadersParsers(typed))
}

// compactForm is the one-letter name of a header (RFC 3261 §7.3.3), which edges pass on as it came.
func compactForm(name string) string {
	switch name {
	case "call-id":
		return "i"
	case "contact":
		return "m"
	case "content-type":
		return "c"
	case "event":
		return "o"
	case "from":
		return "f"
	case "refer-to":
		return "r"
	case "referred-by":
		return "b"
	case "session-expires":
		return "x"
	case "subject":
		return "s"
	case "supported":
		return "k"
	case "to":
		return "t"
	case "via":
		return "v"
	}
	return ""
}

// header is the first value of a header, "" when absent. name is in lower case.
func header(m sip.Message, name string) string {
	if all := headers(m, name); len(all) > 0 {
		return all[0]
	}
	return ""
}

// headers is every line of a header in order. name is in lower case.
func headers(m sip.Message, name string) []string {
	found := m.GetHeaders(name)
	if short := compactForm(name); short != "" {
		found = append(found, m.GetHeaders(short)...)
	}
	values := make([]string, 0, len(found))
	for _, h := range found {
		values = append(values, h.Value())
	}
	return values
}

// values is every value of a list header, lines and commas alike.
func values(m sip.Message, name string) []string {
	var all []string
	for _, line := range headers(m, name) {
		for rest := []byte(line); len(rest) > 0; {
			var v []byte
			if v, rest = wire.NextValue(rest); len(v) > 0 {
				all = append(all, string(v))
			}
		}
	}
	return all
}

// lists tells whether token stands in a list header such as Supported or Allow.
func lists(m sip.Message, name, token string) bool {
	for _, v := range values(m, name) {
		if strings.EqualFold(v, token) {
			return true
		}
	}
	return false
}

// split cuts a header value into what stands before its parameters and those.
func split(value string) (string, []byte) {
	before, params, found := strings.Cut(value, ";")
	if !found {
		return strings.TrimSpace(value), nil
	}
	return strings.TrimSpace(before), []byte(";" + params)
}

// seconds reads a header like "1800;refresher=uac".
func seconds(value string) (n uint32, params []byte, ok bool) {
	v, params := split(value)
	n, ok = wire.ParseInt([]byte(v))
	return n, params, ok
}

// tagOf is the tag of a From or To value, "" when there is none.
func tagOf(value string) string {
	a, err := wire.ParseNameAddr([]byte(value))
	if err != nil {
		return ""
	}
	tag, _ := wire.Param(a.Params, "tag")
	return string(tag)
}

// uriOf is the URI in a Contact, Refer-To or route value.
func uriOf(value string) (sip.Uri, error) {
	var uri sip.Uri
	a, err := wire.ParseNameAddr([]byte(value))
	if err != nil {
		return uri, fmt.Errorf("b2bua: reading an address: %w", err)
	}
	if err := sip.ParseUri(string(a.URI), &uri); err != nil {
		return uri, fmt.Errorf("b2bua: reading a URI: %w", err)
	}
	return uri, nil
}

// hopOf is the address behind a route value or a URI in <>. Only literals count:
// edges write those, and a call must not wait for a resolver.
func hopOf(value string) (netip.AddrPort, bool) {
	a, err := wire.ParseNameAddr([]byte(value))
	if err != nil {
		return netip.AddrPort{}, false
	}
	uri, err := wire.ParseURI(a.URI)
	if err != nil {
		return netip.AddrPort{}, false
	}
	return uri.Addr()
}

// userOf is the user part that was dialled: unescaped, without parameters, of a
// sip: or tel: URI (RFC 3966: visual separators go).
func userOf(uri *sip.Uri) string {
	user := uri.User
	if strings.EqualFold(uri.Scheme, "tel") {
		user = strings.NewReplacer("-", "", ".", "", "(", "", ")", "").Replace(uri.Raw())
	}
	user, _, _ = strings.Cut(user, ";")
	return unescape(user)
}

// elsewhere tells whether uri names a domain that is not the company's. An IP
// literal is the address of an edge, which phones may dial at as well.
func elsewhere(uri *sip.Uri, domain string) bool {
	if strings.EqualFold(uri.Scheme, "tel") || uri.Host == "" || strings.EqualFold(uri.Host, domain) {
		return false
	}
	_, err := netip.ParseAddr(strings.Trim(uri.Host, "[]"))
	return err != nil
}

// unescape resolves %hh (RFC 3261 §19.1.2); a malformed escape stays as it is.
func unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if b, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
				out.WriteByte(b[0])
				i += 2
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// nameAddr prints `"name" <sip:user@host>`; what could end the quotes or the URI is escaped.
func nameAddr(name, user, host string) string {
	uri := "<sip:" + escapeUser(user) + "@" + host + ">"
	if name == "" {
		return uri
	}
	quoted := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, name)
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(quoted) + `" ` + uri
}

// escapeUser escapes what may not stand in a user part (RFC 3261 §25.1).
func escapeUser(user string) string {
	const free = "-_.!~*'()&=+$,/"
	var out strings.Builder
	for i := 0; i < len(user); i++ {
		c := user[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(free, c) >= 0 {
			out.WriteByte(c)
			continue
		}
		fmt.Fprintf(&out, "%%%02X", c)
	}
	return out.String()
}

// token is n random bytes in hex: Call-IDs, tags and branches that say nothing.
func token(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails since Go 1.24
	return hex.EncodeToString(b)
}

func addHeader(m sip.Message, name, value string) { m.AppendHeader(sip.NewHeader(name, value)) }

// setBody gives m a body and says what it is; nil leaves it empty.
func setBody(m sip.Message, b body) {
	if len(b.data) > 0 {
		addHeader(m, "Content-Type", b.kind)
		if b.disposition != "" {
			addHeader(m, "Content-Disposition", b.disposition)
		}
	}
	m.SetBody(b.data)
}

// A body is what a message carries.
type body struct {
	kind        string // Content-Type
	disposition string // Content-Disposition
	data        []byte
}

const sdpType = "application/sdp"

func sdpBody(sdp []byte) body { return body{kind: sdpType, data: sdp} }

func bodyOf(m sip.Message) body {
	if len(m.Body()) == 0 {
		return body{}
	}
	return body{kind: header(m, "content-type"), disposition: header(m, "content-disposition"), data: m.Body()}
}

func (b body) empty() bool { return len(b.data) == 0 }

// isSDP tells a session description from a body of another kind. Multipart counts: it may carry one.
func (b body) isSDP() bool {
	kind, _ := split(b.kind)
	return len(b.data) > 0 && (strings.EqualFold(kind, sdpType) || strings.HasPrefix(strings.ToLower(kind), "multipart/"))
}

func itoa(n int) string { return strconv.Itoa(n) }

// A number is what was dialled or who calls. Logs show only its last digits.
type number string

// LogValue is the number with all but its last two characters starred.
func (n number) LogValue() slog.Value {
	shown := max(len(n)-2, 0)
	return slog.StringValue(strings.Repeat("*", shown) + string(n[shown:]))
}

func lower(s string) string { return strings.ToLower(s) }

// cutSpace cuts at the first white space, as in a CSeq.
func cutSpace(s string) (before, after string, found bool) {
	i := strings.IndexAny(s, " \t")
	if i < 0 {
		return s, "", false
	}
	return s[:i], strings.TrimSpace(s[i:]), true
}

func splitFields(s string) []string { return strings.Fields(s) }

// canonical is a header's name with the first letter of each word upper-cased, as RFC 3261 prints most.
func canonical(name string) string {
	words := strings.Split(name, "-")
	for i, w := range words {
		words[i] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(words, "-")
}
