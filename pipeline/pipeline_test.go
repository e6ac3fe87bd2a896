package pipeline

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func read(t testing.TB, dialect Dialect, name string) *Definition {
	t.Helper()
	content, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return Parse(dialect, name, content)
}

func TestFacts(t *testing.T) {
	for name, c := range map[string]struct {
		dialect Dialect
		want    map[string]string
	}{
		"deploy.yml": {GitHub, map[string]string{
			"whole":        "true",
			"events":       "pull_request_target,push,schedule",
			"secrets":      "API,AWS_ID,AWS_KEY,CHAT,MINIO_KEY,NPM_TOKEN,OTHER_KEY,REGISTRY_PASSWORD,RELEASE_TOKEN",
			"variables":    "CHAT_URL,REGISTRY_USER,WITH_ALPINE",
			"environments": "*,staging",
			"runs_on":      "self-hosted+linux,ubuntu-latest,x64+group:big",
			"uses": "./.github/actions/local,actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683,aws-actions/configure-aws-credentials@v4," +
				"docker://alpine:3.20,ghcr.io/acme/build:3,postgres@sha256:0123456789012345678901234567890123456789012345678901234567890123",
			"permissions": "contents=write,id-token=write",
			"id_token":    "true",
			"static_keys": "aws:AWS_KEY,aws:OTHER_KEY",
			"calls":       "acme/workflows/.github/workflows/release.yml@v2",
		}},
		"gitlab.yml": {GitLab, map[string]string{
			"whole":        "false",
			"events":       "merge_request_event,push,schedule",
			"secrets":      "DATABASE_PASSWORD",
			"variables":    "AWS_KEY,CI_COMMIT_BRANCH,CI_COMMIT_REF_SLUG,CI_PIPELINE_SOURCE,PS_KEY,REGION,REGISTRY_PASSWORD",
			"environments": "*",
			"runs_on":      "*,big+docker,linux",
			"uses": "/ci/base.yml,Jobs/Build.gitlab-ci.yml,docker:dind,gitlab.example.com/acme/scan/sast@1.2.0," +
				"https://ci.example.com/x.yml,registry.example.com/acme/build:3",
			"id_token": "true",
		}},
	} {
		if diff := cmp.Diff(c.want, read(t, c.dialect, name).Facts()); diff != "" {
			t.Errorf("%s: facts (-want +got):\n%s", name, diff)
		}
	}
}

// TestModel looks at what facts do not tell: positions, filters, pins, and where a reference stands.
func TestModel(t *testing.T) {
	d := read(t, GitHub, "deploy.yml")
	if len(d.Gaps) > 0 || d.Name != "deploy" || len(d.Jobs) != 4 {
		t.Fatalf("gaps %v, name %q, %d jobs", d.Gaps, d.Name, len(d.Jobs))
	}
	push := Event{"push", []Filter{{"branches", []string{"main", "release/**"}}, {"paths-ignore", []string{"docs/**"}}}, Position{3, 3}}
	if diff := cmp.Diff(push, d.Events[0]); diff != "" {
		t.Error(diff)
	}
	ship := d.Jobs[1]
	if ship.ID != "ship" || ship.At != (Position{36, 3}) || !ship.Environment.Computed || !cmp.Equal(ship.Needs, []string{"build"}) {
		t.Errorf("job %+v", ship)
	}
	login := ship.Steps[0]
	if diff := cmp.Diff(&Component{Action, "aws-actions/configure-aws-credentials@v4", "aws-actions/configure-aws-credentials", "v4", Named, "", Position{42, 15}}, login.Uses); diff != "" {
		t.Error(diff)
	}
	want := []Reference{{Secrets, "AWS_ID", "with.aws-access-key-id", Position{44, 30}}, {Secrets, "AWS_KEY", "with.aws-secret-access-key", Position{45, 34}}}
	if diff := cmp.Diff(want, login.References); diff != "" {
		t.Error(diff)
	}
	build := d.Jobs[0]
	if build.Steps[0].Uses.Pin != Commit || build.Code[0].Pin != Named || build.Code[1].Pin != Digest || build.Steps[3].Uses.Pin != Local || build.Steps[2].Uses.Kind != Image {
		t.Errorf("pins of %+v", build)
	}
	call := d.Jobs[2].Call
	if call == nil || call.Workflow.Ref != "v2" || call.Inherit || len(call.Secrets) != 1 || call.Secrets[0].Name != "formal-token" || d.Jobs[2].Runner.Computed {
		t.Errorf("call %+v", call)
	}

	d = read(t, GitLab, "gitlab.yml")
	if len(d.Gaps) != 1 || d.Gaps[0].What != `pipeline definition gitlab.yml, job "broken"` {
		t.Errorf("gaps %v", d.Gaps)
	}
	var pins []string
	for _, c := range d.Includes {
		pins = append(pins, fmt.Sprintf("%s %s %s %s", c.Kind, c.Name, c.Ref, c.Pin))
	}
	wantPins := []string{
		"include /ci/base.yml  local", "include acme/ci:a.yml,b.yml v3 name", "include https://ci.example.com/x.yml  none",
		"component gitlab.example.com/acme/scan/sast 1.2.0 name", "template Jobs/Build.gitlab-ci.yml  none",
	}
	if diff := cmp.Diff(wantPins, pins); diff != "" {
		t.Error(diff)
	}
	deploy := d.Jobs[2]
	if deploy.Stage != "deploy" || !cmp.Equal(deploy.Extends, []string{".base"}) || !cmp.Equal(deploy.Needs, []string{"build", "lint"}) ||
		!deploy.Environment.Computed || deploy.IDTokens[0].Name != "AWS_TOKEN" || !deploy.Runner.Computed {
		t.Errorf("job %+v", deploy)
	}
}

