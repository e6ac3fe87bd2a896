//go:build unix

package sweep

import (
	"bytes"
	"cmp"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // drivers of database/sql
	_ "modernc.org/sqlite"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/store/storetest"
	"github.com/leakreach/leakreach/providers/forgetest"
)

// TestScale sweeps an organisation, one repository in fifty of which cannot be read: each repository is accounted for, each that failed is
// named, and what is found is what was planted. It prints what a repository costs: the rows of docs/scale.md.
//
// LEAKREACH_SCALE names other sizes than the small one, such as 1000,5000; -run TestScale/5000/file measures one row. A process does not grow
// with what it sweeps but by what the report at the end holds of it.
func TestScale(t *testing.T) {
	program := build(t)
	for _, n := range sizes(t) {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			o := newOrganisation(t, n)
			url := forgetest.Start(t, o)
			t.Run("file", func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "store.db")
				sweepAndCompare(t, o, program, url, file, 1)
			})
			for workers := range 3 {
				t.Run(fmt.Sprint("postgres", workers+1), func(t *testing.T) {
					if workers != 1 && os.Getenv("LEAKREACH_SCALE") == "" {
						t.Skip("two say enough, unless it is measured")
					}
					sweepAndCompare(t, o, program, url, storetest.Postgres(t), workers+1)
				})
			}
		})
	}
}

func sizes(t *testing.T) []int {
	var out []int
	for text := range strings.SplitSeq(cmp.Or(os.Getenv("LEAKREACH_SCALE"), "250"), ",") {
		var n int
		if _, err := fmt.Sscan(text, &n); err != nil || n < 1 || n > 100_000 {
			t.Fatalf("LEAKREACH_SCALE: %q is no number up to 100000", text)
		}
		out = append(out, n)
	}
	return out
}

// sweepAndCompare has some processes sweep the organisation, and holds the report against what was planted.
func sweepAndCompare(t *testing.T, o *organisation, program, url, store string, workers int) {
	report := filepath.Join(t.TempDir(), "report.json")
	api, git, sent, began := o.api.Load(), o.git.Load(), o.sent.Load(), time.Now()
	// Most of the time of a target is waiting, for answers and between attempts: more than one for each processor are worked on at once. With
	// the cache most repositories would be forks of one another, and not be fetched.
	more := []string{"--store", store, "--jobs", "16", "--memory", "4GiB", "--cache-size", "0"}
	scan := append([]string{"scan", "github:acme", "--out", "json=" + report, "--verify", "off", "--fail-on", "none", "--allow-gaps", "--quiet"}, more...)
	all := []*process{begin(t, program, url, scan)}
	for range workers - 1 {
		all = append(all, begin(t, program, url, append([]string{"worker", "--once"}, more...)))
	}
	var cpu time.Duration
	var peak int64
	for _, p := range all {
		<-p.ended
		if !p.cmd.ProcessState.Success() {
			t.Fatalf("%v: %s", p.cmd.ProcessState, p.stderr.String())
		}
		cpu += p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
		peak = max(peak, peakOf(p))
	}
	took := time.Since(began)
	// What 16 targets at once take, and twice what coverage and inventory of a repository do: the collector lets as much again be held.
	if limit := int64(320e6 + 6e3*float64(o.repositories)); peak > limit {
		t.Errorf("a process took %d MB, want at most %d", peak/1e6, limit/1e6)
	}
	check(t, o, report)
	rows, size := weigh(t, store)
	each := func(n float64) float64 { return n / float64(o.repositories) }
	t.Logf("| %d | %s | %d | %.2f | %.2f | %.1f | %.1f | %d | %.1f | %.2f | %.0f |", o.repositories, cmp.Or(map[bool]string{true: "PostgreSQL"}[strings.Contains(store, "://")], "file"), workers,
		each(float64(o.api.Load()-api)), each(float64(o.git.Load()-git)), each(float64(o.sent.Load()-sent))/1000,
		each(float64(cpu.Milliseconds())), peak/1e6, each(float64(rows)), each(float64(size))/1000, took.Seconds())
}

// peakOf is the most memory that a process had, in bytes.
func peakOf(p *process) int64 {
	peak := int64(p.cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) //nolint:unconvert // narrower on 32-bit systems
	if runtime.GOOS != "darwin" {
		peak <<= 10 // Linux counts in KiB, getrusage(2)
	}
	return peak
}

