package definitions

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/pipeline"
)

var checkoutCredential = rule{
	Rule: audit.Rule{
		ID: "checkout-credential", Title: "Checkout leaves its token on disk", Category: audit.CategoryPipeline, Severity: audit.Medium, CWE: 522, Confidence: audit.MediumConfidence,
		Help: help(`
actions/checkout writes the job's token to disk for git, where every later step, script and test finds it. An artifact of the
whole directory carries it out, and it works until the job ends. From version 6 on it lies outside of the checkout.`, `
- uses: actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2
- run: make test`, `
- uses: actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2
  with:
    persist-credentials: false
- run: make test`, `
persist-credentials is false, or the job pushes with it and uploads nothing that covers it. It is high where a later step uploads the directory, and
low where the token only reads or the checkout is of version 6 or later.`),
		Fix: []string{
			"Set persist-credentials: false",
			"Where the job has to push, do it in a step that is given the token by itself",
		},
	},
	judge: func(f *file, say func(problem)) {
		for _, j := range f.jobs {
			for i, later := range j.later() {
				if s := j.steps[i]; s.is("actions/checkout") {
					j.checkout(s, later, say)
				}
			}
		}
	},
}

// What comes after a step.
type later struct {
	upload *step // the next one of a whole directory
	pushes bool  // a step needs the credential
}

func (j *job) later() []later {
	list := make([]later, len(j.steps))
	for i := len(list) - 2; i >= 0; i-- {
		next := j.steps[i+1]
		list[i] = list[i+1]
		if next.is("actions/upload-artifact") && next.broadPath() != "" {
			list[i].upload = next
		}
		list[i].pushes = list[i].pushes || next.pushes()
	}
	return list
}

func (j *job) checkout(s *step, after later, say func(problem)) {
	persists := s.with("persist-credentials")
	if strings.EqualFold(persists.Text(), "false") {
		return
	}
	p := problem{at: s.node.At(), name: s.label(), evidence: s.label() + " leaves the job's token on disk"}
	outside := majorVersion(s.uses.Ref, s.node.Get("uses").Comment()) >= 6
	if with := s.node.Get("with"); computed(with.Text()) { // which may say so
		p.at = with.At()
	}
	switch {
	case after.upload != nil && outside:
		p.evidence += fmt.Sprintf(" outside of the checkout, and %s uploads %q", after.upload.label(), after.upload.broadPath())
	case after.upload != nil:
		p.severity, p.evidence = audit.High, p.evidence+fmt.Sprintf(", and %s uploads %q", after.upload.label(), after.upload.broadPath())
	case after.pushes:
		return
	case computed(persists.Text()):
		p.at, p.severity, p.evidence = persists.At(), audit.Low, fmt.Sprintf("%s leaves the job's token on disk where %s says so", s.label(), persists.Text())
	case outside, !j.stake.unknown && len(j.stake.write) == 0:
		p.severity = audit.Low
	}
	say(p)
}

// pushCommands are those that use the credential that a checkout leaves.
var pushCommands = lazyregexp.New(`\bgit\s+(?:-\S+\s+(?:\S+\s+)?)*(?:push|fetch|pull|submodule|lfs|ls-remote)\b|\b(?:semantic-release|mike\s+deploy|mkdocs\s+gh-deploy|lerna\s+(?:publish|version)|gh-pages|changeset)\b`)

// pushes tells whether a step needs the credential that a checkout leaves.
func (s *step) pushes() bool {
	return hasAny(s.run.Text(), "git", "semantic-release", "mike", "mkdocs", "lerna", "gh-pages", "changeset") && pushCommands().MatchString(s.run.Text()) || s.is("ad-m/github-push-action", "stefanzweifel/git-auto-commit-action", "EndBug/add-and-commit",
		"JamesIves/github-pages-deploy-action", "peter-evans/create-pull-request", "helm/chart-releaser-action", "changesets/action", "cycjimmy/semantic-release-action")
}

var versionName = lazyregexp.New(`^(?:tag=)?v?(\d{1,4})(?:\.|$|\s)`)

// majorVersion is the first number of the version that a ref names, or that the comment behind a commit does; 0 if neither does.
func majorVersion(ref, comment string) int {
	for _, s := range []string{ref, strings.TrimSpace(strings.TrimLeft(comment, "# "))} {
		if m := versionName().FindStringSubmatch(s); m != nil && len(s) < 40 {
			n, err := strconv.Atoi(m[1])
			if err == nil {
				return n
			}
		}
	}
	return 0
}

// broadPath is what an upload takes in that is more than somebody meant: the checkout, or the home directory.
func (s *step) broadPath() string {
	for path := range strings.SplitSeq(s.with("path").Text(), "\n") {
		if path = strings.TrimSpace(path); isBroad(path) {
			return path
		}
	}
	return ""
}

