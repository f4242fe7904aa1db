package geo

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"time"
)

// fetch copies src, a file or URL, beside dst.
func fetch(ctx context.Context, dst, src string, o UpdateOptions) (*part, error) {
	wait := o.Timeout
	if wait == 0 {
		wait = 15 * time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	from, size, err := openSource(ctx, src)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	p, err := beside(dst)
	if err != nil {
		return nil, err
	}
	var told func(int64)
	if o.Progress != nil {
		told = func(done int64) { o.Progress(done, size) }
	}
	if err := p.fill(from, maxFile, told); err != nil {
		p.remove()
		return nil, err
	}
	return p, nil
}

// openSource opens a file or asks a server. The size is -1 when it is not known.
func openSource(ctx context.Context, src string) (io.ReadCloser, int64, error) {
	if !isURL(src) {
		f, err := os.Open(src)
		if err != nil {
			return nil, 0, err
		}
		at, err := f.Stat()
		if err == nil && !at.Mode().IsRegular() {
			err = errors.New("no regular file")
		}
		if err != nil {
			_ = f.Close()
			return nil, 0, err
		}
		return f, at.Size(), nil
	}
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, src, nil)
	if err != nil {
		return nil, 0, withoutURL(err)
	}
	// As it is, also when it is a .gz: its checksum is of that.
	ask.Header.Set("Accept-Encoding", "identity")
	ask.Header.Set("User-Agent", "lindero-geo-update")
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = 30 * time.Second
	transport.DisableKeepAlives = true
	answer, err := (&http.Client{Transport: transport}).Do(ask)
	if err != nil {
		return nil, 0, withoutURL(err)
	}
	if answer.StatusCode != http.StatusOK {
		_ = answer.Body.Close()
		return nil, 0, fmt.Errorf("the server answers %s", answer.Status)
	}
	if answer.ContentLength > maxFile {
		_ = answer.Body.Close()
		return nil, 0, tooLarge(maxFile)
	}
	return answer.Body, answer.ContentLength, nil
}

func isURL(src string) bool {
	return strings.HasPrefix(src, "http://") || strings.HasPrefix(src, "https://")
}

// publicly is src as it may be shown: makers put licence keys into the query.
func publicly(src string) string {
	if !isURL(src) {
		return src
	}
	u, err := url.Parse(src)
	if err != nil {
		return "the URL"
	}
	return u.Scheme + "://" + u.Host + u.Path
}

// withoutURL takes the URL, licence key and all, out of an error of net/http.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// fill writes all of from into the part, down to the disk.
func (p *part) fill(from io.Reader, most int64, done func(int64)) error {
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(p.file, sum), &bounded{from: from, left: most, most: most, done: done}); err != nil {
		return err
	}
	p.sum = hex.EncodeToString(sum.Sum(nil))
	// It holds no secret, and edges may run as other users than who updates it.
	return errors.Join(p.file.Chmod(0o644), p.file.Sync(), p.file.Close())
}

// unpack gives back the database in what was fetched, as a part of its own when it
// was packed. What
// it is shows by its first bytes: names and types of downloads say little.
func unpack(p *part, dst string) (*part, error) {
	f, err := os.Open(p.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in := bufio.NewReader(f)
	head, err := in.Peek(4)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return nil, errors.New("a zip archive; unpack it and give the .mmdb file")
	case !bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return p, nil
	}
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, err
	}
	inside := bufio.NewReaderSize(&bounded{from: z, left: maxFile, most: maxFile}, 1<<16)
	out, err := beside(dst)
	if err != nil {
		return nil, err
	}
	if block, _ := inside.Peek(512); len(block) == 512 && string(block[257:262]) == "ustar" { // POSIX.1 tar
		err = out.fromTar(tar.NewReader(inside))
	} else {
		err = out.fill(inside, maxFile, nil)
	}
	if err != nil {
		out.remove()
		return nil, err
	}
	return out, nil
}

// fromTar takes the one database out of an archive.
func (p *part) fromTar(archive *tar.Reader) error {
	found := ""
	for {
		h, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF) && found == "":
			return errors.New("an archive without an .mmdb file")
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case h.Typeflag != tar.TypeReg || path.Ext(h.Name) != ".mmdb":
			continue
		case found != "":
			return fmt.Errorf("an archive with several databases, %s and %s; give one", found, h.Name)
		}
		found = h.Name
		if err := p.fill(archive, maxFile, nil); err != nil {
			return err
		}
	}
}
