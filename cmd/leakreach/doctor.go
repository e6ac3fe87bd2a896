package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/report"
	"github.com/leakreach/leakreach/internal/store"
	"github.com/leakreach/leakreach/providers"
)

// newDoctor tells beforehand what a scan would be able to see.
func newDoctor(w world) *cobra.Command {
	o := scanOptions{format: "text", color: "auto", logLevel: "warn", memory: defaultMemory}
	cmd := &cobra.Command{
		Use:   "doctor [REF…]",
		Short: "Tell what a scan needs, what is granted, what is missing, and what is granted in excess",
		Long: `Tell what a scan of each REF needs, what is granted, what is missing, and what is granted in excess.

Each part of a scan takes a right; it is tried on a sample, by reads only. A token that may do more than a scan needs is a risk of its own, so
that is told, too. No token is printed. Without a REF it says which hosts and credentials the environment chooses, and asks nobody.

Exit codes:
  0    all that the sources need is there, or could not be tried
  2    usage or configuration error
  4    not authenticated, or rights are missing for a whole REF
  5    something is missing and --allow-gaps was not given`,
		Example: "  leakreach doctor\n  leakreach doctor github:acme\n  leakreach doctor gitlab:acme/platform --sources all --format json",
		RunE: func(cmd *cobra.Command, refs []string) error {
			file, _, err := readSettings(cmd, w.getenv, &o.config)
			if err != nil {
				return err
			}
			return o.doctor(cmd.Context(), w, file.Leakreach.Limits, refs)
		},
	}
	f := cmd.Flags()
	f.Var(choice{&o.format, []string{"text", "json"}}, "format", "what to print")
	f.StringVar(&o.sources, "sources", "", "what is to be read, out of "+audit.AllSources.String()+", as `LIST|all` (default: all is told, and what is on up to runners must be there)")
	f.StringVar(&o.store, "store", "", "where runs are kept: a file, or postgres://…")
	cacheFlag(f, &o.cacheSize)
	f.StringVar(&o.config, "config", "", "configuration from `FILE`")
	f.BoolVar(&o.allowGaps, "allow-gaps", false, "do not end with exit code 5 when something is missing")
	f.Var(choice{&o.color, []string{"auto", "always", "never"}}, "color", "colour the text")
	f.Var(choice{&o.logLevel, []string{"debug", "info", "warn", "error"}}, "log-level", "what to log on stderr")
	return cmd
}

// doctorSchema names the form that programs read. Fields are only ever added.
const doctorSchema = "leakreach.doctor/v1"

// A diagnosis is what doctor found.
type diagnosis struct {
	Schema  string    `json:"schema"`
	Version string    `json:"version"`
	Here    []check   `json:"here"` // of this machine
	Refs    []checked `json:"refs"`
}

// checked is what was found of a ref; without refs, of a scheme.
type checked struct {
	Ref    string  `json:"ref"`
	Checks []check `json:"checks"`
	Error  string  `json:"error"` // what ended it
	Hint   string  `json:"hint"`
}

type check struct {
	For      string           `json:"for"`
	Sources  []string         `json:"sources"` // those that need it; empty for all
	Needs    string           `json:"needs"`
	State    audit.CheckState `json:"state"`
	Evidence string           `json:"evidence"`
	Fix      string           `json:"fix"`
}

func checkOf(c audit.Check) check {
	return check{c.For, append([]string{}, c.Sources.Names()...), c.Needs, c.State, c.Evidence, c.Fix}
}

