package aws

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

// An outcome is what is known about one sentinel action.
type outcome struct {
	Sentinel
	state    state    // on every resource
	on       []string // named resources it is allowed on, where it is not on every one
	maybe    bool     // allowed under conditions that could not be decided
	missing  []string
	evidence string
}

func (o outcome) any() bool { return o.state == granted || len(o.on) > 0 }

// reach turns what was read and simulated into a level with its proof.
//
//   - admin: every sentinel action is allowed on every resource, but for those that organisations take from administrators too.
//   - escalation: the actions of one escalation are, on every resource or, where that is enough, on the identity itself. An
//     identity under a permissions boundary that it cannot remove gains nothing by changing itself.
//   - write, read: some action of that effect is, on any resource.
//   - none: every question was answered, and with no.
//   - unknown: whatever lies between.
func reach(keyID string, who principal, r *reader, sim *simulation) *audit.Reach {
	out := &audit.Reach{Accounts: []string{who.Account}, Paths: []audit.Path{}, Limits: []string{}}
	e := r.evaluator(who)
	readable := len(r.policies) > 0 || r.complete()
	if !sim.asked && !readable {
		out.Level = audit.LevelUnknown
		out.Limits = append(out.Limits, "nothing about the identity's rights is readable: "+r.why())
		return out
	}
	outcomes := make([]outcome, len(sentinels))
	for i, s := range sentinels {
		outcomes[i] = judge(s, e, sim)
	}
	start := audit.Step{From: keyID, To: who.ARN, Edge: "is", Evidence: "sts:GetCallerIdentity"}
	b := builder{out: out, who: who, start: start, r: r, e: e, outcomes: outcomes}
	b.level(sim)
	b.limits(sim)
	r.facts["sentinels"] = b.summary(sim)
	return out
}

func (r *reader) evaluator(who principal) *evaluator {
	e := &evaluator{policies: r.policies, boundary: r.boundary, unread: r.bounded && r.boundary == nil}
	if who.Type == "user" {
		e.username = who.name
	}
	return e
}

// complete tells whether every policy of the identity was read.
func (r *reader) complete() bool {
	if len(r.unread) > 0 || r.exhausted != "" || !r.identity || r.bounded && r.boundary == nil || len(r.groups) > maxGroups {
		return false
	}
	for op := range r.denied {
		if strings.Contains(op, "Polic") && op != "iam:SimulatePrincipalPolicy" || op == "iam:ListGroupsForUser" {
			return false
		}
	}
	return true
}

// judge takes IAM's word where it was given, and the policies' otherwise.
func judge(s Sentinel, e *evaluator, sim *simulation) outcome {
	o := outcome{Sentinel: s}
	if sim.asked {
		d, answered := sim.all[s.Action]
		if !answered {
			d = decision{state: undecided, missing: []string{"an answer"}}
		}
		o.state, o.maybe, o.missing = d.state, d.state == undecided, d.missing
		o.evidence = "iam:SimulatePrincipalPolicy: allowed" + by(d.evidence)
		for _, resource := range slices.Sorted(maps.Keys(sim.on[s.Action])) {
			switch d := sim.on[s.Action][resource]; d.state {
			case granted:
				o.on = append(o.on, resource)
				o.evidence = "iam:SimulatePrincipalPolicy: allowed" + by(d.evidence)
			case undecided:
				o.maybe, o.missing = true, append(o.missing, d.missing...)
			}
		}
	} else {
		result, witness := e.decide(s.Action, "*")
		o.state, o.maybe = result, result == undecided
		if witness != nil {
			o.evidence = witness.how + ": allowed by " + witness.name
		}
	}
	if o.state == granted {
		return o
	}
	for _, resource := range e.named(s.Action) {
		if _, asked := sim.on[s.Action][resource]; asked || slices.Contains(o.on, resource) {
			continue
		}
		switch result, witness := e.decide(s.Action, resource); result {
		case granted:
			o.on = append(o.on, resource)
			if witness != nil {
				o.evidence = witness.how + ": allowed by " + witness.name
			}
		case undecided:
			o.maybe = true
		}
	}
	return o
}

func by(policy string) string {
	if policy == "" {
		return ""
	}
	return " by " + policy
}

type builder struct {
	out      *audit.Reach
	who      principal
	start    audit.Step
	r        *reader
	e        *evaluator
	outcomes []outcome
}

