package aws

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

const (
	// maxActions and maxResources bound one simulation. Public reports show the simulator throttling after some 180 quick calls.
	maxActions   = 40
	maxResources = 20
	// maxBatches bounds the simulations on named resources.
	maxBatches = 3
	// pace is the pause between two simulations: one bucket of about one request a second per account is shared with everybody who
	// works in it. After throttling the SDK's backoff comes on top.
	pace = time.Second
)

// A decision is the simulator's answer for one action.
type decision struct {
	state    state
	evidence string   // the policies whose statements decided
	missing  []string // context keys without which nothing is decided
	boundary bool     // the permissions boundary denies
}

// A simulation is what IAM says that the identity may do.
type simulation struct {
	asked bool                           // IAM answered for all resources
	why   string                         // why it did not
	all   map[string]decision            // action: decision on every resource
	on    map[string]map[string]decision // action: resource: decision, for named resources
	cut   bool                           // more resources are named in policies than were asked about
}

// simulate asks about the sentinel actions: on every resource first, then, for those not allowed there, on the identity itself and on
// the resources that readable policies name.
func (v *Verifier) simulate(ctx context.Context, r *reader, who principal) *simulation {
	sim := &simulation{all: map[string]decision{}, on: map[string]map[string]decision{}}
	var actions []string
	for _, s := range sentinels {
		actions = append(actions, s.Action)
	}
	calls := 0
	ask := func(actions, resources []string) bool {
		return r.call(ctx, "iam:SimulatePrincipalPolicy", func() error {
			return pages(func(marker *string) (*string, bool, error) {
				if calls++; calls > 1 {
					if err := v.opts.Sleep(ctx, pace); err != nil {
						return nil, false, err
					}
				}
				out, err := r.client.SimulatePrincipalPolicy(ctx, &iam.SimulatePrincipalPolicyInput{
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
		})
	}
	for batch := range slices.Chunk(actions, maxActions) {
		if !ask(batch, nil) {
			sim.why = r.denied["iam:SimulatePrincipalPolicy"]
			if sim.why == "" {
				sim.why = r.exhausted
			}
			return sim
		}
	}
	if len(sim.all) == 0 {
		sim.why = "the answer holds no result"
		return sim
	}
	sim.asked = true

	e := r.evaluator(who)
	resources := []string{who.source}
	narrow := map[string]bool{}
	for _, rule := range escalations {
		if rule.self && rule.only == who.Type {
			narrow[rule.actions[0]] = true
		}
	}
	for _, action := range actions {
		if sim.all[action].state == granted {
			delete(narrow, action)
			continue
		}
		for _, name := range e.named(action) {
			if foreign(name, who.Account) {
				continue
			}
			narrow[action] = true
			if !slices.Contains(resources, name) {
				resources = append(resources, name)
			}
		}
	}
	actions = slices.DeleteFunc(actions, func(a string) bool { return !narrow[a] })
	if len(actions) == 0 {
		return sim
	}
	if most := maxBatches * maxResources; len(resources) > most {
		resources, sim.cut = resources[:most], true
	}
	for batch := range slices.Chunk(resources, maxResources) {
		if !ask(actions, batch) {
			sim.cut = true
			break
		}
	}
	return sim
}

// foreign tells whether an ARN is of another account. The simulator wants that account's policies too, which nobody here can read;
// what the identity's own policies say is then all there is.
func foreign(arn, account string) bool {
	of := strings.Split(arn, ":")[4]
	return of != "" && of != account && !strings.ContainsAny(of, "*?")
}

// take reads one result. Where resources were passed, only the answers per resource count: the top level is then named after a
// template and holds the union over all of them.
func (s *simulation) take(result types.EvaluationResult, resources []string) {
	action := text(result.EvalActionName)
	if len(resources) == 0 {
		d := decide(string(result.EvalDecision), result.MatchedStatements, result.MissingContextValues, result.PermissionsBoundaryDecisionDetail)
		for _, one := range result.ResourceSpecificResults {
			if text(one.EvalResourceName) == "*" {
				d = decide(string(one.EvalResourceDecision), one.MatchedStatements, append(one.MissingContextValues, result.MissingContextValues...), one.PermissionsBoundaryDecisionDetail)
			}
		}
		if org := result.OrganizationsDecisionDetail; org != nil && !org.AllowedByOrganizations {
			d.evidence = "a service control policy"
		}
		s.all[action] = d
		return
	}
	if s.on[action] == nil {
		s.on[action] = map[string]decision{}
	}
	for _, one := range result.ResourceSpecificResults {
		if name := text(one.EvalResourceName); slices.Contains(resources, name) {
			s.on[action][name] = decide(string(one.EvalResourceDecision), one.MatchedStatements, one.MissingContextValues, one.PermissionsBoundaryDecisionDetail)
		}
	}
}

// decide reads a decision. One that was taken without a context value it depends on decides nothing, whatever it says.
func decide(verdict string, matched []types.Statement, missing []string, boundary *types.PermissionsBoundaryDecisionDetail) decision {
	d := decision{evidence: sources(matched)}
	d.boundary = boundary != nil && !boundary.AllowedByPermissionsBoundary
	switch {
	case len(missing) > 0:
		d.state = undecided
		for _, key := range missing {
			if key = oneLine(key); !slices.Contains(d.missing, key) {
				d.missing = append(d.missing, key)
			}
		}
	case verdict == string(types.PolicyEvaluationDecisionTypeAllowed):
		d.state = granted
	case verdict == string(types.PolicyEvaluationDecisionTypeImplicitDeny), verdict == string(types.PolicyEvaluationDecisionTypeExplicitDeny):
		d.state = denied
	default:
		d.state = undecided
		d.missing = []string{"an answer that can be read"}
	}
	return d
}

func sources(matched []types.Statement) string {
	var names []string
	for _, m := range matched {
		if name := oneLine(text(m.SourcePolicyId)); name != "" && !slices.Contains(names, name) && len(names) < 3 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
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
