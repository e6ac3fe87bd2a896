package iam

import (
	"fmt"
	"slices"
	"strings"
)

// maxHops is how many moves a way may have.
const maxHops = 8

// A way is the shortest one by which an identity gets a level in an account.
type way struct {
	level   Level
	account string
	hops    int
	move    *Move // the first; nil for what the identity may by itself
}

// An arrow is a move, seen from where it leads.
type arrow struct {
	from *node
	move *Move
}

// solve finds the ways of all identities, from their ends: what it takes grows with the moves that there are, and not with the identities for each of them.
func (w *World) solve() {
	if w.solved {
		return
	}
	w.solved = true
	identities := w.Identities()
	into := map[*node][]arrow{}
	type end struct {
		level   Level
		account string
	}
	ends := map[end][]arrow{}
	var order []end
	seed := func(e end, a arrow) {
		if ends[e] == nil {
			order = append(order, e)
		}
		ends[e] = append(ends[e], a)
	}
	var perhaps []arrow // ends of ways that take what is not known
	for _, i := range identities {
		n := w.withMoves(i)
		if n.admin.State == Allowed {
			seed(end{LevelAdmin, i.Account.ID}, arrow{n, nil})
		} else {
			w.judgeOwn(n)
			for _, o := range n.own {
				seed(end{o.level, o.account}, arrow{n, nil})
			}
		}
		if n.admin.State != Denied {
			perhaps = append(perhaps, arrow{n, nil})
		}
		for k := range n.moves {
			m := &n.moves[k]
			switch {
			case m.Target != nil:
				into[w.node(m.Target)] = append(into[w.node(m.Target)], arrow{n, m})
			case m.State == Allowed:
				seed(end{LevelAdmin, m.Admin.ID}, arrow{n, m})
				fallthrough
			default:
				perhaps = append(perhaps, arrow{n, m})
			}
		}
	}
	for _, any := range w.trusting().any {
		n := w.node(any)
		for k := range n.moves {
			to := w.node(n.moves[k].Target)
			into[to] = append(into[to], arrow{n, &n.moves[k]})
		}
	}
	for _, a := range w.accounts {
		w.lead(a, ends[end{LevelAdmin, a.ID}], into)
	}
	slices.SortStableFunc(order, func(a, b end) int { return int(b.level) - int(a.level) })
	for _, e := range order {
		spread(ends[e], into, func(a arrow, hops int) bool {
			if a.move != nil && a.move.State != Allowed {
				return false
			}
			if a.from.id.Any != nil && hops == maxHops {
				return false // nobody has a step left to come to it
			}
			if k := len(a.from.ways) - 1; k >= 0 && (a.from.ways[k].level > e.level || a.from.ways[k].account == e.account) {
				return false // it has a higher one, or was here
			}
			a.from.ways = append(a.from.ways, way{e.level, e.account, hops, a.move})
			return true
		})
	}
	spread(perhaps, into, func(a arrow, hops int) bool {
		if a.from.hint != nil {
			return false
		}
		a.from.hint = &way{LevelUnknown, "", hops, a.move}
		return true
	})
}

// Administration are the moves of whoever may everything in an account to identities of it from which moves lead on to other accounts: an administrator can act
// as everybody, and a role may trust nobody but one of them. For each such role there is one move.
func (w *World) Administration(a *Account) (moves []Move) {
	led := map[*Identity]bool{}
	everybody := slices.Concat(a.Users, a.Roles)
	slices.SortStableFunc(everybody, func(a, b *Identity) int { return int(w.node(b).admin.State) - int(w.node(a).admin.State) }) // an administrator is no detour
	for _, i := range everybody {
		if linked(i.ARN) || strings.Contains(i.ARN, ":role/aws-reserved/") {
			continue // whom nobody may change
		}
		on := false
		for _, m := range w.Moves(i) {
			if m.Target == nil || m.Target.Account == a || m.State != Allowed || led[m.Target] {
				continue
			}
			led[m.Target] = true
			for _, to := range m.Target.each() {
				on = on || m.Target == to || !led[to]
				led[to] = true
			}
		}
		if on {
			step := Step{From: root(a.ID), To: i.ARN, Edge: "edits", Evidence: "who may everything in an account can act as everybody of it"}
			moves = append(moves, Move{Step: step, Target: i, State: Allowed})
		}
	}
	return moves
}

