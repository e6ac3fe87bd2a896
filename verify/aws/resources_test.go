package aws

import (
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/verify/aws/awstest"
)

// at is the ARN of a resource in the account of tests.
func at(service, name string) string {
	return "arn:aws:" + service + ":eu-west-1:" + account + ":" + name
}

// toUser is a policy of a resource about the user ci.
func toUser(effect, action, resource string) string {
	return `{"Version":"2012-10-17","Statement":{"Effect":"` + effect + `","Principal":{"AWS":"` + self + `"},"Action":"` + action + `","Resource":"` + resource + `"}}`
}

// held are policies of resources, which raise what a user may and lower it.
var held = map[string]struct {
	own       string // the user's policy, beside reading; "" for none
	resources map[string]string
	level     audit.Level
	step      string
}{
	"bucket raises":                          {"", map[string]string{"arn:aws:s3:::b": toUser("Allow", "s3:PutObject", "arn:aws:s3:::b/*")}, audit.LevelWrite, "arn:aws:s3:::b, statement 1"},
	"bucket lowers":                          {allow("arn:aws:s3:::b/*", "s3:PutObject"), map[string]string{"arn:aws:s3:::b": toUser("Deny", "s3:*", "arn:aws:s3:::b/*")}, audit.LevelNone, ""},
	"bucket without one":                     {allow("arn:aws:s3:::b/*", "s3:PutObject"), map[string]string{"arn:aws:s3:::b": ""}, audit.LevelWrite, "ci p0"},
	"key delegates":                          {allow(at("kms", "key/k"), "kms:Decrypt"), map[string]string{at("kms", "key/k"): strings.ReplaceAll(toUser("Allow", "kms:*", "*"), "user/ci", "root")}, audit.LevelWrite, "ci p0"},
	"key delegates, of all there are":        {allow("arn:aws:kms:*:"+account+":key/*", "kms:Decrypt"), map[string]string{at("kms", "key/k"): strings.ReplaceAll(toUser("Allow", "kms:*", "*"), "user/ci", "root")}, audit.LevelWrite, "ci p0"},
	"key does not delegate":                  {allow(at("kms", "key/k"), "kms:Decrypt"), map[string]string{at("kms", "key/k"): strings.ReplaceAll(toUser("Allow", "kms:*", "*"), "user/ci", "role/ops")}, audit.LevelNone, ""},
	"keys do not delegate, of all there are": {allow("arn:aws:kms:*:"+account+":key/*", "kms:Decrypt"), map[string]string{at("kms", "key/k"): strings.ReplaceAll(toUser("Allow", "kms:*", "*"), "user/ci", "role/ops")}, audit.LevelNone, ""},
	"function raises":                        {"", map[string]string{at("lambda", "function:f"): toUser("Allow", "lambda:InvokeFunction", at("lambda", "function:f"))}, audit.LevelWrite, "function:f, statement 1"},
	"secret raises":                          {"", map[string]string{at("secretsmanager", "secret:s-123456"): toUser("Allow", "secretsmanager:GetSecretValue", "*")}, audit.LevelRead, "secret:s-123456, statement 1"},
	"secret lowers":                          {allow(at("secretsmanager", "secret:s-123456"), "secretsmanager:GetSecretValue"), map[string]string{at("secretsmanager", "secret:s-123456"): toUser("Deny", "*", "*")}, audit.LevelNone, ""},
	"queue raises":                           {"", map[string]string{at("sqs", "q"): toUser("Allow", "sqs:SendMessage", at("sqs", "q"))}, audit.LevelWrite, ":q, statement 1"},
	"repository raises":                      {"", map[string]string{at("ecr", "repository/r"): toUser("Allow", "ecr:PutImage", "*")}, audit.LevelWrite, "repository/r, statement 1"},
	"queue lowers":                           {allow(at("sqs", "q"), "sqs:SendMessage"), map[string]string{at("sqs", "q"): toUser("Deny", "sqs:*", "*")}, audit.LevelNone, ""},
	"none names it":                          {"", map[string]string{at("sqs", "q"): strings.ReplaceAll(toUser("Allow", "sqs:*", "*"), "user/ci", "user/other")}, audit.LevelNone, ""},
}

