package iam

import (
	"slices"
	"strings"
)

// A node is an identity with what it may and where it can move to.
type node struct {
	id     *Identity
	who    Principal
	layers Layers
	admin  Answer  // to whether it may everything
	raised *Answer // the same if it had a policy that allows everything; nil until it is needed
	moves  []Move
	moved  bool              // they were worked out
	able   map[string]Answer // of actions that were asked about on any resource
	own    own
	ways   []way
	hint   *way // the shortest that takes what is not known; nil for none
}

// A Move is one that an identity can make: to another, or to more rights of its own.
type Move struct {
	Step
	Target *Identity // whose rights it gives, all of them; nil where it gives those of an administrator
	Admin  *Account  // in which it gives those of an administrator; nil where Target is set
	State  State     // Allowed, or Undecided where what is not known decides
	// Supposes is what it takes beside, and is not known; "" for nothing. An Undecided move always supposes something.
	Supposes string
}

// Moves are all that an identity can make, and those that it perhaps can. An administrator's within its account are left out: it can become everybody there.
func (w *World) Moves(i *Identity) []Move { return w.withMoves(i).moves }

func (w *World) node(i *Identity) *node {
	n := w.nodes[i]
	if n == nil {
		n = &node{id: i, who: i.principal(), layers: i.layers(i.Account), able: map[string]Answer{}}
		n.admin = w.admin(i, n.layers)
		w.nodes[i] = n
	}
	return n
}

// does tells whether the identity has a statement that may allow an action: what none of its policies speaks of need not be asked.
func (n *node) does(action string) bool { return n.speaksOf(action, "") }

// speaksOf is does for a resource; "" is any.
func (n *node) speaksOf(action, resource string) bool {
	action = strings.ToLower(action)
	r := &Request{Principal: n.who, Resource: resource}
	for _, p := range n.layers.Identity {
		for _, s := range p.Statements {
			if s.Effect == Allow && s.does(action) && (resource == "" || s.concerns(r) != No) {
				return true
			}
		}
	}
	return false
}

// withMoves works out where an identity can move to, once.
func (w *World) withMoves(i *Identity) *node {
	n := w.node(i)
	if n.moved {
		return n
	}
	n.moved = true
	w.assume(n)
	if n.admin.State != Allowed {
		w.editSelf(n)
		w.takeOver(n)
		w.passRoles(n)
	}
	return n
}

// may answers whether a node's identity may do something in its account.
func (w *World) may(n *node, action, resource string, context map[string]Fact) Answer {
	if !n.speaksOf(action, resource) {
		return Answer{}
	}
	return w.ask(n.id, n.layers, action, resource, n.id.Account, context)
}

// add adds a move that takes some answers, unless one of them is no. It tells whether it was added, and is certain.
func (n *node) add(m Move, takes ...Answer) bool {
	a := all(takes...)
	if a.State == Denied {
		return false
	}
	m.From, m.State, m.Evidence = n.id.ARN, a.State, evidence(a.Witnesses)
	if a.State == Undecided {
		m.Supposes = "depends on " + strings.Join(a.Missing, ", ")
	}
	n.moves = append(n.moves, m)
	return a.State == Allowed
}

// all is the answer to several questions at once.
func all(answers ...Answer) Answer {
	together := Answer{State: Allowed}
	for _, a := range answers {
		if a.State < together.State {
			together.State = a.State
		}
		together.Witnesses = append(together.Witnesses, a.Witnesses...)
		for _, m := range a.Missing {
			if !slices.Contains(together.Missing, m) {
				together.Missing = append(together.Missing, m)
			}
		}
	}
	return together
}

// A trusting is what roles have in their trust policies, to find those that let somebody in without asking each.
type trusting struct {
	byName   map[string][]*Identity // ARNs, and accounts, that are named
	everyone []*Identity
}

func (w *World) trusting() *trusting {
	if w.trust != nil {
		return w.trust
	}
	w.trust = &trusting{byName: map[string][]*Identity{}}
	for _, a := range w.accounts {
		for _, role := range a.Roles {
			if role.Trust == nil {
				continue
			}
			names, everyone := map[string]bool{}, false
			for _, s := range role.Trust.Statements {
				if s.Effect == Deny || s.principals == nil {
					continue
				}
				everyone = everyone || s.principals.everyone || s.principals.not
				for _, n := range s.principals.aws {
					if parts := strings.SplitN(n, ":", arnParts); len(parts) == arnParts && parts[5] == "root" {
						n = parts[4]
					}
					names[n] = true
				}
			}
			for n := range names {
				w.trust.byName[n] = append(w.trust.byName[n], role)
			}
			if everyone {
				w.trust.everyone = append(w.trust.everyone, role)
			}
		}
	}
	return w.trust
}

