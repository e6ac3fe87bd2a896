package aws

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	accounts "github.com/aws/aws-sdk-go-v2/service/account"
	accounttypes "github.com/aws/aws-sdk-go-v2/service/account/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/iam"
)

// Bounds on what is read of an account's resources.
const (
	maxRegions       = 100      // there are some forty
	maxResourcePages = 100      // of a listing; ten thousand buckets are ten
	maxRead          = 1000     // policies of one kind of resource that are read, one request each: a minute or two
	maxResources     = 50_000   // of one kind: what is known of them is that they are there
	maxPolicyBytes   = 64 << 20 // of all policies; those of a thousand buckets are 20 MiB, if they are as long as S3 takes them
	maxRefusals      = 10       // in a row, after which nothing of the kind is asked again
)

// A resource is one that may have a policy.
type resource struct {
	arn    string
	name   string // as its service takes it
	region string
}

// A kind of resource has policies that matter for what identities may do: by them identities of this and of other accounts get at data and code, or are kept from it.
type kind struct {
	what    string // in reports
	listing operation
	reading operation
	global  bool // one listing has those of all regions
	list    func(ctx context.Context, cfg aws.Config, token *string) (found []resource, next *string, err error)
	// policy reads one's policy; "" is none.
	policy func(ctx context.Context, cfg aws.Config, r *resource) (string, error)
}

