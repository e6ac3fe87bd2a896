package aws

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/middleware"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/verify/internal/ask"
)

// An operation is one that may be sent, and by whom. All of them are reads. Anything else is refused before it leaves the process.
type operation struct {
	service, name string
	auditor       bool // with the auditor's credentials
	found         bool // with the found key
	perKey        bool // the auditor asks for each key, and not once for an account
}

// operations are all that this package sends, in the order in which it does.
var operations = []operation{
	{"sts", "GetCallerIdentity", true, true, false},
	{"sts", "GetAccessKeyInfo", true, false, true},
	{"organizations", "DescribeAccount", true, false, false},
	{"iam", "GetAccessKeyLastUsed", true, false, true},
	{"iam", "ListAccessKeys", true, true, true},
	{"iam", "GetAccountAuthorizationDetails", true, true, false},
	{"iam", "GetOpenIDConnectProvider", true, false, false},
	{"iam", "ListRoles", true, false, false},
	{"iam", "GetAccountSummary", true, false, false},
	{"iam", "GetUser", true, true, true},
	{"iam", "GetRole", false, true, true},
	{"iam", "ListAttachedUserPolicies", true, true, true},
	{"iam", "ListUserPolicies", true, true, true},
	{"iam", "GetUserPolicy", true, true, true},
	{"iam", "ListGroupsForUser", true, true, true},
	{"iam", "ListAttachedGroupPolicies", true, true, true},
	{"iam", "ListGroupPolicies", true, true, true},
	{"iam", "GetGroupPolicy", true, true, true},
	{"iam", "ListAttachedRolePolicies", false, true, true},
	{"iam", "ListRolePolicies", false, true, true},
	{"iam", "GetRolePolicy", false, true, true},
	{"iam", "GetPolicy", true, true, false},
	{"iam", "GetPolicyVersion", true, true, false},
	{"organizations", "DescribeOrganization", true, true, false},
	{"organizations", "ListParents", true, true, false},
	{"organizations", "ListPoliciesForTarget", true, true, false},
	{"organizations", "DescribePolicy", true, true, false},
	{"iam", "SimulatePrincipalPolicy", true, true, true},
	{"account", "ListRegions", true, true, false},
	{"s3", "ListBuckets", true, true, false},
	{"s3", "GetBucketPolicy", true, true, false},
	{"kms", "ListKeys", true, true, false},
	{"kms", "GetKeyPolicy", true, true, false},
	{"lambda", "ListFunctions", true, true, false},
	{"lambda", "GetPolicy", true, true, false},
	{"secretsmanager", "ListSecrets", true, true, false},
	{"secretsmanager", "GetResourcePolicy", true, true, false},
	{"sqs", "ListQueues", true, true, false},
	{"sqs", "GetQueueAttributes", true, true, false},
	{"ecr", "DescribeRepositories", true, true, false},
	{"ecr", "GetRepositoryPolicy", true, true, false},
}

// right is the action that policies allow for an operation.
func (op operation) right() string {
	if op.name == "ListBuckets" {
		return "s3:ListAllMyBuckets"
	}
	return op.service + ":" + op.name
}

// event is the operation's name in CloudTrail. That of Lambda's has the version of its API, see https://docs.aws.amazon.com/lambda/latest/dg/logging-using-cloudtrail.html.
func (op operation) event() string {
	switch op.service + ":" + op.name {
	case "lambda:ListFunctions":
		return "ListFunctions20150331"
	case "lambda:GetPolicy":
		return "GetPolicy20150331v2"
	}
	return op.name
}

// everyRegion is where the events of services are that are asked in each.
const everyRegion = "each region that is switched on"

// of is the kind of resource that an operation is about, or nil.
func (op operation) of() *kind {
	if i := slices.IndexFunc(kinds, func(k kind) bool { return k.listing.service == op.service }); i >= 0 {
		return &kinds[i]
	}
	return nil
}

// perResource tells whether the operation is sent for each resource that may have a policy.
func (op operation) perResource() bool { return op.of() != nil && strings.HasPrefix(op.name, "Get") }

