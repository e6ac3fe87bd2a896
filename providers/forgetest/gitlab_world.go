package forgetest

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// A GitLabWorld is a GitLab whose group acme has 40 groups below each other and 300 projects, of which each has a pipeline with two jobs. All is sound
// but for what is in Planted. It is the same each time but for the day it is made for.
type GitLabWorld struct {
	*GitLab
	Planted []Planted

	t      testing.TB
	now    time.Time
	random *rand.Rand
	plain  string // a repository in which there is nothing
	id     int
}

// Sizes of the world.
const (
	worldGroups   = 40
	worldProjects = 300
	worldDepth    = 8 // GitLab has 20
)

// NewGitLabWorld makes one as it is at a time.
func NewGitLabWorld(t testing.TB, now time.Time) *GitLabWorld {
	t.Helper()
	w := &GitLabWorld{
		GitLab: &GitLab{Token: WorldToken, Admin: true, Users: []string{"jane"}}, t: t, now: now.UTC().Truncate(time.Second),
		random: rand.New(rand.NewPCG(20261127, 6)), id: 1000,
	}
	w.plain = Repository(t, Commit{"README.md": "# A service\n", ".gitlab-ci.yml": "build:\n  script: make\n"})
	w.groups()
	for i := range worldProjects {
		w.project(i)
	}
	w.settings()
	w.history()
	w.runs()
	w.texts()
	w.weak()
	w.pipelines()
	w.people()
	return w
}

func (w *GitLabWorld) next() int {
	w.id++
	return w.id
}

// groups are chains of eight, one in the other, below acme.
func (w *GitLabWorld) groups() {
	w.Groups = []*Group{{ID: w.next(), Path: "acme", Private: true}, {ID: w.next(), Path: "others"}}
	for i := range worldGroups - 1 {
		up := "acme"
		if i%worldDepth > 0 {
			up = w.Groups[len(w.Groups)-1].Path
		}
		w.Groups = append(w.Groups, &Group{ID: w.next(), Path: fmt.Sprintf("%s/team-%02d", up, i), Private: i%3 != 0})
	}
}

// project adds one whose settings are sound. A variable of it is one that nobody has to hide.
func (w *GitLabWorld) project(i int) {
	group := w.Groups[0]
	if n := i % worldGroups; n > 0 {
		group = w.Groups[n+1]
	}
	x := &Project{
		ID: w.next(), Path: fmt.Sprintf("%s/service-%03d", group.Path, i), Private: i%10 != 0, Archived: i%25 == 24, Dir: w.plain,
		Environments: []string{"production"}, Variables: []CIVariable{{Key: "REGION", Value: "eu-central-1"}}, Definition: "build:\n  script: make\n",
	}
	x.CIAccess = CIAccess{
		Branches: []CIRule{{Name: "main", Push: []int{0}, Merge: []int{40}}}, Tags: []CIRule{{Name: "v*", Create: []int{40}}}, Walls: []CIWall{{Name: "production", Deploy: []int{40}, Approvals: 1}},
		Settings: map[string]any{"public_jobs": false, "ci_allow_fork_pipelines_to_run_in_parent_project": false, "ci_pipeline_variables_minimum_override_role": "maintainer"},
	}
	x.PushProtected = true
	x.Pipelines = []CIPipeline{{ID: w.next(), Jobs: []CIJob{
		{ID: w.next(), Name: "build", Trace: traceOf("compiling\ndone in 3s")},
		{ID: w.next(), Name: "test", Trace: traceOf("ok"), Files: map[string]string{"report.txt": "all well\n"}},
	}}}
	x.Issues = []CIThread{{IID: 1, Title: "It is slow", Description: "on Mondays", Notes: []string{"on Tuesdays, too"}}}
	w.Projects = append(w.Projects, x)
}

