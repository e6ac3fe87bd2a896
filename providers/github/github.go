// Package github lists what lies in a GitHub organisation, user account or repository: the repositories with their history,
// CI variables with their values, the names of CI secrets, environments and runners.
//
// Paths, parameters and rights are those of GitHub's REST description, API version 2022-11-28 (docs.github.com/rest), which GitHub
// Enterprise Server and GHE.com share; what GraphQL has of many repositories at once is asked of it. It only reads: it sends GET requests, GraphQL's queries, which are
// POSTs, and for a GitHub App the one POST that mints its token.
package github

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// Options say what to read of each target.
type Options struct {
	Sources audit.Sources
	Since   string // only history since this commit or date; "" for all
	AllRefs bool   // history of what is no branch, tag or note, too: pull requests

	NoArchived, NoForks bool // of an owner's repositories

	Budget  int           // percent of the API's quota that is ours; 0 means 60
	MaxWait time.Duration // longest wait for a rate limit; 0 means 15 minutes, or two hours where quotas are shared

	sleep func(context.Context, time.Duration) error // for tests
}

// Provider reads refs of the form OWNER and OWNER/REPO.
type Provider struct {
	env     audit.Env
	opts    Options
	connect func() (*client, error)
}

// New makes a provider. Where GitHub is and with which credential is read from the environment on first use: GITHUB_API_URL;
// GH_TOKEN, else GITHUB_TOKEN, each of which may have several tokens, separated by commas; else LEAKREACH_GITHUB_APP_ID,
// _PRIVATE_KEY_FILE and _INSTALLATION_ID, without which all installations of the App are used. Without any of them public repositories can be read.
func New(env audit.Env, o Options) *Provider {
	return &Provider{env: env, opts: o, connect: sync.OnceValues(func() (*client, error) { return newClient(env, o) })}
}

// Name is "github".
func (p *Provider) Name() string { return "github" }

// client is the API with what else is known of the instance.
type client struct {
	*github.Client
	web      []*url.URL          // origins of the instance's pages and repositories, the likeliest first
	tokens   []*forge.Credential // of the environment
	app      *app                // or nil
	from     string              // where the credential comes from
	sources  audit.Sources
	graph    *graph
	policies policies
}

// signed tells whether there is a credential.
func (c *client) signed() bool { return len(c.tokens) > 0 || c.app != nil }

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
	c := &client{web: webOrigins(base, env.Getenv("GITHUB_SERVER_URL")), sources: o.Sources}
	// All that is asked here counts in the quota that GitHub calls core.
	config := forge.Config{
		API: "github", Base: base, BaseVar: baseVar, Header: "Authorization", Prefix: "Bearer ", Resource: "core", Budget: o.Budget, MaxWait: o.MaxWait, Sleep: o.sleep,
	}
	for _, name := range []string{"GH_TOKEN", "GITHUB_TOKEN"} {
		if c.tokens, err = forge.Tokens(name, env.Getenv(name)); err != nil {
			return nil, err
		}
		if len(c.tokens) > 0 {
			c.from = name
			break
		}
	}
	if len(c.tokens) > 0 {
		config.Credentials = forge.Any(c.tokens)
	} else if c.app, err = appFromEnv(env, config); err != nil {
		return nil, err
	} else if c.app != nil {
		config.Credentials, c.from = c.app.choose, "the GitHub App"
	}
	c.Client = github.NewClient(forge.New(env, config))
	c.BaseURL = base.JoinPath("/")
	config.Resource = "graphql"
	c.graph = &graph{api: forge.New(env, config), address: graphAddress(base), env: env}
	return c, nil
}

// locks tells whether workflows run by their lock file: not on a GitHub Enterprise Server, whose API is below /api/v3 (github.com/github/gh-actions-lock, "Requirements").
func (c *client) locks() bool { return !strings.HasSuffix(c.BaseURL.Path, "/api/v3/") }

// as returns a context whose requests go with what an owner's repositories are read with, for addresses that do not tell whose they are.
func (c *client) as(ctx context.Context, owner string) context.Context {
	if c.app != nil {
		if credential, err := c.app.of(ctx, owner); err == nil {
			return forge.With(ctx, credential)
		}
	}
	return forge.InOrder(ctx, "")
}

// cloneToken is one that may read a repository; "" if there is none.
func (c *client) cloneToken(ctx context.Context, owner, repo string) (string, error) {
	if c.app != nil {
		credential, err := c.app.of(ctx, owner)
		if err != nil {
			return "", err
		}
		return credential.Token(ctx)
	}
	return forge.TokenThatSees(ctx, c.tokens, func(ctx context.Context) error {
		_, err := c.get(ctx, "repos/"+owner+"/"+repo, nil, nil)
		return err
	})
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
	ownerName      = lazyregexp.New(`^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,98}[A-Za-z0-9_])?$`)
	repositoryName = lazyregexp.New(`^[A-Za-z0-9._-]{1,100}$`)
)

