package npm_test

import (
	"crypto/rand"
	"encoding/hex"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/audit/audittest"
	"github.com/leakreach/leakreach/verify/internal/asktest"
	"github.com/leakreach/leakreach/verify/npm"
)

func token() string {
	b := make([]byte, 18)
	_, _ = rand.Read(b)
	return "npm_" + hex.EncodeToString(b)
}

func TestVerify(t *testing.T) {
	for _, c := range []struct {
		name     string
		live     bool
		pages    map[string]asktest.Page
		validity audit.Validity
		packages string
		calls    int
	}{
		{"offline", false, nil, audit.Unchecked, "", 0},
		{"a publisher's", true, map[string]asktest.Page{
			"/-/whoami": {Body: `{"username":"ci"}`}, "/-/user/ci/package": {Body: `{"@acme/web":"read-write","@acme/core":"read-only"}`},
		}, audit.Active, "2, of them 1 its owner publishes", 2},
		{"packages not told", true, map[string]asktest.Page{"/-/whoami": {Body: `{"username":"ci"}`}, "/-/user/ci/package": {Status: 403}}, audit.Active, "", 2},
		{"from elsewhere", true, map[string]asktest.Page{"/-/whoami": {Status: 403}}, audit.Active, "", 1},
		{"revoked", true, map[string]asktest.Page{"/-/whoami": {Status: 401}}, audit.Inactive, "", 1},
		{"a name that is a path", true, map[string]asktest.Page{"/-/whoami": {Body: `{"username":"../x"}`}, "/-/user/..%2Fx/package": {Body: `{}`}},
			audit.Active, "0, of them 0 its owner publishes", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			value := token()
			issuer := asktest.New(t, "Authorization", value, `{}`, c.pages, nil)
			s := audit.NewSecret("npm-access-token", "", value)
			verdict, err := npm.New(issuer.Env, c.live).Verify(t.Context(), s)
			if err != nil || verdict.Validity != c.validity || verdict.Facts["packages"] != c.packages || len(issuer.Asked()) != c.calls {
				t.Errorf("got %+v, %v after %q", verdict, err, issuer.Asked())
			}
			audittest.Verifier(t, npm.New(issuer.Env, c.live), []*audit.Secret{s})
		})
	}
}
