package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/leakreach/leakreach/internal/graph"
	"github.com/leakreach/leakreach/internal/report"
	"github.com/leakreach/leakreach/providers/forgetest"
)

// Who can read each secret and variable of an organisation is told exactly, through workflows that rename secrets, hand all of them on, and call each other.
func TestReadersOfWorld(t *testing.T) {
	w := forgetest.NewWorld(t, time.Now())
	kept := filepath.Join(t.TempDir(), "runs.db")
	scanWorld(t, w, "", "--store", kept)
	want := plantedReaders(t, w)
	// What called workflows are handed is in no text of one job. Which of its environment's secrets a called job gets is in no document.
	const shop = "github:acme/shop .github/workflows/release.yml: "
	for name, job := range map[string]string{
		"github:acme/shop/LIVE_TOKEN repository":       shop + "ship / deploy?",
		"github:acme/shop/LIVE_TOKEN environment live": shop + "ship / deploy?",
		"github:acme/shop/CHAT_TOKEN repository":       shop + "tell / notify",
	} {
		want[name] = append(want[name], job)
	}
	all := readersIn(t, kept)
	sameReaders(t, want, jobsOf(all))
	sameWriters(t, all, func(target string) map[string][]string {
		i := slices.IndexFunc(w.Repos, func(x *forgetest.GitHubRepo) bool { return "github:"+x.FullName == target })
		if i < 0 {
			return nil
		}
		x := w.Repos[i]
		roles := map[string][]string{}
		rank := []string{"read", "triage", "write", "maintain", "admin"}
		of := map[string]int{}
		for _, c := range x.Collaborators {
			of[c.Login] = slices.Index(rank, c.Role)
		}
		for _, o := range w.Owners {
			for _, team := range o.Teams {
				if team.Repositories[x.FullName] == "push" && strings.HasPrefix(x.FullName, o.Login+"/") {
					for _, login := range team.Members {
						of[login] = max(of[login], slices.Index(rank, "write"))
					}
				}
			}
		}
		for login, r := range of {
			if r > 1 {
				roles[rank[r]] = append(roles[rank[r]], login)
			}
		}
		return roles
	})
	teams := map[string]int{}
	for _, s := range all {
		if slices.Contains(s.Approve, "Team:release") {
			teams[strings.Join(s.Teams["release"], ",")]++
		} else if s.Teams != nil {
			t.Errorf("%s/%s: a team that nobody names: %v", s.Target, s.Name, s.Teams)
		}
	}
	if teams["jane,kim,ted"] == 0 || teams[""] == 0 || len(teams) != 2 { // it has a role in one of three
		t.Errorf("the team that reviews: %v", teams)
	}
}

var (
	jobsIn = regexp.MustCompile(`(?m)^  (\w+):$`)
	envIn  = regexp.MustCompile(`(?m)^    environment: (\w+)$`)
	named  = regexp.MustCompile(`\b(secrets|vars)\.(\w+)`)
)

// plantedReaders are the jobs that a world's description hands each secret and variable to. It goes by the text of each job, as all jobs of the world are written in one
// way, and by who has a name: the environment, else the repository, else the organisation.
func plantedReaders(t *testing.T, w *forgetest.World) map[string][]string {
	t.Helper()
	want := map[string][]string{}
	type store map[string]string // what is kept, by its name
	keep := func(place, scope string, secrets []forgetest.Secret, variables []forgetest.Variable, sees func(visibility string, only []string) bool) map[string]store {
		all := map[string]store{"secrets": {}, "vars": {}}
		add := func(kind, name, visibility string, only []string) {
			key := "github:" + place + "/" + name + " " + scope
			if want[key] == nil {
				want[key] = []string{}
			}
			if sees == nil || sees(visibility, only) {
				all[kind][name] = key
			}
		}
		for _, s := range secrets {
			add("secrets", s.Name, s.Visibility, s.Repositories)
		}
		for _, v := range variables {
			add("vars", v.Name, v.Visibility, v.Repositories)
		}
		return all
	}
	for _, owner := range w.Owners {
		for _, s := range owner.Stores { // which jobs of Actions get nothing from
			keep(owner.Login, "organisation", s.Secrets, s.Variables, nil)
		}
	}
	for _, x := range w.Repos {
		login, _, _ := strings.Cut(x.FullName, "/")
		places := []map[string]store{}
		environments := map[string]map[string]store{}
		for _, e := range x.Environments {
			environments[e.Name] = keep(x.FullName, "environment "+e.Name, e.Secrets, e.Variables, nil)
		}
		places = append(places, keep(x.FullName, "repository", x.Secrets, x.Variables, nil))
		for _, owner := range w.Owners {
			if owner.Login == login {
				places = append(places, keep(login, "organisation", owner.Secrets, owner.Variables, func(visibility string, only []string) bool {
					return visibility == "all" || visibility == "private" && x.Private || slices.Contains(only, x.FullName)
				}))
			}
		}
		for path, text := range workflowsOf(t, x.Dir) {
			on, jobs, _ := strings.Cut(text, "jobs:\n")
			if strings.Contains(on, "workflow_call") {
				continue // it runs where it is called
			}
			starts := jobsIn.FindAllStringSubmatchIndex(jobs, -1)
			for k, at := range starts {
				end := len(jobs)
				if k+1 < len(starts) {
					end = starts[k+1][0]
				}
				body, job := jobs[at[1]:end], "github:"+x.FullName+" "+path+": "+jobs[at[2]:at[3]]
				if strings.Contains(body, "\n    uses: ") {
					continue // its secrets go to jobs of another file
				}
				stores := places
				if e := envIn.FindStringSubmatch(body); e != nil {
					stores = append([]map[string]store{environments[e[1]]}, places...)
				}
				wanted := map[[2]string]bool{}
				for _, m := range named.FindAllStringSubmatch(body, -1) {
					wanted[[2]string{m[1], m[2]}] = true
				}
				if strings.Contains(body, "toJSON(secrets)") {
					for _, s := range stores {
						for name := range s["secrets"] {
							wanted[[2]string{"secrets", name}] = true
						}
					}
				}
				for name := range wanted {
					k := slices.IndexFunc(stores, func(s map[string]store) bool { return s[name[0]][name[1]] != "" })
					switch {
					case k >= 0:
						key := stores[k][name[0]][name[1]]
						want[key] = append(want[key], job)
					case name[0] == "secrets":
						key := "github:" + x.FullName + "/" + name[1]
						want[key] = append(want[key], job)
					}
				}
			}
		}
	}
	return want
}

