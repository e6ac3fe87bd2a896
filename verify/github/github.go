// Package github judges found GitHub tokens: what the token's own form tells, whether it works, whose it is, and what it may do.
//
// Offline nothing is asked. Live, the API that the token would be used with is asked, with the token, by GET alone.
package github

import (
	"cmp"
	"context"
	"fmt"
	"hash/crc32"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/verify/internal/ask"
)

// API is asked when GITHUB_API_URL names no other.
const API = "https://api.github.com"

// maxPages of memberships and repositories are read, of a hundred each: five hundred of either say enough about a token.
const maxPages = 5

// Verifier judges GitHub tokens. It is safe for concurrent use.
type Verifier struct{ github ask.Service }

// New makes a verifier, which asks GitHub if it is live.
func New(env audit.Env, live bool) *Verifier {
	return &Verifier{ask.Service{Env: env, Name: "github", Address: cmp.Or(env.Getenv("GITHUB_API_URL"), API), Live: live}}
}

// Kinds implements [audit.Verifier].
func (v *Verifier) Kinds() []string {
	return []string{"github-pat", "github-fine-grained-pat", "github-oauth", "github-app-token"}
}

// forms are told apart by a token's first letters, see
// https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/about-authentication-to-github#githubs-token-formats
var forms = map[string]string{
	"ghp_": "personal access token (classic)", "github_pat_": "fine-grained personal access token", "gho_": "OAuth access token",
	"ghu_": "user token of a GitHub App", "ghs_": "installation token of a GitHub App",
}

// summed are the tokens that end with a checksum of what stands before it, for 36 letters after the prefix, see
// https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/
var summed = lazyregexp.New(`^gh[pous]_([0-9A-Za-z]{30})([0-9A-Za-z]{6})$`)

// form is what kind of token it is, by its first letters, or "".
func form(token string) string {
	for prefix, name := range forms {
		if strings.HasPrefix(token, prefix) {
			return name
		}
	}
	return ""
}

// issued tells whether a token's checksum is that of its letters; known is false for a token without one.
func issued(token string) (fits, known bool) {
	m := summed().FindStringSubmatch(token)
	if m == nil {
		return false, false
	}
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum := []byte("000000")
	for n, i := crc32.ChecksumIEEE([]byte(m[1])), len(sum)-1; n > 0; n, i = n/62, i-1 {
		sum[i] = digits[n%62]
	}
	return string(sum) == m[2], true
}

// Verify implements [audit.Verifier].
func (v *Verifier) Verify(ctx context.Context, s *audit.Secret) (audit.Verdict, error) {
	verdict := ask.Offline(v.github.Env)
	token := s.Reveal()
	if f := form(token); f != "" {
		verdict.Facts["form"] = f
	}
	fits, known := issued(token)
	if known {
		verdict.Facts["checksum"] = map[bool]string{true: "fits", false: "does not fit"}[fits]
	}
	if v.github.Live && known && !fits {
		verdict.Facts["reason"] = "not asked: its checksum does not fit, GitHub issued no such token"
		return verdict, nil
	}
	questions := user
	if strings.HasPrefix(token, "ghs_") {
		questions = installation
	}
	return v.github.About(ctx, verdict, token, "Authorization", "Bearer ", func(ctx context.Context, q *ask.Inquiry) error {
		q.Header.Set("X-Github-Api-Version", "2022-11-28")
		return questions(ctx, q)
	})
}

// works sets whether the token works by the answer to the first question, and tells whether that answer has content.
func works(q *ask.Inquiry, a *ask.Answer) bool {
	switch {
	case a.OK():
		q.Active()
	case a.Status == http.StatusUnauthorized:
		q.Inactive("refused by " + q.Issuer.Host() + ": revoked, expired or never issued there")
	case a.Status == http.StatusForbidden && (a.Says("suspended") || a.Says("blocked")):
		q.Inactive("its account is suspended or blocked")
	case a.Status == http.StatusForbidden: // GitHub refuses a token that it does not know with 401, and one that may not do this with 403
		q.Active()
		q.Limit("whose it is may not be asked with it (403)")
	default:
		q.Unexpected(a)
	}
	q.Fact("scopes", a.Header.Get("X-OAuth-Scopes"))
	q.Fact("expires", a.Header.Get("GitHub-Authentication-Token-Expiration"))
	return a.OK()
}

