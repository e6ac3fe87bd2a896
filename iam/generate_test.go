package iam

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
)

// A generator makes policies and requests that meet each other often: out of few actions, resources and keys.
type generator struct {
	*rand.Rand
	documents map[string]json.RawMessage // of all policies, by their names
}

func newGenerator(seed uint64) *generator {
	return &generator{rand.New(rand.NewPCG(seed, 7)), map[string]json.RawMessage{}}
}

func pick[T any](g *generator, of ...T) T { return of[g.IntN(len(of))] }

const (
	userARN = "arn:aws:iam::" + account + ":user/team/u"
	roleARN = "arn:aws:iam::" + account + ":role/r"
	sessARN = "arn:aws:sts::" + account + ":assumed-role/r/s"
)

// document is a policy as JSON; with principals it is a resource's.
func (g *generator) document(effect Effect, principals bool) map[string]any {
	var statements []map[string]any
	for range 1 + g.IntN(2) {
		s := map[string]any{"Effect": map[Effect]string{Allow: "Allow", Deny: "Deny"}[effect]}
		if g.IntN(12) == 0 {
			s["Effect"] = "Deny"
		}
		s[pick(g, "Action", "Action", "Action", "NotAction")] = pick[any](g, "*", "s3:*", "s3:Get*", "s3:GetObject", []string{"s3:PutObject", "sqs:SendMessage"}, "sqs:*", "S3:getobject", "s3:?etObject")
		s[pick(g, "Resource", "Resource", "Resource", "NotResource")] = pick[any](g, "*", "arn:aws:s3:::bucket/*", "arn:aws:s3:::bucket/a", "arn:aws:s3:::b*/?", []string{"arn:aws:s3:::other/*", "arn:aws:sqs:*:*:q"}, "arn:aws:s3:::bucket/${aws:username}")
		if principals {
			s["Principal"] = pick[any](g, "*", map[string]any{"AWS": userARN}, map[string]any{"AWS": account}, map[string]any{"AWS": roleARN}, map[string]any{"AWS": sessARN}, map[string]any{"AWS": []string{"arn:aws:iam::" + other + ":root", "arn:aws:iam::" + account + ":root"}}, map[string]any{"Service": "lambda.amazonaws.com"})
		}
		if g.IntN(3) == 0 {
			s["Condition"] = g.conditions()
		}
		statements = append(statements, s)
	}
	return map[string]any{"Version": "2012-10-17", "Statement": statements}
}

