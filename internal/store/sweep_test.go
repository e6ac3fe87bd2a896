package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/riverqueue/river"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/store"
	"github.com/leakreach/leakreach/internal/store/storetest"
)

const target = "github:acme/web"

// settled begins a run under rules in which a target's part has been scanned.
func settled(t *testing.T, s *store.Store, rules string, at time.Time, r store.Result) string {
	t.Helper()
	id, _, err := s.Begin(t.Context(), store.Plan{Refs: []string{"github:acme"}, Recipe: rules + at.String()}, at)
	if err != nil {
		t.Fatal(err)
	}
	tx(t, s, func(tx *sql.Tx) error {
		_, err := s.AddTargets(t.Context(), tx, id, 0, []audit.Target{{Name: target, Parts: []audit.Part{audit.PartSettings, audit.PartContents}}})
		return err
	})
	if r.Coverage.Target != "" {
		tx(t, s, func(tx *sql.Tx) error { return s.Settle(t.Context(), tx, id, r) })
	}
	return id
}

func TestThePastOfATarget(t *testing.T) {
	stores(t, func(t *testing.T, open func() *store.Store) {
		ctx, s := t.Context(), open()
		result := store.Result{
			Coverage: audit.Coverage{Target: target, Status: audit.Partial, Items: 2}, Part: audit.PartContents, Rules: "r", State: "1", Beside: "id:1", Halves: "value:2",
			Gaps:      []audit.Gap{{Target: target, What: "a", Why: "encrypted"}},
			Findings:  []store.Finding{{Identity: "i", Finding: audit.Finding{Rule: "word", Locations: []audit.Location{{Target: target, Path: "a"}}}, Whole: true}},
			Inventory: []audit.Entry{{Target: target, Name: "N"}},
			Silencers: []audit.Silencer{{Target: target, What: "allow", Count: 2}},
		}
		old := settled(t, s, "r", now, result)
		run := settled(t, s, "r", now.Add(time.Hour), store.Result{})
		s = open()
		past, err := s.Past(ctx, run, target, audit.PartContents, "r", "id:1")
		if diff := cmp.Diff(store.Past{Run: old, State: "1"}, past); err != nil || diff != "" {
			t.Error(err, diff)
		}
		for _, no := range []struct{ run, target, part, rules, beside string }{
			{run, target, "contents", "r", ""}, {run, target, "contents", "r", "id:2"}, {run, target, "settings", "r", "id:1"}, {run, "github:acme/api", "contents", "r", "id:1"},
			{run, target, "contents", "others", "id:1"}, {old, target, "contents", "r", "id:1"},
		} {
			if p, err := s.Past(ctx, no.run, no.target, audit.Part(no.part), no.rules, no.beside); err != nil || p != (store.Past{}) {
				t.Error(no, "has a past:", p, err)
			}
		}
		for range 2 { // as when the answer of the database was lost
			tx(t, s, func(tx *sql.Tx) error {
				carried, err := s.Carry(ctx, tx, run, target, audit.PartContents, past, "2")
				if diff := cmp.Diff(result.Findings, carried); diff != "" {
					t.Error("carried over (-want +got):", diff)
				}
				return err
			})
		}
		for _, id := range []string{old, run} {
			gaps, inventory, silencers, err := s.Report(ctx, id)
			if diff := cmp.Diff([]any{result.Gaps, result.Inventory, result.Silencers}, []any{gaps, inventory, silencers}); err != nil || diff != "" {
				t.Error(id, err, diff)
			}
			for row, err := range s.Targets(ctx, id) {
				if row.Part == audit.PartContents && (err != nil || row.Coverage != result.Coverage || row.Halves != result.Halves) {
					t.Error(id, row, err)
				}
			}
		}
		third := settled(t, s, "r", now.Add(3*time.Hour), store.Result{})
		if past, err := s.Past(ctx, third, target, audit.PartContents, "r", "id:1"); err != nil || past != (store.Past{Run: run, State: "2"}) {
			t.Error("not the youngest:", past, err)
		}
		if err := s.Tx(ctx, func(tx *sql.Tx) error {
			_, err := s.Carry(ctx, tx, third, target, audit.PartContents, store.Past{Run: "gone", State: "2"}, "2")
			return err
		}); !errors.Is(err, store.ErrNoRun) {
			t.Error("carried over from a run that is gone:", err)
		}
		result.State = ""
		tx(t, s, func(tx *sql.Tx) error {
			return errors.Join(s.Settle(ctx, tx, run, result), s.Settle(ctx, tx, old, result))
		})
		if past, err := s.Past(ctx, third, target, audit.PartContents, "r", "id:1"); err != nil || past != (store.Past{}) {
			t.Error("a target without a state has a past:", past, err)
		}
	})
}

