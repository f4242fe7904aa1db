package forward_test

import (
	"context"
	"testing"

	"github.com/lindero/lindero/relay/forward"
	"github.com/lindero/lindero/relay/forward/forwardtest"
)

func TestUserspace(t *testing.T) {
	forwardtest.Run(t, func(t *testing.T, learner forward.Learner) forwardtest.Table {
		return start(t, learner)
	})
}

// start runs a table until the test ends.
func start(t testing.TB, learner forward.Learner) *forward.Userspace {
	t.Helper()
	u, err := forward.NewUserspace(1024, learner)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- u.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return u
}
