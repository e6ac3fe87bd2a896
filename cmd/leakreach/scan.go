package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/engine"
	"github.com/leakreach/leakreach/internal/metrics"
	"github.com/leakreach/leakreach/internal/progress"
	"github.com/leakreach/leakreach/internal/report"
	"github.com/leakreach/leakreach/internal/store"
	"github.com/leakreach/leakreach/providers"
	"github.com/leakreach/leakreach/scanners"
	"github.com/leakreach/leakreach/scanners/secrets"
	"github.com/leakreach/leakreach/verify"
)

// scanOptions are the flags of scan.
type scanOptions struct {
	format, failOn, verify, config, baseline  string
	since, sources, logLevel, color, progress string
	awsRegion, store, metrics                 string
	out, rules                                []string
	jobs                                      int
	memory                                    audit.Memory
	limits                                    limits
	cacheSize                                 int64
	noHistory, noIgnores, allowGaps, annotate bool
	allRefs, shared, noArchived, noForks      bool
	quiet, dryRun, online                     bool
	absent                                    bool // see report.Options
}

func newScan(w world) *cobra.Command {
	var o scanOptions
	cmd := &cobra.Command{
		Use:   "scan [REF…]",
		Short: "Find exposed credentials, verify them, and tell what they reach",
		Long: `Find exposed credentials, verify them, and tell what they reach.

A REF is a directory or git repository (dir:PATH forces files only), - for standard input, github:OWNER[/REPO],
gitlab:GROUP[/…/PROJECT], gitea:OWNER[/REPO], or job: for the CI job that this process runs in. The default is the current directory. Every flag
has a variable: --fail-on is LEAKREACH_FAIL_ON.

On GitHub, OWNER is an organisation, a user or an enterprise (enterprises/SLUG says which), and REPO may choose: 'github:acme/web-*,api' are those alone,
'github:acme/!legacy-*' is acme without those. Patterns have *, ? and [a-z]; quote them, as the shell knows them, too.

On GitLab, GROUP may also be a user, and gitlab: alone is the whole instance. On Gitea and Forgejo, OWNER is an organisation or a user, and 'gitea:*' is
all that the server has. Both take an administrator's token.

Beside a forge, aws:[PROFILE] and aws:DIR are accounts, read with an auditor's credentials or from exports (leakreach reach -h): which of their roles the forge's
jobs can become is told, and jobs are judged by it.

` + exitHelp,
		Example: `  leakreach scan .
  leakreach scan github:acme --verify live --out sarif=leakreach.sarif
  kubectl logs deploy/web | leakreach scan - --fail-on high`,
		RunE: func(cmd *cobra.Command, args []string) error {
			file, config, err := readSettings(cmd, w.getenv, &o.config)
			if err != nil {
				return err
			}
			return scan(cmd.Context(), w, &o, file, config, args)
		},
	}
	f := cmd.Flags()
	o.verify, o.logLevel, o.progress = "owner", "warn", "auto"
	o.reportFlags(f)
	f.Var(choice{&o.verify, []string{"off", "offline", "owner", "live"}}, "verify", "how to learn what a found key opens; live uses the key itself, for reads only")
	f.StringVar(&o.config, "config", "", "rules in gitleaks' format, extending the default ones, from `FILE`")
	f.StringVar(&o.baseline, "baseline", "", "JSON report of an earlier run: its findings are known, from `FILE`")
	f.StringVar(&o.store, "store", "", "where the run is kept, to be resumed and reported later: a file, or postgres://… (default in memory)")
	f.IntVar(&o.jobs, "jobs", runtime.GOMAXPROCS(0), "how many to scan at once")
	o.memory = defaultMemory
	f.Var(size{&o.memory}, "memory", "how much to take, at least 256MiB; with less, larger contents are left out, as gaps")
	cacheFlag(f, &o.cacheSize)
	f.StringVar(&o.since, "since", "", "only history since `COMMIT|DATE`")
	f.BoolVar(&o.noHistory, "no-history", false, "only files as they are now")
	f.BoolVar(&o.allRefs, "all-refs", false, "of forges, also the refs of pull and merge requests, on GitHub about twice the objects, and there what was pushed over")
	f.BoolVar(&o.noForks, "no-forks", false, "of an owner on GitHub, leave out forks")
	f.BoolVar(&o.noIgnores, "no-ignores", false, "do not obey ignore comments, ignore files and configuration of what is scanned")
	f.StringSliceVar(&o.rules, "rules", nil, "only these rules, by `ID,…`")
	f.StringVar(&o.sources, "sources", "", "what to read of a target, out of "+audit.AllSources.String()+", as `LIST|all` (default up to runners)")
	f.BoolVar(&o.shared, "shared", false, "of groups of GitLab, also projects of others that are shared with them")
	f.BoolVar(&o.noArchived, "no-archived", false, "of an owner on GitHub or a group on GitLab, leave out what is archived")
	f.BoolVar(&o.online, "online", false, "ask what other people's actions and workflows stand for that pipelines name: their repositories, on whatever server, and GitHub's advisories")
	f.BoolVar(&o.dryRun, "dry-run", false, "print what would be asked of whom, what that costs and which log entries it leaves; only repositories are listed for it (as text, or json)")
	f.StringVar(&o.awsRegion, "aws-region", "", "`REGION` whose STS is asked about AWS keys (default us-east-1)")
	o.metricsFlag(f)
	f.BoolVar(&o.quiet, "quiet", false, "no progress and no log but errors")
	f.Var(choice{&o.logLevel, []string{"debug", "info", "warn", "error"}}, "log-level", "what to log on stderr")
	f.Var(choice{&o.progress, []string{"auto", "plain", "off"}}, "progress", "how to show progress on stderr")
	return cmd
}

