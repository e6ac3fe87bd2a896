package github

import (
	"cmp"
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// Plan implements [audit.Planner]. Repositories are listed, what is left of quotas is asked, and of up to ten repositories how much they have of
// what a forge keeps many of.
func (p *Provider) Plan(ctx context.Context, ref string) iter.Seq2[audit.Cost, error] {
	return forge.Tell(ctx, func(tell func(...audit.Cost) error) error {
		o := p.opts
		o.MaxWait, o.Budget = time.Second, 100 // as in Check
		env := p.env
		env.Calls = &audit.Calls{}
		q := New(env, o)
		c, err := q.connect()
		if err != nil {
			return err
		}
		return (&planner{Provider: q, client: c, ctx: ctx, tell: tell, percent: cmp.Or(p.opts.Budget, forge.DefaultBudget)}).all(ref)
	})
}

// A planner reckons what a scan of one ref takes.
type planner struct {
	*Provider
	*client
	ctx     context.Context //nolint:containedctx // it lives as long as one call of Plan
	tell    func(...audit.Cost) error
	percent int // of quotas, that scans may use up
	census  forge.Census
	limits  map[string]limit
}

// A limit is what is granted in an hour of a quota and what is left of it now, both without what is left to people.
type limit struct{ granted, left int }

func (p *planner) all(ref string) error {
	var err error
	if p.census, err = forge.Count(p.Targets(p.ctx, ref)); err != nil {
		return err
	}
	listing := p.env.Calls.Snapshot()["github"]
	if p.limits, err = p.granted(); err != nil {
		return err
	}
	if err := p.send(audit.Cost{Quota: "core", Calls: listing, Note: p.census.String()}); err != nil {
		return err
	}
	costs, err := p.settings()
	if err != nil {
		return err
	}
	costs = append([]audit.Cost{p.history()}, append(costs, p.wikis(), p.gists())...)
	for _, source := range []func() (audit.Cost, error){p.logs, p.artifacts, p.issues, p.releases} {
		c, err := source()
		if err != nil {
			return err
		}
		costs = append(costs, c)
	}
	wanted := p.opts.Sources
	if p.census.Wikis > 0 { // one that is named is read whatever the sources
		wanted |= audit.SourceWikis
	}
	if p.census.Gists > 0 {
		wanted |= audit.SourceGists
	}
	for _, c := range costs {
		if c.Source &= wanted; c.Source == 0 {
			continue
		}
		if err := p.send(c); err != nil {
			return err
		}
	}
	return nil
}

// send yields a cost of the API, or of git where it names another host.
func (p *planner) send(c audit.Cost) error {
	c.Host = cmp.Or(c.Host, p.BaseURL.Host)
	if c.Quota != "" {
		l := p.limits[c.Quota]
		c.Limit, c.Left = l.granted, l.left
		c.Logged = "api.request for each, in the enterprise's audit log stream, where it has those"
	}
	return p.tell(c)
}

// granted asks for the quotas of all credentials that the ref is read with.
func (p *planner) granted() (map[string]limit, error) {
	contexts := []context.Context{p.ctx}
	if p.app != nil {
		contexts = contexts[:0]
		for _, t := range p.census.Owners {
			contexts = append(contexts, p.as(t.Attrs["owner"]))
		}
		if len(contexts) == 0 && len(p.census.Sample) > 0 {
			contexts = append(contexts, p.as(p.census.Sample[0].Attrs["owner"]))
		}
	} else if len(p.tokens) > 0 {
		contexts = contexts[:0]
		for _, token := range p.tokens {
			contexts = append(contexts, forge.With(p.ctx, token))
		}
	}
	all := map[string]limit{}
	for _, ctx := range contexts {
		quotas, err := p.quotasOf(ctx)
		if p.ctx.Err() != nil {
			return nil, p.ctx.Err()
		}
		if err != nil { // a server without limits says 404
			continue
		}
		percent := p.percent
		if !p.signed() {
			percent = 100 // there is nobody to leave anything to
		}
		for name, q := range quotas {
			l, reserve := all[name], q.Limit-q.Limit*percent/100
			all[name] = limit{l.granted + q.Limit - reserve, l.left + max(q.Remaining-reserve, 0)}
		}
	}
	return all, nil
}

func (p *planner) as(owner string) context.Context {
	credential, err := p.app.of(p.ctx, owner)
	if err != nil {
		return p.ctx
	}
	return forge.With(p.ctx, credential)
}

// gitHost is where repositories are fetched from.
func (p *planner) gitHost() string { return p.web[0].Host }

func (p *planner) history() audit.Cost {
	c := p.census.Clones(forge.Contents, p.gitHost())
	c.Logged = "git.clone for each repository, in the organisation's audit log of git events, for seven days (Enterprise)"
	return c
}

// wikis cost as much as repositories where there are any, and one request where there is none. Nothing tells their sizes.
func (p *planner) wikis() audit.Cost {
	return audit.Cost{Source: audit.SourceWikis, Host: p.gitHost(), Calls: 3 * p.census.Wikis, Note: "as for a repository, where there is a wiki; else 1"}
}

// gists have been listed for the plan.
func (p *planner) gists() audit.Cost {
	return audit.Cost{Source: audit.SourceGists, Host: "gists of " + p.gitHost(), Calls: 3 * p.census.Gists, Note: "as for a repository"}
}

// What settings take, of an organisation and of a repository that can run a workflow, and an environment: docs/github.md, and what the sweep of a
// thousand repositories took.
const (
	variablesOfOwner = 2  // its own, and the agents'
	secretsOfOwner   = 4  // in four stores; besides, one for each that is for chosen repositories
	settingsOfOwner  = 12 // nine questions, and hooks, apps, tokens
	runnersOfOwner   = 2  // runners, and groups; besides, one for each that is for chosen repositories
	settingsOfLive   = 1  // of seven questions, what the organisation leaves open; keys and protection come from GraphQL
	hooksOfLive      = 1  // where they are asked for
	runnersOfLive    = 1
	environmentRules = 2 // the listing, and custom rules

	batchOfGraphQL  = 25 // repositories in a query
	pointsOfGraphQL = 11 // that it counts
)

// live reckons how many repositories can run a workflow.
func (p *planner) live() (int, error) {
	r, err := p.ofSample(audit.SourceSettings|audit.SourceRunners, 1, func(path string, t audit.Target) ([]int64, error) {
		if t.Attrs["archived"] == "true" {
			return []int64{0}, nil
		}
		n, err := p.total(path + "/actions/workflows")
		return []int64{min(n, 1)}, err
	})
	return int(r.All[0]), err
}

// environments reckons how many there are.
func (p *planner) environments() (int, error) {
	r, err := p.ofSample(audit.SourceSettings|audit.SourceVariables|audit.SourceSecrets, 1, func(path string, _ audit.Target) ([]int64, error) {
		n, err := p.total(path + "/environments")
		return []int64{n}, err
	})
	return int(r.All[0]), err
}

// total is how many a listing says that there are.
func (p *planner) total(path string) (int64, error) {
	var list struct {
		Total int64 `json:"total_count"`
	}
	_, err := p.get(p.ctx, path, url.Values{"per_page": {"1"}}, &list)
	return list.Total, err
}

// settings are the costs of what decides who can reach secrets.
func (p *planner) settings() ([]audit.Cost, error) {
	if !p.signed() {
		return nil, nil // all of it is a gap
	}
	live, err := p.live()
	if err != nil {
		return nil, err
	}
	environments, err := p.environments()
	if err != nil {
		return nil, err
	}
	repos, owners := p.census.Repositories, len(p.census.Owners)
	queries := (repos + batchOfGraphQL - 1) / batchOfGraphQL
	each := "1 for a repository, and for each of about " + forge.Number(int64(environments), "environment", "environments")
	ofLive := settingsOfLive + hooksOfLive
	if settingsAlone(p.opts.Sources) {
		ofLive -= hooksOfLive
	}
	return []audit.Cost{
		{
			Source: forge.Settings, Quota: "graphql", Calls: pointsOfGraphQL * queries,
			Note: "points, of " + forge.Number(int64(queries), "query", "queries") + " that tell what is asked for; where GraphQL is refused, REST is asked",
		},
		{Source: audit.SourceVariables, Quota: "core", Calls: variablesOfOwner*owners + repos + environments, Note: each},
		{Source: audit.SourceSecrets, Quota: "core", Calls: secretsOfOwner*owners + repos + environments, Note: each},
		{
			Source: audit.SourceSettings, Quota: "core", Calls: settingsOfOwner*owners + ofLive*live + environmentRules*environments,
			Note: p.reckoned("for about " + forge.Number(int64(live), "repository", "repositories") + " that can run a workflow"),
		},
		{Source: audit.SourceRunners, Quota: "core", Calls: runnersOfOwner*owners + runnersOfLive*live, Note: "1 for each of those"},
		{Source: audit.SourceCaches, Quota: "core", Calls: repos, Note: "1 for a repository"},
	}, nil
}

// ofSample reckons things from the sample, if they are wanted.
func (p *planner) ofSample(wanted audit.Sources, things int, count func(path string, t audit.Target) ([]int64, error)) (forge.Reckoning, error) {
	if !p.opts.Sources.Has(wanted) || !p.signed() {
		return forge.Reckoning{All: make([]int64, things)}, nil
	}
	return p.census.Reckon(p.ctx, things, func(t audit.Target) ([]int64, error) { return count("repos/"+t.Attrs["owner"]+"/"+t.Attrs["repo"], t) })
}

// reckoned says what figures rest on.
func (p *planner) reckoned(what string) string {
	return what + ", reckoned from " + forge.Number(int64(len(p.census.Sample)), "repository", "repositories")
}

func (p *planner) logs() (audit.Cost, error) {
	r, err := p.ofSample(audit.SourceLogs, 1, func(path string, _ audit.Target) ([]int64, error) {
		n, err := p.total(path + "/actions/runs")
		return []int64{n}, err
	})
	runs, lists := r.All[0], p.census.Repositories
	return audit.Cost{
		Source: audit.SourceLogs, Quota: "core", Calls: r.Calls(0, 0) + int(runs/100) + lists,
		Note: r.Note("one for each of about %s, more for attempts", forge.Number(runs, "run", "runs")),
	}, err
}

// largestArtifact is more than GitHub keeps of one, in bytes.
const largestArtifact = 1 << 40

func (p *planner) artifacts() (audit.Cost, error) {
	r, err := p.ofSample(audit.SourceArtifacts, 2, func(path string, _ audit.Target) ([]int64, error) {
		var out struct {
			Total     int64 `json:"total_count"`
			Artifacts []struct {
				Size int64 `json:"size_in_bytes"`
			} `json:"artifacts"`
		}
		_, err := p.get(p.ctx, path+"/actions/artifacts", url.Values{"per_page": {"100"}}, &out)
		size := int64(0)
		for _, a := range out.Artifacts {
			size += min(max(a.Size, 0), largestArtifact)
		}
		if n := int64(len(out.Artifacts)); n > 0 {
			size = size / n * min(max(out.Total, n), mostGranted)
		}
		return []int64{out.Total, size}, err
	})
	artifacts := r.All[0]
	return audit.Cost{
		Source: audit.SourceArtifacts, Quota: "core", Calls: r.Calls(0, 0) + int(artifacts/100) + p.census.Repositories, Bytes: r.All[1],
		Note: r.Note("one for each of about %s", forge.Number(artifacts, "artifact", "artifacts")),
	}, err
}

func (p *planner) issues() (audit.Cost, error) {
	lists := []string{"/issues", "/issues/comments", "/pulls/comments", "/comments"}
	r, err := p.ofSample(audit.SourceIssues, 1, func(path string, _ audit.Target) ([]int64, error) {
		pages := int64(0)
		for _, list := range lists {
			resp, err := p.get(p.ctx, path+list, url.Values{"per_page": {"1"}, "state": {"all"}}, nil)
			if err != nil && forge.StatusOf(err) != http.StatusNotFound && forge.StatusOf(err) != http.StatusGone { // which say that it has none
				return nil, err
			}
			pages++
			if err == nil {
				pages += int64(max(resp.LastPage-1, 0)) / otherPage
			}
		}
		return []int64{pages}, nil
	})
	return audit.Cost{
		Source: audit.SourceIssues, Quota: "core", Calls: r.Calls(0, len(lists)*p.census.Repositories), Note: r.Note("one for a hundred of them, or of their comments"),
	}, err
}

func (p *planner) releases() (audit.Cost, error) {
	r, err := p.ofSample(audit.SourceReleases, 2, func(path string, _ audit.Target) ([]int64, error) {
		var out []struct {
			Assets []struct {
				Size int64 `json:"size"`
			} `json:"assets"`
		}
		resp, err := p.get(p.ctx, path+"/releases", url.Values{"per_page": {"100"}}, &out)
		if err != nil {
			return nil, err
		}
		calls, bytes, pages := int64(1), int64(0), int64(max(resp.LastPage, 1)) // further pages are taken to be like the first
		for _, r := range out {
			for _, a := range r.Assets {
				calls++
				bytes += min(max(a.Size, 0), largestArtifact)
			}
		}
		return []int64{calls * pages, bytes}, nil
	})
	return audit.Cost{
		Source: audit.SourceReleases, Quota: "core", Calls: r.Calls(0, p.census.Repositories), Bytes: r.All[1], Note: r.Note("one for 100 releases, and for each file"),
	}, err
}
