package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/google/go-github/v60/github"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// A listing is one kind of thing in a target.
type listing struct {
	what  string // as a gap names it
	needs string // the right it takes, as GitHub names it in X-Accepted-GitHub-Permissions; "" if that is not known
	// wanted tells, when its turn comes, whether it is asked for; nil means that it is.
	wanted func() wanted
	items  iter.Seq2[audit.Item, error]
}

// isWanted tells whether it is asked for.
func (l listing) isWanted() wanted {
	if l.wanted == nil {
		return asked
	}
	return l.wanted()
}

// Items yields the target's settings, then its history, or one of the two.
func (p *Provider) Items(ctx context.Context, t audit.Target) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		c, err := p.connect()
		if err != nil {
			yield(audit.Item{}, err)
			return
		}
		if t.Kind == audit.TargetWiki {
			p.wiki(ctx, c, t)(yield)
			return
		}
		if t.Kind == audit.TargetGist {
			p.gistItems(ctx, c, t)(yield)
			return
		}
		sections := []forge.Section{{Part: audit.PartSettings, Items: func(ctx context.Context, t audit.Target) iter.Seq2[audit.Item, error] { return p.inventory(ctx, c, t) }}}
		if t.Kind == audit.TargetRepository && p.opts.Sources.Has(forge.Contents) {
			sections = append(sections, forge.Section{Part: audit.PartContents, Items: func(ctx context.Context, t audit.Target) iter.Seq2[audit.Item, error] { return p.history(ctx, c, t) }})
		}
		sections = append(sections, p.records(c, t)...)
		forge.Items(ctx, t, sections...)(yield)
	}
}

// inventory yields what the API has of the target. What it knows of a repository beforehand is part of the state.
func (p *Provider) inventory(ctx context.Context, c *client, t audit.Target) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		v := p.look(ctx, c, t)
		settings := forge.Listing{
			Head:  fmt.Sprintf("6 %s %q %q %s", p.opts.Sources, t.Attrs["alone"], t.Attrs["named"], v.state(t)),
			List:  func(ctx context.Context) iter.Seq2[audit.Item, error] { return p.settings(ctx, c, t, &v) },
			Again: c.again,
		}
		if c.app != nil {
			settings.Again = nil // its tokens change every hour, and tags with them
		}
		settings.Section().Items(ctx, t)(yield)
	}
}

// look learns of a target what GraphQL has of it, and of a repository what decides what is asked for.
func (p *Provider) look(ctx context.Context, c *client, t audit.Target) (v view) {
	if !c.signed() || !p.opts.Sources.Has(forge.Settings) {
		return v
	}
	if t.Kind != audit.TargetRepository {
		if p.opts.Sources.Has(audit.SourceSettings) {
			v.repositories = c.repositoriesOf(ctx, t.Attrs["owner"])
		}
		return v
	}
	v.thorough = t.Attrs["named"] != "" || p.opts.Sources|forge.Contents == audit.AllSources
	v.archived, v.private, v.admin = t.Attrs["archived"] == "true", t.Attrs["visibility"] != "public", t.Attrs["admin"] == "true"
	v.cheap = settingsAlone(p.opts.Sources)
	owner := t.Attrs["owner"]
	if v.overview = c.graph.overview(c.as(ctx, owner), t, p.opts.Sources.Has(withTexts)); v.overview != nil {
		if v.people = v.overview.people; v.person() == asked {
			v.people.complete(c.as(ctx, owner), c.graph, t.Attrs["node"])
		}
	}
	if t.Attrs["user"] == "" && !v.thorough && p.opts.Sources.Has(withTexts) {
		v.policy = c.policyOf(ctx, owner)
	}
	return v
}

// withTexts are the sources for which the texts of definitions are read: as such, or for what they say is used.
const withTexts = audit.SourceWorkflows | audit.SourceSettings | audit.SourceRunners

// settingsAlone tells of sources whether a sweep asks for settings and nothing that costs a request for each repository anyway. It then has fewer
// requests than there are repositories.
func settingsAlone(sources audit.Sources) bool {
	return sources.Has(audit.SourceSettings) && !sources.Has(audit.SourceVariables|audit.SourceSecrets)
}

// LeftOut implements [audit.Selective].
func (p *Provider) LeftOut(t audit.Target) audit.Sources {
	may := audit.AllSources
	switch t.Kind {
	case audit.TargetRepository:
	case audit.TargetWiki, audit.TargetGist: // all of it is read, or it is no target
		may = 0
	default:
		may = ofOrganisation
	}
	return may &^ p.opts.Sources
}