// TestForms holds every form in which a workflow can take a secret, and what only looks like one.
func TestForms(t *testing.T) {
	for expression, want := range map[string]string{
		`secrets.x`:                           "X",
		`SECRETS.X`:                           "X",
		`secrets['x-y']`:                      "X-Y",
		`secrets[ 'X' ]`:                      "X",
		`secrets[matrix.name]`:                "*",
		`secrets[format('{0}_KEY', env.E)]`:   "*",
		`secrets.*`:                           "*",
		`toJSON(secrets)`:                     "*",
		`tojson( secrets )`:                   "*",
		`format('{0}', secrets.A) || ''`:      "A",
		`fromJSON(secrets.A).b[secrets.C]`:    "A,C",
		`matrix[secrets.A]`:                   "A",
		`!secrets.A && (secrets.B == 'x')`:    "A,B",
		`secrets.A}}-${{ secrets.B`:           "A,B",
		`'secrets.A'`:                         "",
		`env.secrets`:                         "",
		`github.secrets.A`:                    "",
		`'${{ secrets.A }}'`:                  "",
		`secrets.GITHUB_TOKEN`:                "",
		`secrets.`:                            "*", // a broken one that speaks of secrets may mean any
		`"secrets.A"`:                         "*",
		`1 +`:                                 "",
		strings.Repeat("(", 1000) + "secrets": "*",
	} {
		d := Parse(GitHub, "w.yml", []byte("on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n    - run: |\n        ${{ "+expression+" }}\n"))
		if got := d.Facts()["secrets"]; got != want {
			t.Errorf("%.80s: %q, want %q (gaps %v)", expression, got, want, d.Gaps)
		}
	}
}

