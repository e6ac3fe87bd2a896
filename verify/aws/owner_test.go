package aws

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/verify/aws/awstest"
)

var epoch = time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)

const (
	manager = "999988887777"
	sibling = "444455556666"
	telling = "a-text-that-no-report-repeats"
)

// auditorPolicy is all that the auditor's role needs, see docs/aws.md.
var auditorPolicy = allow("*", "iam:Get*", "iam:List*", "iam:SimulatePrincipalPolicy", "organizations:Describe*", "organizations:List*",
	"account:ListRegions", "s3:ListAllMyBuckets", "s3:GetBucketPolicy", "kms:*", "lambda:*", "secretsmanager:*", "sqs:*", "ecr:*")

// An estate is an organisation of three accounts, with an auditor in each, and the keys of its users by their names.
type estate struct {
	*world
	keys     map[string]*audit.Secret
	auditors map[string]string // key id by account
}

// newEstate has profiles default, manager and sibling for the auditors of the accounts that are wanted.
func newEstate(t *testing.T, mode Mode, wanted ...string) *estate {
	t.Helper()
	e := &estate{keys: map[string]*audit.Secret{}, auditors: map[string]string{}}
	organisation := &awstest.Organization{
		Manager:  manager,
		Parents:  map[string]string{account: "ou-workloads", sibling: "ou-workloads", "ou-workloads": "r-root", manager: "r-root"},
		Attached: map[string][]string{"r-root": {"full", "rcp-full"}, "ou-workloads": {"full", "no-trails", "rcp-full"}, account: {"full", "rcp-full"}, sibling: {"full", "readers", "rcp-full"}, manager: {"full"}},
		Documents: map[string]string{
			"full":      everything,
			"rcp-full":  `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}`,
			"no-trails": deny("cloudtrail:StopLogging"),
			"readers":   deny("iam:Create*", "s3:Put*", "ec2:Run*"),
		},
	}
	secrets := map[string]string{}
	key := func(a *awstest.Account, name string, k awstest.Key) string {
		id := keyID("AKIA", a.ID)
		k.Secret, k.User, k.Created = value(), name, epoch
		a.Keys[id] = k
		secrets[id] = k.Secret
		return id
	}
	empty := func(id string) awstest.Account {
		a := awstest.Account{
			ID: id, Keys: map[string]awstest.Key{}, Users: map[string]awstest.Entity{"auditor": inline(auditorPolicy)}, Roles: map[string]awstest.Entity{},
			Groups: map[string]awstest.Entity{}, Policies: map[string]string{admin: everything}, Organization: organisation,
			Regions: []string{"us-east-1", "eu-west-1"}, Resources: resourcesOf(id),
		}
		e.auditors[id] = key(&a, "auditor", awstest.Key{})
		return a
	}
	own, other, top := empty(account), empty(sibling), empty(manager)
	user := func(a *awstest.Account, name string, entity awstest.Entity, k awstest.Key) {
		a.Users[name] = entity
		id := key(a, name, k)
		e.keys[name] = audit.NewSecret(audit.KindAWSKey, id, secrets[id])
	}
	own.Groups["ops"] = awstest.Entity{Attached: []string{admin}}
	own.Policies[fence] = allow("*", "s3:Get*")
	user(&own, "boss", awstest.Entity{Path: "/ops/", Groups: []string{"ops"}}, awstest.Key{Used: epoch.Add(time.Hour)})
	user(&own, "bounded", awstest.Entity{Attached: []string{admin}, Boundary: fence}, awstest.Key{})
	user(&own, "nobody", awstest.Entity{}, awstest.Key{})
	user(&own, "idle", awstest.Entity{Attached: []string{admin}}, awstest.Key{Inactive: true})
	user(&own, "hopper", inline(allow("arn:aws:iam::"+sibling+":role/deploy", "sts:AssumeRole")), awstest.Key{})
	user(&own, "climber", inline(allow("arn:aws:iam::"+manager+":role/deploy", "sts:AssumeRole")), awstest.Key{})
	user(&own, "conditional", inline(`{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Condition":{"StringEquals":{"aws:SourceVpc":"`+telling+`"}}}}`), awstest.Key{})
	gone := keyID("AKIA", account)
	e.keys["gone"] = audit.NewSecret(audit.KindAWSKey, gone, value())
	trust := `{"Statement":{"Effect":"Allow","Principal":{"AWS":"` + account + `"},"Action":"sts:AssumeRole"}}`
	other.Roles["deploy"] = awstest.Entity{Attached: []string{admin}, Trust: trust}
	top.Roles["deploy"] = awstest.Entity{Attached: []string{admin}, Trust: trust}
	user(&other, "limited", awstest.Entity{Attached: []string{admin}}, awstest.Key{})
	user(&top, "root-like", awstest.Entity{Attached: []string{admin}}, awstest.Key{})

	profiles := map[string]string{}
	for i, name := range wanted {
		profile := ""
		if i > 0 {
			profile = name
		}
		profiles[profile] = e.auditors[name]
	}
	server := awstest.New(own, other, top)
	t.Cleanup(server.Close)
	e.world = newWorld(t, awstest.Account{}, func(o *Options) {
		o.Mode, o.Endpoint = mode, server.URL
		for profile := range profiles {
			if profile != "" {
				o.Profiles = append(o.Profiles, profile)
			}
		}
	})
	e.server = server
	e.chain = func(_ context.Context, profile string) (aws.CredentialsProvider, error) {
		id := profiles[profile]
		if id == "" {
			return nil, errors.New("there is no such profile")
		}
		return static(id, secrets[id], "").provider, nil
	}
	return e
}

