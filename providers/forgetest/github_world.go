package forgetest

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// A World is a GitHub whose organisation acme has 300 repositories, 40 environments, 120 secrets, 30 variables, 25 runners in 6 groups and 500
// runs with 700 attempts. All is sound but for what is in Planted. It is the same each time but for the day it is made for.
type World struct {
	*GitHub
	Planted []Planted

	t      testing.TB
	now    time.Time
	random *rand.Rand
	ids    int64
	dirs   map[string]string // repositories of the same files, by them
}

// WorldToken opens all of a world.
const WorldToken = "a-token-of-the-test-that-may-everything"

// A Planted is what a scan of the world is to find, or where it nearly would.
type Planted struct {
	What   string // in words
	Target string
	Rule   string // of a weakness; "" for a secret
	Value  string // of a secret
	In     string // the kind of its location: file, commit, variable, log, artifact, text; of a weakness that of the inventory's entry
	Name   string // what the location says: of a variable or entry the name, else a part of the path or name
	Near   bool   // it is nothing, but nearly
}

// NewWorld makes one as it is at a time.
func NewWorld(t testing.TB, now time.Time) *World {
	t.Helper()
	w := &World{
		GitHub: &GitHub{Token: WorldToken, Login: "auditor"}, t: t, now: now.UTC().Truncate(time.Second), random: rand.New(rand.NewPCG(20261127, 5)),
		ids: 1000, dirs: map[string]string{},
	}
	acme := &Owner{Login: "acme"}
	w.Owners = []*Owner{acme, {Login: "auditor", User: true}}
	w.organisation(acme)
	w.runners(acme)
	w.deployments()
	w.publishing(acme)
	w.exposed()
	w.weak(acme)
	w.pipelines(acme)
	w.history()
	w.texts(acme)
	w.fill()
	w.runs()
	slices.SortFunc(w.Repos, func(a, b *GitHubRepo) int { return strings.Compare(a.FullName, b.FullName) })
	w.people()
	return w
}

// What is said of time: rules go by how long ago something was.
func (w *World) daysAgo(n int) time.Time { return w.now.AddDate(0, 0, -n) }

func (w *World) id() int64 {
	w.ids++
	return w.ids
}

// token makes one that looks as GitHub's do.
func (w *World) token() string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	b := make([]byte, 36)
	for i := range b {
		b[i] = alphabet[w.random.IntN(len(alphabet))]
	}
	return "ghp_" + string(b)
}

// secret plants a secret, and returns its value.
func (w *World) secret(what, repo, in, name string) string {
	value := w.token()
	w.Planted = append(w.Planted, Planted{What: what, Target: "github:" + repo, Value: value, In: in, Name: name})
	return value
}

func (w *World) weakness(rule, target, in, name string) {
	w.Planted = append(w.Planted, Planted{What: rule + " of " + or(name, target), Target: "github:" + target, Rule: rule, In: in, Name: name})
}

func (w *World) near(rule, target, in, name string) {
	w.Planted = append(w.Planted, Planted{What: rule + ", nearly, of " + or(name, target), Target: "github:" + target, Rule: rule, In: in, Name: name, Near: true})
}

// people have roles in each repository: jane all of them, the team release writes to one of three, and one of fifty has many who may push.
func (w *World) people() {
	release := Team{Slug: "release", Members: []string{"jane", "kim", "ted"}, Repositories: map[string]string{}}
	for i, x := range w.Repos {
		x.Collaborators = []Collaborator{{Login: "jane", Role: "admin"}, {Login: "joe", Role: []string{"read", "triage", "write", "maintain"}[i%4]}}
		if i%3 == 0 {
			release.Repositories[x.FullName] = "push"
		}
		for n := range i % 50 / 49 * 130 {
			x.Collaborators = append(x.Collaborators, Collaborator{Login: fmt.Sprintf("dev-%03d", n), Role: "write"})
		}
	}
	for _, o := range w.Owners {
		if o.Login == "acme" {
			o.Teams = append(o.Teams, release)
		}
	}
}