// reportFlags are those of commands that print a report.
func (o *scanOptions) reportFlags(f *pflag.FlagSet) {
	o.format, o.failOn, o.color = "text", "any", "auto"
	f.Var(choice{&o.format, reportFormats()}, "format", "what to print on stdout")
	f.StringArrayVar(&o.out, "out", nil, "write a report to a file too, as `FORMAT=FILE` (repeatable)")
	f.Var(choice{&o.failOn, []string{"none", "any", "high", "live", "admin"}}, "fail-on", "which findings end with exit code 10")
	f.BoolVar(&o.allowGaps, "allow-gaps", false, "do not end with exit code 5 when targets failed")
	f.BoolVar(&o.annotate, "annotations", false, "also print the worst findings as GitHub annotations on stderr")
	f.Var(choice{&o.color, []string{"auto", "always", "never"}}, "color", "colour the text report")
}

func reportFormats() (names []string) {
	for _, f := range report.Formats {
		names = append(names, f.Name)
	}
	return names
}

// scan runs the main job once.
func scan(ctx context.Context, w world, o *scanOptions, file fileSettings, config []byte, refs []string) (err error) {
	if o.jobs < 1 {
		return fmt.Errorf("%w: --jobs is %d, less than 1", audit.ErrUsage, o.jobs)
	}
	w.limit(o.memory)
	outs, err := parseOuts(o.out, reportFormats())
	if err != nil {
		return err
	}
	bar := o.newProgress(w)
	defer bar.Close()
	log := slog.New(slog.NewTextHandler(bar, &slog.HandlerOptions{Level: o.level()}))
	baseline, err := readBaseline(o.baseline)
	if err != nil {
		return err
	}
	refs, accounts := parted(refs)
	if len(refs) == 0 && len(accounts) > 0 {
		return audit.Hint(fmt.Errorf("%w: accounts are read for what they let the jobs of others do, and no others are named", audit.ErrUsage), "leakreach reach aws:"+accounts[0]+" tells of the account itself; leakreach scan github:OWNER aws:"+accounts[0]+" of both")
	}
	if len(refs) == 0 {
		refs = []string{"."}
	}
	version := versionString()
	var kept *store.Store
	var key audit.Key
	var quotas audit.Quotas // shared where the run is kept, for one that is not has no time to wait for them
	if !o.dryRun {
		if kept, err = store.Open(ctx, o.store, log); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, kept.Close()) }()
		if key, err = o.key(ctx, w, kept, log); err != nil {
			return err
		}
		if o.store != "" {
			version, quotas = buildString(), kept.Counter(time.Now)
		}
	}
	r := recipe{
		Version: version, Key: key.Digest("recipe"), Verify: o.verify, Region: o.awsRegion, Since: o.since, Sources: o.sources, Rules: o.rules,
		NoHistory: o.noHistory, NoIgnores: o.noIgnores, AllRefs: o.allRefs, Shared: o.shared, NoArchived: o.noArchived, NoForks: o.noForks, Online: o.online, Accounts: accounts, Config: config,
		ConfigPath: o.config, File: file,
	}
	env := o.env(w, log, quotas)
	e, list, err := r.engine(env, refs, file.Leakreach.Limits)
	if err != nil {
		return err
	}
	if o.dryRun {
		events := verify.Events(env, r.verification())
		for _, e := range accountEvents(env, accounts) {
			if !slices.Contains(events, e) {
				events = append(events, e)
			}
		}
		return o.plan(ctx, w, list, outs, events, file.Leakreach.Limits)
	}
	if baseline != nil && baseline.Info.Key != "" && baseline.Info.Key != r.Key {
		return audit.Hint(fmt.Errorf("%w: the baseline %s is under another key: its findings would have other ids now", audit.ErrUsage, o.baseline),
			"set "+keyNames[0]+" to the key that it was made with, in both runs")
	}
	counts := metrics.NewWork(versionString(), time.Now())
	counts.Count(e.Calls)
	stop, err := o.serveMetrics(ctx, counts, kept, log)
	if err != nil {
		return err
	}
	defer stop()
	bar.Follow(ctx, standing(kept))
	e.Store, e.Key, e.Progress, e.Jobs = kept, key, told{bar, counts}, o.jobs
	result, err := e.Run(ctx, list)
	bar.Close()
	if result == nil {
		return err
	}
	result.Info.Key = r.Key
	if baseline != nil {
		report.Compare(result, baseline, "")
		report.Known(result)
	}
	code := o.outcome(result, err)
	if code == exitUsage && !slices.ContainsFunc(result.Coverage, func(c audit.Coverage) bool { return c.Status != audit.Failed }) {
		return err // there is nothing to report
	}
	scanning := e.Scanners
	for _, ref := range list {
		scanning = append(scanning, ref.Scanners...)
	}
	if werr := o.write(w, result, scanning, outs, code); werr != nil {
		return werr
	}
	switch {
	case code == exitOK:
		return nil
	case code == exitInterrupted && o.store != "":
		err = audit.Hint(ctx.Err(), "the same command goes on where this one ended")
	}
	return &exitError{code, err}
}

