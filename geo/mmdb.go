package geo

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/lindero/lindero/geo/trie"
)

// maxFile is more than any country database needs; the largest of cities, with
// everything about them, has a fifth.
const maxFile = 1 << 30

// A bound is the work that a database may ask for. Branches of its tree may share
// subtrees, and so spell out 2^128 prefixes in a few bytes.
type bound struct {
	visits int // of nodes and records
	steps  int // trie nodes above all prefixes, each counted as if it had its own
}

// usual is some four times what the largest databases need.
var usual = bound{visits: 1 << 26, steps: 1 << 25}

// Open reads and compiles the MMDB at path: GeoLite2, GeoIP2, DB-IP, IPtoASN,
// geo-whois, IPinfo, or any other that names an ISO code in country_code or
// country.iso_code.
func Open(path string) (*Table, error) { return open(path, path) }

// open is Open of a file that people know by another name.
func open(path, name string) (*Table, error) {
	began := time.Now()
	file, err := readBounded(path)
	if err != nil {
		return nil, fmt.Errorf("geo: reading the country database: %w", err)
	}
	return read(name, file, began, usual)
}

// readBounded reads the file whole. It is not mapped: whoever truncates a mapped
// file in place ends every process that has it.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	switch at, err := f.Stat(); {
	case err != nil:
		return nil, err
	case !at.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no regular file", path)
	case at.Size() > maxFile:
		return nil, fmt.Errorf("%s has %d bytes, more than the %d that any country database needs", path, at.Size(), maxFile)
	}
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// read is Open for what was read from path.
func read(path string, file []byte, began time.Time, most bound) (*Table, error) {
	db, err := maxminddb.OpenBytes(file)
	if err != nil {
		return nil, fmt.Errorf("geo: %s is no MMDB database, or was cut short: %w", path, err)
	}
	w := &walk{db: db, file: file, left: most, places: map[uint]Country{}}
	if err := w.whole(); err != nil {
		return nil, fmt.Errorf("geo: %s is damaged: %w", path, err)
	}
	if len(w.entries) == 0 {
		return nil, fmt.Errorf("geo: %s (%s) names no country for any address; a country or city database is wanted", path, db.Metadata.DatabaseType)
	}
	sum := sha256.Sum256(file)
	info := Info{
		Path: path, Type: db.Metadata.DatabaseType, Description: describe(db.Metadata.Description),
		Built: db.Metadata.BuildTime().UTC(), SHA256: hex.EncodeToString(sum[:]), Codes: w.strange,
	}
	info.Version = info.Built.Format(time.DateOnly) + "-" + info.SHA256[:8]
	info.Read = time.Since(began)
	return compile(w.entries, info)
}

func describe(in map[string]string) string {
	text, english := in["en"]
	for _, other := range in {
		if !english {
			text = other
		}
	}
	return strings.ToValidUTF8(text[:min(len(text), 400)], "")
}

// A walk goes through the search tree of a database once. The library decodes the
// records; the tree is walked here, because the library's own iteration has no
// bound and does not join neighbours of one country.
type walk struct {
	db      *maxminddb.Reader
	file    []byte
	places  map[uint]Country // by where the record is
	entries []trie.Entry
	strange []string // codes that are no Country
	left    bound

	size, nodes uint // of a node in bytes; how many
	v4          uint // the node of ::/96, where IPv4 lives; nodes when there is none
}

// whole walks everything.
func (w *walk) whole() error {
	m := w.db.Metadata
	if m.RecordSize != 24 && m.RecordSize != 28 && m.RecordSize != 32 {
		return fmt.Errorf("records of %d bits; they have 24, 28 or 32", m.RecordSize)
	}
	w.size, w.nodes = m.RecordSize/4, m.NodeCount
	if w.nodes == 0 || w.nodes > uint(len(w.file))/w.size {
		return fmt.Errorf("a tree of %d nodes does not fit", w.nodes)
	}
	var at place
	switch m.IPVersion {
	case 4:
		at, w.v4 = home4, 0
	case 6:
		w.v4 = w.down(at, 96)
	default:
		return fmt.Errorf("IP version %d", m.IPVersion)
	}
	c, whole, err := w.subtree(0, at)
	if err != nil {
		return err
	}
	if whole {
		w.put(at, c)
	}
	return nil
}

// down is where the tree goes from its root for an address after some bits, a
// leaf when it ends before.
func (w *walk) down(to place, bits int) uint {
	pointer := uint(0)
	for bit := 0; bit < bits && pointer < w.nodes; bit++ {
		left, right := w.children(pointer)
		if pointer = left; to.hi<<bit>>63 == 1 {
			pointer = right
		}
	}
	return pointer
}