func (b *builder) of(action string) outcome {
	i := slices.IndexFunc(b.outcomes, func(o outcome) bool { return o.Action == action })
	return b.outcomes[i]
}

func (b *builder) level(sim *simulation) {
	if b.admin() {
		return
	}
	b.out.Level = audit.LevelNone
	rank := func(l audit.Level) {
		order := []audit.Level{audit.LevelNone, audit.LevelRead, audit.LevelWrite, audit.LevelEscalation}
		if slices.Index(order, l) > slices.Index(order, b.out.Level) {
			b.out.Level = l
		}
	}
	b.escalates(rank)
	for _, g := range []Group{Administration, Escalation, KeyCreation, SecretsRead, DataWrite, DataRead, TrailTampering, RoleAssumption} {
		b.group(g, rank)
	}
	l, policy, doubt := b.text(sim.asked)
	if l != audit.LevelNone && b.out.Level != audit.LevelEscalation {
		before := b.out.Level
		rank(l)
		if b.out.Level != before {
			b.path(l, audit.Step{From: b.who.ARN, To: policy.name, Edge: "holds", Evidence: policy.how})
			b.limit("level %s is read from the text of %s, for actions that were not simulated: an upper bound", l, policy.name)
		}
	}
	if b.out.Level != audit.LevelNone {
		return
	}
	switch {
	case slices.ContainsFunc(b.outcomes, outcome.any):
		b.out.Level = audit.LevelUnknown // it may become another identity, and that one's rights are not read
	case slices.ContainsFunc(b.outcomes, func(o outcome) bool { return o.maybe }):
		b.out.Level = audit.LevelUnknown
	case doubt:
		b.out.Level = audit.LevelUnknown
		b.limit("what the policies grant beyond the sentinel actions depends on conditions, on the permissions boundary or on organisation policies")
	case !b.r.complete():
		b.out.Level = audit.LevelUnknown
		b.limit("no sentinel action is allowed on every resource; what is on named ones cannot be told, since the policies are not all readable")
	}
}

func (b *builder) admin() bool {
	var taken []string
	for _, o := range b.outcomes {
		if o.state == granted {
			continue
		}
		if !slices.Contains(guarded, o.Action) {
			return false
		}
		taken = append(taken, o.Action)
	}
	b.out.Level = audit.LevelAdmin
	if len(taken) > 0 {
		b.limit("not allowed, as often for administrators: %s", strings.Join(taken, ", "))
	}
	steps := b.holds("iam:CreateUser")
	steps = append(steps, audit.Step{From: b.who.ARN, To: "every action on every resource", Edge: "may", Evidence: b.of("iam:CreateUser").evidence})
	b.path(audit.LevelAdmin, steps...)
	return true
}

// holds is the way to the policy that allows an action, where the policies were readable.
func (b *builder) holds(action string) []audit.Step {
	_, witness := b.e.decide(action, "*")
	if witness == nil {
		return nil
	}
	if witness.via == "" {
		return []audit.Step{{From: b.who.ARN, To: witness.name, Edge: "holds", Evidence: witness.how}}
	}
	group := "group " + oneLine(witness.via)
	return []audit.Step{
		{From: b.who.ARN, To: group, Edge: "is", Evidence: "iam:ListGroupsForUser"},
		{From: group, To: witness.name, Edge: "holds", Evidence: witness.how},
	}
}

// maxEscalations bounds the paths shown; one is enough to act on.
const maxEscalations = 5

func (b *builder) escalates(rank func(audit.Level)) {
	bound := b.r.bounded && b.of("iam:DeleteUserPermissionsBoundary").state != granted
	shown := map[string]bool{}
	held := false
	for _, rule := range escalations {
		if rule.only != "" && rule.only != b.who.Type {
			continue
		}
		if !b.allows(rule) {
			continue
		}
		if rule.inner() && bound {
			held = true
			continue
		}
		rank(audit.LevelEscalation)
		if slices.ContainsFunc(rule.actions, func(a string) bool { return shown[a] }) || len(b.out.Paths) >= maxEscalations {
			continue
		}
		var steps []audit.Step
		steps = append(steps, b.holds(rule.actions[0])...)
		for _, a := range rule.actions {
			shown[a] = true
			steps = append(steps, b.may(b.of(a)))
		}
		steps[len(steps)-1].Evidence += "; " + rule.gain
		b.path(audit.LevelEscalation, steps...)
	}
	if held && b.out.Level != audit.LevelEscalation {
		b.limit("it could change its own policies, but stays under its permissions boundary")
	}
}

