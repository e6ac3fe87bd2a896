package cloud

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	orgtypes "github.com/aws/aws-sdk-go-v2/service/organizations/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/leakreach/leakreach/audit"
)

// moto starts a moto server, which has IAM, STS and Organizations of several accounts, and does not check who asks.
func moto(t *testing.T) (url string) {
	t.Helper()
	bin, err := exec.LookPath("moto_server")
	if err != nil {
		without(t, "moto_server is not installed: make tools, or pip install 'moto[server]'")
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	url = "http://" + net.JoinHostPort(host, port)
	cmd := exec.CommandContext(t.Context(), bin, "-H", host, "-p", port)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	for range 600 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/moto-api/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			return withRegions(t, url)
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("moto does not answer: %s", log.String())
	return ""
}

// A labelled user is one of moto's, with what is to be found out about its key.
type labelled struct {
	credential
	arn      string
	accounts []string
	status   string
}

// must is the answer of a server that is the test's own.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func allowing(resource string, actions ...string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["%s"],"Resource":"%s"}]}`, strings.Join(actions, `","`), resource)
}

// TestMoto has an auditor with a role in each of two accounts of an organisation ask about labelled keys, and the program report them.
func TestMoto(t *testing.T) {
	url := moto(t)
	const managerID = "123456789012" // of whoever moto does not know
	as := func(c credential) aws.CredentialsProvider {
		return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: c.id, SecretAccessKey: c.secret, SessionToken: c.token}, nil
		})
	}
	iamOf := func(c credential) *iam.Client {
		return iam.New(iam.Options{Region: "us-east-1", BaseEndpoint: &url, Credentials: as(c)})
	}
	setup := credential{id: keyOf("AKIA", managerID), secret: secretKey()}
	org := organizations.New(organizations.Options{Region: "us-east-1", BaseEndpoint: &url, Credentials: as(setup)})
	must[*organizations.CreateOrganizationOutput](t)(org.CreateOrganization(t.Context(), &organizations.CreateOrganizationInput{FeatureSet: orgtypes.OrganizationFeatureSetAll}))
	root := must[*organizations.ListRootsOutput](t)(org.ListRoots(t.Context(), nil)).Roots[0].Id
	member := *must[*organizations.CreateAccountOutput](t)(org.CreateAccount(t.Context(), &organizations.CreateAccountInput{AccountName: aws.String("prod"), Email: aws.String("prod@example.com")})).CreateAccountStatus.AccountId
	unit := must[*organizations.CreateOrganizationalUnitOutput](t)(org.CreateOrganizationalUnit(t.Context(), &organizations.CreateOrganizationalUnitInput{ParentId: root, Name: aws.String("workloads")})).OrganizationalUnit.Id
	must[*organizations.MoveAccountOutput](t)(org.MoveAccount(t.Context(), &organizations.MoveAccountInput{AccountId: &member, SourceParentId: root, DestinationParentId: unit}))
	scp := must[*organizations.CreatePolicyOutput](t)(org.CreatePolicy(t.Context(), &organizations.CreatePolicyInput{
		Name: aws.String("no-users"), Description: aws.String("x"), Type: orgtypes.PolicyTypeServiceControlPolicy,
		Content: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"iam:CreateUser","Resource":"*"}]}`),
	})).Policy.PolicySummary.Id
	must[*organizations.AttachPolicyOutput](t)(org.AttachPolicy(t.Context(), &organizations.AttachPolicyInput{PolicyId: scp, TargetId: unit}))
	session := must[*sts.AssumeRoleOutput](t)(sts.New(sts.Options{Region: "us-east-1", BaseEndpoint: &url, Credentials: as(setup)}).AssumeRole(t.Context(),
		&sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::" + member + ":role/setup"), RoleSessionName: aws.String("setup")})).Credentials
	manager, prod := iamOf(setup), iamOf(credential{id: *session.AccessKeyId, secret: *session.SecretAccessKey, token: *session.SessionToken})

	keys := map[string]labelled{}
	user := func(client *iam.Client, account, name string, label labelled, policies ...string) {
		t.Helper()
		must[*iam.CreateUserOutput](t)(client.CreateUser(t.Context(), &iam.CreateUserInput{UserName: &name, Path: aws.String("/ci/")}))
		for i, doc := range policies {
			must[*iam.PutUserPolicyOutput](t)(client.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: &name, PolicyName: aws.String(fmt.Sprintf("p%d", i)), PolicyDocument: &doc}))
		}
		key := must[*iam.CreateAccessKeyOutput](t)(client.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: &name})).AccessKey
		label.id, label.secret, label.arn = *key.AccessKeyId, *key.SecretAccessKey, "arn:aws:iam::"+account+":user/ci/"+name
		if label.accounts == nil {
			label.accounts = []string{account}
		}
		keys[name] = label
	}
	active := func(level audit.Level) labelled {
		return labelled{credential: credential{validity: audit.Active, level: level}, status: "Active"}
	}
	inactive := func(status string) labelled {
		return labelled{credential: credential{validity: audit.Inactive}, status: status}
	}

	must[*iam.CreateGroupOutput](t)(manager.CreateGroup(t.Context(), &iam.CreateGroupInput{GroupName: aws.String("ops")}))
	must[*iam.PutGroupPolicyOutput](t)(manager.PutGroupPolicy(t.Context(), &iam.PutGroupPolicyInput{GroupName: aws.String("ops"), PolicyName: aws.String("all"), PolicyDocument: aws.String(allowAll)}))
	fence := must[*iam.CreatePolicyOutput](t)(manager.CreatePolicy(t.Context(), &iam.CreatePolicyInput{PolicyName: aws.String("fence"), PolicyDocument: aws.String(allowing("*", "s3:Get*"))})).Policy.Arn
	role := func(client *iam.Client, name, trust string, boundary *string) {
		t.Helper()
		trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + trust + `"},"Action":"sts:AssumeRole"}]}`
		must[*iam.CreateRoleOutput](t)(client.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust, PermissionsBoundary: boundary}))
		must[*iam.PutRolePolicyOutput](t)(client.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("all"), PolicyDocument: aws.String(allowAll)}))
	}
	user(manager, managerID, "admin", active(audit.LevelAdmin), allowAll)
	user(manager, managerID, "grouped", active(audit.LevelAdmin))
	must[*iam.AddUserToGroupOutput](t)(manager.AddUserToGroup(t.Context(), &iam.AddUserToGroupInput{GroupName: aws.String("ops"), UserName: aws.String("grouped")}))
	user(manager, managerID, "denied", active(audit.LevelWrite), allowAll, `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"iam:*","Resource":"*"}]}`)
	user(manager, managerID, "reader", active(audit.LevelRead), allowing("arn:aws:s3:::builds/*", "s3:GetObject"))
	user(manager, managerID, "nobody", active(audit.LevelNone))
	user(manager, managerID, "keys", active(audit.LevelEscalation), allowing("*", "iam:CreateAccessKey"))
	user(manager, managerID, "fenced", active(audit.LevelRead), allowing("arn:aws:iam::"+managerID+":role/fenced", "sts:AssumeRole"), allowing("*", "s3:GetObject"))
	role(manager, "fenced", managerID, fence)
	user(manager, managerID, "idle", inactive("Inactive"), allowAll)
	user(manager, managerID, "gone", inactive("deleted or never existed"), allowAll)
	must[*iam.UpdateAccessKeyOutput](t)(manager.UpdateAccessKey(t.Context(), &iam.UpdateAccessKeyInput{UserName: aws.String("idle"), AccessKeyId: aws.String(keys["idle"].id), Status: "Inactive"}))
	must[*iam.DeleteAccessKeyOutput](t)(manager.DeleteAccessKey(t.Context(), &iam.DeleteAccessKeyInput{UserName: aws.String("gone"), AccessKeyId: aws.String(keys["gone"].id)}))
	// The member's administrators may not create users, which only its organisation says; but one may take a key of a user who may become the manager's.
	hopper := active(audit.LevelEscalation)
	hopper.accounts = []string{managerID}
	user(prod, member, "limited", hopper, allowAll)
	user(prod, member, "hopper", hopper, allowing("arn:aws:iam::"+managerID+":role/deploy", "sts:AssumeRole"))
	role(manager, "deploy", "arn:aws:iam::"+member+":user/ci/hopper", nil)

	file := filepath.Join(t.TempDir(), "config")
	profiles := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n[profile prod]\naws_access_key_id = %s\naws_secret_access_key = %s\naws_session_token = %s\n",
		setup.id, setup.secret, *session.AccessKeyId, *session.SecretAccessKey, *session.SessionToken)
	if err := os.WriteFile(file, []byte(profiles), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", file)
	v, calls := verifier(url, "prod")
	for name, c := range keys {
		got, err := v.Verify(t.Context(), audit.NewSecret(audit.KindAWSKey, c.id, "")) // nobody needs the secret
		if err != nil || got.Validity != c.validity || got.How != "owner" || got.Facts["status"] != c.status || got.Error != "" {
			t.Errorf("%s: %+v, %v", name, got, err)
			continue
		}
		if c.validity != audit.Active {
			continue
		}
		if got.Identity.ARN != c.arn || got.Facts["user"] != name || got.Facts["key_created"] == "" || got.Facts["key_last_used"] == "" {
			t.Errorf("%s: %+v, %+v", name, got.Identity, got.Facts)
		}
		if got.Reach == nil || got.Reach.Level != c.level || !slices.Equal(got.Reach.Accounts, c.accounts) {
			t.Errorf("%s: %+v, want %s in %v", name, got.Reach, c.level, c.accounts)
		}
	}
	if n := calls.Snapshot()["sts"]; n != 2 {
		t.Errorf("%d calls to STS for two auditors", n)
	}
	t.Run("program", func(t *testing.T) { gate(t, url, keys) })
}