func validRepository(name string) bool {
	return repositoryName().MatchString(name) && name != "." && name != ".."
}

// Targets yields for OWNER the organisation, if it is one, and each of its repositories; for OWNER/REPO that repository, for gist/ID that gist; see [parseRef] for more.
func (p *Provider) Targets(ctx context.Context, ref string) iter.Seq2[audit.Target, error] {
	return p.TargetsAfter(ctx, ref, "")
}

// TargetsAfter yields the targets from a cursor on, or all if it is none of ours.
func (p *Provider) TargetsAfter(ctx context.Context, ref, after string) iter.Seq2[audit.Target, error] {
	return func(yield func(audit.Target, error) bool) {
		pick, err := parseRef(ref)
		if err != nil {
			yield(audit.Target{}, err)
			return
		}
		c, err := p.connect()
		if err != nil {
			yield(audit.Target{}, err)
			return
		}
		ctx = forge.InOrder(ctx, "")
		pick.noArchived, pick.noForks = p.opts.NoArchived, p.opts.NoForks
		at, _ := parseCursor(after)
		if missing := p.notOf(pick); missing != nil && !yield(audit.Target{}, missing) {
			return
		}
		switch {
		case pick.enterprise:
			c.enterpriseTargets(ctx, pick, yield)
		case pick.gist != "":
			c.gistTarget(ctx, pick.gist, yield)
		case len(pick.names) > 0:
			c.namedTargets(ctx, pick, yield)
		default:
			s := &sweep{client: c, pick: pick, yield: yield}
			s.owner(ctx, pick.owner, at)
		}
	}
}

// notOf says which sources were asked for that are none of chosen repositories; nil if there are none, or if all there is was asked for.
func (p *Provider) notOf(pick selection) error {
	names := (p.opts.Sources & ofPeople).Names()
	switch {
	case p.opts.Sources|forge.Contents == audit.AllSources:
		return nil
	case pick.gist != "" && p.opts.Sources.Has(audit.SourcePackages):
		return &audit.Gap{Target: "github:gist/" + pick.gist, What: audit.SourcePackages.String(), Why: "they are of organisations: name one, as github:OWNER"}
	case !pick.isChoice() || len(names) == 0:
		return nil
	}
	return &audit.Gap{
		Target: "github:" + pick.owner, What: strings.Join(names, ", "), Why: "they are of people and organisations, not of repositories: name those, as github:" + pick.owner,
	}
}

// namedTargets yields repositories by name.
func (c *client) namedTargets(ctx context.Context, pick selection, yield func(audit.Target, error) bool) {
	found, failed := 0, error(nil)
	for _, name := range pick.names {
		all, err := c.oneTarget(ctx, pick.owner, name)
		full := pick.owner + "/" + name
		switch gap := (*audit.Gap)(nil); {
		case err == nil, errors.As(err, &gap):
			found++
		case len(pick.names) == 1, ctx.Err() != nil:
			yield(audit.Target{}, c.fail(ctx, "reading repository "+full, err))
			return
		default:
			failed, err = c.fail(ctx, "reading repository "+full, err), forge.Gap("github:"+full, "the repository", forge.Plain(err))
		}
		if err != nil && !yield(audit.Target{}, err) {
			return
		}
		for _, t := range all {
			if !yield(t, nil) {
				return
			}
		}
	}
	if found == 0 {
		yield(audit.Target{}, failed)
	}
}

// oneTarget is a repository with its wiki, or that alone if it is what the name is of.
func (c *client) oneTarget(ctx context.Context, owner, name string) (all []audit.Target, err error) {
	repo, onlyWiki := strings.CutSuffix(name, wikiSuffix)
	if !validRepository(repo) {
		repo, onlyWiki = name, false
	}
	r, _, err := c.Repositories.Get(ctx, owner, repo)
	if err != nil {
		return nil, err
	}
	t, err := c.target(r)
	if err != nil {
		return nil, err
	}
	t.Attrs["alone"], t.Attrs["named"] = "true", "true"
	if !onlyWiki {
		all = append(all, t)
	}
	if onlyWiki || c.mayHaveWiki(r) {
		all = append(all, wiki(t))
	}
	return all, nil
}

// A cursor is where a listing of repositories goes on.
type cursor struct {
	kind string // of listing: org, user, own
	page int
}

var cursorText = lazyregexp.New(`^(org|user|own) ([1-9][0-9]{0,5})$`)