func (b *builder) allows(rule escalation) bool {
	for _, a := range rule.actions {
		o := b.of(a)
		if o.state != granted && !(rule.self && slices.Contains(o.on, b.who.source)) {
			return false
		}
	}
	return true
}

// group adds one path for what is allowed of a group.
func (b *builder) group(g Group, rank func(audit.Level)) {
	var some []outcome
	level := audit.LevelUnknown
	for _, o := range b.outcomes {
		if o.Group != g || !o.any() {
			continue
		}
		some = append(some, o)
		switch {
		case o.Level == Writes:
			rank(audit.LevelWrite)
			level = audit.LevelWrite
		case o.Level == Reads:
			rank(audit.LevelRead)
			if level == audit.LevelUnknown {
				level = audit.LevelRead
			}
		}
	}
	if len(some) == 0 {
		return
	}
	var names []string
	for _, o := range some {
		names = append(names, o.Action+" on "+o.where())
	}
	b.path(level, audit.Step{From: b.who.ARN, To: strings.Join(names, ", "), Edge: "may", Evidence: string(g) + ": " + some[0].evidence})
}

func (b *builder) may(o outcome) audit.Step {
	return audit.Step{From: b.who.ARN, To: o.Action + " on " + o.where(), Edge: "may", Evidence: o.evidence}
}

func (o outcome) where() string {
	if o.state == granted {
		return "*"
	}
	const most = 3
	list := strings.Join(o.on[:min(len(o.on), most)], " ")
	if more := len(o.on) - most; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return oneLine(list)
}

func (b *builder) path(l audit.Level, steps ...audit.Step) {
	b.out.Paths = append(b.out.Paths, audit.Path{Level: l, Steps: append([]audit.Step{b.start}, steps...)})
}

func (b *builder) limit(format string, args ...any) {
	b.out.Limits = append(b.out.Limits, fit(fmt.Sprintf(format, args...), 1000))
}

// inner tells whether the gain of an escalation lies in the identity's own rights, and so under its boundary.
func (e escalation) inner() bool {
	switch e.actions[0] {
	case "iam:AttachUserPolicy", "iam:PutUserPolicy", "iam:AttachRolePolicy", "iam:PutRolePolicy":
		return len(e.actions) == 1
	case "iam:CreatePolicyVersion", "iam:SetDefaultPolicyVersion", "iam:AddUserToGroup":
		return true
	}
	return false
}

// text is the level that the policies' words give for actions beyond the sentinels: dynamodb:PutItem, say. What hangs on a
// condition or a boundary counts for nothing, and leaves a doubt.
func (b *builder) text(simulated bool) (level audit.Level, from policy, doubt bool) {
	level = audit.LevelNone
	for _, p := range b.r.policies {
		for _, st := range p.doc.Statement {
			if st.Effect != "Allow" {
				continue
			}
			actions := st.Action
			if len(st.NotAction) > 0 {
				actions = patterns{"*"}
			}
			for _, a := range actions {
				l := effectOf(a)
				if l == audit.LevelNone {
					continue
				}
				if simulated && slices.ContainsFunc(sentinels, func(s Sentinel) bool { return wildcard(strings.ToLower(a), strings.ToLower(s.Action)) }) {
					doubt = true // IAM has spoken on part of it, and knows more than the text
					continue
				}
				switch no := b.refused(a); {
				case no == granted:
				case no == undecided, len(st.Condition) > 0, b.r.bounded:
					doubt = true
				case level == audit.LevelNone, level == audit.LevelRead && l == audit.LevelWrite:
					level, from = l, p
				}
			}
		}
	}
	return level, from, doubt
}

// refused tells whether a Deny covers all that an action pattern means.
func (b *builder) refused(pattern string) state {
	result := denied
	for _, p := range b.r.policies {
		for _, st := range p.doc.Statement {
			if st.Effect == "Deny" && slices.Contains(st.Resource, "*") && slices.ContainsFunc(st.Action, func(d string) bool {
				return wildcard(strings.ToLower(d), strings.ToLower(pattern))
			}) {
				if len(st.Condition) == 0 {
					return granted
				}
				result = undecided
			}
		}
	}
	return result
}

var readVerbs = []string{"get", "list", "describe", "batchget", "head", "lookup", "search", "view", "query", "scan", "select", "read", "check", "simulate"}

