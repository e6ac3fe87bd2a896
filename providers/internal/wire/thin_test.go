package wire

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/leakreach/leakreach/providers/internal/gittest"
	"github.com/leakreach/leakreach/providers/internal/pack"
)

// listing is what a store holds: of each object, its kind and size.
func listing(t *testing.T, s *pack.Store) string {
	t.Helper()
	var lines []string
	for o := range s.Objects(t.Context()) {
		if o.Err != nil {
			t.Error(o.Err)
			continue
		}
		lines = append(lines, o.ID.Text(s.IDSize)+" "+o.Kind.String()+fmt.Sprint(" ", o.Size))
		o.Done()
	}
	for _, p := range s.Problems() {
		t.Errorf("%s: %v", p.File, p.Err)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestThin receives what is new as deltas against what was there, and completes them from a store of that, while they come.
func TestThin(t *testing.T) {
	for _, format := range []string{"sha1", "sha256"} {
		source := gittest.New(t, "--object-format="+format)
		var lines strings.Builder
		for i := range 2000 {
			fmt.Fprintln(&lines, "line", i*i)
		}
		source.Write("f", lines.String())
		old := source.Commit("old")
		for i := range 5 {
			source.Write("f", lines.String()+strings.Repeat("one more\n", i+1))
			source.Commit("new")
		}
		head := source.Git("rev-parse", "HEAD")
		want := strings.Split(source.Git("rev-list", "--objects", "--no-object-names", head, "^"+old), "\n")
		for i, id := range want {
			want[i] = source.GitIn(id+"\n", "cat-file", "--batch-check")
		}
		slices.Sort(want)
		for name, version := range versions {
			t.Run(format+" "+name, func(t *testing.T) {
				r := dial(t, serve(t, source.Dir, version).JoinPath(".git"))
				options := pack.Options{IDSize: width(format), Limit: 1 << 20, Lend: 1 << 20}
				open := func(q Request) *pack.Store {
					a, err := pack.NewArrival(filepath.Join(t.TempDir(), "x.pack"))
					if err != nil {
						t.Fatal(err)
					}
					s := pack.Receive(a, options)
					t.Cleanup(s.Close)
					go func() {
						_, err := receive(t.Context(), r, q, a)
						a.End(err)
					}()
					return s
				}
				had := open(Request{Wants: []string{old}})
				listing(t, had)
				var asked atomic.Int32
				options.Base = func(ctx context.Context, id pack.ID) (pack.Kind, []byte, error) {
					asked.Add(1)
					return had.Read(ctx, id)
				}
				if got := listing(t, open(Request{Wants: []string{head}, Haves: []string{old}})); got != strings.Join(want, "\n") {
					t.Errorf("%s\nwant\n%s", got, strings.Join(want, "\n"))
				}
				if asked.Load() == 0 {
					t.Error("the pack is not thin")
				}
			})
		}
	}
}
