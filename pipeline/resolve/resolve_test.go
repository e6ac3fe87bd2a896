package resolve

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
)

// world is a repository and what it calls elsewhere: files of others are called "repository@ref:path".
func world(t testing.TB, name string) (lookup pipeline.Lookup, paths []string, want string) {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, f := range archive.Files {
		files[f.Name] = f.Data
		if strings.HasPrefix(f.Name, ".github/workflows/") && f.Name != pipeline.LockPath {
			paths = append(paths, f.Name)
		}
	}
	want = string(files["want"])
	delete(files, "want")
	return from(files), paths, want
}

func from(files map[string][]byte) pipeline.Lookup {
	return func(p pipeline.Place) ([]byte, bool) {
		name := p.Path
		if p.Repository != "" {
			name = p.Repository + "@" + p.Ref + ":" + p.Path
		}
		if dir, list := strings.CutSuffix(name, "/"); list {
			var below []byte
			for path := range files {
				if dir == "" || strings.HasPrefix(path, name) {
					below = append(append(below, path...), '\n')
				}
			}
			return below, true
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
		for _, c := range append(append([]Component{}, j.Includes...), j.Beside...) {
			fmt.Fprintf(&b, "  beside %s", strings.Join(append(append([]string{}, c.Through...), c.Text), " > "))
			if c.Mutable() {
				b.WriteString(", mutable")
			}
			if c.Commit != "" {
				fmt.Fprintf(&b, ", held at %.4s", c.Commit)
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

// TestLock has components at the commits of lock files, each beside the workflow that goes by it.
func TestLock(t *testing.T) {
	lookup, paths, want := world(t, "lock.txtar")
	if diff := cmp.Diff(want, told(GitHub(lookup, paths))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestGitLab(t *testing.T) {
	lookup, _, want := world(t, "gitlab.txtar")
	if diff := cmp.Diff(want, told(GitLab(lookup, ".gitlab-ci.yml"))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestIdentity: which jobs can have their identity confirmed, by what their files, those that call them and what is preset say.
func TestIdentity(t *testing.T) {
	const gitlab, head = ".gitlab-ci.yml", "on: push\njobs:\n"
	forgejo := func(name string) string { return ".github/workflows/" + name }
	calls := head + "  c: {uses: ./.github/workflows/b.yml}\n"
	called := "on: workflow_call\n"
	jobs := "jobs:\n  a: {runs-on: x, enable-openid-connect: true, steps: [{run: y}]}\n  b: {runs-on: x, enable-openid-connect: false, steps: [{run: y}]}\n  c: {runs-on: x, steps: [{run: y}]}\n"
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"tokens that are preset", map[string]string{gitlab: "default: {id_tokens: {T: {aud: x}}}\na: {script: x}\nb: {script: x, id_tokens: {}}\nc: {script: x, id_tokens: {U: {aud: y}}}\n"}, "a c"},
		{"tokens of jobs", map[string]string{gitlab: "a: {script: x}\nb: {script: x, id_tokens: {}}\nc: {script: x, id_tokens: {U: {aud: y}}}\n"}, "c"},
		{"switched on for a job", map[string]string{forgejo("a.yml"): "on: push\n" + jobs}, "a"},
		{"switched on for all", map[string]string{forgejo("a.yml"): "on: push\nenable-openid-connect: true\n" + jobs}, "a c"},
		{"switched off for all", map[string]string{forgejo("a.yml"): "on: push\nenable-openid-connect: false\n" + jobs}, "a"},
		{"the caller's", map[string]string{forgejo("a.yml"): "enable-openid-connect: Yes\n" + calls, forgejo("b.yml"): called + jobs}, "a c"},
		{"a called file's", map[string]string{forgejo("a.yml"): calls, forgejo("b.yml"): "enable-openid-connect: true\n" + called + jobs}, "a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			files, paths := map[string][]byte{}, []string{}
			for name, text := range c.files {
				files[name] = []byte(text)
				paths = append(paths, name)
			}
			slices.Sort(paths)
			var r *Result
			if paths[0] == gitlab {
				r = GitLab(from(files), gitlab)
			} else {
				r = GitHub(from(files), paths)
			}
			var got []string
			for i := range r.Jobs {
				if j := FromEntry(audit.Entry{Facts: r.Jobs[i].facts()}); len(j.IDTokens) > 0 || j.OIDC {
					got = append(got, j.ID)
				}
			}
			if text := strings.Join(got, " "); text != c.want || len(r.Jobs) < 3 || len(r.Gaps) > 0 {
				t.Errorf("%q, want %q of %d jobs: %v", text, c.want, len(r.Jobs), r.Gaps)
			}
		})
	}
}

// TestHostile shows that files that call each other take no more than their size is worth.
func TestHostile(t *testing.T) {
	fan := "on: workflow_call\njobs:\n"
	for i := range 1000 {
		fan += fmt.Sprintf("  j%d: {uses: ./.github/workflows/%%d.yml, secrets: inherit}\n", i)
	}
	files := map[string][]byte{"action.yml": []byte("runs: {using: composite, steps: [" + strings.Repeat("{uses: ./}, ", 10_000) + "]}")}
	for i := range 12 {
		text := fan
		if i == 0 {
			text = strings.Replace(fan, "workflow_call", "push", 1)
		}
		files[fmt.Sprintf(".github/workflows/%d.yml", i)] = []byte(strings.ReplaceAll(text, "%d", fmt.Sprint(i+1)))
	}
	self := "on: push\njobs:\n"
	for i := range 500 {
		self += fmt.Sprintf("  j%d: {runs-on: x, steps: [{uses: ./}]}\n", i)
	}
	files[".github/workflows/self.yml"] = []byte(self)
	wide := "on: push\njobs:\n  a:\n    runs-on: x\n    outputs:\n"
	for i := range 5000 {
		wide += fmt.Sprintf("      o%d: ${{ secrets.S%d }} ${{ toJSON(needs) }} ${{ needs.a.outputs.o%d }}\n", i, i, i)
	}
	files[".github/workflows/wide.yml"] = []byte(wide + "    steps: [{run: x}]\n")
	// Each of a hundred actions pulls in all of them.
	var pins, mesh strings.Builder
	for i := range 100 {
		fmt.Fprintf(&pins, "a/b@v%d, ", i)
		fmt.Fprintf(&mesh, "  a/b@v%d: {commit: sha1-0123456789abcdef0123456789abcdef01234567, uses: *all}\n", i)
	}
	files[pipeline.LockPath] = []byte("workflows: {.github/workflows/mesh.yml: &all [" + pins.String() + "]}\ndependencies:\n" + mesh.String())
	files[".github/workflows/mesh.yml"] = []byte("on: push\njobs:\n" + manyOf(3000, "  j%d: {runs-on: x, steps: [{uses: a/b@v0}]}\n"))
	for _, p := range []string{"0", "self", "wide", "mesh"} {
		r := GitHub(from(files), []string{".github/workflows/" + p + ".yml"})
		if len(r.Jobs) == 0 || len(r.Jobs) > maxJobs {
			t.Errorf("%s: %d jobs", p, len(r.Jobs))
		}
		if (p == "0" || p == "mesh") && !strings.Contains(fmt.Sprint(r.Gaps), "too many jobs") {
			t.Errorf("%s: nothing says that calls were left out: %v", p, r.Gaps)
		}
		for i := range r.Jobs {
			if len(r.Jobs[i].Secrets) > maxSecrets || len(r.Jobs[i].Beside) > maxBeside+maxCalls+1 {
				t.Fatalf("%s: a job with %d secrets, %d components", p, len(r.Jobs[i].Secrets), len(r.Jobs[i].Beside))
			}
		}
	}

	big := ".big: {variables: {"
	for i := range 10_000 {
		big += fmt.Sprintf("V%d: x, ", i)
	}
	big += "}}\n"
	laugh := ".r0: [x,x,x,x,x,x,x,x,x,x]\n"
	for i := range 10 {
		laugh += fmt.Sprintf(".r%d: [%s]\n", i+1, strings.Repeat(fmt.Sprintf("!reference [.r%d], ", i), 10))
	}
	for name, content := range map[string]string{
		"extends of much":     big + manyOf(10_000, "j%d: {extends: .big, script: x}\n"),
		"references":          laugh + "job: {script: [!reference [.r10]]}\n",
		"itself":              "job: {script: [!reference [job, script]]}\n",
		"includes":            "include: [" + strings.Repeat("{local: a.yml}, ", 10_000) + "]\njob: {script: x}\n",
		"includes that fan":   "include: [{local: fan0.yml}]\njob: {script: x}\n",
		"missing includes":    "include: [" + strings.Repeat("{local: none.yml}, ", 10_000) + "]\n" + manyOf(10_000, "j%d: {script: x}\n"),
		"children":            manyOf(100, "j%d: {trigger: {include: .gitlab-ci.yml}}\n"),
		"chain of extends":    manyOf(5000, "j%d: {extends: j%d_, script: x}\n") + manyOf(5000, "j%d_: {extends: j%d}\n"),
		"inputs":              "include: {local: in.yml, inputs: {x: " + strings.Repeat("x", 500_000) + "}}\n",
		"a reference to all":  "job: {script: !reference []}\n",
		"references and text": ".t: [" + strings.Repeat("x", 700_000) + "]\n" + manyOf(5000, "j%d: {script: !reference [.t]}\n"),
	} {
		files := map[string][]byte{
			".gitlab-ci.yml": []byte(content), "a.yml": []byte("a: {script: x}\n"),
			"in.yml": []byte("spec: {inputs: {x: {}}}\n---\n" + manyOf(5000, "j%d: {script: '$[[ inputs.x ]]a'}\n")),
		}
		for i := range 100 {
			files[fmt.Sprintf("fan%d.yml", i)] = []byte("include: [" + strings.Repeat(fmt.Sprintf("fan%d.yml, ", i+1), 100) + "]\n")
		}
		done := make(chan *Result, 1)
		go func() { done <- GitLab(from(files), ".gitlab-ci.yml") }()
		select {
		case r := <-done:
			if len(r.Gaps) == 0 && name != "children" {
				t.Errorf("%s: no gap", name)
			}
		case <-time.After(60 * time.Second): // a hang, not a slow machine
			t.Fatalf("%s: still at it", name)
		}
	}
}

func manyOf(n int, form string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.ReplaceAll(form, "%d", fmt.Sprint(i)))
	}
	return b.String()
}

// FuzzResolve takes a file that calls another, which calls both.
func FuzzResolve(f *testing.F) {
	for _, name := range []string{"github.txtar", "gitlab.txtar", "lock.txtar"} {
		archive, err := txtar.ParseFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			f.Add(file.Data, archive.Files[1].Data)
		}
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		// The first places that are asked for exist, by turns: enough for each way to call, and few enough for many tries.
		world := func() pipeline.Lookup {
			have := map[pipeline.Place][]byte{}
			return func(p pipeline.Place) ([]byte, bool) {
				if _, ok := have[p]; !ok && len(have) < 5 {
					have[p] = [][]byte{a, b}[len(have)%2]
				}
				content, ok := have[p]
				return content, ok
			}
		}
		paths := []string{"a.yml", ".github/workflows/b.yaml"} // the one of which has a lock file beside it
		if !reflect.DeepEqual(GitHub(world(), paths), GitHub(world(), paths)) {
			t.Error("workflows: not a function of its input")
		}
		if !reflect.DeepEqual(GitLab(world(), "a.yml"), GitLab(world(), "a.yml")) {
			t.Error("GitLab: not a function of its input")
		}
	})
}

// BenchmarkResolve takes a repository of some workflows as it comes; ns/file is what one of its files takes.
func BenchmarkResolve(b *testing.B) {
	lookup, paths, _ := world(b, "github.txtar")
	b.Run("github", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			GitHub(lookup, paths)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(paths)), "ns/file")
	})
	lookup, _, _ = world(b, "gitlab.txtar")
	b.Run("gitlab", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			GitLab(lookup, ".gitlab-ci.yml")
		}
	})
}
