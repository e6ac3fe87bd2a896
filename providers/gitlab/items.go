package gitlab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strconv"
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
}

// Items yields the target's variables, environments and runners, then its history, or one of the two.
func (p *Provider) Items(ctx context.Context, t audit.Target) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		c, err := p.connect()
		if err != nil {
			yield(audit.Item{}, err)
			return
		}
		o := p.opts
		settings := forge.Listing{
			Head:  fmt.Sprintf("3 %s %q", o.Sources, t.Attrs["alone"]),
			List:  func(ctx context.Context) iter.Seq2[audit.Item, error] { return p.settings(ctx, c, t) },
			Again: c.again,
		}
		sections := []forge.Section{settings.Section()}
		if t.Kind == audit.TargetRepository && o.Sources.Has(forge.Contents) && t.Attrs["empty"] == "" {
			sections = append(sections, forge.Section{Part: audit.PartContents, Items: func(ctx context.Context, t audit.Target) iter.Seq2[audit.Item, error] { return p.history(ctx, c, t) }})
		}
		forge.Items(ctx, t, sections...)(yield)
	}
}

// settings yields what the API has of the target.
func (p *Provider) settings(ctx context.Context, c *client, t audit.Target) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		here := newPlace(c, t)
		why := ""
		if !c.signed() {
			why = "needs a token: GITLAB_TOKEN is not set"
		}
		asked := c.job // a job's token sees 404 for what it may not ask
		for _, l := range p.listings(ctx, here) {
			if why != "" {
				if !yield(audit.Item{}, &audit.Gap{Target: t.Name, What: l.what, Why: why}) {
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
				gap := forge.Gap(t.Name, l.what, needing(l.needs, err))
				if status := forge.StatusOf(err); c.job && status >= 401 && status <= 404 {
					gap.Why = "a job's own token may not read it: set GITLAB_TOKEN"
				}
				if !yield(audit.Item{}, gap) {
					return
				}
			}
		}
	}
}

// place is an instance, a group or a project.
type place struct {
	*client
	target audit.Target
	scope  string // as the inventory names it
	path   string // where the API has it
	page   string // its CI settings
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

func (p *Provider) listings(ctx context.Context, here *place) (all []listing) {
	add := func(wanted bool, what, needs string, items iter.Seq2[audit.Item, error]) {
		if wanted {
			all = append(all, listing{here.scope + " " + what, needs, items})
		}
	}
	variables := map[string]string{"project": "role Maintainer", "group": "role Owner", "instance": "an administrator's token"}
	runners := map[string]string{"project": "role Maintainer", "group": "role Maintainer", "instance": "an administrator's token"}
	add(p.opts.Sources.Has(audit.SourceVariables), "variables", variables[here.scope], here.variables(ctx))
	add(p.opts.Sources.Has(audit.SourceSettings) && here.scope == "project", "environments", "role Reporter", here.environments(ctx))
	add(p.opts.Sources.Has(audit.SourceRunners), "runners", runners[here.scope], here.runners(ctx))
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
				"protected": strconv.FormatBool(v.Protected), "masked": strconv.FormatBool(v.Masked), "hidden": strconv.FormatBool(v.Hidden),
				"raw": strconv.FormatBool(v.Raw), "type": v.VariableType, "environment_scope": v.EnvironmentScope,
			}),
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

func (h *place) environments(ctx context.Context) iter.Seq2[audit.Item, error] {
	// environment is what is needed of GitLab's description, which also holds the last deployment with people's addresses.
	type environment struct {
		ID          int        `json:"id"`
		Name        string     `json:"name"`
		State       string     `json:"state,omitempty"`
		Tier        string     `json:"tier,omitempty"`
		ExternalURL string     `json:"external_url,omitempty"`
		CreatedAt   *time.Time `json:"created_at,omitempty"`
		UpdatedAt   *time.Time `json:"updated_at,omitempty"`
	}
	key := func(e *environment) string { return strconv.Itoa(e.ID) + e.Name }
	return each(paged(ctx, key, func(cursor string) ([]*environment, *gitlab.Response, error) {
		var es []*environment
		resp, err := h.get(ctx, h.path+"/environments", listQuery(nil), cursor, &es)
		return es, resp, err
	}), func(e *environment) audit.Item {
		content, _ := json.Marshal(e)
		return audit.Item{
			Kind: audit.KindEnvironment, Content: content, Size: int64(len(content)),
			At: audit.Location{
				Target: h.target.Name, Kind: audit.InWorkflow, Name: e.Name, URL: h.client.page(h.target.Attrs["path"], "-/environments", strconv.Itoa(e.ID)),
			},
			Entry: h.entry(audit.KindEnvironment, e.Name, map[string]string{
				"state": e.State, "tier": e.Tier, "created_at": stamp(e.CreatedAt), "updated_at": stamp(e.UpdatedAt),
			}),
		}
	})
}

// runners lists a target's own runners, and where the target is not one of many also those shared with it.
func (h *place) runners(ctx context.Context) iter.Seq2[audit.Item, error] {
	path, query := h.path+"/runners", map[string]string{}
	switch {
	case h.scope == "instance":
		path, query["type"] = "runners/all", "instance_type"
	case h.target.Attrs["alone"] == "":
		query["type"] = h.scope + "_type"
	}
	type runner struct {
		ID          int    `json:"id"`
		Description string `json:"description"`
		Name        string `json:"name,omitempty"`
		Type        string `json:"runner_type"`
		Shared      bool   `json:"is_shared"`
		Paused      bool   `json:"paused"`
		Status      string `json:"status"`
	}
	return each(paged(ctx, func(r *runner) string { return strconv.Itoa(r.ID) }, func(cursor string) ([]*runner, *gitlab.Response, error) {
		var rs []*runner
		resp, err := h.get(ctx, path, listQuery(query), cursor, &rs)
		return rs, resp, err
	}), func(r *runner) audit.Item {
		content, _ := json.Marshal(r)
		name := r.Description
		if name == "" {
			name = "runner " + strconv.Itoa(r.ID)
		}
		return audit.Item{
			Kind: audit.KindRunner, Content: content, Size: int64(len(content)),
			At: audit.Location{Target: h.target.Name, Kind: audit.InRunner, Name: name, URL: h.page},
			Entry: h.entry(audit.KindRunner, name, map[string]string{
				"id": strconv.Itoa(r.ID), "runner_type": r.Type, "status": r.Status, "paused": strconv.FormatBool(r.Paused),
			}),
		}
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
