package gitea

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// Items yields the target's settings with what is in them, then its history, what its runs left behind, and what people wrote; or one of these.
func (p *Provider) Items(ctx context.Context, t audit.Target) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		c, err := p.connect()
		if err != nil {
			yield(audit.Item{}, err)
			return
		}
		o := p.opts
		settings := forge.Listing{
			Head:  "5 " + o.Sources.String(),
			List:  newPlace(c, o, t).settings,
			Again: c.again,
		}
		sections := []forge.Section{settings.Section()}
		add := func(part audit.Part, sources audit.Sources, items func(context.Context, audit.Target) iter.Seq2[audit.Item, error]) {
			if t.Kind == audit.TargetRepository && o.Sources.Has(sources) {
				sections = append(sections, forge.Section{Part: part, Items: items})
			}
		}
		// Contents of git come last but where they are a part of their own: their places follow all else.
		add(audit.PartRuns, forge.Runs, func(ctx context.Context, t audit.Target) iter.Seq2[audit.Item, error] {
			return newPlace(c, o, t).runs(forge.InOrder(ctx, t.Name), t.Past)
		})
		add(audit.PartTexts, forge.Texts, func(ctx context.Context, t audit.Target) iter.Seq2[audit.Item, error] {
			return newPlace(c, o, t).texts(forge.InOrder(ctx, t.Name), t.Past)
		})
		add(audit.PartContents, forge.Contents, func(ctx context.Context, t audit.Target) iter.Seq2[audit.Item, error] {
			return p.history(ctx, c, t)
		})
		forge.Items(ctx, t, sections...)(yield)
	}
}

// LeftOut implements [audit.Selective].
func (p *Provider) LeftOut(t audit.Target) audit.Sources {
	there := audit.SourceRunners | audit.SourceSettings
	switch t.Kind {
	case audit.TargetOrganisation:
		there |= audit.SourceVariables | audit.SourceSecrets | audit.SourcePackages
	case audit.TargetUser:
		there |= audit.SourceVariables | audit.SourcePackages
	case audit.TargetRepository:
		there |= audit.SourceVariables | audit.SourceSecrets | audit.SourceWorkflows | forge.Contents | forge.Runs | audit.SourceIssues | audit.SourceWikis | audit.SourceReleases
	}
	asked := p.opts.Sources
	if asked.Has(audit.SourceHistory) {
		asked |= audit.SourceFiles // they are part of it
	}
	return there &^ asked
}

// history yields the repository's files, commits and the rest of what git keeps.
func (p *Provider) history(ctx context.Context, c *client, t audit.Target) iter.Seq2[audit.Item, error] {
	how, err := p.clone(ctx, c, t)
	if err != nil {
		return func(yield func(audit.Item, error) bool) { yield(audit.Item{}, forge.Gap(t.Name, "git history", err)) }
	}
	return forge.History(ctx, p.env, t.Name, how)
}

// Objects implements [audit.Reader].
func (p *Provider) Objects(ctx context.Context, t audit.Target, ids []string) iter.Seq2[audit.Item, error] {
	c, err := p.connect()
	var how forge.Clone
	if err == nil {
		how, err = p.clone(ctx, c, t)
	}
	if err != nil {
		return func(yield func(audit.Item, error) bool) { yield(audit.Item{}, err) }
	}
	return forge.Objects(ctx, p.env, how, ids)
}

// gitUser is the name beside a token, which is not asked for one.
const gitUser = "token"

// clone says how the repository is fetched.
func (p *Provider) clone(ctx context.Context, c *client, t audit.Target) (forge.Clone, error) {
	token, err := forge.TokenThatSees(ctx, c.tokens, func(ctx context.Context) error {
		_, err := c.get(ctx, newPlace(c, p.opts, t).path, nil, new(struct{}))
		return err
	})
	return forge.Clone{
		Address: t.Attrs["clone_url"], Username: gitUser, Token: token, Since: p.opts.Since, Newest: !p.opts.Sources.Has(audit.SourceHistory), AllRefs: p.opts.AllRefs, Sleep: p.opts.sleep,
		Blobs: t.URL + "/src/commit/", Commits: t.URL + "/commit/", Past: t.Past, Listed: t.State,
	}, err
}

