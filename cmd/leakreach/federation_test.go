package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/iam"
	"github.com/leakreach/leakreach/internal/graph"
	"github.com/leakreach/leakreach/internal/report"
	"github.com/leakreach/leakreach/providers/forgetest"
)

// trusting is a role that trusts GitHub's tokens of some subjects, and that may do something.
func trusting(name, sub, action string) string {
	return `{"RoleName": "` + name + `", "Arn": "arn:aws:iam::111122223333:role/` + name + `", "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": {"Effect": "Allow",
		"Principal": {"Federated": "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"}, "Action": "sts:AssumeRoleWithWebIdentity",
		"Condition": {"StringLike": {"token.actions.githubusercontent.com:sub": "` + sub + `"}, "StringEquals": {"token.actions.githubusercontent.com:aud": "sts.amazonaws.com"}}}},
		"RolePolicyList": [{"PolicyName": "p", "PolicyDocument": {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "` + action + `", "Resource": "*"}}}]}`
}

// explained is what reach tells of a run and an account with some roles.
func explained(t *testing.T, run *audit.Run, roles ...string) *report.Reach {
	t.Helper()
	return explainedWith(t, run, nil, roles...)
}

// explainedWith also has somebody who tells who has names.
func explainedWith(t *testing.T, run *audit.Run, holder func(f *iam.Federation, name string) audit.Holder, roles ...string) *report.Reach {
	t.Helper()
	account, err := iam.ParseAccount("111122223333", json.RawMessage(`{"RoleDetailList": [`+strings.Join(roles, ",")+`]}`))
	if err != nil || len(account.Problems) > 0 {
		t.Fatal(err, account)
	}
	x := &explainer{
		r: &report.Reach{Graph: &graph.Graph{}}, run: run, holder: holder, findings: map[string]*audit.Finding{},
		world: iam.NewWorld([]*iam.Account{account}, time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)),
	}
	if err := x.federate(func() (audit.Key, error) { return audit.KeyFrom([]byte("a key of this test's")), nil }); err != nil {
		t.Fatal(err)
	}
	if err := x.explain(nil); err != nil {
		t.Fatal(err)
	}
	return x.r
}

