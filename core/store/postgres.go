package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// postgresConns bounds the connections of one core, so that several cores fit
// into a server's default of 100.
const postgresConns = 24

func (s *Store) openPostgres(ctx context.Context, url string) error {
	s.unique = func(err error) bool {
		var e *pgconn.PgError
		return errors.As(err, &e) && e.Code == "23505" // unique_violation
	}
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return fmt.Errorf("store: postgres: %w", err)
	}
	db := stdlib.OpenDB(*cfg, stdlib.OptionResetSession(alive))
	db.SetMaxOpenConns(postgresConns)
	db.SetMaxIdleConns(postgresConns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	s.write = newPool(db)
	s.read = s.write
	if err := s.Ping(ctx); err != nil {
		return err
	}
	// Several cores may start at once.
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return fmt.Errorf("store: postgres: %w", err)
	}
	return migrate(ctx, goose.DialectPostgres, db, goose.WithSessionLocker(locker))
}
