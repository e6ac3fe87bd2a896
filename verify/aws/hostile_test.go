package aws

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/verify/aws/awstest"
)

// many repeats a form with a number in it.
func many(n int, form string) string {
	var b strings.Builder
	for k := range n {
		fmt.Fprintf(&b, form, k)
	}
	return b.String()
}

// TestHostile has a server answer what no AWS does. Nothing takes long for it, nothing grows with it, and it is said what is not known.
func TestHostile(t *testing.T) {
	const n = 200_000 // squared, it would take minutes
	xml := func(action, result string) string {
		return "<" + action + "Response><" + action + "Result>" + result + "</" + action + "Result></" + action + "Response>"
	}
	for name, c := range map[string]struct {
		action  string
		answer  string
		refused string // an action that is denied
		most    int    // bytes of details
		asked   string // which is asked at most
		times   int
		limit   string
	}{
		"details that begin again": {"GetAccountAuthorizationDetails", xml("GetAccountAuthorizationDetails", "<IsTruncated>true</IsTruncated><Marker>x</Marker>"), "", 0, "GetAccountAuthorizationDetails", 2, "after page 1: iam:GetAccountAuthorizationDetails: EndlessListing"},
		"more details than there can be": {"GetAccountAuthorizationDetails", xml("GetAccountAuthorizationDetails", "<IsTruncated>true</IsTruncated><Marker>x</Marker><UserDetailList>"+many(10, "<member><UserName>%d</UserName></member>")+"</UserDetailList>"), "", 1000,
			"GetAccountAuthorizationDetails", 1, "after page 1: iam:GetAccountAuthorizationDetails: TooMuchToRead"},
		"a user with policies that are not there": {"GetAccountAuthorizationDetails", xml("GetAccountAuthorizationDetails", "<UserDetailList><member><UserName>ci</UserName><Arn>"+self+"</Arn><AttachedManagedPolicies>"+
			many(n, "<member><PolicyArn>arn:aws:iam::"+account+":policy/p%d</PolicyArn></member>")+"</AttachedManagedPolicies></member></UserDetailList>"), "", 0, "GetPolicy", maxMissing, "and 199497 more: only 500 policies are read one by one"},
		"a user with very many policies": {"ListAttachedUserPolicies", xml("ListAttachedUserPolicies", "<AttachedPolicies>"+many(n, "<member><PolicyArn>arn:aws:iam::"+account+":policy/p%d</PolicyArn></member>")+"</AttachedPolicies>"),
			"GetAccountAuthorizationDetails", 0, "GetPolicy", maxPolicies, "iam:ListAttachedUserPolicies: EndlessListing"},
		"a user in very many groups": {"ListGroupsForUser", xml("ListGroupsForUser", "<Groups>"+many(n, "<member><GroupName>g%d</GroupName></member>")+"</Groups>"),
			"GetAccountAuthorizationDetails", 0, "ListGroupPolicies", maxGroups, "iam:ListGroupsForUser: EndlessListing"},
		"a simulation that wants very many keys": {"SimulatePrincipalPolicy", xml("SimulatePrincipalPolicy", "<EvaluationResults><member><EvalActionName>s3:GetObject</EvalActionName><EvalDecision>allowed</EvalDecision><MissingContextValues>"+
			many(n, "<member>k:%d</member>")+"</MissingContextValues></member></EvaluationResults>"), "", 0, "SimulatePrincipalPolicy", 2, "for want of k:0, k:1"},
		"a simulation of actions that nobody asked about": {"SimulatePrincipalPolicy", xml("SimulatePrincipalPolicy", "<EvaluationResults>"+many(n/4, "<member><EvalActionName>x:%d</EvalActionName><EvalDecision>allowed</EvalDecision></member>")+"</EvaluationResults>"), "", 0,
			"SimulatePrincipalPolicy", 1, "the answer holds no result"},
		"an account with very many buckets": {"s3:ListBuckets", "<ListAllMyBucketsResult><Buckets>" + many(n, "<Bucket><Name>b%d</Name><BucketRegion>us-east-1</BucketRegion></Bucket>") + "</Buckets></ListAllMyBucketsResult>", "", 0,
			"s3:GetBucketPolicy", maxRead, "policies of buckets of S3 in us-east-1: only 50000 are looked at"},
		"keys that are an object": {"kms:ListKeys", `{"Keys":{"a":[]},"NextMarker":7}`, "", 0, "kms:ListKeys", 2, "policies of keys of KMS in us-east-1, eu-west-1: kms:ListKeys: answer not understood, HTTP 200"},
		"JSON without an end":     {"kms:ListKeys", strings.Repeat(`{"Keys":[`, n), "", 0, "kms:ListKeys", 2, "policies of keys of KMS in us-east-1, eu-west-1: kms:ListKeys: answer not understood, HTTP 200"},
		"regions that are none":   {"account:ListRegions", `{"Regions":[{"RegionName":"evil.example/#"}]}`, "", 0, "kms:ListKeys", 17, "account:ListRegions: EmptyAnswer"},
	} {
		t.Run(name, func(t *testing.T) {
			w, s := holding(t, Owner, "", nil)
			if c.most > 0 {
				w.most = c.most
			}
			w.server.Intercept = func(rw http.ResponseWriter, _ *http.Request, action string, _ int) bool {
				switch action {
				case c.action:
					_, _ = fmt.Fprint(rw, c.answer)
					return true
				case c.refused:
					awstest.Error(rw, 403, "AccessDenied", "no")
					return true
				}
				return false
			}
			v := w.verify(t, s)
			if v.Reach == nil || !strings.Contains(strings.Join(v.Reach.Limits, "\n"), c.limit) || len(v.Reach.Limits) > maxLimits+10 {
				t.Fatalf("%.3000s, want %q", fmt.Sprintf("%+v", v.Reach), c.limit)
			}
			asked := 0
			for _, a := range w.server.Actions() {
				if a == c.asked {
					asked++
				}
			}
			if asked > c.times || asked == 0 {
				t.Errorf("%s was asked %d times, want %d", c.asked, asked, c.times)
			}
		})
	}
}
