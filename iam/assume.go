package iam

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

const assumeRole = "sts:assumerole"

// fewest is how many roles are worth grouping. Fewer are moved to one by one.
const fewest = 16

// maxAsks is how often a single role is looked at for somebody: where policies of both sides all differ, or go by who somebody is, that takes each with each. It is some twenty
// seconds of one core, and 1 GB of moves if all are allowed. An account may have 5,000 roles.
const maxAsks = 2_000_000

// Peers are roles of an account whose trust policies say the same to users and roles. Whoever may assume one of them may assume all, as far as their own policies do not
// tell them apart. So many who may each assume many cost as much as they are, and not each times each.
type peers struct {
	roles []*Identity // by their ARNs
	parts map[string][]*alike
}

// An alike is those roles of a group that an identity's policies do not tell apart.
type alike struct {
	roles []*Identity
	any   map[int]*Identity // what stands for them, by the statement that lets somebody in
}

// Few are roles whose trust policies others have too seldom to be peers, by their ARNs. Plain ones do not go by who of an account somebody is.
type few struct{ plain, picky []*Identity }

// A circle is what identities may assume of some plain roles that no policy tells apart in that: of one account, with statements that say the same. So many of them, and
// many roles whose trust policies all differ, cost as much as they are as well.
type circle struct {
	alike [][]*Identity // roles, of one account each, that they may assume by the same statements
	any   []*Identity   // what stands for each of those
	left  int           // roles that were not asked about
}

// A trusting is groups of roles by what they have in their trust policies, to find those that let somebody in without asking each.
type trusting struct {
	byName  map[string][]*peers // ARNs, and accounts, that are named; "" for everyone
	few     map[string]*few     // by accounts, likewise
	circles map[string]*circle  // by what identities have, and of which roles
	any     []*Identity         // what stands for parts
	names   map[string]int
}

func (w *World) trusting() *trusting {
	if w.trust != nil {
		return w.trust
	}
	w.trust = &trusting{byName: map[string][]*peers{}, few: map[string]*few{}, circles: map[string]*circle{}, names: map[string]int{}}
	tags := w.tellingTags()
	for _, a := range w.accounts {
		groups, order := map[string]*peers{}, []*peers{}
		for _, role := range a.Roles {
			if role.Trust == nil {
				continue
			}
			key := w.trustOf(role, tags)
			c := groups[key]
			if c == nil {
				c = &peers{parts: map[string][]*alike{}}
				groups[key], order = c, append(order, c)
			}
			c.roles = append(c.roles, role)
		}
		plain := !slices.ContainsFunc(slices.Concat(a.RCPs...), (*Policy).personal)
		for _, c := range order {
			w.trust.add(c, len(c.roles) >= w.fewest, plain && !c.roles[0].Trust.personal())
		}
	}
	for _, f := range w.trust.few {
		slices.SortFunc(f.plain, byARN)
		slices.SortFunc(f.picky, byARN)
	}
	return w.trust
}

func (t *trusting) add(c *peers, many, plain bool) {
	names := map[string]bool{}
	for _, s := range c.roles[0].Trust.Statements {
		if s.Effect == Allow {
			some, all := s.callers()
			for _, n := range some {
				names[n] = true
			}
			if all {
				names[""] = true
			}
		}
	}
	slices.SortFunc(c.roles, byARN)
	for n := range names {
		if many || strings.Contains(n, ":") {
			t.byName[n] = append(t.byName[n], c)
			continue
		}
		f := t.few[n]
		if f == nil {
			f = &few{}
			t.few[n] = f
		}
		if plain {
			f.plain = append(f.plain, c.roles...)
		} else {
			f.picky = append(f.picky, c.roles...)
		}
	}
}

// callers are whom a statement of a trust policy lets in at most, as for [principals.indexed]: those whom a condition on aws:PrincipalArn names, where it has one without wildcards.
func (s *Statement) callers() (names []string, everyone bool) {
	wild := func(v pattern) bool {
		return v.holds || strings.ContainsAny(v.text, "*?") || !strings.Contains(v.text, ":")
	}
	for i := range s.conditions {
		c := &s.conditions[i]
		asks := c.key == "aws:principalarn" && !c.negated && !c.ifExists && !c.null && c.set == single && (strings.HasSuffix(c.operator, "equals") || strings.HasSuffix(c.operator, "like"))
		if !asks || slices.ContainsFunc(c.values, wild) {
			continue
		}
		for _, v := range c.values {
			names = append(names, v.text)
		}
		return names, false
	}
	return s.principals.indexed()
}

