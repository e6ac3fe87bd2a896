// Package gitlab lists what lies in a GitLab group or project: the projects with their history, CI variables of all levels with their
// values, environments and runners.
//
// Paths, parameters and rights are those of GitLab's REST API v4 (docs.gitlab.com/api). It only sends GET requests. Answers are decoded
// into structs of its own where GitLab's also hold registration tokens and the like.
package gitlab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/xanzy/go-gitlab"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// Options say what to read of each target.
type Options struct {
	Sources audit.Sources
	Since   string // only history since this commit or date; "" for all
	AllRefs bool   // history of what is no branch, tag or note, too: merge requests
	Shared  bool   // of a group, also projects of others that are shared with it
	Current bool   // only projects that are not archived

	Budget  int           // percent of the API's quota that is ours; 0 means 60
	MaxWait time.Duration // longest wait for a rate limit; 0 means 15 minutes, or two hours where quotas are shared

	sleep func(context.Context, time.Duration) error // for tests
}

// Provider reads refs of the form GROUP, GROUP/SUB/…, GROUP/…/PROJECT and USER; without any of these, the whole instance.
type Provider struct {
	env     audit.Env
	opts    Options
	connect func() (*client, error)
}

// New makes a provider. Where GitLab is and with which credential is read from the environment on first use: GITLAB_URL, else
// CI_API_V4_URL, else gitlab.com; GITLAB_TOKEN, which may have several tokens, separated by commas, else CI_JOB_TOKEN where the instance is
// the one the job runs on.
func New(env audit.Env, o Options) *Provider {
	return &Provider{env: env, opts: o, connect: sync.OnceValues(func() (*client, error) { return newClient(env, o) })}
}

// Name is "gitlab".
func (p *Provider) Name() string { return "gitlab" }

// client is the API with what else is known of the instance.
type client struct {
	*gitlab.Client
	http    *http.Client // what it asks with
	env     audit.Env
	web     []*url.URL // origins of the instance's pages and repositories, the likeliest first
	host    string
	tokens  []*forge.Credential
	job     bool         // the token is a job's own, which may do little
	from    string       // variable it comes from
	parts   []audit.Part // of a project
	shared  bool         // projects that are shared with a group belong to it
	current bool         // archived projects do not

	known descriptions // of runners
	shown sync.Map     // path of a group → whether its variables are shown
}

// signed tells whether there is a token.
func (c *client) signed() bool { return len(c.tokens) > 0 }

func newClient(env audit.Env, o Options) (*client, error) {
	web, api, from, err := instance(env.Getenv)
	if err != nil {
		return nil, err
	}
	c := &client{env: env, web: origins(web, env.Getenv("CI_SERVER_URL")), host: api.Host, parts: parts(o.Sources), shared: o.Shared, current: o.Current}
	config := forge.Config{API: "gitlab", Base: api, BaseVar: from, Header: "Private-Token", Budget: o.Budget, MaxWait: o.MaxWait, Sleep: o.sleep}
	for _, name := range []string{"GITLAB_TOKEN", "CI_JOB_TOKEN"} {
		tokens, err := forge.Tokens(name, env.Getenv(name))
		if err != nil {
			return nil, err
		}
		if len(tokens) > 0 && (name != "CI_JOB_TOKEN" || ownInstance(env.Getenv, api)) {
			c.tokens, c.from, c.job = tokens, name, name == "CI_JOB_TOKEN"
			break
		}
	}
	if c.job {
		config.Header = "Job-Token"
	}
	config.Credentials = forge.Any(c.tokens)
	c.http = forge.New(env, config)
	c.Client, err = gitlab.NewClient("", gitlab.WithBaseURL(api.String()), gitlab.WithHTTPClient(c.http),
		gitlab.WithoutRetries(), gitlab.WithCustomLimiter(unlimited{}))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", audit.ErrUsage, from, err)
	}
	return c, nil
}

