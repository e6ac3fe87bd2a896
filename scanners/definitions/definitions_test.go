package definitions

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/audit/audittest"
	"github.com/leakreach/leakreach/pipeline"
)

func scanner(t testing.TB, ids ...string) *Scanner {
	t.Helper()
	s, err := New(ids)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// item is a file as a working tree has it, of a repository of acme's.
func item(path string, content []byte) audit.Item {
	return audit.Item{Kind: audit.KindFile, At: audit.Location{Target: "github:acme/web", Kind: audit.InFile, Path: path}, Content: content, Size: int64(len(content))}
}

// want is what a fixture's line expects: "# want RULE SEVERITY", several separated by commas.
var want = regexp.MustCompile(`# want (.*)`)

func wanted(content string) (list []string) {
	for i, line := range strings.Split(content, "\n") {
		if m := want.FindStringSubmatch(line); m != nil {
			for w := range strings.SplitSeq(m[1], ",") {
				list = append(list, fmt.Sprintf("%d: %s", i+1, strings.TrimSpace(w)))
			}
		}
	}
	slices.Sort(list)
	return list
}

// TestRules holds each rule to its fixture: an archive of files whose comments say what is found where. A file without a comment is a miss.
func TestRules(t *testing.T) {
	for _, r := range rules() {
		t.Run(r.ID, func(t *testing.T) {
			archive, err := txtar.ParseFile(filepath.Join("testdata", r.ID+".txtar"))
			if err != nil {
				t.Fatal(err)
			}
			s := scanner(t, r.ID)
			hits, misses := 0, 0
			var lock []byte // beside all workflows
			for _, file := range archive.Files {
				if file.Name == pipeline.LockPath {
					lock = file.Data
					continue
				}
				it := item(file.Name, file.Data)
				it.Lock = lock
				if !s.Wants(it) {
					t.Errorf("%s is not wanted", file.Name)
				}
				if r.alone {
					if found, _ := s.Scan(it, file.Data); len(found) > 0 {
						t.Errorf("%s: %+v beside an inventory", file.Name, found)
					}
					it.At.Target = "/home/me/web"
				}
				found, gaps := s.Scan(it, file.Data)
				if len(gaps) > 0 {
					t.Errorf("%s: %+v", file.Name, gaps)
				}
				var got []string
				for _, x := range found {
					l := x.Locations[0]
					got = append(got, fmt.Sprintf("%d: %s %s", l.Line, x.Rule, x.Severity))
					if x.Message == "" || strings.HasSuffix(x.Message, ".") || l.Name == "" || l.Kind != audit.InWorkflow {
						t.Errorf("%s: %+v", file.Name, x)
					}
				}
				slices.Sort(got)
				expected := wanted(string(file.Data))
				if diff := cmp.Diff(expected, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", file.Name, diff)
				}
				if len(expected) > 0 {
					hits++
				}
				if len(expected) == 0 || strings.Count(string(file.Data), "\n")/len(expected) > 4 {
					misses++ // files of hits have lines in them that are none
				}
			}
			if hits == 0 || misses == 0 {
				t.Errorf("%d files with hits, %d with misses", hits, misses)
			}
		})
	}
}

// TestText holds the texts of the rules to what a reader needs.
func TestText(t *testing.T) {
	for _, r := range scanner(t).Rules() {
		for _, part := range []string{"Before:", "After:", "**Not a finding when**"} {
			if !strings.Contains(r.Help, part) {
				t.Errorf("%s: no %q", r.ID, part)
			}
		}
		if r.CWE == 0 || r.Severity.Rank() < 0 || len(r.Fix) == 0 || r.Title == "" || strings.HasSuffix(r.Title, ".") {
			t.Errorf("%s: %+v", r.ID, r)
		}
	}
}

func TestWants(t *testing.T) {
	s := scanner(t)
	for path, want := range map[string]bool{
		".github/workflows/ci.yml": true, ".github/workflows/ci.yaml": true, ".gitea/workflows/a.yml": true, ".forgejo/workflows/a.yml": true,
		"action.yml": true, ".github/actions/build/action.yaml": true, ".gitlab-ci.yml": true, "ci/deploy.gitlab-ci.yml": true, ".gitlab/ci/test.yml": true,
		"sub/.github/workflows/ci.yml": false, ".github/workflows/deep/ci.yml": false, ".github/dependabot.yml": false, "node_modules/x/action.yml": false,
		"transaction.yml": false, "sub/.gitlab-ci.yml": false, "": false, "a/vendor/b/action.yml": false,
	} {
		if got := s.Wants(item(path, nil)); got != want {
			t.Errorf("%q: %t", path, got)
		}
	}
	place := audit.Item{Kind: audit.KindPlace, At: audit.Location{Path: ".github/workflows/ci.yml"}}
	if !s.Wants(place) {
		t.Error("a place that is asked about is not wanted")
	}
	if place.At.Commit = "c"; s.Wants(place) {
		t.Error("a definition that the head no longer has is wanted")
	}
	if place.At.InHead = true; !s.Wants(place) {
		t.Error("the head's definition is not wanted")
	}
	if !s.Wants(audit.Item{Kind: audit.KindWorkflow, At: audit.Location{Path: "ci/main.yml"}}) {
		t.Error("a forge's definition is not wanted")
	}
}

// TestWindow shows that the age of a definition decides whether it had a component while that was compromised.
func TestWindow(t *testing.T) {
	content := []byte("on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: tj-actions/changed-files@v44\n")
	for day, want := range map[string]audit.Severity{"": audit.Medium, "2025-01-01": audit.High, "2025-03-14": audit.High, "2025-06-01": audit.Info} {
		it := item(".github/workflows/ci.yml", content)
		if day != "" {
			at, err := time.Parse(time.DateOnly, day)
			if err != nil {
				t.Fatal(err)
			}
			it.At.At = at
		}
		found, _ := scanner(t, "compromised-component").Scan(it, content)
		if len(found) != 1 || found[0].Severity != want {
			t.Errorf("%q: %+v, want %s", day, found, want)
		}
	}
}

// TestMerged shows that what GitLab has put together is judged, without lines that are in no file.
func TestMerged(t *testing.T) {
	content := []byte("a:\n  image: alpine:latest\n  script: [x]\n")
	found, _ := scanner(t, "unpinned-image").Scan(audit.Item{Kind: audit.KindWorkflow, At: audit.Location{Target: "gitlab:acme/web", Path: "ci/main.yml"}}, content)
	if len(found) != 1 || found[0].Locations[0].Line != 0 {
		t.Errorf("%+v", found)
	}
}

func samples(t testing.TB) (all []audittest.Sample) {
	t.Helper()
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range archives {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range archive.Files {
			all = append(all, audittest.Sample{Item: item(file.Name, file.Data), Content: file.Data})
		}
	}
	return all
}

func TestScanner(t *testing.T) { audittest.Scanner(t, scanner(t), samples(t)) }

// TestBounds shows that what is made to take long, or to fill a report, does neither.
func TestBounds(t *testing.T) {
	s := scanner(t)
	var b strings.Builder
	b.WriteString("on: issues\nenv:\n")
	for i := range 60 { // each names the next one a hundred times
		fmt.Fprintf(&b, "  V%d: %q\n", i, strings.Repeat(fmt.Sprintf("${{ env.V%d }}", i+1), 100))
	}
	b.WriteString("jobs:\n  a:\n    runs-on: x\n    steps:\n")
	for range 1000 {
		b.WriteString("      - run: echo ${{ env.V0 }} ${{ github.event.issue.title }}\n")
	}
	content := []byte(b.String())
	found, gaps := s.Scan(item(".github/workflows/a.yml", content), content)
	if len(found) > maxProblems*len(s.rules) || len(gaps) == 0 {
		t.Errorf("%d findings, %d gaps", len(found), len(gaps))
	}
	for _, x := range found {
		if len(x.Message) > 600 || len(x.Locations[0].Name) > 600 {
			t.Errorf("%d bytes of message, %d of name", len(x.Message), len(x.Locations[0].Name))
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, s := range samples(f) {
		f.Add(s.Item.At.Path, s.Content)
	}
	s, err := New(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path string, content []byte) {
		for _, path := range []string{path, ".github/workflows/a.yml", "action.yml", ".gitlab-ci.yml"} {
			it := item(path, content)
			it.Lock = content // which no workflow is, and any mapping may be
			found, _ := s.Scan(it, content)
			for _, x := range found {
				if x.Message == "" || len(x.Locations) != 1 || x.Severity.Rank() < 0 {
					t.Fatalf("%+v", x)
				}
			}
		}
	})
}

func BenchmarkScan(b *testing.B) {
	s, err := New(nil)
	if err != nil {
		b.Fatal(err)
	}
	all := samples(b)
	if dir := os.Getenv("BENCH_WORKFLOWS"); dir != "" { // real ones, whatever their repositories
		all = nil
		files, err := filepath.Glob(filepath.Join(dir, "*.y*ml"))
		if err != nil {
			b.Fatal(err)
		}
		for _, name := range files {
			content, err := os.ReadFile(name)
			if err != nil {
				b.Fatal(err)
			}
			all = append(all, audittest.Sample{Item: item(".github/workflows/"+filepath.Base(name), content), Content: content})
		}
	}
	size := 0
	for _, x := range all {
		size += len(x.Content)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		for _, x := range all {
			s.Scan(x.Item, x.Content)
		}
	}
	b.ReportMetric(float64(len(all)), "files/op")
}

// An owner of the repository's name is its own where the server is the same: of GitHub, and of reusable workflows on Gitea, but not of actions there.
func TestOwner(t *testing.T) {
	const workflow = "on: push\njobs:\n  a:\n    uses: acme/ci/.gitea/workflows/a.yml@v1\n  b:\n    runs-on: x\n    steps:\n      - uses: acme/own@v1\n      - uses: actions/cache@v4\n"
	for forge, want := range map[string][]audit.Severity{"github": {audit.Low, audit.Low, audit.Low}, "gitea": {audit.Low, audit.Medium, audit.Low}} {
		it := item(".github/workflows/ci.yml", []byte(workflow))
		it.At.Target = forge + ":acme/web"
		found, _ := scanner(t, "unpinned-action").Scan(it, it.Content)
		var got []audit.Severity
		for _, f := range found {
			got = append(got, f.Severity)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", forge, got, want)
		}
	}
}