// resourcesOf are some of an account, whose policies change nothing.
func resourcesOf(id string) map[string]string {
	delegates := `{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + id + `:root"},"Action":"*","Resource":"*"}}`
	at := func(service, name string) string { return "arn:aws:" + service + ":eu-west-1:" + id + ":" + name }
	return map[string]string{
		"arn:aws:s3:::builds-" + id: "", at("kms", "key/k"): delegates, at("lambda", "function:f"): delegates, at("secretsmanager", "secret:s"): delegates,
		at("sqs", "q"): delegates, at("ecr", "repository/r"): delegates, "arn:aws:s3:::logs-" + id: delegates,
	}
}

// byKeys are the ids that requests were signed with.
func (e *estate) byKeys() (ids []string) {
	for _, r := range e.server.Requests() {
		if !slices.Contains(ids, r.Key) {
			ids = append(ids, r.Key)
		}
	}
	return ids
}

func (e *estate) count(action string) (n int) {
	for _, a := range e.server.Actions() {
		if a == action {
			n++
		}
	}
	return n
}

func TestOwner(t *testing.T) {
	e := newEstate(t, Owner, account, sibling, manager)
	for name, c := range map[string]struct {
		validity audit.Validity
		account  string
		level    audit.Level
		accounts []string
		facts    map[string]string
		step     string
	}{
		"boss": {
			audit.Active, account, audit.LevelAdmin, []string{account, manager}, // by a key of climber
			map[string]string{"user": "boss", "status": "Active", "key_created": "2020-01-02T03:04:05Z", "key_last_used": "2020-01-02T04:04:05Z", "key_last_used_service": "s3"}, "user/ops/boss",
		},
		"bounded":     {audit.Active, account, audit.LevelRead, []string{account}, map[string]string{"key_last_used": "never"}, "fence, statement 1"},
		"nobody":      {audit.Active, account, audit.LevelNone, []string{account}, nil, ""},
		"idle":        {audit.Inactive, account, "", nil, map[string]string{"status": "Inactive", "user": "idle"}, ""},
		"climber":     {audit.Active, account, audit.LevelEscalation, []string{manager}, nil, "Edge:assumes"},
		"conditional": {audit.Active, account, audit.LevelUnknown, []string{account}, nil, ""},
		"root-like":   {audit.Active, manager, audit.LevelAdmin, []string{manager}, nil, ""},
	} {
		v := e.verify(t, e.keys[name])
		if v.Validity != c.validity || v.How != "owner" || v.Identity == nil || v.Identity.Account != c.account || v.Error != "" {
			t.Errorf("%s: %+v %+v", name, v, v.Identity)
			continue
		}
		for fact, want := range c.facts {
			if v.Facts[fact] != want {
				t.Errorf("%s: %s is %q", name, fact, v.Facts[fact])
			}
		}
		if (v.Reach == nil) != (c.level == "") {
			t.Errorf("%s: reach %+v", name, v.Reach)
			continue
		}
		if c.level == "" {
			continue
		}
		if v.Reach.Level != c.level || !slices.Equal(v.Reach.Accounts, c.accounts) || !strings.Contains(fmt.Sprintf("%+v", v.Reach.Paths), c.step) || v.Identity.Type != "user" {
			t.Errorf("%s: %+v, %+v", name, v.Reach, v.Identity)
		}
		if all := fmt.Sprintf("%+v %+v", v, v.Reach); strings.Contains(all, telling) || strings.Contains(all, `"Statement"`) {
			t.Errorf("%s: a policy's text is told: %s", name, all)
		}
		if slices.ContainsFunc(v.Reach.Limits, func(l string) bool { return strings.Contains(l, "not read") }) {
			t.Errorf("%s: limits %q", name, v.Reach.Limits)
		}
	}
	if v := e.verify(t, e.keys["gone"]); v.Validity != audit.Inactive || v.Facts["status"] != deleted || !strings.Contains(v.Facts["reason"], "any of its 8 users") || v.Error != "" || v.Reach != nil {
		t.Errorf("gone: %+v", v)
	}
	// The policies of both levels bind an administrator of the other account, who is none.
	if v := e.verify(t, e.keys["limited"]); v.Reach == nil || v.Reach.Level == audit.LevelAdmin || v.Reach.Level == audit.LevelEscalation {
		t.Errorf("limited: %+v", v.Reach)
	}
	if v := e.verify(t, e.keys["hopper"]); v.Reach == nil || v.Reach.Level == audit.LevelEscalation {
		t.Errorf("hopper: %+v", v.Reach)
	}
	want := slices.Sorted(maps.Values(e.auditors))
	if got := e.byKeys(); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Errorf("signed with %v, want the auditors' %v alone", got, want)
	}
	if n := e.count("GetAccountAuthorizationDetails"); n != 3 {
		t.Errorf("the details of three accounts were read %d times", n)
	}
}

