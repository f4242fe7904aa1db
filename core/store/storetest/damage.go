package storetest

import (
	"database/sql"
	"testing"
)

// Damage changes the SQLite database at path behind the store's back, as another
// program or a bad disk would.
func Damage(t testing.TB, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	ok(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), statement)
	ok(t, err)
}
