// Package gitlab judges found GitLab tokens: whether an instance knows the token, whose it is, and what it may do.
//
// A token does not tell which instance issued it. The one that CI_API_V4_URL or GITLAB_URL names is asked, else gitlab.com, and a
// token that the instance does not know is not called dead.
package gitlab

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/verify/internal/ask"
)

// API is asked when the environment names no instance.
const API = "https://gitlab.com/api/v4"

// kindJob is the token of one job. It ends with the job.
const kindJob = "gitlab-cicd-job-token"

// Verifier judges GitLab tokens. It is safe for concurrent use.
type Verifier struct{ gitlab ask.Service }

// New makes a verifier, which asks GitLab if it is live.
func New(env audit.Env, live bool) *Verifier {
	address := API
	if api := env.Getenv("CI_API_V4_URL"); api != "" {
		address = api
	} else if url := env.Getenv("GITLAB_URL"); url != "" {
		address = strings.TrimRight(url, "/") + "/api/v4"
	}
	return &Verifier{ask.Service{Env: env, Name: "gitlab", Address: address, Live: live}}
}

// Kinds implements [audit.Verifier].
func (v *Verifier) Kinds() []string { return []string{"gitlab-pat", "gitlab-pat-routable", kindJob} }

// Verify implements [audit.Verifier].
func (v *Verifier) Verify(ctx context.Context, s *audit.Secret) (audit.Verdict, error) {
	offline := ask.Offline(v.gitlab.Env)
	if s.Kind == kindJob {
		return v.gitlab.About(ctx, offline, s.Reveal(), "Job-Token", "", job)
	}
	return v.gitlab.About(ctx, offline, s.Reveal(), "Private-Token", "", access)
}

// works sets whether the token works by the answer to the first question, and tells whether that answer has content.
func works(q *ask.Inquiry, a *ask.Answer) bool {
	refused := a.Status == http.StatusUnauthorized
	switch {
	case a.OK():
		q.Active()
	case refused && a.Says("revoked"):
		q.Inactive(q.Issuer.Host() + " says that it was revoked")
	case refused && a.Says("expired"):
		q.Inactive(q.Issuer.Host() + " says that it has expired")
	case refused:
		q.Unknown(q.Issuer.Host() + " does not know it: it was deleted, or is another instance's, which GITLAB_URL would name")
	case a.Status == http.StatusForbidden: // a token that may not do this is refused with 403, one that is not known with 401
		q.Active()
		q.Limit("what it is may not be asked with it (403)")
	default:
		q.Unexpected(a)
	}
	return a.OK()
}

// access asks about a personal, group or project access token, see https://docs.gitlab.com/api/personal_access_tokens/#retrieve-self
func access(ctx context.Context, q *ask.Inquiry) error {
	var self struct {
		Name       string
		Scopes     []string
		CreatedAt  string `json:"created_at"`
		LastUsedAt string `json:"last_used_at"`
		ExpiresAt  string `json:"expires_at"`
	}
	a, err := q.Get(ctx, "/personal_access_tokens/self", &self)
	if err != nil {
		return err
	}
	if !works(q, a) {
		return nil
	}
	q.Fact("name", self.Name)
	q.Fact("scopes", strings.Join(self.Scopes, ", "))
	q.Fact("created", self.CreatedAt)
	q.Fact("last_used", self.LastUsedAt)
	q.Fact("expires", cmp.Or(self.ExpiresAt, "never"))
	login, admin, err := owner(ctx, q)
	if err != nil {
		return err
	}
	for _, s := range self.Scopes {
		q.Raise(levelOf(s), login, "what "+s+" names", "scope "+s)
	}
	writes := slices.Contains(self.Scopes, "api")
	if writes && admin {
		q.Raise(audit.LevelAdmin, login, "the instance "+q.Issuer.Host(), "scope api of an administrator")
	}
	if !writes && !slices.Contains(self.Scopes, "read_api") {
		q.Limit("without scope api or read_api, groups and projects cannot be listed with it")
		return nil
	}
	return memberships(ctx, q, login, writes)
}

