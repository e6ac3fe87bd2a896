package cloud

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

// TestMotoFederation has the program read roles that trust a forge: what audiences their providers take, and how long sessions may be, is told by a server.
func TestMotoFederation(t *testing.T) {
	const id = "123456789012"
	at := moto(t)
	setup := credential{id: keyOf("AKIA", id), secret: secretKey()}
	client := iam.NewFromConfig(aws.Config{Region: "us-east-1", BaseEndpoint: &at, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: setup.id, SecretAccessKey: setup.secret}, nil
	})})
	const one, several, gone = "token.actions.githubusercontent.com", "gitlab.com", "gitlab.example.com"
	for issuer, audiences := range map[string][]string{one: {"sts.amazonaws.com"}, several: {"sts.amazonaws.com", "vault"}} {
		must[*iam.CreateOpenIDConnectProviderOutput](t)(client.CreateOpenIDConnectProvider(t.Context(), &iam.CreateOpenIDConnectProviderInput{
			Url: aws.String("https://" + issuer), ClientIDList: audiences, ThumbprintList: []string{strings.Repeat("a", 40)},
		}))
	}
	role := func(name, issuer, sub string, session int32) {
		t.Helper()
		trust := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::%s:oidc-provider/%s"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"%s:sub":%q}}}]}`, id, issuer, issuer, sub)
		must[*iam.CreateRoleOutput](t)(client.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust, MaxSessionDuration: &session}))
	}
	const github, gitlab = "repo:acme@1/web@2:environment:prod", "project_path:acme/web:ref_type:branch:ref:main"
	role("short", one, github, 3600)
	role("long", one, github, 43200)
	role("bearer", several, gitlab, 3600)
	role("gone", gone, "*", 3600)

	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), built(t), "reach", "aws:", "--format", "json")
	cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+at, "AWS_ACCESS_KEY_ID="+setup.id, "AWS_SECRET_ACCESS_KEY="+setup.secret, "HOME="+home, "XDG_CONFIG_HOME="+home)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var r struct {
		Identities []struct {
			ARN    string
			Trusts []struct {
				Problems []struct{ ID, Why string }
				Limits   []string
			}
		}
		Gaps  []struct{ What, Why string }
		Calls map[string]int
	}
	if err != nil || json.Unmarshal(out, &r) != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	want := map[string]string{
		"short": "", "long": "O15 sessions may be 12h0m0s long", "bearer": "O15 no condition is on aud: tokens for each of the provider's audiences, sts.amazonaws.com, vault are let in", "gone": "",
	}
	for _, i := range r.Identities {
		name := i.ARN[strings.LastIndexByte(i.ARN, '/')+1:]
		if len(i.Trusts) == 0 {
			continue
		}
		got := ""
		for _, p := range i.Trusts[0].Problems {
			got += p.ID + " " + p.Why
		}
		if text, ok := want[name]; !ok || !strings.HasPrefix(got, text) || text == "" && got != "" {
			t.Errorf("%s: %q, want %q", name, got, text)
		}
		if gone := strings.Contains(strings.Join(i.Trusts[0].Limits, "\n"), "the account has no such provider"); gone != (name == "gone") {
			t.Errorf("%s: limits %q", name, i.Trusts[0].Limits)
		}
		delete(want, name)
	}
	if len(want) > 0 || len(r.Gaps) > 0 {
		t.Errorf("not seen: %v; gaps %v", want, r.Gaps)
	}
	t.Logf("calls %v", r.Calls)
}
