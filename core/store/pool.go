package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/lindero/lindero/core/tenancy"
)

// A pool is a set of connections with the statements prepared on them. Every
// statement's text is a constant of this package, so their number is small.
type pool struct {
	db *sql.DB

	mu    sync.RWMutex // guards stmts
	stmts map[string]*sql.Stmt
}

func newPool(db *sql.DB) *pool { return &pool{db: db, stmts: map[string]*sql.Stmt{}} }

func (p *pool) close() error {
	// Closing the database closes its statements with it.
	return p.db.Close()
}

func (p *pool) stmt(ctx context.Context, text string) (*sql.Stmt, error) {
	p.mu.RLock()
	st := p.stmts[text]
	p.mu.RUnlock()
	if st != nil {
		return st, nil
	}
	// Prepared without the lock: it talks to the database.
	st, err := p.db.PrepareContext(ctx, text)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if first := p.stmts[text]; first != nil {
		_ = st.Close() // two prepared it at once; this one was never used
		return first, nil
	}
	p.stmts[text] = st
	return st, nil
}

// exec runs one statement and returns how many rows it touched.
func (p *pool) exec(ctx context.Context, text string, args ...any) (int64, error) {
	st, err := p.stmt(ctx, text)
	if err != nil {
		return 0, err
	}
	res, err := st.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// row reads the one row of a query into dest, or returns tenancy.ErrNotFound.
func (p *pool) row(ctx context.Context, dest []any, text string, args ...any) error {
	st, err := p.stmt(ctx, text)
	if err != nil {
		return err
	}
	return found(st.QueryRowContext(ctx, args...).Scan(dest...))
}

// rows calls each for every row of a query; each must scan it.
func (p *pool) rows(ctx context.Context, each func(*sql.Rows) error, text string, args ...any) error {
	st, err := p.stmt(ctx, text)
	if err != nil {
		return err
	}
	rows, err := st.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// tx runs do in one transaction: all of it, or nothing.
func (p *pool) tx(ctx context.Context, do func(tx *sql.Tx) error) error {
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// txOf is tx with statements that are prepared once. The statements are those of the
// transaction, in the order of their texts.
func (p *pool) txOf(ctx context.Context, texts []string, do func(st []*sql.Stmt) error) error {
	// Before the transaction: SQLite's only connection is then taken.
	prepared := make([]*sql.Stmt, len(texts))
	for i, text := range texts {
		var err error
		if prepared[i], err = p.stmt(ctx, text); err != nil {
			return err
		}
	}
	return p.tx(ctx, func(tx *sql.Tx) error {
		st := make([]*sql.Stmt, len(prepared))
		for i := range prepared {
			st[i] = tx.StmtContext(ctx, prepared[i])
		}
		return do(st)
	})
}

func found(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return tenancy.ErrNotFound
	}
	return err
}

// taken translates a broken UNIQUE constraint into tenancy.ErrExists.
func (s *Store) taken(err error) error {
	if err != nil && s.unique(err) {
		return fmt.Errorf("%w: %w", tenancy.ErrExists, err)
	}
	return err
}