// isBroad tells whether a path holds the checkout with its .git, or the home directory.
func isBroad(path string) bool {
	switch strings.TrimSuffix(path, "/") {
	case "", ".", "..", "*", "**", "**/*", "./*", "./**", "~", "$HOME", "$GITHUB_WORKSPACE", "$CI_PROJECT_DIR", "${CI_PROJECT_DIR}", "/home/runner":
		return path != ""
	}
	return wholeWorkspace().MatchString(path)
}

var wholeWorkspace = lazyregexp.New(`^\$\{\{\s*github\.workspace\s*\}\}/?(?:\*{1,2}/?\*?)?$`)

var broadArtifact = rule{
	Rule: audit.Rule{
		ID: "broad-artifact", Title: "Upload takes more than it should", Category: audit.CategoryPipeline, Severity: audit.Medium, CWE: 552,
		Help: help(`
Whoever may read the repository may download its artifacts, on public ones everybody who is logged in. An upload of the whole directory carries what
earlier steps left in it: .git with the checkout's token, .env files, configuration with passwords.`, `
- uses: actions/upload-artifact@ea165f8d65b6e75b540449e92b4886f43607fa02 # v4.6.2
  with:
    path: .`, `
- uses: actions/upload-artifact@ea165f8d65b6e75b540449e92b4886f43607fa02 # v4.6.2
  with:
    path: dist/*.tar.gz`, `
the paths name what was built. Without secrets and a token that writes in the job it is low, and so it is from version 4.4 on, which leaves hidden files out, unless
the job surely holds some.`),
		Fix: []string{"Name the files or the directory that was built", "Leave include-hidden-files off"},
	},
	judge: func(f *file, say func(problem)) {
		for _, j := range f.jobs {
			j.uploads(func(at pipeline.Position, name, what string, hidden bool) {
				p := problem{at: at, name: name, evidence: fmt.Sprintf("%s uploads %s; the job holds %s", name, what, j.stake)}
				if !j.stake.holds() || !hidden && !j.stake.much() {
					p.severity = audit.Low
				}
				say(p)
			})
		}
	},
}

// uploads tells of each upload of a job that takes too much, and whether hidden files are among it.
func (j *job) uploads(tell func(at pipeline.Position, name, what string, hidden bool)) {
	if j.kind == isGitLab {
		artifacts := j.node.Get("artifacts")
		for path := range artifacts.Get("paths").Items() {
			if isBroad(path.Text()) || holdsVariables(path.Text()) {
				tell(path.At(), j.label(), strconv.Quote(path.Text()), true)
			}
		}
		if n := artifacts.Get("untracked"); n.Text() == "true" {
			tell(n.At(), j.label(), "all untracked files", true)
		}
		if n := artifacts.Get("reports", "dotenv"); n.Is() {
			if secret := j.writesSecret(n.Texts()); secret != "" {
				tell(n.At(), j.label(), "a report of variables with "+secret+" in it", true)
			}
		}
		return
	}
	for _, s := range j.steps {
		if !s.is("actions/upload-artifact") {
			continue
		}
		hidden := s.with("include-hidden-files").Text() == "true" || hidesNothing(s.uses.Ref, s.node.Get("uses").Comment())
		if path := s.broadPath(); path != "" {
			tell(s.node.At(), s.label(), strconv.Quote(path), hidden || path == "~" || path == "$HOME" || path == "..")
			continue
		}
		for path := range strings.SplitSeq(s.with("path").Text(), "\n") {
			if holdsVariables(strings.TrimSpace(path)) && hidden {
				tell(s.node.At(), s.label(), strconv.Quote(strings.TrimSpace(path)), true)
			}
		}
	}
}

// holdsVariables tells whether a file is one that people keep variables with passwords in.
func holdsVariables(file string) bool {
	base := path.Base(file)
	return (base == ".env" || strings.HasPrefix(base, ".env.")) && !strings.HasSuffix(base, ".example") && !strings.HasSuffix(base, ".sample")
}

// writesSecret is a secret variable that a script of a GitLab job writes to one of some files, or "".
func (j *job) writesSecret(files []string) (found string) {
	j.eachScript(func(_ string, script pipeline.Node) {
		for l := range commandLines(script.Text()) {
			_, target, ok := strings.Cut(l.text, ">")
			if !ok || !slices.ContainsFunc(files, func(f string) bool { return strings.Contains(target, f) }) {
				continue
			}
			for _, name := range openVariables(l.text) {
				if found == "" && j.isSecret(name) {
					found = name
				}
			}
		}
	})
	return found
}

// hidesNothing tells whether a version of actions/upload-artifact, which stands in the comment behind a commit, takes hidden files too: those before
// 4.4 do.
func hidesNothing(ref, comment string) bool {
	for _, version := range []string{ref, strings.Trim(comment, "# ")} {
		if slices.Contains([]string{"v1", "v2", "v3"}, version) || oldUpload().MatchString(version) {
			return true
		}
	}
	return false
}

var oldUpload = lazyregexp.New(`^v(?:[123]\.|4\.[0-3]\.)`)
