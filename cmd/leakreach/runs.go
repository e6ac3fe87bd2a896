package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/engine"
	"github.com/leakreach/leakreach/internal/report"
	"github.com/leakreach/leakreach/internal/store"
	"github.com/leakreach/leakreach/scanners"
	"github.com/leakreach/leakreach/scanners/secrets"
)

// newRuns lists what a store has.
func newRuns(w world) *cobra.Command {
	var where, config string
	cmd := &cobra.Command{
		Use:     "runs",
		Short:   "List the runs of a store, with what each has covered",
		Example: "  leakreach runs --store sweep.db",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			kept, err := openStored(cmd, w, &where, &config)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, kept.Close()) }()
			runs, err := kept.Runs(cmd.Context())
			if err != nil {
				return err
			}
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
			for _, r := range runs {
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", r.ID, r.StartedAt.Format(time.RFC3339), state(r), targets(r.Targets), report.Clean(strings.Join(r.Refs, " ")))
			}
			return table.Flush()
		},
	}
	storeFlags(cmd.Flags(), &where, &config)
	return cmd
}

// state says how long a run took, or that it is not done.
func state(r store.Run) string {
	if r.FinishedAt.IsZero() {
		return "open"
	}
	return r.FinishedAt.Sub(r.StartedAt).Round(time.Second).String()
}

// targets says how many targets there are of each status.
func targets(n map[string]int) string {
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(n)) {
		word := status
		if word == "" {
			word = "to be scanned"
		}
		parts = append(parts, fmt.Sprintf("%d %s", n[status], word))
	}
	if parts == nil {
		return "nothing listed"
	}
	return strings.Join(parts, ", ")
}

// newReport renders a stored run.
func newReport(w world) *cobra.Command {
	var o scanOptions
	cmd := &cobra.Command{
		Use:   "report [RUN]",
		Short: "Report a stored run again, in any format",
		Long: `Report a stored run again, in any format. RUN is its id, or the beginning of it; the default is the youngest one.

Nothing is scanned or asked. ` + exitHelp,
		Example: "  leakreach report --store sweep.db --format sarif\n  leakreach report 3f2a --store sweep.db --out csv=findings.csv",
		Args:    usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			kept, err := openStored(cmd, w, &o.store, &o.config)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, kept.Close()) }()
			return reportRun(cmd.Context(), w, &o, kept, strings.Join(args, ""))
		},
	}
	o.reportFlags(cmd.Flags())
	storeFlags(cmd.Flags(), &o.store, &o.config)
	return cmd
}

func reportRun(ctx context.Context, w world, o *scanOptions, kept *store.Store, id string) error {
	outs, err := parseOuts(o.out)
	if err != nil {
		return err
	}
	run, err := kept.Find(ctx, id)
	if errors.Is(err, store.ErrNoRun) {
		return audit.Hint(fmt.Errorf("%w: %w", audit.ErrUsage, err), "leakreach runs lists them")
	}
	if err != nil {
		return err
	}
	all, err := scanners.All(secrets.Options{})
	if err != nil {
		return err
	}
	result, failed, err := engine.Load(ctx, kept, run.ID, rulesOf(all))
	if err != nil {
		return err
	}
	code := o.outcome(result, failed)
	if err := o.write(w, result, all, outs, code); err != nil || code == exitOK {
		return err
	}
	return &exitError{code, failed}
}

// storeFlags are those of commands that read a store.
func storeFlags(f *pflag.FlagSet, where, config *string) {
	f.StringVar(where, "store", "", "where runs are kept: a file, or postgres://…")
	f.StringVar(config, "config", "", "defaults for flags, from `FILE`")
}

// openStored opens the store of a command that reads one.
func openStored(cmd *cobra.Command, w world, where, config *string) (*store.Store, error) {
	if _, _, err := readSettings(cmd, w.getenv, config); err != nil {
		return nil, err
	}
	if *where == "" {
		return nil, audit.Hint(fmt.Errorf("%w: which store?", audit.ErrUsage), "name it by --store or LEAKREACH_STORE")
	}
	if info, err := os.Stat(*where); !store.IsShared(*where) && (err != nil || info.IsDir()) {
		return nil, fmt.Errorf("%w: there is no store at %s", audit.ErrUsage, *where)
	}
	return store.Open(cmd.Context(), *where, slog.New(slog.DiscardHandler))
}
