// Package job lists what the CI job that this process runs in holds and could be taken from it: its environment, the files that a job finds or
// leaves, the rights of its tokens, the cloud roles of the machine, and what lies between the job and the machine's other jobs.
//
// It looks as an attacker's code in the job would, and takes nothing: files are read, sockets are connected to and closed again, services are
// asked for names. No credential is fetched; the one token that is minted, to learn which claims it carries, is meant for nobody and dropped.
// A newcomer starts with [Provider.Items]; there is a file for each kind of thing that is looked at.
package job

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/leakreach/leakreach/audit"
)

// Options say what of the job is looked at.
type Options struct {
	// Sources chooses: variables are the environment, files those on disk, settings what tokens and the machine's role may, runners the rest.
	// Only settings use the network.
	Sources audit.Sources
	// Root is the directory that stands for the machine's file system; "" is the file system itself.
	Root string
}

// Provider reads the ref "job:".
type Provider struct {
	env  audit.Env
	opts Options
	user int // effective user id; -1 where there is none
}

// New makes a provider. Of env it needs all but Stdin, Quotas and Cache.
func New(env audit.Env, o Options) *Provider { return &Provider{env: env, opts: o, user: os.Geteuid()} }

// Name is "job".
func (*Provider) Name() string { return "job" }

// name is that of the only target.
const name = "job:"

// sources are those that a job has.
const sources = audit.SourceVariables | audit.SourceFiles | audit.SourceSettings | audit.SourceRunners

// Targets yields the job.
func (p *Provider) Targets(_ context.Context, ref string) iter.Seq2[audit.Target, error] {
	return func(yield func(audit.Target, error) bool) {
		switch {
		case ref != "":
			yield(audit.Target{}, audit.Hint(fmt.Errorf("%w: job:%s names a job", audit.ErrUsage, ref), "job: is the job that this process runs in, and takes no name"))
		case !p.opts.Sources.Has(sources):
			yield(audit.Target{}, audit.Hint(fmt.Errorf("%w: job: has none of the sources asked for", audit.ErrUsage), "a job has "+sources.String()))
		default:
			yield(audit.Target{Name: name, Kind: audit.TargetJob}, nil)
		}
	}
}

// LeftOut implements [audit.Selective].
func (p *Provider) LeftOut(audit.Target) audit.Sources { return sources &^ p.opts.Sources }

// Plan implements [audit.Planner].
func (p *Provider) Plan(_ context.Context, _ string) iter.Seq2[audit.Cost, error] {
	return func(yield func(audit.Cost, error) bool) {
		if !p.opts.Sources.Has(audit.SourceSettings) {
			return
		}
		for _, q := range p.job().questions() {
			c := audit.Cost{Source: audit.SourceSettings, Host: q.host, Calls: q.calls, Note: q.note}
			if q.calls > 0 && q.host != "" && !yield(c, nil) { // who has no address is not asked
				return
			}
		}
	}
}

// A job is what is known of it at the start of a listing.
type job struct {
	*Provider
	disk
	vars   map[string]string
	system string // whose job it is; "" for none that is known
	homes  []string
	work   string // of GitHub's runner: where jobs are checked out; "" if it is not known
	tokens []token
	worker func() record // of GitHub's runner; read once
}

// Whose job it is.
const (
	systemGitHub = "github"
	systemGitLab = "gitlab"
	systemGitea  = "gitea" // or Forgejo
	systemOther  = "other"
)

func (p *Provider) job() *job {
	j := &job{Provider: p, disk: disk{p.opts.Root}, vars: map[string]string{}}
	if p.env.Environ != nil {
		for _, pair := range p.env.Environ() {
			if name, value, ok := strings.Cut(pair, "="); ok && name != "" { // Windows keeps directories as "=C:=…"
				j.vars[name] = value
			}
		}
	}
	switch {
	case j.yes("GITEA_ACTIONS") || j.yes("FORGEJO_ACTIONS"): // which call themselves GitHub's, too
		j.system = systemGitea
	case j.yes("GITHUB_ACTIONS"):
		j.system = systemGitHub
	case j.vars["GITLAB_CI"] != "": // "false" of gitlab-ci-local, which does all else as GitLab does
		j.system = systemGitLab
	case j.vars["CI"] != "":
		j.system = systemOther
	}
	j.homes = j.findHomes()
	if temp := j.path("RUNNER_TEMP"); temp != "" {
		j.work = parent(temp)
	}
	j.tokens = j.findTokens()
	j.worker = sync.OnceValue(j.readWorker)
	return j
}

