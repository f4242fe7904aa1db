package store_test

import (
	"sync"
	"testing"

	"github.com/lindero/lindero/core/store"
	"github.com/lindero/lindero/core/store/storetest"
)

// A server that restarts closes connections that were busy a moment ago. Whoever
// comes next must not notice.
func TestConnectionsClosedByTheServerAreReplaced(t *testing.T) {
	server := storetest.StartPostgres(t)
	s, err := store.Open(t.Context(), server.Fresh(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	settle := func() (errs []error) {
		var mu sync.Mutex
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				_, err := s.Platform().Brands(t.Context())
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					errs = append(errs, err)
				}
			})
		}
		all.Wait()
		return errs
	}
	if errs := settle(); len(errs) > 0 {
		t.Fatal(errs)
	}
	server.Stop(t)
	server.Start(t)
	if errs := settle(); len(errs) > 0 {
		t.Errorf("%d of 16 failed after a restart, the first with %v", len(errs), errs[0])
	}
}
