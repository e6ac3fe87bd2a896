package definitions

import (
	"fmt"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
)

var gitlabUnpinnedInclude = rule{
	Rule: audit.Rule{
		ID: "gitlab-unpinned-include", Title: "Include or component by a name that can move", Category: audit.CategoryPipeline, Severity: audit.High, CWE: 829,
		Help: help(`
What is included is a part of the pipeline, with all variables of the project. Whoever may push to that project, or move its tag, writes your
jobs. A component of ~latest is whatever was published last.`, `
include:
  - project: platform/ci
    file: /deploy.yml
  - component: gitlab.example.com/platform/scan/scan@~latest`, `
include:
  - project: platform/ci
    ref: 0123456789abcdef0123456789abcdef01234567
    file: /deploy.yml
  - component: gitlab.example.com/platform/scan/scan@0123456789abcdef0123456789abcdef01234567`, `
it is named by its full commit, it lies in the same project, or it is a template of GitLab's own. By the tag of a version it is medium.`),
		Fix: []string{"Name the commit", "Protect the branches and tags of the included project, and let few push to it"},
	},
	stake: true,
	judge: func(f *file, say func(problem)) {
		for i := range f.Includes {
			c := &f.Includes[i]
			if c.Kind == pipeline.Template || strings.Contains(c.Name, "://") || c.Pin != pipeline.Named && c.Pin != pipeline.Unnamed {
				continue
			}
			p := problem{at: c.At, name: c.Name, evidence: fmt.Sprintf("%s is included by %s", c.Name, refKind(c))}
			if isTag(c.Ref) {
				p.severity = audit.Medium
			}
			say(p)
		}
	},
}

var gitlabRemoteInclude = rule{
	Rule: audit.Rule{
		ID: "gitlab-remote-include", Title: "Definition is fetched from outside", Category: audit.CategoryPipeline, Severity: audit.High, CWE: 829,
		Help: help(`
GitLab fetches the file each time a pipeline starts. Whoever answers at that address, or stands on the way where it is http, writes jobs that have
all variables of the project.`, `
include:
  - remote: https://example.com/deploy.yml`, `
include:
  - remote: https://example.com/deploy.yml
    integrity: sha256-0hFHzXpiNk4WLxKkHkkDlu1ztgWVsnJnTY5WR1wPBNo=`, `
the address is https, and a hash is given.`),
		Fix: []string{"Keep the file in a project of your own", "Or give its hash: integrity"},
	},
	stake: true,
	judge: func(f *file, say func(problem)) {
		for _, c := range f.Includes {
			plain := strings.HasPrefix(c.Name, "http://")
			if strings.Contains(c.Name, "://") && (c.Pin == pipeline.Unnamed || plain) {
				why := "without a hash"
				if plain {
					why = "by http"
				}
				say(problem{at: c.At, name: c.Name, evidence: c.Name + " is included " + why})
			}
		}
	},
}

var gitlabDynamicInclude = rule{
	Rule: audit.Rule{
		ID: "gitlab-dynamic-include", Title: "Ref or name chooses the definition", Category: audit.CategoryPipeline, Severity: audit.High, CWE: 829,
		Help: help(`
A variable chooses which file the pipeline takes in. Where that is the name of a branch or one that can be set when a pipeline is started, whoever pushes
the branch or starts the pipeline chooses the jobs.`, `
include:
  - project: platform/ci
    ref: $CI_COMMIT_REF_NAME
    file: /deploy.yml`, `
include:
  - project: platform/ci
    ref: 0123456789abcdef0123456789abcdef01234567
    file: /deploy.yml`, `
the name is fixed, or the variable only stands for the server: $CI_SERVER_FQDN, $CI_SERVER_HOST. Where another variable than one of a ref chooses it is medium.`),
		Fix: []string{"Name each file, and choose among them by rules"},
	},
	stake: true,
	judge: func(f *file, say func(problem)) {
		for _, c := range f.Includes {
			rest := strings.NewReplacer("$CI_SERVER_FQDN", "", "$CI_SERVER_HOST", "", "${CI_SERVER_FQDN}", "", "${CI_SERVER_HOST}", "", "$CI_PROJECT_ROOT_NAMESPACE", "").Replace(c.Name + " " + c.Ref)
			names := shellVariables(rest)
			if len(names) == 0 {
				continue
			}
			p := problem{at: c.At, name: c.Name, severity: audit.Medium, evidence: fmt.Sprintf("%s chooses what %s is", names[0], strings.TrimSpace(c.Name+" "+c.Ref))}
			for _, name := range names {
				if untrustedVariables[name] {
					p.severity = audit.High
				}
			}
			say(p)
		}
	},
}
