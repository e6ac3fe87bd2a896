package components

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
	"github.com/leakreach/leakreach/pipeline/resolve"
)

const composite = "name: x\nruns:\n  using: composite\n  steps:\n"

// texts are parts as they are written, with what their refs stand for.
func texts(parts []pipeline.Component) string {
	var all []string
	for _, c := range parts {
		all = append(all, c.Text+" "+string(c.Pin))
	}
	return strings.Join(all, ", ")
}

// What a component pulls in is read at the commit that it stands for, and followed: actions in folders, workflows that call others, images.
func TestParts(t *testing.T) {
	for _, filter := range []string{"true", "false"} { // without it a server sends all that a commit has
		t.Run("filter "+filter, func(t *testing.T) {
			w := newWorld(t)
			inner, outer, ci := w.repo("acme/inner"), w.repo("acme/outer"), w.repo("acme/ci")
			for _, r := range []interface{ Git(...string) string }{inner, outer, ci} {
				r.Git("config", "uploadpack.allowFilter", filter)
			}
			inner.Remove("action.yml")
			inner.Write("a/b/action.yaml", "runs: {using: docker, image: 'docker://alpine:3.20'}\n")
			pinned := inner.Commit("one")
			inner.Git("tag", "v1")
			inner.Write("a/b/action.yaml", "runs: {using: node24, main: x.js}\n")
			inner.Write("Dockerfile", "FROM scratch\n")
			inner.Commit("two")
			outer.Write("action.yml", composite+"    - uses: acme/inner/a/b@v1\n    - uses: ./here\n    - uses: $/own\n    - run: make\n")
			outer.Write("own/action.yml", composite+"    - uses: acme/inner/a/b@"+pinned+"\n")
			at := outer.Commit("one")
			outer.Git("tag", "v1")
			outer.Write("action.yml", composite+"    - uses: acme/elsewhere@v1\n") // which the tag has not
			outer.Commit("two")
			ci.Write(".github/workflows/a.yml", "on: workflow_call\njobs:\n  b:\n    uses: ./.github/workflows/b.yml\n  c:\n    runs-on: x\n    container: node:24\n    steps: [{uses: acme/outer@v1}]\n")
			ci.Write(".github/workflows/b.yml", "on: workflow_call\njobs:\n  d:\n    runs-on: x\n    steps: [{uses: acme/inner@main}]\n")
			call := ci.Commit("one")
			all, gaps := w.resolved(w.resolver(0), using("github:a/a", "acme/outer@v1", "acme/ci/.github/workflows/a.yml@"+call))
			w.noGaps(gaps)
			for name, want := range map[string]string{
				"acme/outer@v1": "acme/inner/a/b@v1 name, $/own commit", "acme/outer/own@" + at: "acme/inner/a/b@" + pinned + " commit",
				"acme/inner/a/b@v1": "docker://alpine:3.20 name", "acme/inner/a/b@" + pinned: "docker://alpine:3.20 name",
				"acme/ci/.github/workflows/a.yml@" + call: "./.github/workflows/b.yml commit, node:24 name, acme/outer@v1 name",
				"acme/ci/.github/workflows/b.yml@" + call: "acme/inner@main name", "acme/inner@main": "",
			} {
				m, ok := all[name]
				if got := texts(m.Parts); !ok || got != want || m.Opaque != (name == "acme/inner@main") {
					t.Errorf("%s: %q, opaque %t, want %q", name, got, m.Opaque, want)
				}
			}
			if len(all) != 7 {
				t.Errorf("%d are resolved", len(all))
			}
			if n := w.count("/info/refs"); n != 3 {
				t.Errorf("%d repositories were asked: %q", n, w.asked)
			}
			t.Logf("%d requests", w.count(""))
		})
	}
}

