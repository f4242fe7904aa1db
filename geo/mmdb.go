package geo

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// maxFile is more than any country database needs; the largest of cities, with
// everything about them, has a fifth.
const maxFile = 1 << 30

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
