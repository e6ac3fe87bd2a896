package delivery_test

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"hash/crc32"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/providers/forgetest"
)

// TestReadmeCommands runs each command that the README and the pages under docs show (blocks marked console, lines that begin
// with "$ "): leakreach itself in a sandbox that holds a key, everything else in a copy of the sources.
func TestReadmeCommands(t *testing.T) {
	need(t, "bash", "install bash")
	need(t, "make", "install make")
	src := sources(t)
	output(t, src, nil, "git", "init", "-q", "-b", "main")
	commit(t, src)
	sandbox, id, secret := leaky(t, map[string]string{"deploy.log": "done\n"})
	output(t, sandbox, nil, "git", "clone", "-q", ".", "path/to/repository")
	write(t, filepath.Join(sandbox, "exports/111122223333.gaad.json"), `{"UserDetailList": [{"Arn": "arn:aws:iam::111122223333:user/ci-deploy"}, {"Arn": "arn:aws:iam::111122223333:user/svc-ci-deploy"}]}`)
	env := []string{
		"PATH=" + filepath.Dir(program(t)) + string(os.PathListSeparator) + os.Getenv("PATH"),
		"HOME=" + t.TempDir(), "GOBIN=" + t.TempDir(), "LEAKREACH_VERIFY=offline",
	}
	env = append(env, forges(t)...)
	sweep := try(t, sandbox, env, program(t), "scan", "deploy", "github:acme", "--store", "sweep.db", "--format", "json")
	var run struct{ Findings []struct{ ID, Rule string } }
	if err := json.Unmarshal([]byte(sweep.stdout), &run); err != nil || sweep.code != 10 {
		t.Fatalf("exit code %d, %v\n%s", sweep.code, err, sweep.all())
	}
	key := slices.IndexFunc(run.Findings, func(f struct{ ID, Rule string }) bool { return f.Rule == "aws-access-key" })
	if key < 0 {
		t.Fatalf("no key among %v", run.Findings)
	}
	named := strings.NewReplacer("lr1:9f2c41", run.Findings[key].ID, "AKIAIOSFODNN7EXAMPLE", id) // of the pages' examples
	ran := 0
	for _, page := range pages(t) {
		for _, command := range commands(read(t, page)) {
			t.Run(filepath.Base(page)+"/"+command, func(t *testing.T) {
				ran++
				dir := src
				if strings.Contains(command, "leakreach ") && !strings.HasPrefix(command, "go ") {
					dir = sandbox
				}
				run := try(t, dir, env, "bash", "-c", "set -o pipefail; "+within(named.Replace(command)))
				switch {
				case run.code == 0:
				case run.code == 10 && dir == sandbox: // it found the key
				case run.code == 5 && strings.HasPrefix(command, "leakreach doctor "): // a fake does not offer all that a scan reads
				default:
					t.Errorf("exit code %d\n%s", run.code, run.all())
				}
				if strings.Contains(run.all(), secret) {
					t.Error("shows the secret")
				}
			})
		}
	}
	if ran < 10 {
		t.Errorf("found %d commands only; do the pages still mark them with console and $?", ran)
	}
}

// forges starts one of each kind, with what the pages name, and returns the variables that choose them.
func forges(t *testing.T) []string {
	t.Helper()
	web := &forgetest.GitHubRepo{FullName: "acme/web", ID: 1, Secrets: []forgetest.Secret{{Name: "DEPLOY_KEY"}}, Dir: filepath.Join(repository(t, map[string]string{
		".github/workflows/release.yml": "on: push\njobs:\n  job:\n    runs-on: ubuntu-24.04\n    env: { KEY: '${{ secrets.DEPLOY_KEY }}' }\n    steps:\n      - uses: aquasecurity/trivy-action@master\n",
	}), ".git")}
	github := &forgetest.GitHub{Token: "a-token", Owners: []*forgetest.Owner{{Login: "acme"}}, Repos: []*forgetest.GitHubRepo{web}}
	gitlab := &forgetest.GitLab{
		Token: "a-token", Admin: true, Users: []string{"jane"}, Groups: []*forgetest.Group{{ID: 1, Path: "acme"}, {ID: 2, Path: "acme/platform"}},
		Projects: []*forgetest.Project{{ID: 1, Path: "acme/platform/web"}, {ID: 2, Path: "jane/dotfiles"}},
	}
	gitea := &forgetest.Gitea{
		Token: "a-token", Login: "jane", Owners: []*forgetest.GiteaOwner{{Name: "acme"}, {Name: "jane", User: true}},
		Repos: []*forgetest.GiteaRepo{{FullName: "acme/web", ID: 1}, {FullName: "jane/dotfiles", ID: 2}},
	}
	return []string{
		"GITHUB_API_URL=" + forgetest.Start(t, github), "GH_TOKEN=a-token", "GITLAB_URL=" + forgetest.Start(t, gitlab), "GITLAB_TOKEN=a-token",
		"GITEA_URL=" + forgetest.Start(t, gitea), "GITEA_TOKEN=a-token",
	}
}

