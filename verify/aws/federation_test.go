package aws

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leakreach/leakreach/verify/aws/awstest"
)

const github = "token.actions.githubusercontent.com"

func providerARN(of, issuer string) string { return "arn:aws:iam::" + of + ":oidc-provider/" + issuer }

// byTokens is a trust policy that lets tokens of an issuer in.
func byTokens(provider string) string {
	return `{"Statement":{"Effect":"Allow","Principal":{"Federated":"` + provider + `"},"Action":"sts:AssumeRoleWithWebIdentity"}}`
}

// TestFederation: what roles' trust in tokens turns on is read where some role trusts a forge, and nowhere else, and what cannot be read is said.
func TestFederation(t *testing.T) {
	own, gone := providerARN(account, github), providerARN(account, "gitlab.example")
	cluster, far := providerARN(account, "oidc.eks.eu-west-1.amazonaws.com/id/1"), providerARN(sibling, github)
	roles := map[string]awstest.Entity{
		"a": {Trust: byTokens(own), Session: 43200}, "b": {Trust: byTokens(own)}, "c": {Trust: byTokens(gone)}, "d": {Trust: byTokens(far)}, "e": {Trust: byTokens(cluster)}, "f": {},
	}
	for name, c := range map[string]struct {
		roles     []string
		intercept func(http.ResponseWriter, *http.Request, string, int) bool
		asked     string // how often
		known     string // audiences, and sessions of roles
		gaps      string
	}{
		"no role for tokens": {roles: []string{"f"}, asked: "0 0"},
		"a cluster's":        {roles: []string{"e", "f"}, asked: "0 0"},
		"another account's":  {roles: []string{"d"}, asked: "0 0"},
		"two of one":         {roles: []string{"a", "b", "f"}, asked: "1 3", known: github + " [sts.amazonaws.com vault]; a 12h0m0s; b 1h0m0s; f 1h0m0s"},
		"one that is gone":   {roles: []string{"c"}, asked: "1 1", known: "gitlab.example none; c 1h0m0s"},
		"no rights": {roles: []string{"a"}, intercept: refuse("GetOpenIDConnectProvider", "ListRoles"), asked: "1 1",
			gaps: "audiences of " + own + ": iam:GetOpenIDConnectProvider: access denied (no identity-based policy allows); how long sessions of roles may be: iam:ListRoles: access denied (no identity-based policy allows)"},
		"throttled": {roles: []string{"a", "b"}, intercept: func(w http.ResponseWriter, _ *http.Request, action string, n int) bool {
			if action == "ListRoles" && n == 2 || action == "GetOpenIDConnectProvider" && n == 1 {
				awstest.Error(w, 400, "Throttling", "Rate exceeded")
				return true
			}
			return false
		}, asked: "2 3", known: github + " [sts.amazonaws.com vault]; a 12h0m0s; b 1h0m0s"},
		"broken off": {roles: []string{"a", "b"}, intercept: func(w http.ResponseWriter, r *http.Request, action string, n int) bool {
			return n > 1 && refuse("ListRoles")(w, r, action, n)
		}, asked: "1 2", known: github + " [sts.amazonaws.com vault]; a 12h0m0s", gaps: "how long sessions of roles may be: iam:ListRoles: access denied (no identity-based policy allows)"},
		"a listing without end": {roles: []string{"a"}, intercept: func(w http.ResponseWriter, _ *http.Request, action string, _ int) bool {
			if action == "ListRoles" {
				_, _ = fmt.Fprint(w, "<ListRolesResponse><ListRolesResult><IsTruncated>true</IsTruncated><Marker>x</Marker></ListRolesResult></ListRolesResponse>")
			}
			return action == "ListRoles"
		}, asked: "1 2", known: github + " [sts.amazonaws.com vault]", gaps: "how long sessions of roles may be: iam:ListRoles: EndlessListing"},
	} {
		t.Run(name, func(t *testing.T) {
			auditing := keyID("AKIA", account)
			a := awstest.Account{
				ID: account, Keys: map[string]awstest.Key{auditing: {Secret: value(), User: "auditor"}}, Users: map[string]awstest.Entity{"auditor": inline(auditorPolicy)},
				Roles: map[string]awstest.Entity{}, Providers: map[string][]string{own: {"sts.amazonaws.com", "vault"}, cluster: {"sts.amazonaws.com"}},
				Organization: &awstest.Organization{Manager: account}, Regions: []string{"us-east-1"},
			}
			for _, r := range c.roles {
				a.Roles[r] = roles[r]
			}
			w := newWorld(t, a, nil)
			w.server.PageSize, w.server.Intercept = 1, c.intercept
			w.credentials(auditing, a.Keys[auditing].Secret)
			read, gaps, err := w.Collect(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			var known, unread []string
			for arn, taken := range read.Audiences {
				_, issuer, _ := strings.Cut(arn, "oidc-provider/")
				text := fmt.Sprint(taken)
				if taken == nil {
					text = "none"
				}
				known = append(known, issuer+" "+text)
			}
			for _, r := range read.Roles {
				if r.Session > 0 {
					known = append(known, nameOf(r.ARN)+" "+r.Session.String())
				}
			}
			for _, g := range gaps {
				unread = append(unread, g.What+": "+g.Why)
			}
			if got := strings.Join(known, "; "); got != c.known {
				t.Errorf("knows %s, want %s", got, c.known)
			}
			if got := strings.Join(unread, "; "); got != c.gaps {
				t.Errorf("gaps %s, want %s", got, c.gaps)
			}
			asked := map[string]int{}
			for _, action := range w.server.Actions() {
				asked[action]++
			}
			if got := fmt.Sprint(asked["GetOpenIDConnectProvider"], asked["ListRoles"]); got != c.asked {
				t.Errorf("asked %s times, want %s", got, c.asked)
			}
			if len(w.slept) > 0 && !slices.Contains(w.slept, time.Second) {
				t.Errorf("slept %v", w.slept)
			}
		})
	}
}
