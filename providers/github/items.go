package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// A listing is one kind of thing in a target.
type listing struct {
	what  string // as a gap names it
	items iter.Seq2[audit.Item, error]
}

// Items yields the target's variables, secret names, environments and runners, then its history, or one of the two.
func (p *Provider) Items(ctx context.Context, t audit.Target) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		c, err := p.connect()
		if err != nil {
			yield(audit.Item{}, err)
			return
		}
		o := p.opts
		settings := forge.Listing{
			Head:  fmt.Sprintf("2 %s %q", o.Sources, t.Attrs["alone"]),
			List:  func(ctx context.Context) iter.Seq2[audit.Item, error] { return p.settings(ctx, c, t) },
			Again: c.again,
		}
		if c.app != nil {
			settings.Again = nil // its tokens change every hour, and tags with them
		}
		sections := []forge.Section{settings.Section()}
		if t.Kind == audit.TargetRepository && o.Sources.Has(forge.Contents) {
			sections = append(sections, forge.Section{Part: audit.PartContents, Items: func(ctx context.Context, t audit.Target) iter.Seq2[audit.Item, error] { return p.history(ctx, c, t) }})
		}
		sections = append(sections, p.records(c, t)...)
		forge.Items(ctx, t, sections...)(yield)
	}
}

// settings yields what the API has of the target.
func (p *Provider) settings(ctx context.Context, c *client, t audit.Target) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		here := &place{c, t, t.Attrs["owner"], t.Attrs["repo"]}
		gone := sync404{here: here}
		slow := false
		for _, l := range p.listings(ctx, here) {
			if !c.signed() {
				if !yield(audit.Item{}, &audit.Gap{Target: t.Name, What: l.what, Why: "needs a token: GH_TOKEN is not set"}) {
					return
				}
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
					gap = forge.Gap(t.Name, l.what, err)
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

func (p *Provider) listings(ctx context.Context, here *place) (all []listing) {
	add := func(wanted bool, what string, items iter.Seq2[audit.Item, error]) {
		if wanted {
			all = append(all, listing{what, items})
		}
	}
	if here.repo == "" {
		add(p.opts.Sources.Has(audit.SourceVariables), "organisation variables", here.variables(ctx, "organisation", here.path()+"/actions/variables", "settings/variables/actions"))
		add(p.opts.Sources.Has(audit.SourceSecrets), "organisation secrets", here.secrets(ctx, "organisation", here.path()+"/actions/secrets", "settings/secrets/actions"))
		add(p.opts.Sources.Has(audit.SourceRunners), "organisation runners", here.runners(ctx))
		return all
	}
	if here.target.Attrs["alone"] != "" { // else they are the organisation's own target's
		add(p.opts.Sources.Has(audit.SourceVariables), "organisation variables", here.variables(ctx, "organisation", here.path()+"/actions/organization-variables", "settings/variables/actions"))
		add(p.opts.Sources.Has(audit.SourceSecrets), "organisation secrets", here.secrets(ctx, "organisation", here.path()+"/actions/organization-secrets", "settings/secrets/actions"))
	}
	add(p.opts.Sources.Has(audit.SourceVariables), "repository variables", here.variables(ctx, "repository", here.path()+"/actions/variables", "settings/variables/actions"))
	add(p.opts.Sources.Has(audit.SourceSecrets), "repository secrets", here.secrets(ctx, "repository", here.path()+"/actions/secrets", "settings/secrets/actions"))
	add(p.opts.Sources.Has(audit.SourceSettings) || p.opts.Sources.Has(audit.SourceVariables) || p.opts.Sources.Has(audit.SourceSecrets), "environments", here.environments(ctx, p.opts))
	add(p.opts.Sources.Has(audit.SourceRunners), "repository runners", here.runners(ctx))
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

// settings is the web page of a setting.
func (h *place) settings(path string) string {
	if h.repo == "" {
		return h.page("organizations", h.owner, path)
	}
	return h.page(h.owner, h.repo, path)
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

// Largest pages: "List repository variables" gives at most 30, the other listings 100.
const (
	variablePage = 30
	otherPage    = 100
)

func (h *place) variables(ctx context.Context, scope, path, page string) iter.Seq2[audit.Item, error] {
	key := func(v *github.ActionsVariable) string { return v.Name }
	return each(paged(ctx, variablePage, key, func(o github.ListOptions) ([]*github.ActionsVariable, int, *github.Response, error) {
		var out github.ActionsVariables
		resp, err := h.get(ctx, path, pageQuery(o), &out)
		return out.Variables, out.TotalCount, resp, err
	}), func(v *github.ActionsVariable) audit.Item {
		facts := map[string]string{
			"created_at": stamp(v.CreatedAt.GetTime()), "updated_at": stamp(v.UpdatedAt.GetTime()), "visibility": deref(v.Visibility),
		}
		return audit.Item{
			Kind: audit.KindVariable, Size: int64(len(v.Value)), Content: []byte(v.Value),
			At: audit.Location{
				Target: h.target.Name, Kind: audit.InVariable, Name: v.Name, URL: h.settings(page), At: deref(v.UpdatedAt.GetTime()),
			},
			Entry: h.entry(audit.KindVariable, v.Name, scope, facts),
		}
	})
}

func (h *place) secrets(ctx context.Context, scope, path, page string) iter.Seq2[audit.Item, error] {
	key := func(s *github.Secret) string { return s.Name }
	return each(paged(ctx, otherPage, key, func(o github.ListOptions) ([]*github.Secret, int, *github.Response, error) {
		var out github.Secrets
		resp, err := h.get(ctx, path, pageQuery(o), &out)
		return out.Secrets, out.TotalCount, resp, err
	}), func(s *github.Secret) audit.Item {
		facts := map[string]string{"created_at": stamp(&s.CreatedAt.Time), "updated_at": stamp(&s.UpdatedAt.Time), "visibility": s.Visibility}
		return audit.Item{
			Kind: audit.KindSecret,
			At: audit.Location{
				Target: h.target.Name, Kind: audit.InSecret, Name: s.Name, URL: h.settings(page), At: s.UpdatedAt.Time,
			},
			Entry: h.entry(audit.KindSecret, s.Name, scope, facts),
		}
	})
}

// environment is what "List environments" tells of one. go-github's type drops what it does not know of a protection rule.
type environment struct {
	ID              int64             `json:"id"`
	Name            string            `json:"name"`
	CreatedAt       time.Time         `json:"created_at"`
	UpdatedAt       time.Time         `json:"updated_at"`
	CanAdminsBypass *bool             `json:"can_admins_bypass,omitempty"`
	BranchPolicy    json.RawMessage   `json:"deployment_branch_policy,omitempty"`
	Rules           []json.RawMessage `json:"protection_rules,omitempty"`
}

// environments yields each environment with its variables and secrets. The latter are asked for under the repository's
// path: go-github v60 has one that GitHub no longer documents, and puts names into it unescaped.
func (h *place) environments(ctx context.Context, o Options) iter.Seq2[audit.Item, error] {
	key := func(e *environment) string { return strconv.FormatInt(e.ID, 10) + e.Name }
	all := paged(ctx, otherPage, key, func(o github.ListOptions) ([]*environment, int, *github.Response, error) {
		var out struct {
			TotalCount   int            `json:"total_count"`
			Environments []*environment `json:"environments"`
		}
		resp, err := h.get(ctx, h.path()+"/environments", pageQuery(o), &out)
		return out.Environments, out.TotalCount, resp, err
	})
	return func(yield func(audit.Item, error) bool) {
		for e, err := range all {
			if err != nil {
				if !yield(audit.Item{}, err) {
					return
				}
				continue
			}
			if o.Sources.Has(audit.SourceSettings) && !yield(h.environmentItem(e), nil) {
				return
			}
			scope := "environment " + e.Name
			if e.Name == "" || e.Name == "." || e.Name == ".." { // would name another path, however it is escaped
				if !yield(audit.Item{}, &audit.Gap{Target: h.target.Name, What: fmt.Sprintf("variables and secrets of environment %q", e.Name), Why: "the name cannot be put into an address"}) {
					return
				}
				continue
			}
			path := h.path() + "/environments/" + url.PathEscape(e.Name)
			page := "settings/environments/" + strconv.FormatInt(e.ID, 10) + "/edit"
			if o.Sources.Has(audit.SourceVariables) && !h.nested(ctx, "variables of "+scope, h.variables(ctx, scope, path+"/variables", page), yield) {
				return
			}
			if o.Sources.Has(audit.SourceSecrets) && !h.nested(ctx, "secrets of "+scope, h.secrets(ctx, scope, path+"/secrets", page), yield) {
				return
			}
		}
	}
}

// nested yields a listing within a listing under a name of its own, and tells whether to go on.
func (h *place) nested(ctx context.Context, what string, items iter.Seq2[audit.Item, error], yield func(audit.Item, error) bool) bool {
	for it, err := range items {
		if err != nil && ctx.Err() == nil {
			err = forge.Gap(h.target.Name, what, err)
		}
		if !yield(it, err) {
			return false
		}
	}
	return true
}

func (h *place) environmentItem(e *environment) audit.Item {
	facts := map[string]string{"created_at": stamp(&e.CreatedAt), "updated_at": stamp(&e.UpdatedAt)}
	var rules []string
	for _, raw := range e.Rules {
		var rule struct{ Type string }
		if json.Unmarshal(raw, &rule) == nil && rule.Type != "" {
			rules = append(rules, rule.Type)
		}
	}
	facts["protection_rules"] = strings.Join(rules, ",")
	if e.CanAdminsBypass != nil {
		facts["can_admins_bypass"] = strconv.FormatBool(*e.CanAdminsBypass)
	}
	var policy struct {
		Protected bool `json:"protected_branches"`
		Custom    bool `json:"custom_branch_policies"`
	}
	switch err := json.Unmarshal(e.BranchPolicy, &policy); {
	case err != nil:
	case policy.Protected:
		facts["branches"] = "protected"
	case policy.Custom:
		facts["branches"] = "selected"
	default:
		facts["branches"] = "all"
	}
	content, _ := json.Marshal(e)
	return audit.Item{
		Kind: audit.KindEnvironment, Content: content, Size: int64(len(content)),
		At: audit.Location{
			Target: h.target.Name, Kind: audit.InWorkflow, Name: e.Name, At: e.UpdatedAt,
			URL: h.settings("settings/environments/" + strconv.FormatInt(e.ID, 10) + "/edit"),
		},
		Entry: h.entry(audit.KindEnvironment, e.Name, "repository", facts),
	}
}

// runner is what "List self-hosted runners" tells of one. go-github v60 lacks the last three.
type runner struct {
	ID     int64  `json:"id"`
	Name   string `json:"name"`
	OS     string `json:"os"`
	Status string `json:"status"`
	Labels []struct {
		Name string `json:"name"`
		Type string `json:"type"`
	} `json:"labels"`
	GroupID   int64  `json:"runner_group_id,omitempty"`
	Ephemeral *bool  `json:"ephemeral,omitempty"`
	Version   string `json:"version,omitempty"`
}

func (h *place) runners(ctx context.Context) iter.Seq2[audit.Item, error] {
	scope, page := "organisation", "settings/actions/runners"
	if h.repo != "" {
		scope = "repository"
	}
	key := func(r *runner) string { return strconv.FormatInt(r.ID, 10) + r.Name }
	return each(paged(ctx, otherPage, key, func(o github.ListOptions) ([]*runner, int, *github.Response, error) {
		var out struct {
			TotalCount int       `json:"total_count"`
			Runners    []*runner `json:"runners"`
		}
		resp, err := h.get(ctx, h.path()+"/actions/runners", pageQuery(o), &out)
		return out.Runners, out.TotalCount, resp, err
	}), func(r *runner) audit.Item {
		var labels []string
		for _, l := range r.Labels {
			labels = append(labels, l.Name)
		}
		facts := map[string]string{
			"id": strconv.FormatInt(r.ID, 10), "os": r.OS, "status": r.Status, "labels": strings.Join(labels, ","), "version": r.Version,
		}
		if r.Ephemeral != nil {
			facts["ephemeral"] = strconv.FormatBool(*r.Ephemeral)
		}
		content, _ := json.Marshal(r)
		return audit.Item{
			Kind: audit.KindRunner, Content: content, Size: int64(len(content)),
			At:    audit.Location{Target: h.target.Name, Kind: audit.InRunner, Name: r.Name, URL: h.settings(page)},
			Entry: h.entry(audit.KindRunner, r.Name, scope, facts),
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