// kinds are those that are read. Topics of SNS are none of them: the policy that each is made with hangs on a condition key that AWS does not document for requests of
// identities, aws:SourceOwner, and would leave what everybody may unknown.
var kinds = []kind{
	{"buckets of S3", operation{service: "s3", name: "ListBuckets"}, operation{service: "s3", name: "GetBucketPolicy"}, true, func(ctx context.Context, cfg aws.Config, token *string) (found []resource, next *string, err error) {
		out, err := s3Of(cfg).ListBuckets(ctx, &s3.ListBucketsInput{ContinuationToken: token, MaxBuckets: aws.Int32(1000)}) // without a number regions are not told
		if err != nil {
			return nil, nil, err
		}
		for _, b := range out.Buckets {
			found = append(found, resource{"arn:" + partition(cfg.Region) + ":s3:::" + text(b.Name), text(b.Name), text(b.BucketRegion)})
		}
		return found, out.ContinuationToken, nil
	}, func(ctx context.Context, cfg aws.Config, r *resource) (string, error) {
		out, err := s3Of(cfg).GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: &r.name})
		if err != nil {
			return "", err
		}
		return text(out.Policy), nil
	}},
	{"keys of KMS", operation{service: "kms", name: "ListKeys"}, operation{service: "kms", name: "GetKeyPolicy"}, false, func(ctx context.Context, cfg aws.Config, token *string) (found []resource, next *string, err error) {
		out, err := kms.NewFromConfig(cfg).ListKeys(ctx, &kms.ListKeysInput{Marker: token, Limit: aws.Int32(1000)})
		if err != nil {
			return nil, nil, err
		}
		for _, k := range out.Keys {
			found = append(found, resource{text(k.KeyArn), text(k.KeyId), cfg.Region})
		}
		return found, out.NextMarker, nil
	}, func(ctx context.Context, cfg aws.Config, r *resource) (string, error) {
		out, err := kms.NewFromConfig(cfg).GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: &r.name, PolicyName: aws.String("default")})
		if err != nil {
			return "", err
		}
		return text(out.Policy), nil
	}},
	{"functions of Lambda", operation{service: "lambda", name: "ListFunctions"}, operation{service: "lambda", name: "GetPolicy"}, false, func(ctx context.Context, cfg aws.Config, token *string) (found []resource, next *string, err error) {
		out, err := lambda.NewFromConfig(cfg).ListFunctions(ctx, &lambda.ListFunctionsInput{Marker: token})
		if err != nil {
			return nil, nil, err
		}
		for k := range out.Functions {
			f := &out.Functions[k]
			found = append(found, resource{text(f.FunctionArn), text(f.FunctionName), cfg.Region})
		}
		return found, out.NextMarker, nil
	}, func(ctx context.Context, cfg aws.Config, r *resource) (string, error) {
		out, err := lambda.NewFromConfig(cfg).GetPolicy(ctx, &lambda.GetPolicyInput{FunctionName: &r.name})
		if err != nil {
			return "", err
		}
		return text(out.Policy), nil
	}},
	{"secrets of Secrets Manager", operation{service: "secretsmanager", name: "ListSecrets"}, operation{service: "secretsmanager", name: "GetResourcePolicy"}, false, func(ctx context.Context, cfg aws.Config, token *string) (found []resource, next *string, err error) {
		out, err := secretsmanager.NewFromConfig(cfg).ListSecrets(ctx, &secretsmanager.ListSecretsInput{NextToken: token, MaxResults: aws.Int32(100)})
		if err != nil {
			return nil, nil, err
		}
		for k := range out.SecretList {
			arn := text(out.SecretList[k].ARN)
			found = append(found, resource{arn, arn, cfg.Region})
		}
		return found, out.NextToken, nil
	}, func(ctx context.Context, cfg aws.Config, r *resource) (string, error) {
		out, err := secretsmanager.NewFromConfig(cfg).GetResourcePolicy(ctx, &secretsmanager.GetResourcePolicyInput{SecretId: &r.name})
		if err != nil {
			return "", err
		}
		return text(out.ResourcePolicy), nil
	}},
	{"queues of SQS", operation{service: "sqs", name: "ListQueues"}, operation{service: "sqs", name: "GetQueueAttributes"}, false, func(ctx context.Context, cfg aws.Config, token *string) (found []resource, next *string, err error) {
		out, err := sqs.NewFromConfig(cfg).ListQueues(ctx, &sqs.ListQueuesInput{NextToken: token, MaxResults: aws.Int32(1000)})
		if err != nil {
			return nil, nil, err
		}
		for _, url := range out.QueueUrls { // https://sqs.REGION.amazonaws.com/ACCOUNT/NAME
			if parts := strings.Split(url, "/"); len(parts) > 1 {
				arn := strings.Join([]string{"arn", partition(cfg.Region), "sqs", cfg.Region, parts[len(parts)-2], parts[len(parts)-1]}, ":")
				found = append(found, resource{arn, url, cfg.Region})
			}
		}
		return found, out.NextToken, nil
	}, func(ctx context.Context, cfg aws.Config, r *resource) (string, error) {
		out, err := sqs.NewFromConfig(cfg).GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &r.name, AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNamePolicy}})
		if err != nil {
			return "", err
		}
		return out.Attributes[string(sqstypes.QueueAttributeNamePolicy)], nil
	}},
	{"repositories of ECR", operation{service: "ecr", name: "DescribeRepositories"}, operation{service: "ecr", name: "GetRepositoryPolicy"}, false, func(ctx context.Context, cfg aws.Config, token *string) (found []resource, next *string, err error) {
		out, err := ecr.NewFromConfig(cfg).DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{NextToken: token, MaxResults: aws.Int32(1000)})
		if err != nil {
			return nil, nil, err
		}
		for _, r := range out.Repositories {
			found = append(found, resource{text(r.RepositoryArn), text(r.RepositoryName), cfg.Region})
		}
		return found, out.NextToken, nil
	}, func(ctx context.Context, cfg aws.Config, r *resource) (string, error) {
		out, err := ecr.NewFromConfig(cfg).GetRepositoryPolicy(ctx, &ecr.GetRepositoryPolicyInput{RepositoryName: &r.name})
		if err != nil {
			return "", err
		}
		return text(out.PolicyText), nil
	}},
}