// traceOf is what a runner writes around what a job prints.
func traceOf(text string) string {
	return "\x1b[0KRunning with gitlab-runner 18.5.0 (bda84871)\x1b[0;m\n\x1b[0K  on shared-1 t1_abcdef, system ID: s_0123456789ab\x1b[0;m\n" +
		"section_start:1772355600:prepare_executor\r\x1b[0K\x1b[0K\x1b[36;1mPreparing the \"docker\" executor\x1b[0;m\x1b[0;m\nsection_end:1772355601:prepare_executor\r\x1b[0K" +
		"section_start:1772355601:step_script\r\x1b[0K\x1b[0K\x1b[36;1mExecuting \"step_script\" stage of the job script\x1b[0;m\x1b[0;m\n\x1b[32;1m$ make\x1b[0;m\n" + text +
		"\nsection_end:1772355602:step_script\r\x1b[0K\x1b[32;1mJob succeeded\x1b[0;m\n"
}

// service is the n-th project.
func (w *GitLabWorld) service(n int) *Project { return w.Projects[n] }

// secret plants a token that looks as GitLab's do, and returns it.
func (w *GitLabWorld) secret(what, target, in, name string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	b := make([]byte, 20)
	for i := range b {
		b[i] = alphabet[w.random.IntN(len(alphabet))]
	}
	value := "glpat-" + string(b)
	w.Planted = append(w.Planted, Planted{What: what, Target: "gitlab:" + target, Value: value, In: in, Name: name})
	return value
}

// hidden is a variable that only jobs of protected refs are given, and that nobody is shown.
func hidden(key, value string) CIVariable {
	return CIVariable{Key: key, Value: value, Protected: true, Masked: true, Scope: "production"}
}

// people are members of each project: user1 owns all, user2 has this role or that, and one of fifty has many who may push.
func (w *GitLabWorld) people() {
	for i, x := range w.Projects {
		if x.Members == nil {
			x.Members = map[int]int{}
		}
		x.Members[1], x.Members[2] = 50, []int{10, 20, 30, 40}[i%4]
		for n := range i % 50 / 49 * 25 {
			x.Members[100+n] = 30
		}
	}
}

func (w *GitLabWorld) settings() {
	w.Variables = []CIVariable{hidden("MIRROR_TOKEN", w.secret("a variable of the instance", "", "variable", "MIRROR_TOKEN")), {Key: "UNREADABLE", Hidden: true, Protected: true}}
	w.Groups[0].Variables = []CIVariable{hidden("GROUP_TOKEN", w.secret("a variable of the group", "acme", "variable", "GROUP_TOKEN"))}
	deep := w.Groups[9]
	deep.Variables = []CIVariable{hidden("DEEP_TOKEN", w.secret("a variable of a group eight below", deep.Path, "variable", "DEEP_TOKEN"))}

	x := w.service(10)
	x.Variables = append(x.Variables, hidden("DEPLOY_TOKEN", w.secret("a variable", x.Path, "variable", "DEPLOY_TOKEN")))
	for i := range 130 { // a second page
		x.Variables = append(x.Variables, CIVariable{Key: fmt.Sprintf("OPTION_%03d", i), Value: "on"})
	}
	x.Variables = append(x.Variables, hidden("LAST_TOKEN", w.secret("a variable on the second page", x.Path, "variable", "LAST_TOKEN")))
	x = w.service(11)
	x.Variables = append(x.Variables, CIVariable{
		Key: "NETRC", Type: "file", Protected: true, Value: "machine gitlab.example.com\nlogin bot\npassword " + w.secret("a variable of type file", x.Path, "variable", "NETRC") + "\n",
	})
	x = w.service(12)
	x.Members = map[int]int{7: 30}
	x.Schedules = []CISchedule{{ID: 1, Description: "nightly", Ref: "main", Owner: 7, Variables: []CIVariable{{Key: "NIGHT_TOKEN", Value: w.secret("a variable of a schedule", x.Path, "variable", "NIGHT_TOKEN")}}}}
	x = w.service(13)
	x.Hooks = []CIHook{{URL: "https://hooks.example.com/deploy?private_token=" + w.secret("the address of a webhook", x.Path, "setting", "hooks.example.com")}}
	x = w.service(14)
	x.Runners = []CIRunner{{ID: w.next(), Description: "deploy-1", Locked: true, Protected: true, Note: "register again with " + w.secret("a note on a runner", x.Path, "runner", "deploy-1")}}
	x = w.service(15)
	x.Description = "clone with https://oauth2:" + w.secret("the description of a project", x.Path, "setting", x.Path) + "@gitlab.example.com/a.git"
	x = w.service(16)
	x.Includes = []CIInclude{{Type: "remote", Location: "https://ci.example.com/deploy.yml"}}
	x.Definition = "deploy:\n  variables:\n    TOKEN: " + w.secret("a definition that is included from elsewhere", x.Path, "workflow", ".gitlab-ci.yml") + "\n  script: deploy\n"
}

