package gitlab

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/xanzy/go-gitlab"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// A listing is one kind of thing in a target.
type listing struct {
	what  string // as a gap names it
	needs string // the role that may read it
	items iter.Seq2[audit.Item, error]
	calls int  // requests that it takes where each list has one page
	paid  bool // GitLab has it with a licence only
}

// Items yields the target's settings, its history, what its pipelines left and what people wrote, or one of them.
func (p *Provider) Items(ctx context.Context, t audit.Target) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		c, err := p.connect()
		if err != nil {
			yield(audit.Item{}, err)
			return
		}
		o := p.opts
		settings := forge.Listing{
			Head:  fmt.Sprintf("5 %s %q", o.Sources, t.Attrs["alone"]),
			List:  func(ctx context.Context) iter.Seq2[audit.Item, error] { return p.settings(ctx, c, t) },
			Again: c.again,
		}
		sections := []forge.Section{settings.Section()}
		if t.Kind == audit.TargetRepository && o.Sources.Has(forge.Contents) && t.Attrs["empty"] == "" {
			sections = append(sections, forge.Section{Part: audit.PartContents, Items: func(ctx context.Context, t audit.Target) iter.Seq2[audit.Item, error] { return p.history(ctx, c, t) }})
		}
		forge.Items(ctx, t, append(sections, p.records(c, t)...)...)(yield)
	}
}

// settings yields what the API has of the target. What was refused for the same reason is one gap.
func (p *Provider) settings(ctx context.Context, c *client, t audit.Target) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		here := newPlace(c, t)
		refused := refusals{}
		why := ""
		if !c.signed() {
			why = "needs a token: GITLAB_TOKEN is not set"
		}
		asked := c.job // a job's token sees 404 for what it may not ask
		for _, l := range p.listings(ctx, here) {
			if why != "" {
				refused.add(l.what, why)
				continue
			}
			whole := true
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
				whole = false
				if gap := (*audit.Gap)(nil); errors.As(err, &gap) { // of a part of the listing
					refused.add(gap.What, gap.Why)
					continue
				}
				if !asked && forge.StatusOf(err) == http.StatusNotFound && t.Kind != audit.TargetInstance {
					asked = true
					if _, e := c.get(ctx, here.path, nil, "", nil); forge.StatusOf(e) == http.StatusNotFound {
						yield(audit.Item{}, errors.New("the "+here.scope+" is gone: deleted, moved out of sight or closed to the token since it was listed"))
						return
					}
				}
				if e := (*forge.Error)(nil); errors.As(err, &e) && e.Slow() {
					why = "not asked for, as the forge did not answer in time before"
				}
				tell := here.gap
				if l.paid {
					tell = here.paid
				}
				if gap := tell(l.what, l.needs, err); gap != nil {
					refused.add(gap.What, gap.Why)
				}
			}
			if whole && !l.paid && (l.needs == maintainer || l.needs == owner || l.needs == administrator) {
				here.role = true
			}
		}
		for _, gap := range refused.gaps {
			gap.Target, gap.What = t.Name, here.scope+" "+gap.What
			if !yield(audit.Item{}, gap) {
				return
			}
		}
	}
}

// refusals are gaps, of which those with the same reason are one: a token with a low role is refused a dozen things of each project.
type refusals struct {
	gaps []*audit.Gap
	why  map[string]int // which gap it is
}

func (r *refusals) add(what, why string) {
	n, known := r.why[why]
	if r.why == nil {
		r.why = map[string]int{}
	}
	if !known {
		r.why[why] = len(r.gaps)
		r.gaps = append(r.gaps, &audit.Gap{What: what, Why: why})
		return
	}
	if gap := r.gaps[n]; !slices.Contains(strings.Split(gap.What, ", "), what) { // it may be asked for twice
		gap.What += ", " + what
	}
}