// TestOwnerLive has the key prove what its account says of it, and read nothing that the auditor has read.
func TestOwnerLive(t *testing.T) {
	e := newEstate(t, Live, account)
	for name, want := range map[string][]string{"boss": {"GetCallerIdentity"}, "idle": nil, "gone": nil} {
		before := len(e.server.Requests())
		v := e.verify(t, e.keys[name])
		var got []string
		for _, r := range e.server.Requests()[before:] {
			if r.Key == e.keys[name].ID {
				got = append(got, r.Action)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: the key was used for %v", name, got)
		}
		if name == "boss" && (v.How != "live" || v.Validity != audit.Active || v.Reach == nil || v.Reach.Level != audit.LevelAdmin || v.Facts["status"] != "Active") {
			t.Errorf("%+v, reach %+v", v, v.Reach)
		}
	}
	wrong := audit.NewSecret(audit.KindAWSKey, e.keys["bounded"].ID, value())
	if v := e.verify(t, wrong); v.Validity != audit.Inactive || v.Facts["state"] != wrongSecret || v.Facts["status"] != "Active" || v.Reach != nil {
		t.Errorf("wrong secret: %+v", v)
	}
}

func TestOwnerNotAsked(t *testing.T) {
	t.Run("no credentials", func(t *testing.T) {
		e := newEstate(t, Owner)
		v := e.verify(t, e.keys["boss"])
		if v.Validity != audit.Unchecked || v.How != "offline" || !strings.Contains(v.Facts["owner"], "no credentials of an auditor") || len(e.server.Requests()) > 0 {
			t.Errorf("%+v after %v", v, e.server.Actions())
		}
	})
	t.Run("of another account", func(t *testing.T) {
		e := newEstate(t, Owner, account)
		v := e.verify(t, e.keys["limited"])
		if v.Validity != audit.Unchecked || !strings.Contains(v.Facts["owner"], "for account "+sibling) || e.count("GetAccessKeyLastUsed") > 0 {
			t.Errorf("%+v after %v", v, e.server.Actions())
		}
	})
	t.Run("the found key itself", func(t *testing.T) {
		e := newEstate(t, Owner, account)
		v := e.verify(t, audit.NewSecret(audit.KindAWSKey, e.auditors[account], value()))
		if v.Validity != audit.Unchecked || !strings.Contains(v.Facts["owner"], "found key itself") || len(e.server.Requests()) > 0 {
			t.Errorf("%+v after %v", v, e.server.Actions())
		}
	})
	t.Run("foreign, live", func(t *testing.T) {
		e := newEstate(t, Live, manager)
		stranger := audit.NewSecret(audit.KindAWSKey, keyID("AKIA", "121212121212"), value())
		v := e.verify(t, stranger)
		if v.Validity != audit.Unchecked || !strings.Contains(v.Facts["reason"], "not one of the auditor's organisation") || slices.Contains(e.byKeys(), stranger.ID) {
			t.Errorf("%+v after %v", v, e.server.Actions())
		}
		if v := e.verify(t, e.keys["limited"]); v.Validity != audit.Active { // a member, of which nobody has credentials
			t.Errorf("%+v", v)
		}
	})
	t.Run("temporary", func(t *testing.T) {
		e := newEstate(t, Owner, account)
		v := e.verify(t, audit.NewSecret(audit.KindAWSKey, keyID("ASIA", account), value()))
		if v.Validity != audit.Unchecked || !strings.Contains(v.Facts["owner"], "temporary") || len(e.server.Requests()) > 0 {
			t.Errorf("%+v after %v", v, e.server.Actions())
		}
	})
	t.Run("id without account", func(t *testing.T) {
		e := newEstate(t, Owner, account)
		v := e.verify(t, audit.NewSecret(audit.KindAWSKey, "AKIA"+"IABCDEFGHIJKLMNO", value()))
		if v.Validity != audit.Inactive || v.Facts["account"] != account || e.count("GetAccessKeyInfo") != 1 {
			t.Errorf("%+v after %v", v, e.server.Actions())
		}
	})
}

// TestOwnerGone has servers say that a key is not there, as some do, and users not list it.
func TestOwnerGone(t *testing.T) {
	for action, answer := range map[string]http.HandlerFunc{
		"GetAccessKeyLastUsed": func(w http.ResponseWriter, _ *http.Request) { awstest.Error(w, 404, "NoSuchEntity", "cannot be found") },
		"ListAccessKeys": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprint(w, "<ListAccessKeysResponse><ListAccessKeysResult><IsTruncated>false</IsTruncated></ListAccessKeysResult></ListAccessKeysResponse>")
		},
	} {
		e := newEstate(t, Live, account)
		e.server.Intercept = func(w http.ResponseWriter, r *http.Request, asked string, _ int) bool {
			if asked == action {
				answer(w, r)
			}
			return asked == action
		}
		v := e.verify(t, e.keys["boss"])
		if v.Validity != audit.Inactive || v.Facts["status"] != deleted || v.Reach != nil || slices.Contains(e.byKeys(), e.keys["boss"].ID) {
			t.Errorf("%s: %+v after %v", action, v, e.server.Actions())
		}
	}
}

