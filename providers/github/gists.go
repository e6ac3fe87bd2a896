package github

import (
	"context"
	"fmt"
	"iter"
	"net/url"
	"strings"

	"github.com/google/go-github/v60/github"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// Gists are git repositories of people, each a target of its own. Those of an organisation's members are listed one person after the other; secret
// ones are told to their owner's own token alone. Whoever knows the name of a gist may fetch it, so no token is sent for that.

const (
	// mostMembers is how many people are asked for: each costs a request.
	mostMembers = 1000
	// mostGists are read of one person.
	mostGists = 1000
)

// gistName is what GitHub calls one: digits in old ones, hexadecimal ones since.
var gistName = lazyregexp.New(`^[0-9a-f]{1,40}$`)

// gists yields those of an organisation's members, or of a person. It tells whether to go on.
func (s *sweep) gists(ctx context.Context, owner string, isOrg bool) bool {
	if !s.sources.Has(audit.SourceGists) || s.pick.isChoice() {
		return true
	}
	own := s.ownLogins(ctx)
	if !isOrg {
		return s.gistsOf(ctx, owner, owner, own)
	}
	n := 0
	for u, err := range paged(ctx, otherPage, func(u *github.User) string { return u.GetLogin() }, func(o github.ListOptions) ([]*github.User, int, *github.Response, error) {
		people, resp, err := s.Organizations.ListMembers(ctx, owner, &github.ListMembersOptions{ListOptions: o})
		return people, 0, resp, err
	}) {
		switch {
		case err != nil && ctx.Err() != nil:
			return s.yield(audit.Target{}, ctx.Err())
		case err != nil:
			if !s.yield(audit.Target{}, forge.Gap("github:"+owner, fmt.Sprintf("gists of members after the first %d", n), err)) {
				return false
			}
		case n == mostMembers:
			return s.yield(audit.Target{}, &audit.Gap{Target: "github:" + owner, What: "gists of further members", Why: fmt.Sprintf("those of %d were asked for; name a person, as github:LOGIN", n)})
		default:
			n++
			if !s.gistsOf(ctx, owner, u.GetLogin(), own) {
				return false
			}
		}
	}
	return true
}

// ownLogins are the people that the tokens are of, in lower case.
func (s *sweep) ownLogins(ctx context.Context) map[string]*forge.Credential {
	own := map[string]*forge.Credential{}
	for _, token := range s.tokens {
		if u, _, err := s.Users.Get(forge.With(ctx, token), ""); err == nil { // the token of an App's installation is nobody's
			own[strings.ToLower(u.GetLogin())] = token
		}
	}
	return own
}

// gistsOf yields a person's gists, the secret ones if a token is theirs.
func (s *sweep) gistsOf(ctx context.Context, owner, login string, own map[string]*forge.Credential) bool {
	if !ownerName().MatchString(login) {
		return s.yield(audit.Target{}, &audit.Gap{Target: "github:" + owner, What: "gists of a member", Why: fmt.Sprintf("impossible name %.200q", login)})
	}
	path := "users/" + login + "/gists"
	if token := own[strings.ToLower(login)]; token != nil {
		ctx, path = forge.With(ctx, token), "gists"
	}
	n := 0
	for x, err := range paged(ctx, otherPage, func(x *gist) string { return x.ID }, func(o github.ListOptions) ([]*gist, int, *github.Response, error) {
		var list []*gist
		resp, err := s.get(ctx, path, pageQuery(o), &list)
		return list, 0, resp, err
	}) {
		if err == nil && n == mostGists {
			return s.yield(audit.Target{}, &audit.Gap{Target: "github:" + owner, What: "further gists of " + login, Why: fmt.Sprintf("%d are read", n)})
		}
		var t audit.Target
		if err == nil {
			n++
			s.shown++
			t, err = s.gist(x, login)
		} else if ctx.Err() == nil {
			err = forge.Gap("github:"+owner, "gists of "+login, err)
		}
		if !s.yield(t, err) {
			return false
		}
	}
	return true
}

// A gist is what "List gists" tells of one.
type gist struct {
	ID      string `json:"id"`
	Page    string `json:"html_url"`
	PullURL string `json:"git_pull_url"`
	Public  bool   `json:"public"`
	Owner   struct {
		Login string `json:"login"` // "" of one that was made without an account, as was possible once
	} `json:"owner"`
}

// gistTarget yields one by name.
func (c *client) gistTarget(ctx context.Context, id string, yield func(audit.Target, error) bool) {
	var x gist
	if _, err := c.get(ctx, "gists/"+id, nil, &x); err != nil {
		yield(audit.Target{}, c.fail(ctx, "reading gist "+id, err))
		return
	}
	if x.ID != id {
		yield(audit.Target{}, fmt.Errorf("reading gist %s: the answer is about another, %.200q", id, x.ID))
		return
	}
	login := x.Owner.Login
	if !ownerName().MatchString(login) {
		login = ""
	}
	yield(c.gist(&x, login))
}

// gist makes a target of one. Its addresses are taken if they are of the instance, or of its host for gists.
func (c *client) gist(x *gist, login string) (audit.Target, error) {
	if !gistName().MatchString(x.ID) {
		return audit.Target{}, &audit.Gap{Target: "github:" + login, What: "a gist", Why: fmt.Sprintf("impossible name %.200q", x.ID)}
	}
	name := "github:gist/" + x.ID
	pull := c.gistAddress(x.PullURL, x.ID)
	if pull == "" {
		return audit.Target{}, &audit.Gap{Target: name, What: "the gist", Why: "it is said to lie on another host"}
	}
	t := audit.Target{Name: name, Kind: audit.TargetGist, URL: c.gistAddress(x.Page, x.ID), Attrs: map[string]string{"clone_url": pull, "owner": login, "visibility": "secret"}}
	if x.Public {
		t.Attrs["visibility"] = "public"
	}
	return t, nil
}

// gistAddress is an address of a gist as it was told; "" if it is of another instance, or of something else.
func (c *client) gistAddress(told, id string) string {
	u, err := url.Parse(told)
	if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" || !strings.HasSuffix(strings.TrimSuffix(u.Path, ".git"), "/"+id) {
		return ""
	}
	for _, web := range c.web {
		if (u.Host == web.Host || u.Host == "gist."+web.Host) && (u.Scheme == "https" || u.Scheme == web.Scheme) {
			return u.String()
		}
	}
	return ""
}

// gistItems yields what a gist's files have, and had, with the addresses that revisions have on the web.
func (p *Provider) gistItems(ctx context.Context, c *client, t audit.Target) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		for it, err := range p.history(ctx, c, t) {
			if err == nil && it.At.Commit != "" {
				it.At.URL = t.URL + "/" + it.At.Commit
			}
			if !yield(it, err) {
				return
			}
		}
	}
}
