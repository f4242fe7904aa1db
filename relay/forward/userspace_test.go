package forward_test

import (
	"context"
	"testing"

	"github.com/lindero/lindero/relay/forward"
	"github.com/lindero/lindero/relay/forward/forwardtest"
)

func TestUserspace(t *testing.T) {
	forwardtest.Run(t, func(t *testing.T, learner forward.Learner) (forwardtest.Table, forwardtest.Network) {
		return start(t, learner), forwardtest.Loopback{}
	})
}

// In namespaces, with the kernel's program on the devices. What it cannot do yet,
// or at all, goes through the sockets behind it: the suite must not notice.
func TestKernel(t *testing.T) {
	for _, mode := range modes() {
		t.Run(string(mode), func(t *testing.T) {
			lab := forwardtest.NewLab(t, mode)
			forwardtest.Run(t, func(t *testing.T, learner forward.Learner) (forwardtest.Table, forwardtest.Network) {
				return lab.Table(t, start(t, learner, forward.WithKernel(lab.Forwarder))), lab
			})
		})
	}
}

// start runs a table until the test ends.
func start(t testing.TB, learner forward.Learner, options ...forward.Option) *forward.Userspace {
	t.Helper()
	return startOf(t, 1024, learner, options...)
}

// startOf is start for so many sockets.
func startOf(t testing.TB, sockets int, learner forward.Learner, options ...forward.Option) *forward.Userspace {
	t.Helper()
	u, err := forward.NewUserspace(sockets, learner, options...)
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