// repo adds a private repository with these files.
func (w *World) repo(name string, files Commit) *GitHubRepo {
	w.t.Helper()
	return w.add(name, w.dir(files))
}

func (w *World) add(name, dir string) *GitHubRepo {
	x := &GitHubRepo{
		FullName: "acme/" + name, ID: w.id(), Private: true, Dir: dir, Pushed: w.daysAgo(3), Protected: map[string]Protection{"main": {Reviews: 1, Admins: true}},
	}
	w.Repos = append(w.Repos, x)
	return x
}

func (w *World) dir(files Commit) string {
	w.t.Helper()
	key := fmt.Sprint(files)
	if w.dirs[key] == "" {
		w.dirs[key] = w.made(History{Main: []Commit{{"README.md": "# A service\n"}, files}}).Dir
	}
	return w.dirs[key]
}

func (w *World) made(h History) Made {
	w.t.Helper()
	return Histories(w.t, w.daysAgo(30), h)[0]
}

// Workflows of the world. Actions are pinned, and no job may more than it says.
const (
	checkout = "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683"
	pinned   = "11bd71901bbe5b1630ceea73d27597364c9af683"
	head     = "permissions: { contents: read }\njobs:\n"
)

// workflow is one of a single job.
func workflow(on, runsOn, more, run string) string {
	return fmt.Sprintf("on: %s\n%s  job:\n    runs-on: %s\n%s    steps:\n      - uses: %s\n        with: { persist-credentials: false }\n      - run: %s\n", on, head, runsOn, more, checkout, run)
}

// using hands secrets to a job's only command.
func using(names ...string) string {
	var b strings.Builder
	b.WriteString("    env:\n")
	for _, name := range names {
		_, _ = fmt.Fprintf(&b, "      %s: ${{ secrets.%s }}\n", name, name)
	}
	return b.String()
}

var buildFiles = Commit{".github/workflows/build.yml": workflow("push", "ubuntu-24.04", "", "make")}

// organisation is lax where GitHub's rules for organisations are, so that what a repository does better can be seen.
func (w *World) organisation(acme *Owner) {
	acme.Policy = Policy{
		Allowed: "all", WriteToken: true, ApprovePulls: true, ForkApproval: "all_external_contributors", RepositoryRunners: "none", Immutable: true,
	}
	w.weakness("github-actions-unrestricted", "acme", "settings", "")
	w.weakness("github-default-token-write", "acme", "settings", "")
	w.weakness("github-actions-approve", "acme", "settings", "")
	strict := &Policy{Allowed: "selected", Patterns: []string{"acme/*"}, GitHubOwned: true, SHAPinning: true, ForkApproval: "all_external_contributors", Immutable: true}
	x := w.repo("strict", buildFiles)
	x.Policy = strict
	for _, rule := range []string{"github-actions-unrestricted", "github-default-token-write", "github-actions-approve"} {
		w.near(rule, "acme/strict", "settings", "")
	}
	acme.Members = []string{"auditor", "jane"}
	acme.Grants = []Grant{{ID: w.id(), Name: "ci", Owner: "jane", Repository: map[string]string{"contents": "read"}, Expires: w.now.AddDate(0, 2, 0), LastUsed: w.daysAgo(1)}}
	acme.Apps = []App{{ID: w.id(), Slug: "renovate", Permissions: map[string]string{"contents": "write", "metadata": "read"}, Selected: true}}
	acme.Hooks = []Hook{{ID: w.id(), URL: "https://hooks.example.com/all", Events: []string{"push"}, Secret: true}}
	acme.Rulesets = []Ruleset{{ID: w.id(), Name: "default branches", Include: []string{"~DEFAULT_BRANCH"}, Rules: []string{"deletion", "non_fast_forward"}, Reviews: 1, Except: []string{"unguarded", "ruled"}}}
	unguarded := w.repo("unguarded", buildFiles)
	unguarded.Protected = nil
	w.weakness("github-branch-unprotected", unguarded.FullName, "settings", "")
	ruled := w.repo("ruled", buildFiles)
	ruled.Protected, ruled.Rulesets = nil, []Ruleset{{ID: w.id(), Name: "main", Include: []string{"refs/heads/main"}, Rules: []string{"pull_request"}}}
	w.near("github-branch-unprotected", ruled.FullName, "settings", "")
}

