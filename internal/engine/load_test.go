package engine_test

import (
	"database/sql"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/engine"
	"github.com/leakreach/leakreach/internal/store"
)

// TestLoad reads a run in which two parts of a target have found the same, of a secret and of none: each is one finding at both places.
func TestLoad(t *testing.T) {
	s, err := store.Open(t.Context(), "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	id, _, err := s.Begin(t.Context(), store.Plan{Version: "1", Verify: "off", Refs: []string{"fake:x"}, Recipe: t.Name()}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for line, part := range []audit.Part{audit.PartSettings, audit.PartContents} {
		r := store.Result{Part: part, Coverage: audit.Coverage{Target: "fake:x/a", Status: audit.Scanned}}
		for i := range 6 { // those of secrets lie among the others
			f := audit.Finding{Rule: fmt.Sprint("rule-", i), Locations: []audit.Location{{Target: "fake:x/a", Path: "p", Line: line + 1}}}
			if i%2 == 0 {
				f.Secret = &audit.Secret{Kind: "k", ID: fmt.Sprint(i)}
			}
			r.Findings = append(r.Findings, store.Finding{Identity: fmt.Sprint(i), Finding: f})
		}
		if err := s.Tx(t.Context(), func(tx *sql.Tx) error { return s.Settle(t.Context(), tx, id, r) }); err != nil {
			t.Fatal(err)
		}
	}
	out, _, err := engine.Load(t.Context(), s, id, nil)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, f := range out.Findings {
		if seen[f.Rule] = true; len(f.Locations) != 2 {
			t.Errorf("%s is at %d places", f.Rule, len(f.Locations))
		}
	}
	if len(out.Findings) != 6 || len(seen) != 6 {
		t.Errorf("%d findings of %d rules", len(out.Findings), len(seen))
	}
}