// holding is an account of a user with a key, an auditor, and resources.
func holding(t *testing.T, mode Mode, own string, resources map[string]string) (*world, *audit.Secret) {
	t.Helper()
	user := awstest.Entity{}
	if own != "" {
		user = inline(own)
	}
	id, auditing := keyID("AKIA", account), keyID("AKIA", account)
	key, its := awstest.Key{Secret: value(), User: "ci"}, awstest.Key{Secret: value(), User: "auditor"}
	w := newWorld(t, awstest.Account{
		ID: account, Keys: map[string]awstest.Key{id: key, auditing: its}, Users: map[string]awstest.Entity{"ci": user, "auditor": inline(auditorPolicy)}, Policies: map[string]string{admin: everything},
		Resources: resources, Regions: []string{"us-east-1", "eu-west-1"},
	}, func(o *Options) { o.Mode = mode })
	if mode == Owner {
		w.credentials(auditing, its.Secret)
	}
	return w, audit.NewSecret(audit.KindAWSKey, id, key.Secret)
}

func TestResources(t *testing.T) {
	for name, c := range held {
		for _, size := range []int{0, 1} {
			w, s := holding(t, Owner, c.own, c.resources)
			w.server.PageSize = size * 40 // results of a simulation
			v := w.verify(t, s)
			if v.Reach == nil || v.Reach.Level != c.level || !strings.Contains(fmt.Sprint(v.Reach.Paths), c.step) || len(v.Reach.Limits) > 0 && c.level == audit.LevelNone && strings.Contains(fmt.Sprint(v.Reach.Limits), "policies of") {
				t.Errorf("%s: %+v, want %s", name, v.Reach, c.level)
			}
			for _, r := range w.server.Requests() {
				if service, _, about := strings.Cut(r.Action, ":"); about && service != "s3" && service != "account" && r.Region != "us-east-1" && r.Region != "eu-west-1" {
					t.Errorf("%s: %s was asked in %s", name, r.Action, r.Region)
				}
			}
		}
	}
}

// TestAgreement has an account's owner say what a key opens, and the key itself: where it may read as much, the level is the same.
func TestAgreement(t *testing.T) {
	for name, c := range held {
		levels := map[Mode]*audit.Reach{}
		for _, mode := range []Mode{Owner, Live} {
			w, s := holding(t, mode, c.own, c.resources)
			w.server.Free = true
			levels[mode] = w.verify(t, s).Reach
		}
		if o, l := levels[Owner], levels[Live]; o == nil || l == nil || o.Level != l.Level || !slices.Equal(o.Accounts, l.Accounts) || len(o.Paths) != len(l.Paths) {
			t.Errorf("%s: by its owner %+v, by itself %+v", name, o, l)
		}
	}
	for name, c := range scopes {
		if c.role {
			continue // IAM tells nobody of temporary keys
		}
		levels := map[Mode]*audit.Reach{}
		for _, mode := range []Mode{Owner, Live} {
			id, auditing := keyID("AKIA", account), awstest.Key{Secret: value(), User: "ci"}
			c.account.Keys = map[string]awstest.Key{id: auditing}
			w, s := scopeCase{c.user, c.role, c.account}.world(t, readIAM, simulate)
			w.server.Free, w.opts.Mode = true, mode
			if mode == Owner {
				w.credentials(id, auditing.Secret)
			}
			levels[mode] = w.verify(t, s).Reach
		}
		if o, l := levels[Owner], levels[Live]; o == nil || l == nil || o.Level != l.Level {
			t.Errorf("%s: by its owner %+v, by itself %+v", name, o, l)
		}
	}
}

// refuseAbout refuses what is asked about resources, as a policy that does not allow it, or in words that say nothing.
func refuseAbout(because string, actions ...string) func(http.ResponseWriter, *http.Request, string, int) bool {
	return func(w http.ResponseWriter, _ *http.Request, action string, _ int) bool {
		if !slices.Contains(actions, action) {
			return false
		}
		w.WriteHeader(http.StatusForbidden)
		form := `{"__type":"AccessDeniedException","message":"not authorized %s"}`
		if strings.HasPrefix(action, "s3:") {
			form = `<Error><Code>AccessDenied</Code><Message>not authorized %s</Message></Error>`
		}
		_, _ = fmt.Fprintf(w, form, because)
		return true
	}
}

