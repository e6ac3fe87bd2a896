package iam

import (
	"slices"
	"strings"
	"time"
)

// A taker is a service of an account that roles may be handed to; "" stands for the providers of identities.
type taker struct {
	account *Account
	service string
}

// A taken is what a taker may take.
type taken struct {
	roles []*Identity
	prize []*Identity // the first of them that is an administrator's; of ways that are hardly known, an example tells as much
}

// takes are the roles that a taker may take. Those that are linked to a service do its own work and nobody else's.
func (w *World) takes(a *Account, service string) *taken {
	key := taker{a, service}
	t := w.taken[key]
	if t == nil {
		t = &taken{}
		for _, role := range a.Roles {
			if linked(role.ARN) || role.Trust == nil || service == "" && !role.federated() || service != "" && !role.letsIn(service) {
				continue
			}
			t.roles = append(t.roles, role)
			if t.prize == nil && w.node(role).admin.State == Allowed {
				t.prize = []*Identity{role}
			}
		}
		w.taken[key] = t
	}
	return t
}

// federated tells whether identities of a provider may take a role.
func (i *Identity) federated() bool {
	return slices.ContainsFunc(i.Trust.Statements, func(s *Statement) bool {
		return s.Effect == Allow && s.principals != nil && len(s.principals.federated) > 0
	})
}

// letsIn tells whether a role's trust policy lets a service take it: by itself, or as one that identities of the web come from, as Cognito does.
func (i *Identity) letsIn(service string) bool {
	l := Layers{Resource: i.Trust, RCPs: i.Account.RCPs}
	for action, who := range map[string]Principal{"sts:AssumeRole": {Kind: Service, Service: service}, "sts:AssumeRoleWithWebIdentity": {Kind: WebIdentity, ARN: service}} {
		if i.Trust.names(&who) == unnamed {
			continue
		}
		r := Request{Principal: who, Action: action, Resource: i.ARN, Account: i.Account.ID, Facts: func(key string) Fact {
			if key == "aws:sourceaccount" {
				return Known(i.Account.ID)
			}
			return Chosen()
		}}
		if l.Evaluate(r).State == Allowed {
			return true
		}
	}
	return false
}

// throughServices adds roles that a service runs code of the identity's as: roles that it hands over, and those that run already.
func (w *World) throughServices(n *node) {
	i := n.id
	reached, several := map[*Identity]State{}, []*Identity{}
	for _, m := range n.moves {
		reached[m.Target] = max(reached[m.Target], m.State)
		if m.Target != nil && m.Target.Any != nil {
			several = append(several, m.Target)
		}
	}
	reaches := func(role *Identity) State {
		best := reached[role]
		for _, any := range several {
			if _, among := slices.BinarySearchFunc(any.Any, role, byARN); among {
				best = max(best, reached[any])
			}
		}
		return best
	}
	passed := map[string]Answer{} // by role and service
	pass := func(role *Identity, service string) Answer {
		key := role.ARN + " " + service
		a, asked := passed[key]
		if !asked {
			a = w.may(n, passRole, role.ARN, map[string]Fact{"iam:PassedToService": Known(service)})
			passed[key] = a
		}
		return a
	}
	for _, p := range catalogue() {
		for _, s := range p.sets {
			if len(p.MustTrust) == 0 || s.passes && !n.does(passRole) {
				continue
			}
			able := w.able(n, s)
			if able.State == Denied {
				continue
			}
			named := n.names(s.actions)
			for _, service := range p.MustTrust {
				t := w.takes(i.Account, service)
				roles := t.roles
				if able.State == Undecided && !s.passes || p.unproven() {
					roles = t.prize
				}
				for _, role := range roles {
					if role == i || reaches(role) >= able.State {
						continue
					}
					m := Move{Step: Step{To: role.ARN, Edge: "passes", Path: p.ID}, Target: role}
					answer := able
					if s.passes {
						answer = all(able, pass(role, service))
					} else {
						m.Edge = "runs-code-as"
						answer, m.Supposes = i.Account.runs(p, role, able, named)
					}
					if p.unproven() {
						answer = all(answer, unproven)
					}
					if answer.State > reaches(role) {
						n.add(m, answer)
						reached[role] = answer.State
					}
				}
			}
		}
	}
}

// unprovenWays adds ways that no lab has shown and that do not lead through services, and notes those that give data. See iam/paths/README.md.
func (w *World) unprovenWays(n *node) {
	i := n.id
	for _, p := range catalogue() {
		if !p.unproven() || p.Gives == "roles" || p.Gives == "self" {
			continue
		}
		best := Answer{}
		for _, s := range p.sets {
			if a := w.able(n, s); a.State > best.State {
				best = a
			}
		}
		if best.State == Denied {
			continue
		}
		best = all(best, unproven)
		switch p.Gives {
		case "account":
			n.add(Move{Step: Step{To: i.Account.root(), Edge: "edits", Path: p.ID}, Admin: i.Account}, best)
		case "members": // of the organisation that the account manages
			for _, a := range w.accounts {
				if i.Account.Management && a != i.Account {
					n.add(Move{Step: Step{To: a.root(), Edge: "edits", Path: p.ID}, Admin: a}, best)
				}
			}
		case "federated":
			for _, role := range w.takes(i.Account, "").prize {
				n.add(Move{Step: Step{To: role.ARN, Edge: "federates", Path: p.ID}, Target: role}, best)
			}
		default:
			n.data = append(n.data, p.ID)
		}
	}
}