func parseCursor(text string) (at cursor, ok bool) {
	m := cursorText().FindStringSubmatch(text)
	if m == nil {
		return at, false
	}
	at.kind = m[1]
	at.page, _ = strconv.Atoi(m[2])
	return at, true
}

// text is what a target carries; "" after the last page.
func (at cursor) text() string {
	if at.page == 0 {
		return ""
	}
	return at.kind + " " + strconv.Itoa(at.page)
}

// back is the page to go on from, and how many repositories come before it. It is the page before the one that comes next: repositories
// that were deleted meanwhile have let those behind them slip forward.
func (at cursor) back(kind string) (page, before int) {
	if page = at.page - 1; at.kind != kind || page <= 1 {
		return 0, 0
	}
	return page, (page - 1) * repositoryPage
}

// repositoryPage is how many repositories a page has, GitHub's most.
const repositoryPage = 100

// repository is one of a listing, with what comes after its page.
type repository struct {
	*github.Repository
	next  cursor
	batch string // ids, in GraphQL, of those that are asked about with it
}

func repositoryKey(r *repository) string {
	return strconv.FormatInt(r.GetID(), 10) + r.GetFullName()
}

// repositories walks a listing from a page on.
func repositories(ctx context.Context, kind string, page int, get func(github.ListOptions) ([]*github.Repository, *github.Response, error)) iter.Seq2[*repository, error] {
	from := ""
	if page > 0 {
		from = strconv.Itoa(page)
	}
	return pagedFrom(ctx, from, repositoryPage, repositoryKey, func(o github.ListOptions) (all []*repository, total int, resp *github.Response, err error) {
		rs, resp, err := get(o)
		if err != nil || rs == nil {
			return nil, 0, resp, err
		}
		all = []*repository{}
		for batch := range slices.Chunk(slices.DeleteFunc(rs, func(r *github.Repository) bool { return r == nil }), batchSize) {
			ids := make([]string, len(batch))
			for i, r := range batch {
				ids[i] = r.GetNodeID()
			}
			for _, r := range batch {
				all = append(all, &repository{r, cursor{kind, resp.NextPage}, strings.Join(ids, " ")})
			}
		}
		return all, 0, resp, nil
	})
}

func (c *client) orgRepositories(ctx context.Context, owner string, page int) iter.Seq2[*repository, error] {
	return repositories(ctx, "org", page, func(o github.ListOptions) ([]*github.Repository, *github.Response, error) {
		return c.Repositories.ListByOrg(ctx, owner, &github.RepositoryListByOrgOptions{Type: "all", Sort: "full_name", Direction: "asc", ListOptions: o})
	})
}

// userRepositories lists the public repositories of a user, and the private ones too where a token is that user's own.
func (c *client) userRepositories(ctx context.Context, owner string, after cursor) iter.Seq2[*repository, error] {
	var refused error
	for _, token := range c.tokens {
		own := forge.With(ctx, token)
		u, _, err := c.Users.Get(own, "")
		switch {
		case err == nil && strings.EqualFold(u.GetLogin(), owner):
			page, _ := after.back("own")
			return repositories(ctx, "own", page, func(o github.ListOptions) ([]*github.Repository, *github.Response, error) {
				return c.Repositories.ListByAuthenticatedUser(own, &github.RepositoryListByAuthenticatedUserOptions{
					Visibility: "all", Affiliation: "owner", Sort: "full_name", Direction: "asc", ListOptions: o,
				})
			})
		case forge.StatusOf(err) == http.StatusUnauthorized:
			refused = err
		}
	}
	if refused != nil && len(c.tokens) == 1 {
		return func(yield func(*repository, error) bool) { yield(nil, refused) }
	}
	page, _ := after.back("user")
	return repositories(ctx, "user", page, func(o github.ListOptions) ([]*github.Repository, *github.Response, error) {
		return c.Repositories.ListByUser(ctx, owner, &github.RepositoryListByUserOptions{Type: "owner", Sort: "full_name", Direction: "asc", ListOptions: o})
	})
}