func root(account string) string { return "arn:aws:iam::" + account + ":root" }

// lead adds the moves of an account's administrators to its other identities, by way of one node that stands for all of them.
func (w *World) lead(a *Account, admins []arrow, into map[*node][]arrow) {
	moves := w.Administration(a)
	if len(moves) == 0 {
		return
	}
	hub := &node{id: &Identity{ARN: root(a.ID), Account: a}, moves: moves, moved: true}
	w.nodes[hub.id] = hub
	for k := range moves {
		to := w.node(moves[k].Target)
		into[to] = append(into[to], arrow{hub, &moves[k]})
	}
	for _, in := range admins {
		m := Move{Step: in.from.may(a.ID, in.from.admin.Witnesses), State: Allowed}
		if in.move != nil {
			m = *in.move
		}
		m.Target, m.Admin = hub.id, nil
		into[hub] = append(into[hub], arrow{in.from, &m})
	}
}

// spread walks from ends against the moves, shortest ways first, as long as each identity takes what it is told.
func spread(ends []arrow, into map[*node][]arrow, take func(a arrow, hops int) bool) {
	var now, later []arrow
	for _, a := range ends {
		if a.move == nil {
			now = append(now, a)
		} else {
			later = append(later, a)
		}
	}
	for hops := 0; hops <= maxHops && len(now)+len(later) > 0; hops++ {
		next := later
		later = nil
		for k := 0; k < len(now); k++ {
			if !take(now[k], hops) {
				continue
			}
			for _, a := range into[now[k].from] {
				if a.from.id.Any != nil { // which is no step of its own
					now = append(now, a)
				} else {
					next = append(next, a)
				}
			}
		}
		now = next
	}
}

// Reach is what an identity opens: the highest level that it has or can get, and the shortest way to it.
func (w *World) Reach(i *Identity) Reach {
	w.solve()
	n := w.node(i)
	r := Reach{Identity: i, Level: LevelNone, Accounts: []string{}}
	if !i.Account.Organisation {
		r.limit("the SCPs of account " + i.Account.ID + " were not read: the result is an upper bound")
	}
	for _, layer := range i.unread {
		r.limit("its " + string(layer) + " could not be read whole")
	}
	if len(n.ways) > 0 {
		best := slices.MinFunc(n.ways, func(a, b way) int { return a.hops - b.hops })
		r.Level = best.level
		for _, x := range n.ways {
			r.Accounts = append(r.Accounts, x.account)
		}
		slices.Sort(r.Accounts)
		moves, end := w.route(n, best, func(n *node) way {
			return n.ways[slices.IndexFunc(n.ways, func(x way) bool { return x.level == best.level && x.account == best.account })]
		})
		r.Steps = r.follow(moves)
		switch {
		case len(moves) > 0 && best.level == LevelAdmin:
			r.Level = LevelEscalation
		case best.level == LevelAdmin:
			r.Steps = append(r.Steps, end.may(best.account, end.admin.Witnesses))
		default:
			o := end.own[slices.IndexFunc(end.own, func(o own) bool { return o.account == best.account })]
			r.Steps = append(r.Steps, end.may(best.account, o.by))
		}
	}
	if r.Level >= LevelEscalation {
		return r
	}
	if n.admin.State == Undecided {
		r.limit("whether it may everything depends on " + strings.Join(n.admin.Missing, ", "))
	}
	for k, arn := range n.beyond {
		if k == maxLimits {
			r.limit(fmt.Sprintf("and %d more roles of accounts that were not read", len(n.beyond)-k))
			break
		}
		r.limit("sts-001: assumes " + arn + ", if that lets it in: its account was not read")
	}
	cut := w.cut && (n.left > 0 || len(n.moves) > 0)
	switch {
	case n.left > 0:
		r.limit(fmt.Sprintf("sts-001: %d roles that it may perhaps assume were not asked about: there are too many", n.left))
	case cut:
		r.limit("sts-001: not all roles were asked about that those whom it can become may perhaps assume: there are too many")
	}
	if len(n.data) > 0 {
		r.limit("unproven ways to data: " + strings.Join(n.data, ", "))
	}
	doubt := n.doubt()
	undecided := doubt != "" || cut || len(n.beyond) > 0 || n.admin.State == Undecided || len(i.unread) > 0
	if n.hint != nil && n.hint.move != nil {
		moves, end := w.route(n, *n.hint, func(n *node) way { return *n.hint })
		r.Possible = r.follow(moves)
		if end != nil && end.admin.State == Undecided {
			r.limit("whether " + end.id.ARN + " may everything depends on " + strings.Join(end.admin.Missing, ", "))
		}
		undecided = true
	}
	more := 0
	for k := range n.moves {
		m := &n.moves[k]
		if m.State == Allowed {
			continue
		}
		undecided = true
		switch {
		case m.Target != nil && !w.hinted(m.Target, i):
		case len(r.Limits) < maxLimits:
			r.limit(m.limit())
		default:
			more++
		}
	}
	if more > 0 {
		r.limit(fmt.Sprintf("and %d more such", more))
	}
	if r.Level == LevelNone && undecided {
		r.Level = LevelUnknown
	}
	if doubt != "" {
		r.limit(doubt)
	}
	return r
}

