package resolve

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
)

// What the inventory says of a component is all that was learned of it.
func TestMeaningEntry(t *testing.T) {
	for _, m := range []Meaning{
		{Origin: Origin{"github", "acme/build", "", "v1"}, Is: "tag", Commit: "c1", Tags: []string{"v1", "v1.0.0"}, Opaque: true},
		{
			Origin: Origin{"https://code.forgejo.org", "acme/build", "a/b", "0123"}, Is: "commit", Commit: "0123", Reachable: Unreachable,
			Parts:      []pipeline.Component{{Kind: pipeline.Action, Text: "a/b@v1", Name: "a/b", Ref: "v1", Pin: pipeline.Named}, {Kind: pipeline.Image, Text: "alpine", Name: "alpine", Pin: pipeline.Unnamed}},
			Advisories: []Advisory{{"GHSA-1", audit.High, "it leaks", "< 2", "2.0.0"}, {ID: "GHSA-2", Range: ">= 1, < 3"}},
		},
	} {
		if diff := cmp.Diff(m, MeaningFrom(m.Entry()), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("-learned +read again:\n%s", diff)
		}
	}
}

func TestOriginOf(t *testing.T) {
	for _, c := range []struct {
		target, workflow, uses string
		want                   Origin
	}{
		{"github:acme/web", ".github/workflows/ci.yml", "acme/build@v1", Origin{"github", "acme/build", "", "v1"}},
		{"github:acme/web", ".github/workflows/ci.yml", "acme/build/a//b/../c@v1", Origin{"github", "acme/build", "a/c", "v1"}},
		{"/src/web", ".github/workflows/ci.yml", "acme/ci/.github/workflows/x.yml@main", Origin{"github", "acme/ci", ".github/workflows/x.yml", "main"}},
		{"dir:/src/web", ".forgejo/workflows/ci.yml", "acme/build@v1", Origin{"gitea", "acme/build", "", "v1"}},
		{"gitea:acme/web", ".gitea/workflows/ci.yml", "https://github.com/acme/build@v1", Origin{"https://github.com", "acme/build", "", "v1"}},
		{"gitea:acme/web", ".gitea/workflows/ci.yml", "https://Code.Forgejo.org/acme/build/sub@v1", Origin{"https://code.forgejo.org", "acme/build", "sub", "v1"}},
		{"gitea:acme/web", ".gitea/workflows/ci.yml", "http://Git.example.com:3000/acme/build@v1", Origin{"http://git.example.com:3000", "acme/build", "", "v1"}},
		{"github:acme/web", ".github/workflows/ci.yml", "./local", Origin{}},
		{"github:acme/web", ".github/workflows/ci.yml", "acme/build", Origin{}},
		{"github:acme/web", ".github/workflows/ci.yml", "acme@v1", Origin{}},
		{"github:acme/web", ".github/workflows/ci.yml", "docker://alpine:3", Origin{}},
		{"github:acme/web", ".github/workflows/ci.yml", "acme/${{ x }}@v1", Origin{}},
	} {
		d := pipeline.Parse(pipeline.GitHub, c.workflow, []byte("on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{uses: '"+c.uses+"'}]\n"))
		got, ok := OriginOf(c.target, c.workflow, d.Jobs[0].Steps[0].Uses)
		if ok != (c.want != Origin{}) || ok && got != c.want {
			t.Errorf("%s in %s: %+v %t, want %+v", c.uses, c.target, got, ok, c.want)
		}
	}
	for want, c := range map[Origin]pipeline.Component{
		{"gitlab", "acme/ci", "ci/a.yml", "v2"}:                 pipeline.Included("file", "/ci/a.yml", "acme/ci", "v2"),
		{"gitlab", "acme/tools/ci", "lint", "1.0.0"}:            pipeline.Included("component", "$CI_SERVER_FQDN/acme/tools/ci/lint@1.0.0", "", ""),
		{"https://gitlab.com", "components/tofu", "all", "2.0"}: pipeline.Included("component", "gitlab.com/components/tofu/all@2.0", "", ""),
		{}: pipeline.Included("remote", "https://example.com/a.yml", "", ""), {Source: "none"}: pipeline.Included("template", "Auto-DevOps.gitlab-ci.yml", "", ""),
	} {
		if got, ok := OriginOf("gitlab:acme/web", ".gitlab-ci.yml", &c); ok != (want.Ref != "") || ok && got != want {
			t.Errorf("%s: %+v %t, want %+v", c.Text, got, ok, want)
		}
	}
}

// What a component pulls in by no address lies beside it, or, where an address led to it, where the pipeline's own actions lie.
func TestPart(t *testing.T) {
	for source, want := range map[string]string{"github": "github", "gitea": "gitea", "https://code.forgejo.org": "gitea", "http://git.example.com": "gitea"} {
		build := Origin{Source: source, Repository: "acme/build", Ref: "v1"}
		parts, _ := Parts(build, "0123", []byte("runs: {using: composite, steps: [{uses: acme/part@v2}, {uses: $/sub}, {uses: 'https://codeberg.org/acme/part@v2'}]}\n"))
		for i, want := range []Origin{{want, "acme/part", "", "v2"}, {source, "acme/build", "sub", "0123"}, {"https://codeberg.org", "acme/part", "", "v2"}} {
			if got, ok := build.Part(&parts[i]); !ok || got != want {
				t.Errorf("of %s: %+v %t, want %+v", source, got, ok, want)
			}
		}
	}
}

