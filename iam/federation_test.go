package iam

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	githubIssuer = "token.actions.githubusercontent.com"
	gitlabIssuer = "gitlab.com"
	eksIssuer    = "oidc.eks.eu-central-1.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF"
)

// trusted is a role that lets tokens of an issuer in, under the conditions of some statements, and its world.
func trusted(t testing.TB, issuer string, conditions ...string) (*World, *Identity) {
	t.Helper()
	var statements []string
	for _, c := range conditions {
		c = strings.ReplaceAll(c, "~", issuer)
		statements = append(statements, fmt.Sprintf(`{"Effect": "Allow", "Principal": {"Federated": "arn:aws:iam::%s:oidc-provider/%s"}, "Action": "sts:AssumeRoleWithWebIdentity", "Condition": {%s}}`, account, issuer, c))
	}
	return trustedBy(t, `{"Version": "2012-10-17", "Statement": [`+strings.Join(statements, ",")+`]}`)
}

func trustedBy(t testing.TB, trust string) (*World, *Identity) {
	t.Helper()
	text, err := json.Marshal(doc{"RoleDetailList": []doc{{"RoleName": "deploy", "Arn": roleARN, "AssumeRolePolicyDocument": json.RawMessage(trust)}}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := ParseAccount(account, text)
	if err != nil || len(a.Problems) > 0 {
		t.Fatal(err, a)
	}
	return NewWorld([]*Account{a}, time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)), a.Roles[0]
}

const aud = `"StringEquals": {"~:aud": "sts.amazonaws.com"}`

// TestFederations has the shapes of table 5.4: what is too much of each, and what looks like it and is not.
func TestFederations(t *testing.T) {
	sub := func(pattern string) string { return aud + `, "StringLike": {"~:sub": ` + pattern + `}` }
	equals := func(more string) string {
		return `"StringEquals": {"~:aud": "sts.amazonaws.com", ` + more + `}`
	}
	for _, c := range []struct {
		name, issuer string
		conditions   []string
		want         string // ids of problems
	}{
		{"no sub", githubIssuer, []string{aud}, "O01"},
		{"nothing", githubIssuer, []string{``}, "O01 O15"},
		{"only a ref", githubIssuer, []string{equals(`"~:ref": "refs/heads/main"`)}, "O01"},
		{"only an environment", githubIssuer, []string{equals(`"~:environment": "prod"`)}, "O01"},
		{"star", githubIssuer, []string{sub(`"*"`)}, "O02"},
		{"repo star", githubIssuer, []string{sub(`"repo:*"`)}, "O02"},
		{"any owner, one name", githubIssuer, []string{sub(`"repo:*/app:*"`)}, "O02"},
		{"any owner, one branch", githubIssuer, []string{sub(`"*:ref:refs/heads/main"`)}, "O02"},
		{"any owner's environment", githubIssuer, []string{sub(`"repo:*:environment:prod"`)}, "O02"},
		{"owner without delimiter", githubIssuer, []string{sub(`"repo:acme*"`)}, "O03"},
		{"owner and dash", githubIssuer, []string{sub(`"repo:acme-*/app:ref:refs/heads/main"`)}, "O03"},
		{"one letter of the owner", githubIssuer, []string{sub(`"repo:acm?/app:ref:refs/heads/main"`)}, "O03"},
		{"end of the owner", githubIssuer, []string{sub(`"repo:*acme/app:*"`)}, "O03"},
		{"owner's claim without delimiter", githubIssuer, []string{aud + `, "StringLike": {"~:repository": "acme*"}`}, "O03"},
		{"numbers in a branch's name", githubIssuer, []string{sub(`"repo:*@123/*"`)}, "O02"},
		{"numbers", githubIssuer, []string{sub(`"repo:*@123/*@456:ref:refs/heads/main"`)}, ""},
		{"owner", githubIssuer, []string{sub(`"repo:acme/*"`)}, "O04"},
		{"owner's branch", githubIssuer, []string{sub(`"repo:acme/*:ref:refs/heads/main"`)}, "O04"},
		{"owner's claim", githubIssuer, []string{aud + `, "StringLike": {"~:repository": "acme/*"}`}, "O04"},
		{"repository without delimiter", githubIssuer, []string{sub(`"repo:acme/app*"`)}, "O04"},
		{"owner by number", githubIssuer, []string{sub(`"repo:acme@123/*"`)}, "O04"},
		{"owner in a template", githubIssuer, []string{sub(`"repository_owner_id:123:environment:prod"`)}, "O04"},
		{"enterprise", githubIssuer, []string{equals(`"~:enterprise_id": "77"`)}, "O04"},
		{"repository", githubIssuer, []string{sub(`"repo:acme/app:*"`)}, "O05"},
		{"repository by numbers", githubIssuer, []string{sub(`"repo:acme@123/app@456:*"`)}, "O05"},
		{"repository's claim", githubIssuer, []string{equals(`"~:repository": "acme/app"`)}, "O05"},
		{"repository's number", githubIssuer, []string{equals(`"~:repository_id": "456"`)}, "O05"},
		{"repository in a template", githubIssuer, []string{sub(`"repository_id:456"`)}, "O05"},
		{"pull requests", githubIssuer, []string{equals(`"~:sub": "repo:acme/app:pull_request"`)}, "O06"},
		{"branches", githubIssuer, []string{sub(`"repo:acme/app:ref:refs/heads/*"`)}, "O07"},
		{"refs", githubIssuer, []string{sub(`"repo:acme/app:ref:*"`)}, "O07"},
		{"tags", githubIssuer, []string{sub(`"repo:acme/app:ref:refs/tags/v*"`)}, "O07"},
		{"branch without end", githubIssuer, []string{sub(`"repo:acme/app:ref:refs/heads/main*"`)}, "O07"},
		{"environments", githubIssuer, []string{sub(`"repo:acme/app:environment:*"`)}, "O08"},
		{"environment without end", githubIssuer, []string{sub(`"repo:acme/app:environment:prod*"`)}, "O08"},
		{"for all values", githubIssuer, []string{aud + `, "ForAllValues:StringLike": {"~:sub": "repo:acme/app:ref:refs/heads/main"}`}, "O10"},
		{"if it exists", githubIssuer, []string{aud + `, "StringLikeIfExists": {"~:sub": "repo:acme/app:ref:refs/heads/main"}`}, "O10"},
		{"only not", githubIssuer, []string{aud + `, "StringNotLike": {"~:sub": "repo:evil/*"}`}, "O10"},
		{"not a pull request", githubIssuer, []string{aud + `, "StringNotLike": {"~:sub": "*:pull_request"}`}, "O10"},
		{"unseen, if it exists", githubIssuer, []string{aud + `, "StringEqualsIfExists": {"~:repository_owner_id": "123"}`}, "O11"},
		{"unseen", githubIssuer, []string{equals(`"~:repository_owner": "acme"`)}, "O11"},
		{"unseen beside sub", githubIssuer, []string{sub(`"repo:acme/app:ref:refs/heads/main"`) + `, "ForAllValues:StringEquals": {"~:repository_owner_id": "123"}`}, "O11"},
		{"unseen of GitLab", gitlabIssuer, []string{equals(`"~:namespace_id": "72"`)}, "O11"},
		{"workflow in a template", githubIssuer, []string{sub(`"job_workflow_ref:acme/ci/.github/workflows/deploy.yml@refs/heads/main"`)}, "O12"},
		{"environment in a template", githubIssuer, []string{sub(`"environment:prod"`)}, "O12"},
		{"branch in a template", githubIssuer, []string{sub(`"ref:refs/heads/main:environment:prod"`)}, "O12"},
		{"workflow's claim", githubIssuer, []string{equals(`"~:job_workflow_ref": "acme/ci/.github/workflows/deploy.yml@refs/heads/main"`)}, "O12"},
		{"both forms", githubIssuer, []string{sub(`["repo:acme/app:environment:prod", "repo:acme@123/app@456:environment:prod"]`)}, "O13"},
		{"no audience", githubIssuer, []string{`"StringEquals": {"~:sub": "repo:acme/app:environment:prod"}`}, "O15"},
		{"audiences", githubIssuer, []string{`"StringEquals": {"~:sub": "repo:acme/app:environment:prod", "~:aud": ["sts.amazonaws.com", "vault"]}`}, "O15"},
		{"pods", eksIssuer, []string{sub(`"system:serviceaccount:*:*"`)}, "O16"},
		{"pods of namespaces", eksIssuer, []string{sub(`"system:serviceaccount:prod*:app"`)}, "O16"},
		{"pods of all kinds", eksIssuer, []string{aud}, "O16"},
		{"several", githubIssuer, []string{sub(`["repo:acme/app:environment:prod", "repo:acme/lib:*", "repo:acme/app:pull_request"]`)}, "O05 O06"},
		{"several statements", githubIssuer, []string{sub(`"repo:acme/app:environment:prod"`), aud}, "O01"},

		{"GitLab, no sub", gitlabIssuer, []string{aud}, "O01"},
		{"GitLab, star", gitlabIssuer, []string{sub(`"project_path:*"`)}, "O02"},
		{"GitLab, owner without delimiter", gitlabIssuer, []string{sub(`"project_path:acme*"`)}, "O03"},
		{"GitLab, group", gitlabIssuer, []string{sub(`"project_path:acme/*"`)}, "O04"},
		{"GitLab, group's branch", gitlabIssuer, []string{sub(`"project_path:acme/*:ref_type:branch:ref:main"`)}, "O04"},
		{"GitLab, project", gitlabIssuer, []string{sub(`"project_path:acme/app:*"`)}, "O05"},
		{"GitLab, branches", gitlabIssuer, []string{sub(`"project_path:acme/app:ref_type:branch:ref:*"`)}, "O07"},
		{"GitLab, tags", gitlabIssuer, []string{sub(`"project_path:acme/app:ref_type:tag:ref:*"`)}, "O07"},
		{"GitLab, a branch and a tag", gitlabIssuer, []string{sub(`"project_path:acme/app:ref_type:*:ref:main"`)}, "O07"},
		{"a branch and a tag", githubIssuer, []string{sub(`"repo:acme/app:ref:refs/*/main"`)}, "O07"},
		{"GitLab, protected branches", gitlabIssuer, []string{sub(`"project_path:acme/app:ref_type:branch:ref:*:ref_protected:true"`)}, ""},
		{"GitLab, one branch", gitlabIssuer, []string{equals(`"~:sub": "project_path:acme/app:ref_type:branch:ref:main"`)}, ""},
		{"GitLab of one's own", "git.acme.example", []string{sub(`"project_path:acme/*"`)}, "O04"},
		{"Forgejo", "forge.acme.example/api/actions", []string{sub(`"repo:acme/*"`)}, "O04"},
		{"Forgejo, one branch", "forge.acme.example/api/actions", []string{sub(`"repo:acme/app:ref:refs/heads/main"`)}, ""},

		{"one branch", githubIssuer, []string{equals(`"~:sub": "repo:acme/app:ref:refs/heads/main"`)}, ""},
		{"one branch, like", githubIssuer, []string{sub(`"repo:acme/app:ref:refs/heads/main"`)}, ""},
		{"one environment", githubIssuer, []string{equals(`"~:sub": "repo:acme/app:environment:prod"`)}, ""},
		{"any value", githubIssuer, []string{aud + `, "ForAnyValue:StringEquals": {"~:sub": ["repo:acme/app:environment:prod", "repo:acme/lib:ref:refs/heads/main"]}`}, ""},
		{"repository and branch", githubIssuer, []string{sub(`"repo:acme/app:*"`) + `, "StringEqualsIgnoreCase": {"~:ref": "refs/heads/main"}`}, ""},
		{"repository and environment", githubIssuer, []string{equals(`"~:repository": "acme/app", "~:environment": "prod"`)}, ""},
		{"owner and workflow", githubIssuer, []string{sub(`"repo:acme/*"`) + `, "StringEqualsIgnoreCase": {"~:job_workflow_ref": "acme/ci/.github/workflows/deploy.yml@refs/heads/main"}`}, ""},
		{"two patterns", githubIssuer, []string{aud + `, "StringLike": {"~:sub": "repo:acme/*"}, "StringLikeIfExists": {"~:sub": "*/app:ref:refs/heads/main"}`}, ""},
		{"all values beside one", githubIssuer, []string{equals(`"~:sub": "repo:acme/app:environment:prod"`) + `, "ForAllValues:StringLike": {"~:sub": "repo:acme/*"}`}, ""},
		{"not beside one", githubIssuer, []string{equals(`"~:sub": "repo:acme/app:environment:prod"`) + `, "StringNotLike": {"~:sub": "repo:evil/*"}`}, ""},
		{"a star that is none", githubIssuer, []string{equals(`"~:sub": "repo:acme/*"`)}, ""},
		{"a branch that is a star", githubIssuer, []string{equals(`"~:sub": "repo:acme/app:ref:refs/heads/*"`)}, ""},
		{"another issuer's sub", githubIssuer, []string{aud + `, "StringLike": {"gitlab.com:sub": "*"}`}, ""},
		{"one number", githubIssuer, []string{equals(`"~:repository_id": "456", "~:ref": "refs/heads/main"`)}, ""},
		{"one address", githubIssuer, []string{sub(`"repo:acme/app:*"`) + `, "IpAddress": {"aws:SourceIp": "192.0.2.0/24"}`}, ""},
		{"one service account", eksIssuer, []string{equals(`"~:sub": "system:serviceaccount:prod:app"`)}, ""},
		{"accounts of one namespace", eksIssuer, []string{sub(`"system:serviceaccount:prod:*"`)}, ""},
		{"people of a pool", "cognito-identity.amazonaws.com", []string{`"StringEquals": {"~:aud": "eu-central-1:0a1b2c3d-0000-4000-8000-0123456789ab"}`}, ""},
		{"people of an application", "login.example.com", []string{`"StringEquals": {"~:aud": "0oa1b2c3d4"}`}, ""},
		{"people of every application", "login.example.com", []string{``}, "O01"},
		{"jobs of an unknown host", "git.acme.example", []string{`"StringEquals": {"~:aud": "https://git.acme.example"}`}, "O01"},
		{"jobs of an organisation's own issuer", "oidc.ci.example/org/0123", []string{aud}, "O04"},
		{"one of a workspace's", "app.terraform.io", []string{sub(`"organization:acme:project:p:workspace:w:run_phase:*"`)}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, role := trusted(t, c.issuer, c.conditions...)
			f := w.Federations(role)
			if len(f) != 1 || f[0].Issuer != c.issuer {
				t.Fatalf("federations: %+v", f)
			}
			var ids []string
			for _, p := range f[0].Problems {
				ids = append(ids, p.ID)
				if p.Subject != "" {
					if a := w.Accepts(role, f[0].Provider, map[string]Fact{
						"sub": Known(p.Subject), "aud": Chosen(), "repository": Chosen(), "ref": Chosen(), "environment": Chosen(), "repository_id": Chosen(), "enterprise_id": Chosen(),
						"job_workflow_ref": Chosen(),
					}); a.State != Allowed {
						t.Errorf("%s: %s is not let in", p.ID, p.Subject)
					}
				}
			}
			if got := strings.Join(ids, " "); got != c.want {
				t.Errorf("got %q, want %q: %+v", got, c.want, f[0].Problems)
			}
			if f[0].Limits == nil != (c.name != "one address" && !strings.Contains(c.name, "that is")) {
				t.Errorf("limits: %q", f[0].Limits)
			}
		})
	}
}