// s3Of is a client that takes servers of the user's choice to have no name for each bucket.
func s3Of(cfg aws.Config) *s3.Client {
	return s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = cfg.BaseEndpoint != nil })
}

// withoutPolicy are the errors of services for a resource that has no policy, or is not there any more.
var withoutPolicy = []string{
	"NoSuchBucketPolicy", "NoSuchBucket", "ResourceNotFoundException", "RepositoryPolicyNotFoundException", "RepositoryNotFoundException", "NotFoundException",
	"QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue",
}

// An inspector reads the policies of an account's resources.
type inspector struct {
	*Verifier
	a       *auditor
	account *iam.Account
	gone    map[string]string // why nothing more is asked, by region, by what is asked, or by both
	refused map[string]int    // how often in a row, by what is asked
	gaps    tally
	some    bool // not all regions are known
	read    int  // bytes of policies
}

// resources reads the policies of an account's resources, first those of resources that its identities' policies name. It takes at most half of the time that is left.
func (v *Verifier) resources(ctx context.Context, a *auditor, account *iam.Account) []audit.Gap {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = v.within(ctx, time.Until(end)/2)
		defer cancel()
	}
	i := &inspector{Verifier: v, a: a, account: account, gone: map[string]string{}, refused: map[string]int{}}
	account.Resources = map[string]*iam.Policy{}
	regions := i.regions(ctx)
	named := account.Named()
	for k := range kinds {
		i.inspect(ctx, &kinds[k], regions, named)
	}
	return i.gaps.of(account.ID)
}

// regions are those that the account uses: where that is not told, those that are open to all.
func (i *inspector) regions(ctx context.Context) (all []string) {
	client := accounts.NewFromConfig(i.config(i.a.at, "account", home(i.a.at.region), i.a.own))
	in := &accounts.ListRegionsInput{RegionOptStatusContains: []accounttypes.RegionOptStatus{accounttypes.RegionOptStatusEnabled, accounttypes.RegionOptStatusEnabledByDefault}}
	err := pages(func(token *string) (*string, bool, error) {
		in.NextToken = token
		out, err := client.ListRegions(ctx, in)
		if err != nil {
			return nil, false, err
		}
		for _, r := range out.Regions {
			if regionShape().MatchString(text(r.RegionName)) && len(all) < maxRegions {
				all = append(all, text(r.RegionName))
			}
		}
		return out.NextToken, true, nil
	})
	if err == nil && len(all) > 0 {
		return all
	}
	if err == nil {
		err = errEmpty
	}
	i.some = true
	i.gaps.add("policies of resources in regions", "that have to be switched on", "account:ListRegions: "+because(ctx, err))
	for _, r := range openRegions {
		if partition(r) == partition(i.a.at.region) {
			all = append(all, r)
		}
	}
	return all
}

// partition is that of a region.
func partition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

// inspect reads the policies of one kind of resource.
func (i *inspector) inspect(ctx context.Context, k *kind, regions []string, named map[string]bool) {
	prefix := "arn:" + partition(i.a.at.region) + ":" + k.listing.service + ":"
	if k.global {
		regions = []string{home(i.a.at.region)}
	}
	var all []resource
	var whole []string
	for _, region := range regions {
		found, err := i.list(ctx, k, region, maxResources-len(all))
		all = append(all, found...)
		if err == nil {
			whole = append(whole, prefix+region+":")
			continue
		}
		i.gaps.add("policies of "+k.what+" in", region, err.Error())
	}
	if len(whole) == len(regions) && (k.global || !i.some) {
		whole = []string{prefix}
	}
	i.account.Listed = append(i.account.Listed, whole...)
	slices.SortStableFunc(all, func(a, b resource) int { // named ones first
		switch {
		case named[a.arn] == named[b.arn]:
			return strings.Compare(a.arn, b.arn)
		case named[a.arn]:
			return -1
		}
		return 1
	})
	for n := range all {
		r := &all[n]
		i.account.Resources[r.arn] = nil
		switch {
		case n >= maxRead:
			i.gaps.add("policies of "+k.what+":", r.name, fmt.Sprintf("only those of %d are read", maxRead))
		case i.read > maxPolicyBytes:
			i.gaps.add("policies of "+k.what+":", r.name, fmt.Sprintf("only %d MiB are read", maxPolicyBytes>>20))
		default:
			i.readPolicy(ctx, k, r)
		}
	}
}

