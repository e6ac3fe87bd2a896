package resolve

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/leakreach/leakreach/pipeline"
)

// world is a repository and what it calls elsewhere: files of others are called "repository@ref:path".
func world(t testing.TB, name string) (lookup Lookup, paths []string, want string) {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, f := range archive.Files {
		files[f.Name] = f.Data
		if strings.HasPrefix(f.Name, ".github/workflows/") {
			paths = append(paths, f.Name)
		}
	}
	want = string(files["want"])
	delete(files, "want")
	return from(files), paths, want
}

func from(files map[string][]byte) Lookup {
	return func(p Place) ([]byte, bool) {
		name := p.Path
		if p.Repository != "" {
			name = p.Repository + "@" + p.Ref + ":" + p.Path
		}
		content, ok := files[name]
		return content, ok
	}
}

// told is a result as a text.
func told(r *Result) string {
	var b strings.Builder
	for i := range r.Jobs {
		j := &r.Jobs[i]
		for _, c := range j.Calls {
			fmt.Fprintf(&b, "%s > ", c.Job)
		}
		fmt.Fprintf(&b, "%s", j.ID)
		for _, e := range j.Events {
			fmt.Fprintf(&b, " %s", e.Name)
		}
		fmt.Fprintf(&b, "; on %s", strings.Join(j.Runner.Labels, "+"))
		if j.Environment.Value != "" {
			fmt.Fprintf(&b, "; environment %s", j.Environment.Value)
		}
		if j.Rights != nil {
			fmt.Fprintf(&b, "; %v", map[string]string(j.Rights))
		}
		b.WriteByte('\n')
		for _, c := range j.Conditions {
			fmt.Fprintf(&b, "  if %s\n", c)
		}
		for _, s := range j.Secrets {
			fmt.Fprintf(&b, "  %s %s as %s in %s at %d:%d", s.Context, s.Name, s.As, s.In, s.At.Line, s.At.Column)
			if s.Possible != "" {
				b.WriteString(", possibly")
			}
			b.WriteByte('\n')
		}
		for _, c := range j.Beside {
			fmt.Fprintf(&b, "  beside %s", strings.Join(append(append([]string{}, c.Through...), c.Text), " > "))
			if c.Mutable() {
				b.WriteString(", mutable")
			}
			if c.Opaque {
				b.WriteString(", opaque")
			}
			b.WriteByte('\n')
		}
		for _, u := range j.Unknown {
			fmt.Fprintf(&b, "  unknown: %s\n", u)
		}
	}
	for _, g := range r.Gaps {
		fmt.Fprintf(&b, "gap: %s: %s\n", g.What, g.Why)
	}
	return b.String()
}

func TestGitHub(t *testing.T) {
	lookup, paths, want := world(t, "github.txtar")
	r := GitHub(lookup, paths)
	if diff := cmp.Diff(want, told(r)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	var readers []string
	for _, j := range r.Readers(pipeline.Secrets, "DEPLOY_TOKEN") {
		readers = append(readers, j.ID)
	}
	if diff := cmp.Diff([]string{"ship", "in", "all", "round"}, readers); diff != "" {
		t.Errorf("readers of DEPLOY_TOKEN: %s", diff)
	}
}