// elsewhere are the sources that are read as targets of their own, beside a repository.
const elsewhere = audit.SourceWikis | ofPeople

// ofPeople are the sources that belong to people and organisations, whatever repositories they have.
const ofPeople = audit.SourceGists | audit.SourcePackages

// ofOrganisation are the sources that an organisation has beside its repositories.
const ofOrganisation = audit.SourceVariables | audit.SourceSecrets | audit.SourceSettings | audit.SourceRunners | audit.SourcePackages

// settings yields what the API has of the target.
func (p *Provider) settings(ctx context.Context, c *client, t audit.Target, v *view) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		here := &place{c, t, t.Attrs["owner"], t.Attrs["repo"]}
		gone := sync404{here: here}
		slow := false
		if wanted := p.opts.Sources & (forge.Settings | audit.SourcePackages); !c.signed() {
			if wanted == 0 {
				return
			}
			yield(audit.Item{}, &audit.Gap{Target: t.Name, What: wanted.String(), Why: "needs a token: GH_TOKEN is not set"})
			return
		}
		for _, l := range p.listings(ctx, here, v) {
			if l.isWanted() != asked {
				continue
			}
			if slow {
				if !yield(audit.Item{}, &audit.Gap{Target: t.Name, What: l.what, Why: "not asked for, as the forge did not answer in time before"}) {
					return
				}
				continue
			}
			for it, err := range l.items {
				if err == nil {
					if !yield(it, nil) {
						return
					}
					continue
				}
				if ctx.Err() != nil {
					yield(audit.Item{}, ctx.Err())
					return
				}
				if gone.check(ctx, err) {
					yield(audit.Item{}, errors.New("the repository is gone: deleted, moved out of sight or closed to the token since it was listed"))
					return
				}
				if e := (*forge.Error)(nil); errors.As(err, &e) && e.Slow() {
					slow = true
				}
				gap := (*audit.Gap)(nil)
				if !errors.As(err, &gap) {
					gap = here.gap(l.what, l.needs, err).Gap
				}
				if !yield(audit.Item{}, gap) {
					return
				}
			}
		}
	}
}

// sync404 asks once, on the first 404, whether the repository itself is still there.
type sync404 struct {
	here  *place
	asked bool
}

func (s *sync404) check(ctx context.Context, err error) bool {
	if s.asked || s.here.repo == "" || forge.StatusOf(err) != http.StatusNotFound {
		return false
	}
	s.asked = true
	_, err = s.here.get(ctx, s.here.path(), nil, nil)
	return forge.StatusOf(err) == http.StatusNotFound
}

// listings are what is asked of the target.
func (p *Provider) listings(ctx context.Context, here *place, v *view) []listing {
	if here.repo == "" {
		return p.ofOrganisation(ctx, here, v)
	}
	return p.ofRepository(ctx, here, v)
}

func (p *Provider) ofOrganisation(ctx context.Context, here *place, v *view) (all []listing) {
	const administration, runners, hooks = "organization_administration=read", "organization_self_hosted_runners=read", "organization_hooks=read"
	add := func(wanted audit.Sources, what, needs string, items iter.Seq2[audit.Item, error]) {
		if p.opts.Sources.Has(wanted) {
			all = append(all, listing{what, needs, nil, items})
		}
	}
	var notAsked []string
	if !here.isApp(ctx) {
		notAsked = append(notAsked, fineGrained)
	}
	add(audit.SourceSettings, "organisation settings", administration, here.allowed(ctx, ofOrganisations(), newAnswers(map[string]string{"repositories": v.repositories}), notAsked))
	for _, s := range stores {
		path := here.path() + "/" + s.name
		if s.variables {
			add(audit.SourceVariables, "organisation "+s.title+"variables", s.toOrgVariables, here.variables(ctx, s, "organisation", path+"/variables", s.page("variables")))
		}
		add(audit.SourceSecrets, "organisation "+s.title+"secrets", s.toOrgSecrets, here.secrets(ctx, s, "organisation", path+"/secrets", s.page("secrets")))
	}
	add(audit.SourceRunners, "organisation runners", runners, here.runnersInGroups(ctx))
	add(audit.SourceSettings, "organisation webhooks", hooks, here.hooks(ctx))
	add(audit.SourceSettings, "installed apps", administration, here.apps(ctx))
	add(audit.SourcePackages, "packages", "a classic token with scope read:packages", here.packages(ctx))
	if notAsked == nil {
		add(audit.SourceSettings, fineGrained, grantsNeed, here.grants(ctx))
	}
	return all
}

