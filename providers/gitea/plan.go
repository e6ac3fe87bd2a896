package gitea

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// Plan implements [audit.Planner]. Repositories are listed, and of up to ten of them how much they have of what a forge keeps many of. Gitea sets
// no limit.
func (p *Provider) Plan(ctx context.Context, ref string) iter.Seq2[audit.Cost, error] {
	return forge.Tell(ctx, func(tell func(...audit.Cost) error) error {
		o := p.opts
		o.MaxWait = time.Second // as in Check
		env := p.env
		env.Calls = &audit.Calls{}
		q := New(env, o)
		c, err := q.connect()
		if err != nil {
			return err
		}
		return (&planner{Provider: q, client: c, ctx: ctx, tell: tell}).all(ref)
	})
}

// A planner reckons what a scan of one ref takes.
type planner struct {
	*Provider
	*client
	ctx    context.Context //nolint:containedctx // it lives as long as one call of Plan
	tell   func(...audit.Cost) error
	census forge.Census
}

func (p *planner) send(c audit.Cost) error {
	c.Host = p.web.Host
	return p.tell(c)
}

func (p *planner) all(ref string) error {
	var err error
	if p.census, err = forge.Count(p.Targets(p.ctx, ref)); err != nil {
		return err
	}
	if err := p.send(audit.Cost{Calls: p.Provider.env.Calls.Snapshot()["gitea"], Note: p.census.String()}); err != nil {
		return err
	}
	if p.opts.Sources.Has(forge.Contents) {
		if err := p.send(p.census.Clones(p.opts.Sources&forge.Contents, p.web.Host)); err != nil {
			return err
		}
	}
	for source := audit.Sources(1); source <= audit.AllSources; source <<= 1 {
		if calls, what := p.calls(source); calls > 0 && p.opts.Sources.Has(source) && source != audit.SourceWorkflows {
			if err := p.send(audit.Cost{Source: source, Calls: calls, Note: what}); err != nil {
				return err
			}
		}
	}
	return p.records()
}

// calls is what a source takes that is read by a few requests for each target.
func (p *planner) calls(source audit.Sources) (calls int, what string) {
	parts := map[audit.TargetKind]int{}
	count := func(t audit.Target) {
		if _, known := parts[t.Kind]; !known {
			parts[t.Kind] = len(newPlace(p.client, Options{Sources: source}, t).parts(p.ctx))
		}
	}
	for _, t := range p.census.Owners {
		count(t)
		calls += parts[t.Kind]
	}
	for _, t := range p.census.Sample {
		count(t)
	}
	calls += parts[audit.TargetRepository] * p.census.Repositories
	return calls, fmt.Sprintf("%d for a repository, and one for each further page", parts[audit.TargetRepository])
}

// records sends what is read of what repositories have many of: so many pages, and of some each thing.
func (p *planner) records() error {
	if err := p.workflows(); err != nil {
		return err
	}
	if err := p.runs(); err != nil {
		return err
	}
	for _, r := range []struct {
		source audit.Sources
		off    string // as the target's attributes name it
		count  func(path string) (calls, things int64, err error)
		what   string
	}{
		{audit.SourceIssues, "issues", p.issues, "issues and comments, with reviews of pull requests"},
		{audit.SourceWikis, "wiki", p.wiki, "pages of wikis"},
		{audit.SourceReleases, "releases", func(path string) (calls, things int64, err error) {
			n, err := p.total(path+"/releases", nil)
			return 1 + n/servedPage, n, err
		}, "releases"},
	} {
		if !p.opts.Sources.Has(r.source) {
			continue
		}
		all, err := p.census.Reckon(p.ctx, 2, func(t audit.Target) ([]int64, error) {
			if strings.Contains(t.Attrs["off"], r.off) {
				return []int64{0, 0}, nil
			}
			calls, things, err := r.count(newPlace(p.client, p.opts, t).path)
			return []int64{calls, things}, err
		})
		if err != nil {
			return err
		}
		if err := p.send(audit.Cost{Source: r.source, Calls: all.Calls(0, p.census.Repositories), Note: all.Note("about %d %s", all.All[1], r.what)}); err != nil {
			return err
		}
	}
	return nil
}

