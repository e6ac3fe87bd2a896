package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
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

// newRuns lists what a store has, and drops what is no longer wanted.
func newRuns(w world) *cobra.Command {
	var where, config string
	var remove []string
	format := "text"
	cmd := &cobra.Command{
		Use:   "runs",
		Short: "List the runs of a store, with what each has covered, or remove some",
		Long: `List the runs of a store, the youngest first, with what each has covered.

A store grows with each run that is kept in it. --remove drops runs, each named by its id or the beginning of it, and gives the room back.
What an incremental scan needs of an earlier run is lost with the last run that has it.`,
		Example: "  leakreach runs --store sweep.db\n  leakreach runs --store sweep.db --format json\n  leakreach runs --store sweep.db --remove 3f2a",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			kept, err := openStored(cmd, w, &where, &config)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, kept.Close()) }()
			ctx, out := cmd.Context(), cmd.OutOrStdout()
			if cmd.Flags().Changed("remove") {
				if len(remove) == 0 || slices.Contains(remove, "") { // not the youngest by a slip
					return fmt.Errorf("%w: --remove: which run?", audit.ErrUsage)
				}
				return removeRuns(ctx, out, kept, remove)
			}
			return listRuns(ctx, out, kept, format)
		},
	}
	f := cmd.Flags()
	storeFlags(f, &where, &config)
	f.Var(choice{&format, []string{"text", "json"}}, "format", "what to print")
	f.StringSliceVar(&remove, "remove", nil, "drop these runs instead, by `RUN,…`")
	givenOnly(f, "remove")
	return cmd
}

// runsSchema names the form of the list that programs read. Fields are only ever added.
const runsSchema = "leakreach.runs/v1"

// A runLine is a run in that list.
type runLine struct {
	ID         string         `json:"id"`
	Version    string         `json:"version"`
	Refs       []string       `json:"refs"`
	Verify     string         `json:"verify"`
	StartedAt  time.Time      `json:"started_at"`
	FinishedAt *time.Time     `json:"finished_at"` // null while it is open
	Seconds    *float64       `json:"seconds"`     // that it took; null while it is open
	Targets    map[string]int `json:"targets"`     // of each status, and "left" for those that are still to be scanned
	Findings   int            `json:"findings"`    // halves of one credential may be several while the run is open
	Gaps       int            `json:"gaps"`
}

func listRuns(ctx context.Context, w io.Writer, kept *store.Store, format string) error {
	runs, err := kept.Runs(ctx)
	if err != nil {
		return err
	}
	list := []runLine{}
	for _, r := range runs {
		has, err := kept.Standing(ctx, r.ID)
		if err != nil {
			return err
		}
		line := runLine{ID: r.ID, Version: r.Version, Refs: r.Refs, Verify: r.Verify, StartedAt: r.StartedAt, Targets: map[string]int{}, Findings: has.Findings, Gaps: has.Gaps}
		for _, status := range []audit.Status{audit.Scanned, audit.Partial, audit.Failed, audit.Skipped} {
			line.Targets[string(status)] = has.Targets[string(status)]
		}
		line.Targets["left"] = has.Targets[""]
		if !r.FinishedAt.IsZero() {
			line.FinishedAt, line.Seconds = &r.FinishedAt, new(r.FinishedAt.Sub(r.StartedAt).Seconds())
		}
		list = append(list, line)
	}
	if format == "json" {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(struct {
			Schema string    `json:"schema"`
			Runs   []runLine `json:"runs"`
		}{runsSchema, list})
	}
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	if len(list) > 0 {
		fmt.Fprintln(table, "RUN\tSTARTED\tTOOK\tVERSION\tTARGETS\tFINDINGS\tGAPS\tREFS")
	}
	for _, r := range list {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n", r.ID, r.StartedAt.Format(time.RFC3339), r.took(), report.Clean(r.Version), r.covered(),
			r.Findings, r.Gaps, report.Clean(strings.Join(r.Refs, " ")))
	}
	return table.Flush()
}

// took says how long a run took, or that it is not done.
func (r *runLine) took() string {
	if r.Seconds == nil {
		return "open"
	}
	return time.Duration(*r.Seconds * float64(time.Second)).Round(time.Second).String()
}

// covered says how many targets there are of each status.
func (r *runLine) covered() string {
	var parts []string
	for _, status := range []string{"scanned", "partial", "failed", "skipped", "left"} {
		if n := r.Targets[status]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, status))
		}
	}
	if parts == nil {
		return "nothing listed"
	}
	return strings.Join(parts, ", ")
}

// removeRuns drops runs, all or none if one of them is not there, and says what went.
func removeRuns(ctx context.Context, w io.Writer, kept *store.Store, ids []string) error {
	var runs []store.Run
	for _, id := range ids {
		run, err := findRun(ctx, kept, id)
		if err != nil {
			return err
		}
		runs = append(runs, run)
	}
	for _, run := range runs {
		has, err := kept.Standing(ctx, run.ID)
		if err != nil {
			return err
		}
		switch err := kept.Remove(ctx, run.ID); {
		case errors.Is(err, store.ErrWorkedOn):
			return audit.Hint(fmt.Errorf("%w: removing run %s: %w", audit.ErrUsage, run.ID, err), "end the processes that work with the store, or wait until the run is done")
		case err != nil:
			return err
		}
		targets := 0
		for _, n := range has.Targets {
			targets += n
		}
		fmt.Fprintf(w, "removed run %s of %s (%s): targets %d, findings %d, gaps %d\n", run.ID, run.StartedAt.Format(time.RFC3339),
			report.Clean(strings.Join(run.Refs, " ")), targets, has.Findings, has.Gaps)
	}
	return kept.Compact(ctx)
}

