package aws

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/leakreach/leakreach/iam"
)

const (
	// maxActions bounds one simulation. Public reports show the simulator throttling after some 180 quick calls.
	maxActions = 40
	// pace is the pause between two simulations: one bucket of about one request a second per account is shared with everybody who
	// works in it. After throttling the SDK's backoff comes on top.
	pace = time.Second
	// maxKeys bounds the context keys that are named of a decision.
	maxKeys = 20
)

// A decision is the simulator's answer for one action.
type decision struct {
	state        iam.State
	missing      []string // context keys without which nothing is decided
	organisation bool     // a policy of the organisation denies
}

// A simulation is what IAM says that an identity may do. It is AWS' own second opinion: see
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html, as changed on 2026-07-30.
type simulation struct {
	asked bool                // IAM answered for all resources
	why   string              // why it did not
	all   map[string]decision // action: decision on every resource
	self  map[string]decision // action: decision on the identity itself, where it is not allowed on every resource
	part  string              // why self is not known
}

// simulate asks about the sentinel actions: on every resource first, then those that are about an identity on this one. Where an account's simulator did
// not answer at all, it is not asked again.
func (v *Verifier) simulate(ctx context.Context, client *awsiam.Client, who principal) *simulation {
	sim := &simulation{all: map[string]decision{}, self: map[string]decision{}}
	v.mu.Lock()
	sim.why = v.unanswered[who.Account]
	v.mu.Unlock()
	if sim.why != "" {
		return sim
	}
	calls := 0
	ask := func(actions, resources []string) error {
		return pages(func(marker *string) (*string, bool, error) {
			if calls++; calls > 1 {
				if err := v.opts.Sleep(ctx, pace); err != nil {
					return nil, false, err
				}
			}
			out, err := client.SimulatePrincipalPolicy(ctx, &awsiam.SimulatePrincipalPolicyInput{
				PolicySourceArn: &who.source,
				ActionNames:     actions,
				ResourceArns:    resources,
				ContextEntries:  who.context(),
				Marker:          marker,
			})
			if err != nil {
				return nil, false, err
			}
			for _, result := range out.EvaluationResults {
				sim.take(result, resources)
			}
			return out.Marker, out.IsTruncated, nil
		})
	}
	var actions []string
	for _, s := range sentinels {
		actions = append(actions, s.Action)
	}
	if err := ask(actions, nil); err != nil {
		sim.why = because(ctx, err)
		if hopeless(ctx, err) && ctx.Err() == nil {
			v.mu.Lock()
			v.unanswered[who.Account] = sim.why
			v.mu.Unlock()
		}
		return sim
	}
	if len(sim.all) == 0 {
		sim.why = "the answer holds no result"
		return sim
	}
	sim.asked = true
	actions = slices.DeleteFunc(actions, func(a string) bool { return sim.all[a].state == iam.Allowed || !about(a, who.Type) })
	if len(actions) > 0 {
		if err := ask(actions, []string{who.source}); err != nil {
			sim.part = because(ctx, err)
		}
	}
	return sim
}

// about tells whether an action is done to identities of a type.
func about(action, kind string) bool {
	switch action {
	case "iam:AttachUserPolicy", "iam:PutUserPolicy", "iam:CreateAccessKey", "iam:CreateLoginProfile", "iam:UpdateLoginProfile", "iam:DeleteUserPermissionsBoundary", "iam:DeleteUserPolicy":
		return kind == "user"
	case "iam:AttachRolePolicy", "iam:PutRolePolicy", "iam:UpdateAssumeRolePolicy":
		return kind == "role"
	}
	return false
}

// take reads one result. Where resources were passed, only the answers per resource count: the top level is then named after a
// template and holds the most restrictive over all of them.
func (s *simulation) take(result types.EvaluationResult, resources []string) {
	action := text(result.EvalActionName)
	if !slices.ContainsFunc(sentinels, func(x Sentinel) bool { return x.Action == action }) {
		return // which nobody asked about
	}
	organisation := result.OrganizationsDecisionDetail != nil && !result.OrganizationsDecisionDetail.AllowedByOrganizations
	if len(resources) == 0 {
		d := decide(string(result.EvalDecision), result.MissingContextValues)
		for _, one := range result.ResourceSpecificResults {
			if text(one.EvalResourceName) == "*" {
				d = decide(string(one.EvalResourceDecision), append(one.MissingContextValues, result.MissingContextValues...))
			}
		}
		d.organisation = organisation && d.state == iam.Denied
		s.all[action] = d
		return
	}
	for _, one := range result.ResourceSpecificResults {
		if slices.Contains(resources, text(one.EvalResourceName)) {
			d := decide(string(one.EvalResourceDecision), one.MissingContextValues)
			d.organisation = organisation && d.state == iam.Denied
			s.self[action] = d
		}
	}
}