// ofRepository is what is asked of a repository: all of it where it was named, or where all sources were; else, what there is a sign of. What
// GraphQL has not told is read first, and decides about the rest when its turn comes.
func (p *Provider) ofRepository(ctx context.Context, here *place, v *view) (all []listing) {
	add := func(sources audit.Sources, what, needs string, wanted func() wanted, items iter.Seq2[audit.Item, error]) {
		if p.opts.Sources.Has(sources) {
			all = append(all, listing{what, needs, wanted, items})
		}
	}
	add(forge.Settings, "definitions of pipelines", "contents=read", nil, here.definitions(ctx, v, p.opts.Sources.Has(audit.SourceWorkflows)))
	for _, s := range stores {
		wanted := func() wanted { return v.store(s.name) }
		path := here.path() + "/" + s.name
		if s.variables && here.target.Attrs["alone"] != "" { // else they are the organisation's own target's
			add(audit.SourceVariables, "organisation "+s.title+"variables", s.toVariables, wanted, here.variables(ctx, s, "organisation", path+"/organization-variables", s.page("variables")))
			add(audit.SourceSecrets, "organisation "+s.title+"secrets", s.toSecrets, wanted, here.secrets(ctx, s, "organisation", path+"/organization-secrets", s.page("secrets")))
		}
		if s.variables {
			add(audit.SourceVariables, "repository "+s.title+"variables", s.toVariables, wanted, here.variables(ctx, s, "repository", path+"/variables", s.page("variables")))
		}
		add(audit.SourceSecrets, "repository "+s.title+"secrets", s.toSecrets, wanted, here.secrets(ctx, s, "repository", path+"/secrets", s.page("secrets")))
	}
	const administration = "administration=read"
	add(audit.SourceSettings|audit.SourceVariables|audit.SourceSecrets, "environments", "actions=read", v.environment, here.environments(ctx, p.opts.Sources))
	add(audit.SourceRunners, "repository runners", administration, v.runner, here.runners(ctx, nil))
	add(audit.SourceSettings, whoPush, "members=read", v.person, here.pushers(ctx, v))
	add(audit.SourceSettings, "protection of branches", administration, v.protection, here.protections(ctx, v))
	add(audit.SourceSettings, "deploy keys", administration, v.key, here.deployKeys(ctx))
	add(audit.SourceSettings, "repository webhooks", "repository_hooks=read", v.hook, here.hooks(ctx))
	add(audit.SourceCaches, "caches", "actions=read", nil, here.caches(ctx))
	others := all
	add(audit.SourceSettings, "repository settings", administration, nil, func(yield func(audit.Item, error) bool) { here.allowedHere(ctx, v, others)(yield) })
	return all
}

// place is an organisation or a repository (repo is "" for an organisation).
type place struct {
	*client
	target      audit.Target
	owner, repo string
}

// path is where the API has the place.
func (h *place) path() string {
	if h.repo == "" {
		return "orgs/" + h.owner
	}
	return "repos/" + h.owner + "/" + h.repo
}

// scope is that of the place's own entries.
func (h *place) scope() string {
	if h.repo == "" {
		return "organisation"
	}
	return "repository"
}

// settings is the web page of a setting.
func (h *place) settings(path string) string {
	if h.repo == "" {
		return h.page("organizations", h.owner, path)
	}
	return h.page(h.owner, h.repo, path)
}

// refused is a gap with the error that it is made of.
type refused struct {
	*audit.Gap
	cause error
}

func (r *refused) Unwrap() []error { return []error{r.Gap, r.cause} }

// gap is what could not be read of the place. needs is the right it takes, for answers that do not name it: most say that there is no such thing.
func (h *place) gap(what, needs string, err error) *refused {
	gap := forge.Gap(h.target.Name, what, err)
	if e := (*forge.Error)(nil); needs != "" && errors.As(err, &e) && e.Needs == "" && !e.SSO &&
		e.Until.IsZero() && (e.Status == http.StatusForbidden || e.Status == http.StatusNotFound) {
		gap.Why += "; needs " + needs
	}
	return &refused{gap, err}
}

