package gitea

import (
	"context"
	"fmt"
	"iter"
	"net/url"
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
		if calls, what := p.calls(source); calls > 0 && p.opts.Sources.Has(source) {
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
	for _, r := range []struct {
		source audit.Sources
		lists  []string
		each   bool // thing is another request
		what   string
	}{
		{audit.SourceLogs, []string{"/actions/tasks"}, true, "jobs"},
		{audit.SourceArtifacts, []string{"/actions/artifacts"}, true, "artifacts"},
		{audit.SourceIssues, []string{"/issues", "/issues/comments"}, false, "issues and comments"},
		{audit.SourceReleases, []string{"/releases"}, false, "releases"},
	} {
		if !p.opts.Sources.Has(r.source) {
			continue
		}
		all, err := p.census.Reckon(p.ctx, 2, func(t audit.Target) ([]int64, error) {
			var calls, things int64
			for _, list := range r.lists {
				n, err := p.total(newPlace(p.client, p.opts, t).path + list)
				if err != nil {
					return nil, err
				}
				things += n
				calls += 1 + n/servedPage
			}
			if r.each {
				calls += things
			}
			return []int64{calls, things}, nil
		})
		if err != nil {
			return err
		}
		if err := p.send(audit.Cost{
			Source: r.source, Calls: all.Calls(0, len(r.lists)*p.census.Repositories), Note: all.Note("about %d %s", all.All[1], r.what),
		}); err != nil {
			return err
		}
	}
	return nil
}

// servedPage is how many of what was asked for Gitea gives at once, unless its administrator lets it give more.
const servedPage = 50

// mostTold is more than any list has.
const mostTold = 1 << 30

// total is how many a listing has, as its header or its body says.
func (p *planner) total(path string) (int64, error) {
	var answer any
	header, err := p.get(p.ctx, path, url.Values{"limit": {"1"}, "state": {"all"}}, &answer)
	if err != nil {
		return 0, err
	}
	n := float64(aroundOf(header).total)
	if body, ok := answer.(map[string]any); ok && n == 0 {
		n, _ = body["total_count"].(float64)
	}
	return int64(min(max(n, 0), mostTold)), nil
}
