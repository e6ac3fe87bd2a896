package cloud

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	orgtypes "github.com/aws/aws-sdk-go-v2/service/organizations/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/leakreach/leakreach/iam/iamtest"
)

// TestLandscape has the program read five accounts with 400 identities from a server, and find reach as it was planted.
func TestLandscape(t *testing.T) {
	url := moto(t)
	config := func(c credential) aws.Config {
		return aws.Config{Region: "us-east-1", BaseEndpoint: &url, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: c.id, SecretAccessKey: c.secret, SessionToken: c.token}, nil
		})}
	}
	accounts := [5]string{"123456789012"} // of whoever moto does not know
	creds := map[string]credential{accounts[0]: {id: keyOf("AKIA", accounts[0]), secret: secretKey()}}
	org := organizations.NewFromConfig(config(creds[accounts[0]]))
	must[*organizations.CreateOrganizationOutput](t)(org.CreateOrganization(t.Context(), &organizations.CreateOrganizationInput{FeatureSet: orgtypes.OrganizationFeatureSetAll}))
	for k := 1; k < len(accounts); k++ {
		name := fmt.Sprint("member-", k)
		accounts[k] = *must[*organizations.CreateAccountOutput](t)(org.CreateAccount(t.Context(), &organizations.CreateAccountInput{AccountName: &name, Email: aws.String(name + "@example.com")})).CreateAccountStatus.AccountId
		session := must[*sts.AssumeRoleOutput](t)(sts.NewFromConfig(config(creds[accounts[0]])).AssumeRole(t.Context(),
			&sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::" + accounts[k] + ":role/setup"), RoleSessionName: aws.String("setup")})).Credentials
		creds[accounts[k]] = credential{id: *session.AccessKeyId, secret: *session.SecretAccessKey, token: *session.SessionToken}
	}
	l := iamtest.NewLandscape(accounts)
	fence := must[*organizations.CreatePolicyOutput](t)(org.CreatePolicy(t.Context(), &organizations.CreatePolicyInput{
		Name: aws.String("fence"), Description: aws.String("x"), Type: orgtypes.PolicyTypeServiceControlPolicy, Content: aws.String(iamtest.Fence),
	})).Policy.PolicySummary.Id
	must[*organizations.AttachPolicyOutput](t)(org.AttachPolicy(t.Context(), &organizations.AttachPolicyInput{PolicyId: fence, TargetId: &l.Bound}))

	file, profiles := filepath.Join(t.TempDir(), "config"), ""
	args := []string{"reach", "--format", "json"}
	var unbounded []string
	for k, id := range accounts {
		unbounded = append(unbounded, plant(t, iam.NewFromConfig(config(creds[id])), l.Details[id])...)
		profiles += fmt.Sprintf("[profile p%d]\naws_access_key_id = %s\naws_secret_access_key = %s\n", k, creds[id].id, creds[id].secret)
		if token := creds[id].token; token != "" {
			profiles += "aws_session_token = " + token + "\n"
		}
		args = append(args, fmt.Sprint("aws:p", k))
	}
	if err := os.WriteFile(file, []byte(profiles), 0o600); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), built(t), args...)
	cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+url, "AWS_CONFIG_FILE="+file, "HOME="+home, "XDG_CONFIG_HOME="+home)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var r struct {
		Identities []struct {
			ARN, Level string
			Accounts   []string
			Limits     []string
		}
		Gaps  []struct{ Target, What, Why string }
		Calls map[string]int
	}
	if err != nil || json.Unmarshal(out, &r) != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	for _, i := range r.Identities {
		if wrong := l.Differ(i.ARN, i.Level, i.Accounts); wrong != "" && !slices.Contains(unbounded, i.ARN) {
			t.Errorf("%s: %q", wrong, i.Limits)
		}
	}
	if len(r.Identities) != len(l.Want) || len(r.Gaps) > 0 || len(unbounded) != 3 {
		t.Errorf("%d identities, want %d; gaps %v; %v", len(r.Identities), len(l.Want), r.Gaps, unbounded)
	}
	t.Logf("%d identities, %d traps; calls %v; %v of processor", len(r.Identities), l.Traps, r.Calls, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
}