// TestOwnerHolder has an account not say whose a key is: one of its users has it, none has, or that cannot be known.
func TestOwnerHolder(t *testing.T) {
	const denied = "iam:GetAccessKeyLastUsed: access denied"
	for name, c := range map[string]struct {
		key      string
		answer   func(e *estate) func(w http.ResponseWriter, r *http.Request, action string, n int) bool
		validity audit.Validity
		level    audit.Level
		told     string
	}{
		"a user's": {"boss", func(*estate) func(http.ResponseWriter, *http.Request, string, int) bool {
			return refuse("GetAccessKeyLastUsed")
		}, audit.Active, audit.LevelAdmin, denied},
		"a user's, deactivated": {"idle", func(*estate) func(http.ResponseWriter, *http.Request, string, int) bool {
			return refuse("GetAccessKeyLastUsed")
		}, audit.Inactive, "", denied},
		"nobody's, and the root user has one": {"gone", func(*estate) func(http.ResponseWriter, *http.Request, string, int) bool {
			return func(w http.ResponseWriter, _ *http.Request, action string, _ int) bool {
				if action == "GetAccountSummary" {
					_, _ = fmt.Fprint(w, "<GetAccountSummaryResponse><GetAccountSummaryResult><SummaryMap><entry><key>AccountAccessKeysPresent</key><value>1</value></entry></SummaryMap></GetAccountSummaryResult></GetAccountSummaryResponse>")
				}
				return action == "GetAccountSummary"
			}
		}, audit.Unknown, "", "it may be the root user's"},
		"nobody's, and the root user is not told of": {"gone", func(*estate) func(http.ResponseWriter, *http.Request, string, int) bool {
			return refuse("GetAccountSummary")
		}, audit.Unknown, "", "iam:GetAccountSummary: access denied"},
		"keys are not told": {"gone", func(*estate) func(http.ResponseWriter, *http.Request, string, int) bool {
			return refuse("ListAccessKeys")
		}, audit.Unknown, "", "after 0 of 8 users: access denied"},
		"users are not told": {"gone", func(*estate) func(http.ResponseWriter, *http.Request, string, int) bool {
			return refuse("GetAccountAuthorizationDetails")
		}, audit.Unknown, "", "users could not all be read"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEstate(t, Owner, account, manager)
			e.server.Intercept = c.answer(e)
			for range 2 {
				v := e.verify(t, e.keys[c.key])
				if v.Reach != nil && !strings.Contains(fmt.Sprint(v.Reach.Paths), "is iam:ListAccessKeys") {
					t.Errorf("%+v", v.Reach.Paths)
				}
				if v.Validity != c.validity || !strings.Contains(v.Error, c.told) || (v.Reach == nil) != (c.level == "") || v.Reach != nil && v.Reach.Level != c.level {
					t.Errorf("%+v, %+v", v, v.Reach)
				}
			}
			if n := e.count("GetAccountSummary"); n > 1 {
				t.Errorf("keys were looked for %d times", n)
			}
		})
	}
}