// TestBroken shows that what is broken is a gap, and hides nothing beside it.
func TestBroken(t *testing.T) {
	good := "  good:\n    runs-on: x\n    steps: [{run: '${{ secrets.GOOD }}'}]\n"
	for name, c := range map[string]struct {
		content, secrets, gap string
	}{
		"a job without steps":      {"on: push\njobs:\n  bad:\n    runs-on: x\n    env: {A: '${{ secrets.BAD }}'}\n" + good, "BAD,GOOD", `job "bad"`},
		"a job that is none":       {"on: push\njobs:\n  bad: 7\n" + good, "GOOD", `job "bad"`},
		"a step that does nothing": {"on: push\njobs:\n  bad:\n    runs-on: x\n    steps: [{env: {A: '${{ secrets.BAD }}'}}]\n" + good, "BAD,GOOD", `job "bad"`},
		"steps that are none":      {"on: push\njobs:\n  bad:\n    runs-on: x\n    steps: {run: '${{ secrets.BAD }}'}\n" + good, "BAD,GOOD", `job "bad"`},
		"two jobs of one name":     {"on: push\njobs:\n  GOOD:\n    runs-on: x\n    steps: [{run: '${{ secrets.BAD }}'}]\n" + good, "BAD,GOOD", `job "good"`},
		"no event":                 {"jobs:\n" + good, "GOOD", "no event"},
		"no jobs":                  {"on: push\nenv: {A: '${{ secrets.BAD }}'}\n", "BAD", "no jobs"},
		"a key that nobody knows":  {"on: push\nnew: '${{ secrets.NEW }}'\njobs:\n" + good, "GOOD,NEW", ""},
		"an expression":            {"on: push\njobs:\n  bad:\n    runs-on: x\n    steps: [{run: '${{ a b }}${{ secrets.BAD }}'}]\n" + good, "BAD,GOOD", `job "bad"`},
		"no YAML":                  {"on: [push\n", "", "not YAML"},
		"a list":                   {"- on\n", "", "not a mapping"},
		"nothing":                  {"# nothing\n", "", "empty"},
		"other letters":            {"on: \xff\n", "", "UTF-8"},
	} {
		d := Parse(GitHub, "w.yml", []byte(c.content))
		facts := d.Facts()
		if facts["secrets"] != c.secrets {
			t.Errorf("%s: secrets %q, want %q", name, facts["secrets"], c.secrets)
		}
		if all := fmt.Sprint(d.Gaps); c.gap == "" && len(d.Gaps) > 0 || !strings.Contains(all, c.gap) || facts["whole"] != fmt.Sprint(c.gap == "") {
			t.Errorf("%s: gaps %s, whole %s, want %q", name, all, facts["whole"], c.gap)
		}
	}
}

// TestCalled shows which names hold in the caller's world only.
func TestCalled(t *testing.T) {
	call := "on:\n  workflow_call: {secrets: {token: {required: true}}}\n%sjobs:\n  a:\n    runs-on: x\n    steps: [{run: '${{ secrets.TOKEN }}'}]\n"
	for other, want := range map[string]string{"": "", "  push: {}\n": "TOKEN"} {
		if got := Parse(GitHub, "w.yml", fmt.Appendf(nil, call, other)).Facts()["secrets"]; got != want {
			t.Errorf("with %q: secrets %q, want %q", other, got, want)
		}
	}
	d := Parse(GitHub, "w.yml", []byte("on: push\njobs:\n  a:\n    uses: ./.github/workflows/b.yml\n    secrets: inherit\n"))
	if got := d.Facts(); got["secrets"] != "*" || got["permissions"] != "default" || got["whole"] != "true" {
		t.Errorf("inherit: %v", got)
	}
}

