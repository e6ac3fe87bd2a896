package cloud

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/versity/versitygw/embedgw"

	"github.com/leakreach/leakreach/audit"
	verifyaws "github.com/leakreach/leakreach/verify/aws"
)

// seeds makes keys that differ from run to run, since no value that looks like a key may stand in the code.
var seeds = rand.New(rand.NewPCG(rand.Uint64(), 7))

func random(n int, letters string) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[seeds.IntN(len(letters))]
	}
	return string(b)
}

const base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

// keyID has Amazon's length, which is one less than versitygw's own ids have. Behind the prefix stands a letter with which ids begin
// that carry an account number; which one is left to chance, as versitygw's only account is all zeros.
func keyID(prefix string) string { return prefix + "Q" + random(15, base32) }

func secretKey() string { return random(40, base32+strings.ToLower(base32)+"0189+/") }

// A credential is one key in the gateway's world.
type credential struct {
	id, secret, token string
	validity          audit.Validity
	state             string
	level             audit.Level // of an active key
}

func (c credential) found() *audit.Secret {
	s := audit.NewSecret(audit.KindAWSKey, c.id, c.secret)
	if c.token != "" {
		s.SetPart(audit.PartSessionToken, c.token)
	}
	return s
}

// Inline policies as an account would have them.
const (
	allowAll  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
	allowRead = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:GetUser","iam:ListUserPolicies","iam:GetUserPolicy","s3:GetObject"],"Resource":"*"}]}`
	denyAll   = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}`
)

// gateway starts versitygw's IAM API, of which one can run per process, and makes a key for each thing that a key can be.
func gateway(t *testing.T) (url string, keys map[string]credential) {
	t.Helper()
	dir := t.TempDir()
	created := time.Now().UTC().Add(-time.Hour)
	users, index, roles, sessions := map[string]any{}, map[string]string{}, map[string]any{}, map[string]any{}
	keys = map[string]credential{}
	user := func(name, status, policy string, c credential) {
		c.id, c.secret = keyID("AKIA"), secretKey()
		u := map[string]any{
			"Path": "/", "UserName": name, "UserID": "AIDA" + random(17, base32), "Arn": "arn:aws:iam::000000000000:user/" + name, "CreateDate": created,
			"AccessKeys": []any{map[string]any{"AccessKeyId": c.id, "SecretAccessKey": c.secret, "Status": status, "CreateDate": created}},
		}
		if policy != "" {
			u["Policies"] = map[string]any{"inline": []any{map[string]any{"PolicyName": "p", "PolicyDocument": policy, "CreateDate": created}}}
		}
		users[name], index[c.id], keys[name] = u, name, c
	}
	session := func(name string, ends time.Duration, c credential) {
		c.id, c.secret, c.token = keyID("ASIA"), secretKey(), random(120, base32)
		roleID, arn := "AROA"+random(17, base32), "arn:aws:iam::000000000000:role/"+name
		roles[name] = map[string]any{"Path": "/", "RoleName": name, "RoleID": roleID, "Arn": arn, "CreateDate": created,
			"Policies": map[string]any{"inline": []any{map[string]any{"PolicyName": "p", "PolicyDocument": allowAll, "CreateDate": created}}}}
		sessions[c.id] = map[string]any{"accessKeyId": c.id, "secretAccessKey": c.secret, "sessionToken": c.token, "roleArn": arn, "roleName": name,
			"roleID": roleID, "roleSessionName": "job", "createDate": created, "expiration": time.Now().UTC().Add(ends)}
		keys[name] = c
	}
	const refused = "deactivated, deleted or never existed"
	user("active", "Active", allowAll, credential{validity: audit.Active, state: "active", level: audit.LevelAdmin})
	user("reader", "Active", allowRead, credential{validity: audit.Active, state: "active", level: audit.LevelRead})
	user("denied", "Active", denyAll, credential{validity: audit.Active, state: "active", level: audit.LevelUnknown})
	user("powerless", "Active", "", credential{validity: audit.Active, state: "active", level: audit.LevelUnknown})
	user("mistyped", "Active", allowAll, credential{validity: audit.Inactive, state: "wrong secret"})
	user("deactivated", "Active", "", credential{validity: audit.Inactive, state: refused})
	user("deleted", "Active", "", credential{validity: audit.Inactive, state: refused})
	session("session", time.Hour, credential{validity: audit.Active, state: "active", level: audit.LevelAdmin})
	session("expired", -time.Minute, credential{validity: audit.Inactive, state: "session token not accepted"})
	root := credential{id: keyID("AKIA"), secret: secretKey(), validity: audit.Active, state: "active", level: audit.LevelAdmin}
	keys["root"] = root
	keys["unknown"] = credential{id: keyID("AKIA"), secret: secretKey(), validity: audit.Inactive, state: refused}

	state, err := json.Marshal(map[string]any{"users": users, "accessKeyIndex": index, "roles": roles, "sessions": sessions})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "iam.json"), state, 0o600); err != nil {
		t.Fatal(err)
	}
	url = serve(t, dir, root)

	// The real ways by which a key stops working.
	client := iam.New(iam.Options{Region: "us-east-1", BaseEndpoint: &url, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: root.id, SecretAccessKey: root.secret}, nil
	})})
	off, gone := keys["deactivated"].id, keys["deleted"].id
	if _, err := client.UpdateAccessKey(t.Context(), &iam.UpdateAccessKeyInput{AccessKeyId: &off, UserName: aws.String("deactivated"), Status: "Inactive"}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.DeleteAccessKey(t.Context(), &iam.DeleteAccessKeyInput{AccessKeyId: &gone, UserName: aws.String("deleted")}); err != nil {
		t.Fatal(err)
	}
	wrong := keys["mistyped"]
	wrong.secret = secretKey()
	keys["mistyped"] = wrong
	return url, keys
}

// serve runs the gateway until the test ends.
func serve(t *testing.T, dir string, root credential) (url string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	_ = l.Close()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() {
		done <- embedgw.RunIAMAPI(ctx, &embedgw.IAMConfig{RootUserAccess: root.id, RootUserSecret: root.secret, Ports: []string{at},
			MaxConnections: 64, MaxRequests: 64, IAMDir: dir, Quiet: true, HealthPath: "/healthz"})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("versitygw: %v", err)
		}
	})
	url = "http://" + at
	for range 500 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			return url
		}
		select {
		case err := <-done:
			done <- nil
			t.Fatalf("versitygw: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatal("versitygw does not answer")
	return ""
}

// verifier has the credentials of an auditor that are in the environment, and those of profiles.
func verifier(endpoint string, profiles ...string) (*verifyaws.Verifier, *audit.Calls) {
	calls := &audit.Calls{}
	return verifyaws.New(audit.Env{
		HTTP: &http.Client{}, Getenv: func(k string) string { return map[string]string{"AWS_ENDPOINT_URL": endpoint}[k] },
		Log: slog.New(slog.DiscardHandler), UserAgent: "leakreach/test", Calls: calls, Now: time.Now,
	}, verifyaws.Options{Mode: verifyaws.Live, Profiles: profiles, Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}), calls
}

func TestGateway(t *testing.T) {
	url, keys := gateway(t)
	v, calls := verifier(url)
	for name, c := range keys {
		t.Run(name, func(t *testing.T) {
			got, err := v.Verify(t.Context(), c.found())
			if err != nil {
				t.Fatal(err)
			}
			if got.Validity != c.validity || got.Facts["state"] != c.state || got.Error != "" {
				t.Errorf("got %+v", got)
			}
			if c.validity != audit.Active {
				return
			}
			if got.Identity == nil || got.Identity.Account != "000000000000" || !strings.HasPrefix(got.Identity.ARN, "arn:aws:") {
				t.Errorf("identity %+v", got.Identity)
			}
			if got.Reach == nil || got.Reach.Level != c.level {
				t.Errorf("reach %+v", got.Reach)
			}
			if c.level == audit.LevelUnknown && !strings.Contains(fmt.Sprint(got.Reach.Limits), "denied") {
				t.Errorf("unknown without a reason: %q", got.Reach.Limits)
			}
		})
	}
	if n := calls.Snapshot()["sts"]; n != len(keys) {
		t.Errorf("%d calls to STS for %d keys", n, len(keys))
	}
	t.Run("program", func(t *testing.T) { program(t, url, keys) })
	t.Run("jobs", func(t *testing.T) { jobs(t, url, keys) })
	t.Run("policies", func(t *testing.T) { policies(t, url, keys["root"]) })
}

// TestGatewayDown has nobody listen.
func TestGatewayDown(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	v, _ := verifier("http://" + l.Addr().String())
	got, err := v.Verify(t.Context(), credential{id: keyID("AKIA"), secret: secretKey()}.found())
	if err != nil || got.Validity != audit.Unknown || !strings.Contains(got.Error, "refused") {
		t.Errorf("got %+v, %v", got, err)
	}
}