// unlimited switches off go-gitlab's limiter, which takes the first answer's limit for that of every endpoint.
type unlimited struct{}

func (unlimited) Wait(context.Context) error { return nil }

// instance finds the address of the instance and its API. What the user sets counts before what a CI job finds set.
func instance(getenv func(string) string) (web, api *url.URL, from string, err error) {
	from = "GITLAB_URL"
	address := getenv(from)
	if address == "" {
		if address = getenv("CI_API_V4_URL"); address != "" {
			from = "CI_API_V4_URL"
		} else {
			address = "https://gitlab.com"
		}
	}
	base, err := forge.BaseURL(from, address)
	if err != nil {
		return nil, nil, "", err
	}
	path := strings.TrimSuffix(base.Path, "/api/v4")
	web = &url.URL{Scheme: base.Scheme, Host: base.Host, Path: path}
	return web, web.JoinPath("api/v4"), from, nil
}

// origins puts the address that GitLab's runners set (CI_SERVER_URL) first, if it names the same host.
func origins(web *url.URL, server string) []*url.URL {
	all := []*url.URL{web}
	if u, err := forge.BaseURL("CI_SERVER_URL", server); err == nil && u.Hostname() == web.Hostname() && (u.Scheme == "https" || web.Scheme == "http") {
		all = append([]*url.URL{u}, all...)
	}
	return all
}

// ownInstance tells whether api is that of the instance this job runs on; its token is sent nowhere else.
func ownInstance(getenv func(string) string, api *url.URL) bool {
	for _, name := range []string{"CI_API_V4_URL", "CI_SERVER_URL"} {
		if u, err := forge.BaseURL(name, getenv(name)); err == nil {
			return forge.SameOrigin(u, api)
		}
	}
	return true // a job's token without a job's other variables: the user brought it along
}

// segment is one part of a path: what GitLab allows for users, groups and projects.
var segment = lazyregexp.New(`^[A-Za-z0-9_.][A-Za-z0-9_.-]{0,254}$`)

func validPath(path string) bool {
	parts := strings.Split(path, "/")
	for _, part := range parts {
		if !segment().MatchString(part) || part == "." || part == ".." {
			return false
		}
	}
	return len(parts) <= 22 // GitLab nests groups 20 deep
}

// Targets yields for a group the instance, if the token is an administrator's, the groups above it, the group itself, the groups
// below, and all their projects; for a project what is above it and the project; for a user the projects; for "" the instance, all groups and
// all projects, if the token is an administrator's.
func (p *Provider) Targets(ctx context.Context, ref string) iter.Seq2[audit.Target, error] {
	return p.TargetsAfter(ctx, ref, "")
}

// TargetsAfter yields the projects from a cursor on; all targets, if it is none of ours.
func (p *Provider) TargetsAfter(ctx context.Context, ref, after string) iter.Seq2[audit.Target, error] {
	return func(yield func(audit.Target, error) bool) {
		path := strings.TrimSuffix(strings.TrimSuffix(ref, "/"), ".git")
		if path != "" && !validPath(path) {
			yield(audit.Target{}, audit.Hint(fmt.Errorf("%w: gitlab:%s is not gitlab:GROUP or gitlab:GROUP/…/PROJECT", audit.ErrUsage, ref),
				"name a group, a user, or one project, such as gitlab:acme/platform/web; gitlab: alone is the whole instance"))
			return
		}
		c, err := p.connect()
		if err != nil {
			yield(audit.Target{}, err)
			return
		}
		ctx = forge.InOrder(ctx, "")
		if err := c.resolve(ctx, path, cursorText().FindStringSubmatch(after), yield); err != nil {
			yield(audit.Target{}, err)
		}
	}
}

// group and project are what is needed of GitLab's descriptions.
type group struct {
	ID         int    `json:"id"`
	FullPath   string `json:"full_path"`
	Visibility string `json:"visibility"`
}

