// Package github lists what lies in a GitHub organisation, user account or repository: the repositories with their history,
// CI variables with their values, the names of CI secrets, environments and runners.
//
// Paths, parameters and rights are those of GitHub's REST description, API version 2022-11-28 (docs.github.com/rest), which GitHub
// Enterprise Server and GHE.com share. It only sends GET requests, and for a GitHub App the one POST that mints its token.
package github

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// Options say what to read of each target.
type Options struct {
	History   bool // every commit that is reachable from any ref
	Files     bool // the default branch's tree; part of History
	Variables bool
	Secrets   bool // names only, GitHub never hands out values
	Settings  bool // environments
	Runners   bool
	Since     string // only history since this commit or date; "" for all
	AllRefs   bool   // history of what is no branch, tag or note, too: pull requests

	MaxWait time.Duration // longest wait for a rate limit; 0 means 15 minutes

	sleep func(context.Context, time.Duration) error // for tests
}

// Provider reads refs of the form OWNER and OWNER/REPO.
type Provider struct {
	env     audit.Env
	opts    Options
	connect func() (*client, error)
}

// New makes a provider. Where GitHub is and with which credential is read from the environment on first use: GITHUB_API_URL;
// GH_TOKEN, else GITHUB_TOKEN, else LEAKREACH_GITHUB_APP_ID, _INSTALLATION_ID and _PRIVATE_KEY_FILE. Without any of them public
// repositories can be read.
func New(env audit.Env, o Options) *Provider {
	return &Provider{env: env, opts: o, connect: sync.OnceValues(func() (*client, error) { return newClient(env, o) })}
}

// Name is "github".
func (p *Provider) Name() string { return "github" }

// client is the API with what else is known of the instance.
type client struct {
	*github.Client
	web   []*url.URL                            // origins of the instance's pages and repositories, the likeliest first
	token func(context.Context) (string, error) // nil without a credential
	from  string                                // where the credential comes from
}

func newClient(env audit.Env, o Options) (*client, error) {
	const baseVar = "GITHUB_API_URL"
	address := env.Getenv(baseVar)
	if address == "" {
		address = "https://api.github.com"
	}
	base, err := forge.BaseURL(baseVar, address)
	if err != nil {
		return nil, err
	}
	c := &client{web: webOrigins(base, env.Getenv("GITHUB_SERVER_URL"))}
	config := forge.Config{API: "github", Base: base, BaseVar: baseVar, Header: "Authorization", Prefix: "Bearer ", MaxWait: o.MaxWait, Sleep: o.sleep}
	for _, name := range []string{"GH_TOKEN", "GITHUB_TOKEN"} {
		token, err := forge.Token(name, env.Getenv(name))
		if err != nil {
			return nil, err
		}
		if token != "" {
			c.token, c.from = forge.Static(token), name
			break
		}
	}
	if c.token == nil {
		app, err := appFromEnv(env, config)
		if err != nil {
			return nil, err
		}
		if app != nil {
			c.token, c.from = app.token, "the GitHub App"
		}
	}
	config.Token = c.token
	c.Client = github.NewClient(forge.New(env, config))
	c.BaseURL = base.JoinPath("/")
	return c, nil
}

// webOrigins are the addresses under which the instance with this API serves pages and repositories: api.github.com belongs to
// github.com, api.acme.ghe.com to acme.ghe.com, and a GitHub Enterprise Server has both on one host. server
// (GITHUB_SERVER_URL, which GitHub's runners set) counts only if it names the same host, so that no token leaves for another instance.
func webOrigins(api *url.URL, server string) []*url.URL {
	web := &url.URL{Scheme: api.Scheme, Host: api.Host}
	if host := api.Hostname(); host == "api.github.com" || strings.HasPrefix(host, "api.") && strings.HasSuffix(host, ".ghe.com") {
		web.Host = strings.TrimPrefix(api.Host, "api.")
	}
	origins := []*url.URL{web}
	if u, err := forge.BaseURL("GITHUB_SERVER_URL", server); err == nil && u.Hostname() == web.Hostname() && (u.Scheme == "https" || web.Scheme == "http") {
		origins = append([]*url.URL{u}, origins...)
	}
	return origins
}

