package iam

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
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

// A catalogued path, see iam/paths. It is data of pathfinding.cloud, its labs and Prowler, under the Apache License; NOTICE has the names.
type catalogued struct {
	ID        string   `json:"id"`
	Category  string   `json:"category"`
	Required  []string `json:"required"`
	MustTrust []string `json:"role_must_trust"`
	Target    string   `json:"target_resource"`
}

//go:embed paths/*.json
var pathFiles embed.FS

// catalogue is read once: it is part of the program.
var catalogue = sync.OnceValue(func() (all []catalogued) {
	files, err := fs.Glob(pathFiles, "paths/*.json")
	if err != nil {
		panic(err)
	}
	for _, name := range files {
		doc, err := pathFiles.ReadFile(name)
		var p catalogued
		if err == nil {
			err = json.Unmarshal(doc, &p)
		}
		if err != nil {
			panic(fmt.Sprintf("%s: %v", name, err))
		}
		all = append(all, p)
	}
	return all
})

// A World is a set of accounts in which identities are judged.
type World struct {
	accounts []*Account
	now      time.Time
	byARN    map[string]*Identity
	nodes    map[*Identity]*node
	trust    *trusting // nil until it is needed
	trusted  map[trustKey]bool
	solved   bool
}

// NewWorld makes one, as of a time.
func NewWorld(accounts []*Account, now time.Time) *World {
	w := &World{accounts: accounts, now: now, byARN: map[string]*Identity{}, nodes: map[*Identity]*node{}, trusted: map[trustKey]bool{}}
	for _, a := range accounts {
		for _, i := range slices.Concat(a.Users, a.Roles) {
			w.byARN[i.ARN] = i
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

// Find is an identity by its ARN, or nil.
func (w *World) Find(arn string) *Identity { return w.byARN[arn] }

// facts are what is known of somebody who uses a key of the identity, or a session of the role, from outside of AWS: see the attacker's model of
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html. What depends on the place is not known.
func (w *World) facts(i *Identity) func(string) Fact {
	return func(key string) Fact {
		switch key {
		case "aws:multifactorauthpresent", "aws:multifactorauthage", "aws:calledvia", "aws:calledviafirst", "aws:calledvialast", "aws:sourcearn", "aws:sourceaccount",
			"aws:sourceorgid", "aws:sourceorgpaths", "aws:federatedprovider", "aws:sourceidentity", "aws:ec2instancesourcevpc", "aws:ec2instancesourceprivateipv4":
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
		case "aws:requestedregion", "aws:useragent", "aws:referer", "aws:tagkeys", "iam:passedtoservice", "iam:policyarn", "iam:permissionsboundary", "iam:associatedresourcearn",
			"sts:rolesessionname", "sts:externalid", "iam:awsservicename":
			return Chosen()
		}
		if strings.HasPrefix(key, "aws:requesttag/") {
			return Chosen()
		}
		return Unknown()
	}
}

// ask evaluates a request of an identity.
func (w *World) ask(i *Identity, l Layers, action, resource string, owner *Account, context map[string]Fact) Answer {
	r := Request{Principal: i.principal(), Action: action, Resource: resource, Context: context, Facts: w.facts(i)}
	if owner != nil {
		r.Account = owner.ID
	}
	return l.Evaluate(r)
}

// sentinels of administration: who may all of them, and what no service has, on everything, may everything.
var sentinels = []string{
	"iam:CreateUser", "iam:AttachUserPolicy", "iam:PutRolePolicy", "iam:CreatePolicyVersion", "iam:PassRole", "s3:PutBucketPolicy", "s3:GetObject", "ec2:RunInstances",
	"lambda:CreateFunction", "kms:PutKeyPolicy", "secretsmanager:GetSecretValue", "cloudformation:CreateStack", "anyservice:AnyAction",
}

// admin answers whether an identity with some layers may everything.
func (w *World) admin(i *Identity, l Layers) (a Answer) {
	for _, action := range sentinels {
		one := w.ask(i, l, action, "*", i.Account, nil)
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

// changes tells whether an action changes anything, by AWS' documentation; of one that is not documented, such as one that stands for several, by its verb.
func changes(action string) bool {
	if o, ok := Describe(action); ok {
		return o.Access.Changes()
	}
	_, verb, _ := strings.Cut(strings.ToLower(action), ":")
	return !slices.ContainsFunc(reads, func(r string) bool { return strings.HasPrefix(verb, r) })
}

// reads are the verbs that actions which change nothing begin with.
var reads = []string{"get", "list", "describe", "batchget", "head", "lookup", "search", "select", "view", "check", "query", "scan", "simulate", "generatecredentialreport", "detect", "estimate", "validate", "preview"}

// An own is what an identity may by itself, below admin.
type own struct {
	level     Level
	by        []Witness
	undecided bool // what is not known may allow more
}

func (w *World) judgeOwn(n *node) (o own) {
	o.level = LevelNone
	for _, p := range n.layers.Identity {
		for _, s := range p.Statements {
			if s.Effect != Allow {
				continue
			}
			for _, action := range s.examples() {
				level := LevelRead
				if changes(action) {
					level = LevelWrite
				}
				if level <= o.level {
					continue
				}
				for _, resource := range s.resourceExamples(n.id) {
					switch a := w.ask(n.id, n.layers, action, resource, n.id.Account, nil); a.State {
					case Allowed:
						o.level, o.by = max(o.level, level), a.Witnesses
					case Undecided:
						o.undecided = true
					}
				}
			}
		}
	}
	return o
}

// examples are actions that a statement is about. Of *, they are of services that every account has.
func (s *Statement) examples() (all []string) {
	if s.notActions {
		return append([]string{"s3:PutObject", "s3:GetObject", "ec2:RunInstances", "ec2:DescribeInstances"}, sentinels...)
	}
	for _, a := range s.actions {
		text := strings.NewReplacer(string([]byte{one}), "x").Replace(strings.Join(a.pieces, "*"))
		service, verb, _ := strings.Cut(text, ":")
		switch {
		case !strings.Contains(text, "*"):
			all = append(all, text)
		case strings.Contains(service, "*") || text == "*":
			all = append(all, "s3:PutObject", "s3:GetObject")
		case strings.HasPrefix(verb, "*"):
			all = append(all, service+":"+strings.ReplaceAll("put"+verb, "*", ""), service+":"+strings.ReplaceAll("get"+verb, "*", ""))
		default:
			all = append(all, service+":"+strings.ReplaceAll(verb, "*", ""))
		}
	}
	return all
}

// resourceExamples are resources that a statement is about, for an identity.
func (s *Statement) resourceExamples(i *Identity) (all []string) {
	if s.notRes || s.resources == nil {
		return []string{"*", "arn:aws:s3:::some-bucket/some-object"}
	}
	for _, r := range s.resources {
		if r.all {
			all = append(all, "*")
			continue
		}
		text := wild(r.text)
		if r.holds {
			text, _ = (&Request{Principal: i.principal()}).expand(r.text)
		}
		all = append(all, strings.NewReplacer(star, "x", string([]byte{one}), "x").Replace(text))
	}
	return all
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