// findRun is the run that a user means by an id or the beginning of one, or the youngest for none.
func findRun(ctx context.Context, kept *store.Store, id string) (store.Run, error) {
	run, err := kept.Find(ctx, id)
	if errors.Is(err, store.ErrNoRun) {
		err = audit.Hint(fmt.Errorf("%w: %w", audit.ErrUsage, err), "leakreach runs lists them")
	}
	return run, err
}

// newReport renders a stored run.
func newReport(w world) *cobra.Command {
	var o scanOptions
	cmd := &cobra.Command{
		Use:   "report [RUN]",
		Short: "Report a stored run again, in any format",
		Long: `Report a stored run again, in any format. RUN is its id, or the beginning of it; the default is the youngest one.

Nothing is scanned or asked. With --since, findings are compared with those of an earlier run: the report says which are new, unchanged and
gone, and only new ones end with exit code 10. One is gone if all that it lay in was looked at again; if not, the report says so.

` + exitHelp,
		Example: "  leakreach report --store sweep.db --format sarif\n  leakreach report 3f2a --store sweep.db --out csv=findings.csv\n  leakreach report --store sweep.db --since previous",
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
	cmd.Flags().StringVar(&o.since, "since", "", "compare with the earlier `RUN`, or with the previous one of the same refs: what is new, unchanged and gone")
	givenOnly(cmd.Flags(), "since") // for scan, the variable has a date
	storeFlags(cmd.Flags(), &o.store, &o.config)
	return cmd
}

func reportRun(ctx context.Context, w world, o *scanOptions, kept *store.Store, id string) error {
	outs, err := parseOuts(o.out, reportFormats())
	if err != nil {
		return err
	}
	all, err := scanners.All(secrets.Options{})
	if err != nil {
		return err
	}
	run, made, result, failed, err := loadRun(ctx, kept, id, all)
	if err != nil {
		return err
	}
	if o.since != "" {
		if err := compareRuns(ctx, kept, result, run, made, o.since, rulesOf(all)); err != nil {
			return err
		}
	}
	code := o.outcome(result, failed)
	o.absent = true // for what keeps track of runs, not for a page that would take them for open
	if err := o.write(w, result, all, outs, code); err != nil || code == exitOK {
		return err
	}
	return &exitError{code, failed}
}

// loadRun reads the run that a user means by an id, the beginning of one, or nothing. failed is what ended refs of it.
func loadRun(ctx context.Context, kept *store.Store, id string, all []audit.Scanner) (run store.Run, made *recipe, result *audit.Run, failed, err error) {
	if run, err = findRun(ctx, kept, id); err != nil {
		return run, nil, nil, nil, err
	}
	if result, failed, err = engine.Load(ctx, kept, run.ID, rulesOf(all)); err != nil {
		return run, nil, nil, nil, err
	}
	if made, err = recipeOf(run); err != nil {
		return run, nil, nil, nil, err
	}
	result.Info.Key = made.Key
	return run, made, result, failed, nil
}

// previous stands for the youngest run of the same refs that is done and was begun before another one. No id looks like it.
const previous = "previous"

// earlierRun is the one that a user means by an id, the beginning of one, or previous.
func earlierRun(ctx context.Context, kept *store.Store, run store.Run, since string) (store.Run, error) {
	if since != previous {
		return findRun(ctx, kept, since)
	}
	all, err := kept.Runs(ctx)
	if err != nil {
		return store.Run{}, err
	}
	for _, r := range all {
		if r.StartedAt.Before(run.StartedAt) && !r.FinishedAt.IsZero() && slices.Equal(r.Refs, run.Refs) {
			return r, nil
		}
	}
	return store.Run{}, audit.Hint(fmt.Errorf("%w: no run of the same refs is done and earlier than %s", audit.ErrUsage, run.ID), "leakreach runs lists them")
}

// compareRuns notes in the result of a run how it stands to an earlier one.
func compareRuns(ctx context.Context, kept *store.Store, result *audit.Run, run store.Run, now *recipe, since string, rules map[string]audit.Rule) error {
	before, err := earlierRun(ctx, kept, run, since)
	if err != nil {
		return err
	}
	if before.ID == run.ID || before.StartedAt.After(run.StartedAt) {
		return audit.Hint(fmt.Errorf("%w: run %s is not earlier than %s", audit.ErrUsage, before.ID, run.ID), "leakreach runs lists them, the youngest first")
	}
	then, err := recipeOf(before)
	if err != nil {
		return err
	}
	if then.Key != now.Key {
		return fmt.Errorf("%w: runs %s and %s are under different keys: the same findings have other ids", audit.ErrUsage, before.ID, run.ID)
	}
	earlier, _, err := engine.Load(ctx, kept, before.ID, rules)
	if err != nil {
		return err
	}
	report.Compare(result, earlier, now.narrower(then))
	return nil
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
	if err := store.Check(*where); err != nil {
		return nil, err
	}
	if info, err := os.Stat(*where); !store.IsShared(*where) && (err != nil || info.IsDir()) {
		return nil, fmt.Errorf("%w: there is no store at %s", audit.ErrUsage, *where)
	}
	return store.Open(cmd.Context(), *where, slog.New(slog.DiscardHandler))
}