// TestTrustedJobs: with a run beside the exports, a role tells which jobs can become it, what is wrong at the forge's side is a finding, and the ways to it begin there.
func TestTrustedJobs(t *testing.T) {
	job := func(target, name, events, environment string) audit.Entry {
		return audit.Entry{Target: target, Kind: audit.KindJob, Name: name, Facts: map[string]string{"workflow": name, "job": name, "events": events, "permissions": "id-token=write", "environment": environment}}
	}
	settings := func(target, immutable, id, owner string) audit.Entry {
		return audit.Entry{Target: target, Kind: audit.KindSettings, Name: target, Facts: map[string]string{
			"oidc_immutable_subject": immutable, "default_branch": "main", "visibility": "public", "id": id, "owner_id": owner,
		}}
	}
	const web, api, unread = "github:acme/web", "github:acme/api", "github:acme/unread"
	run := &audit.Run{Info: audit.RunInfo{Refs: []string{"github:acme"}}, Inventory: []audit.Entry{
		settings(web, "false", "3", "1"), settings(api, "true", "2", "1"), settings(unread, "true", "", ""),
		{Target: web, Kind: audit.KindProtection, Name: "main", Facts: map[string]string{"of": "branch", "refs": "main", "reviews": "2"}},
		{Target: web, Kind: audit.KindEnvironment, Name: "guarded", Facts: map[string]string{"reviewers": "Team:ops", "branches": "all"}},
		job(web, "ci", "push\t1:1\tbranches=main", ""), job(web, "triage", "issue_comment\t1:1", ""), job(web, "deploy", "push\t1:1\tbranches=main", "prod"), job(web, "ship", "push\t1:1\tbranches=main", "guarded"),
		job(api, "deploy", "push\t1:1\tbranches=main", "prod"), job(api, "triage", "issue_comment\t1:1", ""), job(unread, "deploy", "push\t1:1\tbranches=main", "prod"),
	}}
	for _, target := range []string{web, api, unread} {
		run.Coverage = append(run.Coverage, audit.Coverage{Target: target, Kind: audit.TargetRepository})
	}
	role := func(name, sub string) string { return trusting(name, sub, "*") }
	r := explained(t, run,
		role("main", "repo:acme/web:ref:refs/heads/main"), role("prod", "repo:acme/web:environment:prod"), role("guarded", "repo:acme/web:environment:guarded"),
		role("numbers", "repo:acme@1/api@2:environment:prod"), role("renamed", "repo:acme/api:environment:prod"), role("nobody", "repo:acme/other:environment:prod"),
		role("numbered-main", "repo:acme@1/api@2:ref:refs/heads/main"), role("former", "repo:acme@1/api@7:environment:prod"), role("unread", "repo:acme@1/unread@4:environment:prod"),
	)
	want := map[string]struct{ jobs, problems string }{
		"main":          {"ci by whoever may merge or approve, triage by anybody", "O14 critical"},
		"prod":          {"deploy by whoever may push", "O08 critical"},
		"guarded":       {"ship by whoever may merge or approve", ""},
		"renamed":       {"", "O13 medium"},
		"nobody":        {"", ""},
		"numbers":       {"deploy by whoever may push", "O08 critical"},
		"numbered-main": {"triage by anybody", "O14 critical"},
		"former":        {"", ""},
		"unread":        {"deploy by whoever may push", ""},
	}
	for _, i := range r.Identities {
		name := i.ARN[strings.LastIndexByte(i.ARN, '/')+1:]
		var jobs, problems []string
		for _, j := range i.Trusts[0].Jobs {
			jobs = append(jobs, j.Job[strings.LastIndexByte(j.Job, ' ')+1:]+" by "+j.Who)
		}
		for _, p := range i.Trusts[0].Problems {
			problems = append(problems, p.ID+" "+string(p.Severity))
		}
		if got := strings.Join(jobs, ", "); got != want[name].jobs {
			t.Errorf("%s: jobs %q, want %q", name, got, want[name].jobs)
		}
		if got := strings.Join(problems, ", "); got != want[name].problems {
			t.Errorf("%s: problems %q, want %q", name, got, want[name].problems)
		}
		if found := slices.ContainsFunc(r.Findings, func(f audit.Finding) bool { return f.Rule == "oidc-trust-too-broad" && f.Locations[0].Name == i.ARN }); found != (want[name].problems != "") {
			t.Errorf("%s: a finding: %v", name, found)
		}
	}
	if len(r.Identities) != len(want) || len(r.Findings) != 5 {
		t.Errorf("%d identities, %d findings", len(r.Identities), len(r.Findings))
	}
	for _, i := range r.Identities {
		want := map[bool]string{true: "perhaps O08"}[strings.HasSuffix(i.ARN, "/unread")] + map[bool]string{true: "perhaps O09"}[strings.HasSuffix(i.ARN, "/nobody")]
		if limits := strings.Join(i.Trusts[0].Limits, "\n"); !strings.HasPrefix(limits, want) || want == "" && limits != "" || strings.Contains(limits, "\n") {
			t.Errorf("%s: limits %q, want %q", i.ARN, limits, want)
		}
	}
	var out bytes.Buffer
	if err := report.WriteReach(&out, "text", r, report.Options{}); err != nil {
		t.Fatal(err)
	}
	if text := "can be assumed by github:acme/web triage: triage on issue_comment: repo:acme/web:ref:refs/heads/main, anybody"; !strings.Contains(out.String(), text) {
		t.Errorf("the text does not say %q:\n%s", text, out.String())
	}
}

