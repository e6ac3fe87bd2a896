package settings

import (
	"cmp"
	"fmt"

	"github.com/leakreach/leakreach/audit"
)

var privilegedContainer = rule{
	Rule: audit.Rule{
		ID: "privileged-container", Title: "Container can take over its host", Category: audit.CategoryRunner, Severity: audit.High, CWE: 250,
		Help: help(`
A privileged container is root on the machine that it runs on: it mounts its disks, loads modules, and reads what other jobs have there. On
a shared runner one project so has them all.`, `
[runners.docker]
  privileged = true   # on an instance's runner`, `
[runners.docker]
  privileged = false
images are built rootless (BuildKit, Buildah), or on a machine that is thrown away after each job`, `
the runner serves a single project, is one of gitlab.com's own, which start a machine for each job, is known not to be privileged, or that is
not known: no API tells it, only job logs and the job itself do. Of a runner that many projects of a group use it is said once.`),
		Fix: []string{
			"Switch privileged off, and build images without it",
			"Give projects that need it a runner of their own, on machines for one job",
		},
	},
	of: audit.KindRunner,
	judge: func(p *place, e *audit.Entry) verdict {
		if e.Facts["privileged"] != "true" || !sharedRunner(e) || e.Facts["type"] == "instance_type" && p.host() == "gitlab.com" {
			return fine
		}
		executor := cmp.Or(e.Facts["executor"], "not known")
		return p.once("privileged", e, fmt.Sprintf("privileged (executor %s), and jobs of several projects run on it (%s)", executor, e.Facts["type"]))
	},
}

// privilegedContainerJob is the same rule for the job that the run is part of, which sees of its container itself whether it is one.
var privilegedContainerJob = rule{
	Rule: privilegedContainer.Rule,
	of:   audit.KindRunner,
	judge: func(p *place, e *audit.Entry) verdict {
		if e.Facts["privileged"] != "true" || !p.stays(e) {
			return fine
		}
		return verdict{evidence: fmt.Sprintf("the job's container (%s) may do what its machine's root may", e.Facts["container"])}
	},
}