var (
	ownerName      = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,98}[A-Za-z0-9_])?$`)
	repositoryName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)
)

func validRepository(name string) bool {
	return repositoryName.MatchString(name) && name != "." && name != ".."
}

// Targets yields for OWNER the organisation, if it is one, and each of its repositories; for OWNER/REPO that repository.
func (p *Provider) Targets(ctx context.Context, ref string) iter.Seq2[audit.Target, error] {
	return func(yield func(audit.Target, error) bool) {
		owner, repo, one := strings.Cut(strings.TrimSuffix(ref, "/"), "/")
		repo = strings.TrimSuffix(repo, ".git")
		if !ownerName.MatchString(owner) || one && !validRepository(repo) {
			yield(audit.Target{}, audit.Hint(fmt.Errorf("%w: github:%s is not github:OWNER or github:OWNER/REPO", audit.ErrUsage, ref),
				"name an organisation, a user, or one repository, such as github:acme/web"))
			return
		}
		c, err := p.connect()
		if err != nil {
			yield(audit.Target{}, err)
			return
		}
		if one {
			c.oneTarget(ctx, owner, repo, yield)
		} else {
			c.ownerTargets(ctx, owner, yield)
		}
	}
}

func (c *client) oneTarget(ctx context.Context, owner, repo string, yield func(audit.Target, error) bool) {
	r, _, err := c.Repositories.Get(ctx, owner, repo)
	if err != nil {
		yield(audit.Target{}, c.fail(ctx, "reading repository "+owner+"/"+repo, err))
		return
	}
	t, err := c.target(r)
	if err == nil {
		t.Attrs["alone"] = "true"
	}
	yield(t, err)
}

func (c *client) ownerTargets(ctx context.Context, owner string, yield func(audit.Target, error) bool) {
	isOrg, listed := true, 0
	for r, err := range c.orgRepositories(ctx, owner) {
		if listed == 0 && forge.StatusOf(err) == http.StatusNotFound {
			isOrg = false
			break
		}
		if listed == 0 && err == nil {
			if login, _, _ := strings.Cut(r.GetFullName(), "/"); strings.EqualFold(login, owner) {
				owner = login // as GitHub writes it
			}
			if !yield(c.organisation(owner), nil) {
				return
			}
		}
		if !c.yieldTarget(ctx, owner, r, err, &listed, yield) {
			return
		}
	}
	if isOrg {
		if listed == 0 && !yield(c.organisation(owner), nil) {
			return
		}
		c.compareCount(ctx, owner, listed, yield)
		return
	}
	for r, err := range c.userRepositories(ctx, owner) {
		if !c.yieldTarget(ctx, owner, r, err, &listed, yield) {
			return
		}
	}
	if listed == 0 {
		yield(audit.Target{}, audit.Hint(fmt.Errorf("%w: github:%s has no repository that can be seen", audit.ErrNothing, owner),
			"private repositories need a token that may read them in GH_TOKEN"))
	}
}

func (c *client) organisation(login string) audit.Target {
	return audit.Target{Name: "github:" + login, Kind: audit.TargetOrganisation, URL: c.page(login), Attrs: map[string]string{"owner": login}}
}

// yieldTarget yields one outcome of a listing of repositories, and tells whether to go on.
func (c *client) yieldTarget(ctx context.Context, owner string, r *github.Repository, err error, listed *int, yield func(audit.Target, error) bool) bool {
	if err != nil {
		if *listed > 0 && ctx.Err() == nil {
			return yield(audit.Target{}, forge.Gap("github:"+owner, fmt.Sprintf("repositories after the first %d", *listed), err))
		}
		yield(audit.Target{}, c.fail(ctx, "listing repositories of "+owner, err))
		return false
	}
	*listed++
	return yield(c.target(r))
}

// compareCount says so when the organisation has more repositories than the token sees.
func (c *client) compareCount(ctx context.Context, owner string, listed int, yield func(audit.Target, error) bool) {
	o, _, err := c.Organizations.Get(ctx, owner)
	if err != nil {
		return // only a cross-check
	}
	if n := int64(o.GetPublicRepos()) + o.GetTotalPrivateRepos(); n > int64(listed) {
		yield(audit.Target{}, &audit.Gap{
			Target: "github:" + owner, What: "repositories the token cannot see",
			Why: fmt.Sprintf("the organisation counts %d repositories, %d were listed", n, listed),
		})
	}
}

func repositoryKey(r *github.Repository) string {
	return strconv.FormatInt(r.GetID(), 10) + r.GetFullName()
}

func (c *client) orgRepositories(ctx context.Context, owner string) iter.Seq2[*github.Repository, error] {
	return paged(ctx, 100, repositoryKey, func(o github.ListOptions) ([]*github.Repository, int, *github.Response, error) {
		rs, resp, err := c.Repositories.ListByOrg(ctx, owner, &github.RepositoryListByOrgOptions{Type: "all", Sort: "full_name", Direction: "asc", ListOptions: o})
		return rs, 0, resp, err
	})
}

// userRepositories lists the public repositories of a user, and the private ones too where the token is that user's own.
func (c *client) userRepositories(ctx context.Context, owner string) iter.Seq2[*github.Repository, error] {
	own := false
	if c.token != nil {
		if u, _, err := c.Users.Get(ctx, ""); err == nil {
			own = strings.EqualFold(u.GetLogin(), owner)
		} else if forge.StatusOf(err) == http.StatusUnauthorized {
			return func(yield func(*github.Repository, error) bool) { yield(nil, err) }
		}
	}
	return paged(ctx, 100, repositoryKey, func(o github.ListOptions) ([]*github.Repository, int, *github.Response, error) {
		if own {
			rs, resp, err := c.Repositories.ListByAuthenticatedUser(ctx, &github.RepositoryListByAuthenticatedUserOptions{
				Visibility: "all", Affiliation: "owner", Sort: "full_name", Direction: "asc", ListOptions: o,
			})
			return rs, 0, resp, err
		}
		rs, resp, err := c.Repositories.ListByUser(ctx, owner, &github.RepositoryListByUserOptions{Type: "owner", Sort: "full_name", Direction: "asc", ListOptions: o})
		return rs, 0, resp, err
	})
}

// target makes a target of a repository as the API describes it. The description is not trusted: not with names, nor with
// addresses that a token would be sent to.
func (c *client) target(r *github.Repository) (audit.Target, error) {
	owner, name, _ := strings.Cut(r.GetFullName(), "/")
	if !ownerName.MatchString(owner) || !validRepository(name) {
		return audit.Target{}, &audit.Gap{
			Target: "github:", What: fmt.Sprintf("repository with id %d", r.GetID()), Why: fmt.Sprintf("impossible name %.200q", r.GetFullName()),
		}
	}
	full := owner + "/" + name
	return audit.Target{
		Name: "github:" + full, Kind: audit.TargetRepository, URL: c.page(full),
		Attrs: map[string]string{
			"owner": owner, "repo": name, "id": strconv.FormatInt(r.GetID(), 10),
			"clone_url":      forge.RepositoryURL(r.GetCloneURL(), full, c.web...),
			"default_branch": r.GetDefaultBranch(), "visibility": visibility(r),
			"private": strconv.FormatBool(r.GetPrivate()), "archived": strconv.FormatBool(r.GetArchived()), "fork": strconv.FormatBool(r.GetFork()),
		},
	}, nil
}

func visibility(r *github.Repository) string {
	switch {
	case r.GetVisibility() != "":
		return r.GetVisibility()
	case r.GetPrivate():
		return "private"
	}
	return "public"
}

// page is the address of a web page of the instance.
func (c *client) page(path ...string) string { return c.web[0].JoinPath(path...).String() }

// fail makes of an error what ends a ref: the exit code it decides and what to do about it.
func (c *client) fail(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err = forge.Plain(err)
	e := (*forge.Error)(nil)
	switch {
	case !errors.As(err, &e):
		return fmt.Errorf("%s: %w", doing, err)
	case !e.Until.IsZero() && c.token == nil:
		return audit.Hint(fmt.Errorf("%s: %w", doing, err), "set GH_TOKEN: without a token GitHub allows 60 requests an hour")
	case !e.Until.IsZero():
		return fmt.Errorf("%s: %w", doing, err)
	case e.Status == http.StatusUnauthorized && c.token != nil:
		return audit.Hint(fmt.Errorf("%w: %s: %w", audit.ErrAuth, doing, err), "check "+c.from+": it is expired, revoked or not meant for "+c.BaseURL.Host)
	case e.Status == http.StatusForbidden && e.SSO:
		return audit.Hint(fmt.Errorf("%w: %s: %w", audit.ErrAuth, doing, err), "authorise the token for the organisation's single sign-on in GitHub's token settings")
	case e.Status == http.StatusUnauthorized, e.Status == http.StatusForbidden:
		return audit.Hint(fmt.Errorf("%w: %s: %w", audit.ErrAuth, doing, err), "set GH_TOKEN to a token that may read it")
	case e.Status == http.StatusNotFound && c.token == nil:
		return audit.Hint(fmt.Errorf("%w: %s: it does not exist, or needs a token: %w", audit.ErrAuth, doing, err), "set GH_TOKEN to a token that may read it")
	case e.Status == http.StatusNotFound:
		return audit.Hint(fmt.Errorf("%w: %s: it does not exist, or the token may not see it: %w", audit.ErrAuth, doing, err),
			"check the name, and that the token in "+c.from+" has been granted access to it")
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// paged walks a listing. total is the number of all items, where the answer tells it.
func paged[T any](ctx context.Context, size int, key func(*T) string, get func(github.ListOptions) (items []*T, total int, resp *github.Response, err error)) iter.Seq2[*T, error] {
	return forge.Pages(ctx, key, func(_ context.Context, cursor string) (forge.Page[*T], error) {
		number, _ := strconv.Atoi(cursor)
		items, total, resp, err := get(github.ListOptions{Page: number, PerPage: size})
		if err != nil {
			return forge.Page[*T]{}, forge.Plain(err)
		}
		page := forge.Page[*T]{Last: resp.LastPage, Total: total}
		for _, item := range items {
			if item != nil {
				page.Items = append(page.Items, item)
			}
		}
		if resp.NextPage > 0 { // the number alone: the address in the link is not followed
			page.Next = strconv.Itoa(resp.NextPage)
		}
		return page, nil
	})
}

// get reads what go-github v60 has no fitting call for. path is relative to the API and escaped.
func (c *client) get(ctx context.Context, path string, q url.Values, out any) (*github.Response, error) {
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	req, err := c.NewRequest(http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	return c.Do(ctx, req, out)
}
