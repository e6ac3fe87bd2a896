package pair

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

// KindToken is the secret kind of a candidate that is a session token; candidates of kind [audit.KindAWSKey] without an ID are
// secret access keys.
const KindToken = "aws-session-token"

// How close two places are, from closest. The reasons for the order: a content and its earlier versions are about one thing; a
// variable's name is chosen by a person to go with the other half's; a directory is narrower than an archive, an archive than a
// commit, which may be an import of everything.
const (
	sameObject    = iota // one content
	samePath             // two versions of one file, or the name of one variable twice
	sameName             // variables or files of one scope whose names differ but for the words for keys
	sameFolder           // two files of one directory in one commit or in the working tree, variables of one settings page
	sameArchive          // two members of one container
	sameDirectory        // two files of one directory, in different commits
	sameOwner            // variables of an organisation and its repositories
	sameCommit           // two files of one commit
	sameTarget           // anything of one target
	apart
)

// Bounds of the work: places looked at per finding, candidates weighed per shared place.
const (
	maxPlaces = 512
	maxWeigh  = 64
)

// Join completes access key ids that were found without their secret by candidates found elsewhere, makes one finding of those that
// name the same id, and drops the candidates. An id takes the closest candidate as its value if the place or the name
// of the candidate speaks for it, and up to 4 next best ones as candidates for a verifier to settle. Places are ranked as the
// constants above say; within a rank a candidate that is named as a secret goes first (its finding has severity high, or
// lies in a variable or file so named), then one that no other id is closer to. The result depends neither on the order of
// findings nor on chance.
func Join(findings []audit.Finding) []audit.Finding {
	j := joiner{merged: map[int]int{}}
	j.sort(findings)
	if len(j.ids) > 0 {
		j.unite()
		j.complete()
	}
	out := make([]audit.Finding, 0, len(findings)-len(j.secrets)-len(j.tokens))
	for i := range j.all {
		if _, gone := j.merged[i]; !gone && !j.all[i].Candidate {
			out = append(out, j.all[i])
		}
	}
	return out
}

type joiner struct {
	all     []audit.Finding
	ids     []int // findings of an access key id, one per id
	secrets []half
	tokens  []half
	merged  map[int]int // finding that is part of another one
}

// A half is a candidate finding, with all others of the same value.
type half struct {
	at     int // finding
	more   []int
	named  bool
	first  string // its first place, for a stable order
	value  string // digest of its value, where two are found at one place
	used   bool
	places []place
}

// sort tells ids, candidates and all else apart. It looks at findings by place, so that their order in the list has no
// influence on what is joined.
func (j *joiner) sort(findings []audit.Finding) {
	j.all = slices.Clone(findings)
	type sortable struct {
		i     int
		first string
	}
	var order []sortable
	for i := range j.all {
		j.all[i].Locations = slices.Clip(j.all[i].Locations) // they are the caller's, and adopt appends
		if s := j.all[i].Secret; s != nil && (s.Kind == audit.KindAWSKey || j.all[i].Candidate) {
			order = append(order, sortable{i, firstPlace(&j.all[i])})
		}
	}
	slices.SortStableFunc(order, func(a, b sortable) int { return strings.Compare(a.first, b.first) })
	byID := map[string]int{}
	secrets, tokens := map[string]int{}, map[string]int{}
	for _, o := range order {
		i := o.i
		f := &j.all[i]
		s := f.Secret
		switch {
		case f.Candidate && s.ID == "" && s.HasValue() && s.Kind == audit.KindAWSKey:
			j.secrets = addHalf(j.secrets, secrets, i, o.first, f)
		case f.Candidate && s.HasValue() && s.Kind == KindToken:
			j.tokens = addHalf(j.tokens, tokens, i, o.first, f)
		case !f.Candidate && s.Kind == audit.KindAWSKey && s.ID != "":
			have, ok := byID[s.ID]
			if !ok {
				byID[s.ID] = i
				j.ids = append(j.ids, i)
				continue
			}
			j.adopt(have, i)
		}
	}
}

// addHalf adds a candidate to those of the same value. The digest orders and tells apart, and leaves this package no further.
func addHalf(hs []half, byValue map[string]int, i int, first string, f *audit.Finding) []half {
	d := audit.Key{}.ValueDigest(f.Secret)
	if k, ok := byValue[d]; ok {
		h := &hs[k]
		h.more = append(h.more, i)
		h.named = h.named || isNamed(f)
		return hs
	}
	byValue[d] = len(hs)
	return append(hs, half{at: i, named: isNamed(f), first: first, value: d})
}

func isNamed(f *audit.Finding) bool {
	return f.Severity.Rank() >= audit.High.Rank() ||
		slices.ContainsFunc(f.Locations, func(l audit.Location) bool { return strings.Contains(fold(nameOf(l)), "secret") })
}

