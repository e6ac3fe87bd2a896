package definitions

import (
	"fmt"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
)

var unpinnedAction = rule{
	Rule: audit.Rule{
		ID: "unpinned-action", Title: "Action or reusable workflow by a name that can move", Category: audit.CategoryPipeline, Severity: audit.Medium, CWE: 829,
		Help: help(`
A tag or branch is whatever its owner, or who took over their account, says it is at that minute. In March 2025 all tags of tj-actions/changed-files were
moved to a commit that printed the secrets of 23,000 repositories' jobs; those that named a commit ran what they had always run.`, `
- uses: acme/build@v2`, `
- uses: acme/build@0123456789abcdef0123456789abcdef01234567 # v2.1.0`, `
it is named by its full commit, lies in the same repository, or is held by the lock file: .github/workflows/actions.lock lists the workflow with this very name and ref, and
has a full commit for it. No lock file holds calls of reusable workflows, and servers of one's own, Gitea and Forgejo do not go by it. Those of GitHub and of the repository's
own owner are low, but for actions on Gitea and Forgejo: those come from another server, such as github.com, unless the administrator has chosen otherwise, and there the name may be
somebody else's.`),
		Fix: []string{
			"Name the commit, with the version in a comment behind it",
			"Or have gh actions-lock write .github/workflows/actions.lock, which github.com goes by",
			"Let Dependabot or Renovate move both, some days after a release",
		},
	},
	stake: true,
	judge: func(f *file, say func(problem)) {
		for _, j := range f.jobs {
			for _, u := range j.used() {
				if !u.mutable() || u.Kind == pipeline.Image {
					continue
				}
				p := problem{at: u.At, name: u.Text, evidence: fmt.Sprintf("%s is named by %s", u.Text, refKind(&u.Component))}
				if u.step != nil && u.step.loose != "" {
					p.evidence += "; " + u.step.loose
				}
				if f.isTrusted(&u.Component) {
					p.severity = audit.Low
				}
				say(p)
			}
		}
	},
}

// A use is a component at a place of a job.
type use struct {
	pipeline.Component
	name string // of the step or job
	step *step  // nil if it is the job's
}

// mutable tells whether what the component is can change.
func (u *use) mutable() bool { return u.Pin == pipeline.Named || u.Pin == pipeline.Unnamed }

// used are the actions and workflows that a job takes from elsewhere, with images that stand in for an action.
func (j *job) used() (list []use) {
	if j.model != nil && j.model.Call != nil {
		list = append(list, use{Component: j.model.Call.Workflow, name: j.label()})
	}
	for _, s := range j.steps {
		if s.uses != nil {
			list = append(list, use{Component: *s.uses, name: s.label(), step: s})
		}
	}
	return list
}

func refKind(c *pipeline.Component) string {
	if c.Pin == pipeline.Unnamed {
		return "no ref at all"
	}
	return "a tag or branch, " + c.Ref
}

// isTrusted tells whether a component is of GitHub's own, or of whoever the repository belongs to: who takes those over needs no action. Where Gitea and Forgejo take
// actions from, their administrator has chosen (DEFAULT_ACTIONS_URL, another server unless told otherwise: Gitea's is github.com): an owner of the same name may be somebody else there. Reusable
// workflows are their own.
func (f *file) isTrusted(c *pipeline.Component) bool {
	owner, _, _ := strings.Cut(strings.ToLower(c.Name), "/")
	return owner == "actions" || owner == "github" || owner != "" && owner == f.owner() && (f.forge() != "gitea" || c.Kind == pipeline.Workflow)
}

// owner is whose the repository is, in lower case; "" if that is not known.
func (f *file) owner() string {
	if f.forge() == "" {
		return ""
	}
	_, name, _ := strings.Cut(f.item.At.Target, ":")
	owner, _, _ := strings.Cut(name, "/")
	return strings.ToLower(owner)
}

// forge is where the repository is, or "" for files of which nothing more is known.
func (f *file) forge() string {
	switch forge, _, ok := strings.Cut(f.item.At.Target, ":"); forge {
	case "github", "gitlab", "gitea":
		if ok {
			return forge
		}
	}
	return ""
}