// decide reads a decision. One that was taken without a context value it depends on decides nothing, whatever it says.
func decide(verdict string, missing []string) (d decision) {
	switch {
	case len(missing) > 0:
		d.state = iam.Undecided
		for _, key := range missing[:min(len(missing), maxKeys)] {
			if key = oneLine(key); !slices.Contains(d.missing, key) {
				d.missing = append(d.missing, key)
			}
		}
	case verdict == string(types.PolicyEvaluationDecisionTypeAllowed):
		d.state = iam.Allowed
	case verdict == string(types.PolicyEvaluationDecisionTypeImplicitDeny), verdict == string(types.PolicyEvaluationDecisionTypeExplicitDeny):
		d.state = iam.Denied
	default:
		d.state = iam.Undecided
		d.missing = []string{"an answer that can be read"}
	}
	return d
}

// A statement is one of a policy that says what the simulator said.
type statement struct {
	Effect           string
	Action, Resource []string
}

// document writes statements down.
func document(statements ...statement) string {
	doc, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
	if err != nil {
		panic(err) // they are strings
	}
	return string(doc)
}

// grants is a policy that allows what the simulator says is allowed: where that is all but what is guarded, everything else. It is "" where nothing is.
func (s *simulation) grants(who principal) string {
	var all, self []string
	for _, x := range sentinels {
		switch {
		case s.all[x.Action].state == iam.Allowed:
			all = append(all, x.Action)
		case s.self[x.Action].state == iam.Allowed:
			self = append(self, x.Action)
		}
	}
	var statements []statement
	if !slices.ContainsFunc(sentinels, func(x Sentinel) bool {
		return s.all[x.Action].state != iam.Allowed && !slices.Contains(guarded, x.Action)
	}) {
		all = []string{"*"}
		for _, action := range guarded {
			if s.all[action].state == iam.Denied {
				statements = append(statements, statement{"Deny", []string{action}, []string{"*"}})
			}
		}
	}
	if len(all) > 0 {
		statements = append(statements, statement{"Allow", all, []string{"*"}})
	}
	if len(self) > 0 {
		statements = append(statements, statement{"Allow", self, []string{who.source}})
	}
	if len(statements) == 0 {
		return ""
	}
	return document(statements...)
}

// organisation is a policy that denies what the simulator says that policies of the organisation deny; it is "" where that is nothing.
func (s *simulation) organisation() string {
	var all []string
	for _, x := range sentinels {
		if s.all[x.Action].organisation {
			all = append(all, x.Action)
		}
	}
	if len(all) == 0 {
		return ""
	}
	return document(statement{"Allow", []string{"*"}, []string{"*"}}, statement{"Deny", all, []string{"*"}})
}

// missing are the context keys that decisions hang on.
func (s *simulation) missing() (keys []string) {
	for _, d := range s.all {
		for _, key := range d.missing {
			if !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	slices.SortFunc(keys, strings.Compare)
	return keys
}

// context holds the facts about a request that its sender cannot change. MFA is left out: for a long-term key the context key is
// absent, which the simulator cannot be told.
func (p principal) context() []types.ContextEntry {
	entry := func(key, value string, kind types.ContextKeyTypeEnum) types.ContextEntry {
		return types.ContextEntry{ContextKeyName: &key, ContextKeyType: kind, ContextKeyValues: []string{value}}
	}
	entries := []types.ContextEntry{
		entry("aws:SecureTransport", "true", types.ContextKeyTypeEnumBoolean),
		entry("aws:PrincipalAccount", p.Account, types.ContextKeyTypeEnumString),
		entry("aws:PrincipalArn", p.source, types.ContextKeyTypeEnumString),
	}
	if p.Type == "user" {
		entries = append(entries, entry("aws:username", p.name, types.ContextKeyTypeEnumString))
	}
	return entries
}
