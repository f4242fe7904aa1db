package geo_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lindero/lindero/geo"
)

// A planet is a database large enough to be taken for the world: 120 countries in
// 12,000 /28s of 198.18.0.0/15 and below, of which the first moved belong to
// another country than usual.
func planet(t testing.TB, moved int, made time.Time) []byte {
	t.Helper()
	all := geo.All()
	records := map[string]record{}
	for i := range 12_000 {
		at := i * 2 // every second one: they shall not join
		c := all[i%120]
		if i < moved {
			c = all[200]
		}
		records[fmt.Sprintf("%d.%d.%d.%d/28", 100+at>>20, at>>12&255, at>>4&255, at&15<<4)] = country(c.String())
	}
	records["2001:db8::/32"] = country("ES")
	o := options()
	o.BuildEpoch = made.Unix()
	return mmdb(t, o, records)
}

func zipped(t testing.TB, file []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(file); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tarred(t testing.TB, names []string, files ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i, name := range names {
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(files[i]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(files[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return zipped(t, b.Bytes())
}

func TestUpdateTakesEveryForm(t *testing.T) {
	file := planet(t, 0, built)
	licence := []byte("by whoever made it")
	for name, form := range map[string][]byte{
		"alone":                file,
		"gzipped":              zipped(t, file),
		"as MaxMind serves it": tarred(t, []string{"GeoLite2-Country_20260617/LICENSE.txt", "GeoLite2-Country_20260617/GeoLite2-Country.mmdb"}, licence, file),
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Get("license_key") != "secret" {
					http.Error(w, "who are you", http.StatusUnauthorized)
					return
				}
				http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(form))
			}))
			defer server.Close()
			sum := sha256.Sum256(form)
			for _, src := range []string{write(t, form), server.URL + "/download?license_key=secret"} {
				dst := filepath.Join(t.TempDir(), "countries.mmdb")
				var done, total int64
				report, err := geo.Update(t.Context(), dst, src, geo.UpdateOptions{
					SHA256: hex.EncodeToString(sum[:]), Progress: func(d, of int64) { done, total = d, of },
				})
				if err != nil || !report.Installed || report.Previous != "" || report.After.Seen != 120 || report.Before.Type != "" {
					t.Fatalf("%+v, %v", report, err)
				}
				if done != int64(len(form)) || total != int64(len(form)) {
					t.Errorf("progress ended at %d of %d, want %d", done, total, len(form))
				}
				got, err := os.ReadFile(dst)
				if err != nil || !bytes.Equal(got, file) {
					t.Errorf("not the database was installed (%v)", err)
				}
				alone(t, dst)
			}
			_, err := geo.Update(t.Context(), filepath.Join(t.TempDir(), "x"), server.URL+"/download?license_key=hidden", geo.UpdateOptions{})
			if err == nil || !strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), "hidden") {
				t.Errorf("a refusal: %v, want 401 and no licence key", err)
			}
		})
	}
}

// alone fails when anything but these files is in their folder.
func alone(t *testing.T, files ...string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(files[0]))
	if err != nil || len(entries) != len(files) {
		t.Errorf("the folder has %v (%v), want only %v", entries, err, files)
	}
}

