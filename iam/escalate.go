package iam

import (
	"slices"
	"strings"
)

// A node is an identity with what it may and where it can move to.
type node struct {
	id       *Identity
	who      Principal
	layers   Layers
	services map[string]bool // of which its policies may allow something; nil for any
	admin    Answer          // to whether it may everything
	raised   *Answer         // the same if it had a policy that allows everything; nil until it is needed
	moves    []Move
	moved    bool              // they were worked out
	able     map[string]Answer // of actions that were asked about on any resource
	beyond   []string          // roles that it may perhaps assume, in accounts that were not read
	left     int               // roles that were not asked about, as there were too many
	data     []string          // unproven ways to data, by their ids
	own      []own             // one for an account; none where it may nothing
	doubts   []doubt           // what of its own it is not known to be allowed: for each account and level the first
	ways     []way
	hint     *way // the shortest that takes what is not known; nil for none
}

// A Move is one that an identity can make: to another, or to more rights of its own.
type Move struct {
	Step
	Target *Identity // whose rights it gives, all of them, or those of any of its Any; nil where it gives those of an administrator
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
		n.services = n.spoken()
		n.admin = w.admin(i, n.layers)
		w.nodes[i] = n
	}
	return n
}

// spoken are the services that statements of the identity's allow something of; nil stands for any.
func (n *node) spoken() map[string]bool {
	services := map[string]bool{}
	for _, p := range n.layers.Identity {
		for _, s := range p.Statements {
			if s.Effect == Deny {
				continue
			}
			for _, a := range s.actions {
				service, _, whole := strings.Cut(a.pieces[0], ":")
				if s.notActions || !whole || strings.IndexByte(service, one) >= 0 {
					return nil
				}
				services[service] = true
			}
		}
	}
	return services
}

// does tells whether the identity has a statement that may allow an action: what none of its policies speaks of need not be asked.
func (n *node) does(action string) bool {
	service, _, _ := strings.Cut(action, ":")
	return (n.services == nil || n.services[service]) && n.speaksOf(action, "")
}

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
		w.throughServices(n)
		w.identityCenter(n)
		w.unprovenWays(n)
	}
	return n
}

