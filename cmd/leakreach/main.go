// Command leakreach tells which pipeline credentials are exposed, what each of them opens, and how to close it safely.
package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/report"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second interrupt ends the program at once
	os.Exit(run(ctx, os.Args[1:], world{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv, environ: os.Environ,
		terminal: func(w io.Writer) (width int, ok bool) { return terminalSize(w) }, limit: limitMemory,
	}))
}

// version is set by the release build; otherwise the module's version from the build information is used.
var version string

func versionString() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return strings.TrimPrefix(info.Main.Version, "v")
	}
	return "0.1.0-dev"
}

// buildString tells builds apart that may find different things: a release by its version, one of a working tree by the program itself.
func buildString() string {
	v := versionString()
	if !strings.HasSuffix(v, "-dev") && !strings.HasSuffix(v, "+dirty") {
		return v
	}
	path, err := os.Executable()
	if err != nil {
		return v
	}
	f, err := os.Open(path)
	if err != nil {
		return v
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return v
	}
	return v + " " + hex.EncodeToString(h.Sum(nil)[:6])
}

// world is all the program sees of the system it runs on, so that a test can run it whole in its own process.
type world struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	environ        func() []string
	terminal       func(io.Writer) (width int, ok bool)
	limit          func(audit.Memory) // holds the process below it
}

// Exit codes, as promised to scripts.
const (
	exitOK          = 0
	exitInternal    = 1
	exitUsage       = 2
	exitNothing     = 3
	exitAuth        = 4
	exitIncomplete  = 5
	exitFindings    = 10
	exitInterrupted = 130
)

const exitHelp = `Exit codes:
  0    finished; nothing at or above --fail-on
  1    internal error
  2    usage or configuration error
  3    nothing to scan
  4    not authenticated, or rights are missing for the whole ref
  5    finished incomplete: some targets failed and --allow-gaps was not given
  10   finished; findings at or above --fail-on
  130  interrupted; what was done is kept`

// exitError ends the program with a code; err may be nil where all has been said already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return fmt.Sprint(e.err) }
func (e *exitError) Unwrap() error { return e.err }

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, w world) int {
	root := newRoot(w) //nolint:contextcheck // commands take theirs from cobra
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	code := exitCode(err)
	var exit *exitError
	if errors.As(err, &exit) {
		err = exit.err
	}
	if code == exitInterrupted {
		hint := audit.HintOf(err)
		if err = errors.New("interrupted"); hint != "" { // whatever it broke off
			err = audit.Hint(err, hint)
		}
	}
	if err != nil {
		fmt.Fprintf(w.stderr, "leakreach: %s\n", report.Clean(err.Error()))
		if hint := audit.HintOf(err); hint != "" {
			fmt.Fprintf(w.stderr, "hint: %s\n", report.Clean(hint))
		}
	}
	return code
}

// exitCode maps an error to its promised code.
func exitCode(err error) int {
	var exit *exitError
	switch {
	case errors.As(err, &exit):
		return exit.code
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.Is(err, audit.ErrUsage):
		return exitUsage
	case errors.Is(err, audit.ErrAuth):
		return exitAuth
	case errors.Is(err, audit.ErrNothing):
		return exitNothing
	}
	return exitInternal
}

func newRoot(w world) *cobra.Command {
	root := &cobra.Command{
		Use:           "leakreach",
		Short:         "Which pipeline credentials are exposed, what they open, and how to close it safely",
		Version:       versionLine(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          usageArgs(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetIn(w.stdin)
	root.SetOut(w.stdout)
	root.SetErr(w.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return audit.Hint(fmt.Errorf("%w: %w", audit.ErrUsage, err), cmp.Or(audit.HintOf(err), "see "+cmd.CommandPath()+" --help"))
	})
	root.AddCommand(newScan(w), newDoctor(w), newReach(w), newReport(w), newRuns(w), newWorker(w), newRules(w), newVersion())
	return root
}

// usageArgs makes an argument check's error a usage error.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return audit.Hint(fmt.Errorf("%w: %w", audit.ErrUsage, err), "see "+cmd.CommandPath()+" --help")
		}
		return nil
	}
}