// TestFederationDenied: what a statement that denies, or an RCP, leaves of what is let in.
func TestFederationDenied(t *testing.T) {
	const provider = "arn:aws:iam::" + account + ":oidc-provider/" + githubIssuer
	statement := func(effect, operator, sub string) string {
		return fmt.Sprintf(`{"Effect": %q, "Principal": {"Federated": %q}, "Action": "sts:AssumeRoleWithWebIdentity", "Condition": {%q: {"%s:sub": %q}, "StringEquals": {"%s:aud": "sts.amazonaws.com"}}}`,
			effect, provider, operator, githubIssuer, sub, githubIssuer)
	}
	for _, c := range []struct{ allow, deny, rcp, want string }{
		{"repo:acme/*", "", "", "O04"},
		{"repo:acme/*", "repo:acme/app:*", "", "O05"},
		{"repo:acme/*", "repo:acme/app:environment:prod", "", ""},
		{"repo:acme/*", "repo:other/app:*", "", ""},
		{"*", "", "repo:acme/*", "O04"},
		{"*", "repo:acme/app:*", "repo:acme/*:ref:refs/heads/main", ""},
		{"*", "", "", "O02"},
	} {
		statements := []string{statement("Allow", "StringLike", c.allow)}
		if c.deny != "" {
			statements = append(statements, strings.Replace(statement("Deny", "StringNotLike", c.deny), `, "StringEquals": {"`+githubIssuer+`:aud": "sts.amazonaws.com"}`, "", 1))
		}
		w, role := trustedBy(t, `{"Version": "2012-10-17", "Statement": [`+strings.Join(statements, ",")+`]}`)
		if c.rcp != "" {
			role.Account.RCPs = [][]*Policy{{policyOf(t, "rcp", []byte(`{"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRoleWithWebIdentity", "Resource": "*", "Condition": {"StringNotLikeIfExists": {"`+githubIssuer+`:sub": "`+c.rcp+`"}}}`))}}
		}
		f := w.Federations(role)[0]
		var ids []string
		for _, p := range f.Problems {
			ids = append(ids, p.ID)
		}
		if got := strings.Join(ids, " "); got != c.want {
			t.Errorf("%+v: got %q: %+v", c, got, f.Problems)
		}
	}
}