// list lists the resources of a kind in a region.
func (i *inspector) list(ctx context.Context, k *kind, region string, most int) (all []resource, err error) {
	var token *string
	for range maxResourcePages {
		var found []resource
		var next *string
		err := i.ask(ctx, k.listing, region, func(cfg aws.Config) (err error) {
			found, next, err = k.list(ctx, cfg, token)
			return err
		})
		if err != nil {
			return all, err
		}
		for _, r := range found {
			if r.region == "" {
				r.region = region
			}
			if !i.owns(k, &r) {
				return all, errors.New("an answer names what is not the account's")
			}
			if len(all) == most {
				return all, fmt.Errorf("only %d are looked at", maxResources)
			}
			all = append(all, r)
		}
		if text(next) == "" {
			return all, nil
		}
		token = next
	}
	return all, errors.New("endless listing")
}

// owns tells whether an answer names a resource of the kind and of the account.
func (i *inspector) owns(k *kind, r *resource) bool {
	parts := strings.SplitN(r.arn, ":", 6)
	return len(r.arn) <= maxARN && len(parts) == 6 && parts[0] == "arn" && parts[2] == k.listing.service && (parts[4] == i.account.ID || k.global && parts[4] == "") && parts[5] != "" &&
		regionShape().MatchString(r.region)
}

// readPolicy reads a resource's policy. One that cannot be read stays nil.
func (i *inspector) readPolicy(ctx context.Context, k *kind, r *resource) {
	policy := &iam.Policy{Name: r.arn}
	err := i.ask(ctx, k.reading, r.region, func(cfg aws.Config) error {
		doc, err := k.policy(ctx, cfg, r)
		switch {
		case slices.Contains(withoutPolicy, codeOf(err)):
			return nil
		case err == nil && doc != "":
			i.read += len(doc)
			policy, err = parse(r.arn, &doc)
		}
		return err
	})
	switch {
	case err != nil:
		i.gaps.add("policies of "+k.what+":", r.name, err.Error())
	case len(policy.Statements) == 0 && !k.global: // of a bucket it is said that it has none, and thereby whose it is
		delete(i.account.Resources, r.arn)
	default:
		i.account.Resources[r.arn] = policy
	}
}

// ask puts a question to a service in a region, unless it is known that there is no answer. The error is for reports.
func (i *inspector) ask(ctx context.Context, op operation, region string, question func(cfg aws.Config) error) error {
	here := op.right() + " " + region
	for _, of := range []string{region, op.right(), here} {
		if why := i.gone[of]; why != "" {
			return errors.New(why)
		}
	}
	cfg := i.config(i.a.at, op.service, region, i.a.own)
	err := i.patiently(ctx, func() error { return question(cfg) })
	if err == nil {
		i.refused[op.right()] = 0
		return nil
	}
	why := op.right() + ": " + because(ctx, err)
	_, elsewhere := errors.AsType[redirected](err)
	switch {
	case strings.HasPrefix(codeOf(err), "AccessDenied") && !strings.Contains(why, "resource-based"): // which is about one resource
		if i.refused[op.right()]++; i.refused[op.right()] >= maxRefusals || strings.Contains(why, "identity-based") {
			i.gone[op.right()] = why
		}
	case isThrottle(codeOf(err), statusOf(err)), statusOf(err) >= 500:
		i.gone[here] = why
	case hopeless(ctx, err) && !elsewhere:
		i.gone[region] = why
	}
	return errors.New(why)
}