func TestHalvesBesideEachOther(t *testing.T) {
	stores(t, func(t *testing.T, open func() *store.Store) {
		ctx, s := t.Context(), open()
		contents := store.Result{Coverage: audit.Coverage{Target: target, Status: audit.Scanned}, Part: audit.PartContents}
		id := settled(t, s, "r", now, contents)
		expect := func(what string, apart, halves int) {
			t.Helper()
			a, err := s.Apart(ctx, id)
			h, err2 := s.WithHalves(ctx, id, target)
			all, err3 := s.WithHalves(ctx, id, "")
			if err := errors.Join(err, err2, err3); err != nil || len(a) != apart || len(h) != halves || len(all) != halves {
				t.Errorf("%s: apart %v, with halves %v, %v: %v", what, a, h, all, err)
			}
		}
		expect("without halves", 0, 0)
		tx(t, s, func(tx *sql.Tx) error {
			return s.Settle(ctx, tx, id, store.Result{Coverage: audit.Coverage{Target: target, Status: audit.Scanned}, Part: audit.PartSettings, Halves: "id:1"})
		})
		expect("with halves that came later", 1, 1)
		contents.Beside = "id:1"
		tx(t, s, func(tx *sql.Tx) error { return s.Settle(ctx, tx, id, contents) })
		expect("joined", 0, 1)
	})
}

func TestTheWorstPartIsThatOfTheTarget(t *testing.T) {
	stores(t, func(t *testing.T, open func() *store.Store) {
		ctx, s := t.Context(), open()
		for _, c := range []struct{ settings, contents, want audit.Status }{
			{"", audit.Failed, ""}, {audit.Scanned, audit.Scanned, audit.Scanned}, {audit.Skipped, audit.Scanned, audit.Scanned}, {audit.Partial, audit.Scanned, audit.Partial},
			{audit.Failed, audit.Partial, audit.Failed}, {audit.Skipped, audit.Skipped, audit.Skipped},
		} {
			id := settled(t, s, string(c.settings+c.contents), now, store.Result{Coverage: audit.Coverage{Target: target, Status: c.settings}, Part: audit.PartSettings})
			tx(t, s, func(tx *sql.Tx) error {
				return s.Settle(ctx, tx, id, store.Result{Coverage: audit.Coverage{Target: target, Status: c.contents}, Part: audit.PartContents})
			})
			r, err := s.Find(ctx, id)
			if diff := cmp.Diff(map[string]int{string(c.want): 1}, r.Targets); err != nil || diff != "" {
				t.Error(c, err, diff)
			}
		}
	})
}

func TestTheListingsPlace(t *testing.T) {
	stores(t, func(t *testing.T, open func() *store.Store) {
		ctx, s := t.Context(), open()
		id := begin(t, s)
		for _, want := range []string{"", "2", "3"} {
			if want != "" {
				tx(t, s, func(tx *sql.Tx) error { return s.SetCursor(ctx, tx, id, 1, want) })
			}
			s = open()
			got, err := s.Cursor(ctx, id, 1)
			other, err2 := s.Cursor(ctx, id, 0)
			if err := errors.Join(err, err2); err != nil || got != want || other != "" {
				t.Error(want, got, other, err)
			}
		}
	})
}

// Errors of real databases that pass, and such that do not.
func TestAway(t *testing.T) {
	server := storetest.NewServer(t)
	s := open(t, server.URL)
	try := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := s.Open(ctx)
		return err
	}
	if err := try(); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	for range 3 {
		if why, away := store.Away(try()); !away || why == "" {
			t.Error("a server that was stopped is not away:", try())
		}
	}
	server.Start()
	back := false
	for range 20 { // connections of before are noticed one by one
		back = back || try() == nil
	}
	if !back {
		t.Error("it does not come back:", try())
	}
	full, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "full.db")+"?_pragma=max_page_count(4)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = full.Close() })
	if _, err := full.ExecContext(t.Context(), `CREATE TABLE t (x BLOB)`); err != nil {
		t.Fatal(err)
	}
	_, err = full.ExecContext(t.Context(), `INSERT INTO t VALUES (zeroblob(100000))`)
	if why, away := store.Away(err); !away || !strings.HasPrefix(why, "its disk is full") || !strings.Contains(why, "SQLITE_TMPDIR") {
		t.Error(why, away, err)
	}
	_, syntax := full.ExecContext(t.Context(), `SELEKT`)
	_, missing := full.ExecContext(t.Context(), `SELECT * FROM nowhere`)
	for _, err := range []error{nil, syntax, missing, context.Canceled, errors.New("other"), store.ErrNoRun} {
		if why, away := store.Away(err); away {
			t.Error(err, "passes:", why)
		}
	}
}