func TestUpdateComparesWithWhatIsThere(t *testing.T) {
	day := 24 * time.Hour
	old, same, few, many := planet(t, 0, built), planet(t, 0, built.Add(day)), planet(t, 600, built.Add(2*day)), planet(t, 6000, built.Add(3*day))
	dst := filepath.Join(t.TempDir(), "countries.mmdb")
	step := func(why string, file []byte, o geo.UpdateOptions, refused string) geo.Report {
		t.Helper()
		before, _ := os.ReadFile(dst)
		report, err := geo.Update(t.Context(), dst, write(t, file), o)
		if refused == "" && err != nil || refused != "" && (!errors.Is(err, geo.ErrRefused) || !strings.Contains(err.Error(), refused)) {
			t.Fatalf("%s: got %v, want a refusal with %q", why, err, refused)
		}
		if now, _ := os.ReadFile(dst); report.Installed != (refused == "" && !report.Same) || !report.Installed && !bytes.Equal(now, before) {
			t.Fatalf("%s: installed %v, same %v", why, report.Installed, report.Same)
		}
		if report.Installed && before != nil {
			if kept, _ := os.ReadFile(report.Previous); !bytes.Equal(kept, before) {
				t.Fatalf("%s: the one before is not kept at %q", why, report.Previous)
			}
		}
		return report
	}
	step("the first", old, geo.UpdateOptions{}, "")
	if r := step("the same again", old, geo.UpdateOptions{}, ""); !r.Same {
		t.Errorf("%+v", r)
	}
	if r := step("another that says the same", same, geo.UpdateOptions{}, ""); r.Move.V4 != 0 || r.Move.V6 != 0 {
		t.Errorf("it moves %+v", r.Move)
	}
	if r := step("a twentieth moves", few, geo.UpdateOptions{}, ""); r.Move.V4 < 0.049 || r.Move.V4 > 0.051 {
		t.Errorf("it moves %+v", r.Move)
	}
	if r := step("half moves", many, geo.UpdateOptions{}, "of all IPv4 addresses"); r.Move.V4 < 0.4 || r.Move.V4 > 0.5 {
		t.Errorf("it moves %+v", r.Move)
	}
	step("half moves, and may", many, geo.UpdateOptions{MaxMoved: 0.6}, "")
	step("an old one", old, geo.UpdateOptions{MaxMoved: 0.6}, "it was made on 2026-06-17 12:00, the present one on 2026-06-20 12:00")
	step("an old one, by force", old, geo.UpdateOptions{Force: true}, "")
	step("a small one", mmdb(t, options(), map[string]record{"192.0.2.0/24": code("ES")}), geo.UpdateOptions{MaxMoved: 1}, "1 countries in 1 prefixes")
	alone(t, dst, dst+".previous")
}

func TestUpdateRefusesWhatIsNoDatabase(t *testing.T) {
	file := planet(t, 0, built)
	small := mmdb(t, options(), map[string]record{"192.0.2.0/24": code("ES")})
	for name, c := range map[string]struct {
		file []byte
		o    geo.UpdateOptions
		want string
	}{
		"a page":              {[]byte("<html>"), geo.UpdateOptions{Force: true}, "no MMDB database"},
		"half":                {file[:len(file)/2], geo.UpdateOptions{Force: true}, "cut short"},
		"half of a gzip":      {zipped(t, file)[:9000], geo.UpdateOptions{Force: true}, "unexpected EOF"},
		"an empty archive":    {tarred(t, []string{"README"}, []byte("hello")), geo.UpdateOptions{}, "without an .mmdb"},
		"an archive of two":   {tarred(t, []string{"a.mmdb", "b.mmdb"}, file, small), geo.UpdateOptions{}, "several databases, a.mmdb and b.mmdb"},
		"a zip":               {[]byte("PK\x03\x04whatever"), geo.UpdateOptions{}, "unpack it"},
		"another than wanted": {file, geo.UpdateOptions{Force: true, SHA256: strings.Repeat("0", 64)}, "SHA-256"},
	} {
		dst := filepath.Join(t.TempDir(), "countries.mmdb")
		if err := os.WriteFile(dst, small, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := geo.Update(t.Context(), dst, write(t, c.file), c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
		if now, _ := os.ReadFile(dst); !bytes.Equal(now, small) {
			t.Errorf("%s: the present one is gone", name)
		}
		alone(t, dst)
	}
}

func TestUpdateReplacesADamagedDatabase(t *testing.T) {
	dst := filepath.Join(t.TempDir(), "countries.mmdb")
	if err := os.WriteFile(dst, []byte("what a full disk left"), 0o600); err != nil {
		t.Fatal(err)
	}
	report, err := geo.Update(t.Context(), dst, write(t, planet(t, 0, built)), geo.UpdateOptions{})
	if err != nil || !report.Installed || report.Damaged == "" {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestUpdateDoesNotWaitForever(t *testing.T) {
	stuck := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("a few bytes, then "))
		w.(http.Flusher).Flush()
		<-stuck
	}))
	defer server.Close()
	defer close(stuck)
	dst := filepath.Join(t.TempDir(), "countries.mmdb")
	_, err := geo.Update(t.Context(), dst, server.URL, geo.UpdateOptions{Timeout: 50 * time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "deadline") {
		t.Errorf("got %v, want the end of the time", err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(dst)); len(entries) != 0 {
		t.Errorf("it left %v", entries)
	}
}

func TestUpdateStopsAtWhatNoDatabaseNeeds(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "99999999999999")
	}))
	defer server.Close()
	_, err := geo.Update(t.Context(), filepath.Join(t.TempDir(), "countries.mmdb"), server.URL, geo.UpdateOptions{})
	if err == nil || !strings.Contains(err.Error(), "no country database is as large") {
		t.Errorf("got %v", err)
	}
}