// TestOwnerLimit has the time for an account end after its first page: what was read is known, it is said, and no key makes it be read again.
func TestOwnerLimit(t *testing.T) {
	e := newEstate(t, Owner, account, manager)
	e.server.PageSize = 8 // the users
	end := func() {}
	e.within = func(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		if d == collectLimit {
			end = cancel
		}
		return ctx, cancel
	}
	e.server.Intercept = func(_ http.ResponseWriter, _ *http.Request, action string, n int) bool {
		if action == "GetAccountAuthorizationDetails" && n == 2 {
			end()
		}
		return false
	}
	for _, name := range []string{"boss", "bounded", "boss", "nobody"} {
		v := e.verify(t, e.keys[name])
		if v.Validity != audit.Active || v.Reach == nil || !strings.Contains(strings.Join(v.Reach.Limits, "\n"), "identities and policies after page 1: iam:GetAccountAuthorizationDetails: time limit") {
			t.Errorf("%s: %+v, %+v", name, v, v.Reach)
		}
		if name == "nobody" && v.Reach != nil && v.Reach.Level == audit.LevelNone {
			t.Errorf("none, and not all was read: %+v", v.Reach)
		}
	}
	if v := e.verify(t, e.keys["gone"]); v.Validity != audit.Unknown || !strings.Contains(v.Error, "users could not all be read") {
		t.Errorf("gone: %+v", v)
	}
	if n := e.count("GetAccountAuthorizationDetails"); n > 4 {
		t.Errorf("details were asked for %d times", n)
	}
}