type job struct{}

func (job) Kind() string { return "scan" }

// A worker that does not know of its own job gives it back, and those of one that ended are free.
func TestHeldJobs(t *testing.T) {
	stores(t, func(t *testing.T, open func() *store.Store) {
		ctx, s := t.Context(), open()
		client, err := river.NewClient(s.Driver(), &river.Config{})
		if err != nil {
			t.Fatal(err)
		}
		added, err := client.Insert(ctx, job{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		held := func(worker string, want ...int64) {
			t.Helper()
			if got, err := s.Held(ctx, worker); err != nil || !slices.Equal(got, want) {
				t.Errorf("%s holds %v, want %v: %v", worker, got, want, err)
			}
		}
		give := func(worker string) {
			t.Helper()
			list := `["` + worker + `"]`
			if s.Tells() { // PostgreSQL has arrays
				list = `{` + worker + `}`
			}
			tx(t, s, func(tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, `UPDATE river_job SET state = 'running', attempted_by = $1`, list)
				return err
			})
		}
		for range 2 {
			if late, err := s.Alive(ctx, "w"); late || err != nil {
				t.Error(late, err)
			}
		}
		give("w")
		held("w", added.Job.ID)
		held("other")
		if err := s.Return(ctx, "other", added.Job.ID); err != nil {
			t.Error(err)
		}
		held("w", added.Job.ID)
		if err := s.Return(ctx, "w", added.Job.ID); err != nil {
			t.Error(err)
		}
		held("w")
		give("dead")
		for _, want := range []int64{1, 0} {
			if n, err := s.Free(ctx, "w"); n != want || err != nil {
				t.Error("freed", n, err)
			}
		}
		held("dead")
		tx(t, s, func(tx *sql.Tx) error { // a minute without a sign of life
			_, err := tx.ExecContext(ctx, `UPDATE workers SET seen = seen - 60000`)
			return err
		})
		if late, err := s.Alive(ctx, "w"); !late || err != nil {
			t.Error("not late:", err)
		}
	})
}

// A run that is removed while another carries over from it: what is carried over is whole, or not at all.
func TestCarriedOverFromARunThatIsRemoved(t *testing.T) {
	s := open(t, storetest.Postgres(t))
	ctx := t.Context()
	for round := range 5 {
		const n = 200
		var ids []string
		for k := range 2 {
			id, _, err := s.Begin(ctx, store.Plan{Refs: []string{"x"}, Recipe: fmt.Sprint(round, k)}, now)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
			tx(t, s, func(tx *sql.Tx) error {
				var targets []audit.Target
				for i := range n {
					targets = append(targets, audit.Target{Name: fmt.Sprint("t", i)})
				}
				_, err := s.AddTargets(ctx, tx, id, 0, targets)
				for i := 0; k == 0 && i < n && err == nil; i++ {
					err = s.Settle(ctx, tx, id, store.Result{
						Coverage: audit.Coverage{Target: fmt.Sprint("t", i), Status: audit.Scanned}, Rules: "r", State: "1",
						Findings: []store.Finding{{Identity: fmt.Sprint(i), Finding: audit.Finding{Rule: "word"}}},
					})
				}
				if k == 0 && err == nil {
					err = s.Finish(ctx, tx, id, now)
				}
				return err
			})
		}
		var carrying sync.WaitGroup
		begun := make(chan struct{})
		for g := range 3 {
			carrying.Go(func() {
				for i := g; i < n; i += 3 {
					var got []store.Finding
					err := s.Tx(ctx, func(tx *sql.Tx) (err error) {
						got, err = s.Carry(ctx, tx, ids[1], fmt.Sprint("t", i), "", store.Past{Run: ids[0], State: "1"}, "1")
						return err
					})
					if i == 30+g {
						begun <- struct{}{}
					}
					if err == nil && len(got) != 1 || err != nil && !errors.Is(err, store.ErrNoRun) {
						t.Error("carried over", got, err)
					}
				}
			})
		}
		for range 3 {
			<-begun
		}
		if err := s.Remove(ctx, ids[0]); err != nil {
			t.Fatal(err)
		}
		carrying.Wait()
	}
}
