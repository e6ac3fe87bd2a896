// Package gitea judges found tokens of Gitea and Forgejo: whether a server knows the token, whose it is, and what it may do.
//
// A token does not tell which server issued it, and most servers are somebody's own. The one that GITEA_URL names is asked and no other, and a token
// that it does not know is not called dead.
package gitea

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/verify/internal/ask"
)

// urlVar names the server.
const urlVar = "GITEA_URL"

// Verifier judges tokens. It is safe for concurrent use.
type Verifier struct{ gitea ask.Service }

// New makes a verifier, which asks the server of GITEA_URL if it is live.
func New(env audit.Env, live bool) *Verifier {
	return &Verifier{ask.Service{Env: env, Name: "gitea", Address: env.Getenv(urlVar), Live: live}}
}

// Kinds implements [audit.Verifier].
func (v *Verifier) Kinds() []string { return []string{audit.KindGiteaToken} }

// Verify implements [audit.Verifier].
func (v *Verifier) Verify(ctx context.Context, s *audit.Secret) (audit.Verdict, error) {
	offline := ask.Offline(v.gitea.Env)
	if v.gitea.Live && v.gitea.Address == "" {
		offline.Facts["reason"] = "not asked: which server issued it is not told; " + urlVar + " names one"
		return offline, nil
	}
	t := &token{value: s.Reveal()}
	return v.gitea.About(ctx, offline, t.value, "Authorization", "Bearer ", t.ask)
}

// A token is what is being learnt about one.
type token struct {
	value, login string
	admin        bool            // its owner administers the server
	scopes       map[string]bool // nil as long as nobody has told them
}

// toldScopes is how a refusal for want of a scope ends: with the scopes that there are.
var toldScopes = lazyregexp.New(`required scope\(s\).*token scope=([a-z:,-]{1,400})`)

// get asks for a path. A refusal for want of a scope tells which ones there are, see https://docs.gitea.com/development/oauth2-provider#scopes
func (t *token) get(ctx context.Context, q *ask.Inquiry, path string, into any) (*ask.Answer, error) {
	a, err := q.Get(ctx, "/api/v1"+path, into)
	if err != nil || a.Status != http.StatusForbidden || t.scopes != nil {
		return a, err
	}
	var refusal struct{ Message string }
	if err := a.Decode(&refusal); err == nil {
		if m := toldScopes().FindStringSubmatch(refusal.Message); m != nil {
			t.scopes = map[string]bool{}
			for scope := range strings.SplitSeq(m[1], ",") {
				t.scopes[scope] = true
			}
		}
	}
	return a, nil
}

// may tells whether a token has a scope, such as write:repository. It is not sure where nobody has told the scopes.
func (t *token) may(scope string) (has, sure bool) {
	kind, what, _ := strings.Cut(scope, ":")
	return t.scopes["all"] || t.scopes[scope] || kind == "read" && t.scopes["write:"+what], t.scopes != nil
}

func (t *token) ask(ctx context.Context, q *ask.Inquiry) error {
	var who struct {
		Login   string
		IsAdmin bool `json:"is_admin"`
	}
	a, err := t.get(ctx, q, "/user", &who)
	if err != nil {
		return err
	}
	switch {
	case a.OK():
		q.Active()
	case t.scopes != nil || a.Status == http.StatusForbidden && a.Says("required scope"): // Forgejo says no more
		q.Active()
		q.Limit("whose it is may not be asked with it (%d)", a.Status)
	case a.Status == http.StatusUnauthorized:
		q.Unknown(q.Issuer.Host() + " does not know it: it was deleted, or is another server's, which " + urlVar + " would name")
		return nil
	case a.Status == http.StatusForbidden && (a.Says("prohibited") || a.Says("not activated")):
		q.Inactive("its account may not sign in")
		return nil
	default:
		q.Unexpected(a)
		return nil
	}
	t.login, t.admin = who.Login, who.IsAdmin
	q.Fact("login", t.login)
	for _, path := range []string{"/admin/cron?limit=1", "/notifications/new"} { // scopes that few tokens have
		if t.scopes == nil {
			if _, err := t.get(ctx, q, path, nil); err != nil {
				return err
			}
		}
	}
	if err := t.organisations(ctx, q); err != nil {
		return err
	}
	if err := t.repositories(ctx, q); err != nil {
		return err
	}
	t.told(q)
	return nil
}

