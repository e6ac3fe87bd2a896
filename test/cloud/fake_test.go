package cloud

import (
	b32 "encoding/base32"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/verify/aws/awstest"
)

const (
	accountID   = "111122223333"
	adminARN    = "arn:aws:iam::aws:policy/AdministratorAccess"
	shipARN     = "arn:aws:iam::111122223333:policy/team/ship"
	fenceARN    = "arn:aws:iam::111122223333:policy/fence"
	providerARN = "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"
)

// keyOf makes a key id that carries an account.
func keyOf(prefix, account string) string {
	n, err := strconv.ParseUint(account, 10, 64)
	if err != nil {
		panic(err)
	}
	b := binary.BigEndian.AppendUint64(nil, (n<<7|1<<47)<<16|seeds.Uint64N(1<<16))
	return prefix + b32.StdEncoding.EncodeToString(append(b, byte(seeds.UintN(256)), byte(seeds.UintN(256))))
}

// world is an account that uses all the fake can do.
func world() (awstest.Account, map[string]credential) {
	key := func(prefix string) credential { return credential{id: keyOf(prefix, accountID), secret: secretKey()} }
	keys := map[string]credential{"admin": key("AKIA"), "deploy": key("AKIA"), "bounded": key("AKIA"), "session": key("ASIA"), "root": key("AKIA")}
	session := keys["session"]
	session.token = random(200, base32)
	keys["session"] = session
	a := awstest.Account{
		ID: accountID,
		Users: map[string]awstest.Entity{
			"admin":   {Path: "/ops/", Groups: []string{"admins"}},
			"deploy":  {Attached: []string{shipARN}, Inline: map[string]string{"read-iam": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:Get*","iam:List*","iam:SimulatePrincipalPolicy"],"Resource":"*"}]}`}},
			"bounded": {Attached: []string{adminARN}, Boundary: fenceARN},
		},
		Roles: map[string]awstest.Entity{
			"pipeline": {Trust: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"` + providerARN + `"},"Action":"sts:AssumeRoleWithWebIdentity"}]}`},
			"runner":   {Path: "/ci/", Attached: []string{adminARN}, Inline: map[string]string{"ship": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`}},
		},
		Providers: map[string][]string{providerARN: {"sts.amazonaws.com"}},
		Groups:    map[string]awstest.Entity{"admins": {Attached: []string{adminARN}, Inline: map[string]string{"more": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}]}`}}},
		Policies: map[string]string{
			adminARN: allowAll,
			shipARN:  `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:PutObject","s3:GetObject"],"Resource":"arn:aws:s3:::builds/*"},{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*","Condition":{"StringEquals":{"aws:SourceVpc":"vpc-1"}}}]}`,
			fenceARN: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:Get*","iam:Get*","iam:List*","iam:Simulate*"],"Resource":"*"}]}`,
		},
		Keys:    map[string]awstest.Key{},
		Regions: []string{"us-east-1", "eu-west-1"},
		Resources: map[string]string{
			"arn:aws:s3:::builds": allowAll, "arn:aws:s3:::logs": "", "arn:aws:kms:eu-west-1:111122223333:key/k": allowAll, "arn:aws:lambda:eu-west-1:111122223333:function:f": allowAll,
			"arn:aws:lambda:eu-west-1:111122223333:function:g": "", "arn:aws:secretsmanager:eu-west-1:111122223333:secret:s": allowAll, "arn:aws:sqs:eu-west-1:111122223333:q": allowAll,
			"arn:aws:ecr:eu-west-1:111122223333:repository/web": allowAll, "arn:aws:ecr:eu-west-1:111122223333:repository/base": "",
		},
	}
	for name, c := range keys {
		k := awstest.Key{Secret: c.secret, Token: c.token, User: name, Created: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), Used: time.Date(2024, 1, 2, 0, 0, 0, 0, time.UTC)}
		switch name {
		case "session":
			k.User, k.Role = "", "runner"
		case "root":
			k.User, k.Root = "", true
		}
		a.Keys[c.id] = k
	}
	return a, keys
}

// TestFakeByModels has the verifier ask the fake everything it ever asks, and holds both sides against Amazon's models.
func TestFakeByModels(t *testing.T) {
	a, keys := world()
	levels := map[string]audit.Level{"admin": audit.LevelAdmin, "deploy": audit.LevelWrite, "bounded": audit.LevelRead, "session": audit.LevelAdmin, "root": audit.LevelAdmin}
	seen := map[string]int{}
	for _, pageSize := range []int{0, 1} {
		s := awstest.New(a)
		s.PageSize = pageSize * 30 // a simulation has 40 results
		j := newJudge(t, s)
		if pageSize == 1 { // keys that may only read themselves
			s.Intercept = func(w http.ResponseWriter, _ *http.Request, action string, _ int) bool {
				if action == "GetAccountAuthorizationDetails" {
					awstest.Error(w, 403, "AccessDenied", "no")
				}
				return action == "GetAccountAuthorizationDetails"
			}
		}
		v, _ := verifier(s.URL)
		for name, c := range keys {
			got, err := v.Verify(t.Context(), c.found())
			if err != nil || got.Validity != audit.Active || got.Reach == nil || got.Reach.Level != levels[name] {
				t.Errorf("%s: got %+v, reach %+v, %v", name, got, got.Reach, err)
			}
		}
		wrong := keys["admin"]
		wrong.secret = secretKey()
		for _, c := range []credential{wrong, {id: keyID("AKIA"), secret: secretKey()}} {
			if got, err := v.Verify(t.Context(), c.found()); err != nil || got.Validity != audit.Inactive {
				t.Errorf("got %+v, %v", got, err)
			}
		}
		for op, n := range j.seen {
			seen[op] += n
		}
		s.Close()
	}
	for op, n := range organised(t) {
		seen[op] += n
	}
	v, _ := verifier("http://127.0.0.1:1")
	for _, event := range v.Events() {
		name := event.Name
		switch service := strings.TrimSuffix(event.Source, ".amazonaws.com"); service {
		case "sts", "iam", "organizations":
		default:
			name, _, _ = strings.Cut(service+":"+name, "2015") // Lambda's have a version
		}
		if seen[name] == 0 {
			t.Errorf("%s was not asked: nothing is known about its form", name)
		}
	}
}

// organised has an auditor ask about keys of an organisation, and tells what was asked.
func organised(t *testing.T) map[string]int {
	t.Helper()
	const managerID = "999988887777"
	a, keys := world()
	a.Organization = &awstest.Organization{
		Manager: managerID, Parents: map[string]string{a.ID: "ou-abcd-workload", "444455556666": "r-abcd", "ou-abcd-workload": "r-abcd"},
		Attached:  map[string][]string{"r-abcd": {"fullaccess", "rcpfullaccess"}, "ou-abcd-workload": {"fullaccess", "rcpfullaccess"}, a.ID: {"fullaccess", "rcpfullaccess"}},
		Documents: map[string]string{"fullaccess": allowAll, "rcpfullaccess": allowAll},
	}
	top := awstest.Account{ID: managerID, Organization: a.Organization, Keys: map[string]awstest.Key{}, Users: map[string]awstest.Entity{"auditor": {Attached: []string{adminARN}}}, Policies: a.Policies}
	auditor := credential{id: keyID("AKIA"), secret: secretKey()}
	top.Keys[auditor.id] = awstest.Key{Secret: auditor.secret, User: "auditor"}
	s := awstest.New(a, top)
	defer s.Close()
	j := newJudge(t, s)
	file := filepath.Join(t.TempDir(), "config")
	profile := fmt.Sprintf("[profile manager]\naws_access_key_id = %s\naws_secret_access_key = %s\n", auditor.id, auditor.secret)
	if err := os.WriteFile(file, []byte(profile), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", file)
	t.Setenv("AWS_ACCESS_KEY_ID", keys["admin"].id)
	t.Setenv("AWS_SECRET_ACCESS_KEY", keys["admin"].secret)
	v, _ := verifier(s.URL, "manager")
	if got, err := v.Verify(t.Context(), credential{id: keys["deploy"].id}.found()); err != nil || got.How != "owner" || got.Reach == nil || got.Reach.Level != audit.LevelWrite || strings.Contains(fmt.Sprint(got.Reach.Limits), "not read") {
		t.Errorf("%+v, %+v, %v", got, got.Reach, err)
	}
	for _, id := range []string{"AKIA" + "I" + random(15, base32), keyOf("AKIA", "444455556666"), keyOf("AKIA", "777766665555")} { // without an account, of a member, of none
		if _, err := v.Verify(t.Context(), credential{id: id}.found()); err != nil {
			t.Error(err)
		}
	}
	return j.seen
}

// TestFakeByCLI has the AWS command line use the fake.
func TestFakeByCLI(t *testing.T) {
	bin, err := exec.LookPath("aws")
	if err != nil {
		without(t, "the AWS command line is not installed: apt-get install awscli, or pip install awscli")
	}
	a, keys := world()
	s := awstest.New(a)
	defer s.Close()
	j := newJudge(t, s)
	run := func(c credential, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), bin, append(args, "--endpoint-url", s.URL, "--output", "json", "--no-paginate")...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "AWS_ACCESS_KEY_ID=" + c.id, "AWS_SECRET_ACCESS_KEY=" + c.secret,
			"AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1"}
		if c.token != "" {
			cmd.Env = append(cmd.Env, "AWS_SESSION_TOKEN="+c.token)
		}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	admin := "arn:aws:iam::111122223333:user/ops/admin"
	for _, c := range []struct {
		key  string
		want string
		args []string
	}{
		{"admin", admin, []string{"sts", "get-caller-identity"}},
		{"session", "assumed-role/runner/session", []string{"sts", "get-caller-identity"}},
		{"root", ":root", []string{"sts", "get-caller-identity"}},
		{"admin", "/ops/", []string{"iam", "get-user"}},
		{"admin", `"GroupName": "admins"`, []string{"iam", "list-groups-for-user", "--user-name", "admin"}},
		{"admin", adminARN, []string{"iam", "list-attached-group-policies", "--group-name", "admins"}},
		{"admin", `"sts:AssumeRole"`, []string{"iam", "get-group-policy", "--group-name", "admins", "--policy-name", "more"}},
		{"bounded", fenceARN, []string{"iam", "get-user"}},
		{"deploy", "read-iam", []string{"iam", "list-user-policies", "--user-name", "deploy"}},
		{"deploy", `"vpc-1"`, []string{"iam", "get-policy-version", "--policy-arn", shipARN, "--version-id", "v1"}},
		{"deploy", `"Active"`, []string{"iam", "list-access-keys", "--user-name", "deploy"}},
		{"session", "/ci/runner", []string{"iam", "get-role", "--role-name", "runner"}},
		{"session", `"s3:*"`, []string{"iam", "get-role-policy", "--role-name", "runner", "--policy-name", "ship"}},
	} {
		if out, err := run(keys[c.key], c.args...); err != nil || !strings.Contains(out, c.want) {
			t.Errorf("aws %s: %v, no %q in\n%s", strings.Join(c.args, " "), err, c.want, out)
		}
	}

	out, err := run(keys["deploy"], "iam", "simulate-principal-policy", "--policy-source-arn", "arn:aws:iam::111122223333:user/deploy",
		"--action-names", "s3:PutObject", "secretsmanager:GetSecretValue", "iam:CreateUser", "--resource-arns", "arn:aws:s3:::builds/x", "arn:aws:s3:::other/x")
	var got struct {
		EvaluationResults []struct {
			EvalActionName          string
			ResourceSpecificResults []struct {
				EvalResourceName, EvalResourceDecision string
				MissingContextValues                   []string
			}
		}
	}
	if err != nil || json.Unmarshal([]byte(out), &got) != nil || len(got.EvaluationResults) != 3 {
		t.Fatalf("aws iam simulate-principal-policy: %v\n%s", err, out)
	}
	put, secret := got.EvaluationResults[0].ResourceSpecificResults, got.EvaluationResults[1].ResourceSpecificResults
	if len(put) != 2 || put[0].EvalResourceDecision != "allowed" || put[1].EvalResourceDecision != "implicitDeny" || len(secret) != 2 || len(secret[0].MissingContextValues) != 1 {
		t.Errorf("simulated %+v", got)
	}

	wrong := keys["admin"]
	wrong.secret = secretKey()
	for want, c := range map[string]credential{"SignatureDoesNotMatch": wrong, "InvalidClientTokenId": {id: keyID("AKIA"), secret: secretKey()}} {
		if out, err := run(c, "sts", "get-caller-identity"); err == nil || !strings.Contains(out, want) {
			t.Errorf("no %s: %v\n%s", want, err, out)
		}
	}
	if out, err := run(keys["deploy"], "iam", "create-user", "--user-name", "x"); err == nil {
		t.Errorf("a user was created: %s", out)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.seen["SimulatePrincipalPolicy"] != 1 {
		t.Errorf("answered %v", j.seen)
	}
}

// without skips a test for want of something, and fails it in CI, where everything has to be there.
func without(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}