func (o *scanOptions) doctor(ctx context.Context, w world, most limits, refs []string) error {
	wanted, err := audit.ParseSources(o.sources)
	if err != nil {
		return fmt.Errorf("%w: --sources: %w", audit.ErrUsage, err)
	}
	told := wanted
	if o.sources == "" {
		told = audit.AllSources
	}
	log := slog.New(slog.NewTextHandler(w.stderr, &slog.HandlerOptions{Level: o.level()}))
	env := o.env(w, log, nil)
	all := providers.All(env, providers.Options{Sources: told, GitHubBudget: most.GitHub, GitLabBudget: most.GitLab})
	d := diagnosis{Schema: doctorSchema, Version: versionLine(), Refs: []checked{}, Here: []check{
		checkOf(o.cacheCheck(env.Cache)), checkOf(o.storeCheck(ctx, log)), checkOf(gitCheck()),
	}}
	var errs []error
	missing := slices.ContainsFunc(d.Here, func(c check) bool { return c.State == audit.Missing })
	if len(refs) == 0 {
		for _, p := range all {
			if c, ok := p.(audit.Checker); ok {
				err := d.add(p.Name()+":", c.Environment(), nil)
				errs = append(errs, err)
			}
		}
		d.Refs = append(d.Refs, checked{Ref: "aws:", Checks: []check{checkOf(awsCheck(w.getenv))}})
	}
	for _, text := range refs {
		p, rest, err := provided(all, text)
		if err != nil {
			return err
		}
		look := func(c audit.Check) {
			missing = missing || c.State == audit.Missing && (c.Sources == 0 || c.Sources.Has(wanted))
		}
		if c, ok := p.(audit.Checker); ok {
			err = d.add(text, c.Check(ctx, rest), look)
		} else {
			err = d.add(text, reads(ctx, p, rest), look)
		}
		errs = append(errs, err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := o.printDiagnosis(w, &d); err != nil {
		return err
	}
	switch err := errors.Join(errs...); {
	case err != nil:
		return err
	case missing && !o.allowGaps:
		return &exitError{code: exitIncomplete}
	}
	return nil
}

// add notes what was found of a ref, and returns what ended it. look, if not nil, sees each check.
func (d *diagnosis) add(ref string, checks iter.Seq2[audit.Check, error], look func(audit.Check)) error {
	r := checked{Ref: ref, Checks: []check{}}
	var failure error
	for c, err := range checks {
		if err != nil {
			failure = err
			r.Error, r.Hint = err.Error(), audit.HintOf(err)
			continue
		}
		r.Checks = append(r.Checks, checkOf(c))
		if look != nil {
			look(c)
		}
	}
	d.Refs = append(d.Refs, r)
	return failure
}

// reads tells whether a ref that asks nobody for anything can be read.
func reads(ctx context.Context, p audit.Provider, ref string) iter.Seq2[audit.Check, error] {
	return func(yield func(audit.Check, error) bool) {
		count := map[audit.TargetKind]int{}
		for t, err := range p.Targets(ctx, ref) {
			if gap := (*audit.Gap)(nil); errors.As(err, &gap) {
				continue
			}
			if err != nil {
				yield(audit.Check{}, err)
				return
			}
			count[t.Kind]++
		}
		var what []string
		for _, kind := range slices.Sorted(maps.Keys(count)) {
			what = append(what, fmt.Sprintf("%d %s", count[kind], kind))
		}
		yield(audit.Check{For: "files", Needs: "a path that can be read", State: audit.Granted, Evidence: strings.Join(what, ", ") + "; no network"}, nil)
	}
}

// cacheCheck tells where what is fetched is kept, and whether it can be.
func (o *scanOptions) cacheCheck(cache audit.Cache) audit.Check {
	c := audit.Check{For: "cache", Needs: "a directory of one's own", State: audit.Granted}
	if cache.Dir == "" {
		c.Evidence = "nothing is kept, as neither --store nor --cache-size is given"
		return c
	}
	c.Evidence = fmt.Sprintf("%s, up to %s", cache.Dir, sizeText(cache.Size))
	if why := writable(cache.Dir); why != nil {
		c.State, c.Evidence, c.Fix = audit.Missing, c.Evidence+": "+why.Error(), "name another one by LEAKREACH_CACHE_DIR, or keep nothing: --cache-size 0"
	}
	return c
}

// storeCheck tells where runs are kept, and whether they can be. It makes no store.
func (o *scanOptions) storeCheck(ctx context.Context, log *slog.Logger) audit.Check {
	c := audit.Check{For: "store", Needs: "a file or a database that can be written", State: audit.Granted}
	info, err := os.Stat(o.store)
	wrong := store.Check(o.store)
	switch {
	case wrong != nil:
		err = wrong
	case o.store == "":
		c.Evidence = "in memory: the run is over when the program is; --store keeps it"
		return c
	case !store.IsShared(o.store) && errors.Is(err, fs.ErrNotExist):
		c.Evidence = "not there yet: the first scan makes it"
		err = writable(filepath.Dir(o.store))
	case !store.IsShared(o.store) && err == nil && !info.Mode().IsRegular():
		err = errors.New("it is not a regular file")
	default:
		var kept *store.Store
		if kept, err = store.Open(ctx, o.store, log); err == nil {
			c.Evidence = "it can be used"
			err = kept.Close()
		}
	}
	if err != nil {
		c.State, c.Evidence, c.Fix = audit.Missing, err.Error(), audit.HintOf(err)
	}
	return c
}

// gitCheck tells whether the git program is there, which a scan can do without.
func gitCheck() audit.Check {
	c := audit.Check{For: "git program", Needs: "nothing: it only tells what a working tree ignores, and has a second try at what is damaged", State: audit.Granted}
	path, err := exec.LookPath("git")
	if c.Evidence = path; err != nil {
		c.State, c.Evidence = audit.Unproven, "not found; without it, what only git could do is a gap"
	}
	return c
}

// writable tells why nothing could be made in a directory, or in the first one above it that is there.
func writable(dir string) error {
	for {
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			return fmt.Errorf("%s is not a directory", dir)
		}
		if err == nil {
			break
		}
		if up := filepath.Dir(dir); errors.Is(err, fs.ErrNotExist) && up != dir {
			dir = up
			continue
		}
		return err
	}
	f, err := os.CreateTemp(dir, ".leakreach-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// awsNames are the variables by which the AWS SDK's default chain finds credentials, without those that hold one beside its id.
var awsNames = []string{
	"AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
}

// awsCheck names what the environment has for AWS.
func awsCheck(getenv func(string) string) audit.Check {
	c := audit.Check{For: "credential", Needs: "one of the AWS SDK's default chain", State: audit.Granted}
	var set []string
	for _, name := range awsNames {
		if getenv(name) != "" {
			set = append(set, name)
		}
	}
	file := getenv("AWS_SHARED_CREDENTIALS_FILE")
	if home, err := os.UserHomeDir(); file == "" && err == nil {
		file = filepath.Join(home, ".aws", "credentials")
	}
	if _, err := os.Stat(file); err == nil {
		set = append(set, file)
	}
	if c.Evidence = strings.Join(set, ", "); c.Evidence == "" {
		c.State, c.Evidence = audit.Missing, "none is set"
	}
	return c
}

func (o *scanOptions) printDiagnosis(w world, d *diagnosis) error {
	if o.format == "json" {
		e := json.NewEncoder(w.stdout)
		e.SetIndent("", "  ")
		return e.Encode(d)
	}
	_, terminal := w.terminal(w.stdout)
	p := paper{color: o.colored(w, terminal)}
	p.line(d.Version)
	p.checks(d.Here)
	for _, r := range d.Refs {
		p.line("")
		p.line(p.style("1", report.Clean(r.Ref)))
		p.checks(r.Checks)
		if r.Error != "" {
			p.line("  " + p.style("31", "ended") + "     " + report.Clean(r.Error))
		}
		count := map[audit.CheckState]int{}
		for _, c := range r.Checks {
			count[c.State]++
		}
		p.line(fmt.Sprintf("  %d granted, %d missing, %d in excess, %d unproven", count[audit.Granted], count[audit.Missing], count[audit.Excess], count[audit.Unproven]))
	}
	_, err := io.WriteString(w.stdout, p.b.String())
	return err
}

// paper is a text for people in the making.
type paper struct {
	b     strings.Builder
	color bool
}

func (p *paper) line(s string) { p.b.WriteString(strings.TrimRight(s, " ") + "\n") }

func (p *paper) style(sgr, s string) string {
	if !p.color {
		return s
	}
	return "\x1b[" + sgr + "m" + s + "\x1b[0m"
}

// checks prints a table. What is not as it should be has its evidence and what to do about it on lines of their own.
func (p *paper) checks(all []check) {
	colors := map[audit.CheckState]string{audit.Granted: "32", audit.Missing: "31", audit.Excess: "33", audit.Unproven: "2"}
	column := 0
	for _, c := range all {
		column = max(column, utf8.RuneCountInString(report.Clean(c.For)))
	}
	for _, c := range all {
		what := report.Clean(c.For)
		p.b.WriteString("  " + p.style(colors[c.State], fmt.Sprintf("%-8s", c.State)) + "  " + what + strings.Repeat(" ", column-utf8.RuneCountInString(what)) + "  ")
		evidence := report.Clean(c.Evidence)
		if c.State == audit.Granted {
			p.line(report.Clean(c.Needs) + p.style("2", ": "+evidence))
			continue
		}
		p.line(report.Clean(c.Needs))
		if evidence != "" {
			p.line("            " + evidence)
		}
		if c.Fix != "" {
			p.line("            fix: " + report.Clean(c.Fix))
		}
	}
}