// conditions are one or two operators, over keys that any request may have.
func (g *generator) conditions() map[string]any {
	all := map[string]any{}
	for range 1 + g.IntN(2) {
		ifExists := pick(g, "", "", "IfExists")
		set := pick(g, "", "", "", "ForAllValues:", "ForAnyValue:")
		switch g.IntN(8) {
		case 0, 1:
			all[pick(g, "StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase")+ifExists] = map[string]any{
				pick(g, "aws:RequestedRegion", "aws:PrincipalTag/team", "aws:requestedregion"): pick[any](g, "eu-west-1", "eu-*", []string{"us-east-1", "EU-WEST-1"}, "a", "${aws:PrincipalTag/team}"),
			}
		case 2:
			all[set+pick(g, "StringEquals", "StringNotEquals", "StringLike", "StringNotLike")] = map[string]any{"aws:TagKeys": pick[any](g, "a", []string{"a", "b"}, "c*")}
		case 3:
			all[pick(g, "IpAddress", "NotIpAddress")+ifExists] = map[string]any{"aws:SourceIp": pick[any](g, "10.0.0.0/8", []string{"192.0.2.1", "10.1.0.0/16"}, "2001:db8::/32")}
		case 4:
			all["Bool"+ifExists] = map[string]any{"aws:MultiFactorAuthPresent": pick[any](g, "true", "false", true)}
		case 5:
			all[pick(g, "NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan", "NumericGreaterThanEquals")+ifExists] = map[string]any{"aws:MultiFactorAuthAge": pick[any](g, "100", "3600", 3600)}
		case 6:
			all[pick(g, "DateLessThan", "DateGreaterThan", "DateGreaterThanEquals", "DateNotEquals")+ifExists] = map[string]any{"aws:CurrentTime": pick[any](g, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z")}
		case 7:
			all["Null"] = map[string]any{pick(g, "aws:PrincipalTag/team", "aws:TagKeys", "aws:SourceIp"): pick[any](g, "true", "false")}
		}
	}
	return all
}

func (g *generator) policy(t testing.TB, name string, effect Effect, principals bool) *Policy {
	t.Helper()
	doc, err := json.Marshal(g.document(effect, principals))
	if err != nil {
		t.Fatal(err)
	}
	g.documents[name] = doc
	return policyOf(t, name, doc)
}

// scene is a request with the policies that have a say.
func (g *generator) scene(t testing.TB) (l Layers, r Request) {
	r = g.request()
	for i := range 1 + g.IntN(3) {
		if r.Principal.Kind == Root {
			break // which has none, and may everything in its account
		}
		l.Identity = append(l.Identity, g.policy(t, fmt.Sprint("identity ", i), Allow, false))
	}
	if g.IntN(3) == 0 && r.Principal.Kind != Root {
		l.Boundary = []*Policy{g.policy(t, "boundary", Allow, false)}
	}
	for i := range g.IntN(3) {
		l.SCPs = append(l.SCPs, []*Policy{g.policy(t, fmt.Sprint("scp ", i), Allow, false)})
	}
	for i := range max(0, g.IntN(5)-2) {
		l.RCPs = append(l.RCPs, []*Policy{g.rcp(t, fmt.Sprint("rcp ", i))})
	}
	if r.Principal.Kind == Session && g.IntN(3) == 0 {
		l.Session = []*Policy{g.policy(t, "session", Allow, false)}
	}
	if g.IntN(2) == 0 {
		l.Resource = g.policy(t, "resource", Allow, true)
	}
	return l, r
}

// rcp is a resource control policy: those deny, and name everyone and no action by what it is not.
func (g *generator) rcp(t testing.TB, name string) *Policy {
	s := map[string]any{"Effect": "Deny", "Principal": "*", "Action": pick[any](g, "s3:*", "s3:GetObject", "sqs:*", []string{"s3:PutObject", "sqs:SendMessage"})}
	s[pick(g, "Resource", "Resource", "NotResource")] = pick[any](g, "*", "arn:aws:s3:::bucket/*", []string{"arn:aws:s3:::other/*", "arn:aws:sqs:*:*:q"})
	if g.IntN(3) > 0 {
		s["Condition"] = g.conditions()
	}
	doc, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []any{s}})
	if err != nil {
		t.Fatal(err)
	}
	g.documents[name] = doc
	return policyOf(t, name, doc)
}

func (g *generator) request() Request {
	r := Request{Action: pick(g, "s3:GetObject", "s3:PutObject", "sqs:SendMessage"), Context: map[string]Fact{}}
	r.Resource = pick(g, "arn:aws:s3:::bucket/a", "arn:aws:s3:::bucket/u", "arn:aws:s3:::other/x")
	if r.Action == "sqs:SendMessage" {
		r.Resource = "arn:aws:sqs:eu-west-1:" + pick(g, account, other) + ":q"
	}
	r.Account = pick(g, account, account, other)
	if r.Action == "sqs:SendMessage" {
		r.Account = ""
	}
	r.Principal = pick(g, Principal{Kind: User, ARN: userARN, Account: account}, Principal{Kind: Session, ARN: sessARN, Role: roleARN, Account: account},
		Principal{Kind: Session, ARN: sessARN, Role: roleARN, Account: account}, Principal{Kind: Root, ARN: "arn:aws:iam::" + account + ":root", Account: account})
	for _, k := range []struct {
		key   string
		facts []Fact
	}{
		{"aws:RequestedRegion", []Fact{Known("eu-west-1"), Known("us-east-1")}},
		{"aws:PrincipalTag/team", []Fact{Known("a"), Known("eu-west-1"), Absent()}},
		{"aws:TagKeys", []Fact{Known("a"), Known("a", "c"), Known("x", "a", "b"), Absent()}},
		{"aws:SourceIp", []Fact{Known("10.1.2.3"), Known("192.0.2.1"), Known("2001:db8::1"), Absent()}},
		{"aws:MultiFactorAuthPresent", []Fact{Known("true"), Known("false"), Absent()}},
		{"aws:MultiFactorAuthAge", []Fact{Known("99"), Known("100"), Known("3601"), Absent()}},
		{"aws:CurrentTime", []Fact{Known("2026-06-01T00:00:00Z")}},
	} {
		r.Context[k.key] = pick(g, k.facts...)
	}
	return r
}

// BenchmarkEvaluate is the evaluation of a request by some ten policies.
func BenchmarkEvaluate(b *testing.B) {
	var layers []Layers
	var requests []Request
	for seed := range uint64(256) {
		g := newGenerator(seed)
		l, r := g.scene(b)
		layers, requests = append(layers, l), append(requests, r)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		layers[i%256].Evaluate(requests[i%256])
	}
}