// nameOf is the name of a variable or the base name of a file.
func nameOf(l audit.Location) string {
	if l.Name != "" && l.Path == "" {
		return l.Name
	}
	base := path.Base(l.Path)
	return strings.TrimSuffix(base, path.Ext(base))
}

func firstPlace(f *audit.Finding) string {
	first := ""
	for _, l := range f.Locations {
		s := strings.Join([]string{l.Target, l.Path, l.Name, l.Commit, l.Object, pad(l.Line), pad(l.Column)}, "\x00")
		if first == "" || s < first {
			first = s
		}
	}
	return first
}

// pad makes numbers sort as text.
func pad(n int) string {
	const digits = "0123456789"
	b := [10]byte{}
	for i := 9; i >= 0; i-- {
		b[i] = digits[max(n, 0)%10]
		n /= 10
	}
	return string(b[:])
}

// adopt makes finding i a part of finding have, which speaks of the same credential.
func (j *joiner) adopt(have, i int) {
	a, b := &j.all[have], &j.all[i]
	if b.Secret.HasValue() && b.Secret.ID == a.Secret.ID && a.Secret.ID != "" {
		if !a.Secret.HasValue() {
			a.Secret, b.Secret = b.Secret, a.Secret
			a.Rule, a.Severity, a.Title, a.Message, a.Fix = b.Rule, b.Severity, b.Title, b.Message, b.Fix
		} else if !a.Secret.SameValue(b.Secret) {
			addCandidate(a.Secret, b.Secret)
		}
		for _, c := range b.Secret.Candidates() {
			addCandidate(a.Secret, c)
		}
	}
	if b.Suppressed == nil {
		a.Suppressed = nil
	}
	a.Locations = append(a.Locations, b.Locations...)
	j.merged[i] = have
}

func addCandidate(s, c *audit.Secret) {
	if len(s.Candidates()) < maxCandidates && !s.SameValue(c) && !slices.ContainsFunc(s.Candidates(), c.SameValue) {
		s.AddCandidate(c)
	}
}

// unite gives every known pair the candidates that are its own secret, found alone elsewhere.
func (j *joiner) unite() {
	known := map[string]int{}
	for _, i := range j.ids {
		if s := j.all[i].Secret; s.HasValue() {
			known[audit.Key{}.ValueDigest(s)] = i
		}
	}
	j.secrets = slices.DeleteFunc(j.secrets, func(h half) bool {
		i, ok := known[audit.Key{}.ValueDigest(j.all[h.at].Secret)]
		if ok {
			j.adoptHalf(i, h)
		}
		return ok
	})
}

func (j *joiner) adoptHalf(id int, h half) {
	j.adopt(id, h.at)
	for _, m := range h.more {
		j.adopt(id, m)
	}
}

// An edge is a way to complete an id.
type edge struct {
	id, half int
	rank     int
	named    bool
}

// complete pairs what is left, the closest first.
func (j *joiner) complete() {
	for _, i := range j.ids {
		j.all[i].Locations = distinct(j.all[i].Locations)
	}
	var open []int
	for _, i := range j.ids {
		if !j.all[i].Secret.HasValue() {
			open = append(open, i)
		}
	}
	slices.SortFunc(open, func(a, b int) int { return strings.Compare(j.all[a].Secret.ID, j.all[b].Secret.ID) })
	if len(open) == 0 {
		return
	}
	edges := j.edges(open, j.secrets)
	near := map[int]int{} // id to its number of equally close candidates
	closest := map[int]int{}
	for _, e := range edges {
		if r, ok := closest[e.id]; !ok || e.rank < r {
			closest[e.id], near[e.id] = e.rank, 0
		}
		if e.rank == closest[e.id] {
			near[e.id]++
		}
	}
	for _, e := range edges {
		s := j.all[e.id].Secret
		h := &j.secrets[e.half]
		if !s.HasValue() && !h.used && sure(e, near[e.id]) {
			s.Complete(j.all[h.at].Secret)
			h.used = true
			j.adoptHalf(e.id, *h)
			continue
		}
	}
	for _, e := range edges {
		if h := j.secrets[e.half]; !h.used {
			addCandidate(j.all[e.id].Secret, j.all[h.at].Secret)
		}
	}
	for _, e := range j.edges(open, j.tokens) {
		h := &j.tokens[e.half]
		if s := j.all[e.id].Secret; !h.used && e.rank < sameTarget && strings.HasPrefix(s.ID, "ASIA") {
			h.used = true
			s.SetPartFrom(audit.PartSessionToken, j.all[h.at].Secret)
			j.adoptHalf(e.id, *h)
		}
	}
	for _, i := range open {
		j.all[i].Locations = distinct(j.all[i].Locations)
	}
}

