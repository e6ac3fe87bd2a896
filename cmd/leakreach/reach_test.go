package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/report"
	"github.com/leakreach/leakreach/verify/aws/awstest"
)

// TestReachOfARun: a key that a scan found is explained by what the run learned of it, and by exports of its account where there are some.
func TestReachOfARun(t *testing.T) {
	m := newMaker(7)
	id, value, own, ownValue := m.keyID(), m.secret(), m.keyID(), m.secret()
	const user = "arn:aws:iam::111122223333:user/ci-deploy"
	const pass = `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["iam:PassRole", "lambda:CreateFunction", "lambda:InvokeFunction"], "Resource": "*"},
		{"Effect": "Allow", "Action": ["iam:Get*", "iam:List*", "iam:SimulatePrincipalPolicy"], "Resource": "*"}]}`
	server := awstest.New(awstest.Account{
		ID: "111122223333", Keys: map[string]awstest.Key{id: {Secret: value, User: "ci-deploy"}, own: {Secret: ownValue, User: "auditor"}},
		Users: map[string]awstest.Entity{
			"ci-deploy": {Inline: map[string]string{"pass": pass}},
			"auditor":   {Inline: map[string]string{"audit": `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": ["iam:Get*", "iam:List*"], "Resource": "*"}}`}},
		},
		Roles: map[string]awstest.Entity{"runner": {
			Inline: map[string]string{"all": `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}`},
			Trust:  `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}}`,
		}},
	})
	t.Cleanup(server.Close)
	dir := t.TempDir()
	for name, none := range map[string]string{"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": filepath.Join(dir, "none"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(dir, "none")} {
		t.Setenv(name, none)
	}
	at := func(name, content string) string {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	at("leak/credentials", "[default]\naws_access_key_id = "+id+"\naws_secret_access_key = "+value+"\n")
	at("exports/111122223333.gaad.json", `{"UserDetailList": [{"Arn": "`+user+`", "UserPolicyList": [{"PolicyName": "pass", "PolicyDocument": `+pass+`}]}],
		"RoleDetailList": [{"Arn": "arn:aws:iam::111122223333:role/runner", "AttachedManagedPolicies": [{"PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}],
		"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}}}]}`)
	vars := map[string]string{"AWS_ENDPOINT_URL": server.URL, "LEAKREACH_STORE": filepath.Join(dir, "runs.db")}
	code, stdout, stderr := asked(t, vars, "scan", "dir:"+filepath.Join(dir, "leak"), "--verify", "live", "--format", "json")
	var run audit.Run
	if err := json.Unmarshal([]byte(stdout), &run); err != nil || code != exitFindings || len(run.Findings) != 1 || run.Findings[0].Reach == nil {
		t.Fatalf("exit code %d, %v\n%s%s", code, err, stdout, stderr)
	}
	explained := func(args ...string) (r report.Reach) {
		t.Helper()
		code, stdout, stderr := asked(t, vars, append([]string{"reach", "--format", "json"}, args...)...)
		if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != exitOK || strings.Contains(stdout+stderr, value) {
			t.Fatalf("%q: exit code %d, %v\n%s%s", args, code, err, stdout, stderr)
		}
		return r
	}
	for _, name := range []string{run.Findings[0].ID, run.Findings[0].ID[:10], id} {
		r := explained(name)
		if len(r.Secrets) != 1 || r.Secrets[0].ID != run.Findings[0].ID || r.Secrets[0].Identity != user || r.Secrets[0].Level != run.Findings[0].Reach.Level || len(r.Findings) != 1 {
			t.Fatalf("%s: %+v", name, r.Secrets)
		}
		if w := r.Secrets[0].Ways; w.Count == 0 || len(r.Secrets[0].Paths) == 0 || len(w.Fixes) == 0 || w.Fixes[0] != (report.Fix{What: "rotate " + id, Removes: w.Of}) {
			t.Errorf("%s: %+v", name, w)
		}
	}
	r := explained(id, "--from", filepath.Join(dir, "exports"))
	s := r.Secrets[0]
	if s.Level != audit.LevelEscalation || s.Ways.Count != 1 || len(s.Paths[0].Steps) != 2 || s.Paths[0].Steps[0].Edge != "acts-as" || s.Paths[0].Steps[1].Edge != "passes" {
		t.Errorf("%+v %+v", s.Paths, s.Ways)
	}
	if r := explained(user); len(r.Identities) != 1 || r.Identities[0].Level != run.Findings[0].Reach.Level {
		t.Errorf("%+v", r.Identities)
	}
	// The same, asked live: the auditor's credentials are another user's.
	t.Setenv("AWS_ACCESS_KEY_ID", own) // which the SDK's chain reads by itself
	t.Setenv("AWS_SECRET_ACCESS_KEY", ownValue)
	r = explained("aws:", id)
	if s := r.Secrets[0]; s.Identity != user || s.Level != audit.LevelEscalation || r.Calls["iam"] == 0 || r.Run.Verify != "owner" || s.Paths[0].Steps[1].To != "arn:aws:iam::111122223333:role/runner" {
		t.Errorf("%+v %v", s, r.Calls)
	}
	for _, c := range []struct {
		code int
		args []string
	}{{exitNothing, []string{"lr1:000000"}}, {exitNothing, []string{"secret:DEPLOY_KEY"}}, {exitUsage, []string{id, "--run", "0000"}}} {
		if code, stdout, stderr := asked(t, vars, append([]string{"reach"}, c.args...)...); code != c.code || stdout != "" {
			t.Errorf("%q: exit code %d, want %d\n%s%s", c.args, code, c.code, stdout, stderr)
		}
	}
}
