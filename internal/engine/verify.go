package engine

import (
	"context"
	"sync"

	"github.com/leakreach/leakreach/audit"
)

// verifyAtOnce is how many secrets are asked about at once: each is another credential, and a verifier keeps one call in
// flight per credential.
const verifyAtOnce = 4

// verify asks once about every secret some verifier knows; the others stay unchecked.
func (r *run) verify(ctx context.Context) {
	byKind := map[string]audit.Verifier{}
	for _, v := range r.Verifiers {
		for _, k := range v.Kinds() {
			byKind[k] = v
		}
	}
	var asks sync.WaitGroup
	slots := make(chan struct{}, verifyAtOnce)
	for _, f := range r.findings {
		if f.Secret == nil {
			continue
		}
		v := byKind[f.Secret.Kind]
		if v == nil {
			f.Verdict = &audit.Verdict{Validity: audit.Unchecked}
			continue
		}
		slots <- struct{}{}
		asks.Go(func() {
			defer func() { <-slots }()
			verdict, err := v.Verify(ctx, f.Secret)
			if err != nil {
				verdict = audit.Verdict{Validity: audit.Unknown, How: r.Verify, Facts: verdict.Facts, Error: err.Error()}
			}
			if verdict.CheckedAt.IsZero() {
				verdict.CheckedAt = r.Now().UTC()
			}
			f.Verdict, f.Reach = &verdict, verdict.Reach
		})
	}
	asks.Wait()
	levels := map[audit.Identity]audit.Level{}
	for _, f := range r.findings {
		f.Severity = judged(*f)
		if f.Verdict == nil || f.Verdict.Identity == nil {
			continue
		}
		level := audit.LevelUnknown
		if f.Reach != nil {
			level = f.Reach.Level
		}
		levels[*f.Verdict.Identity] = level
	}
	for id, level := range levels {
		id.Level = level
		r.out.Identities = append(r.out.Identities, id)
	}
}

// judged is the severity once the verdict is known: what a key opens decides, and a key that opens nothing any more is history.
func judged(f audit.Finding) audit.Severity {
	if f.Verdict == nil {
		return f.Severity
	}
	switch f.Verdict.Validity {
	case audit.Inactive, audit.Canary:
		return audit.Low
	case audit.Active:
		if f.Reach == nil {
			return audit.High
		}
		switch f.Reach.Level {
		case audit.LevelAdmin, audit.LevelEscalation:
			return audit.Critical
		case audit.LevelRead:
			return audit.Medium
		case audit.LevelNone:
			return audit.Low
		}
		return audit.High
	}
	return f.Severity
}
