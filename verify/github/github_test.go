package github_test

import (
	"crypto/rand"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/verify/github"
	"github.com/leakreach/leakreach/verify/internal/asktest"
)

// token makes one whose checksum fits.
func token(prefix string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	b := make([]byte, 30)
	_, _ = rand.Read(b)
	for i := range b {
		b[i] = digits[int(b[i])%len(digits)]
	}
	sum := ""
	for n := crc32.ChecksumIEEE(b); len(sum) < 6; n /= 62 {
		sum = string(digits[n%62]) + sum
	}
	return prefix + string(b) + sum
}

const (
	bad   = `{"message":"Bad credentials","documentation_url":"https://docs.github.com/rest","status":"401"}`
	user  = `{"login":"ci-bot","id":1,"type":"User","site_admin":false}`
	repos = `[{"full_name":"acme/web","private":true,"permissions":{"admin":false,"push":true,"pull":true}},
		{"full_name":"ci-bot/dots","private":false,"permissions":{"admin":true,"push":true,"pull":true}}]`
	owner = `[{"role":"admin","state":"active","organization":{"login":"acme"}},{"role":"member","state":"active","organization":{"login":"other"}}]`

	pathOrgs  = "/user/memberships/orgs?state=active&per_page=100&page=1"
	pathRepos = "/user/repos?per_page=100&sort=pushed&page=1"
)

func TestVerify(t *testing.T) {
	scopes := func(s string) map[string]string { return map[string]string{"X-OAuth-Scopes": s} }
	page := func(body string) asktest.Page { return asktest.Page{Body: body} }
	for _, c := range []struct {
		name, kind, prefix string
		pages              map[string]asktest.Page
		validity           audit.Validity
		level              audit.Level
		facts              map[string]string
		limit              string // part of one of them
		calls              int
	}{
		{"owner of an organisation", "github-pat", "ghp_", map[string]asktest.Page{
			"/user":  {Body: user, Header: map[string]string{"X-OAuth-Scopes": "admin:org, repo", "GitHub-Authentication-Token-Expiration": "2027-01-01 00:00:00 UTC"}},
			pathOrgs: page(owner), pathRepos: page(repos),
		}, audit.Active, audit.LevelAdmin, map[string]string{
			"login": "ci-bot", "scopes": "admin:org, repo", "expires": "2027-01-01 00:00:00 UTC", "organizations": "acme (admin), other (member)",
			"repositories": "2, of them 1 private, 2 writable, 1 administered by its owner", "checksum": "fits", "host": "api.github.com",
		}, "", 3},
		{"writes code", "github-pat", "ghp_", map[string]asktest.Page{"/user": {Body: user, Header: scopes("repo, workflow")}, pathOrgs: {Status: 403}, pathRepos: page(repos)},
			audit.Active, audit.LevelWrite, nil, "roles in organisations may not be read with it (403)", 3},
		{"an owner without the scope", "github-pat", "ghp_", map[string]asktest.Page{"/user": {Body: user, Header: scopes("read:org")}, pathOrgs: page(owner), pathRepos: page(`[]`)},
			audit.Active, audit.LevelRead, nil, "", 3},
		{"no scope", "github-oauth", "gho_", map[string]asktest.Page{"/user": {Body: user, Header: scopes("")}, pathOrgs: page(`[]`), pathRepos: page(`[]`)},
			audit.Active, audit.LevelRead, nil, "it has no scope", 3},
		{"fine-grained", "github-fine-grained-pat", "github_pat_", map[string]asktest.Page{"/user": page(user), pathOrgs: page(owner), pathRepos: page(repos)},
			audit.Active, audit.LevelUnknown, map[string]string{"form": "fine-grained personal access token"}, "upper bound", 3},
		{"a job's", "github-app-token", "ghs_", map[string]asktest.Page{
			"/installation/repositories?per_page=1":          page(`{"total_count":1,"repositories":[]}`),
			"/installation/repositories?per_page=100&page=1": page(`{"total_count":1,"repositories":[{"full_name":"acme/web","private":true}]}`),
		}, audit.Active, audit.LevelUnknown, map[string]string{"repositories": "1, of them 1 private"}, "cannot be read with it", 2},
		{"an account that is suspended", "github-pat", "ghp_", map[string]asktest.Page{"/user": {Status: 403, Body: `{"message":"Sorry. Your account was suspended."}`}},
			audit.Inactive, "", nil, "", 1},
		{"may not say whose it is", "github-pat", "ghp_", map[string]asktest.Page{"/user": {Status: 403, Body: `{"message":"Resource protected by organization SAML enforcement."}`}},
			audit.Active, audit.LevelUnknown, nil, "may not be asked", 1},
		{"an answer that is no answer", "github-pat", "ghp_", map[string]asktest.Page{"/user": page(`<html>`)}, audit.Unknown, "", nil, "", 1},
		{"a redirect", "github-pat", "ghp_", map[string]asktest.Page{"/user": {Status: 302, Header: map[string]string{"Location": "/elsewhere"}}}, audit.Unknown, "", nil, "", 1},
		{"half an answer", "github-pat", "ghp_", map[string]asktest.Page{"/user": {Body: user, Header: scopes("repo")}, pathOrgs: page(`{`)},
			audit.Active, audit.LevelUnknown, nil, "not the JSON", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			value := token(c.prefix)
			issuer := asktest.New(t, "Authorization", value, bad, c.pages, nil)
			issuer.Holds(t, github.New(issuer.Env, true), audit.NewSecret(c.kind, "", value),
				asktest.Want{Validity: c.validity, Level: c.level, Facts: c.facts, Limit: c.limit, Calls: c.calls})
		})
	}
}

