package resolve

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
)

func items(r *Result) (entries []audit.Entry, gaps []audit.Gap) {
	for it, err := range r.Items("github:acme/web", "repository") {
		if gap := (*audit.Gap)(nil); errors.As(err, &gap) {
			gaps = append(gaps, *gap)
			continue
		}
		entries = append(entries, *it.Entry)
	}
	return entries, gaps
}

// What the inventory says of jobs is all that was resolved, but for where environments and tokens are written.
func TestItems(t *testing.T) {
	github, paths, _ := world(t, "github.txtar")
	gitlab, _, _ := world(t, "gitlab.txtar")
	locked, lockedPaths, _ := world(t, "lock.txtar")
	for name, r := range map[string]*Result{"github": GitHub(github, paths), "lock": GitHub(locked, lockedPaths), "gitlab": GitLab(gitlab, ".gitlab-ci.yml")} {
		entries, gaps := items(r)
		if len(gaps) != len(r.Gaps) {
			t.Errorf("%s: gaps %v", name, gaps)
		}
		again := &Result{}
		names := map[string]bool{}
		for _, e := range entries {
			if names[e.Name] {
				t.Errorf("%s: two jobs are called %q", name, e.Name)
			}
			names[e.Name] = true
			again.Jobs = append(again.Jobs, FromEntry(e))
		}
		again.Gaps = r.Gaps
		if diff := cmp.Diff(r, again, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(pipeline.Text{}, "At"), cmpopts.IgnoreFields(pipeline.Setting{}, "At")); diff != "" {
			t.Errorf("%s: -resolved +read again:\n%s", name, diff)
		}
	}
}

// An inventory of a hostile repository is bounded, which is said, and names do not become several.
func TestItemsHostile(t *testing.T) {
	r := &Result{}
	for range 40 {
		j := Job{Workflow: "a\tb\nc.yml", ID: "x\ny"}
		for range maxBeside {
			j.Beside = append(j.Beside, Component{Component: pipeline.Component{Text: "a\tb\nc" + string(make([]byte, 2000)), Pin: pipeline.Named}})
		}
		r.Jobs = append(r.Jobs, j)
	}
	entries, gaps := items(r)
	if len(entries) == 0 || len(entries) == len(r.Jobs) || len(gaps) != 1 {
		t.Fatalf("%d entries, gaps %v", len(entries), gaps)
	}
	if got := FromEntry(entries[0]); entries[0].Name != "a b c.yml: x y" || len(got.Beside) != maxBeside || got.Beside[0].Pin != pipeline.Named {
		t.Errorf("%q, %d components, the first %+v", entries[0].Name, len(got.Beside), got.Beside[0])
	}
}

// FuzzFromEntry reads what a store or an export may hold.
func FuzzFromEntry(f *testing.F) {
	f.Add("secrets\tA\tB\tenv.X\t1:2", "push\t1:1\tbranches=main", "contents=write", "action\ta/b@v1\ta/b\tv1\tname")
	f.Fuzz(func(t *testing.T, takes, events, permissions, beside string) {
		e := audit.Entry{Facts: map[string]string{"takes": takes, "events": events, "permissions": permissions, "beside": beside, "calls": takes, "id_tokens": beside}}
		j := FromEntry(e)
		entries, _ := items(&Result{Jobs: []Job{j}})
		if len(entries) == 1 {
			FromEntry(entries[0])
		}
	})
}