// workflowsOf are the texts of a repository's workflows, by their paths.
func workflowsOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	texts := map[string]string{}
	if dir == "" {
		return texts
	}
	git := func(args ...string) string {
		out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).Output()
		if err != nil {
			t.Fatal(args, err)
		}
		return string(out)
	}
	for path := range strings.FieldsSeq(git("ls-tree", "-r", "--name-only", "main")) {
		if strings.HasPrefix(path, ".github/workflows/") {
			texts[path] = git("show", "main:"+path)
		}
	}
	return texts
}

// GitLab hands a variable to each job that its scope fits, whether the definition names it or not, also in child pipelines.
func TestReadersOfGitLabWorld(t *testing.T) {
	w := forgetest.NewGitLabWorld(t, time.Now())
	kept := filepath.Join(t.TempDir(), "runs.db")
	scanGitLab(t, w, "", "--store", kept)
	want := map[string][]string{}
	for _, x := range w.Projects {
		jobs := map[string]string{} // their environments
		name := ""
		for line := range strings.SplitSeq(x.Definition, "\n") {
			if line != "" && line[0] != ' ' {
				name, _, _ = strings.Cut(line, ":")
				jobs[name] = ""
			}
			if strings.HasPrefix(line, "  environment:") {
				jobs[name] = "production" // the only one that the world's jobs have
			}
		}
		if x == w.Projects[110] {
			jobs["children / smoke"] = "production" // which its child pipeline has
		}
		hand := func(place, scope string, v forgetest.CIVariable) {
			key := strings.TrimSpace("gitlab:" + place + "/" + v.Key + " " + scope)
			if want[key] == nil {
				want[key] = []string{}
			}
			for job, environment := range jobs {
				if v.Scope == "" || v.Scope == environment || scope == "instance" { // those have no scope
					want[key] = append(want[key], "gitlab:"+x.Path+" .gitlab-ci.yml: "+job)
				}
			}
		}
		for _, v := range x.Variables {
			hand(x.Path, "project", v)
		}
		for _, g := range w.Groups {
			if strings.HasPrefix(x.Path, g.Path+"/") {
				for _, v := range g.Variables {
					hand(g.Path, "group", v)
				}
			}
		}
		for _, v := range w.Variables {
			hand("", "instance", v)
		}
		for _, s := range x.Schedules { // which may start the job
			for _, v := range s.Variables {
				want["gitlab:"+x.Path+"/"+v.Key+" schedule "+s.Description] = []string{"gitlab:" + x.Path + " .gitlab-ci.yml: build?"}
			}
		}
	}
	all := readersIn(t, kept)
	sameReaders(t, want, jobsOf(all))
	sameWriters(t, all, func(target string) map[string][]string {
		roles := map[string][]string{}
		for _, x := range w.Projects {
			if "gitlab:"+x.Path != target {
				continue
			}
			for id, level := range x.Members {
				if role := map[int]string{30: "developer", 40: "maintainer", 50: "owner"}[level]; role != "" {
					roles[role] = append(roles[role], fmt.Sprint("user", id))
				}
			}
		}
		return roles
	})
}