// runners are 25 in 6 groups, of which one group serves everybody.
func (w *World) runners(acme *Owner) {
	for i, name := range []string{"Default", "build", "gpu", "deploy", "legacy", "spare"} {
		acme.Groups = append(acme.Groups, RunnerGroup{ID: int64(i + 1), Name: name, Visibility: "selected", Default: i == 0})
	}
	add := func(group int64, n int, label string, ephemeral bool) {
		for i := range n {
			acme.Runners = append(acme.Runners, Runner{
				Name: fmt.Sprint(label, "-", i), OS: "Linux", Labels: []string{"self-hosted", label}, Ephemeral: ephemeral, Group: group,
			})
		}
	}
	add(1, 6, "common", true)
	add(2, 8, "build", true)
	add(3, 4, "gpu", true)
	add(4, 4, "deploy", true)
	add(5, 1, "legacy", false)
	add(6, 2, "spare", true)

	acme.Groups[3].Workflows = []string{"acme/deploy-00/.github/workflows/deploy.yml@refs/heads/main"}
	acme.Groups[3].Public = true // but for one workflow alone
	w.near("runner-group-open", "acme", "runner-group", "deploy")
	acme.Groups[4].Public = true
	w.weakness("runner-group-open", "acme", "runner-group", "legacy")
	acme.Runners[22].Version = "2.295.0"
	w.weakness("runner-outdated", "acme", "runner", "legacy-0")
	w.near("runner-outdated", "acme", "runner", "build-0")

	open := w.repo("oss-legacy", Commit{".github/workflows/test.yml": workflow("pull_request", "[self-hosted, legacy]", "", "make test")})
	open.Private = false
	acme.Groups[4].Repositories = []string{open.FullName}
	w.weakness("self-hosted-on-pull-request", open.FullName, "workflow", ".github/workflows/test.yml")
	w.weakness("runner-persistent", "acme", "runner", "legacy-0")
	inner := w.repo("inner-build", Commit{".github/workflows/test.yml": workflow("pull_request", "[self-hosted, build]", "", "make test")})
	acme.Groups[1].Repositories = []string{inner.FullName}
	w.near("self-hosted-on-pull-request", inner.FullName, "workflow", ".github/workflows/test.yml")
	w.near("runner-persistent", "acme", "runner", "build-0")
}

// guarded is an environment that nobody reaches alone.
func guarded(name string, secrets ...Secret) Environment {
	return Environment{Name: name, ReviewedBy: []string{"Team:release", "User:jane"}, PreventSelfReview: true, NoBypass: true, Branches: "protected", Secrets: secrets}
}

func (w *World) fresh(name string) Secret {
	return Secret{Name: name, Created: w.daysAgo(80), Updated: w.daysAgo(20)}
}