func (w *GitLabWorld) history() {
	x := w.service(20)
	x.Dir = Repository(w.t, Commit{"README.md": "# A\n"}, Commit{"config/prod.env": "TOKEN=" + w.secret("a file that was changed since", x.Path, "commit", "config/prod.env") + "\n"}, Commit{"config/prod.env": "TOKEN=$TOKEN\n"})
	x = w.service(21)
	x.Dir = Repository(w.t, Commit{"deploy.sh": "curl --header \"PRIVATE-TOKEN: " + w.secret("a file", x.Path, "file", "deploy.sh") + "\" https://gitlab.example.com/\n"})
	x = w.service(24)
	x.Dir = Repository(w.t, Commit{"old.env": "TOKEN=" + w.secret("a file of an archived project", x.Path, "file", "old.env") + "\n"})
}

// job adds one to a pipeline of its own and returns it.
func (w *GitLabWorld) job(x *Project, source string, j CIJob) {
	j.ID = w.next()
	x.Pipelines = append(x.Pipelines, CIPipeline{ID: w.next(), Source: source, Jobs: []CIJob{j}})
}

func (w *GitLabWorld) runs() {
	for i, plant := range []struct {
		what, source string
		trace        func(value string) string
		job          CIJob
	}{
		{"a trace", "", func(v string) string { return "using " + v + " for this" }, CIJob{}},
		{"a trace of a job that was retried", "", func(v string) string { return "using " + v }, CIJob{Retried: true}},
		{"a trace of a child pipeline", "parent_pipeline", func(v string) string { return "using " + v }, CIJob{}},
		{"a trace, in colours", "schedule", func(v string) string { return "token \x1b[31m" + v[:12] + "\x1b[1m" + v[12:] + "\x1b[0m" }, CIJob{}},
		{"a trace, in base64", "", func(v string) string {
			return "config " + base64.StdEncoding.EncodeToString([]byte("token = \""+v+"\"\n"))
		}, CIJob{}},
		{"a trace, behind a line that is drawn over", "", func(v string) string { return "  0%\r 50%\r100%\ntoken=" + v }, CIJob{}},
		{"a long trace", "", func(v string) string { return strings.Repeat("compiling one more file\n", 50_000) + "token=" + v }, CIJob{}},
	} {
		x := w.service(30 + i)
		j := plant.job
		j.Name = "deploy"
		j.Trace = traceOf(plant.trace(w.secret(plant.what, x.Path, "log", "deploy")))
		w.job(x, plant.source, j)
	}
	x := w.service(40)
	w.job(x, "", CIJob{Name: "pack", Trace: traceOf("packed"), Files: map[string]string{"out/app.env": "TOKEN=" + w.secret("an artifact", x.Path, "artifact", "out/app.env") + "\n", "out/app.txt": "nothing\n"}})
	x = w.service(41) // private: its report is a gap; 50 is public
	w.job(x, "", CIJob{Name: "report", Trace: traceOf("written"), Dotenv: "VERSION=1\n"})
	x = w.service(50)
	w.job(x, "", CIJob{Name: "report", Trace: traceOf("written"), Dotenv: "TOKEN=" + w.secret("a dotenv report", x.Path, "artifact", ".env") + "\n"})
	x = w.service(42)
	x.States = map[string]string{"production": `{"version":4,"resources":[{"instances":[{"attributes":{"token":"` + w.secret("a Terraform state", x.Path, "artifact", "production") + `"}}]}]}`}
	x = w.service(43)
	x.Pipelines = append(x.Pipelines, CIPipeline{ID: w.next(), Source: "trigger", Variables: []CIVariable{{Key: "CRM_TOKEN", Value: w.secret("a variable of a trigger", x.Path, "variable", "CRM_TOKEN")}}})
	x = w.service(44)
	w.job(x, "", CIJob{Name: "erased", Erased: true})
}

