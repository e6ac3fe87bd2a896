package gitea_test

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/verify/gitea"
	"github.com/leakreach/leakreach/verify/internal/asktest"
)

func token() string {
	b := make([]byte, 20)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

const (
	address = "https://git.example.com/sub"
	api     = "/sub/api/v1"
	orgs    = api + "/user/orgs?limit=50"
	repos   = api + "/user/repos?limit=50"
)

// refused is how Gitea 1.26 refuses a token for want of a scope. A real one is asked in test/gitea.
func refused(required, has string) asktest.Page {
	return asktest.Page{Status: 403, Body: fmt.Sprintf(`{"message":"token does not have at least one of required scope(s), required=[%s], token scope=%s","url":"https://git.example.com/api/swagger"}`, required, has)}
}

func TestVerify(t *testing.T) {
	page := func(body string) asktest.Page { return asktest.Page{Body: body} }
	user := page(`{"id":1,"login":"olga","is_admin":false}`)
	for _, c := range []struct {
		name  string
		pages map[string]asktest.Page
		want  asktest.Want
	}{
		{"an owner", map[string]asktest.Page{
			api + "/user": user, api + "/admin/cron?limit=1": refused("read:admin", "write:organization,read:repository,read:user"), orgs: page(`[{"name":"a/b"}]`),
			api + "/users/olga/orgs/a%2Fb/permissions": page(`{"is_owner":true}`), repos: page(`[]`),
		}, asktest.Want{Validity: audit.Active, Level: audit.LevelAdmin, Facts: map[string]string{"login": "olga", "host": "git.example.com", "scopes": "read:repository, read:user, write:organization"}, Calls: 5}},
		{"what it may not do", map[string]asktest.Page{
			api + "/user": user, api + "/admin/cron?limit=1": refused("read:admin", "read:user"), orgs: refused("read:organization", "read:user"), repos: refused("read:repository", "read:user"),
		}, asktest.Want{Validity: audit.Active, Level: audit.LevelRead, Limit: "organisations may not be listed", Calls: 4}},
		{"Forgejo tells no scopes", map[string]asktest.Page{
			api + "/user": {Status: 403, Body: `{"message":"token does not have at least one of required scope(s): [read:user]"}`},
		}, asktest.Want{Validity: audit.Active, Level: audit.LevelRead, Limit: "its scopes are told only where one is missing", Calls: 5}},
		{"scopes that are none", map[string]asktest.Page{
			api + "/user": refused("read:user", "<b>"),
		}, asktest.Want{Validity: audit.Active, Level: audit.LevelRead, Calls: 5}},
		{"refused for another reason", map[string]asktest.Page{api + "/user": {Status: 403, Body: `{"message":"You must change your password."}`}}, asktest.Want{Validity: audit.Unknown, Calls: 1}},
		{"an account that is closed", map[string]asktest.Page{api + "/user": {Status: 403, Body: `{"message":"This account is prohibited from signing in"}`}}, asktest.Want{Validity: audit.Inactive, Calls: 1}},
		{"not known here", map[string]asktest.Page{api + "/user": {Status: 401}}, asktest.Want{Validity: audit.Unknown, Calls: 1}},
		{"no Gitea", map[string]asktest.Page{}, asktest.Want{Validity: audit.Unknown, Calls: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			value := token()
			issuer := asktest.New(t, "Authorization", value, `{"message":"invalid username, password or token"}`, c.pages, map[string]string{"GITEA_URL": address})
			issuer.Holds(t, gitea.New(issuer.Env, true), audit.NewSecret(audit.KindGiteaToken, "", value), c.want)
		})
	}
}

// Nobody is asked but the server that the environment names, and offline nobody.
func TestServer(t *testing.T) {
	for _, c := range []struct {
		address string
		live    bool
		asked   int
	}{
		{"", true, 0},
		{address, false, 0},
		{address, true, 1},
	} {
		issuer := asktest.New(t, "Authorization", token(), `{}`, nil, map[string]string{"GITEA_URL": c.address})
		verdict, err := gitea.New(issuer.Env, c.live).Verify(t.Context(), audit.NewSecret(audit.KindGiteaToken, "", token()))
		if err != nil || len(issuer.Asked()) != c.asked || (verdict.Validity == audit.Unknown) != (c.asked > 0) {
			t.Errorf("%+v: got %+v, %v after %q", c, verdict, err, issuer.Asked())
		}
	}
}
