package wire

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
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

// TestWhole receives what is new as a pack that needs nothing of what was there.
func TestWhole(t *testing.T) {
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
				a, err := pack.NewArrival(filepath.Join(t.TempDir(), "x.pack"))
				if err != nil {
					t.Fatal(err)
				}
				s := pack.Receive(a, options)
				defer s.Close()
				go func() {
					_, err := receive(t.Context(), r, Request{Wants: []string{head}, Haves: []string{old}}, a)
					a.End(err)
				}()
				if got := listing(t, s); got != strings.Join(want, "\n") {
					t.Errorf("%s\nwant\n%s", got, strings.Join(want, "\n"))
				}
			})
		}
	}
}