// target makes a target of a repository as the API describes it. The description is not trusted: not with names, nor with
// addresses that a token would be sent to.
func (c *client) target(r *github.Repository) (audit.Target, error) {
	owner, name, _ := strings.Cut(r.GetFullName(), "/")
	if !ownerName().MatchString(owner) || !validRepository(name) {
		return audit.Target{}, &audit.Gap{
			Target: "github:", What: fmt.Sprintf("repository with id %d", r.GetID()), Why: fmt.Sprintf("impossible name %.200q", r.GetFullName()),
		}
	}
	full, user := owner+"/"+name, ""
	if r.GetOwner().GetType() == "User" {
		user = "true" // there is no organisation that decides
	}
	// Without a State: nothing of what GitHub documents says that every change of a ref moves pushed_at.
	t := audit.Target{
		Name: "github:" + full, Kind: audit.TargetRepository, URL: c.page(full), Parts: forge.Parts(c.sources &^ elsewhere), Size: max(0, int64(r.GetSize())) << 10, Pushed: r.GetPushedAt().Time,
		Attrs: map[string]string{
			"owner": owner, "repo": name, "id": number(r.GetID()), "owner_id": number(r.GetOwner().GetID()),
			"clone_url":      forge.RepositoryURL(r.GetCloneURL(), full, c.web...),
			"default_branch": r.GetDefaultBranch(), "visibility": visibility(r),
			"user":    user,
			"admin":   strconv.FormatBool(r.GetPermissions()["admin"]),
			"private": strconv.FormatBool(r.GetPrivate()), "archived": strconv.FormatBool(r.GetArchived()), "fork": strconv.FormatBool(r.GetFork()),
		},
	}
	if id := r.GetNodeID(); c.signed() && c.sources.Has(forge.Settings) && nodeID().MatchString(id) {
		t.Attrs["node"] = id
	}
	return t, nil
}

// number is an id as text; "" for one that the answer does not have.
func number(id int64) string {
	if id <= 0 {
		return ""
	}
	return strconv.FormatInt(id, 10)
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
	case !e.Until.IsZero() && !c.signed():
		return audit.Hint(fmt.Errorf("%s: %w", doing, err), "set GH_TOKEN: without a token GitHub allows 60 requests an hour")
	case !e.Until.IsZero():
		return fmt.Errorf("%s: %w", doing, err)
	case e.Status == http.StatusUnauthorized && c.signed():
		return audit.Hint(fmt.Errorf("%w: %s: %w", audit.ErrAuth, doing, err), "check "+c.from+": it is expired, revoked or not meant for "+c.BaseURL.Host)
	case e.Status == http.StatusForbidden && e.SSO:
		return audit.Hint(fmt.Errorf("%w: %s: %w", audit.ErrAuth, doing, err), "authorise the token for the organisation's single sign-on in GitHub's token settings")
	case e.Status == http.StatusUnauthorized, e.Status == http.StatusForbidden:
		return audit.Hint(fmt.Errorf("%w: %s: %w", audit.ErrAuth, doing, err), "set GH_TOKEN to a token that may read it")
	case e.Status == http.StatusNotFound && !c.signed():
		return audit.Hint(fmt.Errorf("%w: %s: it does not exist, or needs a token: %w", audit.ErrAuth, doing, err), "set GH_TOKEN to a token that may read it")
	case e.Status == http.StatusNotFound:
		return audit.Hint(fmt.Errorf("%w: %s: it does not exist, or the token may not see it: %w", audit.ErrAuth, doing, err),
			"check the name, and that the token in "+c.from+" has been granted access to it")
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// errNoList says that an answer is a success and still not what was asked for. It is never taken to say that there is nothing.
var errNoList = errors.New("answered without a list")

// paged walks a listing. items are nil if the answer has none at all, which is not an empty one. total is the number of all items, where the answer tells it.
func paged[T any](ctx context.Context, size int, key func(*T) string, get func(github.ListOptions) (items []*T, total int, resp *github.Response, err error)) iter.Seq2[*T, error] {
	return pagedFrom(ctx, "", size, key, get)
}

// pagedFrom walks it from a page on.
func pagedFrom[T any](ctx context.Context, from string, size int, key func(*T) string, get func(github.ListOptions) (items []*T, total int, resp *github.Response, err error)) iter.Seq2[*T, error] {
	return forge.PagesFrom(ctx, from, key, func(_ context.Context, cursor string) (forge.Page[*T], error) {
		number, _ := strconv.Atoi(cursor)
		items, total, resp, err := get(github.ListOptions{Page: number, PerPage: size})
		if err != nil {
			return forge.Page[*T]{}, forge.Plain(err)
		}
		if items == nil && total == 0 {
			return forge.Page[*T]{}, errNoList
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
	if len(q) > 0 && strings.Contains(path, "?") {
		path += "&" + q.Encode()
	} else if len(q) > 0 {
		path += "?" + q.Encode()
	}
	req, err := c.NewRequest(http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	return c.Do(ctx, req, out)
}

// again asks for what get has asked for, with further headers.
func (c *client) again(ctx context.Context, path string, header http.Header) (status int, err error) {
	req, err := c.NewRequest(http.MethodGet, path, nil)
	if err != nil {
		return 0, err
	}
	maps.Copy(req.Header, header)
	resp, err := c.Do(ctx, req, nil)
	if resp != nil { // what is no success is an error, too
		return resp.StatusCode, nil
	}
	return 0, err
}