// TestTrustedStakes: with accounts beside a stored run, its findings are told again that are worse for the roles which their jobs can become.
func TestTrustedStakes(t *testing.T) {
	const web = "github:acme/web"
	for action, want := range map[string]string{"*": "1 critical", "s3:PutObject": "2 medium", "s3:GetObject": ""} {
		run := &audit.Run{Inventory: []audit.Entry{
			{Target: web, Kind: audit.KindSettings, Name: web, Facts: map[string]string{"oidc_immutable_subject": "false", "default_branch": "main", "visibility": "private"}},
			{Target: web, Kind: audit.KindJob, Name: "ci", Facts: map[string]string{"workflow": "ci.yml", "path": "ci.yml", "job": "ci", "at": "3:3", "events": "push\t1:1", "permissions": "id-token=write"}},
			{Target: web, Kind: audit.KindJob, Name: "test", Facts: map[string]string{"workflow": "ci.yml", "path": "ci.yml", "job": "test", "at": "9:3", "events": "push\t1:1", "permissions": "contents=read"}},
		}}
		for i, line := range []int{5, 6, 11} {
			some := []audit.Severity{audit.High, audit.Low, audit.High}[i]
			run.Findings = append(run.Findings, audit.Finding{
				ID: fmt.Sprint(i + 1), Rule: "r", Severity: some, Message: "m", Stakes: &audit.Stakes{None: some, Some: some},
				Locations: []audit.Location{{Target: web, Kind: audit.InWorkflow, Path: "ci.yml", Line: line}},
			})
		}
		var got []string
		for _, f := range explained(t, run, trusting("a", "repo:acme/web:ref:refs/heads/main", action)).Findings {
			if f.Rule == "r" {
				got = append(got, f.ID+" "+string(f.Severity))
			}
		}
		if action == "*" {
			want += ", 2 medium"
		}
		if text := strings.Join(got, ", "); text != want {
			t.Errorf("%s: %q, want %q", action, text, want)
		}
	}
}

// TestTrustedAnyBranch: a job that may have its identity confirmed for any branch is as bad as what the roles let it in to that trust its repository.
func TestTrustedAnyBranch(t *testing.T) {
	const web = "github:acme/web"
	maybe := trusting("a", `repo:acme/web:*", "token.actions.githubusercontent.com:repository_id": "42`, "*") // which was not read
	run := &audit.Run{
		Inventory: []audit.Entry{
			{Target: web, Kind: audit.KindSettings, Name: web, Facts: map[string]string{"oidc_immutable_subject": "false", "default_branch": "main", "visibility": "private"}},
			{Target: web, Kind: audit.KindProtection, Name: "main", Facts: map[string]string{"of": "branch", "refs": "main", "reviews": "2"}},
			{Target: web, Kind: audit.KindJob, Name: "ci", Facts: map[string]string{"workflow": "ci.yml", "path": "ci.yml", "job": "ci", "at": "3:3", "events": "push\t1:1", "permissions": "id-token=write"}},
		},
		Findings: []audit.Finding{
			{ID: "1", Rule: "oidc-any-branch", Severity: audit.High, Message: "m", Locations: []audit.Location{{Target: web, Kind: audit.InWorkflow, Path: "ci.yml", Line: 3}}},
			{ID: "2", Rule: "oidc-any-branch", Severity: audit.High, Message: "m", Locations: []audit.Location{{Target: "github:acme/other", Kind: audit.InWorkflow, Path: "ci.yml", Line: 3}}},
			{ID: "4", Rule: "oidc-any-branch", Severity: audit.High, Message: "m", Locations: []audit.Location{{Target: web, Kind: audit.InWorkflow, Path: "ci.yml", Line: 9}}},
			{ID: "3", Rule: "another", Severity: audit.High, Message: "m", Locations: []audit.Location{{Target: web, Kind: audit.InWorkflow, Path: "ci.yml", Line: 3}}},
		},
	}
	for _, c := range []struct {
		name  string
		roles []string
		want  string
	}{
		{"one for a protected branch", []string{trusting("a", "repo:acme/web:ref:refs/heads/main", "*")}, "1 low, 4 low"},
		{"one for an environment that the job does not name", []string{trusting("a", "repo:acme/web:environment:prod", "*")}, "1 low, 4 low"},
		{"one for every branch", []string{trusting("a", "repo:acme/web:*", "s3:PutObject")}, "1 high write a, 4 low"},
		{"an admin perhaps, and one that surely writes", []string{maybe, trusting("b", "repo:acme/web:*", "s3:PutObject")}, "1 high admin a, 4 low"},
		{"an admin perhaps, and one surely", []string{maybe, trusting("b", "repo:acme/web:*", "*")}, "1 critical admin b, 4 low"},
		{"an admin for every branch", []string{trusting("a", "repo:acme/web:*", "*")}, "1 critical admin a, 4 low"},
		{"one of each", []string{trusting("a", "repo:acme/web:ref:refs/heads/main", "*"), trusting("b", "repo:acme/web:*", "s3:PutObject"), trusting("c", "repo:acme/web:*", "s3:GetObject")}, "1 high write b, 4 low"},
		{"one for a branch that is open", []string{trusting("a", "repo:acme/web:ref:refs/heads/dev", "s3:PutObject")}, "1 high write a, 4 low"},
		{"one for a protected branch, by a claim of which nothing is known", []string{strings.Replace(trusting("a", "repo:acme/web:ref:refs/heads/main", "*"), `"StringLike": {`, `"StringLike": {"aws:SourceIp": "192.0.2.1", `, 1)}, "1 high admin a, 4 low"},
		{"one of another repository", []string{trusting("a", "repo:acme/lib:*", "*")}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := explained(t, run, c.roles...)
			var got []string
			for _, f := range r.Findings {
				if f.Rule == "oidc-trust-too-broad" {
					continue
				}
				text := f.ID + " " + string(f.Severity)
				if f.Reach != nil {
					to := f.Reach.Paths[0].Steps[0].To
					text += " " + string(f.Reach.Level) + " " + to[strings.LastIndexByte(to, '/')+1:]
				}
				got = append(got, text)
			}
			if text := strings.Join(got, ", "); text != c.want || run.Findings[0].Severity != audit.High {
				t.Errorf("got %q, want %q: %+v", text, c.want, r.Findings)
			}
		})
	}
}

