package engine_test

import (
	"context"
	"database/sql"
	"iter"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/engine"
	"github.com/leakreach/leakreach/internal/store"
)

// late is a world in which something happens before one of its targets is listed.
type late struct {
	world
	target string
	before func()
}

func (l late) Items(ctx context.Context, t audit.Target) iter.Seq2[audit.Item, error] {
	if t.Name == l.target {
		l.before()
	}
	return l.world.Items(ctx, t)
}

// A run of several days finds a secret that it has asked about, when the queue has forgotten that it did.
func TestAskedAboutOnceInALongRun(t *testing.T) {
	name := filepath.Join(t.TempDir(), "store.db")
	kept, err := store.Open(t.Context(), name, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kept.Close() })
	db, err := sql.Open("sqlite", "file:"+name+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	forgotten := false
	forget := func() { // as River does after a day
		for !forgotten && t.Context().Err() == nil {
			done, err := db.ExecContext(t.Context(), `DELETE FROM river_job WHERE kind = 'verify' AND state = 'completed'`)
			if err != nil {
				t.Error(err)
				return
			}
			n, _ := done.RowsAffected()
			forgotten = n > 0
			time.Sleep(time.Millisecond)
		}
	}
	w := world{targets: []audit.Target{{Name: "fake:x/a"}, {Name: "fake:x/b"}}, items: map[string][]any{
		"fake:x/a": {file("a", "secret:hunter2hunter2")}, "fake:x/b": {file("b", "secret:hunter2hunter2")},
	}}
	var asked atomic.Int32
	r, err := start(t, w, func(e *engine.Engine, ref *engine.Ref) {
		e.Store, ref.Provider = kept, late{w, "fake:x/b", forget}
		e.Verifiers = []audit.Verifier{verdicts(func(*audit.Secret) (audit.Verdict, error) {
			asked.Add(1)
			return audit.Verdict{Validity: audit.Active}, nil
		})}
	})
	if err != nil || len(r.Findings) != 1 || len(r.Findings[0].Locations) != 2 || r.Findings[0].Verdict == nil {
		t.Fatalf("%v: %+v", err, r.Findings)
	}
	if asked.Load() != 1 || !forgotten {
		t.Errorf("asked %d times, want once", asked.Load())
	}
}
