package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/smithy-go"

	policy "github.com/leakreach/leakreach/iam"
)

// A chooser makes policies that often have a say about the calls below. It is the same in each run.
type chooser struct{ *rand.Rand }

func choose[T any](c chooser, of ...T) T { return of[c.IntN(len(of))] }

// document is an inline policy for a user.
func (c chooser) document() string {
	var statements []map[string]any
	for range 1 + c.IntN(3) {
		s := map[string]any{"Effect": choose(c, "Allow", "Allow", "Allow", "Deny")}
		s[choose(c, "Action", "Action", "Action", "NotAction")] = choose[any](c, "*", "iam:*", "iam:Get*", "iam:GetUser", "IAM:getuser", "iam:?etUser", []string{"iam:List*", "iam:GetUser"},
			"iam:ListUserPolicies", "iam:ListAccessKeys", "s3:*", []string{"iam:ListUsers", "s3:GetObject"})
		s[choose(c, "Resource", "Resource", "Resource", "NotResource")] = choose[any](c, "*", "arn:aws:iam::000000000000:user/*", "arn:aws:iam::000000000000:user/${aws:username}",
			"arn:aws:iam::000000000000:user/team/*", "arn:aws:iam::000000000000:user/team/other", "arn:aws:iam::*:user/t*/oth?r", "arn:aws:iam::000000000000:user/TEAM/*",
			[]string{"arn:aws:s3:::bucket", "arn:aws:iam::000000000000:user/team/o*"}, "arn:aws:iam::000000000000:user/s${*}")
		if c.IntN(2) == 0 {
			s["Condition"] = c.condition()
		}
		statements = append(statements, s)
	}
	doc, err := json.Marshal(map[string]any{"Version": choose(c, "2012-10-17", "2012-10-17", "2012-10-17", "2008-10-17"), "Statement": statements})
	if err != nil {
		panic(err)
	}
	return string(doc)
}

