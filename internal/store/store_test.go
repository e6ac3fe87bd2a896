package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/store"
	"github.com/leakreach/leakreach/internal/store/storetest"
)

// stores runs a test in each sort of store; open opens the same one again each time it is called.
func stores(t *testing.T, test func(t *testing.T, open func() *store.Store)) {
	t.Run("file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "store.db")
		var last *store.Store
		test(t, func() *store.Store {
			if last != nil {
				_ = last.Close() // as when its process ends
			}
			last = open(t, file)
			return last
		})
	})
	t.Run("memory", func(t *testing.T) {
		s := open(t, "")
		test(t, func() *store.Store { return s })
	})
	t.Run("postgres", func(t *testing.T) {
		url := storetest.Postgres(t)
		test(t, func() *store.Store { return open(t, url) })
	})
}

func open(t *testing.T, where string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), where, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

var now = time.Date(2026, 3, 19, 18, 32, 11, 0, time.UTC)

// begin opens a run with one ref.
func begin(t *testing.T, s *store.Store) string {
	t.Helper()
	id, resumed, err := s.Begin(t.Context(), store.Plan{Version: "1", Verify: "off", Refs: []string{"github:acme"}, Recipe: t.Name()}, now)
	if err != nil || resumed {
		t.Fatal(id, resumed, err)
	}
	return id
}

func tx(t *testing.T, s *store.Store, do func(*sql.Tx) error) {
	t.Helper()
	if err := s.Tx(t.Context(), do); err != nil {
		t.Fatal(err)
	}
}

func TestRunIsResumedUnderTheSamePlanOnly(t *testing.T) {
	stores(t, func(t *testing.T, open func() *store.Store) {
		ctx, s := t.Context(), open()
		plan := store.Plan{Version: "1", Verify: "off", Refs: []string{"github:acme", "."}, Recipe: "d"}
		id, resumed, err := s.Begin(ctx, plan, now)
		if err != nil || resumed {
			t.Fatal(id, resumed, err)
		}
		again, resumed, err := s.Begin(ctx, plan, now.Add(time.Hour))
		if again != id || !resumed || err != nil {
			t.Error("not resumed:", again, resumed, err)
		}
		for _, other := range []store.Plan{{Refs: plan.Refs, Recipe: "other"}, {Refs: []string{"."}, Recipe: "d"}} {
			if x, resumed, err := s.Begin(ctx, other, now.Add(time.Minute)); x == id || resumed || err != nil {
				t.Error(other, "resumed:", x, resumed, err)
			}
		}
		tx(t, s, func(tx *sql.Tx) error { return s.Finish(ctx, tx, id, now.Add(time.Hour)) })
		if x, resumed, err := s.Begin(ctx, plan, now.Add(2*time.Hour)); x == id || resumed || err != nil {
			t.Error("a finished run was resumed:", x, resumed, err)
		}
		r, err := s.Find(ctx, id[:6])
		want := store.Run{ID: id, Plan: plan, StartedAt: now, FinishedAt: now.Add(time.Hour), Targets: map[string]int{}}
		if diff := cmp.Diff(want, r); err != nil || diff != "" {
			t.Error(err, diff)
		}
		if _, err := s.Find(ctx, "none"); !errors.Is(err, store.ErrNoRun) {
			t.Error("found a run that is not there:", err)
		}
		runs, err := s.Runs(ctx)
		if err != nil || len(runs) != 4 || !runs[0].StartedAt.After(runs[3].StartedAt) {
			t.Error(runs, err)
		}
	})
}