// What is at no commit, or is no definition, is told as a gap; a component that pulls in itself is followed once, and a chain as far as a runner would.
func TestPartsHostile(t *testing.T) {
	w := newWorld(t)
	loop, chain, odd := w.repo("acme/loop"), w.repo("acme/chain"), w.repo("acme/odd")
	loop.Write("action.yml", composite+"    - uses: acme/loop@main\n")
	loop.Commit("one")
	for i := range 15 {
		chain.Write(fmt.Sprintf("%d/action.yml", i), composite+fmt.Sprintf("    - uses: acme/chain/%d@main\n", i+1))
	}
	chain.Commit("one")
	odd.Write("text/action.yml", "no action\n")
	odd.Write("large/action.yml", strings.Repeat("# x\n", maxObject/4+1))
	odd.Symlink("text", "link")
	odd.Symlink("action.yml", "text/action.yaml")
	odd.Commit("one")
	all, gaps := w.resolved(w.resolver(0), using("github:a/a", "acme/loop@main", "acme/chain/0@main", "acme/odd/text@main", "acme/odd/large@main", "acme/odd/link@main", "acme/odd/none@main"))
	if n := len(all); n != 1+1+maxDepth+4 {
		t.Errorf("%d are resolved", n)
	}
	said := map[string]string{}
	for _, g := range gaps {
		said[g.What] = g.Why
	}
	for what, want := range map[string]string{
		"components": "nested deeper than 9 levels: 1 are not asked about, among them acme/chain/10@main", "component acme/odd/large@main": "larger than the limit",
		"component acme/odd/link@main": "it is not there at commit", "component acme/odd/none@main": "it is not there at commit",
	} {
		if !strings.Contains(said[what], want) {
			t.Errorf("%s: %q, want %q", what, said[what], want)
		}
		delete(said, what)
	}
	if len(said) > 0 || !all["acme/odd/text@main"].Opaque {
		t.Errorf("more gaps: %v; %+v", said, all["acme/odd/text@main"])
	}
}

// A commit that a definition names is one that a branch or tag leads to, or it is of a fork whose objects the server keeps beside the repository's, or there
// is none.
func TestReach(t *testing.T) {
	for _, filter := range []string{"true", "false"} {
		t.Run("filter "+filter, func(t *testing.T) {
			w := newWorld(t)
			repo := w.repo("acme/build")
			repo.Git("config", "uploadpack.allowFilter", filter)
			repo.Write("action.yml", composite+"    - uses: acme/build@main\n")
			old := repo.Commit("one")
			repo.Git("tag", "v1")
			middle := repo.Commit("two")
			tip := repo.Commit("three")
			repo.Git("checkout", "-q", "--detach", "v1")
			repo.Write("action.yml", composite+"    - uses: evil/payload@main\n")
			fork := repo.Commit("of a fork")
			repo.Git("update-ref", "refs/pull/1/head", fork)
			repo.Git("checkout", "-q", "main")
			none := strings.Repeat("0123456789", 4)
			all, gaps := w.resolved(w.resolver(0), using("github:a/a", "acme/build@"+old, "acme/build@"+middle, "acme/build@"+tip, "acme/build@"+fork, "acme/build@"+none))
			for id, want := range map[string]string{old: resolve.Reachable, middle: resolve.Reachable, tip: resolve.Reachable, fork: resolve.Unreachable, none: resolve.Missing} {
				if got := all["acme/build@"+id].Reachable; got != want {
					t.Errorf("%s: %q, want %q", id, got, want)
				}
			}
			if got := texts(all["acme/build@"+fork].Parts); got != "evil/payload@main name" {
				t.Errorf("of the fork: %q", got)
			}
			for _, g := range gaps {
				if g.What != "component evil/payload@main" {
					t.Errorf("gap: %s", g.Error())
				}
			}
			for id, most := range map[string]int{none: 3, fork: 7, tip: 5} { // a pin, good or bad, costs a few requests
				if w.resolved(w.resolver(0), using("github:a/a", "acme/build@"+id)); w.count("") > most+1 { // and one for what the fork pulls in
					t.Errorf("%s cost %d requests: %q", id, w.count(""), w.asked)
				}
			}
		})
	}
}

// A server that does not say what it does not send says nothing of a commit either.
func TestReachUnknown(t *testing.T) {
	w := newWorld(t)
	repo := w.repo("acme/build")
	repo.Write("action.yml", "runs: {using: node24}\n")
	repo.Commit("one")
	middle := repo.Commit("two")
	repo.Commit("three")
	w.fault = func(_ http.ResponseWriter, r *http.Request) bool {
		deaf(w, r)
		return false
	}
	all, gaps := w.resolved(w.resolver(0), using("github:a/a", "acme/build@"+middle))
	if m := all["acme/build@"+middle]; m.Reachable != "" || m.Opaque || len(gaps) != 1 || !strings.Contains(gaps[0].Why, "whether a branch or tag leads to it: the server sends what it need not") {
		t.Errorf("%+v, %v", m, gaps)
	}
}