// deployments are 40 environments with 39 secrets and 3 variables.
func (w *World) deployments() {
	files := Commit{".github/workflows/deploy.yml": workflow("{ push: { branches: [main] } }", "ubuntu-24.04", "    environment: production\n"+using("DEPLOY_KEY"), "make deploy")}
	for i := range 37 {
		x := w.repo(fmt.Sprintf("deploy-%02d", i), files)
		x.Environments = []Environment{guarded("production", w.fresh("DEPLOY_KEY"))}
		if i < 3 {
			x.Environments[0].Variables = []Variable{{Name: "REGION", Value: "eu-central-1"}}
		}
	}
	open := w.repo("deploy-open", files)
	open.Environments = []Environment{{Name: "production", Secrets: []Secret{w.fresh("DEPLOY_KEY")}, NoBypass: true}}
	w.weakness("github-environment-open", open.FullName, "environment", "production")
	empty := w.repo("deploy-empty", buildFiles)
	empty.Environments = []Environment{{Name: "preview"}}
	w.near("github-environment-open", empty.FullName, "environment", "preview")
	alone := w.repo("deploy-alone", files)
	alone.Environments = []Environment{guarded("production", w.fresh("DEPLOY_KEY"))}
	alone.Environments[0].PreventSelfReview = false
	w.weakness("github-environment-review", alone.FullName, "environment", "production")
	w.near("github-environment-review", "acme/deploy-00", "environment", "production")
	w.near("secret-outside-environment", "acme/deploy-00", "workflow", "deploy.yml")
}

// publishing are secrets of repositories and of the organisation: 57 of the former, 20 of the latter; and 4 variables of the organisation, 20 of repositories.
func (w *World) publishing(acme *Owner) {
	files := Commit{".github/workflows/release.yml": workflow("{ push: { tags: ['v*'] } }", "ubuntu-24.04", using("NPM_TOKEN", "REGISTRY_TOKEN", "SHARED_TOKEN_0"), "make release")}
	for i := range 40 {
		x := w.repo(fmt.Sprintf("release-%02d", i), files)
		x.Secrets = []Secret{w.fresh("NPM_TOKEN")}
		w.weakness("secret-outside-environment", x.FullName, "workflow", "release.yml")
		if i == 0 { // which alone may see all of them
			w.near("missing-secret", x.FullName, "workflow", "release.yml")
		} else {
			w.weakness("missing-secret", x.FullName, "workflow", "release.yml")
		}
		if i < 17 {
			x.Secrets = append(x.Secrets, w.fresh("REGISTRY_TOKEN"))
		}
		if i < 20 {
			x.Variables = []Variable{{Name: "CHANNEL", Value: "stable"}}
		}
	}
	var names []string
	for i := range 12 {
		names = append(names, fmt.Sprint("SHARED_TOKEN_", i))
	}
	publish := w.repo("publish", Commit{".github/workflows/publish.yml": workflow("{ push: { tags: ['v*'] } }", "ubuntu-24.04", using(names...), "make publish")})
	w.weakness("secret-outside-environment", publish.FullName, "workflow", "publish.yml")
	for i, name := range names {
		s := w.fresh(name)
		s.Visibility, s.Repositories = "selected", []string{publish.FullName, "acme/release-00"}
		if i == 11 {
			s.Visibility, s.Repositories = "all", nil
			w.weakness("github-org-secret-wide", "acme", "secret", name)
		}
		acme.Secrets = append(acme.Secrets, s)
	}
	w.near("github-org-secret-wide", "acme", "secret", names[0])
	acme.Stores = map[string]Store{}
	for _, store := range []string{"dependabot", "codespaces"} {
		var all []Secret
		for i := range 4 {
			s := w.fresh(fmt.Sprint(strings.ToUpper(store), "_TOKEN_", i))
			s.Visibility, s.Repositories = "selected", []string{publish.FullName}
			all = append(all, s)
		}
		acme.Stores[store] = Store{Secrets: all}
	}
	for i := range 4 {
		acme.Variables = append(acme.Variables, Variable{Name: fmt.Sprint("LEVEL_", i), Value: "warning", Visibility: "all"})
	}
}

