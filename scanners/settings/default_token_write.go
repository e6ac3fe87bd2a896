package settings

import "github.com/leakreach/leakreach/audit"

var defaultTokenWrite = rule{
	Rule: audit.Rule{
		ID: "github-default-token-write", Title: "Job token writes by default", Category: audit.CategorySetting, Severity: audit.High, CWE: 250,
		Help: help(`
Every job gets a token. With write as its default, each action of each job can push code, move tags and publish releases, wherever the
workflow does not say otherwise.`, `
Workflow permissions: Read and write permissions`, `
Workflow permissions: Read repository contents and packages permissions
and in the jobs that need more:
permissions:
  contents: write`, `
the default is read. Of a repository nothing is said where its organisation has the same default, which is to be changed first.`),
		Fix: []string{
			"Set the default to read, for the organisation first",
			"Give single jobs the permissions that they need",
		},
	},
	of: audit.KindSettings,
	judge: func(p *place, e *audit.Entry) verdict {
		if e.Facts["token_permissions"] != "write" || p.inherits("token_permissions", "write") {
			return fine
		}
		return verdict{evidence: "jobs whose workflow states no permissions get a token that writes (token_permissions=write)"}
	},
}
