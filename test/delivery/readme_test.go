package delivery_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Words in the README's commands that stand for what a reader has and a test has not.
var elsewhere = []string{"go install ", "make test", "docker ", "github:", "gitlab:", "pre-commit ", "git clone "}

// TestReadmeCommands runs each command that the README and the pages under docs show (blocks marked console: lines that begin with
// "$ "), in a copy of the sources with a file that holds a key. A command that needs a server, a registry or this very test is
// run with --help or --dry-run instead, so that at least its flags are real.
func TestReadmeCommands(t *testing.T) {
	need(t, "bash", "install bash")
	pages, err := filepath.Glob(filepath.Join(root(t), "docs/*.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := sources(t)
	output(t, dir, nil, "git", "init", "-q", "-b", "main")
	commit(t, dir)
	id, secret := awsKey()
	write(t, filepath.Join(dir, "deploy/env"), "AWS_ACCESS_KEY_ID="+id+"\nAWS_SECRET_ACCESS_KEY="+secret+"\n")
	path := filepath.Dir(program(t)) + string(os.PathListSeparator) + os.Getenv("PATH")
	env := []string{"PATH=" + path, "HOME=" + t.TempDir(), "LEAKREACH_VERIFY=offline"}

	ran := 0
	for _, page := range append(pages, filepath.Join(root(t), "README.md"), filepath.Join(root(t), "CONTRIBUTING.md")) {
		for _, command := range commands(read(t, page)) {
			t.Run(filepath.Base(page)+"/"+command, func(t *testing.T) {
				ran++
				script := command
				if i := slices.IndexFunc(elsewhere, func(w string) bool { return strings.Contains(command, w) }); i >= 0 {
					if script = substitute(command); script == "" {
						return
					}
				}
				run := try(t, dir, env, "bash", "-c", "set -o pipefail; "+script)
				if run.code != 0 && run.code != 10 { // 10: it found the key
					t.Errorf("exit code %d\n%s", run.code, run.all())
				}
				if strings.Contains(run.all(), secret) {
					t.Error("shows the secret")
				}
			})
		}
	}
	if ran < 5 {
		t.Errorf("found %d commands only; do the pages still mark them with console and $?", ran)
	}
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

// substitute turns a command that needs the world into one that shows that it is a command at all: a scan of a forge into its
// plan. Others (this test run itself, an installation from a registry) have tests of their own.
func substitute(command string) string {
	if strings.Contains(command, "leakreach scan") {
		return strings.Replace(command, "scan", "scan --dry-run", 1)
	}
	return ""
}

// TestReadmeLinks: a link to a file leads to one.
func TestReadmeLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]+)[^)]*\)`)
	pages, err := filepath.Glob(filepath.Join(root(t), "docs/*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"} {
		pages = append(pages, filepath.Join(root(t), name))
	}
	for _, page := range pages {
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
	uses := regexp.MustCompile(`(?m)(?:uses|component): *["']?([^\s"'#]+)`)
	pinned := regexp.MustCompile(`@([0-9a-f]{40}|<[^>]+>|FULL_COMMIT_SHA)$`)
	pages, err := filepath.Glob(filepath.Join(root(t), "docs/*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, filepath.Join(root(t), "README.md"), filepath.Join(root(t), ".github/workflows/ci.yml")) {
		for _, m := range uses.FindAllStringSubmatch(read(t, page), -1) {
			if !pinned.MatchString(m[1]) && m[1] != "$/" {
				t.Errorf("%s: %s is not pinned to a full commit", filepath.Base(page), m[1])
			}
		}
	}
}