// nested yields a listing within a listing under a name of its own, and tells whether to go on.
func (h *place) nested(ctx context.Context, what, needs string, items iter.Seq2[audit.Item, error], yield func(audit.Item, error) bool) bool {
	for it, err := range items {
		if gap := (*audit.Gap)(nil); err != nil && ctx.Err() == nil && !errors.As(err, &gap) {
			err = h.gap(what, needs, err)
		}
		if !yield(it, err) {
			return false
		}
	}
	return true
}

func (h *place) entry(kind audit.ItemKind, name, scope string, facts map[string]string) *audit.Entry {
	for k, v := range facts {
		if v == "" {
			delete(facts, k)
		}
	}
	if name == "" {
		name = "(no name)"
	}
	return &audit.Entry{Target: h.target.Name, Kind: kind, Name: name, Scope: scope, Facts: facts}
}

// setting is an item whose content is what the API says of it, as far as that is read: said is made of fields that are no secret.
func (h *place) setting(kind audit.ItemKind, name, scope, page string, at time.Time, said any, facts map[string]string) audit.Item {
	content, _ := json.Marshal(said)
	return audit.Item{
		Kind: kind, Content: content, Size: int64(len(content)),
		At:    audit.Location{Target: h.target.Name, Kind: audit.InSetting, Name: name, URL: h.settings(page), At: at},
		Entry: h.entry(kind, name, scope, facts),
	}
}

// unfit tells of names that would change the path they are put into, however they are escaped.
func unfit(name string) bool { return name == "" || name == "." || name == ".." }

// list is a list as facts have it, without names that are no text.
func list(names []string) string {
	return audit.NameList(slices.DeleteFunc(slices.Clone(names), func(name string) bool { return strings.ContainsFunc(name, unicode.IsControl) }))
}

// flag is a yes or no as facts have it; "" where the answer does not say.
func flag(b *bool) string {
	if b == nil {
		return ""
	}
	return strconv.FormatBool(*b)
}

// Largest pages: "List repository variables" gives at most 30, the other listings 100.
const (
	variablePage = 30
	otherPage    = 100
)

// listed walks a listing of the place, or of something in it. key is where the answer has the items; "" for an answer that is nothing else.
func listed[T any](ctx context.Context, h *place, path, key string, size int, id func(*T) string) iter.Seq2[*T, error] {
	return paged(ctx, size, id, func(o github.ListOptions) (items []*T, total int, resp *github.Response, err error) {
		if key == "" {
			resp, err = h.get(ctx, path, pageQuery(o), &items)
			return items, 0, resp, err
		}
		var out map[string]json.RawMessage
		if resp, err = h.get(ctx, path, pageQuery(o), &out); err != nil {
			return nil, 0, resp, err
		}
		if said := out["total_count"]; said != nil && json.Unmarshal(said, &total) != nil {
			total = 0
		}
		if said := out[key]; said != nil {
			err = json.Unmarshal(said, &items)
		}
		return items, total, resp, err
	})
}

// repositories are the full names that a listing of repositories has; key is as in listed.
func (h *place) repositories(ctx context.Context, path, key string) (names []string, err error) {
	for r, err := range listed(ctx, h, path, key, otherPage, fullName) {
		if err != nil {
			return names, err
		}
		names = append(names, r.FullName)
	}
	return names, nil
}

// chosen are repositories that something is for, as a fact. That there are none is known, unlike what could not be read.
func chosen(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return list(names)
}

// named is what is read of a repository that another thing names.
type named struct {
	FullName string `json:"full_name"`
}

func fullName(r *named) string { return r.FullName }

// through yields what is made of each thing in a listing; make tells whether to go on.
func through[T any](all iter.Seq2[*T, error], make func(v *T, yield func(audit.Item, error) bool) bool) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		for v, err := range all {
			if err != nil && !yield(audit.Item{}, err) || err == nil && !make(v, yield) {
				return
			}
		}
	}
}

// each makes an item of each thing in a listing.
func each[T any](all iter.Seq2[*T, error], item func(*T) audit.Item) iter.Seq2[audit.Item, error] {
	return through(all, func(v *T, yield func(audit.Item, error) bool) bool { return yield(item(v), nil) })
}

func pageQuery(o github.ListOptions) url.Values {
	q := url.Values{"per_page": {strconv.Itoa(o.PerPage)}}
	if o.Page > 0 {
		q.Set("page", strconv.Itoa(o.Page))
	}
	return q
}

// stamp is a time as facts carry it; "" for none.
func stamp(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