// TestTrustedName: a repository that was renamed since, which the run shows, is a finding; its jobs have other subjects.
func TestTrustedName(t *testing.T) {
	run := &audit.Run{Info: audit.RunInfo{Refs: []string{"github:acme/old"}}, Coverage: []audit.Coverage{{Target: "github:acme/new", Kind: audit.TargetRepository}}}
	r := explained(t, run, trusting("a", "repo:acme/old:environment:prod", "s3:PutObject"))
	if len(r.Findings) != 1 || r.Findings[0].Severity != audit.Medium || !strings.Contains(r.Findings[0].Message, "O09 asked for acme/old, the forge answered with acme/new") {
		t.Errorf("%+v", r.Findings)
	}
}

// TestTrustedHolders: who has the names that a role lets in decides whether it is a finding; what the run has seen is not asked about, nor what is told already.
func TestTrustedHolders(t *testing.T) {
	holders := map[string]audit.Holder{
		"acme": {Name: "Acme"}, "acme/web": {Name: "acme/web"}, "acme/was": {Name: "acme/now"}, "free": {}, "before": {Name: "after"}, "hidden": {Unsure: "whether it is there"}, "acme/hidden": {Unsure: "whether it is there"},
	}
	run := &audit.Run{Info: audit.RunInfo{Refs: []string{"github:seen/old"}}, Coverage: []audit.Coverage{{Target: "github:seen/new", Kind: audit.TargetRepository, Status: audit.Scanned}}}
	for _, c := range []struct {
		name, sub string
		run       *audit.Run
		asked     string
		want      string // the finding's severity and what it says of O09; or the limit
	}{
		{"taken", "repo:acme/web:environment:prod", nil, "acme acme/web", ""},
		{"a free owner", "repo:free/web:environment:prod", nil, "free", "critical nobody on the forge has the name free"},
		{"a free owner's all", "repo:free/*", nil, "free", "critical nobody on the forge has the name free"},
		{"a renamed owner", "repo:before/web:environment:prod", nil, "before", "critical before is called after now"},
		{"a renamed repository", "repo:acme/was:environment:prod", nil, "acme acme/was", "medium acme/was is called acme/now now"},
		{"an owner who is not seen", "repo:hidden/web:environment:prod", nil, "hidden", "perhaps O09: of hidden is not known whether it is there"},
		{"a repository that is not seen", "repo:acme/hidden:environment:prod", nil, "acme acme/hidden", "perhaps O09: of acme/hidden is not known whether it is there"},
		{"by numbers", "repo:free@1/web@2:environment:prod", nil, "", ""},
		{"everybody", "repo:*", nil, "", ""},
		{"what the run has seen", "repo:seen/new:environment:prod", run, "", ""},
		{"what the run has told", "repo:seen/old:environment:prod", run, "", "medium asked for seen/old, the forge answered with seen/new"},
	} {
		var asked []string
		r := explainedWith(t, c.run, func(f *iam.Federation, name string) audit.Holder {
			asked = append(asked, name)
			return holders[name]
		}, trusting("a", c.sub, "s3:GetObject"))
		if got := strings.Join(asked, " "); got != c.asked {
			t.Errorf("%s: asked about %q, want %q", c.name, got, c.asked)
		}
		var got []string
		for _, f := range r.Findings {
			if _, why, told := strings.Cut(f.Message, "O09 "); told {
				got = append(got, string(f.Severity)+" "+why)
			}
		}
		for _, l := range r.Identities[0].Trusts[0].Limits {
			if strings.Contains(l, "O09") {
				got = append(got, l)
			}
		}
		if text := strings.Join(got, "\n"); !strings.HasPrefix(text, c.want) || c.want == "" && text != "" || strings.Contains(text, "\n") {
			t.Errorf("%s: %q, want %q", c.name, text, c.want)
		}
	}
}

