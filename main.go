// Command lindero is the whole product: one subcommand for each role (edge, relay,
// core), one that runs all three in one process (up), and the tools around them.
// It reads configuration, builds the roles, wires their metrics and health, and
// stops them in order. What a role does is in the folder of that name.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is what the build says it is, by -ldflags from git.
var version = "unknown"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	// The first signal asks for an orderly end; a second one ends at once.
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		if errors.As(err, new(usageError)) {
			os.Exit(2)
		}
		os.Exit(1)
	}
}

// run is main without the process around it, so that tests can call it.
func run(ctx context.Context, args []string, out, errs io.Writer) error {
	root := &cobra.Command{
		Use:   "lindero",
		Short: "An open telephony border: edge, relay and core in one binary",
		Long: `lindero keeps the Internet out of your telephony and lets your phones in.

Start with "lindero up": all roles in one process, with a demo company and two
phones' accounts to try. "lindero doctor" says what this machine can do.`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errs)
	root.AddCommand(
		newUpCommand(),
		newEdgeCommand(), newRelayCommand(), newCoreCommand(),
		newCheckCommand(), newDoctorCommand(), newDialCommand(), newGeoCommand(), newShieldCommand(), newCallsCommand(),
	)
	return root.ExecuteContext(ctx)
}