// told says what the scopes allow.
func (t *token) told(q *ask.Inquiry) {
	if t.scopes == nil {
		q.Limit("its scopes are told only where one is missing: it has at least those to read")
		q.Raise(audit.LevelRead, t.login, "what its owner sees", "it is answered")
		return
	}
	var names []string
	for name := range t.scopes {
		names = append(names, name)
	}
	slices.Sort(names)
	q.Fact("scopes", strings.Join(names, ", "))
	for _, name := range names {
		switch {
		case name == "public-only":
			q.Limit("scope public-only: what is private is out of its reach")
		case strings.HasPrefix(name, "read:"):
			q.Raise(audit.LevelRead, t.login, "what "+name+" names", "scope "+name)
		default: // all, write:… and what is yet to come
			q.Raise(audit.LevelWrite, t.login, "what "+name+" names", "scope "+name)
		}
	}
	if has, _ := t.may("write:admin"); has && t.admin {
		q.Raise(audit.LevelAdmin, t.login, "the server "+q.Issuer.Host(), "scope write:admin of an administrator")
	}
}

// perPage is how many organisations and repositories are read; servers list as many unless they are told to list fewer.
const perPage = 50

// maxOrganisations are asked what a token's owner is in them.
const maxOrganisations = 10

// organisations asks which of its owner's organisations the token opens. See https://docs.gitea.com/api/ (orgListCurrentUserOrgs, orgGetUserPermissions)
func (t *token) organisations(ctx context.Context, q *ask.Inquiry) error {
	var orgs []struct{ Name string }
	a, err := t.get(ctx, q, fmt.Sprintf("/user/orgs?limit=%d", perPage), &orgs)
	if err != nil {
		return err
	}
	if !a.OK() {
		q.Limit("organisations may not be listed with it (%d)", a.Status)
		return nil
	}
	q.Fact("organisations", counted(len(orgs)))
	if len(orgs) > maxOrganisations {
		q.Limit("what its owner is was asked of %d organisations only", maxOrganisations)
	}
	for _, o := range orgs[:min(len(orgs), maxOrganisations)] {
		var role struct {
			IsOwner bool `json:"is_owner"`
		}
		a, err := t.get(ctx, q, "/users/"+url.PathEscape(t.login)+"/orgs/"+url.PathEscape(o.Name)+"/permissions", &role)
		if err != nil {
			return err
		}
		has, sure := t.may("write:organization")
		switch {
		case !a.OK():
			q.Limit("what its owner is in organisation %s may not be asked with it (%d)", o.Name, a.Status)
		case role.IsOwner && has:
			q.Raise(audit.LevelAdmin, t.login, "gitea:"+o.Name, "scope write:organization of an owner")
		case role.IsOwner && !sure:
			q.Limit("it is of an owner of organisation %s, and whether it may change that is not told", o.Name)
		}
	}
	return nil
}

func counted(n int) string {
	if n < perPage {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d or more", n)
}

// repositories asks which repositories its owner may push to, and whether the token may, too. See https://docs.gitea.com/api/ (userCurrentListRepos)
func (t *token) repositories(ctx context.Context, q *ask.Inquiry) error {
	var all []struct {
		FullName    string `json:"full_name"`
		Archived    bool
		Permissions struct{ Admin, Push bool }
	}
	a, err := t.get(ctx, q, fmt.Sprintf("/user/repos?limit=%d", perPage), &all)
	if err != nil {
		return err
	}
	if !a.OK() {
		q.Limit("repositories may not be listed with it (%d)", a.Status)
		return nil
	}
	q.Fact("repositories", counted(len(all)))
	var open []string
	for _, r := range all {
		if r.Permissions.Push && !r.Archived {
			open = append(open, r.FullName)
		}
	}
	if len(open) == 0 {
		return nil
	}
	has, sure := t.may("write:repository")
	if !sure {
		if has, err = t.pushes(ctx, q, open[0]); err != nil {
			return err
		}
	}
	if has {
		q.Raise(audit.LevelWrite, t.login, counted(len(open))+" repositories and their secrets", "scope write:repository of who may push")
	}
	return nil
}

// pushes asks whether a token may push to a repository, as git asks before it does: what there is at the other end. Nothing is sent. See
// https://git-scm.com/docs/http-protocol#_smart_server_response
func (t *token) pushes(ctx context.Context, q *ask.Inquiry, name string) (bool, error) {
	owner, repository, _ := strings.Cut(name, "/")
	header := q.Header
	defer func() { q.Header = header }()
	q.Header = http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(t.login+":"+t.value))}}
	a, err := q.Get(ctx, "/"+url.PathEscape(owner)+"/"+url.PathEscape(repository)+".git/info/refs?service=git-receive-pack", nil)
	if err != nil {
		return false, err
	}
	return a.OK(), nil
}