// TestFederationNobody: a statement whose condition never holds lets no subjects in, whatever else it asks; one beside it does.
func TestFederationNobody(t *testing.T) {
	const unseen = `"StringEquals": {"~:repository_owner": "acme"}`
	for _, c := range []struct {
		conditions []string
		open       bool
		want       string
	}{
		{[]string{unseen}, false, "[]"},
		{[]string{unseen + `, "StringLike": {"~:sub": "repo:acme/*"}`}, false, "[]"},
		{[]string{`"ForAnyValue:StringNotEquals": {"~:repository_owner": "acme"}`}, false, "[]"},
		{[]string{`"Null": {"~:repository_owner": "false"}`}, false, "[]"},
		{[]string{`"Null": {"~:repository_owner": "true"}`}, true, "[]"},
		{[]string{`"StringEqualsIfExists": {"~:repository_owner": "acme"}`}, true, "[]"},
		{[]string{unseen, `"StringEquals": {"~:sub": "repo:acme/app:environment:prod"}`}, false, "[repo:acme/app:environment:prod]"},
	} {
		w, role := trusted(t, githubIssuer, c.conditions...)
		if f := w.Federations(role)[0]; f.Open != c.open || fmt.Sprint(f.Subjects) != c.want {
			t.Errorf("%q: open %v, %v", c.conditions, f.Open, f.Subjects)
		}
	}
}

