// Package web is the page that people see in a browser: a React app (src), built by
// Vite into dist, which is embedded here so that the binary needs no file beside it
// and building it needs no Node. It serves files and knows nothing of what they
// show; that comes from the API (core/api). After a change in src: make web. While
// changing it: npm --prefix core/web run dev, which asks a core on 127.0.0.1:8080.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed all:dist
var dist embed.FS

const (
	// index is what a path without a file gets: which page it means is for the app to say.
	index = "index.html"
	// digest says what dist was built from; it is for tests, not for browsers.
	digest = "SOURCES.sha256"
	// assets have a digest of their content in their names, so they never change.
	assets = "assets/"
	// policy keeps out everything that did not come from here, inline scripts and
	// styles too: a hole in the page must not become somebody else's page.
	policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

// Handler serves the page. A path that is no file of it gets the page itself, so
// that an address inside the app can be opened and reloaded.
func Handler() http.Handler {
	return &handler{read(dist)}
}

type handler struct {
	files map[string]file // by path under dist; constant
}

// A file is what is served at one path.
type file struct {
	kind   string
	tag    string
	cache  string
	plain  []byte
	zipped []byte // nil when it is not smaller
}

// read prepares every file once, a few hundred kilobytes in all.
func read(from fs.FS) map[string]file {
	files := map[string]file{}
	err := fs.WalkDir(from, "dist", func(at string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == digest {
			return err
		}
		content, err := fs.ReadFile(from, at)
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(at, "dist/")
		files[name] = prepare(name, content)
		return nil
	})
	if err != nil {
		panic("web: what is embedded cannot be read: " + err.Error())
	}
	return files
}

func prepare(name string, content []byte) file {
	sum := sha256.Sum256(content)
	f := file{kind: kind(name), tag: hex.EncodeToString(sum[:8]), cache: "no-cache", plain: content}
	if strings.HasPrefix(name, assets) {
		f.cache = "public, max-age=31536000, immutable"
	}
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is one there is
	_, _ = w.Write(content)                               // a buffer takes everything
	_ = w.Close()
	if b.Len() < len(content)*9/10 {
		f.zipped = b.Bytes()
	}
	return f
}

// kind does not ask the machine's own list of types, which may lack these or lie.
func kind(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}

// ServeHTTP answers GET and HEAD.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
	f, ok := h.files[name]
	switch {
	case ok:
	case path.Ext(name) != "":
		// An old page asks for an asset that is no more: not found is better than
		// a page where a script should be.
		http.NotFound(w, r)
		return
	default:
		f = h.files[index]
	}
	f.serve(w, r)
}

func (f file) serve(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Content-Security-Policy", policy)
	head.Set("Cross-Origin-Opener-Policy", "same-origin")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Cache-Control", f.cache)
	head.Set("Vary", "Accept-Encoding")
	body, tag := f.plain, f.tag
	if f.zipped != nil && acceptsGzip(r.Header.Values("Accept-Encoding")) {
		head.Set("Content-Encoding", "gzip")
		body, tag = f.zipped, f.tag+"-gzip"
	}
	head.Set("ETag", `"`+tag+`"`)
	if matches(r.Header.Values("If-None-Match"), tag) {
		head.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	head.Set("Content-Type", f.kind)
	head.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(body) // whoever asked is gone; there is nobody to tell
}

// acceptsGzip reads Accept-Encoding (RFC 9110, section 12.5.3).
func acceptsGzip(values []string) bool {
	accepted := false
	for coding := range strings.SplitSeq(strings.Join(values, ","), ",") {
		name, weight, _ := strings.Cut(coding, ";")
		name = strings.TrimSpace(name)
		_, q, _ := strings.Cut(weight, "=")
		n, err := strconv.ParseFloat(strings.TrimSpace(q), 64)
		wanted := weight == "" || err == nil && n > 0
		if strings.EqualFold(name, "gzip") {
			return wanted
		}
		accepted = accepted || name == "*" && wanted
	}
	return accepted
}

// matches reads If-None-Match; weak tags of ours count too.
func matches(values []string, tag string) bool {
	for one := range strings.SplitSeq(strings.Join(values, ","), ",") {
		one = strings.TrimPrefix(strings.TrimSpace(one), "W/")
		if one == "*" || one == `"`+tag+`"` {
			return true
		}
	}
	return false
}
