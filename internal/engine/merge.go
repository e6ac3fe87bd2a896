package engine

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/store"
)

// result joins, silences and merges what a target's scan found, with near, the halves that other parts of the target have. No value is in it;
// the run keeps those that a verifier may ask for.
func (t *target) result(near []scanned) store.Result {
	m := t.merger()
	for f := range t.joined(near) {
		t.silence(&f)
		if !f.Candidate && (len(near) == 0 || !onlyInVariables(f.Finding)) { // else it is the other part's
			m.add(t.signed(f.Finding))
		}
	}
	var loose []scanned
	for _, f := range t.found {
		if inVariable(f.Finding) && halfOf(f.Finding) {
			loose = append(loose, f)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	out := store.Result{Part: t.Part, Rules: t.Rules, State: t.state, Halves: t.halvesOf(loose), Gaps: t.gaps, Inventory: t.entries}
	for s, n := range t.silencers {
		s.Count = n
		out.Silencers = append(out.Silencers, s)
	}
	out.Findings = m.list()
	t.redact(&out)
	for _, f := range out.Findings {
		t.keep(f)
	}
	t.run.mu.Lock()
	defer t.run.mu.Unlock()
	if len(loose) > 0 {
		t.run.loose[at{t.Name, t.Part}] = loose
	} else if !t.unchanged { // else what is known of them still holds
		delete(t.run.loose, at{t.Name, t.Part})
	}
	return out
}

// joined yields what the scanners found, of those that join what they found, joined with near.
func (t *target) joined(near []scanned) iter.Seq[scanned] {
	return func(yield func(scanned) bool) {
		for i, s := range t.scanners {
			_, joins := s.(audit.Joiner)
			var apart []scanned
			for _, list := range [][]scanned{t.found, near} {
				for _, f := range list {
					switch {
					case f.scanner != i:
					case joins:
						apart = append(apart, f)
					case !yield(f):
						return
					}
				}
			}
			for _, f := range join(s, apart) {
				if !yield(f) {
					return
				}
			}
		}
	}
}

// redact masks the values found in a target in all that is stored of it.
func (t *target) redact(out *store.Result) {
	var secrets []*audit.Secret
	for _, f := range out.Findings {
		if f.Secret != nil {
			secrets = append(secrets, f.Secret)
		}
	}
	mask := masking(secrets)
	for i := range out.Findings {
		mask.finding(&out.Findings[i].Finding)
	}
	mask.run(&audit.Run{Gaps: out.Gaps, Inventory: out.Inventory, Silencers: out.Silencers})
}

// kept is a finding in the form that is stored; its secret's value is kept by this process.
func (r *run) kept(f audit.Finding) store.Finding {
	out := r.signed(f)
	r.keep(out)
	return out
}

// signed is a finding in the form that is stored.
func (r *run) signed(f audit.Finding) store.Finding {
	out := store.Finding{Finding: f, Identity: identity(r.Key, &f)}
	out.ID = shown(r.Key, out.Identity)
	if s := f.Secret; s != nil {
		out.Whole, out.ValueDigest, out.TokenDigest = s.HasValue(), r.Key.ValueDigest(s), r.Key.PartDigest(s, audit.PartSessionToken)
	}
	return out
}

// keep has this process keep the value of a finding's secret. What is kept nobody changes.
func (r *run) keep(f store.Finding) {
	s := f.Secret
	if s == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	have, wanted := r.vault[f.Identity]
	if !wanted && len(r.vault) < maxVault || wanted && (have == nil || r.tells(s, have)) {
		r.vault[f.Identity] = s.Copy()
	}
}

// known are the rules that find secrets and, in a run, the verifiers that can be asked about them.
type known struct {
	rules  map[string]audit.Rule
	byKind map[string]audit.Verifier
}

// tells reports whether a secret says more than another one of what both are: a value rather than none, a kind that can be asked about, a shape,
// whose it is.
func (k known) tells(s, than *audit.Secret) bool {
	if s.HasValue() != than.HasValue() || s.Kind == audit.KindAWSKey { // the halves of which are joined
		return s.HasValue() && !than.HasValue()
	}
	kind := func(s *audit.Secret) int {
		rule, shaped := k.rules[s.Kind]
		switch {
		case k.byKind[s.Kind] != nil && shaped: // a GitHub token is one in a registry's login, too
			return 3
		case k.byKind[s.Kind] != nil:
			return 2
		case rule.Generic:
			return 0
		}
		return 1
	}
	if d := cmp.Or(kind(s)-kind(than), s.Details()-than.Details()); d != 0 {
		return d > 0
	}
	return s.String() < than.String() // independent of scheduling
}

// maxVault is how many secrets a process keeps the values of: with some hundred bytes each, that is little. Those beyond are read again
// where they lie, if a verifier needs them.
const maxVault = 20_000

// join lets a joining scanner put together what it found apart. Its findings are signed anew: a completed key is named by its id.
func join(s audit.Scanner, fs []scanned) []scanned {
	j, ok := s.(audit.Joiner)
	if !ok || len(fs) == 0 {
		return fs
	}
	in := make([]audit.Finding, len(fs))
	for i, f := range fs {
		in[i] = f.Finding
	}
	var out []scanned
	for _, f := range j.Join(in) {
		out = append(out, scanned{f, fs[0].scanner})
	}
	return out
}

func inVariable(f audit.Finding) bool {
	return slices.ContainsFunc(f.Locations, func(l audit.Location) bool { return l.Kind == audit.InVariable })
}

func onlyInVariables(f audit.Finding) bool {
	return !slices.ContainsFunc(f.Locations, func(l audit.Location) bool { return l.Kind != audit.InVariable })
}

// halfOf tells whether f may be one half of an AWS key: an id without its secret, or a candidate.
func halfOf(f audit.Finding) bool {
	return f.Secret != nil && (f.Candidate && f.Secret.HasValue() || f.Secret.Kind == audit.KindAWSKey && (f.Secret.ID == "" || !f.Secret.HasValue()))
}

// joined puts halves together that lay in CI variables of different targets, such as an organisation's and a repository's.
func (r *run) joined() []scanned {
	r.mu.Lock()
	defer r.mu.Unlock()
	var loose []scanned
	where := slices.SortedFunc(maps.Keys(r.loose), func(a, b at) int {
		return firstNonZero(strings.Compare(a.target, b.target), strings.Compare(string(a.part), string(b.part)))
	})
	for _, at := range where {
		loose = append(loose, copied(r.loose[at])...)
	}
	if len(loose) < 2 {
		return nil
	}
	byScanner := map[int][]scanned{}
	for _, f := range loose {
		byScanner[f.scanner] = append(byScanner[f.scanner], f)
	}
	var out []scanned
	for i, s := range r.Scanners {
		for _, f := range join(s, byScanner[i]) {
			if !f.Candidate && f.Secret != nil && f.Secret.HasValue() {
				out = append(out, f)
			}
		}
	}
	return out
}

// byProvider marks what a provider knows, which nothing that was scanned can claim.
const byProvider = "provider"

// silence marks what the user's own working tree asks to keep silent, and counts it. Elsewhere what is scanned does not silence
// its scanner: it is counted, and reported all the same.
func (t *target) silence(f *scanned) {
	obey := t.Own && !t.NoIgnores
	if s := f.Suppressed; s != nil && s.By != byProvider {
		t.addSilencer(s.Reason, 1, obey)
		if !obey {
			f.Suppressed = nil
		}
	}
	if t.ref.Ignore == nil || f.Suppressed != nil {
		return
	}
	ignored := 0
	var reason string
	for _, l := range f.Locations {
		for _, rule := range append([]string{f.Rule}, l.Rules...) {
			if why, ok := t.ref.Ignore.Match(rule, l); ok {
				ignored, reason = ignored+1, why
				break
			}
		}
	}
	if ignored == len(f.Locations) && ignored > 0 {
		f.Suppressed = &audit.Suppression{By: "ignore-file", Reason: reason}
		t.addSilencer(t.ref.Ignore.What, 1, true)
	}
}

// A merger makes one finding of all that speak of the same secret.
type merger struct {
	known
	findings map[string]*store.Finding // by identity
}

func (k known) merger() *merger { return &merger{k, map[string]*store.Finding{}} }

func (m *merger) list() []store.Finding {
	out := make([]store.Finding, 0, len(m.findings))
	for _, identity := range slices.Sorted(maps.Keys(m.findings)) {
		out = append(out, *m.findings[identity])
	}
	return out
}

// add adds a finding.
func (m *merger) add(f store.Finding) {
	have := m.findings[f.Identity]
	if have == nil {
		f.Locations = slices.Clip(f.Locations) // a scanner may have cut them from a longer list
		m.findings[f.Identity] = &f
		return
	}
	m.unite(have, f)
}

// unite makes one of two findings of one identity. The rule that knows the secret's shape names it. It counts as suppressed only if it is at every place.
func (m *merger) unite(have *store.Finding, f store.Finding) {
	if f.Secret != nil && (f.Whole && !have.Whole || f.Whole == have.Whole && m.tells(f.Secret, have.Secret)) {
		have.Secret, have.Whole, have.ValueDigest, have.TokenDigest = f.Secret, f.Whole, f.ValueDigest, f.TokenDigest
	}
	if m.better(f.Finding, have.Finding) {
		have.Rule, have.Category, have.Severity, have.Title, have.Message, have.Fix = f.Rule, f.Category, f.Severity, f.Title, f.Message, f.Fix
	}
	switch {
	case f.Suppressed == nil && !alike(have.Finding, f.Finding):
		have.Suppressed = nil
	case have.Suppressed == nil && alike(f.Finding, have.Finding):
		have.Suppressed = f.Suppressed
	}
	have.Locations = append(have.Locations, f.Locations...)
}

// alike tells whether what a provider knows of a credential holds for another place of it, too: the token of a job ends with the job in whichever of its
// variables it is, and in a file it may be on its way to somebody else.
func alike(known, other audit.Finding) bool {
	return known.Suppressed != nil && known.Suppressed.By == byProvider && onlyInVariables(other) &&
		!slices.ContainsFunc(other.Locations, func(l audit.Location) bool { return l.Target != known.Locations[0].Target })
}

// identity is what makes two findings one: the secret, or else rule and place.
func identity(key audit.Key, f *audit.Finding) string {
	if f.Secret != nil {
		return key.Sign(f.Secret)
	}
	parts := []string{"place", f.Rule}
	if len(f.Locations) > 0 {
		l := f.Locations[0]
		parts = append(parts, l.Target, string(l.Kind), l.Path, l.Name)
	}
	return key.Digest(parts...)
}

// ID is that of a finding under a key, in every run.
func ID(key audit.Key, f *audit.Finding) string { return shown(key, identity(key, f)) }

func shown(key audit.Key, identity string) string { return "lr1:" + key.Digest("finding", identity) }

// better tells whether f's rule names a secret better than have's: a rule that knows the shape before a generic one.
func (m *merger) better(f, have audit.Finding) bool {
	if generic := m.rules[have.Rule].Generic; generic != m.rules[f.Rule].Generic {
		return generic
	}
	if f.Severity.Rank() != have.Severity.Rank() {
		return f.Severity.Rank() > have.Severity.Rank()
	}
	return f.Rule < have.Rule // independent of scheduling
}

// dedupe joins locations that are the same place, found by several rules.
func dedupe(locs []audit.Location) []audit.Location {
	if len(locs) < 2 {
		return locs
	}
	type place struct {
		target, kind, path, commit, name, object, environment string
		line, column                                          int
	}
	at := map[place]int{}
	var out []audit.Location
	for _, l := range locs {
		p := place{l.Target, string(l.Kind), l.Path, l.Commit, l.Name, l.Object, l.Environment, l.Line, l.Column}
		if l.Kind == audit.InWorkflow { // as it is now, whether a forge or its history shows it
			p.commit, p.object = "", ""
		}
		if i, ok := at[p]; ok {
			for _, rule := range l.Rules {
				if !slices.Contains(out[i].Rules, rule) {
					out[i].Rules = append(slices.Clone(out[i].Rules), rule)
				}
			}
			slices.Sort(out[i].Rules)
			continue
		}
		at[p] = len(out)
		out = append(out, l)
	}
	return out
}

// adoptHalves gives an AWS key's secret half or session token, found alone elsewhere by another rule, to the key it belongs to:
// one credential is one finding.
func (m *merger) adoptHalves() {
	keys := map[string]*store.Finding{} // by digest of each private part
	for _, f := range m.findings {
		if !isKey(f) {
			continue
		}
		for _, part := range []string{f.ValueDigest, f.TokenDigest} {
			if have := keys[part]; have == nil || f.Secret.ID < have.Secret.ID { // of two keys with one secret always the same
				keys[part] = f
			}
		}
	}
	delete(keys, "") // of keys whose part is not known
	var halves []*store.Finding
	for identity, f := range m.findings {
		if f.Secret != nil && !isKey(f) && keys[f.ValueDigest] != nil {
			halves = append(halves, f)
			delete(m.findings, identity)
		}
	}
	slices.SortFunc(halves, func(a, b *store.Finding) int {
		return firstNonZero(strings.Compare(a.Rule, b.Rule), comparePlaces(a.Finding, b.Finding))
	})
	for _, f := range halves {
		key := keys[f.ValueDigest]
		key.Locations = append(key.Locations, f.Locations...)
		if f.Suppressed == nil {
			key.Suppressed = nil
		}
	}
}

func isKey(f *store.Finding) bool {
	return f.Secret != nil && f.Secret.Kind == audit.KindAWSKey && f.Secret.ID != ""
}