// TestHostile shows that no definition takes more than its size is worth.
func TestHostile(t *testing.T) {
	laughs := "on: push\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := range 12 {
		laughs += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i), 10), ","))
	}
	big := "a: &a '" + strings.Repeat("x", 100_000) + "'\nb: [" + strings.Repeat("*a,", 50_000) + "]\n"
	for name, content := range map[string]string{
		"billion laughs":       laughs,
		"in a matrix":          laughs + "jobs: {a: {runs-on: x, strategy: {matrix: {v: [*a12]}}, steps: [{run: x}]}}\n",
		"one large text":       big,
		"itself":               "a: &a [*a, *a]\n",
		"itself, merged":       "a: &a {<<: *a}\n",
		"deep flow":            "a: " + strings.Repeat("[", 9000) + strings.Repeat("]", 9000),
		"deeper flow":          strings.Repeat("[", maxSize-1),
		"deep block":           deepBlock(1000),
		"deep dashes":          strings.Repeat("- ", 5000) + "x",
		"large":                strings.Repeat("#", maxSize+1),
		"many documents":       strings.Repeat("---\n", maxSize/4),
		"parentheses":          "on: push\njobs: {a: {runs-on: x, steps: [{run: '${{ " + strings.Repeat("(", maxSize/2) + "'}]}}",
		"nots":                 "on: push\njobs: {a: {runs-on: x, if: '" + strings.Repeat("!", maxSize/2) + "', steps: [{run: x}]}}",
		"open strings":         "on: push\njobs: {a: {runs-on: x, steps: [{run: \"" + strings.Repeat("${{ ' }}", maxSize/10) + "\"}]}}",
		"starts of expression": "on: push\njobs: {a: {runs-on: x, steps: [{run: '" + strings.Repeat("${{ a", maxSize/8) + "'}]}}",
		"merges":               "a: &a {x: 1}\njob:\n  <<: [" + strings.Repeat("*a,", 60_000) + "]\n",
		"dollars":              "job: {script: '" + strings.Repeat("$%", maxSize/3) + "'}\n",
		"keys":                 "on: push\njobs:\n" + manyJobs(20_000),
	} {
		for _, dialect := range []Dialect{GitHub, GitLab} {
			done := make(chan *Definition, 1)
			go func() { done <- Parse(dialect, name, []byte(content)) }()
			select {
			case d := <-done:
				d.Facts()
				if len(d.Gaps) > maxGaps+1 {
					t.Errorf("%s as %s: %d gaps", name, dialect, len(d.Gaps))
				}
			case <-time.After(30 * time.Second): // a hang, not a slow machine: each takes well under a second
				t.Fatalf("%s as %s: still at it", name, dialect)
			}
		}
	}
}

func deepBlock(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func manyJobs(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "  j%d: {runs-on: x}\n", i)
	}
	return b.String()
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"deploy.yml", "gitlab.yml"} {
		content, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Add([]byte("on: push\njobs: {a: {runs-on: x, steps: [{run: \"${{ toJSON(secrets) }}\"}]}}"))
	f.Add([]byte("a: &a {<<: [*b, {c: d}]}\nb: !reference [a, b]\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		for _, dialect := range []Dialect{GitHub, GitLab} {
			d := Parse(dialect, "f.yml", content)
			facts := d.Facts()
			if _, ok := facts["whole"]; !ok {
				t.Error("facts do not say whether they are whole")
			}
			for name, list := range facts {
				if list == "" || strings.ContainsAny(list, "\r\n") {
					t.Errorf("fact %s is %q", name, list)
				}
			}
			if diff := cmp.Diff(d, Parse(dialect, "f.yml", content), cmpopts.IgnoreUnexported(Definition{})); diff != "" {
				t.Errorf("not a function of its input: %s", diff)
			}
			for range d.Root().Scalars() {
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for name, dialect := range map[string]Dialect{"deploy.yml": GitHub, "gitlab.yml": GitLab} {
		content, err := os.ReadFile("testdata/" + name)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(string(dialect), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				Parse(dialect, name, content).Facts()
			}
		})
	}
}

// TestImagesOfAllJobs shows that what is set for all jobs is not multiplied by however many there are.
func TestImagesOfAllJobs(t *testing.T) {
	var b strings.Builder
	b.WriteString("services:\n")
	for range 1000 {
		b.WriteString("  - redis:7\n")
	}
	b.WriteString("a:\n  script: [x]\nb:\n  image: alpine\n  services: [postgres]\n  script: [x]\n")
	d := Parse(GitLab, ".gitlab-ci.yml", []byte(b.String()))
	if len(d.Jobs) != 2 || len(d.Jobs[0].Code) != maxCode || len(d.Jobs[1].Code) != 2 || len(d.Gaps) != 1 {
		t.Errorf("%d jobs, gaps %+v", len(d.Jobs), d.Gaps)
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"prod", "prod", true}, {"prod", "prod2", false}, {"prod/*", "prod/eu", true}, {"*", "", true}, {"a*b*c", "axxbyc", true}, {"a*b*c", "abc", true},
		{"a*b*c", "acb", false}, {"review/*/x", "review/1/x", true}, {"aa*aa", "aaa", false},
	} {
		if got := Glob(c.pattern, c.name); got != c.want {
			t.Errorf("Glob(%q, %q) = %t", c.pattern, c.name, got)
		}
	}
}