// yes tells whether a variable is a yes.
func (j *job) yes(name string) bool {
	return strings.EqualFold(j.vars[name], "true") || j.vars[name] == "1"
}

// found is what one question had for an answer.
type found struct {
	items []audit.Item
	gaps  []audit.Gap
}

func (f *found) gap(what, why string) {
	f.gaps = append(f.gaps, audit.Gap{Target: name, What: what, Why: why})
}

// entry adds something that has no content.
func (f *found) entry(kind audit.ItemKind, of string, at audit.LocationKind, facts facts) {
	f.items = append(f.items, audit.Item{Kind: kind, At: audit.Location{Kind: at, Name: plain(of)}, Entry: newEntry(kind, of, facts)})
}

// A question is asked beside others.
type question struct {
	ask   func(context.Context) found
	host  string // for a plan: who is asked, how often, and what for
	calls int
	note  string
}

// patience is how long all questions together may take. Metadata services answer in milliseconds, forges in a third of a second; where a network
// drops packets instead of refusing them, this is what a listing lasts.
const patience = time.Second

// Items yields variables and files, and then what was learned of the machine and by asking.
func (p *Provider) Items(ctx context.Context, t audit.Target) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		if t.Name != name {
			yield(audit.Item{}, fmt.Errorf("target %q is none of this provider", t.Name))
			return
		}
		j := p.job()
		var all []question
		if p.opts.Sources.Has(audit.SourceRunners) {
			all = append(all, question{ask: j.runner}, question{ask: j.actions}, question{ask: j.agent})
		}
		if p.opts.Sources.Has(audit.SourceSettings) {
			all = append(all, question{ask: j.settings})
			all = append(all, j.questions()...)
		}
		asking, stop := context.WithTimeout(ctx, patience)
		answers := make([]chan found, len(all))
		for i, q := range all {
			answers[i] = make(chan found, 1)
			go func() { answers[i] <- q.ask(asking) }()
		}
		next := 0
		defer func() {
			stop()
			for ; next < len(all); next++ {
				<-answers[next]
			}
		}()
		ok := true
		if ok && p.opts.Sources.Has(audit.SourceVariables) {
			ok = give(ctx, j.variables(), yield)
		}
		if ok && p.opts.Sources.Has(audit.SourceFiles) {
			ok = give(ctx, j.files(ctx), yield)
		}
		for ok && next < len(all) {
			f := <-answers[next]
			next++
			ok = give(ctx, f, yield)
		}
	}
}

// give hands over what was found, until the consumer has had enough.
func give(ctx context.Context, f found, yield func(audit.Item, error) bool) bool {
	for _, it := range f.items {
		if err := ctx.Err(); err != nil {
			yield(audit.Item{}, err)
			return false
		}
		it.At.Target = name
		if !yield(it, nil) {
			return false
		}
	}
	for _, g := range f.gaps {
		if !yield(audit.Item{}, &g) {
			return false
		}
	}
	return true
}

// facts are those of an inventory entry. What is "" is not known and left out.
type facts map[string]string

func newEntry(kind audit.ItemKind, of string, all facts) *audit.Entry {
	maps.DeleteFunc(all, func(_, v string) bool { return v == "" })
	for k, v := range all {
		all[k] = plain(v)
	}
	return &audit.Entry{Target: name, Kind: kind, Name: plain(of), Scope: "job", Facts: all}
}

// maxFact is more than any name, and less than a value that was put in the place of one; a list has many of them.
const maxFact = 1 << 10

// plain makes a text from outside fit for an entry.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	if len(s) > maxFact && strings.Count(s, ",") == 0 {
		s = strings.ToValidUTF8(s[:maxFact], "") + "…"
	}
	return s
}

func yesNo(b bool) string { return fmt.Sprint(b) }

// cause says why something was not read or answered, without the path or address that the reader knows already.
func cause(err error) string {
	var path *os.PathError
	switch {
	case errors.Is(err, context.DeadlineExceeded) || os.IsTimeout(err):
		return fmt.Sprintf("no answer within %v", patience)
	case errors.As(err, &path):
		return path.Err.Error()
	}
	return err.Error()
}
