package iam

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Level is the highest that an identity may do.
type Level int8

// The levels.
const (
	LevelUnknown Level = iota
	LevelNone
	LevelRead
	LevelWrite
	LevelEscalation // it can become admin
	LevelAdmin      // it may do everything that those who limit its account leave
)

func (l Level) String() string {
	return [...]string{"unknown", "none", "read", "write", "escalation", "admin"}[l]
}

// A Step is one move of an identity to another, or to more rights of its own.
type Step struct {
	From, To string // ARNs
	Edge     string // assumes, passes, edits-self, edits, reads-credential; of the last step of a path that ends with the own rights: may
	Path     string // id in the catalogue; "" for none
	Evidence string // the statements that allow it
}

// Proof is a step's evidence, after the way that it is, where that has an id.
func (s Step) Proof() string {
	if s.Path != "" {
		return s.Path + ": " + s.Evidence
	}
	return s.Evidence
}

// A Reach is what an identity opens.
type Reach struct {
	Identity *Identity
	Level    Level
	Accounts []string // in which it has, or can get, that level
	Steps    []Step   // of the shortest way to it; one step for what it may by itself
	// Possible are the steps of the shortest way to admin that takes what is not known, where no other is there; Limits say what.
	Possible []Step
	Limits   []string // what is not known, and which way that bends the answer
}

// A World is a set of accounts in which identities are judged.
type World struct {
	accounts       []*Account
	now            time.Time
	byARN          map[string]*Identity
	byID           map[string]*Account
	nodes          map[*Identity]*node
	trust          *trusting // nil until it is needed
	taken          map[taker]*taken
	granted        *granting             // nil until it is needed
	homes          map[string]string     // accounts of resources that do not say so in their ARNs; "" of those that several have
	keys           map[*Account][]string // of KMS
	solved         bool
	permissionSets bool // some account has a role of one
	fewest         int  // roles that are worth grouping
	asks           int  // about single roles that are left
	cut            bool // there were too few
}

// NewWorld makes one, as of a time.
func NewWorld(accounts []*Account, now time.Time) *World {
	w := &World{accounts: accounts, now: now, byARN: map[string]*Identity{}, byID: map[string]*Account{}, nodes: map[*Identity]*node{}, taken: map[taker]*taken{}, fewest: fewest, asks: maxAsks}
	w.lookOver()
	for _, a := range accounts {
		w.byID[a.ID] = a
		for _, i := range slices.Concat(a.Users, a.Roles) {
			w.byARN[i.ARN] = i
			w.permissionSets = w.permissionSets || reserved(i.ARN)
		}
	}
	return w
}

// Identities are all of them, in the order of their ARNs.
func (w *World) Identities() (all []*Identity) {
	for _, i := range w.byARN {
		all = append(all, i)
	}
	slices.SortFunc(all, func(a, b *Identity) int { return strings.Compare(a.ARN, b.ARN) })
	return all
}

// Account is one by its id, or nil.
func (w *World) Account(id string) *Account { return w.byID[id] }

// Find is an identity by its ARN, or nil.
func (w *World) Find(arn string) *Identity { return w.byARN[arn] }

// facts are what is known of somebody who uses a key of the identity, or a session of the role, from outside of AWS: see the attacker's model of
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html. What depends on the place is not known.
func (w *World) facts(i *Identity, resource string) func(string) Fact {
	return func(key string) Fact {
		switch key {
		case "aws:multifactorauthpresent", "aws:multifactorauthage", "aws:calledvia", "aws:calledviafirst", "aws:calledvialast", "aws:sourcearn", "aws:sourceaccount",
			"aws:sourceorgid", "aws:sourceorgpaths", "aws:federatedprovider", "aws:sourceidentity", "aws:ec2instancesourcevpc", "aws:ec2instancesourceprivateipv4", "kms:viaservice":
			return Absent()
		case "aws:tokenissuetime":
			if i.Role {
				return Known(w.now.UTC().Format(time.RFC3339))
			}
			return Absent()
		case "aws:currenttime":
			return Known(w.now.UTC().Format(time.RFC3339))
		case "aws:epochtime":
			return Known(fmt.Sprint(w.now.Unix()))
		case "aws:securetransport":
			return Known("true")
		case "aws:viaawsservice":
			return Known("false")
		case "aws:requestedregion", "aws:useragent", "aws:referer", "aws:tagkeys", "iam:passedtoservice", "iam:policyarn", "iam:associatedresourcearn",
			"sts:rolesessionname", "sts:sourceidentity", "sts:transitivetagkeys", "iam:awsservicename", "iam:permissionsboundary",
			"s3:prefix", "s3:delimiter", "s3:max-keys", "ec2:instancetype", "ec2:region":
			return Chosen()
		case "kms:calleraccount":
			return Known(i.Account.ID)
		}
		service, name, _ := strings.Cut(key, ":")
		if strings.HasPrefix(name, "requesttag/") || strings.HasPrefix(key, "s3:x-amz-") { // parameters of the request
			return Chosen()
		}
		if tag, ok := strings.CutPrefix(name, "resourcetag/"); ok && (service == "aws" || service == "iam") {
			if target := w.byARN[resource]; target != nil {
				return tagged(target.Tags, tag)
			}
		}
		return Unknown()
	}
}

// Ask answers whether an identity may do something to a resource of its account; * is every one.
func (w *World) Ask(i *Identity, action, resource string) Answer {
	return w.ask(i, i.layers(i.Account), action, resource, i.Account.ID, nil)
}

// ask evaluates a request of an identity for a resource of an account.
func (w *World) ask(i *Identity, l Layers, action, resource, account string, context map[string]Fact) Answer {
	return l.Evaluate(Request{Principal: i.principal(), Action: action, Resource: resource, Account: account, Context: context, Facts: w.facts(i, resource)})
}

// sentinels of administration: who may all of them, and what no service has, on everything, may everything.
var sentinels = []string{
	"iam:CreateUser", "iam:AttachUserPolicy", "iam:PutRolePolicy", "iam:CreatePolicyVersion", "iam:PassRole", "s3:PutBucketPolicy", "s3:GetObject", "ec2:RunInstances",
	"lambda:CreateFunction", "kms:PutKeyPolicy", "secretsmanager:GetSecretValue", "cloudformation:CreateStack", "anyservice:AnyAction",
}

// admin answers whether an identity with some layers may everything.
func (w *World) admin(i *Identity, l Layers) (a Answer) {
	for _, action := range sentinels {
		one := w.ask(i, l, action, "*", i.Account.ID, nil)
		if one.State == Denied {
			return one
		}
		if a.Witnesses = nil; action == sentinels[0] {
			a.State = Allowed
		}
		a = all(a, one)
	}
	return a
}

// evidence names statements.
func evidence(by []Witness) string {
	var parts []string
	for _, x := range by {
		text := fmt.Sprintf("%s, statement %d", x.Policy, x.Statement)
		if x.Sid != "" {
			text += " (" + x.Sid + ")"
		}
		if !slices.Contains(parts, text) {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, "; ")
}