// within turns a command that reaches out of the test, or back into it, into one that shows as much as can be shown here: a scan of
// a forge or with live keys into its plan, a worker of a shared store and what asks an account into their help, a make into its recipe, an installation from the
// registry into one from here.
func within(command string) string {
	if strings.HasPrefix(command, "leakreach worker ") || strings.HasPrefix(command, "leakreach reach aws:") {
		return command + " --help"
	}
	if strings.HasPrefix(command, "leakreach doctor ") {
		return command
	}
	for _, out := range []string{" github:", " gitlab:", " gitea:", "--verify live"} {
		if strings.Contains(command, out) {
			return strings.Replace(command, "leakreach scan", "leakreach scan --dry-run", 1)
		}
	}
	if targets, ok := strings.CutPrefix(command, "make "); ok {
		return "make -n " + targets
	}
	return strings.Replace(command, "go install github.com/leakreach/leakreach/cmd/leakreach@latest", "go install ./cmd/leakreach", 1)
}

// pages are all that people read.
func pages(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(root(t), "docs/*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"} {
		list = append(list, filepath.Join(root(t), name))
	}
	return list
}

var block = regexp.MustCompile("(?ms)^```console\n(.*?)^```")

func commands(page string) (list []string) {
	for _, b := range block.FindAllStringSubmatch(page, -1) {
		joined := strings.ReplaceAll(b[1], "\\\n", " ")
		for line := range strings.Lines(joined) {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				list = append(list, strings.TrimSpace(command))
			}
		}
	}
	return list
}

// TestReadmeLinks: a link to a file leads to one.
func TestReadmeLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]+)[^)]*\)`)
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s: %s leads nowhere", filepath.Base(page), m[1])
			}
		}
	}
}

// TestPinned: what the pages tell people to use is named by a full commit, or by a placeholder that says so.
func TestPinned(t *testing.T) {
	uses := regexp.MustCompile(`(?m)(?:uses|component): +["']?([^\s"'#]+)`)
	pinned := regexp.MustCompile(`@([0-9a-f]{40}|<[^>]+>|FULL_COMMIT_SHA)$`)
	for _, page := range append(pages(t), filepath.Join(root(t), ".github/workflows/ci.yml")) {
		if filepath.Base(page) == "rules.md" { // which shows what not to do
			continue
		}
		for _, m := range uses.FindAllStringSubmatch(read(t, page), -1) {
			if !pinned.MatchString(m[1]) && m[1] != "$/" {
				t.Errorf("%s: %s is not pinned to a full commit", filepath.Base(page), m[1])
			}
		}
	}
}

var update = flag.Bool("update", false, "write the README's sample output anew")

// checksum is what GitHub's tokens end with: the CRC-32 of what stands before, in base 62.
func checksum(text string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum := ""
	for n := crc32.ChecksumIEEE([]byte(text)); len(sum) < 6; n /= 62 {
		sum = string(digits[n%62]) + sum
	}
	return sum
}

// TestReadmeOutput: the output that the README shows is what the program prints for the sample below.
func TestReadmeOutput(t *testing.T) {
	need(t, "git", "install git")
	id, secret := awsKey()
	token := strings.NewReplacer("/", "x", "+", "y").Replace(secret[:30])
	token = "ghp_" + token + checksum(token)
	web := filepath.Join(t.TempDir(), "web")
	output(t, "", nil, "git", "init", "-q", "-b", "main", web)
	state := func(day, message string, files map[string]string) {
		for name, content := range files {
			write(t, filepath.Join(web, name), content)
		}
		at := "2026-03-" + day + "T09:30:00Z"
		output(t, web, nil, "git", "add", "-A")
		output(t, web, []string{"GIT_AUTHOR_DATE=" + at, "GIT_COMMITTER_DATE=" + at},
			"git", "-c", "user.name=Test", "-c", "user.email=test@example.com", "commit", "-q", "-m", message)
	}
	state("02", "deploy", map[string]string{"deploy/prod.env": "REGION=eu-central-1\nAWS_ACCESS_KEY_ID=" + id + "\n", "deploy/README": "how to deploy\n"})
	state("09", "deploy", map[string]string{"deploy/secret.txt": "aws_secret_access_key: " + secret + "\n"})
	if err := os.Remove(filepath.Join(web, "deploy/secret.txt")); err != nil {
		t.Fatal(err)
	}
	state("19", "clean up", map[string]string{"ci/login.sh": "echo " + base64.StdEncoding.EncodeToString([]byte(token)) + " | base64 -d | gh auth login --with-token\n"})

	env := []string{"HOME=" + t.TempDir(), "LEAKREACH_FINGERPRINT_KEY=the key of the sample", "LEAKREACH_VERIFY=offline"}
	run := try(t, web, env, program(t), "scan", ".")
	if run.code != 10 || strings.Contains(run.all(), secret) || strings.Contains(run.all(), token) {
		t.Fatalf("exit code %d, want 10, and no secret\n%s", run.code, run.all())
	}
	want := "$ leakreach scan .\n" + run.stdout
	page := read(t, filepath.Join(root(t), "README.md"))
	before, rest, ok := strings.Cut(page, "<!-- output -->\n```\n")
	got, after, ok2 := strings.Cut(rest, "```\n")
	if !ok || !ok2 {
		t.Fatal("the README has no block marked output")
	}
	if *update {
		write(t, filepath.Join(root(t), "README.md"), before+"<!-- output -->\n```\n"+want+"```\n"+after)
		return
	}
	if got != want {
		t.Errorf("the README shows\n%s\nand the program prints\n%s\n(go test ./test/delivery -run ReadmeOutput -update)", got, want)
	}
}
