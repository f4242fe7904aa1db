package web_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lindero/lindero/core/web"
)

// dist is built by a person and committed; whoever changes a source and forgets to
// build must hear of it, also where there is no node. build/digest.mjs writes the
// list from the same names.
func TestDistWasBuiltFromTheseSources(t *testing.T) {
	var lines []string
	for _, source := range []string{".npmrc", "build", "index.html", "package-lock.json", "package.json", "public", "src", "tsconfig.json", "vite.config.ts"} {
		err := filepath.WalkDir(source, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			lines = append(lines, fmt.Sprintf("%x  %s", sha256.Sum256(text), filepath.ToSlash(path)))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile("dist/SOURCES.sha256")
	if err != nil {
		t.Fatalf("%v; make web", err)
	}
	built := strings.Split(strings.TrimSpace(string(text)), "\n")
	for _, line := range lines {
		if !slices.Contains(built, line) {
			t.Errorf("%s changed since dist was built; make web", line[66:])
		}
	}
	if len(lines) != len(built) {
		t.Errorf("dist was built from %d files, there are %d; make web", len(built), len(lines))
	}
}

// The lock must serve everybody, whichever registry they use.
func TestTheLockNamesNoRegistry(t *testing.T) {
	lock, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if at := regexp.MustCompile(`"resolved"|https?://[^"]*\.tgz`).Find(lock); at != nil {
		t.Errorf("package-lock.json holds %q; .npmrc has a setting against it", at)
	}
	manifest, err := os.ReadFile("package.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range regexp.MustCompile(`"[\w@/-]+": "([\^~*]|latest)[^"]*"`).FindAllString(string(manifest), -1) {
		t.Errorf("package.json does not pin %s", version)
	}
}

var handler = web.Handler()

func ask(t *testing.T, method, path string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) []byte {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEveryAddressInsideTheAppIsThePage(t *testing.T) {
	page := body(t, ask(t, "GET", "/"))
	if !bytes.Contains(page, []byte(`<div id="root">`)) {
		t.Fatalf("/ is %.200s", page)
	}
	for _, path := range []string{"/shield", "/shield/policy", "/shield/bans?ban=2001%3Adb8%3A%3A1", "/../../etc/passwd", "//shield"} {
		r := ask(t, "GET", path)
		if r.StatusCode != http.StatusOK || !bytes.Equal(body(t, r), page) || r.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %s, Cache-Control %q, not the page", path, r.Status, r.Header.Get("Cache-Control"))
		}
	}
	for _, path := range []string{"/assets/index-of-last-year.js", "/SOURCES.sha256", "/favicon.ico"} {
		if r := ask(t, "GET", path); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s; want 404", path, r.Status)
		}
	}
}

// assets are what the page asks for.
func assets(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllSubmatch(body(t, ask(t, "GET", "/")), -1) {
		found = append(found, string(m[1]))
	}
	if len(found) < 3 {
		t.Fatalf("the page names only %q", found)
	}
	return found
}

func TestWhatThePageNamesIsThere(t *testing.T) {
	for _, path := range assets(t) {
		r := ask(t, "GET", path)
		if r.StatusCode != http.StatusOK || len(body(t, r)) == 0 {
			t.Errorf("%s: %s", path, r.Status)
		}
		wanted := "no-cache"
		if strings.HasPrefix(path, "/assets/") {
			wanted = "public, max-age=31536000, immutable"
		}
		if got := r.Header.Get("Cache-Control"); got != wanted {
			t.Errorf("%s: Cache-Control %q; want %q", path, got, wanted)
		}
		types := map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
		if got, want := r.Header.Get("Content-Type"), types[filepath.Ext(path)]; got != want {
			t.Errorf("%s: Content-Type %q; want %q", path, got, want)
		}
	}
}

func TestFilesComeZippedToWhoTakesThat(t *testing.T) {
	for _, path := range append(assets(t), "/") {
		plain := body(t, ask(t, "GET", path))
		for accept, want := range map[string]bool{"gzip, br": true, "*": true, "br": false, "gzip;q=0": false, "gzip;q=0, *": false, "GZIP;q=0.5": true} {
			r := ask(t, "GET", path, "Accept-Encoding", accept)
			got := body(t, r)
			zipped := r.Header.Get("Content-Encoding") == "gzip"
			if zipped {
				z, err := gzip.NewReader(bytes.NewReader(got))
				if err != nil {
					t.Fatal(err)
				}
				if got, err = io.ReadAll(z); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(got, plain) || zipped && !want || !zipped && want && len(plain) > 2000 {
				t.Errorf("%s with Accept-Encoding %q: zipped %v, %d bytes of %d", path, accept, zipped, len(got), len(plain))
			}
			if r.Header.Get("Vary") != "Accept-Encoding" {
				t.Errorf("%s: Vary %q", path, r.Header.Get("Vary"))
			}
		}
	}
}

func TestAFileIsSentOnce(t *testing.T) {
	for _, accept := range []string{"gzip", "identity"} {
		tag := ask(t, "GET", "/", "Accept-Encoding", accept).Header.Get("ETag")
		for ask2, want := range map[string]int{tag: 304, "W/" + tag: 304, `"other", ` + tag: 304, `"other"`: 200} {
			r := ask(t, "GET", "/", "Accept-Encoding", accept, "If-None-Match", ask2)
			if r.StatusCode != want || want == 304 && len(body(t, r)) != 0 {
				t.Errorf("%s, If-None-Match %s: %s; want %d", accept, ask2, r.Status, want)
			}
		}
	}
}

// The policy forbids inline scripts and styles, so the page may not have any.
func TestThePageObeysItsOwnPolicy(t *testing.T) {
	r := ask(t, "GET", "/shield")
	policy := r.Header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "script-src 'self';") || strings.Contains(policy, "unsafe") {
		t.Errorf("Content-Security-Policy is %q", policy)
	}
	page := body(t, r)
	if inline := regexp.MustCompile(`(?i)<script>|<script [^>]*>[^<]|<style|\son\w+=|style=|https?://`).Find(page); inline != nil {
		t.Errorf("the page holds %q", inline)
	}
}

func TestNothingIsWritten(t *testing.T) {
	if r := ask(t, "POST", "/"); r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") == "" {
		t.Errorf("POST: %s, Allow %q", r.Status, r.Header.Get("Allow"))
	}
	if r := ask(t, "HEAD", "/"); r.StatusCode != http.StatusOK || len(body(t, r)) != 0 || r.Header.Get("Content-Length") == "0" {
		t.Errorf("HEAD: %s, %d bytes", r.Status, len(body(t, r)))
	}
}