// TestOwnerDenied takes each right from the auditor: what is not known then is a limit or an error, and never that there is nothing.
func TestOwnerDenied(t *testing.T) {
	for _, op := range operations {
		if !op.auditor {
			continue
		}
		t.Run(op.name, func(t *testing.T) {
			e := newEstate(t, Owner, account, manager)
			sent, named, about := op.name, op.name, op.of() != nil || op.service == "account"
			if about {
				sent, named = op.service+":"+op.name, op.right()
			}
			e.server.Intercept = func(w http.ResponseWriter, r *http.Request, action string, n int) bool {
				if action != sent {
					return false
				}
				if about {
					return refuseAbout("", sent)(w, r, action, n)
				}
				if op.service == "organizations" {
					w.WriteHeader(http.StatusBadRequest)
					_, _ = fmt.Fprint(w, `{"__type":"AccessDeniedException","Message":"no"}`)
					return true
				}
				return refuse(op.name)(w, r, action, n)
			}
			for _, name := range []string{"boss", "bounded", "nobody"} {
				v := e.verify(t, e.keys[name])
				told := v.Error + v.Facts["owner"]
				if v.Reach != nil {
					told += strings.Join(v.Reach.Limits, "\n")
				}
				asked := slices.Contains(e.server.Actions(), sent)
				if asked && !strings.Contains(told, named) || about && !asked {
					t.Errorf("%s: nothing tells of %s: %+v, %+v", name, named, v, v.Reach)
				}
				if asked && name != "nobody" && v.Reach != nil && v.Reach.Level == audit.LevelNone {
					t.Errorf("%s: none, for want of %s", name, op.name)
				}
				if name == "bounded" && v.Reach != nil && v.Reach.Level == audit.LevelAdmin {
					t.Errorf("%s: an administrator, for want of %s", name, op.name)
				}
			}
		})
	}
}

// TestOwnerThrottled has the account ask for fewer requests, for as long as the SDK tries again and longer.
func TestOwnerThrottled(t *testing.T) {
	e := newEstate(t, Owner, account, manager)
	e.server.PageSize = 5
	e.server.Intercept = func(w http.ResponseWriter, _ *http.Request, action string, n int) bool {
		if action == "GetAccountAuthorizationDetails" && n > 1 && n < 2+2*maxAttempts {
			awstest.Error(w, 400, "Throttling", "Rate exceeded")
			return true
		}
		return false
	}
	if v := e.verify(t, e.keys["boss"]); v.Reach == nil || v.Reach.Level != audit.LevelAdmin || len(v.Reach.Limits) > 0 {
		t.Errorf("%+v", v.Reach)
	}
	if !slices.Contains(e.slept, 2*firstPause) {
		t.Errorf("slept %v", e.slept)
	}
	e = newEstate(t, Owner, account, manager)
	e.server.Intercept = func(w http.ResponseWriter, _ *http.Request, action string, _ int) bool {
		if action == "GetAccessKeyLastUsed" {
			awstest.Error(w, 400, "Throttling", "Rate exceeded")
			return true
		}
		return false
	}
	if v := e.verify(t, e.keys["boss"]); v.Validity != audit.Unknown || !strings.Contains(v.Error, "throttled") {
		t.Errorf("%+v", v)
	}
}