// region is whose trail has the event of an operation.
func (op operation) region(at where) string {
	switch {
	case op.service == "sts":
		return at.region
	case op.of() != nil && (op.perResource() || !op.of().global):
		return everyRegion
	}
	return home(at.region)
}

// A credential is what calls are signed with.
type credential struct {
	provider aws.CredentialsProvider
	auditor  bool // it is the user's own, and not the found key
}

func (c credential) may(op operation) bool { return c.auditor && op.auditor || !c.auditor && op.found }

var errRefused = errors.New("operation is not one of the reads leakreach makes")

// onlyReads is the first step of every operation: it ends the ones that are not in the list.
func (c credential) onlyReads(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("leakreach.OnlyReads",
		func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			service, name := strings.ToLower(strings.ReplaceAll(middleware.GetServiceID(ctx), " ", "")), middleware.GetOperationName(ctx)
			if !slices.ContainsFunc(operations, func(op operation) bool { return op.service == service && op.name == name && c.may(op) }) {
				return middleware.InitializeOutput{}, middleware.Metadata{}, fmt.Errorf("%s:%s: %w", service, name, errRefused)
			}
			return next.HandleInitialize(ctx, in)
		}), middleware.Before)
}

const (
	// maxAnswer bounds an answer's body. The longest are pages of an account's details: 200 entries with some 60 KiB of policies each, at most.
	maxAnswer = 32 << 20
	// maxAttempts and maxBackoff bound the SDK's own retries, on throttling, 5xx and lost connections.
	maxAttempts = 4
	maxBackoff  = 8 * time.Second
)

// where names a region and, if they are not Amazon's, the endpoints of services.
type where struct {
	region    string
	endpoints map[string]string
}

// transport sends the SDK's requests through the program's HTTP client. It bounds the answers, follows no redirect, since a
// signed request is for one host only, and signs off as leakreach, which is what a defender looks for in CloudTrail.
//
// It sends a copy of the body. The SDK closes its own once the head of the answer is there, while net/http may still be looking
// whether more of it follows; the error it then reads makes net/http drop the connection in the middle of the answer, and the
// SDK ask once more.
type transport struct {
	http      *http.Client
	userAgent string
	service   string
	calls     *audit.Calls
}

func newTransport(env audit.Env, service string) *transport {
	return &transport{http: ask.Client(env), userAgent: env.UserAgent, service: service, calls: env.Calls}
}

func (t *transport) Do(req *http.Request) (*http.Response, error) {
	req.Header.Set("User-Agent", t.userAgent)
	if req.Body != nil {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, fmt.Errorf("reading a request's body: %w", err)
		}
		req = req.WithContext(req.Context())
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	t.calls.Add(t.service, 1)
	resp, err := t.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		_ = resp.Body.Close()
		return nil, redirected(resp.Header.Get("Location"))
	}
	resp.Body = &bounded{resp.Body, maxAnswer}
	return resp, nil
}

// redirected is the place an answer pointed to.
type redirected string

func (r redirected) Error() string {
	host := "elsewhere"
	if u, err := url.Parse(string(r)); err == nil && u.Host != "" {
		host = "to " + u.Hostname()
	}
	return "the answer was a redirect " + host + ", which is not followed"
}

var errTooLong = fmt.Errorf("the answer is longer than %d MiB", maxAnswer>>20)

// bounded ends a body that is too long with an error, where io.LimitReader would cut it silently.
type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

func (v *Verifier) retryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = maxAttempts
		o.MaxBackoff = maxBackoff
		o.Backoff = v.backoff
		o.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(final)}, o.Retryables...)
	})
}

// final names the errors that asking again does not change.
func final(err error) aws.Ternary {
	if _, ok := errors.AsType[redirected](err); ok || errors.Is(err, errTooLong) || errors.Is(err, errRefused) {
		return aws.FalseTernary
	}
	return aws.UnknownTernary
}

// static is a found key.
func static(id, secret, token string) credential {
	return credential{provider: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: token}, nil
	})}
}