func TestSettledOnceHoweverOften(t *testing.T) {
	stores(t, func(t *testing.T, open func() *store.Store) {
		ctx, s := t.Context(), open()
		id := begin(t, s)
		web := audit.Target{Name: "github:acme/web", Kind: audit.TargetRepository, URL: "https://example.org/acme/web", Attrs: map[string]string{"clone": "x"}}
		for range 2 { // a page is listed again after a crash
			tx(t, s, func(tx *sql.Tx) error {
				_, err := s.AddTargets(ctx, tx, id, 0, []audit.Target{web})
				return err
			})
		}
		got, ref, err := s.Target(ctx, id, web.Name, "")
		if diff := cmp.Diff(web, got); err != nil || ref != 0 || diff != "" {
			t.Error(err, ref, diff)
		}
		secret := audit.NewSecret("word", "public", "a value that is long enough")
		secret.SetPart(audit.PartTenant, "tenant")
		audit.Key{}.Sign(secret)
		finding := audit.Finding{
			ID: "lr1:1", Rule: "word", Category: audit.CategorySecret, Severity: audit.High, Title: "A word", Secret: secret, Fix: []string{"Change it."},
			Locations: []audit.Location{{Target: web.Name, Kind: audit.InCommit, Path: "a", Line: 3, At: now, Encoding: []string{"base64"}, InHead: true}},
		}
		result := store.Result{
			Coverage:  audit.Coverage{Target: web.Name, Kind: web.Kind, Status: audit.Partial, Items: 2, Bytes: 3},
			Gaps:      []audit.Gap{{Target: web.Name, What: "b", Why: "encrypted"}, {Target: web.Name, What: "b", Why: "encrypted"}},
			Findings:  []store.Finding{{Identity: "i", Finding: finding, Whole: true, ValueDigest: "v"}},
			Inventory: []audit.Entry{{Target: web.Name, Kind: audit.KindVariable, Name: "N", Scope: "repository"}},
			Silencers: []audit.Silencer{{Target: web.Name, What: "allow", Count: 2}},
		}
		for range 2 {
			tx(t, s, func(tx *sql.Tx) error { return s.Settle(ctx, tx, id, result) })
		}
		if err := s.Tx(ctx, func(tx *sql.Tx) error {
			return errors.Join(s.Settle(ctx, tx, id, store.Result{Coverage: audit.Coverage{Target: web.Name}}), errors.New("no"))
		}); err == nil {
			t.Error("a transaction that fails has no error")
		}
		s = open()
		var findings []store.Finding
		for f, err := range s.Findings(ctx, id) {
			if err != nil {
				t.Fatal(err)
			}
			findings = append(findings, f)
		}
		if len(findings) != 1 {
			t.Fatal(findings)
		}
		f := findings[0]
		if f.Secret.HasValue() || f.Secret.Masked() != secret.Masked() || f.Secret.Fingerprint() != secret.Fingerprint() || f.Secret.ID != "public" || f.Secret.Public()[audit.PartTenant] != "tenant" {
			t.Errorf("the secret came back as %v %q", f.Secret, f.Secret.Masked())
		}
		f.Secret, finding.Secret = nil, nil
		if diff := cmp.Diff(store.Finding{Identity: "i", Finding: finding, Whole: true, ValueDigest: "v"}, f); diff != "" {
			t.Error(diff)
		}
		r, err := s.Find(ctx, id)
		if err != nil || r.Targets["partial"] != 1 {
			t.Error(r, err)
		}
	})
}

// No file of a store has a value in it, not even in what SQLite left behind.
func TestNoValueAtRest(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "store.db"))
	id := begin(t, s)
	value := strings.Repeat("va", 20) + fmt.Sprint(now.UnixNano())
	secret := audit.NewSecret("word", "public-half", value)
	secret.SetPart(audit.PartSessionToken, value+"token")
	audit.Key{}.Sign(secret)
	tx(t, s, func(tx *sql.Tx) error {
		return s.Settle(t.Context(), tx, id, store.Result{
			Coverage: audit.Coverage{Target: "t", Status: audit.Scanned},
			Findings: []store.Finding{{Identity: "i", Finding: audit.Finding{Rule: "word", Secret: secret}}},
		})
	})
	found := false
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(filepath.Join(dir, path))
		if strings.Contains(string(content), value) {
			t.Error("the value is in", path)
		}
		found = found || strings.Contains(string(content), "public-half")
		return err
	})
	if err != nil || !found {
		t.Error("what was stored is in none of the files:", err)
	}
}

func TestFileIsOfOneOwnerAndOneProcess(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "store.db")
	s := open(t, file)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	log := slog.New(slog.DiscardHandler)
	if _, err := store.Open(t.Context(), file, log); err == nil || !strings.Contains(err.Error(), "another leakreach") {
		t.Error("two processes work with one file:", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), file, log); err == nil || !strings.Contains(err.Error(), "others can read it") || audit.HintOf(errors.Unwrap(err)) == "" {
		t.Error("a file that others can read is used:", err)
	}
	for _, where := range []string{dir, filepath.Join(dir, "none", "store.db")} {
		if _, err := store.Open(t.Context(), where, log); err == nil {
			t.Error(where, "was opened")
		}
	}
	_, err := store.Open(t.Context(), "postgres://user:password@127.0.0.1:1/none", log)
	if err == nil || strings.Contains(err.Error(), "password") {
		t.Error("the error shows the password:", err)
	}
}

// Processes that start at the same time do not get into each other's way.
func TestOpenedByManyAtOnce(t *testing.T) {
	url := storetest.Postgres(t)
	errs := make(chan error)
	const n = 4
	for range n {
		go func() {
			s, err := store.Open(context.Background(), url, slog.New(slog.DiscardHandler))
			if err == nil {
				err = s.Close()
			}
			errs <- err
		}()
	}
	var all []error
	for range n {
		all = append(all, <-errs)
	}
	if err := errors.Join(slices.Clip(all)...); err != nil {
		t.Error(err)
	}
}

