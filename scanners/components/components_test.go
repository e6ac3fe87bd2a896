package components

import (
	"fmt"
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
	"github.com/leakreach/leakreach/pipeline/resolve"
)

const target = "github:acme/web"

// A fixture is a file of testdata: definitions of the target's own, whose lines say in a comment what is wanted there ("# want high: a part of the message", or its end, "…$"),
// and components as they were resolved, with their own files: "OWNER/REPO/PATH@REF is=tag commit=… reachable=… tags=…".
func fixture(t testing.TB, file string) (holdings []audit.Holding, want []string) {
	t.Helper()
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	var paths []string
	learned := audit.Holding{}
	for _, f := range a.Files {
		name, facts, component := strings.Cut(f.Name, " ")
		if !component {
			files[name] = f.Data
			if strings.HasPrefix(name, ".github/workflows/") && name != pipeline.LockPath {
				paths = append(paths, name)
			}
			for i, line := range strings.Split(string(f.Data), "\n") {
				for _, m := range regexp.MustCompile(`want (\w+): ([^;]+)`).FindAllStringSubmatch(line, -1) {
					want = append(want, fmt.Sprintf("%s:%d %s: %s", name, i+1, m[1], strings.TrimSpace(m[2])))
				}
			}
			continue
		}
		learned.Inventory = append(learned.Inventory, meaning(t, name, facts, f.Data).Entry())
	}
	h := audit.Holding{Coverage: audit.Coverage{Target: target, Kind: audit.TargetRepository, Status: audit.Scanned}}
	r := resolve.GitHub(func(p pipeline.Place) ([]byte, bool) {
		content, ok := files[p.Path]
		return content, ok && p.Repository == ""
	}, paths)
	for it, err := range r.Items(target, "repository") {
		if err != nil {
			t.Fatal(err)
		}
		h.Inventory = append(h.Inventory, *it.Entry)
	}
	return []audit.Holding{learned, h}, want
}

// advisories are those that a fixture can give to a component, by name.
var advisories = map[string]resolve.Advisory{
	"leak": {ID: "GHSA-2222-3333-4444", Severity: audit.Critical, Summary: "it prints its token", Range: ">= 1.0.0, < 1.2.3", Fixed: "1.2.3"},
	"old":  {ID: "GHSA-2222-3333-5555", Severity: audit.Low, Summary: "it trusts names", Range: "< 2.0.0"},
}

// meaning is a component as it was resolved.
func meaning(t testing.TB, name, facts string, content []byte) *resolve.Meaning {
	t.Helper()
	d := pipeline.Parse(pipeline.GitHub, "x", []byte("on: push\njobs: {a: {runs-on: x, steps: [{uses: "+name+"}]}}\n"))
	origin, ok := resolve.OriginOf(target, ".github/workflows/x.yml", d.Jobs[0].Steps[0].Uses)
	if !ok {
		t.Fatalf("%q is no component", name)
	}
	m := &resolve.Meaning{Origin: origin}
	for fact := range strings.FieldsSeq(facts) {
		key, value, _ := strings.Cut(fact, "=")
		switch key {
		case "is":
			m.Is = value
		case "commit":
			m.Commit = value
		case "reachable":
			m.Reachable = value
		case "tags":
			m.Tags = strings.Split(value, ",")
		default:
			m.Advisories = append(m.Advisories, advisories[key])
			if advisories[key].ID == "" {
				t.Fatalf("fact %q", fact)
			}
		}
	}
	if m.Is == "commit" {
		m.Commit = m.Ref
	}
	var whole bool
	m.Parts, whole = resolve.Parts(origin, m.Commit, content)
	m.Opaque = !whole
	return m
}