// personal tells whether what a policy says about assuming roles goes by who of an account somebody is.
func (p *Policy) personal() bool {
	return slices.ContainsFunc(p.Statements, func(s *Statement) bool {
		return s.does(assumeRole) && (s.principals.personal() || slices.ContainsFunc(s.resources, func(r resource) bool { return r.holds }) ||
			slices.ContainsFunc(s.conditions, func(c condition) bool {
				return c.key == "aws:principalarn" || c.key == "aws:username" || c.key == "aws:userid" || strings.HasPrefix(c.key, "aws:principaltag/") ||
					slices.ContainsFunc(c.values, func(v pattern) bool { return v.holds })
			}))
	})
}

// personal tells whether some are named who are no account.
func (p *principals) personal() bool {
	if p == nil {
		return false
	}
	names, _ := p.indexed()
	return p.not || slices.ContainsFunc(names, func(n string) bool { return strings.Contains(n, ":") })
}

func byARN(a, b *Identity) int { return cmp.Compare(a.ARN, b.ARN) }

// ofIdentities tells whether a statement of a trust policy has a say about users and roles.
func (s *Statement) ofIdentities() bool {
	return s.principals != nil && (s.principals.not || s.principals.everyone || len(s.principals.aws) > 0)
}

// trustOf is all of a role that makes a difference to who may assume it, but for its name.
func (w *World) trustOf(role *Identity, tags map[string]bool) string {
	var b strings.Builder
	facts := w.facts(role, "")
	for _, s := range role.Trust.Statements {
		ours := s.ofIdentities()
		if ours {
			fmt.Fprintf(&b, "%t %t %t %t %q %t", s.Effect, role.Trust.variables, s.principals.not, s.principals.everyone, s.principals.aws, s.notActions)
			for _, a := range s.actions {
				fmt.Fprintf(&b, " %q", a.pieces)
			}
			if s.resources != nil {
				b.WriteString(role.ARN)
			}
		}
		s.tell(&b, func(c *condition) bool { return ours || facts(c.key).state == chosen }) // such a key is tried with all values that there are
		b.WriteByte('\n')
	}
	for _, t := range sortedTags(role.Tags) {
		if name := strings.ToLower(t[0]); tags[name] || tags[""] {
			fmt.Fprintf(&b, " %q", t)
		}
	}
	return b.String()
}

// tell writes down conditions that make a difference.
func (s *Statement) tell(b *strings.Builder, matters func(*condition) bool) {
	for k := range s.conditions {
		if c := &s.conditions[k]; matters(c) {
			fmt.Fprintf(b, " %q %q %t %t %d", c.key, c.operator, c.ifExists, c.null, c.set)
			for _, v := range c.values {
				fmt.Fprintf(b, " %q", v.text)
			}
		}
	}
}

