package graph

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
	"github.com/leakreach/leakreach/pipeline/resolve"
)

// inventory makes entries of lines "target|kind|scope|name|fact=value|…".
func inventory(lines ...string) (all []audit.Entry) {
	for _, line := range lines {
		cells := strings.Split(line, "|")
		e := audit.Entry{Target: cells[0], Kind: audit.ItemKind(cells[1]), Scope: cells[2], Name: cells[3], Facts: map[string]string{}}
		for _, fact := range cells[4:] {
			name, value, _ := strings.Cut(fact, "=")
			e.Facts[name] = value
		}
		all = append(all, e)
	}
	return all
}

// workflows are the jobs of a repository's definitions.
func workflows(target string, files map[string]string) (all []audit.Entry) {
	lookup := func(p pipeline.Place) ([]byte, bool) {
		text, ok := files[p.Path]
		return []byte(text), ok && p.Repository == ""
	}
	var paths []string
	for _, path := range sorted(files) {
		if strings.HasPrefix(path, ".github/workflows/") && path != pipeline.LockPath {
			paths = append(paths, path)
		}
	}
	r := resolve.GitHub(lookup, paths)
	if files[".gitlab-ci.yml"] != "" {
		r = resolve.GitLab(lookup, ".gitlab-ci.yml")
	}
	for it, err := range r.Items(target, "repository") {
		if err == nil {
			all = append(all, *it.Entry)
		}
	}
	return all
}