// assume adds the roles whose trust policy lets the identity in; of an administrator's those of other accounts.
func (w *World) assume(n *node) {
	t := w.trusting()
	candidates := slices.Concat(t.byName[n.who.ARN], t.byName[n.who.Role], t.everyone)
	some, all := n.assumable()
	if all {
		candidates = append(candidates, t.byName[n.who.Account]...)
	}
	for _, arn := range some {
		if role := w.byARN[arn]; role != nil && role.Trust != nil {
			candidates = append(candidates, role)
		}
	}
	l, asked := n.layers, map[*Identity]bool{n.id: true}
	for _, role := range candidates {
		if asked[role] || n.admin.State == Allowed && role.Account == n.id.Account {
			continue
		}
		asked[role] = true
		l.RCPs, l.Resource = role.Account.RCPs, role.Trust
		n.add(Move{Step: Step{To: role.ARN, Edge: "assumes", Path: "sts-001"}, Target: role}, w.ask(n.id, l, "sts:AssumeRole", role.ARN, role.Account, nil))
	}
}

// assumable are the roles that the identity's statements name for sts:AssumeRole; all is whether some name more than single ones.
func (n *node) assumable() (some []string, all bool) {
	for _, p := range n.layers.Identity {
		for _, s := range p.Statements {
			if s.Effect == Deny || !s.does("sts:assumerole") {
				continue
			}
			if s.notRes || s.resources == nil {
				return nil, true
			}
			for _, r := range s.resources {
				if r.all || r.holds || strings.ContainsAny(r.text, "*?") {
					return nil, true
				}
				some = append(some, r.text)
			}
		}
	}
	return some, false
}

// names is how statements that allow name a principal: most trust policies name others.
func (p *Policy) names(who *Principal) (best naming) {
	for _, s := range p.Statements {
		switch {
		case s.Effect == Deny || s.principals == nil:
		case s.principals.not:
			best = max(best, asEveryone)
		default:
			best = max(best, s.principals.name(who))
		}
	}
	return best
}

// raised answers whether an identity would be admin if it had a policy that allows everything: boundary, denies and SCPs stay.
func (w *World) raised(i *Identity) Answer {
	n := w.node(i)
	if n.raised == nil {
		l := n.layers
		l.Identity = append(slices.Clone(l.Identity), everything("a policy of the attacker's"))
		a := w.admin(i, l)
		a.Witnesses = nil
		n.raised = &a
	}
	return *n.raised
}

// becomes answers whether an identity is admin with other layers.
func (w *World) becomes(i *Identity, l Layers) Answer {
	a := w.admin(i, l)
	a.Witnesses = nil
	return a
}

// editSelf adds ways in which an identity gives itself more, under the boundary and the SCPs that it has.
func (w *World) editSelf(n *node) {
	i := n.id
	try := func(path, action, resource string, after func() Answer) {
		if by := w.may(n, action, resource, nil); by.State != Denied {
			n.add(Move{Step: Step{To: resource, Edge: "edits-self", Path: path}, Admin: i.Account}, by, after())
		}
	}
	more := func() Answer { return w.raised(i) }
	having := func(identity ...[]*Policy) func() Answer {
		l := n.layers
		l.Identity = slices.Concat(identity...)
		return func() Answer { return w.becomes(i, l) }
	}
	if i.Role {
		try("iam-005", "iam:PutRolePolicy", i.ARN, more)
		try("iam-009", "iam:AttachRolePolicy", i.ARN, more)
	} else {
		try("iam-007", "iam:PutUserPolicy", i.ARN, more)
		try("iam-008", "iam:AttachUserPolicy", i.ARN, more)
		if i.boundary != nil {
			free := n.layers
			free.Boundary = nil
			unbound := func() Answer { return w.becomes(i, free) }
			try("iam-022", "iam:DeleteUserPermissionsBoundary", i.ARN, unbound)
			try("iam-024", "iam:PutUserPermissionsBoundary", i.ARN, unbound)
		}
		for k, p := range i.own { // what denies may be taken away
			if hasDeny(p) {
				try("iam-026", "iam:DeleteUserPolicy", i.ARN, having(n.layers.Identity[:k], n.layers.Identity[k+1:]))
			}
		}
		for k, m := range i.attached {
			if at := len(i.own) + k; hasDeny(m.policy) {
				try("iam-025", "iam:DetachUserPolicy", i.ARN, having(n.layers.Identity[:at], n.layers.Identity[at+1:]))
			}
		}
		for _, g := range i.Account.groups {
			if !slices.Contains(i.groups, g) {
				try("iam-013", "iam:AddUserToGroup", g.arn, having(n.layers.Identity, g.policies()))
			}
		}
	}
	for _, g := range i.groups {
		try("iam-010", "iam:AttachGroupPolicy", g.arn, more)
		try("iam-011", "iam:PutGroupPolicy", g.arn, more)
	}
	for _, m := range i.allAttached() {
		if m.customer() {
			try("iam-001", "iam:CreatePolicyVersion", m.arn, more)
		}
	}
}