// plant makes the identities of an account that details tell of, and takes away those that the server made. AdministratorAccess, which moto does not have and is all that
// is attached, becomes their own. Returned are users whose boundary the server does not keep: moto has none of users.
func plant(t *testing.T, client *iam.Client, details map[string][]map[string]any) (unbounded []string) {
	t.Helper()
	ctx := t.Context()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	name := func(of map[string]any, key string) *string { return aws.String(of[key].(string)) }
	text := func(doc any) *string {
		b, err := json.Marshal(doc)
		check(err)
		return aws.String(string(b))
	}
	list := func(of map[string]any, key string) []map[string]any {
		all, _ := of[key].([]map[string]any)
		return all
	}
	boundary := func(of map[string]any) *string {
		if b, ok := of["PermissionsBoundary"].(map[string]any); ok {
			return aws.String(b["PermissionsBoundaryArn"].(string))
		}
		return nil
	}
	made, err := client.ListRoles(ctx, nil)
	check(err)
	for _, r := range made.Roles {
		attached, err := client.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: r.RoleName})
		check(err)
		for _, p := range attached.AttachedPolicies {
			_, err := client.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: r.RoleName, PolicyArn: p.PolicyArn})
			check(err)
		}
		inline, err := client.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: r.RoleName})
		check(err)
		for _, p := range inline.PolicyNames {
			_, err := client.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: r.RoleName, PolicyName: &p})
			check(err)
		}
		_, err = client.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: r.RoleName})
		check(err)
	}
	for _, p := range details["Policies"] {
		arn := p["Arn"].(string)
		_, err := client.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String(arn[strings.LastIndex(arn, "/")+1:]), PolicyDocument: text(list(p, "PolicyVersionList")[0]["Document"])})
		check(err)
	}
	for _, g := range details["GroupDetailList"] {
		_, err := client.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: name(g, "GroupName")})
		check(err)
		for _, p := range list(g, "GroupPolicyList") {
			_, err := client.PutGroupPolicy(ctx, &iam.PutGroupPolicyInput{GroupName: name(g, "GroupName"), PolicyName: name(p, "PolicyName"), PolicyDocument: text(p["PolicyDocument"])})
			check(err)
		}
	}
	for _, u := range details["UserDetailList"] {
		user := name(u, "UserName")
		made, err := client.CreateUser(ctx, &iam.CreateUserInput{UserName: user, PermissionsBoundary: boundary(u)})
		check(err)
		if boundary(u) != nil && made.User.PermissionsBoundary == nil {
			unbounded = append(unbounded, *made.User.Arn)
		}
		for _, p := range list(u, "UserPolicyList") {
			_, err := client.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: user, PolicyName: name(p, "PolicyName"), PolicyDocument: text(p["PolicyDocument"])})
			check(err)
		}
		for _, p := range list(u, "AttachedManagedPolicies") {
			_, err := client.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: user, PolicyName: name(p, "PolicyName"), PolicyDocument: aws.String(allowAll)})
			check(err)
		}
		groups, _ := u["GroupList"].([]string)
		for _, g := range groups {
			_, err := client.AddUserToGroup(ctx, &iam.AddUserToGroupInput{UserName: user, GroupName: &g})
			check(err)
		}
	}
	for _, r := range details["RoleDetailList"] {
		role := name(r, "RoleName")
		_, err := client.CreateRole(ctx, &iam.CreateRoleInput{RoleName: role, AssumeRolePolicyDocument: text(r["AssumeRolePolicyDocument"]), PermissionsBoundary: boundary(r)})
		check(err)
		for _, p := range list(r, "RolePolicyList") {
			_, err := client.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: role, PolicyName: name(p, "PolicyName"), PolicyDocument: text(p["PolicyDocument"])})
			check(err)
		}
		for _, p := range list(r, "AttachedManagedPolicies") {
			_, err := client.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: role, PolicyName: name(p, "PolicyName"), PolicyDocument: aws.String(allowAll)})
			check(err)
		}
	}
	return unbounded
}