// levelOf is what a scope allows at most, see https://docs.gitlab.com/user/profile/personal_access_tokens/#personal-access-token-scopes
func levelOf(scope string) audit.Level {
	switch {
	case strings.HasPrefix(scope, "read_"), scope == "ai_features", scope == "openid", scope == "profile", scope == "email":
		return audit.LevelRead
	case scope == "self_rotate":
		return audit.LevelNone
	}
	return audit.LevelWrite // api, write_repository, write_registry, create_runner, manage_runner, k8s_proxy, sudo, admin_mode and what is yet to come
}

// owner is who a token acts for, and whether that is an administrator, as far as the token may say.
func owner(ctx context.Context, q *ask.Inquiry) (login string, admin bool, err error) {
	var who struct {
		Username string
		IsAdmin  bool `json:"is_admin"` // only administrators see it
		Bot      bool
	}
	a, err := q.Get(ctx, "/user", &who)
	if err != nil {
		return "", false, err
	}
	if !a.OK() {
		q.Limit("whose it is may not be read with it (%d)", a.Status)
		return "the token", false, nil
	}
	q.Fact("login", who.Username)
	if who.Bot {
		q.Fact("account_type", "bot of a group or project")
	}
	return who.Username, who.IsAdmin, nil
}

// memberships are the groups that a token's owner owns and the projects that it maintains. The first hundred of either are read.
func memberships(ctx context.Context, q *ask.Inquiry, login string, writes bool) error {
	var groups []struct {
		FullPath string `json:"full_path"`
	}
	owned, err := count(ctx, q, "groups owned", "/groups?owned=true&per_page=100", &groups, func() int { return len(groups) })
	if err != nil {
		return err
	}
	var projects []struct{}
	maintained, err := count(ctx, q, "projects maintained", "/projects?membership=true&min_access_level=40&simple=true&per_page=100", &projects,
		func() int { return len(projects) })
	if err != nil || !writes {
		return err
	}
	for _, g := range groups {
		q.Raise(audit.LevelAdmin, login, "gitlab:"+g.FullPath, "scope api of one of "+owned+" groups' owner")
	}
	if len(projects) > 0 {
		q.Raise(audit.LevelWrite, login, maintained+" projects and their variables", "scope api of a maintainer")
	}
	return nil
}

// count reads a page of a hundred and says how many are on it.
func count(ctx context.Context, q *ask.Inquiry, what, path string, into any, n func() int) (string, error) {
	a, err := q.Get(ctx, path, into)
	if err != nil {
		return "", err
	}
	if !a.OK() {
		q.Limit("%s may not be listed with it (%d)", what, a.Status)
		return "", nil
	}
	text := strconv.Itoa(n())
	if n() == 100 {
		text = "100 or more"
	}
	q.Fact(strings.ReplaceAll(what, " ", "_"), text)
	return text, nil
}

// job asks about a job's own token, see https://docs.gitlab.com/api/jobs/#get-job-tokens-job
func job(ctx context.Context, q *ask.Inquiry) error {
	var job struct {
		Name, Ref string
		User      struct{ Username string }
	}
	a, err := q.Get(ctx, "/job", &job)
	if err != nil {
		return err
	}
	if a.Status == http.StatusUnauthorized || a.Status == http.StatusNotFound {
		q.Unknown(q.Issuer.Host() + " has no running job with it: the job has ended, or is another instance's, which GITLAB_URL would name")
		return nil
	}
	if !works(q, a) {
		return nil
	}
	q.Fact("job", job.Name)
	q.Fact("ref", job.Ref)
	q.Fact("login", job.User.Username)
	q.Raise(audit.LevelWrite, job.User.Username, "what job tokens may in projects that let this one in", "the token of a running job")
	return nil
}