// gate has the program decide by the level of a key, which it learns from the owner's side.
func gate(t *testing.T, url string, keys map[string]labelled) {
	dir := t.TempDir()
	bin := built(t)
	for name, want := range map[string]map[string]int{"keys": {"admin": 10}, "reader": {"live": 10, "admin": 0}, "idle": {"live": 0}} {
		at := filepath.Join(dir, name)
		if err := os.Mkdir(at, 0o755); err != nil {
			t.Fatal(err)
		}
		text := "AWS_ACCESS_KEY_ID=" + keys[name].id + "\nAWS_SECRET_ACCESS_KEY=" + keys[name].secret + "\n"
		if err := os.WriteFile(filepath.Join(at, "env"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for failOn, code := range want {
			cmd := exec.CommandContext(t.Context(), bin, "scan", "--fail-on", failOn, "--format", "json", "dir:"+at)
			cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+url, "HOME="+dir, "XDG_CONFIG_HOME="+dir)
			out, err := cmd.Output()
			got := 0
			if exit, ok := errors.AsType[*exec.ExitError](err); ok {
				got = exit.ExitCode()
			} else if err != nil {
				t.Fatal(err)
			}
			if got != code || bytes.Contains(out, []byte(keys[name].secret)) {
				t.Errorf("%s --fail-on %s: exit code %d, want %d\n%s", name, failOn, got, code, out)
			}
		}
	}
}
