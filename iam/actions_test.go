package iam

import (
	"slices"
	"strings"
	"testing"
)

func TestDescribe(t *testing.T) {
	o, ok := Describe("S3:getobject")
	if !ok || o.Name != "s3:GetObject" || o.Access != AccessRead || o.Access.Changes() {
		t.Errorf("s3:GetObject is %+v", o)
	}
	if !slices.Contains(o.Resources, ResourceType{"object", "arn:${Partition}:s3:::${BucketName}/${ObjectName}", false}) {
		t.Errorf("s3:GetObject is about %+v", o.Resources)
	}
	if !slices.Contains(o.Keys, ConditionKey{"s3:ExistingObjectTag/<key>", "String"}) {
		t.Errorf("s3:GetObject has %+v", o.Keys)
	}
	for name, want := range map[string]Access{
		"iam:ListUsers": AccessList, "iam:GetUser": AccessRead, "iam:CreateUser": AccessWrite, "iam:TagUser": AccessTagging, "iam:PutUserPolicy": AccessPermissions,
	} {
		if o, ok := Describe(name); !ok || o.Access != want {
			t.Errorf("%s: %c, want %c", name, o.Access, want)
		}
	}
	if o, ok := Describe("s3:GetNothing"); ok {
		t.Errorf("s3:GetNothing is %+v", o)
	}
}

// TestActions holds the embedded data against itself: all that actions refer to is there.
func TestActions(t *testing.T) {
	d := documented()
	if len(d.services) < 400 || len(d.operations) < 20_000 || !strings.HasPrefix(ActionsVersion(), "0.") {
		t.Fatalf("%d services, %d actions of version %q", len(d.services), len(d.operations), ActionsVersion())
	}
	for name, data := range d.operations {
		o, ok := Describe(name)
		if !ok || !strings.EqualFold(o.Name, name) || !strings.ContainsRune("LRTWP", rune(o.Access)) {
			t.Errorf("%s: %+v", name, o)
		}
		for _, r := range o.Resources {
			if !strings.HasPrefix(r.ARN, "arn:") && r.ARN != "*" {
				t.Errorf("%s is about %s, whose ARN is %q", name, r.Name, r.ARN)
			}
		}
		if n := strings.Count(data.keys, ",") + 1; data.keys != "" && len(o.Keys) != n {
			t.Errorf("%s: %d keys of %d", name, len(o.Keys), n)
		}
	}
	for service, want := range map[string]bool{"s3": true, "sts": true, "kms": true, "sqs": true, "secretsmanager": true, "iam": false} {
		if ruledByRCP(service) != want {
			t.Errorf("RCPs apply to %s: %t", service, !want)
		}
	}
	for action, want := range map[string]bool{"s3:listallmybuckets": true, "s3:getobject": false, "anyservice:anyaction": false} {
		if hasNoResource(action) != want {
			t.Errorf("%s is about no resource: %t", action, !want)
		}
	}
}