// TestOwnerOnce asks about keys at the same time: their account is read once, one call after the other.
func TestOwnerOnce(t *testing.T) {
	e := newEstate(t, Owner, account, sibling, manager)
	flying := make(chan struct{}, 1)
	e.server.Intercept = func(http.ResponseWriter, *http.Request, string, int) bool {
		select {
		case flying <- struct{}{}:
			<-flying
		default:
			t.Error("two calls at once")
		}
		return false
	}
	var all sync.WaitGroup
	for _, s := range e.keys {
		for range 2 {
			all.Go(func() {
				if _, err := e.Verify(context.WithoutCancel(t.Context()), s); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	if n := e.count("GetAccountAuthorizationDetails"); n != 3 {
		t.Errorf("details were read %d times", n)
	}
	if n := e.count("DescribePolicy"); n != 4 {
		t.Errorf("4 policies were read %d times", n)
	}
}

// TestOwnerDisagrees has AWS' simulator answer what policies do not say.
func TestOwnerDisagrees(t *testing.T) {
	e := newEstate(t, Owner, account, manager)
	e.server.Intercept = func(w http.ResponseWriter, _ *http.Request, action string, _ int) bool {
		if action != "SimulatePrincipalPolicy" {
			return false
		}
		var b strings.Builder
		for _, s := range sentinels {
			decision := "implicitDeny"
			if s.Action == "s3:GetObject" {
				decision = "allowed"
			}
			fmt.Fprintf(&b, "<member><EvalActionName>%s</EvalActionName><EvalResourceName>*</EvalResourceName><EvalDecision>%s</EvalDecision></member>", s.Action, decision)
		}
		_, _ = fmt.Fprintf(w, "<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult><EvaluationResults>%s</EvaluationResults></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>", b.String())
		return true
	}
	v := e.verify(t, e.keys["nobody"])
	if v.Reach.Level != audit.LevelNone || !strings.Contains(strings.Join(v.Reach.Limits, "\n"), "does not agree: s3:GetObject on * is denied here and allowed there") || !strings.Contains(v.Facts["sentinels"], "1 in disagreement") {
		t.Errorf("%+v, %q", v.Reach, v.Facts["sentinels"])
	}
}

// TestManifest holds what is told beforehand against what was asked.
func TestManifest(t *testing.T) {
	for _, mode := range []Mode{Owner, Live} {
		e := newEstate(t, mode, account, manager)
		e.opts.Region = "eu-west-1"
		told := map[string]bool{}
		for _, event := range e.Events() {
			told[fmt.Sprint(event.Source, " ", event.Name, " ", event.Region, " ", event.Found)] = true
			if event.UserAgent != agent {
				t.Errorf("%s is told as of %q", event.Name, event.UserAgent)
			}
		}
		for _, s := range e.keys {
			e.verify(t, s)
		}
		if len(e.server.Requests()) < 20 {
			t.Fatalf("asked only %v", e.server.Actions())
		}
		for _, r := range e.server.Requests() {
			service, action, about := strings.Cut(r.Action, ":")
			region := r.Region
			switch {
			case about:
				op := operation{service: service, name: action}
				if action = op.event(); op.of() != nil && action != "ListBuckets" {
					region = everyRegion
				}
			case r.Header.Get("X-Amz-Target") != "":
				service, action = "organizations", r.Action
			case r.Params.Get("Version") == "2011-06-15":
				service, action = "sts", r.Action
			default:
				service, action = "iam", r.Action
			}
			found := !slices.Contains(slices.Collect(maps.Values(e.auditors)), r.Key)
			if event := fmt.Sprint(service, ".amazonaws.com ", action, " ", region, " ", found); !told[event] {
				t.Errorf("%s: %s was not told", mode, event)
			}
			if r.Header.Get("User-Agent") != agent {
				t.Errorf("%s signed off as %q", r.Action, r.Header.Get("User-Agent"))
			}
		}
	}
}

// TestCollect reads an account for others.
func TestCollect(t *testing.T) {
	e := newEstate(t, Offline, account, manager)
	if a, gaps, err := e.Collect(t.Context(), ""); err != nil || !a.Organisation || len(a.SCPs) != 3 || len(gaps) > 0 || e.count("GetCallerIdentity") != 2 {
		t.Errorf("with the manager's auditor: %+v, %v, %v", a, gaps, err)
	}
	alone := newEstate(t, Offline, account)
	a, gaps, err := alone.Collect(t.Context(), "")
	if err != nil || a.ID != account || len(a.Users) != 9-1 || a.Organisation || len(gaps) != 1 || !strings.Contains(gaps[0].Why, "ListParents") {
		t.Errorf("%+v, %v, %v", a, gaps, err)
	}
	if a, gaps, err := e.Collect(t.Context(), manager); err != nil || !a.Management || !a.Organisation || len(gaps) > 0 {
		t.Errorf("%+v, %v, %v", a, gaps, err)
	}
	if _, _, err := e.Collect(t.Context(), "nobody's"); !errors.Is(err, audit.ErrAuth) || audit.HintOf(err) == "" {
		t.Errorf("%v", err)
	}
}