// recently is how long before the newest use of a role in an export another one's was, if what uses it is taken to be there still.
const recently = 90 * 24 * time.Hour

// unproven is the answer to whether a way works that no lab has shown.
var unproven = Answer{State: Undecided, Missing: []string{"what no lab has shown yet"}}

// runs answers whether something is there that a path needs, and runs as a role. The details of an account do not say what exists; they say when a role was used.
// Where they say that of no role, whoever names an action in a policy is taken to have something that it is for, and whoever allows all that there is, is not.
func (a *Account) runs(p *catalogued, role *Identity, able Answer, named bool) (Answer, string) {
	what := "some " + p.Resource + " that runs as it"
	switch {
	case slices.Contains(p.MustTrust, "ec2.amazonaws.com") && a.profiles && len(role.profiles) == 0:
		return Answer{}, "" // an instance has a role by its instance profile
	case !a.lastUse.IsZero():
		if used := role.lastUse; role.forServices() && !used.IsZero() && a.lastUse.Sub(used) < recently {
			return able, "supposes " + what + ": it was used on " + used.UTC().Format("2006-01-02") + ", and services alone may use it"
		}
	case named && !a.Supposed:
		return able, "supposes " + what
	}
	return all(able, Answer{State: Undecided, Missing: []string{"whether there is " + what}}), ""
}

// forServices tells whether nobody but services may take a role.
func (i *Identity) forServices() bool {
	return !slices.ContainsFunc(i.Trust.Statements, func(s *Statement) bool {
		p := s.principals
		return s.Effect == Allow && (p == nil || p.not || p.everyone || len(p.aws)+len(p.federated) > 0)
	})
}

// names tells whether the identity's policies have all of some actions by their names, and not by what stands for several.
func (n *node) names(actions []string) bool {
	for _, one := range actions {
		name := strings.ToLower(one)
		if !slices.ContainsFunc(n.layers.Identity, func(p *Policy) bool {
			return slices.ContainsFunc(p.Statements, func(s *Statement) bool {
				return s.Effect == Allow && !s.notActions && slices.ContainsFunc(s.actions, func(a action) bool { return len(a.pieces) == 1 && a.pieces[0] == name })
			})
		}) {
			return false
		}
	}
	return true
}

// identityCenter adds what those may who give permission sets their policies: they are administrators of all accounts, if the organisation's Identity Center is theirs.
func (w *World) identityCenter(n *node) {
	i := n.id
	for _, p := range catalogue() {
		if !strings.HasPrefix(p.ID, "sso-") {
			continue
		}
		named := n.names(p.Required)
		able := w.able(n, p.sets[0])
		m := Move{Step: Step{To: i.Account.root(), Edge: "edits", Path: p.ID}, Admin: i.Account}
		what := ""
		if !w.permissionSets {
			what = "that the organisation has an Identity Center"
		}
		if p.ID != "sso-001" && !reserved(i.ARN) { // it changes permission sets that are assigned already
			what = "that its owner has a permission set"
		}
		switch {
		case i.Account.Organisation && !i.Account.Management:
			able = all(able, Answer{State: Undecided, Missing: []string{"whether the account administers the organisation's Identity Center"}})
		case what != "" && named:
			m.Supposes = "supposes " + what
		case what != "":
			able = all(able, Answer{State: Undecided, Missing: []string{what}})
		}
		n.add(m, able)
	}
}

// reserved tells whether a role is that of a permission set, which Identity Center alone may change.
func reserved(role string) bool {
	return strings.Contains(role, ":role/aws-reserved/sso.amazonaws.com/")
}

// able answers whether an identity may do all actions of a set: those that are about the set's type of resource on the same one, and the others on any. Where nothing
// is made, that resource has to be whichever there is: which role runs as one that policies name is not known.
func (w *World) able(n *node, s set) Answer {
	if slices.ContainsFunc(s.actions, func(action string) bool { return !n.does(action) }) {
		return Answer{}
	}
	together := Answer{State: Allowed}
	for _, action := range s.actions {
		if slices.Contains(s.same, action) {
			continue
		}
		if together = all(together, w.somewhere(n, action)); together.State == Denied {
			return together
		}
	}
	if len(s.same) > 0 {
		on := w.on(n, s.same, s.on, "*")
		if !s.passes && on.State != Denied && w.on(n, s.same, s.on, "whichever").State != Allowed {
			on = all(on, Answer{State: Undecided, Missing: []string{"the role of each " + s.on.Name + " that policies name"}})
		}
		together = all(together, on)
	}
	return together
}

