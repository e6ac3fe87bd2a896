// Package gitea lists what lies in an organisation, user account or repository of Gitea or Forgejo: the repositories with their history,
// the variables of Actions with their values, the names of secrets, and runners.
//
// Paths, parameters and rights are those of Gitea's REST API v1, which each server describes itself (/swagger.v1.json). It only sends GET
// requests, by itself: Gitea's Go client keeps the context of a request in the client, so that jobs that share one cannot be
// cancelled one by one, asks for the server's version first, brings SSH agents along, and cannot do without what it does not know of.
package gitea

import (
	"context"
	"encoding/json"
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

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// Options say what to read of each target.
type Options struct {
	Sources audit.Sources
	Since   string // only history since this commit or date; "" for all
	AllRefs bool   // history of what is no branch, tag or note, too: pull requests

	MaxWait time.Duration // longest wait for a rate limit; 0 means 15 minutes

	sleep func(context.Context, time.Duration) error // for tests
}

// Provider reads refs of the form OWNER, OWNER/REPO, and *.
type Provider struct {
	env     audit.Env
	opts    Options
	connect func() (*client, error)
}

// New makes a provider. Where Gitea is and with which credential is read from the environment on first use: GITEA_URL, else gitea.com;
// GITEA_TOKEN, which may have several tokens, separated by commas. Without one public repositories can be read.
func New(env audit.Env, o Options) *Provider {
	return &Provider{env: env, opts: o, connect: sync.OnceValues(func() (*client, error) { return newClient(env, o) })}
}

// Name is "gitea".
func (p *Provider) Name() string { return "gitea" }

const (
	urlVar   = "GITEA_URL"
	tokenVar = "GITEA_TOKEN"
)

// client is the API with what else is known of the instance.
type client struct {
	env    audit.Env
	http   *http.Client
	web    *url.URL // where pages and repositories are
	api    *url.URL
	tokens []*forge.Credential

	versionOnce sync.Once
	versionSaid string
}

// signed tells whether there is a token.
func (c *client) signed() bool { return len(c.tokens) > 0 }

func newClient(env audit.Env, o Options) (*client, error) {
	address := env.Getenv(urlVar)
	if address == "" {
		address = "https://gitea.com"
	}
	web, err := forge.BaseURL(urlVar, address)
	if err != nil {
		return nil, err
	}
	web.Path, web.RawPath = strings.TrimSuffix(web.Path, "/api/v1"), ""
	c := &client{web: web, api: web.JoinPath("api/v1"), env: env}
	if c.tokens, err = forge.Tokens(tokenVar, env.Getenv(tokenVar)); err != nil {
		return nil, err
	}
	c.http = forge.New(env, forge.Config{
		API: "gitea", Base: c.api, BaseVar: urlVar, Header: "Authorization", Prefix: "token ", Credentials: forge.Any(c.tokens), MaxWait: o.MaxWait, Sleep: o.sleep,
	})
	return c, nil
}

// Names of users, organisations and repositories are of letters, digits, and these three; the rest of Gitea's rules, which older versions
// did not have, is left to it.
var (
	ownerName      = lazyregexp.New(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}$`)
	repositoryName = lazyregexp.New(`^[A-Za-z0-9_.-]{1,100}$`)
)

func validRepository(name string) bool {
	return repositoryName().MatchString(name) && name != "." && name != ".."
}

// Targets yields for OWNER the organisation, or the user if the token is that user's own, and each of its repositories; for OWNER/REPO
// what hands variables down to that repository, and the repository; for * all that an administrator of the server may see.
func (p *Provider) Targets(ctx context.Context, ref string) iter.Seq2[audit.Target, error] {
	return p.TargetsAfter(ctx, ref, "")
}

// TargetsAfter is Targets from a page of the list of repositories on.
func (p *Provider) TargetsAfter(ctx context.Context, ref, cursor string) iter.Seq2[audit.Target, error] {
	return func(yield func(audit.Target, error) bool) {
		owner, repo, one := strings.Cut(strings.TrimSuffix(ref, "/"), "/")
		repo = strings.TrimSuffix(repo, ".git")
		if ref != whole && !ownerName().MatchString(owner) || one && !validRepository(repo) {
			yield(audit.Target{}, audit.Hint(fmt.Errorf("%w: gitea:%s is not gitea:OWNER, gitea:OWNER/REPO or 'gitea:*'", audit.ErrUsage, ref),
				"name an organisation, a user, or one repository, such as gitea:acme/web"))
			return
		}
		c, err := p.connect()
		if err != nil {
			yield(audit.Target{}, err)
			return
		}
		ctx = forge.InOrder(ctx, "")
		l := &listing{client: c, opts: p.opts, ctx: ctx, owner: owner, yield: yield}
		doing := "listing repositories of " + owner
		switch {
		case ref == whole:
			doing = "listing what the server has"
			err = l.instance(parseSpot(cursor))
		case one:
			doing = "reading repository " + owner + "/" + repo
			err = l.one(repo)
		default:
			err = l.all(parseSpot(cursor))
		}
		if err != nil && !errors.Is(err, errBroken) {
			yield(audit.Target{}, c.fail(ctx, doing, err))
		}
	}
}

// ask sends one request. path is below the API's and may have a query.
func (c *client) ask(ctx context.Context, path string, header http.Header) (*http.Response, error) {
	return c.askAt(ctx, c.apiPage(path), header)
}

// apiPage is the address of what the API has.
func (c *client) apiPage(path string) string { return c.api.String() + "/" + path }

// askAt sends one request to an address of the server's.
func (c *client) askAt(ctx context.Context, address string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Header, header)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, forge.Plain(err)
	}
	return resp, nil
}

// again asks for what get has asked for, with further headers.
func (c *client) again(ctx context.Context, path string, header http.Header) (status int, err error) {
	resp, err := c.ask(ctx, path, header)
	if status = forge.StatusOf(err); status != 0 {
		return status, nil
	}
	if err != nil {
		return 0, err
	}
	_ = resp.Body.Close()
	return resp.StatusCode, nil
}

// get reads one answer and returns its header.
func (c *client) get(ctx context.Context, path string, query url.Values, out any) (http.Header, error) {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	resp, err := c.ask(ctx, path, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return nil, fmt.Errorf("GET %s: the answer is not what Gitea describes: %w", resp.Request.URL.Path, err)
	}
	return resp.Header, nil
}

// versionForm is how Gitea and Forgejo number their versions: 1.26.0, 1.27.0+dev-12-gabcdef, 12.0.1+gitea-1.22.0.
var versionForm = lazyregexp.New(`^[0-9A-Za-z][0-9A-Za-z.+~_-]{0,60}$`)

// version is what the server says of itself, to whomever; "" if it does not. It is asked once.
func (c *client) version(ctx context.Context) string {
	c.versionOnce.Do(func() {
		var answer struct {
			Version string `json:"version"`
		}
		if _, err := c.get(ctx, "version", nil, &answer); err == nil && versionForm().MatchString(answer.Version) {
			c.versionSaid = answer.Version
		}
	})
	return c.versionSaid
}

// webPage is the address of a page for people.
func (c *client) webPage(path ...string) string { return c.web.JoinPath(path...).String() }

// pageSize is what is asked for at once. Gitea gives 50, or what its administrator lets it.
const pageSize = 100

// around is what an answer tells of the pages around it.
type around struct{ next, last, total int } // numbers of pages, and of all items; 0 where it does not tell

// getPage reads page number of a listing that is plain.
func getPage[T any](ctx context.Context, c *client, path string, number int) (items []*T, at around, err error) {
	var found []*T
	h, err := c.get(ctx, path, pageQuery(number), &found)
	if err != nil {
		return nil, at, err
	}
	return present(found), aroundOf(h), nil
}

// present are the items of a list that are none of null.
func present[T any](found []*T) []*T {
	return slices.DeleteFunc(found, func(item *T) bool { return item == nil })
}

func pageQuery(number int) url.Values {
	return url.Values{"limit": {strconv.Itoa(pageSize)}, "page": {strconv.Itoa(number)}}
}

var links = lazyregexp.New(`<([^<>]*)>; rel="(next|last)"`)

// aroundOf reads a header. Of links the number counts: the addresses are not followed.
func aroundOf(h http.Header) (at around) {
	at.total, _ = strconv.Atoi(h.Get("X-Total-Count"))
	for _, m := range links().FindAllStringSubmatch(h.Get("Link"), -1) {
		link, err := url.Parse(m[1])
		if err != nil {
			continue
		}
		number, _ := strconv.Atoi(link.Query().Get("page"))
		if m[2] == "next" {
			at.next = number
		} else {
			at.last = number
		}
	}
	return at
}

// fail makes of an error what ends a ref: the exit code it decides and what to do about it.
func (c *client) fail(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, audit.ErrNothing) {
		return err
	}
	err = needing("", err)
	e := (*forge.Error)(nil)
	if !errors.As(err, &e) || !e.Until.IsZero() {
		return fmt.Errorf("%s: %w", doing, err)
	}
	advice := "set " + tokenVar + " to a token with scopes read:repository, read:organization and read:user that may read it"
	switch e.Status {
	case http.StatusUnauthorized:
		if c.signed() {
			advice = "check " + tokenVar + ": it is revoked or not meant for " + c.web.Host
		}
		return audit.Hint(fmt.Errorf("%w: %s: %w", audit.ErrAuth, doing, err), advice)
	case http.StatusForbidden:
		return audit.Hint(fmt.Errorf("%w: %s: %w", audit.ErrAuth, doing, err), advice)
	case http.StatusNotFound:
		if !c.signed() {
			return audit.Hint(fmt.Errorf("%w: %s: it does not exist, or needs a token: %w", audit.ErrAuth, doing, err), advice)
		}
		return audit.Hint(fmt.Errorf("%w: %s: it does not exist, or the token may not see it: %w", audit.ErrAuth, doing, err),
			"check the name, and that the token in "+tokenVar+" belongs to somebody who may see it")
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// scopes is in what Gitea answers a token that may not do what its user may.
var scopes = lazyregexp.New(`required=\[([a-z:, ]{1,100})\]`)

// needing says in a refusal what would have been enough: the token's scope, else the role of its user.
func needing(role string, err error) error {
	e := (*forge.Error)(nil)
	if !errors.As(err, &e) || e.Status != http.StatusForbidden {
		return err
	}
	more := *e
	if m := scopes().FindStringSubmatch(e.Message); m != nil {
		more.Needs, more.Message = "a token with scope "+strings.Join(strings.Fields(m[1]), " or "), ""
	} else if more.Needs == "" {
		more.Needs = role
	}
	return &more
}
