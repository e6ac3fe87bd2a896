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

// maxAsks is how often a single role is looked at for somebody: where policies all differ, that takes each with each. It is some twenty seconds of one core, and 1 GB of moves if
// all are allowed. An account may have 5,000 roles.
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

// A trusting is groups of roles by what they have in their trust policies, to find those that let somebody in without asking each.
type trusting struct {
	byName   map[string][]*peers // ARNs, and accounts, that are named
	everyone []*peers
	any      []*Identity // what stands for parts
	names    map[string]int
}

func (w *World) trusting() *trusting {
	if w.trust != nil {
		return w.trust
	}
	w.trust = &trusting{byName: map[string][]*peers{}, names: map[string]int{}}
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
		for _, c := range order {
			w.trust.add(c)
		}
	}
	return w.trust
}

func (t *trusting) add(c *peers) {
	names, everyone := map[string]bool{}, false
	for _, s := range c.roles[0].Trust.Statements {
		if s.Effect == Allow {
			some, all := s.principals.indexed()
			everyone = everyone || all
			for _, n := range some {
				names[n] = true
			}
		}
	}
	slices.SortFunc(c.roles, byARN)
	for n := range names {
		t.byName[n] = append(t.byName[n], c)
	}
	if everyone {
		t.everyone = append(t.everyone, c)
	}
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
		for k := range s.conditions { // a key that whoever asks chooses is tried with all values that there are
			if c := &s.conditions[k]; ours || facts(c.key).state == chosen {
				fmt.Fprintf(&b, " %q %q %t %t %d", c.key, c.operator, c.ifExists, c.null, c.set)
				for _, v := range c.values {
					fmt.Fprintf(&b, " %q", v.text)
				}
			}
		}
		b.WriteByte('\n')
	}
	for _, t := range sortedTags(role.Tags) {
		if name := strings.ToLower(t[0]); tags[name] || tags[""] {
			fmt.Fprintf(&b, " %q", t)
		}
	}
	return b.String()
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
	for _, c := range slices.Concat(t.byName[n.who.ARN], t.byName[n.who.Role], t.everyone) {
		a.peers(c, nil)
	}
	some, like, all := n.assumable()
	if all || len(like) > 0 {
		for _, c := range t.byName[n.who.Account] {
			a.peers(c, like)
		}
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
		if last := len(answer.Witnesses) - 1; last >= 0 && answer.Witnesses[last].Layer == LayerResource {
			by = p.roles[0].trustedBy(answer.Witnesses[last].Statement)
			answer.Witnesses = answer.Witnesses[:last]
		}
		to := a.any(p, by)
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

// any is what stands for the roles of an alike to those whom a statement lets in; -1 is none.
func (a *assumption) any(p *alike, by int) *Identity {
	if any := p.any[by]; any != nil {
		return any
	}
	t, first := a.trust, p.roles[0]
	name := fmt.Sprintf("any of %d roles of %s such as %s", len(p.roles), first.Account.ID, first.ARN)
	if t.names[name]++; t.names[name] > 1 {
		name += fmt.Sprintf(" (%d)", t.names[name])
	}
	any := &Identity{ARN: name, Account: first.Account, Role: true, Any: p.roles}
	n := &node{id: any, moved: true, moves: make([]Move, len(p.roles))}
	for k, role := range p.roles {
		m := Move{Step: Step{From: name, To: role.ARN, Edge: "assumes", Path: "sts-001"}, Target: role, State: Allowed}
		seen := -1
		for _, s := range role.Trust.Statements {
			if s.ofIdentities() {
				if seen++; seen == by {
					m.Evidence = evidence([]Witness{witness(LayerResource, s)})
				}
			}
		}
		n.moves[k] = m
	}
	p.any[by], a.nodes[any], t.any = any, n, append(t.any, any)
	return any
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
