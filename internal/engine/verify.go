package engine

import (
	"context"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/store"
)

// verifyAtOnce is how many secrets are asked about at once: each is another credential, and a verifier keeps one call in
// flight per credential.
const verifyAtOnce = 4

// asks tells whether a verifier knows secrets like that of a finding.
func (r *run) asks(f *store.Finding) bool { return f.Secret != nil && r.byKind[f.Secret.Kind] != nil }

// verdict asks about a secret.
func (r *run) verdict(ctx context.Context, s *audit.Secret) audit.Verdict {
	verifier := r.byKind[s.Kind]
	if verifier == nil { // all that is known here is the same value found by a rule that knows less
		return audit.Verdict{Validity: audit.Unchecked, How: r.Verify, CheckedAt: r.Now().UTC()}
	}
	verdict, err := verifier.Verify(ctx, s)
	if err != nil {
		verdict = audit.Verdict{Validity: audit.Unknown, How: r.Verify, Facts: verdict.Facts, Error: err.Error()}
	}
	if verdict.CheckedAt.IsZero() {
		verdict.CheckedAt = r.Now().UTC()
	}
	return verdict
}

// judge gives each finding its verdict and the severity that follows, and returns who the secrets act as. A secret that nobody
// was asked about is unchecked.
func (m *merger) judge(verdicts map[string]store.Verdict) (identities []audit.Identity) {
	levels := map[audit.Identity]audit.Level{}
	for identity, f := range m.findings {
		if f.Secret == nil {
			continue
		}
		v, ok := verdicts[identity]
		if !ok {
			v.Verdict = audit.Verdict{Validity: audit.Unchecked}
		}
		f.Verdict, f.Reach = &v.Verdict, v.Reach
		if v.Secret != nil {
			f.Secret = v.Secret
		}
		f.Severity = judged(f.Finding)
		if v.Identity == nil {
			continue
		}
		level := audit.LevelUnknown
		if f.Reach != nil {
			level = f.Reach.Level
		}
		if have, ok := levels[*v.Identity]; !ok || level.Rank() > have.Rank() { // of one of its keys less may be known
			levels[*v.Identity] = level
		}
	}
	for id, level := range levels {
		id.Level = level
		identities = append(identities, id)
	}
	return identities
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
