package graph

import (
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
	return a.Mints()
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
		{"a computed one", pipelines(webRepo, plain(), main, jobEntry("a", "push\t3:1\tbranches=main", "environment", "${{ inputs.to }}", "environment_computed", "true")), []string{"repo:acme/web:environment:* by whoever may merge or approve? the environment, whose name is known when the job runs"}},
		{"numbers", pipelines(webRepo, plain("oidc_immutable_subject", "true"), main, jobEntry("a", "push\t3:1\tbranches=main")), []string{"repo:acme@*/web@*:ref:refs/heads/main by whoever may merge or approve? the numbers of owner and repository, which were not read"}},
		{"numbers that were read", pipelines(webRepo, plain("oidc_immutable_subject", "true", "id", "456", "owner_id", "123"), main, jobEntry("a", "push\t3:1\tbranches=main")), []string{
			"repo:acme@123/web@456:ref:refs/heads/main by whoever may merge or approve",
		}},
		{"the owner's number alone", pipelines(webRepo, plain("oidc_immutable_subject", "true", "owner_id", "123"), main, jobEntry("a", "push\t3:1\tbranches=main")), []string{
			"repo:acme@123/web@*:ref:refs/heads/main by whoever may merge or approve? the numbers of owner and repository, which were not read",
		}},
		{"a template of numbers", pipelines(webRepo, plain("oidc_subject", "repository_owner_id,repository_id", "id", "456", "owner_id", "123"), main, jobEntry("a", "push\t3:1\tbranches=main")), []string{
			"repository_owner_id:123:repository_id:456 by whoever may merge or approve",
		}},
		{"a template of numbers that were not read", pipelines(webRepo, plain("oidc_subject", "repository_id"), main, jobEntry("a", "push\t3:1\tbranches=main")), []string{
			"repository_id:* by whoever may merge or approve? the value of repository_id",
		}},
		{"settings that were not read", pipelines(webRepo, facts("default_branch", "main"), main, jobEntry("a", "schedule\t3:1")), []string{
			"repo:acme/web:ref:refs/heads/main by whoever may merge or approve? which subjects its tokens have: the settings were not read",
			"repo:acme@*/web@*:ref:refs/heads/main by whoever may merge or approve? which subjects its tokens have: the settings were not read",
		}},
		{"a template", pipelines(webRepo, plain("oidc_subject", "job_workflow_ref,environment"), main, guarded, jobEntry("a", "push\t3:1\tbranches=main", "environment", "prod")), []string{
			"job_workflow_ref:acme/web/.github/workflows/a.yml@refs/heads/main:environment:prod by whoever may merge or approve",
		}},
		{"a template with what is not known", pipelines(webRepo, plain("oidc_subject", "repo,actor"), main, jobEntry("a", "push\t3:1\tbranches=main")), []string{"repo:acme/web:actor:* by whoever may merge or approve? the value of actor"}},
		{"no right to a token", pipelines(webRepo, plain(), jobEntry("a", "push\t3:1", "permissions", "contents=write")), nil},
		{"all rights", pipelines(webRepo, plain(), main, jobEntry("a", "schedule\t3:1", "permissions", "*=write")), []string{"repo:acme/web:ref:refs/heads/main by whoever may merge or approve"}},
		{"all but that", pipelines(webRepo, plain(), main, jobEntry("a", "schedule\t3:1", "permissions", "*=write,id-token=none")), nil},
		{"GitLab", pipelines("gitlab:acme/platform/web", facts(), jobEntry("a", "push\t3:1", "id_tokens", "AWS\tsts.amazonaws.com")), []string{
			"project_path:acme/platform/web:ref_type:branch:ref:* by whoever may push? whether the project's subjects have the standard components, which are not read",
			"project_path:acme/platform/web:ref_type:tag:ref:* by whoever may push? whether the project's subjects have the standard components, which are not read",
		}},
		{"GitLab without tokens", pipelines("gitlab:acme/web", facts(), jobEntry("a", "push\t3:1", "permissions", "none")), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, m := range mints(t, c.run) {
				text := m.Subject + " by " + string(m.Who)
				if m.Open != "" {
					text += " " + m.Open
				}
				if m.Unsure != "" {
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
			in, left := g.Federate(w, &f, all)
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

// TestFederateByNumber: a trust that asks for a repository's number is decided by the one that was read.
func TestFederateByNumber(t *testing.T) {
	account, err := iam.ParseAccount("111122223333", json.RawMessage(`{"RoleDetailList": [{"RoleName": "a", "Arn": "arn:aws:iam::111122223333:role/a", "AssumeRolePolicyDocument": {"Version": "2012-10-17",
		"Statement": {"Effect": "Allow", "Principal": {"Federated": "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"}, "Action": "sts:AssumeRoleWithWebIdentity",
		"Condition": {"StringLike": {"token.actions.githubusercontent.com:sub": "repo:acme/web:*"}, "StringEquals": {"token.actions.githubusercontent.com:repository_id": "456"}}}}}]}`))
	if err != nil || len(account.Problems) > 0 {
		t.Fatal(err, account)
	}
	w := iam.NewWorld([]*iam.Account{account}, time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC))
	f := w.Federations(w.Identities()[0])[0]
	main := entry(audit.KindProtection, "main", "of", "branch", "refs", "main", "reviews", "1")
	for _, c := range []struct{ id, want string }{{"456", "sure"}, {"455", ""}, {"", "perhaps"}} {
		in, _ := (&Graph{}).Federate(w, &f, mints(t, pipelines(webRepo, plain("id", c.id, "owner_id", "123"), main, jobEntry("a", "push\t3:1\tbranches=main"))))
		got := ""
		for _, j := range in {
			got += map[bool]string{true: "sure", false: "perhaps"}[j.Unsure == ""]
		}
		if got != c.want {
			t.Errorf("number %q: %q, want %q", c.id, got, c.want)
		}
	}
}

// BenchmarkFederate is a role of one repository's, in an organisation of 10,000.
func BenchmarkFederate(b *testing.B) {
	account, err := iam.ParseAccount("111122223333", json.RawMessage(`{"RoleDetailList": [{"RoleName": "a", "Arn": "arn:aws:iam::111122223333:role/a", "AssumeRolePolicyDocument": {"Version": "2012-10-17",
		"Statement": {"Effect": "Allow", "Principal": {"Federated": "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"}, "Action": "sts:AssumeRoleWithWebIdentity",
		"Condition": {"StringLike": {"token.actions.githubusercontent.com:sub": "repo:acme/r77:*"}}}}}]}`))
	if err != nil {
		b.Fatal(err)
	}
	w := iam.NewWorld([]*iam.Account{account}, time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC))
	var all []Mint
	for i := range 10_000 {
		all = append(all, Mint{Target: fmt.Sprint("github:acme/r", i), Job: "deploy", Forge: iam.GitHub, Subject: fmt.Sprintf("repo:acme/r%d:ref:refs/heads/main", i), Claims: map[string]iam.Fact{"aud": iam.Chosen()}})
	}
	f := w.Federations(w.Identities()[0])[0]
	for b.Loop() {
		if in, _ := (&Graph{}).Federate(w, &f, all); len(in) != 1 {
			b.Fatal(len(in))
		}
	}
}