func sortedTags(tags map[string]string) (all [][2]string) {
	for name, value := range tags {
		all = append(all, [2]string{name, value})
	}
	slices.SortFunc(all, func(a, b [2]string) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	return all
}

// tellingTags are the names, in lower case, of tags of roles that some policy asks for; "" for all.
func (w *World) tellingTags() map[string]bool {
	tags, seen := map[string]bool{}, map[*Policy]bool{}
	look := func(text string) {
		for _, after := range strings.Split(strings.ToLower(text), "resourcetag/")[1:] {
			name, _, _ := strings.Cut(after, "}")
			name, _, _ = strings.Cut(name, ",")
			tags[strings.TrimSpace(name)] = true
		}
	}
	for _, a := range w.accounts {
		for _, i := range slices.Concat(a.Users, a.Roles) {
			l := i.layers(a)
			l.Resource = i.Trust
			l.each(func(p *Policy) {
				if seen[p] {
					return
				}
				seen[p] = true
				for _, s := range p.Statements {
					for k := range s.resources {
						look(s.resources[k].text)
					}
					for k := range s.conditions {
						look(s.conditions[k].key)
						for _, v := range s.conditions[k].values {
							look(v.text)
						}
					}
				}
			})
		}
	}
	return tags
}

// assume adds the roles whose trust policy lets the identity in; of an administrator's those of other accounts.
func (w *World) assume(n *node) {
	t := w.trusting()
	a := assumption{World: w, n: n, done: map[*peers]bool{}, asked: map[*Identity]bool{n.id: true}, picky: map[*Account]*pickiness{}}
	for _, c := range slices.Concat(t.byName[n.who.ARN], t.byName[n.who.Role], t.byName[""]) {
		a.peers(c, nil)
	}
	a.few("", nil)
	some, like, all := n.assumable()
	if all || len(like) > 0 {
		for _, c := range t.byName[n.who.Account] {
			a.peers(c, like)
		}
		a.few(n.who.Account, like)
	}
	for _, arn := range some {
		if role := w.byARN[arn]; role != nil {
			a.role(role)
		} else if account := w.owner(arn, n.id.Account); w.Account(account) == nil {
			if a := w.ask(n.id, w.about(n, arn, account), "sts:AssumeRole", arn, account, nil); a.State != Denied {
				n.beyond = append(n.beyond, arn)
			}
		}
	}
}

// An assumption is the work of finding what an identity may assume.
type assumption struct {
	*World
	n     *node
	done  map[*peers]bool
	asked map[*Identity]bool
	picky map[*Account]*pickiness // by whose roles they are about
}

// ask asks for a role; it is denied to an administrator of its account, who needs none.
func (a *assumption) ask(role *Identity) Answer {
	if role.Trust == nil || a.n.admin.State == Allowed && role.Account == a.n.id.Account {
		return Answer{}
	}
	l := a.n.layers
	l.RCPs, l.Resource = role.Account.RCPs, role.Trust
	return a.World.ask(a.n.id, l, "sts:AssumeRole", role.ARN, role.Account.ID, nil)
}

// role adds a single one.
func (a *assumption) role(role *Identity) {
	if a.asked[role] {
		return
	}
	a.asked[role] = true
	if a.asks == 0 {
		a.n.left++
		a.cut = true
		return
	}
	a.asks--
	a.n.add(Move{Step: Step{To: role.ARN, Edge: "assumes", Path: "sts-001"}, Target: role}, a.ask(role))
}

// peers adds those roles of a group, or only those whose names are like patterns.
func (a *assumption) peers(c *peers, like []string) {
	if a.done[c] {
		return
	}
	a.done[c] = true
	if len(c.roles) < a.fewest {
		for _, role := range named(c.roles, like) {
			a.role(role)
		}
		return
	}
	for _, p := range a.parts(c, like) {
		if len(p.roles) < a.fewest {
			for _, role := range p.roles {
				a.role(role)
			}
			continue
		}
		answer := a.ask(p.roles[0])
		if answer.State == Denied {
			continue
		}
		by := -1
		others, own := trustOfRole(answer.Witnesses)
		if answer.Witnesses = others; own != nil {
			by = p.roles[0].trustedBy(own.Statement)
		}
		to := p.any[by]
		if to == nil {
			to = a.any(p.roles, func(role *Identity, _ int) *Statement { return role.trusts(by) })
			p.any[by] = to
		}
		a.n.add(Move{Step: Step{To: to.ARN, Edge: "assumes", Path: "sts-001"}, Target: to}, answer)
	}
}

// named are the roles, which are sorted, whose names begin as some patterns do; all where there are none.
func named(roles []*Identity, like []string) (some []*Identity) {
	if like == nil {
		return roles
	}
	for _, pattern := range like {
		prefix := pattern[:strings.IndexAny(pattern, "*?")]
		from, _ := slices.BinarySearchFunc(roles, prefix, func(i *Identity, p string) int { return cmp.Compare(i.ARN, p) })
		for ; from < len(roles) && strings.HasPrefix(roles[from].ARN, prefix); from++ {
			some = append(some, roles[from])
		}
	}
	slices.SortFunc(some, byARN)
	return slices.Compact(some)
}

// trustedBy is which of the statements that have a say about identities one is, by its number. Those of other roles of the group are in the same order.
func (i *Identity) trustedBy(number int) (k int) {
	for _, s := range i.Trust.Statements[:number-1] {
		if s.ofIdentities() {
			k++
		}
	}
	return k
}

// trusts is the statement of a number among those that have a say about identities; nil for none.
func (i *Identity) trusts(number int) *Statement {
	for _, s := range i.Trust.Statements {
		if s.ofIdentities() {
			if number == 0 {
				return s
			}
			number--
		}
	}
	return nil
}

// any is what stands for some roles of an account, each of which lets somebody in by a statement; nil is none.
func (a *assumption) any(roles []*Identity, by func(role *Identity, k int) *Statement) *Identity {
	t, first := a.trust, roles[0]
	name := fmt.Sprintf("any of %d roles of %s such as %s", len(roles), first.Account.ID, first.ARN)
	if t.names[name]++; t.names[name] > 1 {
		name += fmt.Sprintf(" (%d)", t.names[name])
	}
	any := &Identity{ARN: name, Account: first.Account, Role: true, Any: roles}
	n := &node{id: any, moved: true, moves: make([]Move, len(roles))}
	for k, role := range roles {
		m := Move{Step: Step{From: name, To: role.ARN, Edge: "assumes", Path: "sts-001"}, Target: role, State: Allowed}
		if s := by(role, k); s != nil {
			m.Evidence = evidence([]Witness{witness(LayerResource, s)})
		}
		n.moves[k] = m
	}
	a.nodes[any], t.any = n, append(t.any, any)
	return any
}

// few adds those of the few of an account, "" for everybody's, whose names are like patterns.
func (a *assumption) few(of string, like []string) {
	f := a.trust.few[of]
	if f == nil {
		return
	}
	for _, role := range named(f.picky, like) {
		a.role(role)
	}
	plain := named(f.plain, like)
	key, ok := "", false
	if len(plain) >= a.fewest {
		key, ok = a.sayings()
	}
	if !ok {
		for _, role := range plain {
			a.role(role)
		}
		return
	}
	key += fmt.Sprintf(" of %q %q", of, like)
	c := a.trust.circles[key]
	if c == nil {
		c = a.circle(plain)
		a.trust.circles[key] = c
	}
	if c.left > 0 {
		a.n.left += c.left
		a.cut = true
	}
	for k, roles := range c.alike {
		if c.any[k] == nil {
			for _, role := range roles {
				a.role(role)
			}
			continue
		}
		answer := a.ask(roles[0])
		answer.Witnesses, _ = trustOfRole(answer.Witnesses)
		a.n.add(Move{Step: Step{To: c.any[k].ARN, Edge: "assumes", Path: "sts-001"}, Target: c.any[k]}, answer)
	}
}

// trustOfRole parts from the witnesses of an answer the one of the role's trust policy, which comes last; nil is none.
func trustOfRole(by []Witness) (others []Witness, own *Witness) {
	if last := len(by) - 1; last >= 0 && by[last].Layer == LayerResource {
		return by[:last], &by[last]
	}
	return by, nil
}

// circle asks for plain roles, for the identity and all that are like it.
func (a *assumption) circle(plain []*Identity) *circle {
	if a.asks < len(plain) {
		return &circle{left: len(plain)}
	}
	a.asks -= len(plain)
	c, at, by := &circle{}, map[string]int{}, [][]*Statement{}
	for _, role := range plain {
		answer := a.ask(role)
		if answer.State == Denied {
			continue
		}
		others, own := trustOfRole(answer.Witnesses)
		key := fmt.Sprintf("%s %d %#v %q", role.Account.ID, answer.State, others, answer.Missing)
		k, known := at[key]
		if !known {
			k = len(c.alike)
			at[key], c.alike, by = k, append(c.alike, nil), append(by, nil)
		}
		var s *Statement
		if own != nil {
			s = role.Trust.Statements[own.Statement-1]
		}
		c.alike[k], by[k] = append(c.alike[k], role), append(by[k], s)
	}
	c.any = make([]*Identity, len(c.alike))
	for k, roles := range c.alike {
		if len(roles) >= a.fewest {
			c.any[k] = a.any(roles, func(_ *Identity, n int) *Statement { return by[k][n] })
		}
	}
	return c
}

// sayings is all that makes a difference to which plain roles the identity may assume; not ok where that goes by who it is.
func (a *assumption) sayings() (text string, ok bool) {
	n := a.n
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s %t %t %q", n.who.Kind, n.id.Account.ID, n.admin.State == Allowed, n.layers.Boundary == nil, n.layers.Unread)
	facts := a.facts(n.id, "")
	for k, policies := range [][]*Policy{n.layers.Identity, n.layers.Boundary, slices.Concat(n.layers.SCPs...)} {
		for _, p := range policies {
			if p.personal() {
				return "", false
			}
			if k == 2 { // the account's
				continue
			}
			fmt.Fprintf(&b, "\n%d %t", k, p.variables)
			for _, s := range p.Statements {
				does := s.does(assumeRole)
				if does {
					fmt.Fprintf(&b, " %t %t", s.Effect, s.notRes)
					for i := range s.resources {
						fmt.Fprintf(&b, " %q", s.resources[i].text)
					}
				}
				s.tell(&b, func(c *condition) bool { return does || facts(c.key).state == chosen })
			}
		}
	}
	return b.String(), true
}

// A pickiness is the statements about assuming roles that are not about all roles.
type pickiness struct {
	statements []*Statement
	text       string // the same for those that tell the same roles apart
}

// about are those that have a say about the identity and roles of an account.
func (a *assumption) about(account *Account) *pickiness {
	if p := a.picky[account]; p != nil {
		return p
	}
	p, l := &pickiness{}, a.n.layers
	l.RCPs, l.Resource = account.RCPs, nil
	var b strings.Builder
	l.each(func(policy *Policy) {
		for _, s := range policy.Statements {
			if s.resources == nil || slices.ContainsFunc(s.resources, func(r resource) bool { return r.all }) || !s.does(assumeRole) {
				continue
			}
			p.statements = append(p.statements, s)
			fmt.Fprintf(&b, "%t", s.notRes)
			for k := range s.resources {
				if fmt.Fprintf(&b, " %q", s.resources[k].text); s.resources[k].holds {
					b.WriteString(" of " + a.n.id.ARN)
				}
			}
			b.WriteByte('\n')
		}
	})
	p.text = b.String()
	a.picky[account] = p
	return p
}

// parts are the roles of a group whose names are like patterns, by what the identity's policies tell apart.
func (a *assumption) parts(c *peers, like []string) (all []*alike) {
	picky := a.about(c.roles[0].Account)
	key := fmt.Sprintf("%s%q", picky.text, like)
	if known, ok := c.parts[key]; ok {
		return known
	}
	if len(picky.statements) == 0 && like == nil {
		all = []*alike{{c.roles, map[int]*Identity{}}}
	} else {
		some := named(c.roles, like)
		if a.asks < len(some) {
			a.n.left += len(some)
			a.cut = true
			return nil
		}
		a.asks -= len(some)
		by := map[string]*alike{}
		for _, role := range some {
			r := &Request{Principal: a.n.who, Resource: role.ARN, Facts: a.facts(a.n.id, role.ARN)}
			var b strings.Builder
			for _, s := range picky.statements {
				r.void = ""
				fmt.Fprintf(&b, "%d%s ", s.concerns(r), r.void)
			}
			p := by[b.String()]
			if p == nil {
				p = &alike{any: map[int]*Identity{}}
				by[b.String()], all = p, append(all, p)
			}
			p.roles = append(p.roles, role)
		}
	}
	c.parts[key] = all
	return all
}

// assumable are the roles that the identity's statements name for sts:AssumeRole: single ones, and those that are like patterns. all is whether some name others.
func (n *node) assumable() (some, like []string, all bool) {
	for _, p := range n.layers.Identity {
		for _, s := range p.Statements {
			if s.Effect == Deny || !s.does(assumeRole) {
				continue
			}
			all = all || s.notRes || s.resources == nil
			for _, r := range s.resources {
				switch {
				case s.notRes:
				case r.all || r.holds:
					all = true
				case strings.ContainsAny(r.text, "*?"):
					like = append(like, r.text)
				default:
					some = append(some, r.text)
				}
			}
		}
	}
	if all {
		like = nil
	}
	return some, like, all
}

// each are the identities that one stands for: itself, or any of several.
func (i *Identity) each() []*Identity {
	switch {
	case i == nil:
		return nil
	case i.Any != nil:
		return i.Any
	}
	return []*Identity{i}
}

// through is a move on to one of several that another move leads to any of.
func (m *Move) through(next *Move) *Move {
	whole := *m
	whole.To, whole.Target = next.To, next.Target
	if whole.Evidence != "" && next.Evidence != "" {
		whole.Evidence += "; "
	}
	whole.Evidence += next.Evidence
	return &whole
}