// effectOf tells from its name what an action does. Reading IAM does not count: it is what this very check needs.
func effectOf(pattern string) audit.Level {
	service, verb, found := strings.Cut(strings.ToLower(pattern), ":")
	switch {
	case pattern == "*":
		return audit.LevelWrite
	case !found, service == "sts", service == "iam" && strings.HasPrefix(verb, "pass"):
		return audit.LevelNone
	}
	for _, r := range readVerbs {
		if strings.HasPrefix(verb, r) {
			if service == "iam" {
				return audit.LevelNone
			}
			return audit.LevelRead
		}
	}
	return audit.LevelWrite
}

func (b *builder) limits(sim *simulation) {
	r := b.r
	if sim.asked {
		b.limit("simulated by IAM: resource control policies, resource policies and session policies are not in it")
	} else {
		b.limit("iam:SimulatePrincipalPolicy: %s; the level is what the readable policies say, an upper bound: organisation policies are not in it", sim.why)
	}
	if sim.cut {
		b.limit("not all resources that the policies name were simulated; for the others the policies' text counts")
	}
	if r.bounded && r.boundary == nil && !sim.asked {
		b.limit("a permissions boundary is attached and not readable: nothing it could take away counts as allowed")
	}
	if !r.identity && !sim.asked {
		b.limit("whether a permissions boundary is attached could not be read: upper bound")
	}
	if len(r.unread) > 0 {
		b.limit("policies that could not be read: %s", strings.Join(r.unread[:min(len(r.unread), 5)], ", "))
	}
	if len(r.groups) > maxGroups {
		b.limit("%d of %d groups were read", maxGroups, len(r.groups))
	}
	delete(r.denied, "iam:SimulatePrincipalPolicy")
	r.order = slices.DeleteFunc(r.order, func(op string) bool { return op == "iam:SimulatePrincipalPolicy" })
	if why := r.why(); why != "" {
		b.limit("not readable: %s", why)
	}
	if b.who.session {
		b.limit("a session policy, if the session has one, cannot be read: upper bound")
	}
	var open, missing []string
	for _, o := range b.outcomes {
		if o.maybe && o.state != granted {
			open = append(open, o.Action)
			for _, m := range o.missing {
				if !slices.Contains(missing, m) {
					missing = append(missing, m)
				}
			}
		}
	}
	if len(open) > 0 {
		text := fmt.Sprintf("%d sentinel actions are undecided (%s)", len(open), strings.Join(open[:min(len(open), 4)], ", "))
		if len(missing) > 0 {
			text += ", for want of " + strings.Join(missing[:min(len(missing), 4)], ", ")
		}
		b.limit("%s: the level may be higher", text)
	}
	for _, a := range []string{"sts:AssumeRole", "iam:PassRole"} {
		if o := b.of(a); o.any() && b.out.Level != audit.LevelAdmin {
			b.limit("%s is allowed on %s: what those roles may do is not read here, the level is a lower bound", a, o.where())
		}
	}
}

func (b *builder) summary(sim *simulation) string {
	all, some, maybe := 0, 0, 0
	for _, o := range b.outcomes {
		switch {
		case o.state == granted:
			all++
		case len(o.on) > 0:
			some++
		case o.maybe:
			maybe++
		}
	}
	how := "simulated"
	if !sim.asked {
		how = "read from policies"
	}
	return fmt.Sprintf("%d actions %s: %d allowed on every resource, %d on named ones, %d undecided", len(b.outcomes), how, all, some, maybe)
}

func unknownReach(who principal, why string) *audit.Reach {
	r := &audit.Reach{Level: audit.LevelUnknown, Accounts: []string{}, Paths: []audit.Path{}, Limits: []string{why}}
	if who.Account != "" {
		r.Accounts = []string{who.Account}
	}
	return r
}

// rootReach needs no question: no IAM policy binds an account's root user.
func rootReach(keyID string, who principal) *audit.Reach {
	return &audit.Reach{
		Level:    audit.LevelAdmin,
		Accounts: []string{who.Account},
		Paths: []audit.Path{{Level: audit.LevelAdmin, Steps: []audit.Step{
			{From: keyID, To: who.ARN, Edge: "is", Evidence: "sts:GetCallerIdentity"},
			{From: who.ARN, To: "every action on every resource", Edge: "may", Evidence: "root user of the account: no IAM policy limits it"},
		}}},
		Limits: []string{"in a member account of an organisation a service control policy may limit the root user; those were not read"},
	}
}