// Beside a job is what its components pull in, once that was learned; of what is still not, it is said.
func TestLearned(t *testing.T) {
	component := func(text string) pipeline.Component {
		d := pipeline.Parse(pipeline.GitHub, "x.yml", []byte("on: push\njobs: {a: {runs-on: x, steps: [{uses: '"+text+"'}]}}\n"))
		c := *d.Jobs[0].Steps[0].Uses
		c.At = pipeline.Position{Line: 7}
		return c
	}
	all := Meanings{}
	learn := func(name string, opaque bool, parts ...string) {
		c := component(name)
		o, _ := OriginOf("github:a/a", ".github/workflows/x.yml", &c)
		m := Meaning{Origin: o, Opaque: opaque}
		for _, p := range parts {
			m.Parts = append(m.Parts, component(p))
		}
		all.Learn([]audit.Entry{{Kind: audit.KindSettings}, m.Entry()})
	}
	learn("a/outer@v1", false, "a/middle@v1", "docker://alpine:3", "a/outer@v1")
	learn("a/middle@v1", false, "a/inner@v1", "a/unasked@v1")
	learn("a/inner@v1", true)
	j := Job{Workflow: ".github/workflows/x.yml", Beside: []Component{{Component: component("A/outer@v1"), Opaque: true}, {Component: component("a/middle@v1")}, {Component: component("b/other@v1"), Opaque: true}}}
	j.Learned("github:a/a", all)
	var got []string
	for _, c := range j.Beside {
		line := strings.Join(append(slices.Clone(c.Through), c.Text), " > ")
		if c.Opaque {
			line += " …"
		}
		got = append(got, line)
		if c.At.Line != 7 {
			t.Errorf("%s at line %d", line, c.At.Line)
		}
	}
	want := []string{
		"A/outer@v1", "a/middle@v1", "b/other@v1 …", "A/outer@v1 > a/middle@v1", "A/outer@v1 > docker://alpine:3", "A/outer@v1 > a/middle@v1 > a/inner@v1 …",
		"A/outer@v1 > a/middle@v1 > a/unasked@v1 …",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// What a lock file holds for one component beside a job, it does not hold for another one that nothing holds, nor for what the job has checked out.
func TestLearnedLocks(t *testing.T) {
	const commit, held = "0123456789abcdef0123456789abcdef01234567", "89abcdef0123456789abcdef0123456789abcdef"
	action := func(name, ref string, pin pipeline.Pin, through ...string) Component {
		c := Component{Component: pipeline.Component{Kind: pipeline.Action, Text: name + "@" + ref, Name: name, Ref: ref, Pin: pin}, Through: through, Opaque: true}
		if pin == pipeline.Locked {
			c.Commit = held
		}
		return c
	}
	inner := action("a/inner", "v2", pipeline.Named)
	all := Meanings{}
	for _, ref := range []string{"v1", commit, held} {
		m := Meaning{Origin: Origin{Source: "github", Repository: "a/outer", Ref: ref}, Parts: []pipeline.Component{inner.Component}}
		all.Learn([]audit.Entry{m.Entry()})
	}
	for _, c := range []struct {
		outer Component
		want  pipeline.Pin
	}{
		{action("a/outer", "v1", pipeline.Locked), pipeline.Locked},
		{action("a/outer", commit, pipeline.Commit), pipeline.Locked},
		{action("a/outer", "v1", pipeline.Named), pipeline.Named},
		{action("a/outer", commit, pipeline.Commit, "./own"), pipeline.Named},
	} {
		j := Job{Workflow: ".github/workflows/x.yml", Beside: []Component{c.outer, action("a/inner", "v2", pipeline.Locked, "a/other@v1")}}
		j.Learned("github:a/a", all)
		if got := j.Beside[len(j.Beside)-1]; len(j.Beside) != 3 || got.Pin != c.want || got.Name != "a/inner" {
			t.Errorf("%s through %q: %+v", c.outer.Text, c.outer.Through, j.Beside)
		}
	}
}

// Whatever a component's file has in it, its parts are bounded, and none is called local that is not of its own repository.
func FuzzParts(f *testing.F) {
	f.Add("", "runs:\n  using: composite\n  steps: [{uses: a/b@v1}, {uses: $/c}, {uses: ./d}]\n")
	f.Add("", "runs: {using: docker, image: 'docker://alpine'}\n")
	f.Add(".github/workflows/a.yml", "on: workflow_call\njobs: {a: {uses: ./.github/workflows/b.yml}}\n")
	f.Fuzz(func(t *testing.T, path, content string) {
		parts, _ := Parts(Origin{"github", "acme/build", path, "v1"}, "0123456789012345678901234567890123456789", []byte(content))
		if len(parts) > maxBeside {
			t.Fatalf("%d parts", len(parts))
		}
		for _, c := range parts {
			if c.Pin == pipeline.Local {
				t.Fatalf("%+v", c)
			}
		}
	})
}