// scannedAndRead is what reach tells of a forge that was scanned, kept, and of exports of an account with some roles, all by the program.
func scannedAndRead(t *testing.T, forge http.Handler, ref string, names []string, roles ...string) (told struct {
	Findings   []audit.Finding
	Identities []report.ReachedIdentity
},
) {
	t.Helper()
	dir := t.TempDir()
	stored, exports := filepath.Join(dir, "runs.db"), filepath.Join(dir, "exports")
	if err := os.Mkdir(exports, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(exports, "111122223333.gaad.json"), []byte(`{"RoleDetailList": [`+strings.Join(roles, ",")+`]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{
		"GITHUB_API_URL": forgetest.Start(t, forge), "GH_TOKEN": forgetest.WorldToken, "LEAKREACH_VERIFY": "off", "LEAKREACH_PROGRESS": "off", "LEAKREACH_CACHE_DIR": t.TempDir(),
	}
	leakreach := func(args ...string) []byte {
		t.Helper()
		var out, log bytes.Buffer
		code := run(t.Context(), args, world{
			stdin: strings.NewReader(""), stdout: &out, stderr: &log, getenv: func(k string) string { return env[k] },
			terminal: func(io.Writer) (int, bool) { return 0, false }, limit: func(audit.Memory) {},
		})
		if code != exitOK {
			t.Fatalf("%q: exit code %d\n%s", args, code, log.String())
		}
		return out.Bytes()
	}
	leakreach("scan", ref, "--sources", "workflows,settings", "--fail-on", "none", "--store", stored)
	if err := json.Unmarshal(leakreach(append([]string{"reach", "--store", stored, "--from", exports, "--format", "json"}, names...)...), &told); err != nil {
		t.Fatal(err)
	}
	return told
}

// TestPipelineBecomesRole: a scan of a forge is kept, and with the exports of an account the way from a pipeline to what a role opens is told.
func TestPipelineBecomesRole(t *testing.T) {
	g := forgetest.NewWorld(t, time.Now()).GitHub
	const role = "arn:aws:iam::111122223333:role/deploy"
	x := g.Repos[slices.IndexFunc(g.Repos, func(x *forgetest.GitHubRepo) bool { return x.FullName == "acme/cloud-role" })]
	numbers := fmt.Sprintf("repo:acme@%d/cloud-role@%d:", forgetest.AccountID("acme"), x.ID)
	told := scannedAndRead(t, g, "github:acme/cloud-role", []string{role}, trusting("deploy", numbers+"*", "*"))
	if len(told.Identities) != 1 || len(told.Identities[0].Trusts) != 1 || len(told.Findings) != 1 {
		t.Fatalf("%+v", told)
	}
	jobs := told.Identities[0].Trusts[0].Jobs
	if len(jobs) == 0 || jobs[0].Target != "github:acme/cloud-role" || jobs[0].Subject != numbers+"ref:refs/heads/main" || jobs[0].Who != string(graph.ByReviewer) || jobs[0].Unsure != "" {
		t.Errorf("jobs that can become it: %+v", jobs)
	}
	if f := told.Findings[0]; f.Rule != "oidc-trust-too-broad" || f.Severity != audit.Critical || f.Locations[0].Name != role {
		t.Errorf("the finding: %+v", f)
	}
	if ways := told.Identities[0].Ways; ways == nil || !slices.ContainsFunc(ways.From, func(steps []audit.Step) bool {
		return slices.ContainsFunc(steps, func(s audit.Step) bool { return s.Edge == string(graph.Federate) && s.To == role })
	}) {
		t.Errorf("no way comes from a job: %+v", ways)
	}
}

// TestRenamedRepository: GitHub leads from a former name to the repository; a role that trusts that name lets in whoever takes it.
func TestRenamedRepository(t *testing.T) {
	g := forgetest.NewWorld(t, time.Now()).GitHub
	g.StartBlobs(t)
	former := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rest, ok := strings.CutPrefix(r.URL.Path, "/repos/acme/was"); ok {
			http.Redirect(w, r, "/repos/acme/cloud-role"+rest, http.StatusMovedPermanently)
			return
		}
		g.ServeHTTP(w, r)
	})
	told := scannedAndRead(t, former, "github:acme/was", nil, trusting("former", "repo:acme/was:environment:prod", "s3:PutObject"), trusting("now", "repo:acme/cloud-role:environment:prod", "s3:PutObject"))
	var got []string
	for _, f := range told.Findings {
		if strings.Contains(f.Message, "O09") {
			got = append(got, f.Locations[0].Name)
		}
	}
	if len(got) != 1 || !strings.HasSuffix(got[0], "/former") {
		t.Errorf("O09 of %q: %+v", got, told.Findings)
	}
}

// TestScanJudgesTrust: a scan that is given an account beside the forge judges with its roles, as reach does with the run and the account: same findings, same ids, same severities.
func TestScanJudgesTrust(t *testing.T) {
	const target, workflow = "github:acme/cloud-role", ".github/workflows/x.yml"
	for _, c := range []struct {
		name, sub, action string
		anyBranch         string // severity of the finding about the job, and what it says
		broad             string // of the one about the role
	}{
		{"an admin for every branch", "*", "*", "critical admin lets it in as repo:acme@", "critical O05"},
		{"one that writes", "*", "s3:PutObject", "high write lets it in as repo:acme@", "high O05"},
		{"one for another branch", "ref:refs/heads/release", "s3:PutObject", "high write lets it in as repo:acme@", "high O14"},
		{"one for an environment", "environment:prod", "*", "low  ask for a branch or an environment", ""},
		{"none of its repository", "", "*", "high  ", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := forgetest.NewWorld(t, time.Now()).GitHub
			x := g.Repos[slices.IndexFunc(g.Repos, func(x *forgetest.GitHubRepo) bool { return x.FullName == "acme/cloud-role" })]
			x.Dir = forgetest.Repository(t, forgetest.Commit{workflow: "on: push\njobs:\n  deploy:\n    runs-on: ubuntu-24.04\n    permissions: {id-token: write}\n    steps:\n" +
				"      - uses: aws-actions/configure-aws-credentials@e3dd6a429d7300a6a4c196c26e071d42e0343502\n        with: {role-to-assume: 'arn:aws:iam::111122223333:role/deploy', aws-region: eu-west-1}\n"})
			sub := fmt.Sprintf("repo:acme@%d/cloud-role@%d:", forgetest.AccountID("acme"), x.ID) + c.sub
			if c.sub == "" {
				sub = "repo:acme@1/other@2:environment:prod"
			}
			dir := t.TempDir()
			exports := filepath.Join(dir, "exports")
			if err := errors.Join(os.Mkdir(exports, 0o700), os.WriteFile(filepath.Join(exports, "111122223333.gaad.json"), []byte(`{"RoleDetailList": [`+trusting("deploy", sub, c.action)+`]}`), 0o600)); err != nil {
				t.Fatal(err)
			}
			env := map[string]string{
				"GITHUB_API_URL": forgetest.Start(t, g), "GH_TOKEN": forgetest.WorldToken, "LEAKREACH_VERIFY": "off", "LEAKREACH_PROGRESS": "off", "LEAKREACH_CACHE_DIR": t.TempDir(),
				"LEAKREACH_FINGERPRINT_KEY": "a key of this test's, for one id in all runs",
			}
			told := func(args ...string) map[string]string {
				t.Helper()
				var out, log bytes.Buffer
				if code := run(t.Context(), args, world{
					stdin: strings.NewReader(""), stdout: &out, stderr: &log, getenv: func(k string) string { return env[k] },
					terminal: func(io.Writer) (int, bool) { return 0, false }, limit: func(audit.Memory) {},
				}); code != exitOK {
					t.Fatalf("%q: exit code %d\n%s", args, code, log.String())
				}
				var r struct{ Findings []audit.Finding }
				if err := json.Unmarshal(out.Bytes(), &r); err != nil {
					t.Fatal(err)
				}
				found := map[string]string{}
				for _, f := range r.Findings {
					if f.Rule == "oidc-any-branch" || f.Rule == "oidc-trust-too-broad" {
						level := ""
						if f.Reach != nil {
							level = string(f.Reach.Level)
						}
						found[f.Rule] = fmt.Sprint(f.Severity, " ", level, " ", f.Message, " ", f.ID, f.Reach)
					}
				}
				return found
			}
			scan := []string{"scan", target, "--sources", "workflows,settings", "--fail-on", "none", "--format", "json", "--allow-gaps"}
			store, plain := filepath.Join(dir, "judged.db"), filepath.Join(dir, "plain.db")
			judged := told(append(scan, "aws:"+exports, "--store", store)...)
			told(append(scan, "--store", plain)...)
			fromReach := told("reach", "--store", plain, "--from", exports, "--format", "json")
			if c.sub == "" { // of a repository that no role trusts reach says nothing
				delete(judged, "oidc-any-branch")
			}
			if !maps.Equal(judged, fromReach) {
				t.Errorf("scan tells\n%q\nreach tells\n%q", judged, fromReach)
			}
			if again := told("reach", "--store", store, "--from", exports, "--format", "json"); !maps.Equal(again, judged) {
				t.Errorf("of the run with accounts reach tells\n%q\nscan told\n%q", again, judged)
			}
			if again := told("report", "--store", store, "--format", "json", "--fail-on", "none", "--allow-gaps"); c.sub != "" && !maps.Equal(again, judged) {
				t.Errorf("report tells\n%q\nscan told\n%q", again, judged)
			}
			level, text, _ := strings.Cut(c.anyBranch, " ")
			level2, text, _ := strings.Cut(text, " ")
			if got := judged["oidc-any-branch"]; c.sub != "" && (!strings.HasPrefix(got, level+" "+level2+" ") || !strings.Contains(got, text)) {
				t.Errorf("of the job: %q, want %q", got, c.anyBranch)
			}
			severity, id, _ := strings.Cut(c.broad, " ")
			if got := judged["oidc-trust-too-broad"]; !strings.HasPrefix(got, severity) || !strings.Contains(got, id) || c.broad == "" && got != "" {
				t.Errorf("of the role: %q, want %q", got, c.broad)
			}
		})
	}
}