// TestResourcesUnread has resources not be told of: what may be is unknown, and is told once.
func TestResourcesUnread(t *testing.T) {
	buckets := map[string]string{}
	for n := range 40 {
		buckets[fmt.Sprintf("arn:aws:s3:::b%02d", n)] = ""
	}
	for name, c := range map[string]struct {
		own    string
		answer func(http.ResponseWriter, *http.Request, string, int) bool
		level  audit.Level
		limit  string
		most   map[string]int // requests
	}{
		"not allowed to list": {"", refuseAbout("because no identity-based policy allows the action", "s3:ListBuckets", "kms:ListKeys"), audit.LevelUnknown,
			"policies of keys of KMS in us-east-1, eu-west-1: kms:ListKeys: access denied", map[string]int{"s3:ListBuckets": 1, "kms:ListKeys": 1}},
		"not allowed to read": {"", refuseAbout("because no identity-based policy allows the action", "s3:GetBucketPolicy"), audit.LevelUnknown,
			"policies of buckets of S3: b00, b01, b02 and 37 more: s3:GetBucketPolicy: access denied", map[string]int{"s3:GetBucketPolicy": 1}},
		"denied, for whatever reason": {"", refuseAbout("", "s3:GetBucketPolicy"), audit.LevelUnknown, "b02 and 37 more: s3:GetBucketPolicy: access denied", map[string]int{"s3:GetBucketPolicy": maxRefusals}},
		"denied by the buckets": {"", refuseAbout("with an explicit deny in a resource-based policy", "s3:GetBucketPolicy"), audit.LevelUnknown,
			"b02 and 37 more: s3:GetBucketPolicy: access denied (explicit deny in a resource-based policy)", map[string]int{"s3:GetBucketPolicy": 40}},
		"denied by the bucket that it uses": {allow("arn:aws:s3:::b07/*", "s3:PutObject"), refuseAbout("with an explicit deny in a resource-based policy", "s3:GetBucketPolicy"), audit.LevelUnknown,
			"depends on resource policy", nil},
		"regions are not told": {"", refuseAbout("because no identity-based policy allows the action", "account:ListRegions"), audit.LevelUnknown,
			"in regions that have to be switched on: account:ListRegions: access denied", map[string]int{"kms:ListKeys": 17}},
		"a key in a region that is not told": {allow("arn:aws:kms:ap-east-1:"+account+":key/k", "kms:Decrypt"), refuseAbout("because no identity-based policy allows the action", "account:ListRegions"), audit.LevelUnknown,
			"depends on resource policy", nil},
		"a service that fails": {"", func(w http.ResponseWriter, _ *http.Request, action string, _ int) bool {
			if action == "sqs:ListQueues" {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return action == "sqs:ListQueues"
		}, audit.LevelUnknown, "policies of queues of SQS in us-east-1, eu-west-1: sqs:ListQueues: server error HTTP 503", map[string]int{"sqs:ListQueues": 2 * maxAttempts}},
		"a policy that is none": {"", func(w http.ResponseWriter, _ *http.Request, action string, _ int) bool {
			if action == "s3:GetBucketPolicy" {
				_, _ = fmt.Fprint(w, `{"Statement":"`+telling+`"}`)
			}
			return action == "s3:GetBucketPolicy"
		}, audit.LevelUnknown, "b02 and 37 more: s3:GetBucketPolicy: UnreadableDocument", nil},
		"a bucket's name that is none": {"", func(w http.ResponseWriter, _ *http.Request, action string, _ int) bool {
			if action == "kms:ListKeys" {
				_, _ = fmt.Fprint(w, `{"Keys":[{"KeyArn":"arn:aws:kms:eu-west-1:444455556666:key/x","KeyId":"x"}]}`)
			}
			return action == "kms:ListKeys"
		}, audit.LevelUnknown, "keys of KMS in us-east-1, eu-west-1: an answer names what is not the account's", nil},
		"a listing without an end": {"", func(w http.ResponseWriter, _ *http.Request, action string, _ int) bool {
			if action == "kms:ListKeys" {
				_, _ = fmt.Fprint(w, `{"Keys":[],"NextMarker":"again"}`)
			}
			return action == "kms:ListKeys"
		}, audit.LevelUnknown, "keys of KMS in us-east-1, eu-west-1: endless listing", map[string]int{"kms:ListKeys": 2 * maxResourcePages}},
	} {
		t.Run(name, func(t *testing.T) {
			w, s := holding(t, Owner, c.own, buckets)
			w.server.Intercept = c.answer
			v := w.verify(t, s)
			if v.Reach == nil || v.Reach.Level != c.level || !strings.Contains(strings.Join(v.Reach.Limits, "\n"), c.limit) || strings.Contains(fmt.Sprint(v.Reach), telling) {
				t.Errorf("%+v, want %s and %q", v.Reach, c.level, c.limit)
			}
			for action, most := range c.most {
				n := 0
				for _, a := range w.server.Actions() {
					if a == action {
						n++
					}
				}
				if n != most {
					t.Errorf("%s was asked %d times, want %d", action, n, most)
				}
			}
		})
	}
}

// TestResourcesBound has more buckets than are read: those that policies name are read first, and the rest is unknown.
func TestResourcesBound(t *testing.T) {
	buckets := map[string]string{"arn:aws:s3:::z-last": toUser("Deny", "s3:*", "*")}
	for n := range maxRead + 50 {
		buckets[fmt.Sprintf("arn:aws:s3:::b%04d", n)] = ""
	}
	w, s := holding(t, Owner, allow("arn:aws:s3:::z-last/*", "s3:PutObject"), buckets)
	v := w.verify(t, s)
	if v.Reach == nil || v.Reach.Level != audit.LevelUnknown || !strings.Contains(strings.Join(v.Reach.Limits, "\n"), "and 48 more: only those of 1000 are read") || strings.Contains(strings.Join(v.Reach.Limits, "\n"), "depends on resource policy") {
		t.Errorf("%+v", v.Reach)
	}
	n := 0
	for _, a := range w.server.Actions() {
		if a == "s3:GetBucketPolicy" {
			n++
		}
	}
	if n != maxRead {
		t.Errorf("%d policies were read", n)
	}
}

// TestResourcesThrottled has a listing be throttled in its middle: it goes on there.
func TestResourcesThrottled(t *testing.T) {
	keys := map[string]string{}
	for n := range 90 {
		keys[at("kms", fmt.Sprintf("key/%02d", n))] = toUser("Allow", "kms:*", "*")
	}
	w, s := holding(t, Owner, "", keys)
	w.server.PageSize = 40
	w.server.Intercept = func(rw http.ResponseWriter, _ *http.Request, action string, n int) bool {
		throttled := action == "kms:ListKeys" && n > 2 && n < 3+maxAttempts
		if throttled {
			rw.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprint(rw, `{"__type":"ThrottlingException","message":"Rate exceeded"}`)
		}
		return throttled
	}
	v := w.verify(t, s)
	n := 0
	for _, a := range w.server.Actions() {
		if a == "kms:GetKeyPolicy" {
			n++
		}
	}
	if v.Reach == nil || v.Reach.Level != audit.LevelWrite || n != len(keys) || !slices.Contains(w.slept, firstPause) {
		t.Errorf("%d policies of %d keys were read; %+v", n, len(keys), v.Reach)
	}
}

// TestLarge has an account of 5,000 users and 10,000 buckets: what is asked of it is bounded, and what is not is said.
func TestLarge(t *testing.T) {
	id, auditing := keyID("AKIA", account), keyID("AKIA", account)
	key, its := awstest.Key{Secret: value(), User: "ci"}, awstest.Key{Secret: value(), User: "auditor"}
	a := awstest.Account{
		ID: account, Keys: map[string]awstest.Key{id: key, auditing: its}, Policies: map[string]string{admin: everything}, Regions: []string{"us-east-1", "eu-west-1"},
		Users: map[string]awstest.Entity{"ci": inline(allow("arn:aws:s3:::b9999/*", "s3:PutObject")), "auditor": inline(auditorPolicy)}, Resources: map[string]string{},
	}
	for n := range 5000 {
		a.Users[fmt.Sprintf("u%04d", n)] = inline(allow(fmt.Sprintf("arn:aws:s3:::team-%d/*", n), "s3:GetObject", "s3:PutObject"))
	}
	for n := range 10_000 {
		a.Resources[fmt.Sprintf("arn:aws:s3:::b%04d", n)] = toUser("Deny", "s3:Delete*", "*")
	}
	w := newWorld(t, a, func(o *Options) { o.Mode = Owner })
	w.server.PageSize = pageSize
	w.credentials(auditing, its.Secret)
	v := w.verify(t, audit.NewSecret(audit.KindAWSKey, id, key.Secret))
	if v.Reach == nil || v.Reach.Level != audit.LevelWrite || !strings.Contains(strings.Join(v.Reach.Limits, "\n"), "and 8997 more: only those of 1000 are read") {
		t.Errorf("%.1000s", fmt.Sprintf("%+v", v.Reach))
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	t.Logf("%d requests; %d MiB of the system", len(w.server.Requests()), memory.Sys>>20)
	if n := len(w.server.Requests()); n > maxRead+100 {
		t.Errorf("%d requests", n)
	}
}