// children are the two records of a node.
func (w *walk) children(node uint) (left, right uint) {
	b := w.file[node*w.size : (node+1)*w.size]
	switch w.size {
	case 6:
		return uint(b[0])<<16 | uint(b[1])<<8 | uint(b[2]), uint(b[3])<<16 | uint(b[4])<<8 | uint(b[5])
	case 7: // the middle byte has the top four bits of both
		return uint(b[3]>>4)<<24 | uint(b[0])<<16 | uint(b[1])<<8 | uint(b[2]),
			uint(b[3]&15)<<24 | uint(b[4])<<16 | uint(b[5])<<8 | uint(b[6])
	default:
		return uint(binary.BigEndian.Uint32(b)), uint(binary.BigEndian.Uint32(b[4:]))
	}
}

// subtree adds what lies below pointer, at a place, to the entries, except when
// all of it is one country: then it says which, and the caller may join it with
// its neighbour.
func (w *walk) subtree(pointer uint, at place) (c Country, whole bool, err error) {
	w.left.visits--
	switch {
	case w.left.visits < 0 || w.left.steps < 0:
		return 0, false, errors.New("the tree is larger than any country database")
	case pointer == w.nodes:
		return Unknown, true, nil
	case pointer > w.nodes:
		c, err = w.country(pointer)
		return c, true, err
	case at.bit == 128:
		return 0, false, fmt.Errorf("the tree goes on below %v", at.prefix())
	case pointer == w.v4 && at != home4:
		return Unknown, true, nil // an alias of IPv4: mapped addresses, 6to4, Teredo
	}
	left, right := w.children(pointer)
	c0, whole0, err := w.subtree(left, at.half(0))
	if err != nil {
		return 0, false, err
	}
	c1, whole1, err := w.subtree(right, at.half(1))
	if err != nil {
		return 0, false, err
	}
	if whole0 && whole1 && c0 == c1 {
		return c0, true, nil
	}
	if whole0 {
		w.put(at.half(0), c0)
	}
	if whole1 {
		w.put(at.half(1), c1)
	}
	return 0, false, nil
}

// put adds a prefix to the entries.
func (w *walk) put(at place, c Country) {
	if c == Unknown {
		return
	}
	p := at.prefix()
	w.entries = append(w.entries, trie.Entry{Prefix: p, Value: uint32(c)})
	w.left.steps -= 1 + p.Bits()/4
	if at.hi|at.lo == 0 && at.bit < 96 { // holds ::/96, which is all of IPv4
		w.entries = append(w.entries, trie.Entry{Prefix: home4.prefix(), Value: uint32(c)})
	}
}

// country is what the record that a pointer of the tree leads to says.
func (w *walk) country(pointer uint) (Country, error) {
	const separator = 16
	offset := pointer - w.nodes - separator
	if pointer < w.nodes+separator {
		return Unknown, errors.New("the tree leads to no record")
	}
	if c, ok := w.places[offset]; ok {
		return c, nil
	}
	code, err := codeOf(w.db.LookupOffset(uintptr(offset)))
	if err != nil {
		return Unknown, err
	}
	c, err := ParseCountry(code)
	if err != nil && code != "" {
		w.note(code)
	}
	w.places[offset] = c
	return c, nil
}

// note remembers a code that is no Country.
func (w *walk) note(code string) {
	const most = 64 // a word for people; a file full of nonsense is not repeated whole
	code = strings.ToValidUTF8(code[:min(len(code), 16)], "?")
	if !slices.Contains(w.strange, code) && len(w.strange) < most {
		w.strange = append(w.strange, code)
	}
}

// codeOf reads the country of a record, however its maker writes it; "" is none.
// Where the address is said to be comes before where it is registered.
func codeOf(r maxminddb.Result) (string, error) {
	for _, path := range [][]any{{"country_code"}, {"country", "iso_code"}, {"registered_country", "iso_code"}} {
		var code string
		err := r.DecodePath(&code, path...)
		if err != nil && len(path) == 2 {
			// Some write the code itself where others have a map.
			if other := r.DecodePath(&code, path[0]); other == nil {
				err = nil
			}
		}
		if err != nil && !errors.As(err, new(maxminddb.UnmarshalTypeError)) { // something else may go by that name
			return "", err
		}
		if code != "" {
			return code, nil
		}
	}
	return "", nil
}

// A place is a prefix of the tree, as 128 bits.
type place struct {
	hi, lo uint64
	bit    int
}

// home4 is where databases keep IPv4.
var home4 = place{bit: 96}

// half is the first (0) or second (1) half of a place.
func (p place) half(i uint64) place {
	if p.bit < 64 {
		p.hi |= i << (63 - p.bit)
	} else {
		p.lo |= i << (127 - p.bit)
	}
	p.bit++
	return p
}

func (p place) prefix() netip.Prefix {
	if p.hi|p.lo>>32 == 0 && p.bit >= 96 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(p.lo))
		return netip.PrefixFrom(netip.AddrFrom4(b), p.bit-96)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], p.hi)
	binary.BigEndian.PutUint64(b[8:], p.lo)
	return netip.PrefixFrom(netip.AddrFrom16(b), p.bit)
}