// somewhere answers whether an identity may do something on some resource that the action is for.
func (w *World) somewhere(n *node, action string) (best Answer) {
	if known, ok := n.able[action]; ok {
		return known
	}
	defer func() { n.able[action] = best }()
	o, _ := Describe(action)
	if len(o.Resources) == 0 {
		return w.ask(n.id, n.layers, action, "*", n.id.Account.ID, nil)
	}
	required := slices.ContainsFunc(o.Resources, func(t ResourceType) bool { return t.Required })
	for _, t := range o.Resources {
		if required && !t.Required {
			continue
		}
		if a := w.on(n, []string{action}, t, "*"); a.State > best.State {
			best = a
		}
		if best.State == Allowed {
			break
		}
	}
	return best
}

// maxExamples is how many resources that policies name are tried, of a type.
const maxExamples = 100

// on answers whether an identity may do all of some actions on one resource of a type, whose own name is like a pattern.
func (w *World) on(n *node, actions []string, t ResourceType, name string) (best Answer) {
	template := t.pattern(n.id.Account.ID, name)
	tried := map[string]bool{}
	for _, action := range actions {
		action = strings.ToLower(action)
		for _, p := range n.layers.Identity {
			for _, s := range p.Statements {
				if s.Effect != Allow || !s.does(action) {
					continue
				}
				for _, example := range s.meets(template, n.id) {
					if tried[example] {
						continue
					}
					if len(tried) == maxExamples {
						return all(best, Answer{State: Undecided, Missing: []string{"what policies allow that name very many resources"}})
					}
					tried[example] = true
					a := Answer{State: Allowed}
					for _, action := range actions {
						if a = all(a, w.ask(n.id, w.about(n, example, n.id.Account.ID), action, example, n.id.Account.ID, nil)); a.State == Denied {
							break
						}
					}
					if a.State > best.State {
						best = a
					}
					if best.State == Allowed {
						return best
					}
				}
			}
		}
	}
	return best
}

// pattern is the type's ARN in an account, after wild: of any partition and region, and with a name at its end that is like one.
func (t *ResourceType) pattern(account, name string) string {
	var b strings.Builder
	text := t.ARN
	for {
		before, rest, found := strings.Cut(text, "${")
		b.WriteString(wild(before))
		if !found {
			return b.String()
		}
		variable, after, _ := strings.Cut(rest, "}")
		switch text = after; variable {
		case "Partition", "Region":
			b.WriteString(star)
		case "Account":
			b.WriteString(account)
		default:
			b.WriteString(wild(name))
		}
	}
}

// meets are resources that a statement is about, for an identity, and that are like a pattern of an ARN after wild: one for each that the statement names.
func (s *Statement) meets(template string, i *Identity) (all []string) {
	if s.notRes || s.resources == nil {
		return []string{example(template)}
	}
	for _, r := range s.resources {
		if r.all {
			all = append(all, example(template))
		} else if e, ok := meetARN(r.of(i), template); ok {
			all = append(all, e)
		}
	}
	return all
}

// example is a text that a pattern after wild matches.
func example(pattern string) string {
	return plain.Replace(pattern)
}

// meetARN is a text that is like an ARN with wildcards, part by part, and like the pattern of a whole one.
func meetARN(a, whole string) (string, bool) {
	parts := strings.SplitN(a, ":", arnParts)
	if parts[0] != "arn" {
		return meet(a, whole)
	}
	others := strings.SplitN(whole, ":", len(parts))
	if len(others) < len(parts) {
		return "", false
	}
	for k := range parts {
		e, ok := meet(parts[k], others[k])
		if !ok {
			return "", false
		}
		parts[k] = e
	}
	return strings.Join(parts, ":"), true
}

// maxARN is how long ARNs are at most, see https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetContextKeysForCustomPolicy.html.
const maxARN = 2048

// meet is a text that two patterns after wild match, if there is one. It takes no longer than the product of their lengths.
func meet(a, b string) (string, bool) {
	if len(a) > maxARN || len(b) > maxARN {
		return "", false
	}
	failed := make([]bool, (len(a)+1)*(len(b)+1))
	var backwards []byte
	var from func(i, j int) bool
	take := func(c byte, i, j int) bool {
		if !from(i, j) {
			return false
		}
		if c == one {
			c = 'x'
		}
		backwards = append(backwards, c)
		return true
	}
	from = func(i, j int) (ok bool) {
		at := i*(len(b)+1) + j
		if failed[at] {
			return false
		}
		starA, starB := i < len(a) && a[i] == star[0], j < len(b) && b[j] == star[0]
		switch {
		case i == len(a) && j == len(b):
			return true
		case starA && starB:
			ok = from(i+1, j) || from(i, j+1)
		case starA:
			ok = from(i+1, j) || j < len(b) && take(b[j], i, j+1)
		case starB:
			ok = from(i, j+1) || i < len(a) && take(a[i], i+1, j)
		case i == len(a) || j == len(b):
		case a[i] == b[j] || b[j] == one:
			ok = take(a[i], i+1, j+1)
		case a[i] == one:
			ok = take(b[j], i+1, j+1)
		}
		failed[at] = !ok
		return ok
	}
	ok := from(0, 0)
	slices.Reverse(backwards)
	return string(backwards), ok
}