// user asks about a token that acts for a person.
func user(ctx context.Context, q *ask.Inquiry) error {
	var who struct {
		Login, Type string
		SiteAdmin   bool `json:"site_admin"`
	}
	a, err := q.Get(ctx, "/user", &who)
	if err != nil {
		return err
	}
	if !works(q, a) {
		return nil
	}
	q.Fact("login", who.Login)
	q.Fact("account_type", who.Type)
	_, scoped := a.Header[http.CanonicalHeaderKey("X-OAuth-Scopes")]
	scopes := map[string]bool{}
	for _, s := range strings.Split(a.Header.Get("X-OAuth-Scopes"), ",") {
		scopes[strings.TrimSpace(s)] = true
	}
	roles, err := memberships(ctx, q)
	if err != nil {
		return err
	}
	var list []repository
	repos, err := repositories(ctx, q, "/user/repos?per_page=100&sort=pushed", &list, &list)
	if err != nil {
		return err
	}
	if scoped {
		classic(q, who.Login, who.SiteAdmin, scopes, roles, repos)
		return nil
	}
	// Permissions of a fine-grained token are nowhere to be read with the token itself; what a repository's answer says is what its owner may do.
	q.Limit("the permissions of this kind of token cannot be read with it: what its owner may do is the upper bound")
	if repos.private > 0 {
		q.Raise(audit.LevelRead, who.Login, fmt.Sprintf("%d private repositories", repos.private), "GET /user/repos")
	}
	q.Reach.Level = audit.LevelUnknown
	return nil
}

// classic judges a token with scopes, which may do what its owner may do as far as the scopes go, see
// https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps
func classic(q *ask.Inquiry, login string, siteAdmin bool, scopes map[string]bool, roles map[string]string, repos holdings) {
	q.Reach.Level = audit.LevelNone
	if siteAdmin && scopes["site_admin"] {
		q.Raise(audit.LevelAdmin, login, "the instance "+q.Issuer.Host(), "scope site_admin of a site administrator")
	}
	if scopes["admin:enterprise"] {
		q.Raise(audit.LevelAdmin, login, "enterprises that "+login+" owns", "scope admin:enterprise")
		q.Limit("whether its owner owns an enterprise was not asked")
	}
	for _, org := range slices.Sorted(maps.Keys(roles)) {
		if roles[org] == "admin" && scopes["admin:org"] {
			q.Raise(audit.LevelAdmin, login, "github:"+org, "scope admin:org of an owner of the organisation")
		}
	}
	for _, scope := range []struct{ name, opens string }{
		{"repo", fmt.Sprintf("code of %s repositories", repos.writable())}, {"public_repo", "code of public repositories"},
		{"workflow", "workflows, and with them the secrets of their jobs"}, {"write:packages", "packages"},
		{"delete_repo", "existence of repositories"}, {"admin:repo_hook", "webhooks"}, {"write:repo_hook", "webhooks"},
		{"admin:org_hook", "webhooks of organisations"}, {"admin:public_key", "ssh keys of " + login}, {"write:public_key", "ssh keys of " + login},
		{"admin:gpg_key", "signing keys of " + login}, {"write:org", "teams and projects of organisations"}, {"admin:org", "settings of organisations"},
		{"manage_runners:org", "runners of organisations"}, {"manage_runners:enterprise", "runners of enterprises"}, {"codespace", "codespaces and their secrets"},
		{"gist", "gists"}, {"user", "profile of " + login}, {"write:discussion", "discussions"}, {"project", "projects"}, {"notifications", "notifications"},
	} {
		if scopes[scope.name] {
			q.Raise(audit.LevelWrite, login, scope.opens, "scope "+scope.name)
		}
	}
	for name := range scopes {
		if strings.HasPrefix(name, "read:") || strings.HasPrefix(name, "repo:") || name == "repo_deployment" || strings.HasSuffix(name, ":read") {
			q.Raise(audit.LevelRead, login, "what "+name+" names", "scope "+name)
		}
	}
	if q.Reach.Level == audit.LevelNone {
		q.Reach.Level = audit.LevelRead // of what is public, and who it is
		q.Limit("it has no scope: it reads what is public")
	}
}