// config is what all clients of a service have in common. It is made without the SDK's configuration package: no profile, no environment credential and no instance
// role of the machine leakreach runs on can get into a request that is to be made with a found key.
func (v *Verifier) config(w where, service, region string, creds credential) aws.Config {
	cfg := aws.Config{
		Region:      region,
		Credentials: creds.provider,
		HTTPClient:  newTransport(v.env, service),
		Retryer:     v.retryer,
		APIOptions:  []func(*middleware.Stack) error{creds.onlyReads},
	}
	if at := w.endpoints[service]; at != "" {
		cfg.BaseEndpoint = &at
	}
	return cfg
}

func (v *Verifier) sts(w where, creds credential) *sts.Client {
	return sts.NewFromConfig(v.config(w, "sts", w.region, creds))
}

func (v *Verifier) iam(w where, creds credential) *awsiam.Client {
	return awsiam.NewFromConfig(v.config(w, "iam", home(w.region), creds))
}

func (v *Verifier) organizations(w where, creds credential) *organizations.Client {
	return organizations.NewFromConfig(v.config(w, "organizations", home(w.region), creds))
}

// where decides which servers a key is taken to. found is the region that lay beside it, as untrusted as all that is found.
func (v *Verifier) where(found string) (where, error) {
	w := where{endpoints: map[string]string{}}
	for _, op := range operations {
		if _, known := w.endpoints[op.service]; known {
			continue
		}
		at, err := v.endpointOf(op.service)
		if err != nil {
			return w, err
		}
		w.endpoints[op.service] = at
	}
	w.region = v.opts.Region
	if w.region == "" && w.endpoints["sts"] == "" && open(found) {
		w.region = found
	}
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		if w.region == "" {
			w.region = v.env.Getenv(name)
		}
	}
	if w.region == "" {
		w.region = "us-east-1"
	}
	if !regionShape().MatchString(w.region) {
		return w, fmt.Errorf("%w: AWS region %q is not one", audit.ErrUsage, w.region)
	}
	return w, nil
}

var regionShape = lazyregexp.New(`^[a-z]{2}(-[a-z]+){1,3}-[0-9]{1,2}$`)

// openRegions are those no account has to opt into ("Specify which AWS Regions your account can use", AWS Account
// Management). In any other region STS calls a good key invalid if its account has not opted in; so a key found beside such
// a region is taken to us-east-1, which knows every key of the partition. China and GovCloud are partitions of their own.
var openRegions = strings.Fields(`us-east-1 us-east-2 us-west-1 us-west-2 ca-central-1 sa-east-1
	eu-central-1 eu-west-1 eu-west-2 eu-west-3 eu-north-1
	ap-south-1 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-southeast-1 ap-southeast-2
	cn-north-1 cn-northwest-1 us-gov-east-1 us-gov-west-1`)

func open(region string) bool { return slices.Contains(openRegions, region) }

// home is the region that a partition's only IAM, and only Organizations, is in.
func home(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "cn-north-1"
	case strings.HasPrefix(region, "us-gov-"):
		return "us-gov-west-1"
	case strings.Count(region, "-") == 2:
		return "us-east-1"
	}
	return region // the isolated partitions, whose names the SDK knows better
}

// endpointOf follows the rules of the AWS SDKs and tools for service-specific endpoints, see https://docs.aws.amazon.com/sdkref/latest/guide/ss-endpoints-table.html.
func (v *Verifier) endpointOf(service string) (string, error) {
	if service == "secretsmanager" {
		service = "secrets_manager"
	}
	name, at := "endpoint", v.opts.Endpoint
	if ignore := v.env.Getenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"); at == "" && !strings.EqualFold(ignore, "true") {
		for _, name = range []string{"AWS_ENDPOINT_URL_" + strings.ToUpper(service), "AWS_ENDPOINT_URL"} {
			if at = v.env.Getenv(name); at != "" {
				break
			}
		}
	}
	if at == "" {
		return "", nil
	}
	u, err := url.Parse(at)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil {
		return "", fmt.Errorf("%w: %s is not an http or https URL without user name", audit.ErrUsage, name)
	}
	return at, nil
}