// sure tells whether a candidate becomes an id's value or stays a candidate: one that is named so does unless only the target is
// shared; one that only looks so does where it is the only one as close, in the same file, scope, directory or archive.
func sure(e edge, near int) bool {
	if e.named {
		return e.rank < sameTarget
	}
	return e.rank <= samePath || near == 1 && e.rank <= sameArchive
}

// edges lists the ways to complete ids by halves, best first, found by the places that they share.
func (j *joiner) edges(ids []int, halves []half) []edge {
	if len(halves) == 0 {
		return nil
	}
	index := map[place][]int{}
	for k := range halves {
		h := &halves[k]
		for _, i := range append([]int{h.at}, h.more...) {
			h.places = append(h.places, places(j.all[i].Locations)...)
		}
		h.places = unique(h.places)
		for _, p := range h.places {
			index[p] = append(index[p], k)
		}
	}
	for _, ks := range index {
		slices.SortFunc(ks, func(a, b int) int { return compareHalves(&halves[a], &halves[b]) })
	}
	var edges []edge
	for _, i := range ids {
		best := map[int]int{}
		for _, p := range unique(places(j.all[i].Locations)) {
			ks := index[p]
			for _, k := range ks[:min(len(ks), maxWeigh)] {
				if r, ok := best[k]; !ok || p.rank < r {
					best[k] = p.rank
				}
			}
		}
		for k, r := range best {
			if r < sameTarget || halves[k].named {
				edges = append(edges, edge{i, k, r, halves[k].named})
			}
		}
	}
	slices.SortFunc(edges, func(a, b edge) int {
		return cmp.Or(a.rank-b.rank, boolInt(b.named)-boolInt(a.named),
			strings.Compare(j.all[a.id].Secret.ID, j.all[b.id].Secret.ID), compareHalves(&halves[a.half], &halves[b.half]))
	})
	return edges
}

func compareHalves(a, b *half) int {
	return cmp.Or(boolInt(b.named)-boolInt(a.named), strings.Compare(a.first, b.first), strings.Compare(a.value, b.value))
}

// A place is something that two locations can share, and how close that makes them.
type place struct {
	rank int
	a, b string
}

func places(locs []audit.Location) []place {
	var out []place
	for _, l := range locs[:min(len(locs), maxPlaces)] {
		t := l.Target
		out = append(out, place{sameTarget, t, ""})
		if l.Object != "" {
			out = append(out, place{sameObject, t, l.Object})
		}
		if l.Commit != "" {
			out = append(out, place{sameCommit, t, l.Commit})
		}
		stem := stem(nameOf(l))
		if l.Path == "" {
			if l.Name != "" && (l.Kind == audit.InVariable || l.Kind == audit.InSecret) {
				owner, page := ownerOf(t), t+"\x00"+l.URL+"\x00"+l.Environment
				out = append(out, place{samePath, page, "\x00" + l.Name}, place{sameName, page, "\x00" + stem}, place{sameFolder, page, "\x00"},
					place{sameDirectory, t, "\x00"}, place{sameOwner, owner, "\x00" + stem})
			}
			continue
		}
		dir := path.Dir(l.Path)
		out = append(out, place{samePath, t, l.Path}, place{sameName, t + "\x00" + l.Commit, dir + "\x00" + stem},
			place{sameFolder, t + "\x00" + l.Commit, dir}, place{sameDirectory, t, dir})
		if i := strings.LastIndexByte(l.Path, '!'); i >= 0 {
			out = append(out, place{sameArchive, t, l.Path[:i]})
		}
	}
	return out
}

// ownerOf is whom a target belongs to: "github:acme" of "github:acme/web" and of itself.
func ownerOf(target string) string {
	owner, _, _ := strings.Cut(target, "/")
	return owner
}

func unique(ps []place) []place {
	slices.SortFunc(ps, func(x, y place) int {
		return cmp.Or(x.rank-y.rank, strings.Compare(x.a, y.a), strings.Compare(x.b, y.b))
	})
	return slices.Compact(ps)
}

// distinct keeps one of the locations that are the same place.
func distinct(locs []audit.Location) []audit.Location {
	type key struct {
		target, path, commit, name, object, url, environment string
		line, column                                         int
	}
	seen := map[key]bool{}
	out := make([]audit.Location, 0, len(locs))
	for _, l := range locs {
		k := key{l.Target, l.Path, l.Commit, l.Name, l.Object, l.URL, l.Environment, l.Line, l.Column}
		if !seen[k] {
			seen[k] = true
			out = append(out, l)
		}
	}
	return out
}