type project struct {
	ID            int    `json:"id"`
	Path          string `json:"path_with_namespace"`
	CloneURL      string `json:"http_url_to_repo"`
	DefaultBranch string `json:"default_branch"`
	Visibility    string `json:"visibility"`
	Archived      bool   `json:"archived"`
	Empty         bool   `json:"empty_repo"`
	ConfigPath    string `json:"ci_config_path"`
	Access        string `json:"repository_access_level"`
	Issues        string `json:"issues_access_level"`
	MergeRequests string `json:"merge_requests_access_level"`
	Wiki          string `json:"wiki_access_level"`
	Releases      string `json:"releases_access_level"`
	Snippets      string `json:"snippets_access_level"`
	Registry      string `json:"container_registry_access_level"`
	Packages      string `json:"package_registry_access_level"`
	Builds        string `json:"builds_access_level"`
	Namespace     struct {
		Kind string `json:"kind"` // group, user
	} `json:"namespace"`
	ForkedFrom *struct {
		ID int `json:"id"`
	} `json:"forked_from_project"`
	LastActivity time.Time `json:"last_activity_at"`

	cursor string // what comes after its page
}

// cursorText is where a listing of projects goes on: after the project of an id, or where an instance numbers pages, with one of them. It
// has what matches and the two parts of it; it is nil at the beginning.
var cursorText = lazyregexp.New(`^(after|page) ([1-9][0-9]{0,17})$`)

// errBroken says that the consumer broke off.
var errBroken = errors.New("broken off")

// resolve finds out what path is and yields its targets, or its projects from a cursor on. It returns what ends the ref.
func (c *client) resolve(ctx context.Context, path string, after []string, yield func(audit.Target, error) bool) error {
	send := func(t audit.Target, err error) error {
		if !yield(t, err) {
			return errBroken
		}
		return nil
	}
	nested := strings.Contains(path, "/")
	var err error
	if path == "" {
		err = c.resolveInstance(ctx, after, send)
	} else if c.job && nested {
		err = c.resolveProject(ctx, path, send) // a job's token may not ask for groups
	} else if err = c.resolveGroup(ctx, path, after, send); forge.StatusOf(err) == http.StatusNotFound {
		if nested {
			err = c.resolveProject(ctx, path, send)
		} else {
			err = c.resolveUser(ctx, path, after, send)
		}
	}
	if errors.Is(err, errBroken) {
		return nil
	}
	if err != nil {
		return c.fail(ctx, "reading "+cmp.Or(path, "all of "+c.host), err)
	}
	return nil
}

type sender func(audit.Target, error) error

func (c *client) resolveGroup(ctx context.Context, path string, after []string, send sender) error {
	var g group
	if _, err := c.get(ctx, "groups/"+gitlab.PathEscape(path), map[string]string{"with_projects": "false"}, "", &g); err != nil {
		return err
	}
	if after == nil {
		if err := c.groups(ctx, path, &g, send); err != nil {
			return err
		}
	}
	query := c.projectQuery()
	query["include_subgroups"], query["with_shared"] = "true", strconv.FormatBool(c.shared)
	return c.sendProjects(ctx, "gitlab:"+path, fmt.Sprintf("groups/%d/projects", g.ID), query, after, func(t audit.Target, err error) error {
		if err == nil && !strings.HasPrefix(t.Attrs["path"], g.FullPath+"/") {
			t.Attrs["shared"] = "true"
		}
		return send(t, err)
	})
}

// projectQuery asks for projects in an order that pages by key can go by.
func (c *client) projectQuery() map[string]string {
	query := map[string]string{"order_by": "id", "sort": "asc"}
	if c.current {
		query["archived"] = "false"
	}
	return query
}