// pipelines hand variables to jobs of an environment, to all of them, and to those of a child pipeline.
func (w *GitLabWorld) pipelines() {
	x := w.service(110)
	x.Dir = Repository(w.t, Commit{"README.md": "# A service\n", "ci/child.yml": "include: /ci/smoke.yml\n", "ci/smoke.yml": "smoke:\n  environment: production\n  script: smoke\n"})
	x.Definition = "deploy:\n  environment: { name: production }\n  script: deploy $DEPLOY_TOKEN\ntest:\n  script: make\nchildren:\n  trigger: { include: ci/child.yml }\n"
	x.Includes = []CIInclude{{Type: "local", Location: "/ci/deploy.yml"}}
	x.Variables = append(x.Variables, CIVariable{Key: "DEPLOY_TOKEN", Hidden: true, Protected: true, Scope: "production"}, CIVariable{Key: "NOTIFY_TOKEN", Hidden: true, Protected: true})
}

func (w *GitLabWorld) texts() {
	text := func(n int, what, name string) (*Project, string) {
		x := w.service(n)
		return x, "this is it: " + w.secret(what, x.Path, "text", name)
	}
	x, s := text(60, "an issue", "issue #2")
	x.Issues = append(x.Issues, CIThread{IID: 2, Title: "Cannot log in", Description: s})
	x, s = text(61, "a note on an issue", "issue #2, note")
	x.Issues = append(x.Issues, CIThread{IID: 2, Title: "Cannot log in", Notes: []string{"with what?", s}})
	x, s = text(62, "a merge request", "merge request !1")
	x.MergeRequests = []CIThread{{IID: 1, Title: "Mend it", Description: s}}
	x, s = text(63, "a note on a merge request", "merge request !1, note")
	x.MergeRequests = []CIThread{{IID: 1, Title: "Mend it", Notes: []string{s}}}
	x, s = text(64, "a page of a wiki", "wiki page ops/deploy")
	x.Wiki = map[string]string{"home": "welcome", "ops/deploy": s}
	x, s = text(65, "a release", "release v2")
	x.Releases = map[string]string{"v1": "the first", "v2": s}
	x, s = text(66, "a snippet", "snippet $1")
	x.Snippets = []CISnippet{{ID: 1, Title: "how to", Files: map[string]string{"a.sh": "echo a", "dir/b.sh": "# " + s}}}
}

func (w *GitLabWorld) weakness(rule, target, in, name string) {
	w.Planted = append(w.Planted, Planted{What: rule + " of " + name, Target: "gitlab:" + target, Rule: rule, In: in, Name: name})
}