// place is an organisation, a user, a repository, or the whole instance.
type place struct {
	*client
	opts   Options
	target audit.Target
	scope  string // as the inventory names it
	path   string // where the API has it
	web    string // its settings
	needs  string // the role that may read them

	defined string // how many definitions of pipelines it has; "" until that is known
}

// settingsPage is where people see some of the settings.
func (h *place) settingsPage(name string) string { return h.web + "/" + name }

func newPlace(c *client, o Options, t audit.Target) *place {
	h := &place{client: c, opts: o, target: t}
	owner, repo := t.Attrs["owner"], t.Attrs["repo"]
	switch t.Kind {
	case audit.TargetOrganisation:
		h.scope, h.path, h.web, h.needs = "organisation", orgs+"/"+owner, c.webPage("org", owner, "settings"), "an owner of the organisation"
	case audit.TargetUser:
		h.scope, h.path, h.web, h.needs = "user", "user", c.webPage("user/settings"), "the user"
	case audit.TargetInstance:
		h.scope, h.path, h.web, h.needs = "instance", "admin", c.webPage("-/admin"), "an administrator of the server"
	default:
		h.scope, h.path, h.web, h.needs = "repository", "repos/"+owner+"/"+repo, c.webPage(owner, repo, "settings"), "an owner of the repository"
	}
	return h
}

// A part of the settings.
type part struct {
	what  string // as a gap names it
	needs string // the role that may read it; "" if it can be read without a token, where the repository can
	items iter.Seq2[audit.Item, error]
}

func (h *place) parts(ctx context.Context) (all []part) {
	add := func(source audit.Sources, there bool, what, needs string, items iter.Seq2[audit.Item, error]) {
		if there && h.opts.Sources.Has(source) {
			all = append(all, part{h.scope + " " + what, needs, items})
		}
	}
	repository, organisation, instance := h.scope == "repository", h.scope == "organisation", h.scope == "instance"
	admin := h.needs
	if repository {
		admin = "an administrator of the repository"
	}
	add(audit.SourceWorkflows, repository, "workflows", "", h.workflows(ctx))
	add(audit.SourceSettings, repository || organisation, "settings", "", h.about(ctx))
	add(audit.SourceVariables, !instance, "variables", h.needs, h.variables(ctx))
	add(audit.SourceSecrets, repository || organisation, "secrets", h.needs, h.secrets(ctx)) // Gitea has no list of a user's
	add(audit.SourceRunners, true, "runners", h.needs, h.runners(ctx))
	add(audit.SourceSettings, repository, "branch protections", admin, h.branchRules(ctx))
	add(audit.SourceSettings, repository, "tag protections", admin, h.tagRules(ctx))
	add(audit.SourceSettings, repository, "deploy keys", admin, h.deployKeys(ctx))
	add(audit.SourceSettings, true, "webhooks", admin, h.hooks(ctx))
	add(audit.SourcePackages, !repository && !instance, "packages", "", h.packages(ctx))
	return all
}

// settings yields what the API has of the place.
func (h *place) settings(ctx context.Context) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		ctx, closed := h.identity(ctx)
		slow, asked := false, false
		for _, part := range h.parts(ctx) {
			why := ""
			switch {
			case closed != "" && part.needs != "":
				why = closed
			case slow:
				why = "not asked for, as the forge did not answer in time before"
			}
			if why != "" {
				if !yield(audit.Item{}, &audit.Gap{Target: h.target.Name, What: part.what, Why: why}) {
					return
				}
				continue
			}
			for it, err := range part.items {
				if gap := (*audit.Gap)(nil); err == nil || errors.As(err, &gap) {
					if !yield(it, err) {
						return
					}
					continue
				}
				if ctx.Err() != nil {
					yield(audit.Item{}, ctx.Err())
					return
				}
				if !asked && forge.StatusOf(err) == http.StatusNotFound { // Gitea does not say which of both is missing
					asked = true
					if h.gone(ctx) {
						yield(audit.Item{}, errors.New("the "+h.scope+" is gone: deleted, moved out of sight or closed to the token since it was listed"))
						return
					}
				}
				if e := (*forge.Error)(nil); errors.As(err, &e) && e.Slow() {
					slow = true
				}
				if !yield(audit.Item{}, h.gap(ctx, part.what, part.needs, err)) {
					return
				}
			}
		}
	}
}