// TestFederationNames: repositories that are let in by their names alone.
func TestFederationNames(t *testing.T) {
	for _, c := range []struct{ issuer, conditions, want, owners string }{
		{githubIssuer, `"StringEquals": {"~:sub": ["repo:acme/app:environment:prod", "repo:acme/lib:pull_request"]}`, "[acme/app acme/lib]", "[acme]"},
		{githubIssuer, `"StringEquals": {"~:sub": ["repo:acme/app:environment:prod", "repo:other/lib:pull_request"]}`, "[acme/app other/lib]", "[acme other]"},
		{githubIssuer, `"StringLike": {"~:sub": "repo:acme/app:*"}`, "[acme/app]", "[acme]"},
		{githubIssuer, `"StringLike": {"~:sub": "repo:acme/app*"}`, "[]", "[acme]"},
		{githubIssuer, `"StringLike": {"~:sub": "repo:acme/*"}`, "[]", "[acme]"},
		{githubIssuer, `"StringLike": {"~:sub": "repo:acme*"}`, "[]", "[]"}, // which anybody is let in by, whatever happens to the name
		{githubIssuer, `"StringLike": {"~:sub": "*"}`, "[]", "[]"},
		{githubIssuer, `"StringEquals": {"~:sub": "repo:acme@1/app@2:environment:prod"}`, "[]", "[]"},
		{githubIssuer, `"StringEquals": {"~:sub": "repo:acme/app:environment:prod", "~:repository_id": "456"}`, "[]", "[]"},
		{githubIssuer, `"StringEquals": {"~:sub": "repo:acme/app:environment:prod", "~:actor_id": "456"}`, "[acme/app]", "[]"},
		{githubIssuer, `"StringLike": {"~:sub": "repo:acme/*", "~:enterprise_id": "456"}`, "[]", "[]"},
		{gitlabIssuer, `"StringLike": {"~:sub": "project_path:acme/deep/app:*"}`, "[acme/deep/app]", "[acme]"},
	} {
		w, role := trusted(t, c.issuer, c.conditions)
		f := w.Federations(role)[0]
		if got := fmt.Sprint(f.Names); got != c.want {
			t.Errorf("%s: %s, want %s", c.conditions, got, c.want)
		}
		if numbered := strings.Contains(c.conditions, "@2"); numbered && fmt.Sprint(f.Repositories) != "[acme/app]" || !numbered && len(f.Names) > len(f.Repositories) {
			t.Errorf("%s: repositories %s", c.conditions, f.Repositories)
		}
		if got := fmt.Sprint(f.Owners); got != c.owners {
			t.Errorf("%s: owners %s, want %s", c.conditions, got, c.owners)
		}
	}
}