// weak are settings that are not sound, each of a project of its own, with what is nearly as weak in the one before.
func (w *GitLabWorld) weak() {
	for _, p := range w.Planted { // masked, and still to be read in the settings; or a file
		if p.In == "variable" && p.Name != "NIGHT_TOKEN" && p.Name != "CRM_TOKEN" {
			w.weakness("gitlab-variable-unmasked", strings.TrimPrefix(p.Target, "gitlab:"), "variable", p.Name)
		}
	}
	w.weakness("gitlab-schedule-secret", w.service(12).Path, "schedule", "nightly")

	vault := func(x *Project, v CIVariable) {
		v.Key, v.Masked, v.Hidden = "DATABASE_PASSWORD", true, true
		x.Variables = append(x.Variables, v)
	}
	vault(w.service(70), CIVariable{Protected: true})
	x := w.service(71)
	vault(x, CIVariable{})
	w.weakness("gitlab-variable-unprotected", x.Path, "variable", "DATABASE_PASSWORD")
	vault(w.service(72), CIVariable{Scope: "production"})
	x = w.service(73)
	x.Environments = append(x.Environments, "review/1")
	vault(x, CIVariable{Scope: "review/*"})
	w.weakness("gitlab-environment-scope", x.Path, "variable", "DATABASE_PASSWORD")
	x = w.service(80) // public
	x.CIAccess.Settings["ci_allow_fork_pipelines_to_run_in_parent_project"] = true
	x.CIAccess.Settings["public_jobs"] = true
	vault(x, CIVariable{})
	w.weakness("gitlab-variable-unprotected", x.Path, "variable", "DATABASE_PASSWORD")
	w.weakness("gitlab-fork-pipeline", x.Path, "settings", "")
	w.service(90).CIAccess.Settings["ci_allow_fork_pipelines_to_run_in_parent_project"] = true // and no variable to take

	w.service(74).JobTokenFrom = []string{"acme"}
	x = w.service(75)
	x.JobTokenOpen = true
	w.weakness("gitlab-job-token-open", x.Path, "settings", "")
	x = w.service(76)
	x.Branches = append(x.Branches, CIRule{Name: "release/*", Push: []int{30}, Merge: []int{30}})
	w.weakness("gitlab-protected-ref-open", x.Path, "protection", "release/*")
	x = w.service(77)
	x.CIAccess.Settings["ci_pipeline_variables_minimum_override_role"] = "developer"
	w.weakness("gitlab-pipeline-variables", x.Path, "settings", "")
	x = w.service(78)
	x.CIAccess.Settings["public_jobs"] = true
	w.weakness("gitlab-public-jobs", x.Path, "settings", "")

	end := w.now.AddDate(0, 1, 0).Format(time.DateOnly)
	x = w.service(79)
	x.CIAccess.Tokens = []CIToken{{Name: "for ever", Scopes: []string{"api"}, Level: 40}, {Name: "revoked", Level: 40, Revoked: true}}
	w.weakness("gitlab-token-lifetime", x.Path, "token", "for ever")
	x = w.service(102)
	x.CIAccess.Tokens = []CIToken{
		{Name: "idle", Scopes: []string{"api"}, Level: 40, Expires: end, LastUsed: w.now.AddDate(0, 0, -92)},
		{Name: "busy", Scopes: []string{"api"}, Level: 40, Expires: end, LastUsed: w.now.AddDate(0, 0, -88)},
	}
	w.weakness("gitlab-token-lifetime", x.Path, "token", "idle")
	x = w.service(81)
	x.Deploys = []CIToken{{Name: "registry", Scopes: []string{"read_registry"}, Expires: end}}
	x.Triggers = []CIToken{{Name: "from CRM", Value: "not-for-reports"}}
	w.weakness("gitlab-trigger-token", x.Path, "token", "from CRM")
	x = w.service(82)
	x.Members = map[int]int{8: 30, 9: 30}
	x.Schedules = []CISchedule{{ID: 1, Description: "weekly", Ref: "main", Owner: 8, Blocked: true}, {ID: 2, Description: "monthly", Ref: "main", Owner: 9}}
	w.weakness("gitlab-schedule-secret", x.Path, "schedule", "weekly")
	x = w.service(103)
	x.Variables = append(x.Variables, CIVariable{Key: "DEPLOY_KEY", Protected: true, Masked: true, Hidden: true})
	w.weakness("gitlab-variable-wide", x.Path, "variable", "DEPLOY_KEY")
	team := w.Groups[worldGroups] // of which one project publishes
	team.Variables = []CIVariable{{Key: "PUBLISH_PASSWORD", Protected: true, Masked: true, Hidden: true}}
	w.service(119).Definition = "publish:\n  script: publish $PUBLISH_PASSWORD\n"
	w.weakness("gitlab-variable-wide", team.Path, "variable", "PUBLISH_PASSWORD")
	x = w.service(83)
	x.Runners = []CIRunner{{ID: w.next(), Description: "deploy-2", Tags: []string{"deploy"}, Locked: true, Untagged: true}, {ID: w.next(), Description: "deploy-3", Tags: []string{"deploy"}, Locked: true, Protected: true, Untagged: true}}
	w.weakness("gitlab-runner-unprotected", x.Path, "runner", "deploy-2")
	x = w.service(84)
	x.DeployKeys = []CIKey{{Title: "mirror"}, {Title: "release", Push: true}}
	w.weakness("deploy-key-write", x.Path, "deploy-key", "release")
	x = w.service(85)
	x.Hooks = []CIHook{{URL: "https://chat.example.com/"}, {URL: "http://builds.example.com/"}}
	w.weakness("webhook-insecure", x.Path, "webhook", "builds.example.com")
	w.executors()
	w.keys()
}

