package gitlab_test

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/verify/gitlab"
	"github.com/leakreach/leakreach/verify/internal/asktest"
)

func token(prefix string) string {
	b := make([]byte, 10)
	_, _ = rand.Read(b)
	return prefix + hex.EncodeToString(b)
}

// Answers are those of https://docs.gitlab.com/api/personal_access_tokens/, /api/users/, /api/groups/, /api/projects/ and /api/jobs/, shortened.
const (
	unknown  = `{"message":"401 Unauthorized"}`
	user     = `{"id":1,"username":"ci","state":"active","bot":false}`
	pathSelf = "/api/v4/personal_access_tokens/self"
	groups   = "/api/v4/groups?owned=true&per_page=100"
	projects = "/api/v4/projects?membership=true&min_access_level=40&simple=true&per_page=100"
)

func self(scopes, expires string) asktest.Page {
	return asktest.Page{Body: fmt.Sprintf(`{"id":4,"name":"deploy","revoked":false,"created_at":"2020-07-23T14:31:47.729Z","scopes":[%s],"user_id":3,"last_used_at":"2021-10-06T17:58:37.550Z","active":true,"expires_at":%s}`, scopes, expires)}
}

func TestVerify(t *testing.T) {
	page := func(body string) asktest.Page { return asktest.Page{Body: body} }
	lists := func(own, maintain string, more map[string]asktest.Page) map[string]asktest.Page {
		more["/api/v4/user"], more[groups], more[projects] = page(user), page(own), page(maintain)
		return more
	}
	for _, c := range []struct {
		name, kind, header string
		pages              map[string]asktest.Page
		validity           audit.Validity
		level              audit.Level
		facts              map[string]string
		limit              string
		calls              int
	}{
		{"a group's owner", "gitlab-pat", "Private-Token", lists(`[{"full_path":"acme/infra"}]`, `[{},{}]`, map[string]asktest.Page{pathSelf: self(`"api"`, `null`)}),
			audit.Active, audit.LevelAdmin, map[string]string{
				"login": "ci", "name": "deploy", "scopes": "api", "expires": "never", "last_used": "2021-10-06T17:58:37.550Z", "groups_owned": "1", "projects_maintained": "2", "host": "gitlab.com",
			}, "", 4},
		{"an owner who only reads", "gitlab-pat-routable", "Private-Token", lists(`[{"full_path":"acme"}]`, `[]`, map[string]asktest.Page{pathSelf: self(`"read_api","self_rotate"`, `"2027-01-01"`)}),
			audit.Active, audit.LevelRead, map[string]string{"expires": "2027-01-01"}, "", 4},
		{"pushes code", "gitlab-pat", "Private-Token", map[string]asktest.Page{pathSelf: self(`"write_repository"`, `null`), "/api/v4/user": {Status: 403}},
			audit.Active, audit.LevelWrite, nil, "groups and projects cannot be listed", 2},
		{"an administrator", "gitlab-pat", "Private-Token", map[string]asktest.Page{pathSelf: self(`"api"`, `null`), "/api/v4/user": page(`{"username":"root","is_admin":true}`), groups: page(`[]`), projects: page(`[]`)},
			audit.Active, audit.LevelAdmin, nil, "", 4},
		{"revoked", "gitlab-pat", "Private-Token", map[string]asktest.Page{pathSelf: {Status: 401, Body: `{"error":"invalid_token","error_description":"Token was revoked. You have to re-authorize from the user."}`}},
			audit.Inactive, "", nil, "", 1},
		{"expired", "gitlab-pat", "Private-Token", map[string]asktest.Page{pathSelf: {Status: 401, Body: `{"error":"invalid_token","error_description":"Token is expired. You can either do re-authorization or token refresh."}`}},
			audit.Inactive, "", nil, "", 1},
		{"not known here", "gitlab-pat", "Private-Token", map[string]asktest.Page{pathSelf: {Status: 401, Body: unknown}}, audit.Unknown, "", nil, "", 1},
		{"a running job", "gitlab-cicd-job-token", "Job-Token", map[string]asktest.Page{"/api/v4/job": page(`{"id":1,"name":"deploy","ref":"main","user":{"username":"ci"}}`)},
			audit.Active, audit.LevelWrite, map[string]string{"job": "deploy", "ref": "main", "login": "ci"}, "", 1},
		{"a job that ended", "gitlab-cicd-job-token", "Job-Token", map[string]asktest.Page{}, audit.Unknown, "", nil, "", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			value := token("glpat-")
			issuer := asktest.New(t, c.header, value, unknown, c.pages, nil)
			issuer.Holds(t, gitlab.New(issuer.Env, true), audit.NewSecret(c.kind, "", value),
				asktest.Want{Validity: c.validity, Level: c.level, Facts: c.facts, Limit: c.limit, Calls: c.calls})
		})
	}
}

// The instance is the one that the environment names, and offline nobody is asked.
func TestInstance(t *testing.T) {
	value := token("glpat-")
	for _, c := range []struct {
		environ map[string]string
		live    bool
		host    string
	}{
		{nil, true, "gitlab.com"},
		{map[string]string{"GITLAB_URL": "https://git.example.com/sub/"}, true, "git.example.com"},
		{map[string]string{"GITLAB_URL": "https://git.example.com", "CI_API_V4_URL": "https://ci.example.com/api/v4"}, true, "ci.example.com"},
		{nil, false, ""},
	} {
		issuer := asktest.New(t, "Private-Token", value, unknown, nil, c.environ)
		verdict, err := gitlab.New(issuer.Env, c.live).Verify(t.Context(), audit.NewSecret("gitlab-pat", "", token("glpat-")))
		if err != nil || verdict.Facts["host"] != c.host || (len(issuer.Asked()) > 0) != c.live {
			t.Errorf("%v: got %+v, %v after %q", c.environ, verdict, err, issuer.Asked())
		}
	}
}