// Nobody hears of a token offline, of one that GitHub never issued, and of what is none.
func TestNotAsked(t *testing.T) {
	good := token("ghp_")
	forged := good[:len(good)-1] + map[bool]string{true: "b", false: "a"}[strings.HasSuffix(good, "a")]
	for _, c := range []struct {
		name, value string
		live        bool
		fact        string
	}{
		{"offline", good, false, "checksum=fits"},
		{"no checksum of GitHub's", forged, true, "checksum=does not fit"},
		{"two lines", good + "\nX-Header: 1", true, "reason=not asked: what was found cannot be sent as a token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			issuer := asktest.New(t, "Authorization", good, bad, nil, nil)
			verdict, err := github.New(issuer.Env, c.live).Verify(t.Context(), audit.NewSecret("github-pat", "", c.value))
			name, want, _ := strings.Cut(c.fact, "=")
			if err != nil || verdict.Validity != audit.Unchecked || verdict.Facts[name] != want || len(issuer.Asked()) > 0 {
				t.Errorf("got %+v, %v after %q; want %s", verdict, err, issuer.Asked(), c.fact)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	issuer := asktest.New(t, "Authorization", token("ghp_"), bad, nil, map[string]string{"GITHUB_API_URL": "https://github.example.com/api/v3/"})
	verdict, err := github.New(issuer.Env, true).Verify(t.Context(), audit.NewSecret("github-pat", "", token("ghp_")))
	if err != nil || verdict.Validity != audit.Inactive || verdict.Facts["host"] != "github.example.com" || verdict.Reach != nil {
		t.Errorf("got %+v, %v", verdict, err)
	}
	if asked := issuer.Asked(); len(asked) != 1 || asked[0] != "/api/v3/user" {
		t.Errorf("asked %q", asked)
	}
}

// A found token is sent to no address that is not one, and by https alone.
func TestAddress(t *testing.T) {
	for _, address := range []string{"http://github.example.com", "github.example.com", "https://user@github.example.com", "https://github.example.com?x=1"} {
		issuer := asktest.New(t, "Authorization", token("ghp_"), bad, nil, map[string]string{"GITHUB_API_URL": address})
		_, err := github.New(issuer.Env, true).Verify(t.Context(), audit.NewSecret("github-pat", "", token("ghp_")))
		if err == nil || len(issuer.Asked()) > 0 {
			t.Errorf("%s: error %v after %q", address, err, issuer.Asked())
		}
	}
}