func hasDeny(p *Policy) bool {
	return slices.ContainsFunc(p.Statements, func(s *Statement) bool { return s.Effect == Deny })
}

func (i *Identity) allAttached() []*managed {
	all := slices.Clone(i.attached)
	for _, g := range i.groups {
		all = append(all, g.attached...)
	}
	return all
}

// A change is a catalogued way to change somebody.
type change struct{ path, action, edge string }

// What makes a user or a role one's own, what gives it more once it is, and what gives more to a role that may be assumed as it is.
var (
	userEntries = []change{{"iam-002", "iam:CreateAccessKey", "reads-credential"}, {"iam-004", "iam:CreateLoginProfile", "reads-credential"}, {"iam-006", "iam:UpdateLoginProfile", "reads-credential"}}
	userGrants  = []change{{"iam-015", "iam:AttachUserPolicy", "edits"}, {"iam-018", "iam:PutUserPolicy", "edits"}}
	roleEntries = []change{{"iam-012", "iam:UpdateAssumeRolePolicy", "edits"}}
	roleGrants  = []change{{"iam-019", "iam:AttachRolePolicy", "edits"}, {"iam-021", "iam:PutRolePolicy", "edits"}}
	roleAssumed = []change{{"iam-014", "iam:AttachRolePolicy", "edits"}, {"iam-017", "iam:PutRolePolicy", "edits"}}
	versions    = change{"iam-020", "iam:CreatePolicyVersion", "edits"}
	unbinding   = change{"iam-023", "iam:DeleteRolePermissionsBoundary", "edits"}
)

// those are the changes that an identity's policies speak of.
func (n *node) those(all ...change) []change {
	return slices.DeleteFunc(slices.Clone(all), func(c change) bool { return !n.does(c.action) })
}

// takeOver adds identities of the account that this one can act as after a change to them: a new key or password, another trust; or that it can also give more.
func (w *World) takeOver(n *node) {
	i := n.id
	more := n.those(slices.Concat(userGrants, roleGrants, []change{versions, unbinding})...)
	into := [...][]change{n.those(userEntries...), n.those(roleEntries...)}
	if len(more)+len(into[0])+len(into[1]) == 0 {
		return
	}
	assumed := map[*Identity]Answer{}
	for _, m := range n.moves {
		assumed[m.Target] = Answer{State: m.State, Missing: []string{m.Supposes}}
	}
	for _, target := range slices.Concat(i.Account.Users, i.Account.Roles) {
		if target == i || linked(target.ARN) || strings.Contains(target.ARN, ":role/aws-reserved/") {
			continue // which nobody may change
		}
		entries, grants := into[0], userGrants
		if target.Role {
			entries, grants = into[1], roleGrants
		}
		entered := Answer{}
		for _, c := range entries {
			by := w.may(n, c.action, target.ARN, nil)
			if n.add(Move{Step: Step{To: target.ARN, Edge: c.edge, Path: c.path}, Target: target}, by) || by.State > entered.State {
				entered = by
			}
			if entered.State == Allowed {
				break
			}
		}
		if by := assumed[target]; by.State > entered.State {
			entered, grants = by, roleAssumed
		}
		if entered.State == Denied || len(more) == 0 || w.node(target).admin.State == Allowed {
			continue
		}
		try := func(c change, resource string, after func() Answer) bool {
			by := w.may(n, c.action, resource, nil)
			return by.State != Denied && n.add(Move{Step: Step{To: target.ARN, Edge: c.edge, Path: c.path}, Admin: target.Account}, entered, by, after())
		}
		raised := func() Answer { return w.raised(target) }
		done := slices.ContainsFunc(grants, func(c change) bool { return try(c, target.ARN, raised) })
		done = done || slices.ContainsFunc(target.allAttached(), func(m *managed) bool { return m.customer() && try(versions, m.arn, raised) })
		if !done && target.Role && target.boundary != nil {
			free := w.node(target).layers
			free.Boundary = nil
			try(unbinding, target.ARN, func() Answer { return w.becomes(target, free) })
		}
	}
}