// may answers whether a node's identity may do something in its account.
func (w *World) may(n *node, action, resource string, context map[string]Fact) Answer {
	if !n.speaksOf(action, resource) {
		return Answer{}
	}
	return w.ask(n.id, n.layers, action, resource, n.id.Account.ID, context)
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
		by := w.edit(n, action, resource, i)
		if by.State == Denied {
			return
		}
		if strings.HasPrefix(path, "LX") {
			by = all(by, unproven)
		}
		n.add(Move{Step: Step{To: resource, Edge: "edits-self", Path: path}, Admin: i.Account}, by, after())
	}
	more := func() Answer { return w.raised(i) }
	having := func(identity ...[]*Policy) func() Answer {
		return func() Answer {
			l := n.layers
			l.Identity = slices.Concat(identity...)
			return w.becomes(i, l)
		}
	}
	// What differs between users and roles, and what drops a policy that denies.
	put, attach, unbind, bind, drop, detach := [2]string{"iam-007", "iam:PutUserPolicy"}, [2]string{"iam-008", "iam:AttachUserPolicy"}, [2]string{"iam-022", "iam:DeleteUserPermissionsBoundary"},
		[2]string{"iam-024", "iam:PutUserPermissionsBoundary"}, [2]string{"iam-026", "iam:DeleteUserPolicy"}, [2]string{"iam-025", "iam:DetachUserPolicy"}
	if i.Role {
		put, attach, unbind, bind, drop, detach = [2]string{"iam-005", "iam:PutRolePolicy"}, [2]string{"iam-009", "iam:AttachRolePolicy"}, [2]string{"iam-023", "iam:DeleteRolePermissionsBoundary"},
			[2]string{"LX02", "iam:PutRolePermissionsBoundary"}, [2]string{"LX03", "iam:DeleteRolePolicy"}, [2]string{"LX03", "iam:DetachRolePolicy"}
	}
	try(put[0], put[1], i.ARN, more)
	try(attach[0], attach[1], i.ARN, more)
	if i.boundary != nil {
		unbound := func() Answer {
			l := n.layers
			l.Boundary = nil
			return w.becomes(i, l)
		}
		try(unbind[0], unbind[1], i.ARN, unbound)
		try(bind[0], bind[1], i.ARN, unbound)
	}
	for k, p := range i.own {
		if hasDeny(p) {
			try(drop[0], drop[1], i.ARN, having(n.layers.Identity[:k], n.layers.Identity[k+1:]))
		}
	}
	for k, m := range i.attached {
		if at := len(i.own) + k; hasDeny(m.policy) {
			try(detach[0], detach[1], i.ARN, having(n.layers.Identity[:at], n.layers.Identity[at+1:]))
		}
	}
	at := len(i.own) + len(i.attached)
	for _, g := range i.groups {
		try("iam-010", "iam:AttachGroupPolicy", g.arn, more)
		try("iam-011", "iam:PutGroupPolicy", g.arn, more)
		of := len(g.own) + len(g.attached)
		if slices.ContainsFunc(n.layers.Identity[at:at+of], hasDeny) {
			try("LX03", "iam:RemoveUserFromGroup", g.arn, having(n.layers.Identity[:at], n.layers.Identity[at+of:]))
		}
		at += of
	}
	if !i.Role && n.does("iam:AddUserToGroup") {
		for _, g := range i.Account.groups {
			if !slices.Contains(i.groups, g) {
				try("iam-013", "iam:AddUserToGroup", g.arn, having(n.layers.Identity, g.policies()))
			}
		}
	}
	for _, m := range i.allAttached() {
		if !m.customer() {
			continue
		}
		try("iam-001", "iam:CreatePolicyVersion", m.arn, more)
		if len(m.others) == 0 || !n.does("iam:SetDefaultPolicyVersion") {
			continue
		}
		for _, version := range m.others {
			with := slices.Clone(n.layers.Identity)
			with[slices.Index(with, m.policy)] = version
			try("LX03", "iam:SetDefaultPolicyVersion", m.arn, having(with))
		}
	}
}

// edit answers whether an identity may change something that gives a target more. Where the change is to attach a policy, that is one which allows everything.
func (w *World) edit(n *node, action, resource string, target *Identity) (best Answer) {
	if !n.does(action) {
		return best
	}
	context := map[string]Fact{"iam:PermissionsBoundary": Absent()}
	if target.bound != "" {
		context["iam:PermissionsBoundary"] = Known(target.bound)
	}
	key := ""
	switch {
	case strings.HasPrefix(action, "iam:Attach"):
		key = "iam:PolicyARN"
	case strings.HasPrefix(action, "iam:Put") && strings.HasSuffix(action, "PermissionsBoundary"):
		key = "iam:PermissionsBoundary"
	default:
		return w.may(n, action, resource, context)
	}
	for _, arn := range target.Account.unlimited() {
		context[key] = Known(arn)
		if a := w.may(n, action, resource, context); a.State > best.State {
			best = a
		}
		if best.State == Allowed {
			break
		}
	}
	return best
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
		for _, target := range m.Target.each() {
			assumed[target] = Answer{State: m.State}
			if m.Supposes != "" {
				assumed[target] = Answer{State: m.State, Missing: []string{strings.TrimPrefix(m.Supposes, "depends on ")}}
			}
		}
	}
	for _, target := range slices.Concat(i.Account.Users, i.Account.Roles) {
		if target == i || linked(target.ARN) || reserved(target.ARN) {
			continue // which nobody may change
		}
		entries, grants := into[0], userGrants
		if target.Role {
			entries, grants = into[1], roleGrants
		}
		entered := Answer{}
		for _, c := range entries {
			by := w.edit(n, c.action, target.ARN, target)
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
			by := w.edit(n, c.action, resource, target)
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
