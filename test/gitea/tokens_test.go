//go:build unix

package gitea

import (
	"fmt"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/audit/audittest"
	"github.com/leakreach/leakreach/verify/gitea"
)

// TestTokens asks a real Gitea about its tokens.
func TestTokens(t *testing.T) {
	s := start(t)
	const password = "of-the-test-only"
	user := func(name string, admin bool) {
		s.must(t, "POST", "admin/users", map[string]any{"username": name, "email": name + "@example.com", "password": password, "must_change_password": false})
		if admin {
			s.must(t, "PATCH", "admin/users/"+name, map[string]any{"login_name": name, "source_id": 0, "admin": true})
		}
	}
	user("olga", false)
	user("adam", true)
	user("mona", false)
	user("gone", false)
	made := 0
	token := func(owner string, scopes ...string) string {
		made++
		return s.must(t, "POST", "users/"+owner+"/tokens", map[string]any{"name": fmt.Sprint(made), "scopes": scopes}, owner, password)["sha1"].(string)
	}
	s.must(t, "POST", "orgs", map[string]any{"username": "acme"}, "olga", password)
	s.must(t, "POST", "orgs/acme/repos", map[string]any{"name": "web", "private": true, "auto_init": true}, "olga", password)
	s.must(t, "POST", "user/repos", map[string]any{"name": "notes", "auto_init": true}, "mona", password)
	everyRead := []string{"read:activitypub", "read:admin", "read:misc", "read:notification", "read:organization", "read:package", "read:issue", "read:repository", "read:user"}
	left := token("gone", "all")
	s.must(t, "PATCH", "admin/users/gone", map[string]any{"login_name": "gone", "source_id": 0, "prohibit_login": true})
	const untold = "its scopes are told only where one is missing"
	for _, c := range []struct {
		name, token string
		validity    audit.Validity
		level       audit.Level
		facts       map[string]string
		limit       string // part of one of them
	}{
		{"an owner of an organisation", token("olga", "read:user", "write:organization", "read:repository"), audit.Active, audit.LevelAdmin,
			map[string]string{"login": "olga", "scopes": "read:repository, read:user, write:organization", "organisations": "1"}, ""},
		{"an owner who reads", token("olga", "read:user", "read:organization"), audit.Active, audit.LevelRead,
			map[string]string{"login": "olga", "scopes": "read:organization, read:user"}, "repositories may not be listed"},
		{"who pushes", token("olga", "read:user", "write:repository"), audit.Active, audit.LevelWrite, map[string]string{"repositories": "1"}, "organisations may not be listed"},
		{"what is public", token("mona", "public-only", "write:repository", "read:user"), audit.Active, audit.LevelWrite, nil, "public-only"},
		{"nobody's that is told", token("mona", "read:package"), audit.Active, audit.LevelRead, map[string]string{"login": "", "scopes": "read:package"}, "whose it is"},
		{"an administrator's", token("adam", "write:admin", "read:user"), audit.Active, audit.LevelAdmin, map[string]string{"login": "adam"}, ""},
		{"an administrator's that reads", token("adam", "read:admin", "read:user"), audit.Active, audit.LevelRead, nil, ""},
		{"everything, as far as it is told", token("mona", "all"), audit.Active, audit.LevelWrite, map[string]string{"scopes": "", "repositories": "1"}, untold},
		{"everything to read", token("mona", everyRead...), audit.Active, audit.LevelRead, map[string]string{"scopes": ""}, untold},
		{"everything of an owner", token("olga", "all"), audit.Active, audit.LevelWrite, nil, "owner of organisation acme"},
		{"who may not sign in", left, audit.Inactive, "", nil, ""},
		{"one that was never issued", strings.Repeat("0123456789", 4), audit.Unknown, "", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, secret := gitea.New(verifierEnv(s.url), true), audit.NewSecret(audit.KindGiteaToken, "", c.token)
			verdict, err := v.Verify(t.Context(), secret)
			if err != nil || verdict.Validity != c.validity {
				t.Fatalf("got %+v, %v; want %s", verdict, err, c.validity)
			}
			for name, want := range c.facts {
				if verdict.Facts[name] != want {
					t.Errorf("%s is %q, want %q", name, verdict.Facts[name], want)
				}
			}
			if (verdict.Reach == nil) != (c.level == "") || verdict.Reach != nil && (verdict.Reach.Level != c.level || !strings.Contains(fmt.Sprint(verdict.Reach.Limits), c.limit)) {
				t.Errorf("reach %+v, facts %v; want %s, %s", verdict.Reach, verdict.Facts, c.level, c.limit)
			}
			audittest.Verifier(t, v, []*audit.Secret{secret})
		})
	}
}