func (c chooser) condition() map[string]any {
	ifExists := choose(c, "", "", "IfExists")
	one := func(operator, key string, value any) map[string]any {
		return map[string]any{operator: map[string]any{key: value}}
	}
	switch c.IntN(8) {
	case 0:
		return one(choose(c, "IpAddress", "NotIpAddress")+ifExists, "aws:SourceIp", choose[any](c, "127.0.0.0/8", "10.0.0.0/8", []string{"192.0.2.1", "127.0.0.1"}))
	case 1:
		return one("Bool"+ifExists, choose(c, "aws:SecureTransport", "aws:MultiFactorAuthPresent"), choose(c, "true", "false"))
	case 2:
		return one(choose(c, "StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "StringEqualsIgnoreCase")+ifExists, "aws:username", choose[any](c, "s1", "s*", []string{"S2", "s3"}, "${aws:username}"))
	case 3:
		return one(choose(c, "StringEquals", "StringNotEquals", "StringLike")+ifExists, "aws:PrincipalTag/team", choose[any](c, "a", "b", []string{"a", "c"}, "?"))
	case 4:
		return one(choose(c, "StringEquals", "StringNotEquals")+ifExists, choose(c, "iam:ResourceTag/team", "aws:ResourceTag/team"), choose[any](c, "a", "b", "${aws:PrincipalTag/team}"))
	case 5:
		return one(choose(c, "DateLessThan", "DateGreaterThan")+ifExists, "aws:CurrentTime", choose(c, "2020-01-01T00:00:00Z", "2090-01-01T00:00:00Z"))
	case 6:
		return one("Null", choose(c, "aws:PrincipalTag/team", "aws:MultiFactorAuthPresent", "aws:username"), choose(c, "true", "false"))
	}
	return one(choose(c, "ArnEquals", "ArnLike", "ArnNotLike", "ArnNotEquals")+ifExists, "aws:PrincipalArn", choose[any](c, "arn:aws:iam::000000000000:user/*", "arn:aws:iam::*:user/s1*", "arn:aws:iam::000000000000:role/*"))
}

// policies holds what package iam says of 200 users with generated policies, and of six calls of each, against what the server does.
func policies(t *testing.T, url string, root credential) {
	client := func(id, secret string) *iam.Client {
		return iam.New(iam.Options{Region: "us-east-1", BaseEndpoint: &url, RetryMaxAttempts: 1, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}, nil
		})})
	}
	admin, ctx := client(root.id, root.secret), t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	tags := func(team string) []types.Tag {
		if team == "" {
			return nil
		}
		return []types.Tag{{Key: aws.String("team"), Value: &team}}
	}
	other, path := "other", "/team/"
	_, err := admin.CreateUser(ctx, &iam.CreateUserInput{UserName: &other, Path: &path, Tags: tags("a")})
	must(err)
	const users = 200
	calls, argued, counts := 0, 0, map[policy.State]int{}
	for n := range users {
		c := chooser{rand.New(rand.NewPCG(uint64(n), 11))}
		name, team := fmt.Sprint("s", n), choose(c, "", "a", "b")
		made, err := admin.CreateUser(ctx, &iam.CreateUserInput{UserName: &name, Tags: tags(team)})
		must(err)
		l, p := policy.Layers{}, policy.Principal{Kind: policy.User, ARN: *made.User.Arn, ID: *made.User.UserId, Account: "000000000000", Tags: map[string]string{}}
		if team != "" {
			p.Tags["team"] = team
		}
		var docs []string
		for k := range 1 + c.IntN(2) {
			doc, as := c.document(), fmt.Sprint("p", k)
			_, err := admin.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: &name, PolicyName: &as, PolicyDocument: &doc})
			must(err)
			parsed, err := policy.Parse(as, []byte(doc))
			must(err)
			l.Identity, docs = append(l.Identity, parsed), append(docs, doc)
		}
		key, err := admin.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &name})
		must(err)
		self := client(*key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey)
		for action, call := range map[string]func(user *string) error{
			"iam:GetUser": func(u *string) error { _, err := self.GetUser(ctx, &iam.GetUserInput{UserName: u}); return err },
			"iam:ListUserPolicies": func(u *string) error {
				_, err := self.ListUserPolicies(ctx, &iam.ListUserPoliciesInput{UserName: u})
				return err
			},
			"iam:ListAccessKeys": func(u *string) error {
				_, err := self.ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: u})
				return err
			},
		} {
			for user, arn := range map[string]string{name: p.ARN, other: "arn:aws:iam::000000000000:user/team/other"} {
				calls++
				owns := policy.Known("a")
				if user == name {
					if owns = policy.Known(team); team == "" {
						owns = policy.Absent()
					}
				}
				a := l.Evaluate(policy.Request{Principal: p, Action: action, Resource: arn, Context: map[string]policy.Fact{
					"aws:SourceIp": policy.Known("127.0.0.1"), "aws:SecureTransport": policy.Known("false"), "aws:CurrentTime": policy.Known(time.Now().UTC().Format(time.RFC3339)),
					"aws:MultiFactorAuthPresent": policy.Absent(), "iam:ResourceTag/team": owns, "aws:ResourceTag/team": owns,
				}})
				err := call(&user)
				var refused smithy.APIError
				denied := errors.As(err, &refused) && refused.ErrorCode() == "AccessDenied"
				if err != nil && !denied {
					t.Fatal(err)
				}
				counts[a.State]++
				if text := strings.Join(docs, " "); denied != (a.State == policy.Denied) && (strings.Contains(text, "s${*}") || team == "" && strings.Contains(text, "${aws:PrincipalTag/team}")) {
					argued++ // docs/accuracy.md has the two reasons
					continue
				}
				if a.State == policy.Undecided || denied != (a.State == policy.Denied) {
					t.Errorf("%s of %s by %s (team %q): we say %s, and the server %v:\n%s", action, user, name, team, a.State, err, docs)
				}
			}
		}
	}
	t.Logf("%d users, %d calls: %v, %d argued about", users, calls, counts, argued)
	if argued > calls/100 || counts[policy.Allowed] < calls/5 {
		t.Error("too many are argued about, or too few are allowed")
	}
}