// parted are refs, and the names of accounts among them: aws:PROFILE, aws: and aws:DIR.
func parted(all []string) (refs, accounts []string) {
	for _, ref := range all {
		name, is := strings.CutPrefix(ref, "aws:")
		if _, err := os.Lstat(ref); !is || err == nil {
			refs = append(refs, ref)
		} else {
			accounts = append(accounts, name)
		}
	}
	return refs, accounts
}

// key is that of the store, where the run is kept.
func (o *scanOptions) key(ctx context.Context, w world, kept *store.Store, log *slog.Logger) (audit.Key, error) {
	if o.store == "" {
		return fingerprintKey(w.getenv, log)
	}
	return storeKey(ctx, w.getenv, kept)
}

// env is what plug-ins are given. quotas may be nil.
func (o *scanOptions) env(w world, log *slog.Logger, quotas audit.Quotas) audit.Env {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = 2 * time.Minute // a forge may take a minute for a large page, no longer
	transport.MaxIdleConnsPerHost = 32                // as many as ask one forge at once, else each answer costs a connection
	return audit.Env{
		HTTP: &http.Client{Transport: transport}, Getenv: w.getenv, Environ: w.environ, Log: log, Stdin: w.stdin,
		UserAgent: "leakreach/" + versionString(), Calls: &audit.Calls{}, Now: time.Now,
		Memory: o.memory, Quotas: quotas, Cache: o.cache(w.getenv),
	}
}

func (o *scanOptions) level() slog.Level {
	var level slog.Level
	_ = level.UnmarshalText([]byte(o.logLevel)) // one of the four it knows
	if o.quiet {
		level = slog.LevelError
	}
	return level
}

// later says what to do with refs that users can be expected to try, and that have no provider.
var later = map[string]string{
	"aws":            "accounts are read by leakreach scan, beside a forge, and by leakreach reach",
	"https":          "write github:OWNER/REPO, gitlab:GROUP/PROJECT or gitea:OWNER/REPO, or clone it and give the path",
	"http":           "write github:OWNER/REPO, gitlab:GROUP/PROJECT or gitea:OWNER/REPO, or clone it and give the path",
	"ssh":            "write github:OWNER/REPO, gitlab:GROUP/PROJECT or gitea:OWNER/REPO, or clone it and give the path",
	"git@github.com": "write github:OWNER/REPO",
	"git@gitlab.com": "write gitlab:GROUP/PROJECT",
	"file":           "give the path alone",
}

