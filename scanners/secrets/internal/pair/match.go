package pair

import (
	"cmp"
	"slices"
)

// Distances in lines up to which a secret that has no name, or any secret, is taken for an id's without more evidence than that
// both stand in one file. Beyond, it is a candidate.
const (
	nearUnnamed = 60
	nearNamed   = 2000
)

type matcher struct {
	text       []byte
	marks      []mark
	values     []string    // of the marks
	secretOf   map[int]int // mark of an id to the mark of its secret
	tokenOf    map[int]int
	doneID     map[string]bool
	doneSecret map[string]bool
	full       map[int]bool // scopes with a whole pair inside
}

// run matches from the innermost scopes outwards, so that what stands closest together in the structure is settled first and no
// longer in the way.
func (m *matcher) run() {
	m.full = map[int]bool{}
	m.values = make([]string, len(m.marks))
	for i, k := range m.marks {
		m.values[i] = Value(m.text, k.Span)
	}
	deepest := 0
	for _, k := range m.marks {
		deepest = max(deepest, len(k.scope))
	}
	for d := deepest - 1; d >= 0; d-- {
		scopes := map[int][]int{}
		var order []int
		for i, k := range m.marks {
			if d < len(k.scope) && k.what != isRegion {
				s := k.scope[d]
				if scopes[s] == nil {
					order = append(order, s)
				}
				scopes[s] = append(scopes[s], i)
			}
		}
		for _, s := range order {
			m.settle(d, scopes[s])
		}
	}
}

// settle matches what is left in one scope.
func (m *matcher) settle(depth int, in []int) {
	m.match(depth, m.left(in, isID, m.doneID), m.left(in, isSecret, m.doneSecret))
	m.matchTokens(in)
}

// left lists marks of a kind that have no partner yet, once per value.
func (m *matcher) left(in []int, w what, done map[string]bool) []int {
	var out []int
	seen := map[string]bool{}
	for _, i := range in {
		if m.marks[i].what != w {
			continue
		}
		if v := m.values[i]; !done[v] && !seen[v] {
			seen[v] = true
			out = append(out, i)
		}
	}
	return out
}

func (m *matcher) match(depth int, ids, secrets []int) {
	if len(ids) == 0 || len(secrets) == 0 {
		return
	}
	if best := m.only(secrets, named); len(best) > 0 {
		secrets = best
	} else {
		secrets = m.only(secrets, unnamed) // what is named as something else is a candidate at best
	}
	if len(ids) == len(secrets) && (len(ids) == 1 || m.agree(ids, secrets)) {
		for k := range ids {
			if m.may(depth, ids[k], secrets[k], len(ids)) {
				m.pair(ids[k], secrets[k])
			}
		}
		return
	}
	type edge struct{ id, secret, cost int }
	var edges []edge
	for _, i := range ids {
		for _, s := range m.around(i, secrets) {
			if m.may(depth, i, s, len(ids)) && compatible(m.marks[i].stem, m.marks[s].stem) {
				edges = append(edges, edge{i, s, m.cost(i, s)})
			}
		}
	}
	slices.SortStableFunc(edges, func(a, b edge) int { return cmp.Or(a.cost-b.cost, a.id-b.id, a.secret-b.secret) })
	for _, e := range edges {
		if !m.doneID[m.values[e.id]] && !m.doneSecret[m.values[e.secret]] {
			m.pair(e.id, e.secret)
		}
	}
}

func (m *matcher) only(in []int, rank int) []int {
	var out []int
	for _, i := range in {
		if m.marks[i].rank >= rank {
			out = append(out, i)
		}
	}
	return out
}

// agree tells whether ids and secrets, taken in order, have names that go together.
func (m *matcher) agree(ids, secrets []int) bool {
	for k := range ids {
		if !compatible(m.marks[ids[k]].stem, m.marks[secrets[k]].stem) {
			return false
		}
	}
	return true
}

// compatible tells whether two stems can belong to one credential: they are the same, or one says nothing.
func compatible(a, b string) bool { return a == b || a == "" || b == "" }

// may tells whether an id and a secret that share no closer scope than one at depth may be paired at all. Sections are told
// apart unless the whole file has but one id; beside a scope that holds a whole pair, other scopes are credentials of their own, unless
// their names say otherwise.
func (m *matcher) may(depth, id, secret, ids int) bool {
	a, b := &m.marks[id], &m.marks[secret]
	lines := abs(a.line - b.line)
	if a.sect != b.sect && (ids > 1 || len(m.doneID) > 0) {
		return false
	}
	if m.full[a.scope[depth]] && a.line != b.line && depth+2 < len(a.scope) && depth+2 < len(b.scope) && (a.stem == "" || a.stem != b.stem) {
		return false
	}
	if b.rank >= named {
		return lines <= nearNamed
	}
	return lines <= nearUnnamed
}