// weak are repositories with four secrets that something is wrong with, or nearly; and keys and hooks.
func (w *World) weak(*Owner) {
	x := w.repo("ages", Commit{".github/workflows/x.yml": workflow("{ push: { branches: [main] } }", "ubuntu-24.04", using("OLD_TOKEN", "RENEWED_TOKEN"), "make")})
	x.Secrets = []Secret{
		{Name: "OLD_TOKEN", Created: w.daysAgo(900), Updated: w.daysAgo(400)}, {Name: "RENEWED_TOKEN", Created: w.daysAgo(900), Updated: w.daysAgo(80)}, w.fresh("LEFT_TOKEN"),
	}
	w.weakness("secret-outside-environment", x.FullName, "workflow", "x.yml")
	w.weakness("stale-secret", x.FullName, "secret", "OLD_TOKEN")
	w.near("stale-secret", x.FullName, "secret", "RENEWED_TOKEN")
	w.weakness("unused-secret", x.FullName, "secret", "LEFT_TOKEN")
	w.near("unused-secret", x.FullName, "secret", "RENEWED_TOKEN")

	const configure = "aws-actions/configure-aws-credentials@e3dd6a429d7300a6a4c196c26e071d42e0343502"
	login := func(with, permissions string) string {
		return "on: { push: { branches: [main] } }\npermissions: { contents: read" + permissions + " }\njobs:\n  job:\n    runs-on: ubuntu-24.04\n    steps:\n      - uses: " + configure + "\n        with:\n          aws-region: eu-central-1\n" + with
	}
	static := w.repo("cloud-key", Commit{".github/workflows/x.yml": login("          aws-access-key-id: ${{ vars.AWS_ACCESS_KEY_ID }}\n          aws-secret-access-key: ${{ secrets.AWS_SECRET_ACCESS_KEY }}\n", "")})
	static.Secrets = []Secret{w.fresh("AWS_SECRET_ACCESS_KEY")}
	w.weakness("static-cloud-key", static.FullName, "secret", "AWS_SECRET_ACCESS_KEY")
	w.weakness("secret-outside-environment", static.FullName, "workflow", "x.yml")
	role := w.repo("cloud-role", Commit{".github/workflows/x.yml": login("          role-to-assume: arn:aws:iam::111122223333:role/deploy\n", ", id-token: write")})
	w.near("static-cloud-key", role.FullName, "workflow", ".github/workflows/x.yml")

	keys := w.repo("keys", buildFiles)
	keys.Keys = []DeployKey{
		{ID: w.id(), Title: "forgotten", Write: true, Created: w.daysAgo(500)},
		{ID: w.id(), Title: "mirror", Created: w.daysAgo(50), LastUsed: w.daysAgo(1)},
	}
	w.weakness("deploy-key-write", keys.FullName, "deploy-key", "forgotten")
	w.near("deploy-key-write", keys.FullName, "deploy-key", "mirror")
	keys.Hooks = []Hook{
		{ID: w.id(), URL: "https://bare.example.com/hook", Events: []string{"push"}},
		{ID: w.id(), URL: "https://unverified.example.com/hook", Events: []string{"push"}, Secret: true, Insecure: true},
		{ID: w.id(), URL: "https://sound.example.com/hook", Events: []string{"push"}, Secret: true},
	}
	w.weakness("webhook-insecure", keys.FullName, "webhook", "bare.example.com")
	w.weakness("webhook-insecure", keys.FullName, "webhook", "unverified.example.com")
	w.near("webhook-insecure", keys.FullName, "webhook", "sound.example.com")
}