// hinted tells whether an identity, or any of those that it stands for but one, perhaps becomes an administrator.
func (w *World) hinted(i, but *Identity) bool {
	hint := w.node(i).hint
	if hint == nil || i.Any == nil || hint.move.Target != but {
		return hint != nil
	}
	return slices.ContainsFunc(i.Any, func(role *Identity) bool { return role != but && w.node(role).hint != nil })
}

// A Right is a level that an identity has in an account by itself.
type Right struct {
	Step
	Account  string
	Level    Level
	State    State  // Allowed, or Undecided where what is not known decides
	Supposes string // as of a [Move]
}

// Rights are what an identity may before any move: the highest level that it has in each account, and that of an administrator if it perhaps has that.
func (w *World) Rights(i *Identity) (all []Right) {
	w.solve()
	n, own := w.node(i), i.Account.ID
	if n.admin.State == Allowed {
		return []Right{{n.may(own, n.admin.Witnesses), own, LevelAdmin, Allowed, ""}}
	}
	for _, o := range n.own {
		all = append(all, Right{n.may(o.account, o.by), o.account, o.level, Allowed, ""})
	}
	if n.admin.State == Undecided {
		all = append(all, Right{n.may(own, nil), own, LevelAdmin, Undecided, "depends on " + strings.Join(n.admin.Missing, ", ")})
	}
	return all
}

// maxLimits is how many limits are told one by one.
const maxLimits = 6

func (r *Reach) limit(text string) {
	if !slices.Contains(r.Limits, text) {
		r.Limits = append(r.Limits, text)
	}
}

// limit tells what a move supposes.
func (m *Move) limit() string { return fmt.Sprintf("%s: %s %s %s", m.Path, m.Edge, m.To, m.Supposes) }

// follow are the steps of moves; what they suppose becomes a limit.
func (r *Reach) follow(moves []*Move) (steps []Step) {
	for _, m := range moves {
		steps = append(steps, m.Step)
		if m.Supposes != "" {
			r.limit(m.limit())
		}
	}
	return steps
}

// route is a way's moves, and the identity that has the level at its end: nil if the last move gives it. At each identity the way goes on as next says.
func (w *World) route(n *node, x way, next func(*node) way) (moves []*Move, end *node) {
	for x.move != nil {
		if n.id.Any != nil {
			moves[len(moves)-1] = moves[len(moves)-1].through(x.move)
		} else {
			moves = append(moves, x.move)
		}
		if x.move.Target == nil {
			return moves, nil
		}
		n = w.node(x.move.Target)
		x = next(n)
	}
	return moves, n
}

// may is a step by which an identity uses what it has in an account.
func (n *node) may(account string, by []Witness) Step {
	return Step{From: n.id.ARN, To: root(account), Edge: "may", Evidence: evidence(by)}
}
