package store_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/riverqueue/river"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/store"
	"github.com/leakreach/leakreach/internal/store/storetest"
)

// counted is one of the jobs that the engine has, as far as the store looks at them.
type counted struct {
	Target string `json:"target"`
	kind   string
}

func (j counted) Kind() string { return j.kind }

// filled has a run with a target of each status, findings, gaps and jobs.
func filled(t *testing.T, s *store.Store) string {
	t.Helper()
	ctx, id := t.Context(), begin(t, s)
	client, err := river.NewClient(s.Driver(), &river.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	tx(t, s, func(tx *sql.Tx) error {
		for _, status := range []audit.Status{"", audit.Scanned, audit.Failed, audit.Partial} {
			target := audit.Target{Name: "github:acme/x" + string(status)}
			if _, err := s.AddTargets(ctx, tx, id, 0, []audit.Target{target}); err != nil {
				return err
			}
			if status == "" {
				continue
			}
			err := s.Settle(ctx, tx, id, store.Result{
				Coverage: audit.Coverage{Target: target.Name, Status: status},
				Gaps:     []audit.Gap{{Target: target.Name, What: "logs", Why: "expired"}},
				Findings: []store.Finding{{Identity: "everywhere", Finding: audit.Finding{ID: "lr1:1"}}, {Identity: "in " + string(status), Finding: audit.Finding{ID: "lr1:2"}}},
			})
			if err != nil {
				return err
			}
		}
		_, err := client.InsertManyTx(ctx, tx, []river.InsertManyParams{
			{Args: counted{kind: "list"}, InsertOpts: &river.InsertOpts{Queue: store.Lists.Of(id)}},
			{Args: counted{kind: "scan"}, InsertOpts: &river.InsertOpts{Queue: store.Scans.Of(id)}},
			{Args: counted{kind: "scan", Target: "2"}, InsertOpts: &river.InsertOpts{Queue: store.Scans.Of(id), ScheduledAt: time.Now().Add(time.Hour)}},
			{Args: counted{kind: "scan"}, InsertOpts: &river.InsertOpts{Queue: "scan_other"}},
		})
		return err
	})
	return id
}

func TestStanding(t *testing.T) {
	stores(t, func(t *testing.T, open func() *store.Store) {
		ctx, s := t.Context(), open()
		id := filled(t, s)
		got, err := s.Standing(ctx, id)
		want := store.Standing{Targets: map[string]int{"": 1, "scanned": 1, "failed": 1, "partial": 1}, Listing: true, Findings: 4, Gaps: 3}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Error(err, diff)
		}
		depths, err := s.Depths(ctx)
		if diff := cmp.Diff([]store.Depth{{"list", "available", 1}, {"scan", "available", 2}, {"scan", "scheduled", 1}}, depths); err != nil || diff != "" {
			t.Error(err, diff)
		}
		if n, err := s.Workers(ctx); n != 0 || err != nil {
			t.Error(n, "workers", err)
		}
		if _, err := s.Alive(ctx, "w"); err != nil {
			t.Fatal(err)
		}
		if n, err := s.Workers(ctx); n != 1 || err != nil {
			t.Error(n, "workers, want 1", err)
		}
	})
}

// TestRemove: nothing is left of a run that was removed, and all of the others.
func TestRemove(t *testing.T) {
	stores(t, func(t *testing.T, open func() *store.Store) {
		ctx, s := t.Context(), open()
		id := filled(t, s)
		tx(t, s, func(tx *sql.Tx) error { return s.Finish(ctx, tx, id, now) })
		other := begin(t, s)
		if err := s.Remove(ctx, id); err != nil {
			t.Fatal(err)
		}
		if err := s.Compact(ctx); err != nil {
			t.Fatal(err)
		}
		got, err := s.Standing(ctx, id)
		if diff := cmp.Diff(store.Standing{Targets: map[string]int{}}, got); err != nil || diff != "" {
			t.Error(err, diff)
		}
		depths, err := s.Depths(ctx)
		if diff := cmp.Diff([]store.Depth{{"scan", "available", 1}}, depths); err != nil || diff != "" {
			t.Error(err, diff)
		}
		if _, err := s.Find(ctx, id); !errors.Is(err, store.ErrNoRun) {
			t.Error(err)
		}
		if _, err := s.Find(ctx, other); err != nil {
			t.Error(err)
		}
	})
}

// TestRemoveGivesRoomBack: a file is smaller afterwards, and nothing that was stored stands in it.
func TestRemoveGivesRoomBack(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store.db")
	s := open(t, file)
	id := begin(t, s)
	text := strings.Repeat("what was seen ", 100)
	tx(t, s, func(tx *sql.Tx) error {
		_, err := s.AddTargets(t.Context(), tx, id, 0, []audit.Target{{Name: "x"}})
		for i := range 1000 {
			err = errors.Join(err, s.Note(t.Context(), tx, id, audit.Gap{Target: "x", What: strings.Repeat("y", i), Why: text}))
		}
		return err
	})
	size := func() int64 {
		var sum int64
		for _, name := range []string{file, file + "-wal"} {
			if info, err := os.Stat(name); err == nil {
				sum += info.Size()
			}
		}
		return sum
	}
	before := size()
	if err := errors.Join(s.Remove(t.Context(), id), s.Compact(t.Context())); err != nil {
		t.Fatal(err)
	}
	if after := size(); after > before/4 {
		t.Errorf("%d bytes are %d after the removal", before, after)
	}
	content, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(content), "what was seen") {
		t.Error("it is still there", err)
	}
}

// TestRemoveLeavesWorkAlone: in a shared store, processes may be working on an open run.
func TestRemoveLeavesWorkAlone(t *testing.T) {
	s := open(t, storetest.Postgres(t))
	id := begin(t, s)
	if _, err := s.Alive(t.Context(), "w"); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), id); !errors.Is(err, store.ErrWorkedOn) {
		t.Error("removed:", err)
	}
	tx(t, s, func(tx *sql.Tx) error { return s.Finish(t.Context(), tx, id, now) })
	if err := s.Remove(t.Context(), id); err != nil {
		t.Error(err)
	}
}

// TestKey: all who open a store have its key, also those that ask for it at once; another store has another one.
func TestKey(t *testing.T) {
	stores(t, func(t *testing.T, open func() *store.Store) {
		keys := make(chan string, 4)
		s := open()
		for range cap(keys) {
			go func() {
				key, err := s.Key(context.Background())
				if err != nil {
					key = err.Error()
				}
				keys <- key
			}()
		}
		first := <-keys
		for range cap(keys) - 1 {
			if key := <-keys; key != first {
				t.Errorf("two keys, %q and %q", first, key)
			}
		}
		again, err := open().Key(t.Context())
		if again != first || len(first) < 50 || err != nil {
			t.Errorf("%q became %q: %v", first, again, err)
		}
	})
	a, err := open(t, "").Key(t.Context())
	b, berr := open(t, "").Key(t.Context())
	if a == b || err != nil || berr != nil {
		t.Error("two stores have the same key", err, berr)
	}
}