// TestFederationAudience: what a provider takes decides whether tokens that were made for somebody else are let in, and how long sessions are what a stolen one is good for.
func TestFederationAudience(t *testing.T) {
	const one = `"StringEquals": {"~:sub": "repo:acme/app:environment:prod"}`
	asks := func(aud string) string {
		return `"StringEquals": {"~:sub": "repo:acme/app:environment:prod", "~:aud": ` + aud + `}`
	}
	provider := func(audiences string) string {
		return `{"arn:aws:iam::` + account + `:oidc-provider/` + githubIssuer + `": {"Url": "` + githubIssuer + `", "ClientIDList": ` + audiences + `, "ThumbprintList": []}}`
	}
	for _, c := range []struct{ conditions, providers, session, want string }{
		{one, "", "", "anyone of every audience"},
		{one, "{}", "", "anyone of every audience"},
		{one, provider(`["sts.amazonaws.com"]`), "", ""},
		{one, provider(`["sts.amazonaws.com", "vault"]`), "", "anyone of sts.amazonaws.com, vault"},
		{asks(`"sts.amazonaws.com"`), provider(`["sts.amazonaws.com", "vault"]`), "", ""},
		{asks(`["sts.amazonaws.com", "vault"]`), "", "", "several: sts.amazonaws.com, vault"},
		{asks(`["sts.amazonaws.com", "vault"]`), provider(`["sts.amazonaws.com"]`), "", ""},
		{asks(`["sts.amazonaws.com", "vault", "other"]`), provider(`["sts.amazonaws.com", "vault"]`), "", "several: sts.amazonaws.com, vault"},
		{asks(`"sts.amazonaws.com"`), "", "3600", ""},
		{asks(`"sts.amazonaws.com"`), "", "43200", "12h0m0s"},
		{asks(`"sts.amazonaws.com"`), "", "43201", ""}, // AWS has none that is longer
		{one, "", "7200", "anyone of every audience; 2h0m0s"},
		{`"StringEquals": {"~:repository_owner": "acme"}`, "", "7200", ""}, // nobody
	} {
		w, role := trusted(t, githubIssuer, c.conditions)
		all := []*Account{role.Account}
		if c.providers != "" {
			if err := ParseProviders([]byte(c.providers), all); err != nil {
				t.Fatal(err)
			}
		}
		if c.session != "" {
			if err := ParseRoles([]byte(`{"Roles": [{"RoleName": "deploy", "Arn": "`+roleARN+`", "MaxSessionDuration": `+c.session+`}, {"Arn": "arn:aws:iam::`+account+`:role/other", "MaxSessionDuration": 3600}]}`), all); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		for _, p := range w.Federations(role)[0].Problems {
			if p.ID != "O15" {
				continue
			}
			text := strings.TrimSuffix(strings.TrimPrefix(p.Why, "sessions may be "), " long: a stolen one is good for all of it")
			text = strings.NewReplacer("tokens for several audiences are let in", "several", "no condition is on aud: tokens for each of the provider's audiences, ", "anyone of ",
				"no condition is on aud: tokens for every audience of the provider", "anyone of every audience", " are let in", "").Replace(text)
			got = append(got, text)
		}
		if text := strings.Join(got, "; "); text != c.want {
			t.Errorf("%s, %s, %s: got %q, want %q", c.conditions, c.providers, c.session, text, c.want)
		}
	}
	for doc, open := range map[string]bool{"null": false, `{"ClientIDList": []}`: true, `{}`: true} { // one that is not there lets nobody in
		w, role := trusted(t, githubIssuer, aud)
		if err := ParseProviders([]byte(`{"arn:aws:iam::`+account+`:oidc-provider/`+githubIssuer+`": `+doc+`}`), []*Account{role.Account}); err != nil {
			t.Fatal(err)
		}
		f := w.Federations(role)[0]
		if lets := len(w.Lets(&f, "repo:acme/app:ref:refs/heads/main", nil)) > 0; lets != open || len(f.Problems) > 0 != open || len(f.Limits) > 0 == open {
			t.Errorf("a provider that is %s: lets somebody in: %v, problems %v, limits %v", doc, lets, f.Problems, f.Limits)
		}
	}
	for _, bad := range []string{"", "[]", `{"a": 1}`, `{"a": {"ClientIDList": "x"}}`} {
		if ParseProviders([]byte(bad), nil) == nil {
			t.Errorf("providers %q are read", bad)
		}
	}
	for _, bad := range []string{"", "[]", `{"Roles": 1}`, `{"Roles": [{"MaxSessionDuration": 1e30}]}`} {
		if ParseRoles([]byte(bad), nil) == nil {
			t.Errorf("roles %q are read", bad)
		}
	}
}

// TestLets: which of a job's tokens are let in, one for each way, and what of them is anybody's choice.
func TestLets(t *testing.T) {
	for _, c := range []struct{ subs, subject, want string }{
		{`"repo:acme/app:ref:refs/heads/main"`, "repo:acme/app:ref:refs/heads/*", "repo:acme/app:ref:refs/heads/main [false]"},
		{`"repo:acme/app:ref:refs/heads/main", "repo:acme/app:ref:refs/heads/dev"`, "repo:acme/app:ref:refs/heads/*", "repo:acme/app:ref:refs/heads/main [false], repo:acme/app:ref:refs/heads/dev [false]"},
		{`"repo:acme/*:ref:refs/heads/main"`, "repo:acme/app:ref:refs/heads/*", "repo:acme/app:ref:refs/heads/main [false]"},
		{`"repo:acme/*:ref:refs/heads/mai?"`, "repo:acme/app:ref:refs/heads/*", "repo:acme/app:ref:refs/heads/maix [true]"},
		{`"repo:acme/*:ref:refs/heads/main*"`, "repo:acme/app:ref:refs/heads/*", "repo:acme/app:ref:refs/heads/main [true]"},
		{`"repo:acme@*/app@*:ref:refs/heads/main"`, "repo:acme@*/app@*:ref:refs/heads/*", "repo:acme@x/app@x:ref:refs/heads/main [true true false]"},
		{`"repo:acme/app:ref:refs/heads/main", "repo:acme/app:ref:refs/heads/main*"`, "repo:acme/app:ref:refs/heads/*", "repo:acme/app:ref:refs/heads/main [true]"},
		{`"repo:acme/app:*"`, "repo:acme/app:pull_request", "repo:acme/app:pull_request []"},
		{`"repo:acme/app:*"`, "repo:acme/lib:pull_request", ""},
		{`"repo:acme/app:ref:refs/heads/` + strings.Repeat("m", maxSlot+1) + `"`, "repo:acme/app:ref:refs/heads/*", "repo:acme/app:ref:refs/heads/" + strings.Repeat("m", maxSlot+1) + " [false]"},
		{`"repo:*/app:ref:refs/heads/` + strings.Repeat("m", maxSlot+1) + `"`, "repo:acme/app:ref:refs/heads/*", "repo:acme/app:ref:refs/heads/" + strings.Repeat("m", maxSlot+1) + " [true]"},
	} {
		w, role := trusted(t, githubIssuer, `"StringLike": {"~:sub": [`+c.subs+`]}`)
		var got []string
		for _, l := range w.Lets(&w.Federations(role)[0], c.subject, map[string]Fact{"aud": Chosen()}) {
			got = append(got, fmt.Sprint(l.Subject, " ", l.Open))
		}
		if text := strings.Join(got, ", "); text != c.want {
			t.Errorf("%s of %s: got %s, want %s", c.subject, c.subs, text, c.want)
		}
	}
}

// A minted is a token as GitHub makes it.
type minted struct{ owner, repo, branch, environment string }

func (m minted) claims() map[string]Fact {
	name := m.owner + "/" + m.repo
	c := map[string]Fact{"aud": Known("sts.amazonaws.com"), "repository": Known(name), "environment": Absent(), "ref": Known("refs/heads/" + m.branch)}
	c["job_workflow_ref"] = Known(name + "/.github/workflows/ci.yml@refs/heads/" + m.branch)
	switch {
	case m.environment != "":
		c["environment"] = Known(m.environment)
		c["sub"] = Known("repo:" + name + ":environment:" + m.environment)
	case m.branch == "":
		c["ref"] = Known("refs/pull/7/merge")
		c["sub"] = Known("repo:" + name + ":pull_request")
	default:
		c["sub"] = Known("repo:" + name + ":ref:refs/heads/" + m.branch)
	}
	return c
}

// TestFederationFindsAll makes policies and tokens: where tokens of two owners, repositories, branches or environments are let in, there is a problem that says so;
// where there is none, there are no such tokens. What is let in is among the subjects that are told, and of a policy with one condition on sub all of those are let in.
func TestFederationFindsAll(t *testing.T) {
	var tokens []minted
	for _, owner := range []string{"acme", "acme-evil", "someone"} {
		for _, repo := range []string{"app", "app2", "lib"} {
			tokens = append(tokens, minted{owner, repo, "", ""})
			for _, branch := range []string{"main", "main2", "dev"} {
				tokens = append(tokens, minted{owner, repo, branch, ""}, minted{owner, repo, branch, "prod"}, minted{owner, repo, branch, "prod2"})
			}
		}
	}
	wider := map[string][]string{
		"owner": {"O01", "O02", "O03", "O10", "O12"}, "repository": {"O01", "O02", "O03", "O10", "O12", "O04"},
		"branch": {"O01", "O02", "O03", "O10", "O12", "O04", "O05", "O07"}, "environment": {"O01", "O02", "O03", "O10", "O12", "O04", "O05", "O08"},
		"pull request": {"O01", "O02", "O03", "O10", "O12", "O04", "O05", "O06"},
	}
	g := newGenerator(11)
	said := map[string]int{}
	for range 1000 {
		pattern := func() string {
			return pick(g, "repo:", "repo:", "repo:", "*") + pick(g, "acme", "acme", "acme*", "*", "acm?", "*e", "someone") + pick(g, "/", "/", "*") + pick(g, "app", "app", "app*", "*", "?pp") +
				pick(g, ":ref:refs/heads/main", ":ref:refs/heads/m*", ":ref:*", ":*", "*", ":pull_request", ":environment:prod", ":environment:*", ":*prod*", "*main")
		}
		single := pick(g, "StringLike", "StringLike", "ForAnyValue:StringLike")
		conditions := fmt.Sprintf(`"StringEquals": {"~:aud": "sts.amazonaws.com"}, %q: {"~:sub": %q}`, single, pattern())
		more := g.IntN(7)
		switch more {
		case 0:
			conditions += fmt.Sprintf(`, "StringLikeIfExists": {"~:sub": %q}`, pattern())
		case 1:
			conditions += fmt.Sprintf(`, "ForAllValues:StringLike": {"~:repository": %q}`, pick(g, "acme/*", "acme/app", "acme*", "*/app"))
		case 2:
			conditions += fmt.Sprintf(`, "StringEqualsIgnoreCase": {"~:ref": %q}`, pick(g, "refs/heads/main", "refs/heads/dev"))
		case 3:
			conditions += fmt.Sprintf(`, "StringNotLike": {"~:sub": %q}`, pick(g, "*:pull_request", "repo:acme/*", "repo:evil/*", "*:environment:*", "*main"))
		case 4:
			conditions += fmt.Sprintf(`, "StringLikeIfExists": {"~:environment": %q}`, pick(g, "prod", "prod*"))
		}
		w, role := trusted(t, githubIssuer, conditions)
		f := w.Federations(role)[0]
		owners, repos, branches, environments, pulls := map[string]bool{}, map[string]bool{}, map[string]map[string]bool{}, map[string]map[string]bool{}, false
		for _, m := range tokens {
			claims := m.claims()
			allowed := w.Accepts(role, f.Provider, claims).State == Allowed
			told := slices.ContainsFunc(f.Subjects, func(s Subject) bool { return s.Matches(claims["sub"].values[0]) })
			if allowed && !told || more > 4 && told && !allowed {
				t.Fatalf("%s: let in %v, told %v: %v of %s", conditions, allowed, told, m, f.Subjects)
			}
			if !allowed {
				continue
			}
			name := m.owner + "/" + m.repo
			owners[m.owner], repos[name] = true, true
			add := func(to map[string]map[string]bool, v string) {
				if to[name] == nil {
					to[name] = map[string]bool{}
				}
				to[name][v] = true
			}
			switch {
			case m.environment != "":
				if m.branch == "dev" { // of a policy that pins the branch, the environment does not matter
					add(environments, m.environment)
				}
			case m.branch != "":
				add(branches, m.branch)
			default:
				pulls = true
			}
		}
		several := func(in map[string]map[string]bool) bool {
			for _, values := range in {
				if len(values) > 1 {
					return true
				}
			}
			return false
		}
		for what, is := range map[string]bool{"owner": len(owners) > 1, "repository": len(repos) > 1, "branch": several(branches), "environment": several(environments) && more != 2, "pull request": pulls} {
			if !is {
				continue
			}
			said[what]++
			if !slices.ContainsFunc(f.Problems, func(p Problem) bool { return slices.Contains(wider[what], p.ID) }) {
				t.Errorf("%s: of more than one %s, and it is not said: %+v", conditions, what, f.Problems)
			}
		}
		for _, p := range f.Problems {
			if slices.Contains([]string{"O01", "O02", "O03"}, p.ID) && !strings.HasPrefix(p.Subject, "repo:") {
				t.Errorf("%s: %+v", conditions, p)
			}
		}
	}
	for what := range wider {
		if said[what] < 20 {
			t.Errorf("%s: in %d policies only", what, said[what])
		}
	}
}

// FuzzFederation: whatever a pattern of sub is, what is found to be let in is, and nothing hangs.
func FuzzFederation(f *testing.F) {
	for _, pattern := range []string{"repo:acme/*", "*", "repo:*@123/*", "job_workflow_ref:acme/*:environment:prod", "project_path:acme/app:ref_type:branch:ref:*", "${*}?", "****a*b?c*", "repo:acme/app:environment:${aws:username}"} {
		f.Add(pattern, "repo:acme/app:*")
	}
	f.Fuzz(func(t *testing.T, pattern, second string) {
		for _, issuer := range []string{githubIssuer, gitlabIssuer, eksIssuer, "idp.example.com"} {
			text, err := json.Marshal(doc{"Version": "2012-10-17", "Statement": doc{
				"Effect": "Allow", "Principal": doc{"Federated": "arn:aws:iam::" + account + ":oidc-provider/" + issuer}, "Action": assumeByToken,
				"Condition": doc{"StringLike": doc{issuer + ":sub": pattern}, "StringLikeIfExists": doc{issuer + ":sub": []string{second, pattern}}},
			}})
			if err != nil {
				t.Fatal(err)
			}
			w, role := trustedBy(t, string(text))
			for _, found := range w.Federations(role) {
				for _, l := range w.Lets(&found, "repo:acme@*/app@*:ref:refs/heads/*", map[string]Fact{"aud": Chosen()}) {
					if l.State == Allowed && !slices.ContainsFunc(found.Subjects, func(s Subject) bool { return s.Matches(l.Subject) }) {
						t.Errorf("%s: %s is let in, and is not among %q", issuer, l.Subject, found.Subjects)
					}
				}
				for _, p := range found.Problems {
					if p.Subject == "" {
						continue
					}
					claims := map[string]Fact{"sub": Known(p.Subject), "aud": Chosen()}
					if a := w.Accepts(role, found.Provider, claims); a.State == Denied {
						t.Errorf("%s: %+v is denied", issuer, p)
					}
					if !slices.ContainsFunc(found.Subjects, func(s Subject) bool { return s.Matches(p.Subject) }) {
						t.Errorf("%s: %s is not among %q", issuer, p.Subject, found.Subjects)
					}
				}
			}
		}
	})
}

// Whatever files about providers and roles have, they are read or refused, and roles can be judged.
func FuzzProviders(f *testing.F) {
	f.Add([]byte(`{"arn:aws:iam::`+account+`:oidc-provider/`+githubIssuer+`": {"ClientIDList": ["sts.amazonaws.com", "vault"]}}`), []byte(`{"Roles": [{"Arn": "`+roleARN+`", "MaxSessionDuration": 43200}]}`))
	f.Fuzz(func(t *testing.T, providers, roles []byte) {
		w, role := trusted(t, githubIssuer, `"StringEquals": {"~:sub": "repo:acme/app:environment:prod"}`)
		all := []*Account{role.Account}
		if ParseProviders(providers, all) == nil && ParseRoles(roles, all) == nil && role.Session > 12*time.Hour {
			t.Error(role.Session)
		}
		w.Federations(role)
	})
}

// TestShapes: a subject that is found is like the patterns and of the shape, and where two patterns meet, one is found.
func TestShapes(t *testing.T) {
	s := shape{text("repo:"), value("owner", anyName), text("/"), value("repo", anyRepo), text(":ref:refs/heads/"), value("branch", anyValue)}
	for _, c := range []struct {
		globs []string
		want  string
	}{
		{nil, "repo:x/x:ref:refs/heads/x"},
		{[]string{"repo:acme/*"}, "repo:acme/x:ref:refs/heads/x"},
		{[]string{"*/app:*", "repo:acme*"}, "repo:acme/app:ref:refs/heads/x"},
		{[]string{"*@1/y"}, "repo:x/x:ref:refs/heads/@1/y"},
		{[]string{"repo:a??e/app:*n"}, "repo:axxe/app:ref:refs/heads/n"},
		{[]string{"repo:acme/app:environment:*"}, ""},
		{[]string{"repo:acme/app:*", "*:pull_request"}, ""},
		{[]string{"*a*", "*b*", "*c*"}, "any"},
	} {
		var globs []string
		for _, g := range c.globs {
			globs = append(globs, wild(g))
		}
		tok, whole := s.meet(globs)
		if !whole || tok["sub"] != c.want && c.want != "any" || c.want == "any" && tok == nil {
			t.Errorf("%q: %q", c.globs, tok["sub"])
		}
		for _, g := range globs {
			if tok != nil && !globOf(g).match(tok["sub"]) {
				t.Errorf("%q: %q is not like it", c.globs, tok["sub"])
			}
		}
	}
	if tok, whole := s.meet([]string{strings.Repeat(star+"a", 20000)}); tok != nil || whole {
		t.Error("a pattern that no policy has room for is searched")
	}
}

// BenchmarkFederations is one role with a hundred subjects, and one with a pattern.
func BenchmarkFederations(b *testing.B) {
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprintf("repo:acme/service-%d:environment:production", i))
	}
	list, err := json.Marshal(many)
	if err != nil {
		b.Fatal(err)
	}
	for name, sub := range map[string]string{"list": string(list), "pattern": `"repo:acme/app:*"`} {
		w, role := trusted(b, githubIssuer, aud+`, "StringLike": {"~:sub": `+sub+`}`)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				w.Federations(role)
			}
		})
	}
}

// TestFederationInAnyCase: subjects in upper and lower case that a role lets in are not all looked for, which a limit says.
func TestFederationInAnyCase(t *testing.T) {
	for operator, limits := range map[string]int{"StringEquals": 0, "StringEqualsIgnoreCase": 1} {
		w, role := trusted(t, githubIssuer, `"`+operator+`": {"~:sub": "repo:Acme/app:ref:refs/heads/main"}, "StringLike": {"~:aud": "sts.amazonaws.com"}`)
		if f := w.Federations(role)[0]; len(f.Limits) != limits {
			t.Errorf("%s: limits %q", operator, f.Limits)
		}
	}
}