// place is an instance, a group or a project.
type place struct {
	*client
	target audit.Target
	scope  string // as the inventory names it
	path   string // where the API has it
	page   string // its CI settings
	role   bool   // the token has shown to have the role that settings take

	definitions string // how many there are of the project's pipeline; "" if that is not known
}

// has tells whether a feature of the project is not known to be switched off.
func (h *place) has(feature string) bool {
	return !slices.Contains(strings.Split(h.target.Attrs["off"], ","), feature)
}

func newPlace(c *client, t audit.Target) *place {
	h := &place{client: c, target: t}
	switch t.Kind {
	case audit.TargetInstance:
		h.scope, h.page = "instance", c.page("admin/application_settings/ci_cd")
	case audit.TargetGroup:
		h.scope, h.path, h.page = "group", "groups/"+t.Attrs["id"], c.page("groups", t.Attrs["path"], "-/settings/ci_cd")
	default:
		id := t.Attrs["id"]
		if id == "" {
			id = gitlab.PathEscape(t.Attrs["path"])
		}
		h.scope, h.path, h.page = "project", "projects/"+id, c.page(t.Attrs["path"], "-/settings/ci_cd")
	}
	return h
}

// Roles that listings take, as docs.gitlab.com/user/permissions names them.
const (
	reporter      = "role Reporter"
	developer     = "role Developer"
	guest         = "role Guest"
	maintainer    = "role Maintainer"
	owner         = "role Owner"
	administrator = "an administrator's token"
)

// listings are what is asked for of the target. What every licence has comes first: see [place.paid].
func (p *Provider) listings(ctx context.Context, here *place) (all []listing) {
	several := func(source audit.Sources, what, needs string, calls int, items iter.Seq2[audit.Item, error]) {
		if p.opts.Sources.Has(source) {
			all = append(all, listing{what: what, needs: needs, items: items, calls: calls})
		}
	}
	add := func(source audit.Sources, what, needs string, items iter.Seq2[audit.Item, error]) {
		several(source, what, needs, 1, items)
	}
	paid := func(source audit.Sources, what, needs string, items iter.Seq2[audit.Item, error]) {
		if p.opts.Sources.Has(source) {
			all = append(all, listing{what: what, needs: needs, items: items, calls: 1, paid: true})
		}
	}
	const variables, secrets, settings = audit.SourceVariables, audit.SourceSecrets, audit.SourceSettings
	switch here.scope {
	case "instance":
		add(variables, "variables", administrator, here.variables(ctx))
		add(settings, "webhooks", administrator, here.webhooks(ctx))
		add(settings, "deploy keys", administrator, here.deployKeys(ctx))
		add(settings, "deploy tokens", administrator, here.deployTokens(ctx))
		add(settings, "settings", administrator, here.settings(ctx))
		add(audit.SourceRunners, "runners", administrator, here.runners(ctx))
	case "group":
		add(variables, "variables", owner, here.variables(ctx))
		add(settings, "access tokens", owner, here.accessTokens(ctx))
		add(settings, "deploy tokens", maintainer, here.deployTokens(ctx))
		paid(settings, "webhooks", owner, here.webhooks(ctx))
		paid(settings, "protected branches", owner, here.protections(ctx, "branch"))
		add(settings, "protected environments", maintainer, here.groupEnvironments(ctx))
		several(settings, "settings", "membership", 3, here.settings(ctx)) // push rules, and how many projects there are
		add(audit.SourceRunners, "runners", maintainer, here.runners(ctx))
	default:
		add(variables, "variables", maintainer, here.variables(ctx))
		add(variables, "inherited variables", maintainer, here.inherited(ctx))
		add(secrets, "secure files", developer, here.secureFiles(ctx))
		add(settings, "deploy keys", maintainer, here.deployKeys(ctx))
		add(settings, "webhooks", maintainer, here.webhooks(ctx))
		add(settings, "access tokens", maintainer, here.accessTokens(ctx))
		add(settings, "deploy tokens", maintainer, here.deployTokens(ctx))
		add(settings, "trigger tokens", maintainer, here.triggers(ctx))
		add(variables|settings, "pipeline schedules", developer, here.schedules(ctx, p.opts.Sources.Has(variables)))
		add(settings, "protected branches", maintainer, here.protections(ctx, "branch"))
		add(settings, "protected tags", maintainer, here.protections(ctx, "tag"))
		several(settings, "environments", reporter, 2, here.environments(ctx)) // and which are protected
		if here.target.Attrs["empty"] == "" {
			add(audit.SourceWorkflows, "pipeline definition", developer, here.definition(ctx))
		}
		several(settings, "settings", reporter, 7, here.settings(ctx)) // job token scope and two lists of it, push rules, the check of pushes, members
		add(audit.SourceRunners, "runners", maintainer, here.runners(ctx))
	}
	return all
}