// refs finds the provider of each ref. A ref without a known scheme is a path.
func (r *recipe) refs(env audit.Env, refs []string, so secrets.Options, most limits) ([]engine.Ref, error) {
	sources, err := audit.ParseSources(r.Sources)
	if err != nil {
		return nil, fmt.Errorf("%w: --sources: %w", audit.ErrUsage, err)
	}
	if r.NoHistory {
		sources &^= audit.SourceHistory
	}
	all := providers.All(env, r.providers(sources, most))
	var list []engine.Ref
	for _, text := range refs {
		p, rest, err := provided(all, text)
		if err != nil {
			return nil, err
		}
		ref := engine.Ref{Text: text, Rest: rest, Provider: p}
		if p == all[0] {
			if err := ownRules(&ref, so, r.NoIgnores, env.Log); err != nil {
				return nil, err
			}
		}
		list = append(list, ref)
	}
	return list, nil
}

// providers say what is read.
func (r *recipe) providers(sources audit.Sources, most limits) providers.Options {
	return providers.Options{
		Sources: sources, Since: r.Since, NoIgnores: r.NoIgnores, AllRefs: r.AllRefs, Shared: r.Shared, NoArchived: r.NoArchived, NoForks: r.NoForks,
		GitHubBudget: most.GitHub, GitLabBudget: most.GitLab,
	}
}

// provided finds the provider of a ref, and what it is to be given. A ref without a known scheme is a path, which the first provider reads.
func provided(all []audit.Provider, text string) (p audit.Provider, rest string, err error) {
	scheme, rest, found := strings.Cut(text, ":")
	if hint := later[scheme]; found && hint != "" {
		if _, err := os.Lstat(text); err != nil {
			return nil, "", audit.Hint(fmt.Errorf("%w: no ref of kind %q", audit.ErrUsage, scheme), hint)
		}
	}
	if i := slices.IndexFunc(all, func(p audit.Provider) bool { return p.Name() == scheme }); found && i >= 0 {
		return all[i], rest, nil
	}
	return all[0], text, nil
}

// ownRules takes up the configuration and ignore file that lie in the root of the user's own working tree.
func ownRules(ref *engine.Ref, so secrets.Options, noIgnores bool, log *slog.Logger) error {
	if noIgnores || ref.Text == "-" {
		return nil
	}
	root := strings.TrimPrefix(ref.Text, "dir:")
	read := func(name string) (content []byte, path string) {
		path = filepath.Join(root, name)
		content, err := readOwn(path)
		if err != nil {
			log.Warn("not obeyed", "file", path, "error", err)
			return nil, path
		}
		return content, path
	}
	if config, path := read(".gitleaks.toml"); config != nil && so.Config == nil {
		so.Config, so.ConfigPath = config, path
		own, err := scanners.All(so)
		if err != nil {
			return audit.Hint(err, "--no-ignores scans without the configuration in the working tree")
		}
		ref.Scanners = own
	}
	content, path := read(".gitleaksignore")
	if content == nil {
		return nil
	}
	ignore, err := secrets.ParseIgnore(bytes.NewReader(content))
	if err != nil {
		return fmt.Errorf("%w: reading %s: %w", audit.ErrUsage, path, err)
	}
	ref.Ignore = &engine.Ignore{What: ".gitleaksignore", Count: ignore.Len(), Match: func(rule string, loc audit.Location) (string, bool) {
		line, ok := ignore.Match(rule, loc)
		return fmt.Sprintf(".gitleaksignore:%d", line), ok
	}}
	return nil
}

type outFile struct{ format, path string }

func parseOuts(args, formats []string) (outs []outFile, err error) {
	for _, a := range args {
		format, path, ok := strings.Cut(a, "=")
		if !ok || path == "" || !slices.Contains(formats, format) {
			return nil, audit.Hint(fmt.Errorf("%w: --out %q is not FORMAT=FILE", audit.ErrUsage, a), "FORMAT is one of "+strings.Join(formats, ", "))
		}
		// Known before a scan of hours, not after it.
		if dir, err := os.Stat(filepath.Dir(path)); err != nil || !dir.IsDir() {
			return nil, audit.Hint(fmt.Errorf("%w: --out %q: there is no directory %q", audit.ErrUsage, a, filepath.Dir(path)), "make it first")
		}
		if at, err := os.Stat(path); err == nil && at.IsDir() {
			return nil, fmt.Errorf("%w: --out %q: %q is a directory", audit.ErrUsage, a, path)
		}
		outs = append(outs, outFile{format, path})
	}
	return outs, nil
}

// readBaseline reads an earlier JSON report.
func readBaseline(path string) (*audit.Run, error) {
	if path == "" {
		return nil, nil
	}
	b, err := os.ReadFile(path)
	known := &audit.Run{}
	if err == nil {
		err = json.Unmarshal(b, known)
	}
	if err == nil && known.Schema != audit.Schema {
		err = fmt.Errorf("schema is %q, want %q", known.Schema, audit.Schema)
	}
	if err != nil {
		return nil, audit.Hint(fmt.Errorf("%w: reading baseline %s: %w", audit.ErrUsage, path, err), "a baseline is a report written with --out json=FILE")
	}
	return known, nil
}

