package store_test

import (
	"database/sql"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/store"
)

// What a run has is read target by target, in the order of bytes, whatever language the database sorts by.
func TestHoldings(t *testing.T) {
	stores(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		id := begin(t, s)
		entry := func(name string) audit.Entry { return audit.Entry{Kind: audit.KindVariable, Name: name} }
		finding := func(rule string) audit.Finding {
			return audit.Finding{Rule: rule, Secret: &audit.Secret{Kind: rule, ID: "id"}}
		}
		results := []store.Result{
			{Coverage: audit.Coverage{Target: "x:a/b", Status: audit.Scanned}, Part: audit.PartSettings, Inventory: []audit.Entry{entry("1"), entry("2")}},
			{
				Coverage: audit.Coverage{Target: "x:a/b", Status: audit.Partial}, Part: audit.PartContents, Gaps: []audit.Gap{{What: "w", Why: "y"}},
				Findings: []store.Finding{{Identity: "i", Finding: finding("r")}, {Identity: "of no secret", Finding: audit.Finding{Rule: "w"}}}, Silencers: []audit.Silencer{{What: "s"}},
			},
			{Coverage: audit.Coverage{Target: "x:a", Status: audit.Scanned}},
			{Coverage: audit.Coverage{Target: "x:a-b", Status: audit.Scanned}},
			{Coverage: audit.Coverage{Target: "x:B", Status: audit.Scanned}},
			{Findings: []store.Finding{{Identity: "of none", Finding: finding("n")}}},
		}
		err := s.Tx(t.Context(), func(tx *sql.Tx) error {
			for _, r := range results {
				if r.Coverage.Target != "" {
					to := audit.Target{Name: r.Coverage.Target}
					if r.Part != "" {
						to.Parts = []audit.Part{r.Part}
					}
					if _, err := s.AddTargets(t.Context(), tx, id, 0, []audit.Target{to}); err != nil {
						return err
					}
				}
				if err := s.Settle(t.Context(), tx, id, r); err != nil {
					return err
				}
			}
			_, err := s.AddTargets(t.Context(), tx, id, 0, []audit.Target{{Name: "x:unscanned"}})
			if err != nil {
				return err
			}
			return s.Note(t.Context(), tx, id, audit.Gap{Target: "x:gone", What: "all of it", Why: "gone"})
		})
		if err != nil {
			t.Fatal(err)
		}
		var got []store.Holding
		for h, err := range s.Holdings(t.Context(), id) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, h)
		}
		want := []store.Holding{
			{Findings: []audit.Finding{finding("n")}},
			{Target: "x:B", Parts: []audit.Coverage{results[4].Coverage}},
			{Target: "x:a", Parts: []audit.Coverage{results[2].Coverage}},
			{Target: "x:a-b", Parts: []audit.Coverage{results[3].Coverage}},
			{
				Target: "x:a/b", Parts: []audit.Coverage{results[1].Coverage, results[0].Coverage}, Inventory: results[0].Inventory,
				Findings: []audit.Finding{finding("r")}, Gaps: []audit.Gap{{Target: "x:a/b", What: "w", Why: "y"}},
			},
			{Target: "x:gone", Gaps: []audit.Gap{{Target: "x:gone", What: "all of it", Why: "gone"}}},
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(audit.Secret{})); diff != "" {
			t.Error(diff)
		}
		for _, err := range s.Holdings(t.Context(), id) { // broken off: the connection is free again
			if err != nil {
				t.Error(err)
			}
			break
		}
		if _, err := s.Finished(t.Context(), id); err != nil {
			t.Error(err)
		}
	})
}