func TestRules(t *testing.T) {
	all, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	var samples [][]audit.Holding
	for _, r := range all.Rules() {
		s, err := New([]string{r.ID})
		if err != nil {
			t.Fatal(err)
		}
		holdings, want := fixture(t, filepath.Join("testdata", r.ID+".txtar"))
		samples = append(samples, holdings)
		if len(want) == 0 {
			t.Errorf("%s: nothing is wanted", r.ID)
		}
		found := s.Survey(time.Time{}, slices.Values(holdings))
		var got []string
		for _, f := range found {
			l := f.Locations[0]
			line := fmt.Sprintf("%s:%d %s: ", l.Path, l.Line, f.Severity)
			i := slices.IndexFunc(want, func(w string) bool {
				text, ok := strings.CutPrefix(w, line)
				whole, ends := strings.CutSuffix(text, "$")
				return ok && (ends && strings.HasSuffix(f.Message, whole) || strings.Contains(f.Message, text))
			})
			if i < 0 {
				got = append(got, line+f.Message)
				continue
			}
			want = slices.Delete(want, i, i+1)
		}
		if diff := cmp.Diff(strings.Join(want, "\n"), strings.Join(got, "\n")); diff != "" {
			t.Errorf("%s (-not found +not wanted):\n%s", r.ID, diff)
		}
		// Without what was learned, nothing is said.
		if found := s.Survey(time.Time{}, slices.Values(holdings[1:])); len(found) > 0 {
			t.Errorf("%s: of what was not asked about: %v", r.ID, found)
		}
	}
	audittest.Surveyor(t, all, samples)
}

// A finding lies where a file of the target's own names the component, or what leads to it.
func TestPlace(t *testing.T) {
	at := func(line int) pipeline.Position { return pipeline.Position{Line: line, Column: 3} }
	direct := resolve.Component{Component: pipeline.Component{Text: "a/b@v1", At: at(7)}}
	local := resolve.Component{Component: pipeline.Component{Text: "./x", At: at(9)}}
	inner := resolve.Component{Component: pipeline.Component{Text: "c/d@v1", At: at(4)}, Through: []string{"./x"}}
	own, called := pipeline.Place{Path: ".github/workflows/own.yml"}, pipeline.Place{Path: ".github/workflows/called.yml"}
	foreign := pipeline.Place{Repository: "acme/ci", Path: ".github/workflows/x.yml"}
	calls := []resolve.Call{{Place: own, At: at(20)}, {Place: called, At: at(30)}, {Place: foreign, At: at(40)}}
	for _, c := range []struct {
		job  resolve.Job
		of   resolve.Component
		want string
	}{
		{resolve.Job{Place: own}, direct, ".github/workflows/own.yml:7"},
		{resolve.Job{Place: own, Beside: []resolve.Component{direct, local, inner}}, inner, ".github/workflows/own.yml:9"},
		{resolve.Job{Place: called, Calls: calls[:1]}, direct, ".github/workflows/called.yml:7"},
		{resolve.Job{Place: foreign, Calls: calls[:2]}, direct, ".github/workflows/called.yml:30"},
		{resolve.Job{Place: foreign, Calls: calls}, direct, ".github/workflows/called.yml:30"},
	} {
		if l := placeOf(&c.job, &c.of); fmt.Sprintf("%s:%d", l.Path, l.Line) != c.want || l.Column != 3 {
			t.Errorf("%+v, want %s", l, c.want)
		}
	}
}

// An owner of the target's name is the target's own on GitHub. Where actions of Gitea lie, it may be somebody else.
func TestOwner(t *testing.T) {
	s, err := New([]string{"unpinnable-action"})
	if err != nil {
		t.Fatal(err)
	}
	for forge, want := range map[string]int{"github": 1, "gitea": 0} {
		holdings, _ := fixture(t, "testdata/unpinnable-action.txtar")
		for i := range holdings {
			if h := &holdings[i]; h.Coverage.Target != "" {
				h.Coverage.Target = forge + ":acme/web"
			}
			for _, e := range holdings[i].Inventory {
				if e.Kind == audit.KindComponent {
					e.Facts["source"] = forge
				}
			}
		}
		found, low := s.Survey(time.Time{}, slices.Values(holdings)), 0
		for _, f := range found {
			if f.Severity == audit.Low {
				low++
			}
		}
		if low != want || len(found) < 3 {
			t.Errorf("%s: %d of %d are low, want %d", forge, low, len(found), want)
		}
	}
}
