package iam

import (
	"fmt"
	"slices"
	"strings"
)

// maxHops is how many moves a way to admin may have.
const maxHops = 8

// A node is an identity with what it may and where it can move to.
type node struct {
	id     *Identity
	who    Principal
	layers Layers
	admin  State
	by     []Witness // of admin
	edges  []edge
	known  bool // its edges are
	maybe  []string
	able   map[string]ability // of actions that were asked about on any resource
}

type ability struct {
	by []Witness
	ok bool
}

// An edge leads to an identity, or, where to is nil, to admin rights in an account.
type edge struct {
	step Step
	to   *Identity
	in   *Account // where to is nil
}

func (w *World) node(i *Identity) *node {
	n := w.nodes[i]
	if n == nil {
		n = &node{id: i, who: i.principal(), layers: i.layers(i.Account)}
		n.admin, n.by = w.admin(i, n.layers)
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

// Reach is what an identity opens: the shortest way to admin, or what it may by itself.
func (w *World) Reach(i *Identity) Reach {
	r := Reach{Identity: i, Accounts: []string{}}
	n := w.node(i)
	if !i.Account.Organisation {
		r.Limits = append(r.Limits, "the SCPs of account "+i.Account.ID+" were not read: the result is an upper bound")
	}
	for _, layer := range i.unread {
		r.Limits = append(r.Limits, "its "+string(layer)+" could not be read whole")
	}
	if n.admin == Allowed {
		r.Level, r.Accounts = LevelAdmin, []string{i.Account.ID}
		r.Steps = []Step{{From: i.ARN, To: "arn:aws:iam::" + i.Account.ID + ":root", Edge: "may", Evidence: evidence(n.by)}}
		return r
	}
	steps, accounts, maybe := w.ways(i)
	if len(accounts) > 0 {
		r.Level, r.Steps, r.Accounts = LevelEscalation, steps, accounts
		return r
	}
	level, by, undecided := w.own(i, n.layers)
	r.Level = level
	if n.admin == Undecided {
		r.Limits = append(r.Limits, "whether it may everything depends on what is not known")
	}
	r.Limits = append(r.Limits, maybe...)
	if level == LevelNone && (undecided || n.admin == Undecided || len(i.unread) > 0) {
		r.Level = LevelUnknown
	}
	if level > LevelNone {
		r.Accounts = []string{i.Account.ID}
		r.Steps = []Step{{From: i.ARN, To: "arn:aws:iam::" + i.Account.ID + ":root", Edge: "may", Evidence: evidence(by)}}
	}
	return r
}

// ways looks for the shortest way to admin, and for all accounts in which there is one.
func (w *World) ways(start *Identity) (steps []Step, accounts []string, maybe []string) {
	type at struct {
		id   *Identity
		path []Step
	}
	seen := map[*Identity]bool{start: true}
	queue := []at{{start, nil}}
	arrive := func(path []Step, a *Account) {
		if steps == nil {
			steps = path
		}
		if !slices.Contains(accounts, a.ID) {
			accounts = append(accounts, a.ID)
		}
	}
	for len(queue) > 0 {
		here := queue[0]
		queue = queue[1:]
		if len(here.path) == maxHops {
			continue
		}
		n := w.withEdges(here.id)
		maybe = append(maybe, n.maybe...)
		for _, e := range n.edges {
			path := append(slices.Clone(here.path), e.step)
			if e.to == nil {
				arrive(path, e.in)
				continue
			}
			if seen[e.to] {
				continue
			}
			seen[e.to] = true
			if w.node(e.to).admin == Allowed {
				arrive(path, e.to.Account)
			}
			queue = append(queue, at{e.to, path})
		}
	}
	slices.Sort(accounts)
	if len(maybe) > 5 {
		maybe = append(maybe[:5:5], fmt.Sprintf("and %d more", len(maybe)-5))
	}
	return steps, accounts, maybe
}

// withEdges works out where an identity can move to, once.
func (w *World) withEdges(i *Identity) *node {
	n := w.node(i)
	if n.known {
		return n
	}
	n.known = true
	w.assume(n)
	w.editSelf(n)
	w.takeOver(n)
	w.passRoles(n)
	return n
}

// may tells whether a node's identity may do something, and notes what it may only perhaps. The statements are those that allow it.
func (w *World) may(n *node, path, action, resource string, owner *Account, context map[string]Fact) ([]Witness, bool) {
	if !n.speaksOf(action, resource) {
		return nil, false
	}
	a := w.ask(n.id, n.layers, action, resource, owner, context)
	if a.State == Undecided {
		n.maybe = append(n.maybe, fmt.Sprintf("%s on %s (%s) depends on %s", action, resource, path, strings.Join(a.Missing, ", ")))
	}
	return a.Witnesses, a.State == Allowed
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

// assume adds the roles whose trust policy lets the identity in.
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
		if asked[role] {
			continue
		}
		asked[role] = true
		l.RCPs, l.Resource = role.Account.RCPs, role.Trust
		answer := w.ask(n.id, l, "sts:AssumeRole", role.ARN, role.Account, nil)
		switch answer.State {
		case Allowed:
			n.edges = append(n.edges, edge{Step{n.id.ARN, role.ARN, "assumes", "sts-001", evidence(answer.Witnesses)}, role, nil})
		case Undecided:
			n.maybe = append(n.maybe, fmt.Sprintf("sts:AssumeRole on %s depends on %s", role.ARN, strings.Join(answer.Missing, ", ")))
		}
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

// with is an identity's layers with one more policy, which allows everything.
func (i *Identity) with(l Layers) Layers {
	l.Identity = append(slices.Clone(l.Identity), everything("a policy of the attacker's"))
	return l
}

// becomes adds an edge to admin where layers that the identity can get are admin's.
func (w *World) becomes(n *node, of *Identity, l Layers, step Step) bool {
	if state, _ := w.admin(of, l); state != Allowed {
		return false
	}
	n.edges = append(n.edges, edge{step, nil, of.Account})
	return true
}

// editSelf adds ways in which an identity gives itself more, under the boundary and the SCPs that it has.
func (w *World) editSelf(n *node) {
	i := n.id
	more := i.with(n.layers)
	try := func(path, action, resource string, l Layers) {
		by, ok := w.may(n, path, action, resource, i.Account, nil)
		if ok {
			w.becomes(n, i, l, Step{i.ARN, resource, "edits-self", path, evidence(by)})
		}
	}
	if i.Role {
		try("iam-005", "iam:PutRolePolicy", i.ARN, more)
		try("iam-009", "iam:AttachRolePolicy", i.ARN, more)
	} else {
		try("iam-007", "iam:PutUserPolicy", i.ARN, more)
		try("iam-008", "iam:AttachUserPolicy", i.ARN, more)
		free := n.layers
		free.Boundary = nil
		if i.boundary != nil {
			try("iam-022", "iam:DeleteUserPermissionsBoundary", i.ARN, free)
			try("iam-024", "iam:PutUserPermissionsBoundary", i.ARN, free)
		}
		for k, p := range i.own { // what denies may be taken away
			less := n.layers
			less.Identity = slices.Concat(i.own[:k:k], i.own[k+1:], n.layers.Identity[len(i.own):])
			if hasDeny(p) {
				try("iam-026", "iam:DeleteUserPolicy", i.ARN, less)
			}
		}
		for k, m := range i.attached {
			less := n.layers
			at := len(i.own) + k
			less.Identity = slices.Concat(n.layers.Identity[:at:at], n.layers.Identity[at+1:])
			if hasDeny(m.policy) {
				try("iam-025", "iam:DetachUserPolicy", i.ARN, less)
			}
		}
		for _, g := range i.Account.groups {
			if slices.Contains(i.groups, g) {
				continue
			}
			joined := n.layers
			joined.Identity = slices.Concat(n.layers.Identity, g.own)
			for _, m := range g.attached {
				joined.Identity = append(joined.Identity, m.policy)
			}
			try("iam-013", "iam:AddUserToGroup", g.arn, joined)
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
	assumed := map[*Identity]edge{}
	for _, e := range n.edges {
		if e.step.Edge == "assumes" {
			assumed[e.to] = e
		}
	}
	for _, target := range slices.Concat(i.Account.Users, i.Account.Roles) {
		if target == i || linked(target.ARN) || strings.Contains(target.ARN, ":role/aws-reserved/") {
			continue // which nobody may change
		}
		entries, grants := into[0], userGrants
		if target.Role {
			entries, grants = into[1], roleGrants
		}
		entered := false
		for _, c := range entries {
			if by, ok := w.may(n, c.path, c.action, target.ARN, i.Account, nil); ok {
				n.edges = append(n.edges, edge{Step{i.ARN, target.ARN, c.edge, c.path, evidence(by)}, target, nil})
				entered = true
				break
			}
		}
		if _, ok := assumed[target]; ok && !entered {
			entered, grants = true, roleAssumed
		}
		if !entered || len(more) == 0 || w.node(target).admin == Allowed {
			continue
		}
		own := target.layers(target.Account)
		try := func(c change, resource string, l Layers) bool {
			by, ok := w.may(n, c.path, c.action, resource, i.Account, nil)
			return ok && w.becomes(n, target, l, Step{i.ARN, target.ARN, c.edge, c.path, evidence(by)})
		}
		done := slices.ContainsFunc(grants, func(c change) bool { return try(c, target.ARN, target.with(own)) })
		done = done || slices.ContainsFunc(target.allAttached(), func(m *managed) bool { return m.customer() && try(versions, m.arn, target.with(own)) })
		if !done && target.Role && target.boundary != nil {
			free := own
			free.Boundary = nil
			try(unbinding, target.ARN, free)
		}
	}
}

// passRoles adds roles that a service would run code of the identity's as, where it may make that service do so.
func (w *World) passRoles(n *node) {
	if !n.does("iam:PassRole") {
		return
	}
	i := n.id
	passed := map[string]ability{} // by role and service
	reached := map[*Identity]bool{}
	for _, e := range n.edges {
		reached[e.to] = true
	}
	for _, p := range catalogue() {
		if p.Category != "new-passrole" || len(p.MustTrust) == 0 {
			continue
		}
		able := true
		var by []Witness
		for _, action := range p.Required {
			if action == "iam:PassRole" {
				continue
			}
			a := w.somewhere(n, action)
			if able = a.ok; !able {
				break
			}
			by = append(by, a.by...)
		}
		if !able {
			continue
		}
		for _, role := range i.Account.Roles {
			if reached[role] {
				continue
			}
			for _, service := range p.MustTrust {
				if !w.trusts(role, service) {
					continue
				}
				pass, asked := passed[role.ARN+" "+service]
				if !asked {
					pass.by, pass.ok = w.may(n, p.ID, "iam:PassRole", role.ARN, i.Account, map[string]Fact{"iam:PassedToService": Known(service)})
					passed[role.ARN+" "+service] = pass
				}
				if pass.ok {
					reached[role] = true
					n.edges = append(n.edges, edge{Step{i.ARN, role.ARN, "passes", p.ID, evidence(slices.Concat(pass.by, by))}, role, nil})
					break
				}
			}
		}
	}
}

// trusts tells whether a service may take a role.
func (w *World) trusts(role *Identity, service string) bool {
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

// somewhere tells whether an identity may do something on some resource: on all, or on one that a statement of its own names.
func (w *World) somewhere(n *node, action string) (a ability) {
	if known, ok := n.able[action]; ok {
		return known
	}
	if n.able == nil {
		n.able = map[string]ability{}
	}
	defer func() { n.able[action] = a }()
	if !n.does(action) {
		return a
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
		if answer := w.ask(n.id, n.layers, action, r, n.id.Account, nil); answer.State == Allowed {
			return ability{answer.Witnesses, true}
		}
	}
	return a
}