// needing says in a refusal what would have been enough; GitLab's answers do not.
func needing(role string, err error) error {
	e := (*forge.Error)(nil)
	if !errors.As(err, &e) || e.Status != http.StatusForbidden || e.Needs != "" {
		return err
	}
	more := *e
	more.Needs = role
	return &more
}

func (h *place) entry(kind audit.ItemKind, name string, facts map[string]string) *audit.Entry {
	for k, v := range facts {
		if v == "" {
			delete(facts, k)
		}
	}
	if name == "" {
		name = "(no name)"
	}
	return &audit.Entry{Target: h.target.Name, Kind: kind, Name: name, Scope: h.scope, Facts: facts}
}

// variable is a CI variable of any level. go-gitlab's type of instance variables lacks "hidden". A hidden one has no value.
type variable struct {
	Key              string  `json:"key"`
	Value            *string `json:"value"`
	VariableType     string  `json:"variable_type"`
	Protected        bool    `json:"protected"`
	Masked           bool    `json:"masked"`
	Hidden           bool    `json:"hidden"`
	Raw              bool    `json:"raw"`
	EnvironmentScope string  `json:"environment_scope"`
}

func (h *place) variables(ctx context.Context) iter.Seq2[audit.Item, error] {
	path := h.path + "/variables"
	if h.scope == "instance" {
		path = "admin/ci/variables"
	}
	key := func(v *variable) string { return v.Key + "\x00" + v.EnvironmentScope } // a name may occur once per scope
	return each(paged(ctx, key, func(cursor string) ([]*variable, *gitlab.Response, error) {
		var vs []*variable
		resp, err := h.get(ctx, path, listQuery(nil), cursor, &vs)
		return vs, resp, err
	}), func(v *variable) audit.Item {
		it := audit.Item{
			Kind: audit.KindVariable,
			At:   audit.Location{Target: h.target.Name, Kind: audit.InVariable, Name: v.Key, URL: h.page + "#js-cicd-variables-settings"},
			Entry: h.entry(audit.KindVariable, v.Key, map[string]string{
				"store": "variable", "protected": strconv.FormatBool(v.Protected), "masked": strconv.FormatBool(v.Masked), "hidden": strconv.FormatBool(v.Hidden),
				"raw": strconv.FormatBool(v.Raw), "type": v.VariableType, "environment_scope": v.EnvironmentScope,
			}),
		}
		if v.EnvironmentScope != "*" {
			it.At.Environment = v.EnvironmentScope
		}
		if v.Value != nil {
			if *v.Value != "" { // GitLab's tag is a digest of the answer alone: who has it could try values
				forge.Doubt(ctx)
			}
			it.Content, it.Size = []byte(*v.Value), int64(len(*v.Value))
		}
		return it
	})
}

// each makes items of what a listing yields.
func each[T any](all iter.Seq2[*T, error], item func(*T) audit.Item) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		for v, err := range all {
			var it audit.Item
			if err == nil {
				it = item(v)
			}
			if !yield(it, err) {
				return
			}
		}
	}
}

// stamp is a time as facts carry it; "" for none.
func stamp(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