// memberships are the organisations that a token's owner takes part in, with the role, as far as the token may say.
func memberships(ctx context.Context, q *ask.Inquiry) (map[string]string, error) {
	roles := map[string]string{}
	for page := 1; page <= maxPages; page++ {
		var list []struct {
			Role         string
			Organization struct{ Login string }
		}
		a, err := q.Get(ctx, "/user/memberships/orgs?state=active&per_page=100&page="+strconv.Itoa(page), &list)
		if err != nil {
			return nil, err
		}
		if !a.OK() {
			q.Limit("roles in organisations may not be read with it (%d)", a.Status)
			return roles, nil
		}
		for _, m := range list {
			roles[m.Organization.Login] = m.Role
		}
		if len(list) < 100 {
			break
		}
	}
	var lines []string
	for _, org := range slices.Sorted(maps.Keys(roles)) {
		lines = append(lines, org+" ("+roles[org]+")")
	}
	if len(lines) > 0 {
		q.Verdict.Facts["organizations"] = strings.Join(lines, ", ")
	}
	return roles, nil
}

type repository struct {
	FullName    string `json:"full_name"`
	Private     bool
	Permissions struct{ Admin, Push, Pull bool }
}

// holdings are the repositories that a token can name.
type holdings struct {
	all, private, push, admin int
	more                      bool // than were counted
}

func (h holdings) writable() string {
	if h.more {
		return "at least " + strconv.Itoa(h.push)
	}
	return strconv.Itoa(h.push)
}

// repositories counts what a listing has, up to maxPages pages of it.
func repositories(ctx context.Context, q *ask.Inquiry, path string, list *[]repository, page any) (h holdings, err error) {
	for n := 1; n <= maxPages; n++ {
		*list = nil
		a, err := q.Get(ctx, path+"&page="+strconv.Itoa(n), page)
		if err != nil {
			return h, err
		}
		if !a.OK() {
			q.Limit("repositories may not be listed with it (%d)", a.Status)
			return h, nil
		}
		for _, r := range *list {
			h.all++
			h.private += count(r.Private)
			h.push += count(r.Permissions.Push)
			h.admin += count(r.Permissions.Admin)
		}
		if h.more = len(*list) == 100; !h.more {
			break
		}
	}
	text := fmt.Sprintf("%d, of them %d private", h.all, h.private)
	if h.push > 0 {
		text += fmt.Sprintf(", %d writable, %d administered by its owner", h.push, h.admin)
	}
	if h.more {
		text = "at least " + text
	}
	q.Verdict.Facts["repositories"] = text
	return h, nil
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

// installation asks about a token that acts for an App, such as a job's GITHUB_TOKEN. It ends within the hour, and with the job.
func installation(ctx context.Context, q *ask.Inquiry) error {
	const path = "/installation/repositories?per_page="
	a, err := q.Get(ctx, path+"1", nil)
	if err != nil {
		return err
	}
	if !works(q, a) {
		return nil
	}
	q.Limit("the permissions of an installation's token cannot be read with it")
	var page struct{ Repositories []repository }
	_, err = repositories(ctx, q, path+"100", &page.Repositories, &page)
	return err
}