// A store without a name has what it had after a query was broken off, alone and in a transaction, and after database/sql has given up the connection.
func TestUnnamedOutlivesItsConnections(t *testing.T) {
	s, other := open(t, ""), open(t, "")
	id := begin(t, s)
	const endless = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n`
	for _, broken := range []func(context.Context) error{
		func(context.Context) error { return errors.Join(s.Drop(), errors.New("given up")) },
		func(ctx context.Context) error { return s.Exec(ctx, endless) },
		func(ctx context.Context) error {
			return s.Tx(ctx, func(tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, endless)
				return err
			})
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := broken(ctx); err == nil {
			t.Error("it was not broken off")
		}
		cancel()
		if _, err := s.Find(t.Context(), id); err != nil {
			t.Error(err)
		}
		tx(t, s, func(*sql.Tx) error { return nil })
	}
	if _, err := other.Find(t.Context(), id); !errors.Is(err, store.ErrNoRun) {
		t.Error("another store without a name is the same:", err)
	}
}

// Who still reads a store without a name when it is closed, as a job does that a run no longer waits for, ends what it reads.
func TestUnnamedClosedWhileRead(t *testing.T) {
	s := open(t, "")
	id := begin(t, s)
	const many = 300
	r := store.Result{Coverage: audit.Coverage{Target: "github:acme/a"}}
	for i := range many {
		r.Findings = append(r.Findings, store.Finding{Identity: fmt.Sprint(i), Finding: audit.Finding{Rule: "r"}})
	}
	tx(t, s, func(tx *sql.Tx) error { return s.Settle(t.Context(), tx, id, r) })
	n := 0
	for _, err := range s.Findings(t.Context(), id) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 1 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n != many {
		t.Errorf("%d findings", n)
	}
	if _, err := s.Find(t.Context(), id); err == nil || errors.Is(err, store.ErrNoRun) {
		t.Error("a closed store answers:", err)
	}
}

// Where there is no room, or nothing can be written, a store without a name is in memory.
func TestUnnamedWithoutRoom(t *testing.T) {
	if !store.TemporaryFiles(1) {
		t.Fatal("there is not a byte to be had")
	}
	if runtime.GOOS == "linux" && store.TemporaryFiles(1<<63) {
		t.Error("more is taken to be there than any disk has")
	}
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "gone"))
	if runtime.GOOS != "windows" && store.TemporaryFiles(1) {
		t.Error("a directory that is not there takes files")
	}
}

// What is found does not decide how much memory a store without a name takes.
func TestUnnamedTakesLittleMemory(t *testing.T) {
	resident := func() int { // in MiB
		debug.FreeOSMemory()
		text, err := os.ReadFile("/proc/self/statm")
		if err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skip("this system does not tell what a process takes:", err)
		}
		var size, pages int
		if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
			t.Fatal(err)
		}
		return pages * os.Getpagesize() >> 20
	}
	s := open(t, "")
	id := begin(t, s)
	before := resident()
	for i := range 64 {
		r := store.Result{Coverage: audit.Coverage{Target: fmt.Sprint("github:acme/", i)}}
		for j := range 16 {
			r.Findings = append(r.Findings, store.Finding{Identity: fmt.Sprint(j), Finding: audit.Finding{Message: strings.Repeat("m", 64<<10)}})
		}
		tx(t, s, func(tx *sql.Tx) error { return s.Settle(t.Context(), tx, id, r) })
	}
	if more := resident() - before; more > 24 {
		t.Errorf("64 MiB of findings take %d MiB of memory", more)
	}
	n := 0
	for _, err := range s.Findings(t.Context(), id) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 64*16 {
		t.Errorf("%d findings", n)
	}
}

// Whatever is wrong with the address of a store, its password is not in the error, and no file has it in its name.
func TestAddressOfAStoreHidesItsPassword(t *testing.T) {
	const password = "a-password-that-nobody-may-see"
	t.Chdir(t.TempDir())
	for _, where := range []string{
		"postgres://user:" + password + "@host:notaport/db", "postgres://us er:" + password + "@host/db", "postgresql://user:" + password + "%zz@host/db",
		"postgres://user:" + password + "@127.0.0.1:1/db", "postgres://host/db?port=z&password=" + password, "postgres://user:a@b" + password + "@host:x/db",
		"postgres://u:12/" + password + "@127.0.0.1:1/db", "postgres://u:12#" + password + "@127.0.0.1:1/db", "postgres://u:12?" + password + "@127.0.0.1:1/db", "postgres:/u:" + password + "@h/db",
		"Postgres://u:" + password + "@h/db", "postgresql+asyncpg://u:" + password + "@h/db", "u:" + password + "@h/db", "host=db user=x password=" + password, "password = '" + password + "'",
	} {
		s, err := store.Open(t.Context(), where, slog.New(slog.DiscardHandler))
		if err == nil {
			_ = s.Close()
		}
		if err == nil || strings.Contains(err.Error()+audit.HintOf(err), password) {
			t.Errorf("%v", err)
		}
	}
	if files, err := os.ReadDir("."); err != nil || len(files) > 0 {
		t.Errorf("%v, %v are left", err, files)
	}
}
