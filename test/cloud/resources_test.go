package cloud

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/leakreach/leakreach/audit"
)

// withRegions is moto with an answer to ListRegions, which it does not have.
func withRegions(t *testing.T, moto string) string {
	t.Helper()
	at, err := url.Parse(moto)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(at)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/listRegions" {
			_, _ = fmt.Fprint(w, `{"Regions":[{"RegionName":"us-east-1","RegionOptStatus":"ENABLED_BY_DEFAULT"},{"RegionName":"eu-west-1","RegionOptStatus":"ENABLED_BY_DEFAULT"}]}`)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// code is what a function is made of.
func code(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	f, err := z.Create("index.py")
	if err == nil {
		_, err = f.Write([]byte("def handler(event, context): pass\n"))
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestMotoResources has policies of resources raise and lower what users may, in their own account and in another one.
func TestMotoResources(t *testing.T) {
	const ownID, farID = "123456789012", "444455556666"
	at := moto(t)
	as := func(region string, c credential) aws.Config {
		return aws.Config{Region: region, BaseEndpoint: &at, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: c.id, SecretAccessKey: c.secret, SessionToken: c.token}, nil
		})}
	}
	setup := credential{id: keyOf("AKIA", ownID), secret: secretKey()}
	session := must[*sts.AssumeRoleOutput](t)(sts.NewFromConfig(as("us-east-1", setup)).AssumeRole(t.Context(),
		&sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::" + farID + ":role/setup"), RoleSessionName: aws.String("setup")})).Credentials
	far := credential{id: *session.AccessKeyId, secret: *session.SecretAccessKey, token: *session.SessionToken}
	own := as("eu-west-1", setup)

	users := map[string]labelled{}
	near, there := iam.NewFromConfig(as("us-east-1", setup)), iam.NewFromConfig(as("us-east-1", far))
	userOf := func(client *iam.Client, name string, level audit.Level, in, policy string) {
		t.Helper()
		must[*iam.CreateUserOutput](t)(client.CreateUser(t.Context(), &iam.CreateUserInput{UserName: &name}))
		if policy != "" {
			must[*iam.PutUserPolicyOutput](t)(client.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: &name, PolicyName: aws.String("own"), PolicyDocument: &policy}))
		}
		key := must[*iam.CreateAccessKeyOutput](t)(client.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: &name})).AccessKey
		users[name] = labelled{credential: credential{id: *key.AccessKeyId, level: level}, accounts: []string{in}}
	}
	user := func(name string, level audit.Level, in, policy string) {
		t.Helper()
		userOf(near, name, level, in, policy)
	}
	arnOf := func(name string) string { return "arn:aws:iam::" + ownID + ":user/" + name }
	about := func(effect, principal, action, resource string) *string {
		return aws.String(fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":%q,"Principal":{"AWS":%q},"Action":%q,"Resource":%q}]}`, effect, principal, action, resource))
	}
	path := func(o *s3.Options) { o.UsePathStyle = true }
	bucket := func(cfg aws.Config, name string, policy *string) {
		t.Helper()
		client := s3.NewFromConfig(cfg, path)
		must[*s3.CreateBucketOutput](t)(client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}))
		if policy != nil {
			must[*s3.PutBucketPolicyOutput](t)(client.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &name, Policy: policy}))
		}
	}
	nearest := as("us-east-1", setup)
	user("uploader", audit.LevelWrite, ownID, "")
	bucket(nearest, "releases", about("Allow", arnOf("uploader"), "s3:PutObject", "arn:aws:s3:::releases/*"))
	user("kept-out", audit.LevelNone, ownID, allowing("arn:aws:s3:::ledger/*", "s3:GetObject"))
	bucket(nearest, "ledger", about("Deny", arnOf("kept-out"), "s3:*", "arn:aws:s3:::ledger/*"))
	user("reader", audit.LevelRead, ownID, allowing("arn:aws:s3:::plain/*", "s3:GetObject"))
	bucket(nearest, "plain", nil)
	user("guest", audit.LevelWrite, farID, allowing("arn:aws:s3:::theirs/*", "s3:PutObject"))
	bucket(as("us-east-1", far), "theirs", about("Allow", arnOf("guest"), "s3:PutObject", "arn:aws:s3:::theirs/*"))
	user("stranger", audit.LevelNone, ownID, allowing("arn:aws:s3:::closed/*", "s3:PutObject"))
	bucket(as("us-east-1", far), "closed", nil)

	keys := kms.NewFromConfig(own)
	delegates := must[*kms.CreateKeyOutput](t)(keys.CreateKey(t.Context(), &kms.CreateKeyInput{Policy: about("Allow", "arn:aws:iam::"+ownID+":root", "kms:*", "*")})).KeyMetadata.Arn
	closed := must[*kms.CreateKeyOutput](t)(keys.CreateKey(t.Context(), &kms.CreateKeyInput{Policy: about("Allow", "arn:aws:iam::"+ownID+":role/vault", "kms:*", "*")})).KeyMetadata.Arn
	user("decrypts", audit.LevelWrite, ownID, allowing(*delegates, "kms:Decrypt")) // which AWS lists as a write
	user("locked-out", audit.LevelNone, ownID, allowing(*closed, "kms:Decrypt"))

	must[*iam.CreateRoleOutput](t)(near.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("fn"), AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)}))
	functions := lambda.NewFromConfig(own)
	must[*lambda.CreateFunctionOutput](t)(functions.CreateFunction(t.Context(), &lambda.CreateFunctionInput{
		FunctionName: aws.String("fn"), Role: aws.String("arn:aws:iam::" + ownID + ":role/fn"), Runtime: lambdatypes.RuntimePython312, Handler: aws.String("index.handler"), Code: &lambdatypes.FunctionCode{ZipFile: code(t)},
	}))
	userOf(there, "invoker", audit.LevelWrite, ownID, allowing("arn:aws:lambda:eu-west-1:"+ownID+":function:fn", "lambda:InvokeFunction"))
	userOf(there, "outsider", audit.LevelNone, farID, allowing("arn:aws:lambda:eu-west-1:"+ownID+":function:other", "lambda:InvokeFunction"))
	must[*lambda.AddPermissionOutput](t)(functions.AddPermission(t.Context(), &lambda.AddPermissionInput{
		FunctionName: aws.String("fn"), StatementId: aws.String("invoker"), Action: aws.String("lambda:InvokeFunction"), Principal: aws.String("arn:aws:iam::" + farID + ":root"),
	}))

	user("confidant", audit.LevelRead, ownID, "")
	secrets := secretsmanager.NewFromConfig(own)
	secret := must[*secretsmanager.CreateSecretOutput](t)(secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("db"), SecretString: aws.String(secretKey())})).ARN
	must[*secretsmanager.PutResourcePolicyOutput](t)(secrets.PutResourcePolicy(t.Context(), &secretsmanager.PutResourcePolicyInput{
		SecretId: secret, ResourcePolicy: about("Allow", arnOf("confidant"), "secretsmanager:GetSecretValue", "*"),
	}))

	user("sender", audit.LevelWrite, ownID, "")
	must[*sqs.CreateQueueOutput](t)(sqs.NewFromConfig(own).CreateQueue(t.Context(), &sqs.CreateQueueInput{
		QueueName: aws.String("jobs"), Attributes: map[string]string{"Policy": *about("Allow", arnOf("sender"), "sqs:SendMessage", "arn:aws:sqs:eu-west-1:"+ownID+":jobs")},
	}))

	user("puller", audit.LevelRead, ownID, "")
	images := ecr.NewFromConfig(own)
	must[*ecr.CreateRepositoryOutput](t)(images.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("web")}))
	must[*ecr.SetRepositoryPolicyOutput](t)(images.SetRepositoryPolicy(t.Context(), &ecr.SetRepositoryPolicyInput{
		RepositoryName: aws.String("web"), PolicyText: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + arnOf("puller") + `"},"Action":"ecr:BatchGetImage"}]}`),
	}))

	file := filepath.Join(t.TempDir(), "config")
	profiles := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n[profile far]\naws_access_key_id = %s\naws_secret_access_key = %s\naws_session_token = %s\n", setup.id, setup.secret, far.id, far.secret, far.token)
	if err := os.WriteFile(file, []byte(profiles), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", file)
	v, calls := verifier(at, "far")
	for name, u := range users {
		got, err := v.Verify(t.Context(), audit.NewSecret(audit.KindAWSKey, u.id, ""))
		if err != nil || got.Reach == nil || got.Reach.Level != u.level || !slices.Equal(got.Reach.Accounts, u.accounts) {
			t.Errorf("%s: %+v, want %s in %v; %v", name, got.Reach, u.level, u.accounts, err)
			continue
		}
		if strings.Contains(strings.Join(got.Reach.Limits, "\n"), "policies of ") {
			t.Errorf("%s: limits %q", name, got.Reach.Limits)
		}
	}
	for service, want := range map[string]int{"account": 2, "s3": 7, "kms": 6, "lambda": 5, "secretsmanager": 5, "sqs": 5, "ecr": 5} { // lists of two accounts in two regions, and one each for what there is
		if n := calls.Snapshot()[service]; n != want {
			t.Errorf("%d calls to %s, want %d", n, service, want)
		}
	}
}