// check holds a report against the organisation.
func check(t *testing.T, o *organisation, file string) {
	t.Helper()
	status := map[string]audit.Status{}
	gaps := map[string]bool{}
	found := map[string]map[string]bool{}
	secrets := map[string]bool{}
	elements(t, file, map[string]func([]byte) error{
		"coverage": func(b []byte) (err error) {
			var c audit.Coverage
			err = json.Unmarshal(b, &c)
			if status[c.Target] != "" {
				t.Errorf("%s is there twice", c.Target)
			}
			status[c.Target] = c.Status
			return err
		},
		"gaps": func(b []byte) error {
			var g audit.Gap
			defer func() { gaps[g.Target] = true }()
			return json.Unmarshal(b, &g)
		},
		"findings": func(b []byte) error {
			var f struct {
				ID        string
				Category  audit.Category
				Locations []struct{ Target, Path, Name string }
			}
			err := json.Unmarshal(b, &f)
			if f.Category != audit.CategorySecret { // what settings allow is judged elsewhere
				return err
			}
			secrets[f.ID] = true
			for _, l := range f.Locations {
				if found[l.Target] == nil {
					found[l.Target] = map[string]bool{}
				}
				found[l.Target][l.Path+l.Name] = true
			}
			return err
		},
	})
	if len(status) != o.repositories+1 || status["github:acme"] != audit.Scanned {
		t.Errorf("%d targets are accounted for, want %d repositories and the organisation, which is %q", len(status), o.repositories, status["github:acme"])
	}
	tokens := map[string]bool{}
	failed := 0
	for i := range o.repositories {
		name := "github:acme/" + fmt.Sprintf(repositoryName, i)
		want := o.failing(i)
		if want != sound {
			failed++
		}
		if s := status[name]; s == "" || (s == audit.Scanned && !gaps[name]) != (want == sound) || s == audit.Failed != (want == gone) {
			t.Errorf("%s, failing %d: status %q, in gaps: %v", name, want, s, gaps[name])
		}
		planted := o.planted(i)
		for _, place := range planted {
			tokens[map[bool]string{true: fmt.Sprint(o.history(i)), false: name}[place == leakPath]] = true
		}
		if got := slices.Sorted(maps.Keys(found[name])); !slices.Equal(got, slices.Sorted(slices.Values(planted))) {
			t.Errorf("%s: found at %q, want %q", name, got, planted)
		}
		delete(found, name)
	}
	if len(found) > 0 || len(secrets) != len(tokens) {
		t.Errorf("%d secrets were found, want %d; others in %v", len(secrets), len(tokens), found)
	}
	t.Logf("%d of %d repositories failed, %d secrets", failed, o.repositories, len(secrets))
}

// elements reads lists of a report, one element after the other: a large one need not be held.
func elements(t *testing.T, file string, lists map[string]func([]byte) error) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := json.NewDecoder(f)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err = d.Token() // {
	must(err)
	for d.More() {
		key, err := d.Token()
		must(err)
		take := lists[key.(string)]
		var element json.RawMessage
		if take == nil {
			must(d.Decode(&element))
			continue
		}
		_, err = d.Token() // [
		must(err)
		for d.More() {
			must(d.Decode(&element))
			must(take(bytes.Clone(element)))
		}
		_, err = d.Token() // ]
		must(err)
	}
}

// weigh counts rows and bytes of a store.
func weigh(t *testing.T, store string) (rows, size int64) {
	t.Helper()
	driver := "sqlite"
	if strings.Contains(store, "://") {
		driver = "pgx"
	}
	db, err := sql.Open(driver, store)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	ask := func(into *int64, text string) {
		t.Helper()
		if err := db.QueryRowContext(t.Context(), text).Scan(into); err != nil {
			t.Fatal(err)
		}
	}
	for _, table := range []string{"river_job", "targets", "findings", "gaps", "notes"} {
		var n int64
		ask(&n, "SELECT count(*) FROM "+table)
		rows += n
	}
	if driver == "pgx" {
		ask(&size, "SELECT pg_database_size(current_database())")
		return rows, size
	}
	info, err := os.Stat(store)
	if err != nil {
		t.Fatal(err)
	}
	return rows, info.Size()
}