func access(t *testing.T, run *audit.Run) *Access {
	t.Helper()
	a, err := NewAccess(run)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// told are the readers of all secrets of a name.
func told(a *Access, name string) (lines []string) {
	for _, s := range a.Find(name) {
		var jobs []string
		for _, j := range s.Jobs {
			what := j.Target + ":" + j.Name[strings.LastIndex(j.Name, " ")+1:]
			if j.Certainty == "possible" {
				what += "?"
			}
			jobs = append(jobs, what)
		}
		lines = append(lines, fmt.Sprintf("%s %s: %s", s.Target, s.Scope, strings.Join(jobs, " ")))
	}
	slices.Sort(lines)
	return lines
}

// Which of several secrets of one name a job gets goes by environment, repository and organisation, and by whom the latter's are for.
func TestPrecedence(t *testing.T) {
	const flow = "on: push\njobs:\n  plain: {runs-on: x, steps: [{run: '${{ secrets.key }}'}]}\n  live: {runs-on: x, environment: Live, steps: [{run: '${{ secrets.KEY }}'}]}\n" +
		"  some: {runs-on: x, environment: '${{ github.ref }}', steps: [{run: '${{ secrets.KEY }}'}]}\n"
	run := &audit.Run{Inventory: slices.Concat(inventory(
		"github:acme|secret|organisation|KEY|store=actions|visibility=selected|repositories=acme/Web,acme/other",
		"github:acme|secret|organisation|WIDE|store=actions|visibility=private",
		"github:acme|secret|organisation|BOT|store=dependabot|visibility=all",
		"github:acme/web|secret|repository|KEY|store=actions",
		"github:acme/web|secret|environment live|KEY|store=actions",
		"github:acme/web|settings|repository|acme/web|visibility=private",
		"github:acme/open|settings|repository|acme/open|visibility=public",
	), workflows("github:acme/web", map[string]string{".github/workflows/a.yml": flow}),
		workflows("github:acme/other", map[string]string{".github/workflows/a.yml": flow}),
		workflows("github:acme/third", map[string]string{".github/workflows/a.yml": flow}),
		workflows("github:acme/open", map[string]string{".github/workflows/a.yml": "on: push\njobs:\n  all: {runs-on: x, steps: [{run: '${{ toJSON(secrets) }}'}]}\n  wide: {runs-on: x, steps: [{run: '${{ secrets.WIDE }} ${{ secrets.BOT }}'}]}\n"}),
	)}
	a := access(t, run)
	if diff := cmp.Diff([]string{
		"github:acme organisation: github:acme/other:live github:acme/other:plain github:acme/other:some",
		"github:acme/third : github:acme/third:live github:acme/third:plain github:acme/third:some",
		"github:acme/web environment live: github:acme/web:live github:acme/web:some?",
		"github:acme/web repository: github:acme/web:plain github:acme/web:some?",
	}, told(a, "Key")); diff != "" {
		t.Errorf("KEY: -want +got\n%s", diff)
	}
	if diff := cmp.Diff([]string{"github:acme organisation: ", "github:acme/open : github:acme/open:wide"}, told(a, "WIDE")); diff != "" {
		t.Errorf("WIDE: -want +got\n%s", diff)
	}
	if diff := cmp.Diff([]string{"github:acme organisation: github:acme/open:wide? github:acme/open:all?"}, told(a, "BOT")); diff != "" {
		t.Errorf("BOT: -want +got\n%s", diff)
	}
	for _, s := range a.Find("github:acme/web/KEY") {
		if s.env == "" && (!slices.Equal(s.HiddenBy, []string{"github:acme/web, environment live"}) || !slices.Equal(s.Hides, []string{"github:acme, organisation"})) {
			t.Errorf("hides %q, hidden by %q", s.Hides, s.HiddenBy)
		}
	}
}

// Who starts a job so that it has its secrets depends on the event, and on who sees the repository.
func TestOutsiders(t *testing.T) {
	for _, c := range []struct{ event, facts, want string }{
		{"push", "visibility=public", "no"}, {"schedule", "visibility=public", "no"}, {"workflow_dispatch", "visibility=public", "no"},
		{"pull_request_target", "visibility=public", "yes"}, {"pull_request_target", "visibility=private", "no"}, {"issue_comment", "visibility=public", "yes"},
		{"workflow_run", "visibility=public", "yes"}, {"discussion_comment", "visibility=public", "yes"}, {"watch", "", "unknown"},
		{"pull_request", "visibility=public", "no"}, {"pull_request_review", "visibility=public", "no"},
		{"pull_request", "visibility=private|fork_pr_workflows=true|fork_pr_secrets=true", "yes"}, {"pull_request", "visibility=private|fork_pr_workflows=false", "no"},
		{"pull_request", "visibility=internal", "unknown"},
	} {
		run := &audit.Run{Inventory: slices.Concat(inventory("github:acme/web|settings|repository|acme/web|"+c.facts, "github:acme/web|secret|repository|KEY|store=actions"),
			workflows("github:acme/web", map[string]string{".github/workflows/a.yml": "on: [" + c.event + "]\njobs:\n  a: {runs-on: x, steps: [{run: '${{ secrets.KEY }}'}]}\n"}))}
		if s := access(t, run).Find("KEY"); len(s) != 1 || s[0].Outsider != c.want {
			t.Errorf("%s, %s: %+v", c.event, c.facts, s)
		}
	}
}

// Gates of environments are told with their holes.
func TestGates(t *testing.T) {
	for _, c := range []struct {
		facts       string
		gates, hole []string
	}{
		{"branches=all", nil, []string{"nobody reviews", "any branch may use it"}},
		{"reviewers=User:jane|prevent_self_review=false|can_admins_bypass=true|branches=protected", []string{"reviewed by User:jane", "protected branches only"}, []string{"whoever starts a run may review it", "administrators may pass it by"}},
		{"reviewers=Team:x|prevent_self_review=true|can_admins_bypass=false|branches=selected|branch_policies=main,v*|wait_minutes=5", []string{"reviewed by Team:x", "branches main,v*", "waits 5 minutes"}, nil},
	} {
		e := inventory("t|environment|environment|live|" + c.facts)[0]
		gates, holes := gates(pipeline.GitHub, e.Facts)
		if !slices.Equal(gates, c.gates) || !slices.Equal(holes, c.hole) {
			t.Errorf("%s: gates %q, holes %q", c.facts, gates, holes)
		}
	}
}

// Whoever alone may push to the branches that an environment serves is told by name.
func TestWhoPushes(t *testing.T) {
	const file = ".github/workflows/a.yml"
	run := func(branches string) []string {
		all := slices.Concat(inventory(
			"github:acme/web|secret|environment live|KEY|store=actions", "github:acme/web|environment|environment|live|reviewers=User:jane,Team:ops|branches="+branches,
			"github:acme/web|protection|repository|main|of=branch|push=User:jane,App:ship|bypass=RepositoryRole:admin=always", "github:acme/web|protection|repository|old|of=branch",
		), workflows("github:acme/web", map[string]string{file: "on: push\njobs:\n  a: {runs-on: x, environment: live, steps: [{run: '${{ secrets.KEY }}'}]}\n"}))
		s := access(t, &audit.Run{Inventory: all}).Find("KEY")[0]
		if !slices.Equal(s.Approve, []string{"User:jane", "Team:ops"}) {
			t.Errorf("approve %q", s.Approve)
		}
		return s.People
	}
	const then = ", by a workflow of their own, once a reviewer lets the run pass"
	if got, want := run("protected"), []string{
		"whoever may push to a protected branch of github:acme/web" + then,
		"though to the protected branch main of github:acme/web only User:jane,App:ship, past whose rules may RepositoryRole:admin=always",
	}; !slices.Equal(got, want) {
		t.Errorf("people %q", got)
	}
	if got, want := run("all"), []string{"whoever may push to any branch of github:acme/web" + then}; !slices.Equal(got, want) {
		t.Errorf("people %q", got)
	}
}

// GitLab's jobs get what their environment fits, the most specific and nearest first; what is protected leaves other refs to what lies behind it.
func TestScopes(t *testing.T) {
	const flow = "plain: {script: a}\nreview: {environment: review/one, script: 'b $KEY'}\nlive: {environment: live, script: c}\nsome: {environment: $NAME, script: d}\n"
	run := &audit.Run{Inventory: slices.Concat(inventory(
		"gitlab:|variable|instance|KEY|store=variable|environment_scope=*",
		"gitlab:acme|variable|group|KEY|store=variable|environment_scope=*|protected=true",
		"gitlab:acme/web|variable|project|KEY|store=variable|environment_scope=review/*|protected=false",
	), workflows("gitlab:acme/web", map[string]string{".gitlab-ci.yml": flow}))}
	if diff := cmp.Diff([]string{
		"gitlab: instance: gitlab:acme/web:live gitlab:acme/web:plain gitlab:acme/web:some",
		"gitlab:acme group: gitlab:acme/web:live gitlab:acme/web:plain gitlab:acme/web:some",
		"gitlab:acme/web project: gitlab:acme/web:review gitlab:acme/web:some?",
	}, told(access(t, run), "KEY")); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// What is lost with a component counts what its jobs hold, at once where it can move.
func TestLosses(t *testing.T) {
	run := &audit.Run{Inventory: slices.Concat(inventory("github:acme/web|secret|repository|A|store=actions", "github:acme/web|secret|repository|B|store=actions"),
		workflows("github:acme/web", map[string]string{".github/workflows/a.yml": "on: push\njobs:\n" +
			"  one: {runs-on: x, steps: [{uses: acme2/moves@v1}, {uses: acme2/stays@11bd71901bbe5b1630ceea73d27597364c9af683}, {run: '${{ secrets.A }}'}]}\n" +
			"  two: {runs-on: x, steps: [{uses: acme2/moves@11bd71901bbe5b1630ceea73d27597364c9af683}, {run: '${{ secrets.B }}'}]}\n" +
			"  three: {runs-on: x, steps: [{uses: acme2/other@v1}]}\n"}))}
	run.Findings = []audit.Finding{{
		ID: "lr1:0", Secret: audit.NewSecret("k", "id", ""), Reach: &audit.Reach{Level: audit.LevelAdmin},
		Locations: []audit.Location{{Target: "github:acme/web", Kind: audit.InSecret, Name: "A"}},
	}}
	var got []string
	for _, l := range access(t, run).Losses() {
		got = append(got, fmt.Sprintf("%s %v %s %v %v %d", l.Component, l.Mutable, l.Level, l.Credentials, l.Pinned, l.Jobs))
	}
	if diff := cmp.Diff([]string{
		"acme2/moves true admin [github:acme/web/A] [github:acme/web/B] 2", "acme2/other true  [] [] 1", "acme2/stays false  [] [github:acme/web/A] 1",
	}, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// What a lock file holds is lost with its next version, and an advisory speaks of the commit: of what a component pulls in, too.
func TestLocked(t *testing.T) {
	const clean, malicious = "3fb12ec12f41e471780db15c232d5dd185dcb514", "8afa9b9f9183b4e00c46e2b82d34047e3c177bd0" // of setup-trivy
	for _, c := range []struct {
		name, setup string
		want        []string
	}{
		{"not held", "", []string{"aquasecurity/trivy-action 0.28.0 name true [GHSA-69fq-xp46-6x23]"}},
		{"clean", clean, []string{"aquasecurity/setup-trivy v0.2.1 locked false []", "aquasecurity/trivy-action 0.28.0 locked false []"}},
		{"malicious", malicious, []string{"aquasecurity/setup-trivy v0.2.1 locked false [GHSA-69fq-xp46-6x23 (this content)]", "aquasecurity/trivy-action 0.28.0 locked false []"}},
	} {
		files := map[string]string{".github/workflows/a.yml": "on: push\njobs: {a: {runs-on: x, steps: [{uses: aquasecurity/trivy-action@0.28.0}, {run: '${{ secrets.A }}'}]}}\n"}
		if c.setup != "" {
			files[pipeline.LockPath] = "workflows: {.github/workflows/a.yml: ['aquasecurity/trivy-action@0.28.0']}\ndependencies:\n" +
				"  'aquasecurity/trivy-action@0.28.0': {ref: 0.28.0, commit: sha1-915b19bbe73b92a6cf82a1bc12b087c9a19a5fe2, uses: ['aquasecurity/setup-trivy@v0.2.1']}\n" +
				"  'aquasecurity/setup-trivy@v0.2.1': {ref: v0.2.1, commit: sha1-" + c.setup + "}\n"
		}
		run := &audit.Run{Inventory: slices.Concat(inventory("github:acme/web|secret|repository|A|store=actions"), workflows("github:acme/web", files))}
		var got []string
		for _, l := range access(t, run).Losses() {
			r := l.Refs[0]
			if (r.Commit == "") != (c.setup == "") || len(l.Credentials)+len(l.Pinned) != 1 || l.Mutable != (len(l.Credentials) == 1) {
				t.Errorf("%s: %+v", c.name, l)
			}
			got = append(got, fmt.Sprint(l.Component, " ", r.Ref, " ", r.Pin, " ", r.Mutable, " ", l.Advisories))
		}
		slices.Sort(got)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	// One job has the tag held, another one has not.
	flow := "on: push\njobs: {a: {runs-on: x, steps: [{uses: acme2/x@v1}]}}\n"
	run := &audit.Run{Inventory: workflows("github:acme/web", map[string]string{
		".github/workflows/a.yml": flow, ".github/workflows/b.yml": flow,
		pipeline.LockPath: "workflows: {.github/workflows/b.yml: ['acme2/x@v1']}\ndependencies: {'acme2/x@v1': {ref: v1, commit: sha1-" + clean + "}}\n",
	})}
	want := []LossRef{{Ref: "v1", Pin: pipeline.Named, Mutable: true, Jobs: 1}, {Ref: "v1", Pin: pipeline.Locked, Commit: clean, Jobs: 1}}
	if diff := cmp.Diff(want, access(t, run).Losses()[0].Refs); diff != "" {
		t.Errorf("one that is held at times (-want +got):\n%s", diff)
	}
}

// The one change that is proposed is the one that removes most: a key that OIDC replaces goes, with all that hold it.
func TestRemoval(t *testing.T) {
	const file = ".github/workflows/a.yml"
	job := "on: push\njobs:\n  a: {runs-on: x, steps: [{uses: acme2/x@v1}, {uses: acme2/y@v1}, {run: '${{ secrets.KEY }}'}]}\n"
	for _, c := range []struct {
		name, flow, more, want string
		removes                int
	}{
		{"beside", job, "github:acme/web|runner|repository|r", "give the step of " + file + ": a that takes it a job of its own, without the components beside it", 1},
		{"oidc", job, "github:acme/web|workflow|repository|" + file + "|whole=true|static_keys=aws:KEY", "have the jobs log in by their own identity (OIDC, aws), and delete the key", 3},
		{"all", job + "  b: {runs-on: x, steps: [{uses: acme2/z@v1}, {run: '${{ toJSON(secrets) }}'}]}\n", "github:acme/web|runner|repository|r", "have jobs and calls name the secrets that they take, in place of all of them", 2},
		{"alone", "on: push\njobs:\n  a: {runs-on: x, steps: [{run: '${{ secrets.KEY }}'}]}\n", "github:acme/web|runner|repository|r", "keep it in an environment with reviewers, for protected branches only: then no workflow on another branch is handed it", 0},
		{"unused", "on: push\njobs:\n  a: {runs-on: x, steps: [{run: x}]}\n", "github:acme/web|settings|repository|acme/web|workflows=1", "delete it: no job takes it", 0},
	} {
		run := &audit.Run{Inventory: slices.Concat(inventory("github:acme/web|secret|repository|KEY|store=actions", c.more), workflows("github:acme/web", map[string]string{file: c.flow}))}
		s := access(t, run).Find("KEY")[0]
		if s.Fix == nil || s.Fix.What != c.want || s.Fix.Removes != c.removes {
			t.Errorf("%s: %+v, of %d, used %s", c.name, s.Fix, s.Holders, s.Used)
		}
	}
}

// All of an organisation is joined: each of its secrets with each job of its repositories.
func TestWholeOrganisation(t *testing.T) {
	var all []audit.Entry
	for i := range 2000 {
		name := fmt.Sprintf("github:acme/r%d", i)
		all = append(all, workflows(name, map[string]string{".github/workflows/a.yml": "on: push\njobs:\n  a: {runs-on: x, steps: [{run: '${{ toJSON(secrets) }}'}]}\n"})...)
	}
	for i := range 100 {
		all = append(all, inventory(fmt.Sprintf("github:acme|secret|organisation|S%d|store=actions|visibility=all", i))...)
	}
	a := access(t, &audit.Run{Inventory: all})
	if n := len(a.Find("S7")[0].Jobs); n != 2000 {
		t.Errorf("%d jobs", n)
	}
	if n := len(a.All()); n != 100 {
		t.Errorf("%d secrets", n)
	}
}

// What is not listed counts all the same: nobody hides the job that outsiders start behind ten thousand others.
func TestUnlistedJobs(t *testing.T) {
	all := inventory("github:acme/web|settings|repository|acme/web|visibility=public|workflows=1", "github:acme/web|secret|repository|KEY|store=actions")
	add := func(n int, on, step string) {
		one := workflows("github:acme/web", map[string]string{".github/workflows/" + on + ".yml": "on: " + on + "\njobs:\n  a: {runs-on: ubuntu-latest, steps: [{run: '${{ " + step + " }}'}]}\n"})
		for k := range n {
			for _, e := range one {
				if e.Kind == audit.KindJob {
					e.Name += fmt.Sprint(k)
					all = append(all, e)
				}
			}
		}
	}
	add(maxReaders, "push", "toJSON(secrets)")
	add(1, "pull_request_target", "secrets.KEY")
	s := access(t, &audit.Run{Inventory: all}).Find("KEY")[0]
	if len(s.Jobs) != maxReaders || s.More != 1 || s.Outsider != "yes" || s.Used != "yes" || s.Holders != maxReaders+1 || !slices.Contains(s.Limits, "1 more jobs are handed it, which are not listed") {
		t.Errorf("%d jobs and %d more, outsiders %s, used %s, %d holders, %q", len(s.Jobs), s.More, s.Outsider, s.Used, s.Holders, s.Limits)
	}
}

// Of as many jobs, runners, environments and secrets of one name, each job gets its own.
func TestWideRepository(t *testing.T) {
	one := workflows("github:acme/web", map[string]string{".github/workflows/a.yml": "on: push\njobs:\n  a: {runs-on: [self-hosted, big], environment: e7, steps: [{run: '${{ secrets.KEY }}'}]}\n"})
	var all []audit.Entry
	for k := range 2000 {
		for _, e := range one {
			if e.Kind == audit.KindJob {
				e.Name += fmt.Sprint(k)
				all = append(all, e)
			}
		}
		all = append(all, inventory(fmt.Sprintf("github:acme/web|runner|repository|R%d|labels=self-hosted,linux,r%d", k, k), fmt.Sprintf("github:acme/web|environment|repository|e%d", k),
			fmt.Sprintf("github:acme/web|secret|environment e%d|KEY|store=actions", k))...)
	}
	all = append(all, inventory("github:acme/web|runner|repository|B|labels=Self-Hosted,BIG")...)
	a := access(t, &audit.Run{Inventory: all})
	for _, s := range a.Find("KEY") {
		switch {
		case s.Scope != "environment e7":
			if len(s.Jobs) > 0 {
				t.Errorf("%s: %d jobs", s.Scope, len(s.Jobs))
			}
		case len(s.Jobs) != 2000 || !slices.Equal(s.Jobs[0].Runner.Runners, []string{"B"}):
			t.Errorf("%s: %d jobs", s.Scope, len(s.Jobs))
		}
	}
}