// executors are runners of which traces say how they keep jobs apart. Of those of a project, its settings say whether others have them too.
func (w *GitLabWorld) executors() {
	run := func(n int, runner CIRunner, trace string) *Project {
		x := w.service(n)
		if runner.ID == 0 { // the project's own
			runner.ID = w.next()
			x.Runners = append(x.Runners, runner)
		}
		w.job(x, "", CIJob{Name: "deploy", Trace: trace, Runner: runner})
		return x
	}
	shell := strings.ReplaceAll(traceOf("deployed"), `"docker"`, `"shell"`)
	x := run(86, CIRunner{ID: 7000, Description: "shell-1"}, shell)
	w.weakness("gitlab-runner-shell", x.Path, "runner", "shell-1")
	run(91, CIRunner{ID: 7000, Description: "shell-1"}, shell) // of the instance, and said already
	x = run(92, CIRunner{Description: "shell-2"}, shell)
	w.weakness("gitlab-runner-shell", x.Path, "runner", "shell-2")
	run(93, CIRunner{Description: "shell-3", Locked: true}, shell)

	docker := func(said string) string {
		return strings.Replace(traceOf("built"), "section_end:1772355601", "Starting service docker:27-dind ...\n"+said+"section_end:1772355601", 1)
	}
	x = run(87, CIRunner{ID: 7001, Description: "dind-1"}, docker(""))
	w.weakness("privileged-container", x.Path, "runner", "dind-1")
	x = run(94, CIRunner{Description: "dind-2"}, docker(""))
	w.weakness("privileged-container", x.Path, "runner", "dind-2")
	run(95, CIRunner{Description: "dind-3", Locked: true}, docker(""))
	run(96, CIRunner{ID: 7002, Description: "dind-4"}, docker("*** WARNING: Service may not have started.\nAppArmor detection and --privileged mode might break.\n"))
}

// keys are those of clouds, where a job could show who it is instead; of a store that only speaks S3 it could not.
func (w *GitLabWorld) keys() {
	key := CIVariable{Key: "AWS_SECRET_ACCESS_KEY", Protected: true, Masked: true, Hidden: true, Scope: "production"}
	x := w.service(97)
	x.Variables = append(x.Variables, key)
	w.weakness("static-cloud-key", x.Path, "variable", "AWS_SECRET_ACCESS_KEY")
	x = w.service(98)
	x.Variables = append(x.Variables, key, CIVariable{Key: "AWS_ENDPOINT_URL", Value: "https://minio.example.com"})
	x = w.service(101)
	x.Variables = append(x.Variables, CIVariable{Key: "AWS_ROLE_ARN", Value: "arn:aws:iam::111122223333:role/deploy"})
	x.Definition = "deploy:\n  id_tokens:\n    AWS_TOKEN: {aud: https://sts.example.com}\n  script: make deploy\n"
	w.weakness("oidc-any-branch", x.Path, "workflow", ".gitlab-ci.yml")
}