// sameWriters compares who may push, of each place of which that is told, with who does.
func sameWriters(t *testing.T, all []*graph.Readers, of func(target string) map[string][]string) {
	t.Helper()
	told, long := 0, 0
	for _, s := range all {
		if (s.Scope == "repository" || s.Scope == "project") && len(s.Writers) == 0 {
			t.Errorf("%s/%s: nobody may push; limits %q", s.Target, s.Name, s.Limits)
		}
		got := map[string]map[string][]string{}
		for _, x := range s.Writers {
			told++
			if got[x.Target] == nil {
				got[x.Target] = map[string][]string{}
			}
			names := of(x.Target)[x.Role]
			slices.Sort(names)
			if long += len(names) / 21; x.People != len(names) || x.More || !slices.Equal(x.Names, names[:min(len(names), 20)]) {
				t.Errorf("%s/%s: %s of %s: %+v, want %q", s.Target, s.Name, x.Role, x.Target, x, names)
			}
			got[x.Target][x.Role] = x.Names
		}
		for target, roles := range got {
			if len(roles) != len(of(target)) {
				t.Errorf("%s/%s: roles in %s: %v, want %v", s.Target, s.Name, target, roles, of(target))
			}
		}
	}
	if told == 0 || long == 0 {
		t.Errorf("%d rows of people, %d longer than are named", told, long)
	}
	t.Logf("%d rows of people who may push", told)
}

// sameReaders compares all that is wanted with all that is told.
func sameReaders(t *testing.T, want, got map[string][]string) {
	t.Helper()
	for _, jobs := range want {
		slices.Sort(jobs)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	t.Logf("%d secrets and variables", len(got))
}

// A forge is asked, where no run is named, and nothing is left of that.
func TestReadersLive(t *testing.T) {
	w := forgetest.NewWorld(t, time.Now())
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	vars := map[string]string{"GITHUB_API_URL": forgetest.Start(t, w.GitHub), "GH_TOKEN": forgetest.WorldToken}
	code, out, errs := asked(t, vars, "reach", "github:acme/shop", "secret:PUBLISH_TOKEN")
	if code != exitOK || !strings.Contains(out, "release.yml: build") || !strings.Contains(out, "secret PUBLISH_TOKEN  github:acme/shop, repository, actions\n") || !strings.Contains(out, "opens     what is not known: the forge") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	left, err := filepath.Glob(filepath.Join(temp, "leakreach-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
	if code, _, _ := asked(t, vars, "reach", "github:nobody", "secret:X"); code == exitOK {
		t.Error("nobody has secrets")
	}
}

// readersIn is what the program says of who can read each secret and variable of a store's youngest run.
func readersIn(t *testing.T, kept string) []*graph.Readers {
	t.Helper()
	code, out, errs := asked(t, map[string]string{}, "reach", "secrets", "--store", kept, "--format", "json")
	var r report.Reach
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitOK {
		t.Fatalf("exit code %d, %v\n%s", code, err, errs)
	}
	schema, err := jsonschema.NewCompiler().Compile("../../docs/run.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	object, err := jsonschema.UnmarshalJSON(strings.NewReader(out))
	if err == nil {
		err = schema.Validate(object)
	}
	if err != nil {
		t.Errorf("%.2000v", err)
	}
	return r.Readers
}

// jobsOf are the jobs that can read each, with a question mark where that is not certain.
func jobsOf(readers []*graph.Readers) map[string][]string {
	all := map[string][]string{}
	for _, s := range readers {
		jobs := []string{}
		for _, j := range s.Jobs {
			name := j.Target + " " + j.Name
			if j.Certainty != "certain" {
				name += "?"
			}
			jobs = append(jobs, name)
		}
		slices.Sort(jobs)
		key := strings.TrimSpace(fmt.Sprintf("%s/%s %s", s.Target, s.Name, s.Scope))
		all[key] = append(jobs, all[key]...)
	}
	return all
}

// When a workflow last ran is said where a run has read what ran, also of a run that read no more than what is new.
func TestReadersRan(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	repo := &forgetest.GitHubRepo{
		FullName: "acme/web", ID: 1, Private: true, Secrets: []forgetest.Secret{{Name: "KEY"}},
		Dir: forgetest.Repository(t, forgetest.Commit{".github/workflows/build.yml": "on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n      - run: make ${{ secrets.KEY }}\n"}),
		Runs: []forgetest.Run{{
			ID: 1, Number: 1, Path: ".github/workflows/build.yml", Event: "push", Conclusion: "failure", Created: now.AddDate(0, 0, -1),
			Attempts: []forgetest.Attempt{{Jobs: []forgetest.Job{{ID: 1, Name: "a"}}}},
		}},
	}
	g := &forgetest.GitHub{Token: forgetest.WorldToken, Login: "auditor", Owners: []*forgetest.Owner{{Login: "acme"}}, Repos: []*forgetest.GitHubRepo{repo}}
	vars := map[string]string{"GITHUB_API_URL": forgetest.Start(t, g), "GH_TOKEN": forgetest.WorldToken, "LEAKREACH_STORE": filepath.Join(t.TempDir(), "runs.db"), "LEAKREACH_CACHE_DIR": t.TempDir()}
	for range 2 {
		if code, _, errs := asked(t, vars, "scan", "github:acme", "--sources", "secrets,workflows,logs", "--fail-on", "none"); code != exitOK {
			t.Fatalf("exit code %d\n%s", code, errs)
		}
		_, out, _ := asked(t, vars, "reach", "secret:KEY")
		if want := "ran       " + now.AddDate(0, 0, -1).Format(time.RFC3339) + " (push, failure), as a run of the workflow"; !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}