// pipelines hand secrets on: renamed, all at once, as an input, as an output of a context, and from an environment.
func (w *World) pipelines(acme *Owner) {
	flows := w.repo("flows", Commit{".github/workflows/deploy.yml": "on: { workflow_call: { secrets: { token: { required: true } } } }\n" + head +
		"  deploy:\n    runs-on: ubuntu-24.04\n    environment: live\n    steps:\n      - run: deploy\n        env: { TOKEN: '${{ secrets.token }}' }\n"})
	x := w.repo("shop", Commit{
		".github/workflows/release.yml": "on: { push: { branches: [main] } }\n" + head +
			"  build:\n    runs-on: ubuntu-24.04\n    steps:\n      - uses: " + checkout + "\n        with: { persist-credentials: false }\n" +
			"      - uses: ./.github/actions/publish\n        with: { token: '${{ secrets.PUBLISH_TOKEN }}' }\n" +
			"  ship:\n    uses: acme/flows/.github/workflows/deploy.yml@" + strings.TrimSpace(w.read(flows.Dir, "rev-parse", "main")) + "\n    secrets: { token: '${{ secrets.LIVE_TOKEN }}' }\n" +
			"  tell:\n    uses: ./.github/workflows/notify.yml\n    secrets: inherit\n",
		".github/workflows/notify.yml":       "on: { workflow_call: { } }\n" + head + "  notify:\n    runs-on: ubuntu-24.04\n" + using("CHAT_TOKEN") + "    steps:\n      - run: notify\n",
		".github/workflows/dump.yml":         "on: workflow_dispatch\n" + head + "  dump:\n    runs-on: ubuntu-24.04\n    steps:\n      - run: check\n        env: { ALL: '${{ toJSON(secrets) }}' }\n",
		".github/workflows/live.yml":         "on: workflow_dispatch\n" + head + "  live:\n    runs-on: ubuntu-24.04\n    environment: live\n" + using("LIVE_TOKEN") + "    steps:\n      - run: deploy\n",
		".github/actions/publish/action.yml": "name: publish\ndescription: publishes\ninputs: { token: { description: a token } }\nruns:\n  using: composite\n  steps:\n    - uses: actions/cache@" + pinned + "\n",
	})
	w.weakness("all-secrets", x.FullName, "workflow", "dump.yml")
	w.near("all-secrets", x.FullName, "workflow", "live.yml")
	w.weakness("secret-any-branch", x.FullName, "workflow", "dump.yml")
	w.near("secret-any-branch", x.FullName, "workflow", "live.yml")
	w.weakness("shadowed-secret", x.FullName, "secret", "CHAT_TOKEN")
	w.weakness("shadowed-secret", x.FullName, "secret", "LIVE_TOKEN (environment live)")
	w.near("shadowed-secret", x.FullName, "secret", "PUBLISH_TOKEN")
	w.weakness("secrets-inherit", x.FullName, "workflow", "release.yml")
	w.near("secrets-inherit", flows.FullName, "workflow", "deploy.yml")
	w.weakness("secret-outside-environment", x.FullName, "workflow", "release.yml")
	x.Secrets = []Secret{w.fresh("PUBLISH_TOKEN"), w.fresh("LIVE_TOKEN"), w.fresh("CHAT_TOKEN")}
	x.Environments = []Environment{guarded("live", w.fresh("LIVE_TOKEN"))}
	for _, name := range []string{"CHAT_TOKEN", "SHOP_TOKEN"} {
		s := w.fresh(name)
		s.Visibility, s.Repositories = "selected", []string{x.FullName}
		acme.Secrets = append(acme.Secrets, s)
	}
}

// exposed are secrets in variables, which have no better place.
func (w *World) exposed() {
	for _, name := range []string{"variables-0", "variables-1"} {
		x := w.repo(name, buildFiles)
		x.Variables = []Variable{{Name: "SETTINGS", Value: "level=info\ntoken=" + w.secret("a variable", x.FullName, "variable", "SETTINGS") + "\n"}}
	}
	w.repo("variables-2", buildFiles).Variables = []Variable{{Name: "STAGE", Value: "staging"}}
}

