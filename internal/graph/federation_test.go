package graph

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/iam"
)

// facts are those of an inventory's entry: name, text, name, text.
func facts(pairs ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

// pipelines is a run of a forge with one repository, its settings and its jobs.
func pipelines(target string, settings map[string]string, more ...audit.Entry) *audit.Run {
	run := &audit.Run{Inventory: []audit.Entry{{Target: target, Kind: audit.KindSettings, Name: target, Facts: settings}}}
	for _, e := range more {
		e.Target = target
		run.Inventory = append(run.Inventory, e)
	}
	return run
}

func jobEntry(name, events string, more ...string) audit.Entry {
	f := facts(more...)
	f["workflow"], f["path"], f["job"], f["events"] = ".github/workflows/"+name+".yml", ".github/workflows/"+name+".yml", name, events
	if f["permissions"] == "" && f["id_tokens"] == "" {
		f["permissions"] = "id-token=write"
	}
	return audit.Entry{Kind: audit.KindJob, Name: name, Facts: f}
}

func entry(kind audit.ItemKind, name string, pairs ...string) audit.Entry {
	return audit.Entry{Kind: kind, Name: name, Facts: facts(pairs...)}
}

func mints(t *testing.T, run *audit.Run) []Mint {
	t.Helper()
	a, err := NewAccess(run)
	if err != nil {
		t.Fatal(err)
	}
	return a.Mints().all
}

// federate joins, and holds what is found by subjects' beginnings against a look at each.
func federate(t *testing.T, g *Graph, w *iam.World, f *iam.Federation, all []Mint) (in []Federated, left []Mint) {
	t.Helper()
	each := &Mints{all: all}
	for i := range all {
		each.heads = append(each.heads, head{string(all[i].Forge) + " ", i})
	}
	slices.SortStableFunc(each.heads, func(a, b head) int { return strings.Compare(a.text, b.text) })
	in, left = g.Federate(w, f, NewMints(all))
	in2, left2 := (&Graph{}).Federate(w, f, each)
	names := func(in []Federated, left []Mint) string {
		var all []string
		for _, j := range in {
			all = append(all, j.Target, j.Job, j.Event, j.Token)
		}
		for _, m := range left {
			all = append(all, "left", m.Target, m.Job, m.Event, m.Subject)
		}
		return strings.Join(all, "\n")
	}
	if got, want := names(in, left), names(in2, left2); got != want {
		t.Errorf("%s lets in\n%s\nand one by one\n%s", f.Role.ARN, got, want)
	}
	return in, left
}

const webRepo = "github:acme/web"

// plain are settings of a repository with the standard subject.
func plain(more ...string) map[string]string {
	return facts(append([]string{"oidc_immutable_subject", "false", "default_branch", "main", "visibility", "public"}, more...)...)
}

// TestMints: which subjects the tokens of a job have, and who can start it.
func TestMints(t *testing.T) {
	main := entry(audit.KindProtection, "main", "of", "branch", "refs", "main", "reviews", "1")
	guarded := entry(audit.KindEnvironment, "prod", "reviewers", "Team:ops", "branches", "all")
	lab := func(claims string, job ...string) *audit.Run {
		return pipelines("gitlab:acme/web", facts("oidc_subject", claims, "id", "77"), entry(audit.KindProtection, "main", "of", "branch", "refs", "main", "push", "No one", "merge", "Maintainer"),
			entry(audit.KindProtection, "v*", "of", "tag", "refs", "v*", "create", "Developer"), entry(audit.KindEnvironment, "prod", "protected", "true", "deploy_access", "Maintainer", "tier", "production"),
			entry(audit.KindEnvironment, "dev", "protected", "true", "deploy_access", "Developer"), jobEntry("a", "push\t3:1", append(job, "id_tokens", "AWS\tsts.amazonaws.com")...))
	}
	for _, c := range []struct {
		name string
		run  *audit.Run
		want []string
	}{
		{"a branch that is not protected", pipelines(webRepo, plain(), jobEntry("a", "push\t3:1\tbranches=main")), []string{"repo:acme/web:ref:refs/heads/main by whoever may push O14"}},
		{"a protected branch", pipelines(webRepo, plain(), main, jobEntry("a", "push\t3:1\tbranches=main")), []string{"repo:acme/web:ref:refs/heads/main by whoever may merge or approve"}},
		{"every branch", pipelines(webRepo, plain(), main, jobEntry("a", "push\t3:1")), []string{"repo:acme/web:ref:refs/heads/* by whoever may push", "repo:acme/web:ref:refs/tags/* by whoever may push"}},
		{"tags", pipelines(webRepo, plain(), jobEntry("a", "push\t3:1\ttags=v*")), []string{"repo:acme/web:ref:refs/tags/v* by whoever may push"}},
		{"a pull request", pipelines(webRepo, plain(), jobEntry("a", "pull_request\t3:1")), []string{"repo:acme/web:pull_request by whoever may push"}},
		{"a comment of anybody's", pipelines(webRepo, plain(), main, jobEntry("a", "issue_comment\t3:1")), []string{"repo:acme/web:ref:refs/heads/main by anybody O14"}},
		{"a comment, in private", pipelines(webRepo, plain("visibility", "private"), main, jobEntry("a", "issue_comment\t3:1")), []string{"repo:acme/web:ref:refs/heads/main by whoever may merge or approve"}},
		{"a schedule", pipelines(webRepo, plain(), main, jobEntry("a", "schedule\t3:1")), []string{"repo:acme/web:ref:refs/heads/main by whoever may merge or approve"}},
		{"an environment with reviewers", pipelines(webRepo, plain(), guarded, jobEntry("a", "push\t3:1\tbranches=main", "environment", "prod")), []string{"repo:acme/web:environment:prod by whoever may merge or approve"}},
		{"one that does not exist", pipelines(webRepo, plain(), jobEntry("a", "push\t3:1\tbranches=main", "environment", "prod")), []string{"repo:acme/web:environment:prod by whoever may push O08"}},
		{"one with a colon", pipelines(webRepo, plain(), main, guarded, jobEntry("a", "push\t3:1\tbranches=main", "environment", "prod:eu")), []string{"repo:acme/web:environment:prod%3Aeu by whoever may push O08"}},
		{"a computed one", pipelines(webRepo, plain(), main, jobEntry("a", "push\t3:1\tbranches=main", "environment", "${{ inputs.to }}", "environment_computed", "true")), []string{"repo:acme/web:environment:* by whoever may push? the environment, whose name is known when the job runs"}},
		{"numbers", pipelines(webRepo, plain("oidc_immutable_subject", "true"), main, jobEntry("a", "push\t3:1\tbranches=main")), []string{"repo:acme@*/web@*:ref:refs/heads/main by whoever may merge or approve? the numbers of owner and repository, which were not read"}},
		{"numbers that were read", pipelines(webRepo, plain("oidc_immutable_subject", "true", "id", "456", "owner_id", "123"), main, jobEntry("a", "push\t3:1\tbranches=main")), []string{
			"repo:acme@123/web@456:ref:refs/heads/main by whoever may merge or approve",
		}},
		{"the owner's number alone", pipelines(webRepo, plain("oidc_immutable_subject", "true", "owner_id", "123"), main, jobEntry("a", "push\t3:1\tbranches=main")), []string{
			"repo:acme@123/web@*:ref:refs/heads/main by whoever may merge or approve? the numbers of owner and repository, which were not read",
		}},
		{"a template of numbers", pipelines(webRepo, plain("oidc_subject", "repository_owner_id,repository_id", "id", "456", "owner_id", "123"), main, jobEntry("a", "push\t3:1\tbranches=main")), []string{
			"repository_owner_id:123:repository_id:456 by whoever may push",
		}},
		{"a template of numbers that were not read", pipelines(webRepo, plain("oidc_subject", "repository_id"), main, jobEntry("a", "push\t3:1\tbranches=main")), []string{
			"repository_id:* by whoever may push? the value of repository_id",
		}},
		{"settings that were not read", pipelines(webRepo, facts("default_branch", "main"), main, jobEntry("a", "schedule\t3:1")), []string{
			"repo:acme/web:ref:refs/heads/main by whoever may merge or approve? which subjects its tokens have: the settings were not read",
			"repo:acme@*/web@*:ref:refs/heads/main by whoever may merge or approve? which subjects its tokens have: the settings were not read",
		}},
		{"a template", pipelines(webRepo, plain("oidc_subject", "job_workflow_ref,environment"), main, guarded, jobEntry("a", "push\t3:1\tbranches=main", "environment", "prod")), []string{
			"job_workflow_ref:acme/web/.github/workflows/a.yml@refs/heads/main:environment:prod by whoever may merge or approve",
		}},
		{"a template with what is not known", pipelines(webRepo, plain("oidc_subject", "repo,actor"), main, jobEntry("a", "push\t3:1\tbranches=main")), []string{"repo:acme/web:actor:* by whoever may push? the value of actor"}},
		{"no right to a token", pipelines(webRepo, plain(), jobEntry("a", "push\t3:1", "permissions", "contents=write")), nil},
		{"all rights", pipelines(webRepo, plain(), main, jobEntry("a", "schedule\t3:1", "permissions", "*=write")), []string{"repo:acme/web:ref:refs/heads/main by whoever may merge or approve"}},
		{"all but that", pipelines(webRepo, plain(), main, jobEntry("a", "schedule\t3:1", "permissions", "*=write,id-token=none")), nil},
		{"a guarded environment that the subject leaves out", pipelines(webRepo, plain("oidc_subject", "repo,ref"), guarded, jobEntry("a", "push\t3:1\tbranches=dev", "environment", "prod")), []string{
			"repo:acme/web:ref:refs/heads/dev by whoever may push O14",
		}},
		{"an open environment on a protected branch, both in the subject", pipelines(webRepo, plain("oidc_subject", "repo,ref,environment"), main, jobEntry("a", "push\t3:1\tbranches=main", "environment", "prod")), []string{
			"repo:acme/web:ref:refs/heads/main:environment:prod by whoever may merge or approve",
		}},
		{"an environment that waits", pipelines(webRepo, plain(), main, entry(audit.KindEnvironment, "prod", "wait_minutes", "30", "branches", "all"), jobEntry("a", "push\t3:1\tbranches=main", "environment", "prod")), []string{
			"repo:acme/web:environment:prod by whoever may push",
		}},
		{"an environment of protected branches", pipelines(webRepo, plain(), main, entry(audit.KindProtection, "all", "of", "ruleset", "target", "branch", "refs", "~ALL"), entry(audit.KindEnvironment, "prod", "branches", "protected"),
			jobEntry("a", "push\t3:1", "environment", "prod")), []string{
			"repo:acme/web:environment:prod by whoever may merge or approve", "repo:acme/web:environment:prod by whoever may merge or approve",
		}},
		{"an environment of protected branches, of which one is open", pipelines(webRepo, plain(), main, entry(audit.KindProtection, "dev", "of", "branch", "refs", "dev"), entry(audit.KindEnvironment, "prod", "branches", "protected"),
			jobEntry("a", "push\t3:1\tbranches=main", "environment", "prod")), []string{"repo:acme/web:environment:prod by whoever may push"}},
		{"an environment of protected branches, of which there are none", pipelines(webRepo, plain(), entry(audit.KindEnvironment, "prod", "branches", "protected"), jobEntry("a", "push\t3:1\tbranches=main", "environment", "prod")), []string{
			"repo:acme/web:environment:prod by whoever may push",
		}},
		{"an environment of some branches", pipelines(webRepo, plain(), main, entry(audit.KindEnvironment, "prod", "branches", "selected", "branch_policies", "main"), jobEntry("a", "workflow_dispatch\t3:1", "environment", "prod")), []string{
			"repo:acme/web:environment:prod by whoever may merge or approve", "repo:acme/web:environment:prod by whoever may merge or approve",
		}},
		{"an environment of an open branch", pipelines(webRepo, plain(), main, entry(audit.KindEnvironment, "prod", "branches", "selected", "branch_policies", "main,dev"), jobEntry("a", "push\t3:1\tbranches=main", "environment", "prod")), []string{
			"repo:acme/web:environment:prod by whoever may push O14",
		}},
		{"a comment, into a guarded environment", pipelines(webRepo, plain("oidc_subject", "repo,ref"), main, guarded, jobEntry("a", "issue_comment\t3:1", "environment", "prod")), []string{"repo:acme/web:ref:refs/heads/main by whoever may merge or approve"}},
		{"a comment, into an environment of protected branches", pipelines(webRepo, plain(), main, entry(audit.KindEnvironment, "prod", "branches", "protected"), jobEntry("a", "issue_comment\t3:1", "environment", "prod")), []string{
			"repo:acme/web:environment:prod by anybody O14",
		}},
		{"GitLab", pipelines("gitlab:acme/platform/web", facts(), jobEntry("a", "push\t3:1", "id_tokens", "AWS\tsts.amazonaws.com")), []string{
			"project_path:acme/platform/web:ref_type:branch:ref:* by whoever may push? which claims its subjects are made of: the settings were not read",
			"project_path:acme/platform/web:ref_type:tag:ref:* by whoever may push? which claims its subjects are made of: the settings were not read",
		}},
		{"GitLab's standard", lab("project_path,ref_type,ref"), []string{"project_path:acme/web:ref_type:branch:ref:* by whoever may push", "project_path:acme/web:ref_type:tag:ref:* by whoever may push"}},
		{"GitLab's shorter ones", lab("project_path,ref"), []string{"project_path:acme/web:ref:* by whoever may push", "project_path:acme/web:ref:* by whoever may push"}},
		{"GitLab's numbers", lab("project_id,project_path,ref_type"), []string{"project_id:77:project_path:acme/web:ref_type:branch by whoever may push", "project_id:77:project_path:acme/web:ref_type:tag by whoever may push"}},
		{"GitLab's protected refs", lab("project_path,ref_protected"), []string{
			"project_path:acme/web:ref_protected:true by whoever may merge or approve", "project_path:acme/web:ref_protected:false by whoever may push",
			"project_path:acme/web:ref_protected:true by whoever may push", "project_path:acme/web:ref_protected:false by whoever may push",
		}},
		{"GitLab's environments", lab("project_path,environment_protected,deployment_tier", "environment", "prod"), []string{
			"project_path:acme/web:environment_protected:true:deployment_tier:production by whoever may merge or approve",
			"project_path:acme/web:environment_protected:true:deployment_tier:production by whoever may merge or approve",
		}},
		{"GitLab's tiers", lab("project_path,deployment_tier", "environment", "prod"), []string{"project_path:acme/web:deployment_tier:production by whoever may push", "project_path:acme/web:deployment_tier:production by whoever may push"}},
		{"GitLab's environments that Developers deploy to", lab("project_path,environment_protected", "environment", "dev"), []string{
			"project_path:acme/web:environment_protected:true by whoever may push", "project_path:acme/web:environment_protected:true by whoever may push",
		}},
		{"GitLab's environments, for a job without one", lab("project_path,environment_protected"), []string{"project_path:acme/web by whoever may push", "project_path:acme/web by whoever may push"}},
		{"what is new to GitLab", lab("project_path,phase"), []string{"project_path:acme/web:phase:* by whoever may push? the value of phase", "project_path:acme/web:phase:* by whoever may push? the value of phase"}},
		{"Forgejo", pipelines("gitea:acme/web", facts("default_branch", "main"), jobEntry("a", "push\t3:1\tbranches=main", "openid_connect", "true", "environment", "prod")), []string{
			"repo:acme/web:ref:refs/heads/main by whoever may push O14? whether its subjects have numbers, as those of repositories that are new to Forgejo have",
			"repo:acme-*/web-*:ref:refs/heads/main by whoever may push O14? whether its subjects have numbers, as those of repositories that are new to Forgejo have",
		}},
		{"Forgejo without", pipelines("gitea:acme/web", facts("default_branch", "main"), jobEntry("a", "push\t3:1")), nil},
		{"GitLab without tokens", pipelines("gitlab:acme/web", facts(), jobEntry("a", "push\t3:1", "permissions", "none")), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, m := range mints(t, c.run) {
				text := m.Subject + " by " + string(m.Who)
				if m.Open != "" {
					text += " " + m.Open
				}
				if m.Unsure = cmp.Or(m.Unsure, m.Doubt); m.Unsure != "" {
					text += "? " + m.Unsure
				}
				got = append(got, text)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// TestFederate: jobs lead to the roles that let their tokens in, and to no others.
func TestFederate(t *testing.T) {
	var roles []string
	for name, sub := range map[string]string{
		"main": "repo:acme/web:ref:refs/heads/main", "dev": "repo:acme/web:ref:refs/heads/dev", "prod": "repo:acme/web:environment:prod", "all": "repo:acme/*", "lib": "repo:acme/lib:*",
		"numbers": "repo:acme@123/api@456:ref:refs/heads/main", "former": "repo:acme@123/api@455:ref:refs/heads/main", "perhaps": "repo:acme@123/far@789:ref:refs/heads/main", "left": "repo:acme/api:ref:refs/heads/main",
	} {
		roles = append(roles, fmt.Sprintf(`{"RoleName": %q, "Arn": "arn:aws:iam::111122223333:role/%s", "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": {"Effect": "Allow",
			"Principal": {"Federated": "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"}, "Action": "sts:AssumeRoleWithWebIdentity",
			"Condition": {"StringLike": {"token.actions.githubusercontent.com:sub": %q}, "StringEquals": {"token.actions.githubusercontent.com:aud": "sts.amazonaws.com"}}}}}`, name, name, sub))
	}
	account, err := iam.ParseAccount("111122223333", json.RawMessage(`{"RoleDetailList": [`+strings.Join(roles, ",")+`]}`))
	if err != nil || len(account.Problems) > 0 {
		t.Fatal(err, account)
	}
	w := iam.NewWorld([]*iam.Account{account}, time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC))
	all := mints(t, pipelines(webRepo, plain(), entry(audit.KindProtection, "main", "of", "branch", "refs", "main", "reviews", "1"),
		jobEntry("push", "push\t3:1\tbranches=main"), jobEntry("comment", "issue_comment\t3:1"), jobEntry("deploy", "push\t3:1\tbranches=main", "environment", "prod"), jobEntry("none", "push\t3:1", "permissions", "contents=read")))
	all = append(all, mints(t, pipelines("github:acme/api", plain("oidc_immutable_subject", "true", "id", "456", "owner_id", "123"), jobEntry("api", "push\t3:1\tbranches=main")))...)
	all = append(all, mints(t, pipelines("github:acme/far", plain("oidc_immutable_subject", "true"), jobEntry("far", "push\t3:1\tbranches=main")))...)
	g := &Graph{}
	got := map[string][]string{}
	for _, role := range w.Identities() {
		for _, f := range w.Federations(role) {
			in, left := federate(t, g, w, &f, all)
			name := role.ARN[strings.LastIndexByte(role.ARN, '/')+1:]
			for _, j := range in {
				got[name] = append(got[name], j.Job)
			}
			for _, m := range left {
				got[name] = append(got[name], "left "+m.Job)
			}
		}
	}
	p := func(names ...string) (jobs []string) {
		for _, n := range names {
			rest, ok := strings.CutPrefix(n, "left ")
			n = ".github/workflows/" + rest + ".yml: " + rest
			if ok {
				n = "left " + n
			}
			jobs = append(jobs, n)
		}
		return jobs
	}
	want := map[string][]string{"main": p("push", "comment"), "prod": p("deploy"), "all": p("push", "comment", "deploy", "left api", "left far"), "numbers": p("api"), "perhaps": p("far"), "left": p("left api")}
	for name := range got {
		if !slices.Equal(got[name], want[name]) {
			t.Errorf("%s: got %q, want %q", name, got[name], want[name])
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	sure, unsure := 0, 0
	for e := range g.Edges() {
		if e.Kind == Federate && e.Unsure == "" {
			sure++
		} else if e.Kind == Federate {
			unsure++
		}
	}
	if sure != 7 || unsure != 1 {
		t.Errorf("%d edges are sure, %d are not", sure, unsure)
	}
	from := g.Paths([]*Node{g.Anybody()}, []*Node{g.Find("arn:aws:iam::111122223333:role/main")}, false)
	if len(from.All) != 1 || len(from.All[0]) != 2 || from.All[0][1].Kind != Federate {
		t.Errorf("ways of anybody's: %v", from.All)
	}
}

// federation is what a role lets in under some conditions, in which ~ is the issuer.
func federation(t testing.TB, issuer, conditions string) (*iam.World, *iam.Federation) {
	t.Helper()
	account, err := iam.ParseAccount("111122223333", json.RawMessage(`{"RoleDetailList": [{"RoleName": "a", "Arn": "arn:aws:iam::111122223333:role/a", "AssumeRolePolicyDocument": {"Version": "2012-10-17",
		"Statement": {"Effect": "Allow", "Principal": {"Federated": "arn:aws:iam::111122223333:oidc-provider/`+issuer+`"}, "Action": "sts:AssumeRoleWithWebIdentity",
		"Condition": {`+strings.ReplaceAll(conditions, "~", issuer)+`}}}}]}`))
	if err != nil || len(account.Problems) > 0 {
		t.Fatal(err, account)
	}
	w := iam.NewWorld([]*iam.Account{account}, time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC))
	return w, &w.Federations(w.Identities()[0])[0]
}

// TestFederateByRef: who can have a token made that a role lets in goes by the ref that it is for, where the role asks for one.
func TestFederateByRef(t *testing.T) {
	rule := func(of, name string, more ...string) audit.Entry {
		return entry(audit.KindProtection, name, append([]string{"of", of, "refs", name}, more...)...)
	}
	ruleset := func(target, name string, more ...string) audit.Entry {
		return rule("ruleset", name, append([]string{"target", target, "enforcement", "active"}, more...)...)
	}
	hub := func(more ...audit.Entry) *audit.Run {
		return pipelines(webRepo, plain(), append(more, jobEntry("a", "push\t3:1"))...)
	}
	into := func(claims, branch string) *audit.Run { // an environment with reviewers
		return pipelines(webRepo, plain("oidc_subject", claims), rule("branch", "main", "reviews", "1"), entry(audit.KindEnvironment, "prod", "reviewers", "Team:ops"),
			jobEntry("a", "push\t3:1\tbranches="+branch, "environment", "prod"))
	}
	lab := func(claims string, more ...audit.Entry) *audit.Run {
		return pipelines("gitlab:acme/web", facts("oidc_subject", claims), append(more, entry(audit.KindEnvironment, "prod", "protected", "true", "required_approvals", "2"),
			jobEntry("a", "push\t3:1", "id_tokens", "AWS\tx", "environment", "prod"))...)
	}
	sub := func(patterns ...string) string {
		return `"StringLike": {"~:sub": ["` + strings.Join(patterns, `", "`) + `"]}`
	}
	const reviewer, writer = string(ByReviewer), string(ByWriter)
	const main, standard, labMain = "repo:acme/web:ref:refs/heads/main", "project_path,ref_type,ref", "project_path:acme/web:ref_type:branch:ref:main"
	reviewed := rule("branch", "main", "reviews", "1")
	maintainers := rule("branch", "main", "push", "Maintainer", "merge", "Maintainer")
	for _, c := range []struct {
		name       string
		conditions string
		run        *audit.Run
		want       string
	}{
		{"a protected branch", sub(main), hub(reviewed), reviewer},
		{"an open branch", sub("repo:acme/web:ref:refs/heads/dev"), hub(reviewed), writer + " O14"},
		{"two branches", sub(main, "repo:acme/web:ref:refs/heads/dev"), hub(reviewed), reviewer + ", " + writer + " O14"},
		{"branches that are alike", sub("repo:acme/web:ref:refs/heads/mai?"), hub(reviewed, rule("branch", "maix", "reviews", "1")), writer},
		{"the branch of every repository", sub("repo:acme/*:ref:refs/heads/main"), hub(reviewed), reviewer},
		{"pull requests without reviews", sub(main), hub(rule("branch", "main", "rules", "pull_request")), writer + " O14"},
		{"a branch that is excepted", sub(main), hub(ruleset("branch", "~ALL", "reviews", "1", "excluded", "refs/heads/main")), writer + " O14"},
		{"every branch but another", sub(main), hub(ruleset("branch", "~ALL", "reviews", "1", "excluded", "refs/heads/dev")), reviewer},
		{"one rule of two", sub(main), hub(reviewed, rule("branch", "ma*")), reviewer},
		{"a slash", sub("repo:acme/web:ref:refs/heads/release/1/a"), hub(rule("branch", "release/*", "reviews", "1")), writer + " O14"},
		{"slashes", sub("repo:acme/web:ref:refs/heads/release/1/a"), hub(rule("branch", "release/**", "reviews", "1")), reviewer},
		{"people who push", sub(main), hub(rule("branch", "main", "push", "Team:ops")), reviewer},
		{"a protected tag", sub("repo:acme/web:ref:refs/tags/v1"), hub(ruleset("tag", "refs/tags/v*", "rules", "creation")), reviewer},
		{"an open tag", sub("repo:acme/web:ref:refs/tags/v1"), hub(ruleset("tag", "refs/tags/v*", "rules", "deletion")), writer + " O14"},
		{"a ruleset that is off", sub("repo:acme/web:ref:refs/tags/v1"), hub(rule("ruleset", "refs/tags/v*", "target", "tag", "enforcement", "evaluate", "rules", "creation")), writer + " O14"},
		{"a branch by its claim", sub("repo:acme/web*") + `, "StringEquals": {"~:ref": "refs/heads/main"}`, into("repo", "main"), reviewer},
		{"an environment by its claim", sub("repo:acme/web:*") + `, "StringEquals": {"~:environment": "prod"}`, into("repo,ref", "dev"), reviewer},
		{"an environment that nobody asks for", sub("repo:acme/web:*"), into("repo,ref", "dev"), writer + " O14"},
		{"a workflow of a branch", sub("repo:acme/web:job_workflow_ref:acme/web/.github/workflows/a.yml@refs/heads/main"),
			pipelines(webRepo, plain("oidc_subject", "repo,job_workflow_ref"), reviewed, jobEntry("a", "push\t3:1")), reviewer},

		{"GitLab's Maintainers", sub(labMain), lab(standard, maintainers), reviewer},
		{"GitLab's Developers", sub(labMain), lab(standard, rule("branch", "main", "push", "Developer", "merge", "Maintainer")), writer + " O14"},
		{"Developers who merge", sub(labMain), lab(standard, rule("branch", "main", "push", "No one", "merge", "Developer")), writer + " O14?"},
		{"the milder of two rules", sub(labMain), lab(standard, maintainers, rule("branch", "m*", "push", "Developer")), writer + " O14"},
		{"a gate that nobody asks for", sub("project_path:acme/web:ref_type:branch:ref:dev"), lab(standard, maintainers), writer + " O14"},
		{"GitLab's tags", sub("project_path:acme/web:ref_type:tag:ref:v1"), lab(standard, rule("tag", "v*", "create", "Maintainer")), reviewer},
		{"tags of Developers", sub("project_path:acme/web:ref_type:tag:ref:v1"), lab(standard, rule("tag", "v*", "create", "Developer")), writer + " O14"},
		{"any ref", sub("project_path:acme/web:*"), lab(standard, maintainers), writer + ", " + writer},
		{"protected, and it is", sub(labMain + ":ref_protected:true"), lab(standard+",ref_protected", maintainers), reviewer},
		{"protected, and it is not", sub("project_path:acme/web:ref_type:branch:ref:dev:ref_protected:true"), lab(standard+",ref_protected", maintainers), ""},
		{"a protected environment", sub("project_path:acme/web:environment_protected:true"), lab("project_path,environment_protected", maintainers), reviewer + ", " + reviewer},
		{"other claims", sub(labMain), lab("project_path,ref", maintainers), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			issuer := "token.actions.githubusercontent.com"
			if strings.HasPrefix(c.run.Inventory[0].Target, "gitlab:") {
				issuer = "gitlab.com"
			}
			w, f := federation(t, issuer, c.conditions)
			in, _ := federate(t, &Graph{}, w, f, mints(t, c.run))
			var got []string
			for _, j := range in {
				text := string(j.Who)
				if j.Open != "" {
					text += " " + j.Open
				}
				if j.Unsure != "" {
					text += "?"
				}
				got = append(got, text)
			}
			if text := strings.Join(got, ", "); text != c.want {
				t.Errorf("got %q, want %q: %+v", text, c.want, in)
			}
		})
	}
}

// TestMissing: which repositories that a role lets in by name the forge does not have under that name, as far as a run can tell.
func TestMissing(t *testing.T) {
	const hub, own = "token.actions.githubusercontent.com", "git.acme.example"
	hidden := audit.Gap{Target: "github:acme", What: "repositories the token cannot see"}
	for _, c := range []struct {
		issuer, sub string
		refs        string
		targets     string
		gaps        []audit.Gap
		want        string // name, and ? where it is not certain
	}{
		{hub, "repo:acme/web:ref:refs/heads/main", "github:acme", "github:acme/web github:acme/lib", nil, ""},
		{hub, "repo:acme/Web:ref:refs/heads/main", "github:acme", "github:Acme/web", nil, ""},
		{hub, "repo:acme/gone:ref:refs/heads/main", "github:acme", "github:acme/web", nil, "acme/gone?"},
		{hub, "repo:acme/gone:ref:refs/heads/main", "github:acme", "github:acme/web", []audit.Gap{hidden}, ""},
		{hub, "repo:acme@1/gone@2:ref:refs/heads/main", "github:acme", "github:acme/web", nil, ""},
		{hub, "repo:acme/gone*:ref:refs/heads/main", "github:acme", "github:acme/web", nil, ""},
		{hub, "repo:other/gone:ref:refs/heads/main", "github:acme", "github:acme/web", nil, ""},
		{hub, "repo:acme/gone:*", "github:acme/w*", "github:acme/web", nil, ""},
		{hub, "repo:acme/old:ref:refs/heads/main", "github:acme/old", "github:acme/new", nil, "acme/old"},
		{hub, "repo:acme/old:ref:refs/heads/main", "github:acme/old", "github:acme/old", nil, ""},
		{hub, "repo:acme/old:ref:refs/heads/main", "github:acme/old github:acme/web", "github:acme/new github:acme/web", nil, ""},
		{"gitlab.com", "project_path:acme/deep/gone:ref_type:branch:ref:main", "gitlab:acme", "gitlab:acme/deep/web", nil, "acme/deep/gone?"},
		{own, "project_path:acme/gone:ref_type:branch:ref:main", "gitlab:acme", "gitlab:acme/web", nil, "acme/gone?"},
		{own, "project_path:acme/old:ref_type:branch:ref:main", "gitlab:acme/old", "gitlab:acme/new", nil, "acme/old?"},
	} {
		run := &audit.Run{Info: audit.RunInfo{Refs: strings.Fields(c.refs)}, Gaps: c.gaps}
		for _, target := range strings.Fields(c.targets) {
			run.Coverage = append(run.Coverage, audit.Coverage{Target: target, Kind: audit.TargetRepository})
		}
		a, err := NewAccess(run)
		if err != nil {
			t.Fatal(err)
		}
		_, f := federation(t, c.issuer, `"StringLike": {"~:sub": "`+c.sub+`"}`)
		got := ""
		for _, m := range a.Missing(f) {
			got += m.Name + map[bool]string{true: "?"}[m.Unsure != ""]
		}
		if got != c.want {
			t.Errorf("%s, with %s of %s: got %q, want %q", c.sub, c.targets, c.refs, got, c.want)
		}
	}
}

// TestFederateByNumber: a trust that asks for a repository's number is decided by the one that was read.
func TestFederateByNumber(t *testing.T) {
	w, f := federation(t, "token.actions.githubusercontent.com", `"StringLike": {"~:sub": "repo:acme/web:*"}, "StringEquals": {"~:repository_id": "456"}`)
	main := entry(audit.KindProtection, "main", "of", "branch", "refs", "main", "reviews", "1")
	for _, c := range []struct{ id, want string }{{"456", "sure"}, {"455", ""}, {"", "perhaps"}} {
		in, _ := federate(t, &Graph{}, w, f, mints(t, pipelines(webRepo, plain("id", c.id, "owner_id", "123"), main, jobEntry("a", "push\t3:1\tbranches=main"))))
		got := ""
		for _, j := range in {
			got += map[bool]string{true: "sure", false: "perhaps"}[j.Unsure == ""]
		}
		if got != c.want {
			t.Errorf("number %q: %q, want %q", c.id, got, c.want)
		}
	}
}

// BenchmarkFederations is as many roles as repositories, each of which trusts one.
func BenchmarkFederations(b *testing.B) {
	for _, n := range []int{500, 5000, 50_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var roles []string
			var all []Mint
			for i := range n {
				roles = append(roles, fmt.Sprintf(`{"Arn": "arn:aws:iam::111122223333:role/r%d", "AssumeRolePolicyDocument": {"Statement": {"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
					"Principal": {"Federated": "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"},
					"Condition": {"StringEquals": {"token.actions.githubusercontent.com:aud": "sts.amazonaws.com", "token.actions.githubusercontent.com:sub": "repo:acme/r%d:ref:refs/heads/main"}}}}}`, i, i))
				all = append(all, Mint{Target: fmt.Sprint("github:acme/r", i), Job: "deploy", Forge: iam.GitHub, Subject: fmt.Sprintf("repo:acme/r%d:ref:refs/heads/*", i), Claims: map[string]iam.Fact{"aud": iam.Chosen()}})
			}
			account, err := iam.ParseAccount("111122223333", []byte(`{"RoleDetailList": [`+strings.Join(roles, ",")+`]}`))
			if err != nil || len(account.Problems) > 0 {
				b.Fatal(err, account.Problems)
			}
			w := iam.NewWorld([]*iam.Account{account}, time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC))
			b.ReportAllocs()
			for b.Loop() {
				g, mints, in := &Graph{}, NewMints(all), 0
				for _, role := range w.Identities() {
					for _, f := range w.Federations(role) {
						some, _ := g.Federate(w, &f, mints)
						in += len(some)
					}
				}
				if in != n {
					b.Fatal(in)
				}
			}
		})
	}
}

// BenchmarkFederate is a role of one repository's, in an organisation of 10,000.
func BenchmarkFederate(b *testing.B) {
	w, f := federation(b, "token.actions.githubusercontent.com", `"StringLike": {"~:sub": "repo:acme/r77:*"}`)
	var all []Mint
	for i := range 10_000 {
		all = append(all, Mint{Target: fmt.Sprint("github:acme/r", i), Job: "deploy", Forge: iam.GitHub, Subject: fmt.Sprintf("repo:acme/r%d:ref:refs/heads/main", i), Claims: map[string]iam.Fact{"aud": iam.Chosen()}})
	}
	mints := NewMints(all)
	for b.Loop() {
		if in, _ := (&Graph{}).Federate(w, f, mints); len(in) != 1 {
			b.Fatal(len(in))
		}
	}
}