// resolveInstance sends all that there is, for an administrator. Anybody else would be shown what is public, which on gitlab.com has no end.
func (c *client) resolveInstance(ctx context.Context, after []string, send sender) error {
	var me struct {
		Admin bool `json:"is_admin"`
	}
	if _, err := c.get(ctx, "user", nil, "", &me); err != nil {
		return err
	}
	if !me.Admin {
		return audit.Hint(fmt.Errorf("%w: reading all of %s takes an administrator's token", audit.ErrAuth, c.host), "name a group, such as gitlab:acme, or set GITLAB_TOKEN to an administrator's")
	}
	if after == nil {
		if err := c.instance(ctx, send); err != nil {
			return err
		}
		if err := c.sendGroups(ctx, "gitlab:", "groups", map[string]string{"all_available": "true", "order_by": "path", "sort": "asc"}, "groups", send); err != nil {
			return err
		}
	}
	return c.sendProjects(ctx, "gitlab:", "projects", c.projectQuery(), after, send)
}

// sendGroups sends the groups of a listing.
func (c *client) sendGroups(ctx context.Context, name, path string, query map[string]string, what string, send sender) error {
	listed := 0
	for g, err := range pages(ctx, c, path, query, func(g *group) string { return strconv.Itoa(g.ID) + g.FullPath }) {
		if err := c.sendListed(ctx, name, what, &listed, send, err, func() (audit.Target, error) { return c.groupTarget(g) }); err != nil {
			return err
		}
	}
	return nil
}

// groups sends a group, what hands variables down to it, and the groups below.
func (c *client) groups(ctx context.Context, path string, g *group, send sender) error {
	if err := c.above(ctx, path, send); err != nil {
		return err
	}
	top, err := c.groupTarget(g)
	if err == nil {
		top.Attrs["alone"] = "true"
	}
	if err := send(top, err); err != nil {
		return err
	}
	return c.sendGroups(ctx, "gitlab:"+path, fmt.Sprintf("groups/%d/descendant_groups", g.ID), map[string]string{"order_by": "path", "sort": "asc"}, "groups below", send)
}

func (c *client) sendProjects(ctx context.Context, name, path string, query map[string]string, after []string, send sender) error {
	// Ordered by id, pages can be asked for by key: then a project that is deleted meanwhile makes no other slip through. Where
	// an instance has no keys for a listing it says 405.
	query = listQuery(query)
	query["pagination"] = "keyset"
	from := ""
	if after != nil && after[1] == "after" {
		query["id_after"] = after[2]
	} else if after != nil {
		delete(query, "pagination")
		if n, _ := strconv.Atoi(after[2]); n > 2 {
			from = strconv.Itoa(n - 1) // projects that were deleted meanwhile have let those behind them slip forward
		}
	}
	listed := 0
	for x, err := range pagedFrom(ctx, from, func(x *project) string { return strconv.Itoa(x.ID) + x.Path }, func(cursor string) ([]*project, *gitlab.Response, error) {
		var xs []*project
		resp, err := c.get(ctx, path, query, cursor, &xs)
		if cursor == "" && forge.StatusOf(err) == http.StatusMethodNotAllowed {
			delete(query, "pagination")
			resp, err = c.get(ctx, path, query, cursor, &xs)
		}
		if err == nil {
			for _, x := range xs {
				if x != nil {
					x.cursor = cursorOf(next(resp))
				}
			}
		}
		return xs, resp, err
	}) {
		if err := c.sendListed(ctx, name, "projects", &listed, send, err, func() (audit.Target, error) { return c.projectTarget(x) }); err != nil {
			return err
		}
	}
	return nil
}

// sendListed sends one outcome of a listing of targets. A listing that breaks is a gap, for what else there is can still be read.
func (c *client) sendListed(ctx context.Context, name, what string, listed *int, send sender, err error, target func() (audit.Target, error)) error {
	switch {
	case err == nil:
		*listed++
		return send(target())
	case ctx.Err() != nil:
		return err
	case *listed > 0:
		what = fmt.Sprintf("%s after the first %d", what, *listed)
	}
	return send(audit.Target{}, forge.Gap(name, what, err))
}