// identity returns a context whose requests go with the right token, or says why none will do.
func (h *place) identity(ctx context.Context) (_ context.Context, closed string) {
	if !h.signed() {
		return ctx, "needs a token: " + tokenVar + " is not set"
	}
	if h.scope != "user" {
		return ctx, ""
	}
	// The API has what is of the token's user, whoever that is.
	switch _, token, err := h.tokenOf(ctx, h.target.Attrs["owner"]); {
	case token != nil:
		return forge.With(ctx, token), ""
	case err != nil:
		return ctx, forge.Gap("", "", needing(h.needs, err)).Why
	}
	return ctx, "needs the user's own token"
}

// gone tells whether the place itself cannot be seen any more.
func (h *place) gone(ctx context.Context) bool {
	if h.scope == "instance" {
		return false
	}
	_, err := h.get(ctx, h.path, nil, new(struct{}))
	return forge.StatusOf(err) == http.StatusNotFound
}

// gap makes one of an error: it names the right that is missing, or else the server's version, as what is not there may have come later.
func (h *place) gap(ctx context.Context, what, needs string, err error) *audit.Gap {
	gap := forge.Gap(h.target.Name, what, needing(needs, err))
	if forge.StatusOf(err) == http.StatusNotFound {
		if version := h.version(ctx); version != "" {
			gap.Why += " (version " + version + ")"
		}
	}
	return gap
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

func (h *place) variables(ctx context.Context) iter.Seq2[audit.Item, error] {
	type variable struct {
		Name        string `json:"name"`
		Data        string `json:"data"`
		Description string `json:"description"`
	}
	return each(paged(ctx, func(v *variable) string { return v.Name }, func(number, _ int) ([]*variable, around, error) {
		all, at, err := getPage[variable](ctx, h.client, h.path+"/actions/variables", number)
		for _, v := range all {
			if v.Data == "" && err == nil { // older versions list names alone; there are no empty values
				_, err = h.get(ctx, h.path+"/actions/variables/"+url.PathEscape(v.Name), nil, v)
			}
			forge.Doubt(ctx) // a tag of what holds values may be a digest of nothing else: who has it could try some
		}
		return all, at, err
	}), func(v *variable) audit.Item {
		return audit.Item{
			Kind: audit.KindVariable, Size: int64(len(v.Data)), Content: []byte(v.Data),
			At:    audit.Location{Target: h.target.Name, Kind: audit.InVariable, Name: v.Name, URL: h.settingsPage("actions/variables")},
			Entry: h.entry(audit.KindVariable, v.Name, map[string]string{"description": v.Description}),
		}
	})
}

func (h *place) secrets(ctx context.Context) iter.Seq2[audit.Item, error] {
	type secret struct {
		Name        string    `json:"name"`
		Description string    `json:"description"`
		Created     time.Time `json:"created_at"`
	}
	return each(paged(ctx, func(s *secret) string { return s.Name }, func(number, _ int) ([]*secret, around, error) {
		return getPage[secret](ctx, h.client, h.path+"/actions/secrets", number)
	}), func(s *secret) audit.Item {
		return audit.Item{
			Kind:  audit.KindSecret,
			At:    audit.Location{Target: h.target.Name, Kind: audit.InSecret, Name: s.Name, URL: h.settingsPage("actions/secrets"), At: s.Created},
			Entry: h.entry(audit.KindSecret, s.Name, map[string]string{"created_at": stamp(s.Created), "description": s.Description}),
		}
	})
}

// runner is what is known of one. Forgejo tells more than Gitea of some things, and less of others.
type runner struct {
	ID        int64   `json:"id"`
	Name      string  `json:"name"`
	Status    string  `json:"status"`
	Disabled  *bool   `json:"disabled,omitempty"`
	Ephemeral *bool   `json:"ephemeral,omitempty"`
	Version   string  `json:"version,omitempty"`
	Labels    []label `json:"labels"`
}

// A label of a runner is an object in Gitea, and a word in Forgejo.
type label string

func (l *label) UnmarshalJSON(b []byte) error {
	var object struct{ Name string }
	if json.Unmarshal(b, &object) == nil {
		*l = label(object.Name)
		return nil
	}
	return json.Unmarshal(b, (*string)(l))
}

// runnerList is an object in Gitea, which counts what it lists, and a plain list in Forgejo, which has the count and links in the header.
type runnerList struct {
	Runners []*runner `json:"runners"`
	Total   int       `json:"total_count"`
}

func (l *runnerList) UnmarshalJSON(b []byte) error {
	type plain runnerList
	if json.Unmarshal(b, (*plain)(l)) != nil {
		l.Runners = nil
		if err := json.Unmarshal(b, &l.Runners); err != nil {
			return err
		}
	}
	l.Runners = slices.DeleteFunc(l.Runners, func(r *runner) bool { return r == nil })
	return nil
}

func (h *place) runners(ctx context.Context) iter.Seq2[audit.Item, error] {
	return each(paged(ctx, func(r *runner) string { return strconv.FormatInt(r.ID, 10) + r.Name }, func(number, before int) ([]*runner, around, error) {
		var list runnerList
		header, err := h.get(ctx, h.path+"/actions/runners", pageQuery(number), &list)
		at := aroundOf(header)
		if list.Total > 0 {
			at.total = list.Total
			if n := len(list.Runners); n > 0 && before+n < list.Total {
				at.next = number + 1
			}
		}
		return list.Runners, at, err
	}), func(r *runner) audit.Item {
		var labels []string
		for _, l := range r.Labels {
			labels = append(labels, string(l))
		}
		content, _ := json.Marshal(r)
		return audit.Item{
			Kind: audit.KindRunner, Content: content, Size: int64(len(content)),
			At: audit.Location{Target: h.target.Name, Kind: audit.InRunner, Name: r.Name, URL: h.settingsPage("actions/runners")},
			Entry: h.entry(audit.KindRunner, r.Name, map[string]string{
				"id": strconv.FormatInt(r.ID, 10), "status": r.Status, "labels": strings.Join(labels, ","), "version": r.Version,
				"ephemeral": truth(r.Ephemeral), "disabled": truth(r.Disabled),
			}),
		}
	})
}

// paged walks a listing. get reads page number, before which came that many items.
func paged[T any](ctx context.Context, key func(*T) string, get func(number, before int) ([]*T, around, error)) iter.Seq2[*T, error] {
	before := 0
	return forge.Pages(ctx, key, func(_ context.Context, cursor string) (forge.Page[*T], error) {
		number, _ := strconv.Atoi(cursor)
		number = max(number, 1)
		items, at, err := get(number, before)
		if err != nil {
			return forge.Page[*T]{}, err
		}
		before += len(items)
		if at.next == 0 && len(items) > 0 && before < at.total { // older versions, and Forgejo, count without a link
			at.next = number + 1
		}
		page := forge.Page[*T]{Items: items, Last: at.last, Total: at.total}
		if at.next > number {
			page.Next = strconv.Itoa(at.next)
		}
		return page, nil
	})
}

// unpaged walks a listing that is one answer, however long it is.
func unpaged[T any](ctx context.Context, c *client, path string) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		var found []*T
		if _, err := c.get(ctx, path, nil, &found); err != nil {
			yield(nil, err)
			return
		}
		for _, item := range present(found) {
			if !yield(item, nil) {
				return
			}
		}
	}
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
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// truth is a fact that may not be known.
func truth(b *bool) string {
	if b == nil {
		return ""
	}
	return strconv.FormatBool(*b)
}
