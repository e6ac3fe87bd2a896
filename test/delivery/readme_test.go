package delivery_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadmeCommands runs each command that the README and the pages under docs show (blocks marked console, lines that begin
// with "$ "): leakreach itself in a sandbox that holds a key, everything else in a copy of the sources.
func TestReadmeCommands(t *testing.T) {
	need(t, "bash", "install bash")
	need(t, "make", "install make")
	src := sources(t)
	output(t, src, nil, "git", "init", "-q", "-b", "main")
	commit(t, src)
	sandbox, _, secret := leaky(t, map[string]string{"deploy.log": "done\n"})
	output(t, sandbox, nil, "git", "clone", "-q", ".", "path/to/repository")
	env := []string{
		"PATH=" + filepath.Dir(program(t)) + string(os.PathListSeparator) + os.Getenv("PATH"),
		"HOME=" + t.TempDir(), "GOBIN=" + t.TempDir(), "LEAKREACH_VERIFY=offline",
	}
	ran := 0
	for _, page := range pages(t) {
		for _, command := range commands(read(t, page)) {
			t.Run(filepath.Base(page)+"/"+command, func(t *testing.T) {
				ran++
				dir := src
				if strings.Contains(command, "leakreach scan") && !strings.HasPrefix(command, "go ") {
					dir = sandbox
				}
				run := try(t, dir, env, "bash", "-c", "set -o pipefail; "+within(command))
				switch {
				case run.code == 0:
				case run.code == 10 && dir == sandbox: // it found the key
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

// within turns a command that reaches out of the test, or back into it, into one that shows as much as can be shown here: a scan of
// a forge or with live keys into its plan, a make into its recipe, an installation from the registry into one from here.
func within(command string) string {
	for _, out := range []string{" github:", " gitlab:", "--verify live"} {
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
	uses := regexp.MustCompile(`(?m)(?:uses|component): *["']?([^\s"'#]+)`)
	pinned := regexp.MustCompile(`@([0-9a-f]{40}|<[^>]+>|FULL_COMMIT_SHA)$`)
	for _, page := range append(pages(t), filepath.Join(root(t), ".github/workflows/ci.yml")) {
		for _, m := range uses.FindAllStringSubmatch(read(t, page), -1) {
			if !pinned.MatchString(m[1]) && m[1] != "$/" {
				t.Errorf("%s: %s is not pinned to a full commit", filepath.Base(page), m[1])
			}
		}
	}
}
