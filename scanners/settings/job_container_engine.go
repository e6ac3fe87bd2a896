package settings

import (
	"strings"

	"github.com/leakreach/leakreach/audit"
)

var jobContainerEngine = rule{
	Rule: audit.Rule{
		ID: "job-container-engine", Title: "Job commands its machine's container engine", Category: audit.CategoryRunner, Severity: audit.High, CWE: 250,
		Help: help(`
Who may speak to a container engine is root on its machine: a container that mounts the whole disk takes one command. Every action, image and
tool that the job runs so has what other jobs left there, and what they will have.`, `
[runners.docker]
  volumes = ["/var/run/docker.sock:/var/run/docker.sock", "/cache"]`, `
[runners.docker]
  volumes = ["/cache"]
images are built rootless (BuildKit, Buildah), or on a machine that is thrown away after each job`, `
the machine is the forge's own, or is known to end with the job. An engine on the network counts where it wants no TLS.`),
		Fix: []string{
			"Take the engine's socket away from jobs, and build images without it",
			"Where it is needed, use machines for one job",
		},
	},
	of: audit.KindRunner,
	judge: func(p *place, e *audit.Entry) verdict {
		if !p.stays(e) {
			return fine
		}
		engines := listed(e, "sockets")
		if host := e.Facts["docker_host"]; host != "" {
			engines = append(engines, host+" (without TLS)")
		}
		if len(engines) == 0 {
			return fine
		}
		return verdict{evidence: "an engine takes the job's connection at " + strings.Join(engines, ", ")}
	},
}
