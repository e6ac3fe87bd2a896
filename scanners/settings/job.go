package settings

import "github.com/leakreach/leakreach/audit"

// jobForge is what the name of the target "job:" begins with: the job that the run itself is part of.
const jobForge = "job"

// stays tells whether a runner's machine is there after the job, as far as is known: it is none of the forge's own, which hand root and an
// engine to each job on purpose and are thrown away, and none that is known to end with the job. That a container does says nothing of the machine below.
func (p *place) stays(runner *audit.Entry) bool {
	container := runner.Facts["container"]
	return p.forge == jobForge && runner.Facts["hosted"] == "false" && (runner.Facts["ephemeral"] != "true" || container != "" && container != "false")
}