// workflows sends what definitions take, which is that of reading those of the sample.
func (p *planner) workflows() error {
	if !p.opts.Sources.Has(audit.SourceWorkflows) {
		return nil
	}
	asked := func() int64 { return int64(p.Provider.env.Calls.Snapshot()["gitea"]) }
	all, err := p.census.Reckon(p.ctx, 1, func(t audit.Target) ([]int64, error) {
		before := asked()
		for _, err := range newPlace(p.client, p.opts, t).workflows(p.ctx) {
			if err != nil {
				return nil, err
			}
		}
		return []int64{asked() - before}, nil
	})
	if err != nil {
		return err
	}
	return p.send(audit.Cost{Source: audit.SourceWorkflows, Calls: all.Calls(0, p.census.Repositories), Note: all.Note("folders and definitions")})
}

// runs sends what logs and artifacts take: two lists for each run, each log, and for each artifact two.
func (p *planner) runs() error {
	if !p.opts.Sources.Has(forge.Runs) || !p.signed() {
		return nil
	}
	all, err := p.census.Reckon(p.ctx, 5, func(t audit.Target) ([]int64, error) {
		if t.Attrs["actions"] == "false" {
			return make([]int64, 5), nil
		}
		path := newPlace(p.client, p.opts, t).path
		tasks, err := p.total(path+"/actions/tasks", nil)
		if err != nil || tasks == 0 {
			return []int64{1, 0, 0, 0, 0}, err
		}
		runs, err := p.total(path+"/actions/runs", nil)
		if err != nil {
			return nil, err
		}
		files, err := p.total(path+"/actions/artifacts", nil)
		if forge.StatusOf(err) == http.StatusNotFound { // older servers list those of a run alone
			err = nil
		}
		return []int64{2 + tasks/servedPage + runs/servedPage + runs, tasks, runs + 2*files, runs, files}, err
	})
	if err != nil {
		return err
	}
	listing := all.Calls(0, p.census.Repositories)
	note := all.Note("about %d attempts at jobs in %d runs, %d artifacts", all.All[1], all.All[3], all.All[4])
	for _, c := range []struct {
		source audit.Sources
		calls  int64
	}{{audit.SourceLogs, all.All[1]}, {audit.SourceArtifacts, all.All[2]}} {
		if !p.opts.Sources.Has(c.source) {
			continue
		}
		if err := p.send(audit.Cost{Source: c.source, Calls: listing + int(c.calls), Note: note}); err != nil {
			return err
		}
		listing, note = 0, "of the same runs"
	}
	return nil
}

// issues counts two lists, and of each pull request the reviews, with the comments of one of them.
func (p *planner) issues(path string) (calls, things int64, err error) {
	for _, list := range []struct {
		path  string
		query url.Values
	}{{"/issues", url.Values{"state": {"all"}}}, {"/issues/comments", nil}} {
		n, err := p.total(path+list.path, list.query)
		if err != nil {
			return 0, 0, err
		}
		things += n
		calls += 1 + n/servedPage
	}
	pulls, err := p.total(path+"/issues", url.Values{"state": {"all"}, "type": {"pulls"}})
	return calls + 2*pulls, things, err
}

// wiki counts the list of pages, and each.
func (p *planner) wiki(path string) (calls, things int64, err error) {
	n, err := p.total(path+"/wiki/pages", nil)
	if forge.StatusOf(err) == http.StatusNotFound { // there is none yet
		return 1, 0, nil
	}
	return 1 + n/servedPage + n, n, err
}

// servedPage is how many of what was asked for Gitea gives at once, unless its administrator lets it give more.
const servedPage = 50

// mostTold is more than any list has.
const mostTold = 1 << 30

// total is how many a listing has, as its header or its body says.
func (p *planner) total(path string, query url.Values) (int64, error) {
	var answer any
	one := url.Values{"limit": {"1"}}
	maps.Copy(one, query)
	header, err := p.get(p.ctx, path, one, &answer)
	if err != nil {
		return 0, err
	}
	n := float64(aroundOf(header).total)
	if body, ok := answer.(map[string]any); ok && n == 0 {
		n, _ = body["total_count"].(float64)
	}
	return int64(min(max(n, 0), mostTold)), nil
}
