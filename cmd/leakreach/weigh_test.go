package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
	"github.com/leakreach/leakreach/verify/aws/awstest"
)

// TestSeverityByReach: one injection in eleven repositories is as bad as what the job holds there, or can become, in every report and for the gate.
func TestSeverityByReach(t *testing.T) {
	const allow = `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "%", "Resource": "*"}, {"Effect": "Allow", "Action": ["iam:Get*", "iam:List*", "iam:SimulatePrincipalPolicy"], "Resource": "*"}]}`
	account := awstest.Account{ID: "111122223333", Keys: map[string]awstest.Key{}, Users: map[string]awstest.Entity{}}
	m := newMaker(11)
	g := &forgetest.GitHub{Token: forgetest.WorldToken, Login: "auditor", Owners: []*forgetest.Owner{{Login: "acme"}}}
	workflow := func(job string) string {
		return "on: issue_comment\npermissions: { contents: read }\njobs:\n  answer:\n    runs-on: ubuntu-24.04\n    " + job + "\n    steps:\n      - run: echo \"${{ github.event.comment.body }}\"\n"
	}
	addJob := func(name, job string) *forgetest.GitHubRepo {
		x := &forgetest.GitHubRepo{
			FullName: "acme/" + name, ID: int64(len(g.Repos) + 1), Private: true, Dir: forgetest.Repository(t, forgetest.Commit{".github/workflows/answer.yml": workflow(job)}),
		}
		g.Repos = append(g.Repos, x)
		return x
	}
	add := func(name, env string) *forgetest.GitHubRepo { return addJob(name, "env: {"+env+"}") }
	var values []string
	for name, action := range map[string]string{"admin": "*", "writes": "s3:PutObject", "dead": "*"} {
		x := add(name, `A: "${{ vars.AWS_ACCESS_KEY_ID }}", B: "${{ vars.AWS_SECRET_ACCESS_KEY }}"`)
		id, value := m.keyID(), m.secret()
		values = append(values, value)
		x.Variables = []forgetest.Variable{{Name: "AWS_ACCESS_KEY_ID", Value: id}, {Name: "AWS_SECRET_ACCESS_KEY", Value: value}}
		account.Users[name] = awstest.Entity{Inline: map[string]string{"all": strings.Replace(allow, "%", action, 1)}}
		account.Keys[id] = awstest.Key{Secret: value, User: name, Inactive: name == "dead"}
	}
	add("secret", `A: "${{ secrets.DEPLOY_TOKEN }}"`).Secrets = []forgetest.Secret{{Name: "DEPLOY_TOKEN"}}
	add("bare", "")
	// Roles of another account trust jobs of these; what is not asked about it is in its export.
	var roles []string
	for name, x := range map[string]struct{ job, sub, action string }{
		"becomes-admin":     {"permissions: { id-token: write }", "repo:acme/becomes-admin:ref:refs/heads/main", "*"},
		"becomes-writer":    {"permissions: { id-token: write }", "repo:acme/becomes-writer:*", "s3:PutObject"},
		"becomes-reader":    {"permissions: { id-token: write }", "repo:acme/becomes-reader:ref:refs/heads/main", "s3:GetObject"},
		"other-branch":      {"permissions: { id-token: write }", "repo:acme/other-branch:ref:refs/heads/release", "*"},
		"other-environment": {"permissions: { id-token: write }", "repo:acme/other-environment:environment:production", "*"},
		"in-environment":    {"permissions: { id-token: write }\n    environment: production", "repo:acme/in-environment:environment:production", "*"},
		"no-identity":       {"env: {}", "repo:acme/no-identity:ref:refs/heads/main", "*"},
	} {
		addJob(name, x.job).Environments = []forgetest.Environment{{Name: "production"}}
		roles = append(roles, trusting(name, x.sub, x.action))
	}
	server := awstest.New(account)
	t.Cleanup(server.Close)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "111122223333"+gaadSuffix), []byte(`{"RoleDetailList": [`+strings.Join(roles, ",")+`]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, none := range map[string]string{"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": filepath.Join(dir, "none"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(dir, "none")} {
		t.Setenv(name, none)
	}
	vars := map[string]string{
		"GITHUB_API_URL": forgetest.Start(t, g), "GH_TOKEN": forgetest.WorldToken, "AWS_ENDPOINT_URL": server.URL, "LEAKREACH_STORE": filepath.Join(dir, "runs.db"),
	}
	sarif := filepath.Join(dir, "out.sarif")
	code, stdout, stderr := asked(t, vars, "scan", "github:acme", "aws:"+dir, "--verify", "live", "--format", "json", "--out", "sarif="+sarif)
	var run audit.Run
	if err := json.Unmarshal([]byte(stdout), &run); err != nil || code != exitFindings {
		t.Fatalf("exit code %d, %v\n%s", code, err, stderr)
	}
	got, why := map[string]audit.Severity{}, map[string]string{}
	for _, f := range run.Findings {
		if f.Rule == "script-injection" {
			name := strings.TrimPrefix(f.Locations[0].Target, "github:acme/")
			got[name] = f.Severity
			_, why[name], _ = strings.Cut(f.Message, "; the job ")
		}
	}
	want := map[string]audit.Severity{"admin": audit.Critical, "writes": audit.High, "secret": audit.High, "dead": audit.Low, "bare": audit.Low,
		"becomes-admin": audit.Critical, "in-environment": audit.Critical, "becomes-writer": audit.High,
		// As bad as a key that only reads, and as an identity of which nothing is known: other accounts and clouds may take it.
		"becomes-reader": audit.High, "other-branch": audit.High, "other-environment": audit.High,
		"no-identity": audit.Low,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("severities (-want +got):\n%s", diff)
	}
	if want := "holds AWS_SECRET_ACCESS_KEY, whose level is admin"; why["admin"] != want && why["admin"] != strings.Replace(want, "SECRET_ACCESS_KEY", "ACCESS_KEY_ID", 1) {
		t.Errorf("message ends with %q", why["admin"])
	}

	for name, want := range map[string]string{
		"becomes-admin": "can become arn:aws:iam::111122223333:role/becomes-admin, whose level is admin",
		"secret":        "", // which the forge keeps to itself
		"other-branch":  "", "other-environment": "",
	} {
		if why[name] != want {
			t.Errorf("%s: message ends with %q, want %q", name, why[name], want)
		}
	}

	// What was stored is read as it was told.
	again, stdout, stderr := asked(t, vars, "report", "--format", "json")
	var stored audit.Run
	if err := json.Unmarshal([]byte(stdout), &stored); err != nil || again != code {
		t.Fatalf("report: exit code %d, %v\n%s", again, err, stderr)
	}
	for i := range stored.Findings {
		if stored.Findings[i].Severity != run.Findings[i].Severity || stored.Findings[i].Message != run.Findings[i].Message {
			t.Errorf("stored: %s %q", stored.Findings[i].Severity, stored.Findings[i].Message)
		}
	}
	var log struct {
		Runs []struct {
			Results []struct {
				RuleID, Level string
			}
		}
	}
	text, err := os.ReadFile(sarif)
	if err == nil {
		err = json.Unmarshal(text, &log)
	}
	if err != nil {
		t.Fatal(err)
	}
	levels := map[string]int{}
	for _, r := range log.Runs[0].Results {
		if strings.HasPrefix(r.RuleID, "script-injection") {
			levels[r.RuleID+" "+r.Level]++
		}
	}
	if diff := cmp.Diff(map[string]int{"script-injection-critical error": 3, "script-injection error": 6, "script-injection-low note": 3}, levels); diff != "" {
		t.Errorf("SARIF's levels (-want +got):\n%s", diff)
	}
	for _, value := range values {
		if strings.Contains(stdout+stderr+string(text), value) {
			t.Error("a key is shown")
		}
	}

	// The gate goes by the same.
	for ref, want := range map[string]int{"github:acme/bare": exitOK, "github:acme/secret": exitFindings} {
		without := maps.Clone(vars)
		delete(without, "LEAKREACH_STORE")
		if code, _, stderr := asked(t, without, "scan", ref, "--rules", "script-injection", "--verify", "off", "--fail-on", "high"); code != want {
			t.Errorf("%s: exit code %d, want %d\n%s", ref, code, want, stderr)
		}
	}
}
