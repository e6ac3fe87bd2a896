package engine

import (
	"context"
	"errors"
	"iter"
	"maps"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/store"
)

// resolve learns what stands behind what the pipelines of all targets name. Nothing of it is carried over: a tag may have been moved since.
func (r *run) resolve(ctx context.Context) (entries []audit.Entry, gaps []audit.Gap, err error) {
	var failed error
	for _, resolver := range r.Resolvers {
		for e, err := range resolver.Resolve(ctx, r.holdings(ctx, &failed)) {
			if gap := (*audit.Gap)(nil); errors.As(err, &gap) {
				gaps = append(gaps, *gap)
			} else if err != nil {
				return nil, nil, err
			} else {
				entries = append(entries, e)
			}
		}
	}
	if len(entries) > 0 {
		r.mask(entries, gaps)
	}
	return entries, gaps, failed
}

// mask takes out of what was learned what looks like a secret: whoever wrote it there, it is no finding of these targets, and nobody's to print.
func (r *run) mask(entries []audit.Entry, gaps []audit.Gap) {
	t := r.newTarget(r.refs[0], audit.Target{})
	var secrets []*audit.Secret
	for i := range entries {
		e := &entries[i]
		text := strings.Join(append([]string{e.Name}, slices.Sorted(maps.Values(e.Facts))...), "\n")
		for _, f := range t.scanContent(audit.Item{Kind: audit.KindNames, At: audit.Location{Target: e.Target, Name: e.Name}}, []byte(text)) {
			if f.Secret != nil {
				secrets = append(secrets, f.Secret)
			}
		}
	}
	redact(&audit.Run{Inventory: entries, Gaps: gaps}, secrets)
}

// survey lets scanners judge what was found in all targets together, and what was resolved. Nothing of it is carried over: an earlier run's ages are not
// today's.
func (r *run) survey(ctx context.Context, resolved []audit.Entry) (_ []store.Finding, gaps []audit.Gap, _ error) {
	m := r.merger()
	for _, s := range r.Scanners {
		s, ok := s.(audit.Surveyor)
		if !ok {
			continue
		}
		found, err := r.surveyBy(ctx, s, resolved)
		if gap := (*audit.Gap)(nil); errors.As(err, &gap) {
			gaps = append(gaps, *gap)
		} else if err != nil {
			return nil, nil, err
		}
		for _, f := range found {
			m.add(r.kept(f))
		}
	}
	return m.list(), gaps, nil
}

// surveyBy lets one scanner do so. One that panics has a defect, which is a gap of the run.
func (r *run) surveyBy(ctx context.Context, s audit.Surveyor, resolved []audit.Entry) (found []audit.Finding, err error) {
	stored, err := r.Store.Find(ctx, r.id)
	if err != nil {
		return nil, err
	}
	var failed error
	holdings := func(yield func(audit.Holding) bool) {
		if len(resolved) == 0 || yield(audit.Holding{Inventory: resolved}) {
			r.holdings(ctx, &failed)(yield)
		}
	}
	defer func() {
		if p := recover(); p != nil {
			r.Log.Error("scanner panicked", "stack", string(debug.Stack()))
			found, err = nil, &audit.Gap{Target: r.refs[0].Text, What: "inventory", Why: "judging it was stopped by an internal error"}
		}
	}()
	found = s.Survey(stored.StartedAt, holdings)
	return slices.DeleteFunc(found, func(f audit.Finding) bool { return len(f.Locations) == 0 }), failed
}

// holdings yields what is stored of each target. failed is set if that cannot be read.
func (r *run) holdings(ctx context.Context, failed *error) iter.Seq[audit.Holding] {
	return func(yield func(audit.Holding) bool) {
		for h, err := range r.Store.Holdings(ctx, r.id) {
			if err != nil {
				*failed = err
				return
			}
			if h.Target != "" && !yield(holding(h)) { // "" is what was put together of several
				return
			}
		}
	}
}

// holding is what a surveyor is shown of a target.
func holding(h store.Holding) (out audit.Holding) {
	out = audit.Holding{Coverage: audit.Coverage{Target: h.Target}, Inventory: h.Inventory, Findings: h.Findings, Gaps: h.Gaps}
	for i, part := range h.Parts {
		if i == 0 {
			out.Coverage = part
		} else {
			out.Coverage = covered(out.Coverage, part)
		}
	}
	return out
}

// with is what a part of a target has, when what it had before still holds and only what is new was listed.
func (r *run) with(before, now store.Result) store.Result {
	m := r.merger()
	for _, f := range slices.Concat(before.Findings, now.Findings) {
		m.add(f)
	}
	for _, f := range m.findings {
		f.Locations = dedupe(f.Locations)
	}
	now.Findings = m.list()
	type key struct{ kind, scope, name, run string } // artifacts of several runs have one name
	entries := map[key]audit.Entry{}
	for _, e := range slices.Concat(before.Inventory, now.Inventory) {
		entries[key{string(e.Kind), e.Scope, e.Name, e.Facts["run"]}] = e
	}
	now.Inventory = slices.SortedFunc(maps.Values(entries), func(a, b audit.Entry) int {
		return firstNonZero(strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.Scope, b.Scope), strings.Compare(a.Name, b.Name), strings.Compare(a.Facts["run"], b.Facts["run"]))
	})
	before.Gaps = slices.DeleteFunc(before.Gaps, func(g audit.Gap) bool { return g.Again }) // what is still missing has been told again
	now.Gaps = append(before.Gaps, now.Gaps...)
	now.Coverage.Items += before.Coverage.Items
	now.Coverage.Bytes += before.Coverage.Bytes
	if len(now.Gaps) > 0 && now.Coverage.Status == audit.Scanned {
		now.Coverage.Status = audit.Partial
	}
	silencers := map[audit.Silencer]int{}
	for _, s := range slices.Concat(before.Silencers, now.Silencers) {
		n := s.Count
		s.Count = 0
		silencers[s] += n
	}
	now.Silencers = nil
	for s, n := range silencers {
		s.Count = n
		now.Silencers = append(now.Silencers, s)
	}
	return now
}