// above sends what hands variables down to path: the instance, and each group on the way.
func (c *client) above(ctx context.Context, path string, send sender) error {
	if err := c.instance(ctx, send); err != nil {
		return err
	}
	parts := strings.Split(path, "/")
	for n := 1; n < len(parts); n++ {
		up := strings.Join(parts[:n], "/")
		var g group
		_, err := c.get(ctx, "groups/"+gitlab.PathEscape(up), map[string]string{"with_projects": "false"}, "", &g)
		switch {
		case err == nil:
			err = send(c.groupTarget(&g))
		case ctx.Err() != nil:
		default:
			err = send(audit.Target{}, forge.Gap("gitlab:"+path, "variables inherited from group "+up, err))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// instance sends the instance as a target if its variables are readable. Where they are not, that is normal, unless the token
// is an administrator's and still lacks the right.
func (c *client) instance(ctx context.Context, send sender) error {
	if !c.signed() || c.job {
		return nil
	}
	_, err := c.get(ctx, "admin/ci/variables", map[string]string{"per_page": "1"}, "", new([]struct{}))
	if err == nil {
		return send(audit.Target{Name: "gitlab:", Kind: audit.TargetInstance, URL: c.page(), Attrs: map[string]string{}}, nil)
	}
	if ctx.Err() != nil {
		return err
	}
	if forge.StatusOf(err) == http.StatusForbidden {
		var me struct {
			Admin bool `json:"is_admin"`
		}
		if _, e := c.get(ctx, "user", nil, "", &me); e == nil && me.Admin {
			return send(audit.Target{}, forge.Gap("gitlab:", "instance variables", err))
		}
	}
	return nil
}

func (c *client) resolveProject(ctx context.Context, path string, send sender) error {
	var x project
	if _, err := c.get(ctx, "projects/"+gitlab.PathEscape(path), nil, "", &x); err != nil {
		if c.job && (forge.StatusOf(err) == http.StatusNotFound || forge.StatusOf(err) == http.StatusForbidden || forge.StatusOf(err) == http.StatusUnauthorized) {
			// A job's token may not ask for the description, and yet clone.
			x = project{Path: path}
		} else {
			return err
		}
	} else if x.Namespace.Kind == "user" { // has no variables
		if err := c.instance(ctx, send); err != nil {
			return err
		}
	} else if err := c.above(ctx, path, send); err != nil {
		return err
	}
	t, err := c.projectTarget(&x)
	if err == nil {
		t.Attrs["alone"] = "true"
	}
	return send(t, err)
}

func (c *client) resolveUser(ctx context.Context, name string, after []string, send sender) error {
	sent, path := 0, "users/"+gitlab.PathEscape(name)+"/projects"
	if _, err := c.get(ctx, path, map[string]string{"per_page": "1"}, "", new([]struct{})); err != nil {
		return err // so that it ends the ref, and is not a gap in a list of projects
	}
	if after == nil {
		if err := c.instance(ctx, send); err != nil {
			return err
		}
	}
	err := c.sendProjects(ctx, "gitlab:"+name, path, c.projectQuery(), after, func(t audit.Target, err error) error {
		sent++
		return send(t, err)
	})
	if err == nil && sent == 0 && after == nil {
		return audit.Hint(fmt.Errorf("%w: user %s has no project that can be seen", audit.ErrNothing, name), "private projects need a token that may read them in GITLAB_TOKEN")
	}
	return err
}

func (c *client) groupTarget(g *group) (audit.Target, error) {
	if !validPath(g.FullPath) {
		return audit.Target{}, &audit.Gap{Target: "gitlab:", What: fmt.Sprintf("group with id %d", g.ID), Why: fmt.Sprintf("impossible path %.200q", g.FullPath)}
	}
	return audit.Target{
		Name: "gitlab:" + g.FullPath, Kind: audit.TargetGroup, URL: c.page("groups", g.FullPath),
		Attrs: map[string]string{"id": strconv.Itoa(g.ID), "path": g.FullPath, "visibility": g.Visibility},
	}, nil
}

// projectTarget makes a target of a project as the API describes it. The description is not trusted: not with paths, nor with
// addresses that a token would be sent to.
func (c *client) projectTarget(x *project) (audit.Target, error) {
	if !validPath(x.Path) || !strings.Contains(x.Path, "/") {
		return audit.Target{}, &audit.Gap{Target: "gitlab:", What: fmt.Sprintf("project with id %d", x.ID), Why: fmt.Sprintf("impossible path %.200q", x.Path)}
	}
	// Without a State: last_activity_at moves only now and then, and with more than git's refs.
	t := audit.Target{
		Name: "gitlab:" + x.Path, Kind: audit.TargetRepository, URL: c.page(x.Path), Parts: c.parts, Pushed: x.LastActivity, Cursor: x.cursor,
		Attrs: map[string]string{
			"path": x.Path, "clone_url": forge.RepositoryURL(x.CloneURL, x.Path, c.web...),
			"default_branch": x.DefaultBranch, "visibility": x.Visibility, "private": strconv.FormatBool(x.Visibility == "private"),
			"archived": strconv.FormatBool(x.Archived), "fork": strconv.FormatBool(x.ForkedFrom != nil),
		},
	}
	if x.ID != 0 {
		t.Attrs["id"] = strconv.Itoa(x.ID)
	}
	if x.Empty {
		t.Attrs["empty"] = "true"
	}
	if x.Namespace.Kind == "user" {
		t.Attrs["owner"] = "user" // who hands nothing down
	}
	if x.ConfigPath != "" {
		t.Attrs["ci_config"] = x.ConfigPath
	}
	var off []string
	for _, f := range []struct{ name, access string }{
		{"issues", x.Issues}, {"merge_requests", x.MergeRequests}, {"wiki", x.Wiki}, {"releases", x.Releases}, {"snippets", x.Snippets},
		{"container_registry", x.Registry}, {"package_registry", x.Packages}, {"builds", x.Builds},
	} {
		if f.access == "disabled" {
			off = append(off, f.name)
		}
	}
	if len(off) > 0 {
		t.Attrs["off"] = strings.Join(off, ",")
	}
	if x.Access == "disabled" {
		t.Attrs["repository"] = "disabled"
	}
	return t, nil
}

// page is the address of a web page of the instance.
func (c *client) page(path ...string) string { return c.web[0].JoinPath(path...).String() }

// fail makes of an error what ends a ref: the exit code it decides and what to do about it.
func (c *client) fail(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, audit.ErrNothing) {
		return err
	}
	err = forge.Plain(err)
	e := (*forge.Error)(nil)
	if !errors.As(err, &e) || !e.Until.IsZero() {
		return fmt.Errorf("%s: %w", doing, err)
	}
	advice := "set GITLAB_TOKEN to a token with scopes read_api and read_repository that may read it"
	if c.job {
		advice = "a job's own token reads little: " + advice
	}
	switch e.Status {
	case http.StatusUnauthorized:
		if c.signed() && !c.job {
			advice = "check " + c.from + ": it is expired, revoked or not meant for " + c.host
		}
		return audit.Hint(fmt.Errorf("%w: %s: %w", audit.ErrAuth, doing, err), advice)
	case http.StatusForbidden:
		return audit.Hint(fmt.Errorf("%w: %s: %w", audit.ErrAuth, doing, err), advice)
	case http.StatusNotFound:
		if !c.signed() {
			return audit.Hint(fmt.Errorf("%w: %s: it does not exist, or needs a token: %w", audit.ErrAuth, doing, err), advice)
		}
		return audit.Hint(fmt.Errorf("%w: %s: it does not exist, or the token may not see it: %w", audit.ErrAuth, doing, err),
			"check the path, and that the token in "+c.from+" belongs to a member")
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// get reads one answer. cursor is "" for the first page, else as [paged] hands it.
func (c *client) get(ctx context.Context, path string, query map[string]string, cursor string, out any) (*gitlab.Response, error) {
	options := []gitlab.RequestOptionFunc{gitlab.WithContext(ctx)}
	q := url.Values{}
	for k, v := range query {
		q.Set(k, v)
	}
	if _, err := strconv.Atoi(cursor); err == nil {
		q.Set("page", cursor)
	} else if cursor != "" {
		options = append(options, gitlab.WithKeysetPaginationParameters(cursor)) // takes the parameters, not the address
	}
	// go-gitlab takes the query from a struct; one without fields and a link with the parameters come to the same.
	options = append([]gitlab.RequestOptionFunc{gitlab.WithKeysetPaginationParameters("?" + q.Encode())}, options...)
	req, err := c.NewRequest(http.MethodGet, path, nil, options)
	if err != nil {
		return nil, err
	}
	return c.Do(req, out)
}

// listPage is how many items a page has, GitLab's most.
const listPage = 100

func listQuery(more map[string]string) map[string]string {
	q := map[string]string{"per_page": strconv.Itoa(listPage)}
	for k, v := range more {
		q[k] = v
	}
	return q
}

// paged walks a listing, by numbered pages or by links, as the instance offers.
func paged[T any](ctx context.Context, key func(*T) string, get func(cursor string) ([]*T, *gitlab.Response, error)) iter.Seq2[*T, error] {
	return pagedFrom(ctx, "", key, get)
}

// pagedFrom walks it from a numbered page on.
func pagedFrom[T any](ctx context.Context, from string, key func(*T) string, get func(cursor string) ([]*T, *gitlab.Response, error)) iter.Seq2[*T, error] {
	return forge.PagesFrom(ctx, from, key, func(_ context.Context, cursor string) (forge.Page[*T], error) {
		items, resp, err := get(cursor)
		if err != nil {
			return forge.Page[*T]{}, forge.Plain(err)
		}
		page := forge.Page[*T]{Last: resp.TotalPages, Total: resp.TotalItems}
		for _, item := range items {
			if item != nil {
				page.Items = append(page.Items, item)
			}
		}
		page.Next = next(resp)
		if page.Next == "" && len(items) > 0 && len(items)%listPage == 0 { // what is added comes on a page of its own, of which this one's tag does not tell
			forge.Doubt(ctx)
		}
		return page, nil
	})
}

// next is the cursor of the page after an answer: a number, or the link where pages go by key; "" if there is none.
func next(resp *gitlab.Response) string {
	if resp.NextPage > 0 {
		return strconv.Itoa(resp.NextPage)
	}
	link, err := url.Parse(resp.NextLink)
	if err != nil {
		return ""
	}
	if q := link.Query(); q.Get("page") != "" && q.Get("cursor") == "" && q.Get("id_after") == "" {
		return q.Get("page")
	}
	return resp.NextLink
}

// cursorOf makes of what [next] returned what cursorText matches; "" where nothing comes next, or it cannot be told by an id.
func cursorOf(next string) string {
	if _, err := strconv.Atoi(next); err == nil {
		return "page " + next
	}
	link, err := url.Parse(next)
	if err != nil {
		return ""
	}
	if cursor := "after " + link.Query().Get("id_after"); cursorText().MatchString(cursor) {
		return cursor
	}
	return ""
}

// again asks for what get has asked for, with further headers.
func (c *client) again(ctx context.Context, path string, header http.Header) (status int, err error) {
	path, query, _ := strings.Cut(path, "?")
	options := []gitlab.RequestOptionFunc{gitlab.WithContext(ctx), gitlab.WithKeysetPaginationParameters("?" + query)}
	req, err := c.NewRequest(http.MethodGet, path, nil, options)
	if err != nil {
		return 0, err
	}
	maps.Copy(req.Header, header)
	resp, err := c.Do(req, nil)
	if resp != nil { // what is no success is an error, too
		return resp.StatusCode, nil
	}
	return 0, err
}