// history plants secrets in what git has: on main, taken out again, on a branch, on a pull request, lost by a forced push, in a wiki, in a member's gist.
func (w *World) history() {
	name := func(i int) string { return fmt.Sprint("history-", i) }
	full := func(i int) string { return "acme/" + name(i) }
	line := func(value string) string { return "token = \"" + value + "\"\n" }
	first := Commit{"README.md": "# A service\n"}

	now := Commit{"config/app.ini": line(w.secret("a file", full(0), "file", "config/app.ini"))}
	w.add(name(0), w.made(History{Main: []Commit{first, now}}).Dir).Wiki =
		w.made(History{Main: []Commit{{"Deploy.md": line(w.secret("a wiki", full(0)+".wiki", "file", "Deploy.md"))}}}).Dir

	const gist = "5f3c1a9e7b2d"
	w.Owners = append(w.Owners, &Owner{Login: "jane", User: true, Gists: []Gist{{
		ID: gist, Dir: w.made(History{Main: []Commit{{"deploy.sh": line(w.secret("a gist", "gist/"+gist, "file", "deploy.sh"))}}}).Dir,
	}}})

	before := Commit{"deploy/prod.env": line(w.secret("a file that was changed", full(1), "commit", "deploy/prod.env"))}
	w.add(name(1), w.made(History{Main: []Commit{first, before, {"deploy/prod.env": "# in the vault\n"}}}).Dir)

	branch := Commit{"notes.txt": line(w.secret("a branch", full(2), "commit", "notes.txt"))}
	w.add(name(2), w.made(History{Main: []Commit{first}, Refs: map[string][]Commit{"refs/heads/try": {branch}}}).Dir)

	pull := Commit{"fix.txt": line(w.secret("a pull request", full(3), "commit", "fix.txt"))}
	w.add(name(3), w.made(History{Main: []Commit{first}, Refs: map[string][]Commit{"refs/pull/1/head": {pull}}}).Dir).Issues =
		[]Issue{{Number: 1, Title: "fix", Body: "please", Pull: true, User: "jane"}}

	stolen := w.add("stolen", w.made(History{Main: []Commit{first}, Refs: map[string][]Commit{
		"refs/heads/dev_remote_ea5Eu/test/v1": {{".github/workflows/init_ZkITM.yaml": "on: push\njobs: {}\n"}},
	}}).Dir)
	w.weakness("attack-leftover", stolen.FullName, "commit", "branch dev_remote_ea5Eu/test/v1")
	w.weakness("attack-leftover", stolen.FullName, "commit", "init_ZkITM.yaml")
	w.near("attack-leftover", full(2), "commit", "refs/heads/try")

	lost := w.made(History{Main: []Commit{first, {"a.txt": "a\n"}}, Lost: []Commit{{"key.txt": line(w.secret("a commit that was pushed away", full(4), "commit", "key.txt"))}}})
	w.add(name(4), lost.Dir).Activities = []Activity{{ID: w.id(), Type: "force_push", Ref: "refs/heads/main", Before: lost.Lost[0], After: lost.Main[1], At: w.daysAgo(2)}}
}

// texts plants secrets in what people write.
func (w *World) texts(acme *Owner) {
	for i := range 20 {
		x := w.repo(fmt.Sprintf("talk-%02d", i), buildFiles)
		for n := range int64(3) {
			x.Issues = append(x.Issues, Issue{
				Number: 3 - n, Title: "It does not work", Body: "It stops.\n", User: "jane", Closed: n == 0, Pull: n == 1, Updated: w.daysAgo(int(n)),
				Comments: []Comment{{ID: w.id(), Body: "Here as well.", User: "joe"}},
			})
		}
		x.Releases = []Release{{ID: w.id(), Tag: "v1.0.0", Body: "First.", Assets: []Asset{{ID: w.id(), Name: "notes.txt", Content: []byte("nothing\n")}}}}
		say := func(what, in, name string) string {
			return "I set token = \"" + w.secret(what, x.FullName, in, name) + "\" and it works.\n"
		}
		switch i {
		case 0:
			x.Issues[0].Body = say("an issue", "text", "issue 3")
		case 1:
			x.Issues[2].Comments[0].Body = say("a comment on an issue", "text", "comment on issue 1")
		case 2:
			x.Issues[1].ReviewComments = []Comment{{ID: w.id(), Body: say("a comment on a line of a pull request", "text", "comment on pull request 2"), Path: "README.md"}}
		case 3:
			x.Issues[1].Reviews = []Comment{{ID: w.id(), Body: say("a review", "text", "review of pull request 2")}}
		case 4:
			x.CommitComments = []Comment{{ID: w.id(), Body: say("a comment on a commit", "text", "comment on commit")}}
		case 5:
			x.Releases[0].Body = say("a release", "text", "release v1.0.0")
		case 6:
			x.Releases[0].Assets[0].Content = []byte(say("a file of a release", "artifact", "notes.txt"))
		}
	}
}