// outcome is the exit code of a run. Findings outrank gaps.
func (o *scanOptions) outcome(result *audit.Run, err error) int {
	if errors.Is(err, context.Canceled) {
		return exitInterrupted
	}
	if slices.ContainsFunc(result.Findings, o.counts) {
		return exitFindings
	}
	for _, c := range []struct {
		is   error
		code int
	}{{audit.ErrUsage, exitUsage}, {audit.ErrAuth, exitAuth}} {
		if errors.Is(err, c.is) {
			return c.code
		}
	}
	failed, scanned := false, false
	for _, c := range result.Coverage {
		failed = failed || c.Status == audit.Failed
		scanned = scanned || c.Status == audit.Scanned || c.Status == audit.Partial
	}
	switch {
	case failed && !o.allowGaps:
		return exitIncomplete
	case !scanned && !failed:
		return exitNothing
	}
	return exitOK
}

// counts tells whether a finding is at or above --fail-on, and new where runs were compared. A key that can make itself administrator counts as one.
func (o *scanOptions) counts(f audit.Finding) bool {
	if f.Suppressed != nil || f.Change == audit.ChangeNone {
		return false
	}
	live := f.Verdict != nil && f.Verdict.Validity == audit.Active
	switch o.failOn {
	case "any":
		return true
	case "high":
		return f.Severity.Rank() >= audit.High.Rank()
	case "live":
		return live
	case "admin":
		return live && f.Reach != nil && (f.Reach.Level == audit.LevelAdmin || f.Reach.Level == audit.LevelEscalation)
	}
	return false
}

// write prints the report and writes the others. A report that cannot be written is an error: nobody would miss it otherwise.
func (o *scanOptions) write(w world, result *audit.Run, scanning []audit.Scanner, outs []outFile, code int) error {
	opts := report.Options{Absent: o.absent, Rules: rulesOf(scanning), FailOn: o.failOn, ExitCode: code, CI: w.getenv("CI") != "", Fold: w.getenv("GITHUB_ACTIONS") == "true"}
	var errs []error
	for _, out := range outs {
		errs = append(errs, writeFile(w, out, func(to io.Writer) error { return report.Write(to, out.format, result, opts) }))
	}
	width, terminal := w.terminal(w.stdout)
	opts.Width, opts.Links = width, terminal
	opts.Color = o.colored(w, terminal)
	if err := report.Write(w.stdout, o.format, result, opts); err != nil {
		errs = append(errs, fmt.Errorf("writing %s report: %w", o.format, err))
	}
	if o.annotate {
		errs = append(errs, report.Annotations(w.stderr, result))
	}
	return errors.Join(errs...)
}

// rulesOf are all rules of some scanners, by id.
func rulesOf(all []audit.Scanner) map[string]audit.Rule {
	rules := map[string]audit.Rule{}
	for _, s := range all {
		for _, r := range s.Rules() {
			rules[r.ID] = r
		}
	}
	return rules
}

// writeFile writes a report beside its final name and moves it there: a reader never sees half of it.
func writeFile(w world, out outFile, write func(io.Writer) error) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing %s report to %s: %w", out.format, out.path, err)
		}
	}()
	switch path := filepath.Clean(out.path); {
	case path == "/dev/stdout":
		return write(w.stdout)
	case path == "/dev/stderr":
		return write(w.stderr)
	}
	if info, err := os.Stat(out.path); err == nil && (!info.Mode().IsRegular() || device(out.path)) { // a named pipe, /dev/fd/3
		f, err := os.OpenFile(out.path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(write(f), f.Close())
	}
	f, err := os.CreateTemp(filepath.Dir(out.path), ".leakreach-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = errors.Join(write(f), f.Chmod(0o644), f.Close()) // a later CI step may run as another user
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), out.path)
}

// device tells whether a path is a name for something open: nothing must be put in its place.
func device(path string) bool {
	path, err := filepath.Abs(path)
	return err == nil && (strings.HasPrefix(path, "/dev/") || strings.HasPrefix(path, "/proc/"))
}

// newProgress makes the display on stderr.
func (o *scanOptions) newProgress(w world) *progress.Progress {
	mode := o.progress
	if o.quiet {
		mode = "off"
	}
	width, terminal := w.terminal(w.stderr)
	return progress.New(w.stderr, mode, terminal && w.getenv("CI") == "", width)
}
