package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

func (s *Store) openSQLite(ctx context.Context, path string) error {
	if path == "" {
		return errors.New("store: sqlite: a path is required")
	}
	// The file holds credentials; SQLite gives its side files the same mode.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("store: sqlite: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("store: sqlite: %w", err)
	}
	s.unique = func(err error) bool {
		var e *sqlite.Error
		return errors.As(err, &e) &&
			(e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
	}

	w, err := sql.Open("sqlite", sqliteDSN(path, "_txlock=immediate"))
	if err != nil {
		return fmt.Errorf("store: sqlite: %w", err)
	}
	w.SetMaxOpenConns(1)
	s.write = newPool(w)
	if err := migrate(ctx, goose.DialectSQLite3, w); err != nil {
		return err
	}

	r, err := sql.Open("sqlite", sqliteDSN(path, "_query_only=1"))
	if err != nil {
		return fmt.Errorf("store: sqlite: %w", err)
	}
	r.SetMaxOpenConns(2 + runtime.GOMAXPROCS(0))
	r.SetMaxIdleConns(2 + runtime.GOMAXPROCS(0))
	s.read = newPool(r)
	return s.Ping(ctx)
}

func sqliteDSN(path, more string) string {
	return "file:" + (&url.URL{Path: path}).EscapedPath() +
		"?_busy_timeout=5000&_journal_mode=WAL&_synchronous=NORMAL&_foreign_keys=1&_dqs=0&" + more
}