// fill adds plain repositories until there are 300: public and private ones, some archived, some forks.
func (w *World) fill() {
	for i := 0; len(w.Repos) < 300; i++ {
		x := w.repo(fmt.Sprintf("service-%03d", i), buildFiles)
		x.Private, x.Internal = i%10 >= 3, i%10 == 9
		x.Archived, x.Fork = i%20 == 5, i%20 == 6
	}
}

// runs are 500 with 700 attempts, in 50 repositories. What is planted lies in the first of two attempts, which nobody looks at again.
func (w *World) runs() {
	of := slices.DeleteFunc(slices.Clone(w.Repos), func(x *GitHubRepo) bool { return !strings.HasPrefix(x.FullName, "acme/service-") || x.Archived })[:50]
	plants := []struct{ what, in, log string }{
		{"a log", "log", "using token %s for this\n"},
		{"a log, in base64", "log", "config: {base64}\n"},
		{"a log, in base64 twice", "log", "{base64 base64}\n"},
		{"a log, in hexadecimal", "log", "dump {hex}\n"},
		{"a log, over two lines", "log", "token={start}\n{end}\n"},
		{"a log, beside what is masked", "log", "token *** or %s\n"},
		{"a log, in base64 twice as a runner keeps it", "log", "{record}\n"},
		{"an artifact", "artifact", ""},
	}
	for i, x := range of {
		for n := range int64(10) {
			run := Run{ID: w.id(), Number: 10 - n, Path: ".github/workflows/build.yml", Workflow: "build", Created: w.daysAgo(int(n) + 1), Branch: "main", Actor: "jane"}
			attempts := 1
			if n >= 6 { // four of ten are tried again
				attempts = 2
			}
			for a := range attempts {
				run.Attempts = append(run.Attempts, Attempt{Started: run.Created.Add(time.Duration(a) * time.Hour), Jobs: []Job{{
					ID: w.id(), Name: "job", Steps: []Step{{Name: "Set up job"}, {Name: "Run make", Log: "compiling\ndone in 3s\n"}},
				}}})
			}
			if n == 9 && i < len(plants) {
				switch plants[i].log {
				case "{record}\n":
					w.weakness("encoded-secret-in-log", x.FullName, "log", "job")
				case "config: {base64}\n":
					w.near("encoded-secret-in-log", x.FullName, "log", "job")
				}
				w.plant(x, &run, plants[i].what, plants[i].in, plants[i].log)
			}
			x.Runs = append(x.Runs, run)
		}
	}
}

func (w *World) plant(x *GitHubRepo, run *Run, what, in, log string) {
	if in == "artifact" {
		value := w.secret(what, x.FullName, in, "build.env")
		run.Artifacts = []Artifact{{ID: w.id(), Name: "build", Files: map[string]string{"out/build.env": "TOKEN=" + value + "\n", "out/app.txt": "nothing\n"}}}
		return
	}
	value := w.secret(what, x.FullName, in, "job")
	text := base64.StdEncoding.EncodeToString
	once := text([]byte("token = \"" + value + "\"\n"))
	run.Attempts[0].Jobs[0].Steps[1].Log += strings.NewReplacer(
		"%s", value, "{record}", text([]byte(text([]byte(`"DEPLOY_TOKEN":{"value":"`+value+`","isSecret":true}`)))), "{base64}", once, "{base64 base64}", text([]byte(once)), "{hex}", hex.EncodeToString([]byte("token = \""+value+"\"\n")), "{start}", value[:20], "{end}", value[20:],
	).Replace(log)
}