// passRoles adds roles that a service would run code of the identity's as, where it may make that service do so.
func (w *World) passRoles(n *node) {
	if !n.does("iam:PassRole") {
		return
	}
	i := n.id
	passed := map[string]Answer{} // by role and service
	reached := map[*Identity]State{}
	for _, m := range n.moves {
		reached[m.Target] = max(reached[m.Target], m.State)
	}
	for _, p := range catalogue() {
		if p.Category != "new-passrole" {
			continue
		}
		able := w.able(n, p.Required)
		if able.State == Denied {
			continue
		}
		for _, role := range i.Account.Roles {
			for _, service := range p.MustTrust {
				if reached[role] >= able.State || !w.trusts(role, service) {
					continue
				}
				pass, asked := passed[role.ARN+" "+service]
				if !asked {
					pass = w.may(n, "iam:PassRole", role.ARN, map[string]Fact{"iam:PassedToService": Known(service)})
					passed[role.ARN+" "+service] = pass
				}
				if pass.State > reached[role] {
					n.add(Move{Step: Step{To: role.ARN, Edge: "passes", Path: p.ID}, Target: role}, pass, able)
					reached[role] = min(pass.State, able.State)
				}
			}
		}
	}
}

// able answers whether an identity may do all that a path takes beside passing a role, each on some resource.
func (w *World) able(n *node, actions []string) Answer {
	together := Answer{State: Allowed}
	for _, action := range actions {
		if action == "iam:PassRole" {
			continue
		}
		if together = all(together, w.somewhere(n, action)); together.State == Denied {
			break
		}
	}
	return together
}

// trusts tells whether a service may take a role.
func (w *World) trusts(role *Identity, service string) bool {
	key := trustKey{role, service}
	known, ok := w.trusted[key]
	if !ok {
		known = w.judgeTrust(role, service)
		w.trusted[key] = known
	}
	return known
}

// A trustKey is a question about a role.
type trustKey struct {
	role    *Identity
	service string
}

func (w *World) judgeTrust(role *Identity, service string) bool {
	if role.Trust == nil || role.Trust.names(&Principal{Kind: Service, Service: service}) == unnamed {
		return false
	}
	l := Layers{Resource: role.Trust, RCPs: role.Account.RCPs}
	r := Request{Principal: Principal{Kind: Service, Service: service}, Action: "sts:AssumeRole", Resource: role.ARN, Account: role.Account.ID, Facts: func(key string) Fact {
		if key == "aws:sourceaccount" {
			return Known(role.Account.ID)
		}
		return Chosen()
	}}
	return l.Evaluate(r).State == Allowed
}

// somewhere answers whether an identity may do something on some resource: on all, or on one that a statement of its own names.
func (w *World) somewhere(n *node, action string) (best Answer) {
	if known, ok := n.able[action]; ok {
		return known
	}
	defer func() { n.able[action] = best }()
	if !n.does(action) {
		return best
	}
	resources := []string{"*"}
	name := strings.ToLower(action)
	for _, p := range n.layers.Identity {
		for _, s := range p.Statements {
			if s.Effect == Allow && s.does(name) {
				for _, r := range s.resourceExamples(n.id) {
					if !slices.Contains(resources, r) {
						resources = append(resources, r)
					}
				}
			}
		}
	}
	for _, r := range resources {
		if a := w.ask(n.id, n.layers, action, r, n.id.Account, nil); a.State > best.State {
			best = a
		}
		if best.State == Allowed {
			break
		}
	}
	return best
}