// around returns the secrets nearest to an id on both sides, so that the work stays linear in long lists.
func (m *matcher) around(id int, secrets []int) []int {
	at, _ := slices.BinarySearch(secrets, id)
	return secrets[max(0, at-4):min(len(secrets), at+4)]
}

// cost orders the ways to pair: equal stems, then lines between, then bytes between; a secret stands behind its id more often than
// before it.
func (m *matcher) cost(id, secret int) int {
	a, b := &m.marks[id], &m.marks[secret]
	cost := 2 * abs(a.line-b.line) * 1000
	if b.Start < a.Start {
		cost += 1000
	}
	if a.stem != b.stem {
		cost += 500 * 1000
	}
	return cost + min(abs(a.Start-b.Start), 900) - 200*b.rank
}

func abs(n int) int { return max(n, -n) }

func (m *matcher) pair(id, secret int) {
	m.secretOf[id] = secret
	m.doneID[m.values[id]], m.doneSecret[m.values[secret]] = true, true
	a, b := m.marks[id].scope, m.marks[secret].scope
	for d := 0; d < len(a) && d < len(b) && a[d] == b[d]; d++ {
		m.full[a[d]] = true
	}
}

// matchTokens gives each session token to the nearest id of its scope that has none.
func (m *matcher) matchTokens(in []int) {
	var ids []int
	for _, i := range in {
		if _, ok := m.tokenOf[i]; m.marks[i].what == isID && !ok {
			ids = append(ids, i)
		}
	}
	if len(ids) == 0 {
		return
	}
	taken := map[int]bool{}
	for _, t := range m.tokenOf {
		taken[t] = true
	}
	for _, t := range in {
		if m.marks[t].what != isToken || taken[t] {
			continue
		}
		best := -1
		at, _ := slices.BinarySearch(ids, t)
		for _, i := range ids[max(0, at-2):min(len(ids), at+2)] {
			if _, ok := m.tokenOf[i]; ok || !compatible(m.marks[i].stem, m.marks[t].stem) {
				continue
			}
			if best < 0 || m.cost(i, t) < m.cost(best, t) {
				best = i
			}
		}
		if best >= 0 {
			m.tokenOf[best] = t
		}
	}
}

// found makes the answer: an entry per id, with the region that shares the closest scope.
func (m *matcher) found() []Found {
	var out []Found
	var secrets, regions []int
	for i, k := range m.marks {
		switch k.what {
		case isSecret:
			secrets = append(secrets, i)
		case isRegion:
			regions = append(regions, i)
		}
	}
	for i, k := range m.marks {
		if k.what != isID {
			continue
		}
		f := Found{ID: k.Span}
		if s, ok := m.secretOf[i]; ok {
			f.Secret = m.marks[s].Span
		}
		if t, ok := m.tokenOf[i]; ok {
			f.Token = m.marks[t].Span
		}
		if r := m.region(i, regions); r >= 0 {
			f.Region = m.marks[r].Span
		}
		if f.Secret.empty() && !m.doneID[m.values[i]] {
			f.Candidates = m.candidates(i, secrets)
		}
		out = append(out, f)
	}
	return out
}

func (m *matcher) region(id int, regions []int) int {
	best, bestCost := -1, 0
	at, _ := slices.BinarySearch(regions, id)
	for _, r := range regions[max(0, at-3):min(len(regions), at+3)] {
		a, b := &m.marks[id], &m.marks[r]
		if a.sect != b.sect || abs(a.line-b.line) > nearUnnamed {
			continue
		}
		cost := m.cost(id, r) - 1000*1000*shared(a.scope, b.scope)
		if best < 0 || cost < bestCost {
			best, bestCost = r, cost
		}
	}
	return best
}

func shared(a, b []int) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// candidates are the secrets that may be an unpaired id's, those without a partner first.
func (m *matcher) candidates(id int, secrets []int) []Span {
	near := m.around(id, secrets)
	near = slices.Clone(near)
	slices.SortStableFunc(near, func(a, b int) int {
		return cmp.Or(boolInt(m.doneSecret[m.values[a]])-boolInt(m.doneSecret[m.values[b]]), m.marks[b].rank-m.marks[a].rank, m.cost(id, a)-m.cost(id, b))
	})
	var out []Span
	seen := map[string]bool{}
	for _, s := range near {
		if v := m.values[s]; !seen[v] && len(out) < maxCandidates {
			seen[v] = true
			out = append(out, m.marks[s].Span)
		}
	}
	return out
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// rest are the marks that no id took.
func (m *matcher) rest() []mark {
	taken := map[int]bool{}
	for _, t := range m.tokenOf {
		taken[t] = true
	}
	var out []mark
	for i, k := range m.marks {
		if k.what == isSecret && !m.doneSecret[m.values[i]] || k.what == isToken && !taken[i] {
			out = append(out, k)
		}
	}
	return out
}