// What several components need is asked for at once, although git leaves out of an answer what lies in something else that is asked for with it.
func TestPartsWithin(t *testing.T) {
	w := newWorld(t)
	same, nested := w.repo("acme/same"), w.repo("acme/nested")
	same.Commit("one")
	same.Git("tag", "v1")
	same.Git("checkout", "-q", "--detach")
	same.Write("README", "of a fork\n")
	fork := same.Commit("of a fork") // which is known by the time that the other commit is asked for, and has the same file
	same.Git("update-ref", "refs/pull/1/head", fork)
	same.Git("checkout", "-q", "main")
	nested.Write("a/action.yml", "runs: {using: node24}\n")
	nested.Write("a/x/action.yml", composite+"    - run: make\n")
	nested.Commit("one")
	nested.Git("tag", "v1")
	nested.Remove("a")
	nested.Write("x/action.yml", composite+"    - run: make\n")
	nested.Commit("two")
	nested.Git("tag", "v2")
	all, gaps := w.resolved(w.resolver(0), using("github:a/a", "acme/same@v1", "acme/same@"+fork, "acme/nested/a@v1", "acme/nested/x@v2"))
	w.noGaps(gaps)
	for name, m := range all {
		if m.Opaque {
			t.Errorf("%s: what it pulls in is not known", name)
		}
	}
	if len(all) != 4 {
		t.Errorf("%v", all)
	}
}

// What a lock file holds is asked about at that commit, wherever the tag has moved to, and so is what it pulls in, in the folder that its file tells.
func TestLocked(t *testing.T) {
	w := newWorld(t)
	inner, outer := w.repo("acme/inner"), w.repo("acme/outer")
	inner.Remove("action.yml")
	inner.Write("deep/action.yml", "runs: {using: docker, image: 'docker://alpine:3.20'}\n")
	in := inner.Commit("one")
	inner.Write("deep/action.yml", "runs: {using: docker, image: 'docker://evil:1'}\n")
	inner.Commit("two")
	inner.Git("tag", "v2")
	outer.Write("action.yml", composite+"    - uses: acme/inner/deep@v2\n")
	out := outer.Commit("one")
	outer.Write("action.yml", composite+"    - uses: acme/evil@v1\n")
	outer.Commit("two")
	outer.Git("tag", "v1")
	files := map[string]string{
		".github/workflows/ci.yml": "on: push\njobs: {a: {runs-on: x, steps: [{uses: acme/outer@v1}]}}\n",
		".github/workflows/actions.lock": "workflows: {.github/workflows/ci.yml: ['acme/outer@v1']}\ndependencies:\n" +
			"  'acme/outer@v1': {ref: v1, commit: sha1-" + out + ", uses: ['acme/inner@v2']}\n  'acme/inner@v2': {ref: v2, commit: sha1-" + in + "}\n",
	}
	h := holding("github:a/a", files)
	all, gaps := w.resolved(w.resolver(0), h)
	w.noGaps(gaps)
	for name, want := range map[string]string{
		"acme/outer@" + out: "acme/inner/deep@v2 name", "acme/inner/deep@" + in: "docker://alpine:3.20 name", "acme/inner/deep@v2": "docker://evil:1 name",
	} {
		if m, ok := all[name]; !ok || texts(m.Parts) != want || m.Opaque {
			t.Errorf("%s: %q, want %q", name, texts(m.Parts), want)
		}
	}
	if len(all) != 3 {
		t.Errorf("%d are resolved: %v", len(all), all)
	}
	// Beside the job is what it runs, and nothing of what the tags stand for.
	learned := resolve.Meanings{}
	for _, m := range all {
		learned.Learn([]audit.Entry{m.Entry()})
	}
	j := resolve.FromEntry(h.Inventory[0])
	j.Learned("github:a/a", learned)
	var got []string
	for _, c := range j.Beside {
		got = append(got, strings.TrimSpace(fmt.Sprint(strings.Join(append(slices.Clone(c.Through), c.Text), " > "), " ", c.Commit)))
	}
	want := []string{"acme/outer@v1 " + out, "acme/outer@v1 > acme/inner@v2 " + in, "acme/outer@v1 > acme/inner/deep@v2 > docker://alpine:3.20"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("beside the job (-want +got):\n%s", diff)
	}
}
