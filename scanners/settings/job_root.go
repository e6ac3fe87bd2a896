package settings

import "github.com/leakreach/leakreach/audit"

var jobRoot = rule{
	Rule: audit.Rule{
		ID: "job-root", Title: "Job becomes root of a machine that stays", Category: audit.CategoryRunner, Severity: audit.Medium, CWE: 250,
		Help: help(`
Where sudo asks for no password, code in a job reads the memory of the runner, in which the secrets of all steps lie, and changes the machine
for the jobs after it.`, `
runner ALL=(ALL) NOPASSWD: ALL`, `
runner ALL=(root) NOPASSWD: /usr/bin/systemctl restart app
or no line at all, and a machine or container that is new for each job`, `
the machine is the forge's own, or is known to end with the job, or the job runs in a container.`),
		Fix: []string{
			"Take the runner's user out of sudoers, or let it run single commands",
			"Use machines for one job",
		},
	},
	of: audit.KindRunner,
	judge: func(p *place, e *audit.Entry) verdict {
		if !p.stays(e) || e.Facts["container"] != "false" || e.Facts["sudo"] != "true" {
			return fine
		}
		return verdict{evidence: "sudo asks for no password, and the machine is not known to end with the job"}
	},
}
