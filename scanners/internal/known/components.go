package known

import "github.com/leakreach/leakreach/audit"

// CompromisedComponent is judged by what a definition names, and by what that stands for and pulls in, where it was asked.
var CompromisedComponent = audit.Rule{
	ID: "compromised-component", Title: "Component of a known compromise in use", Category: audit.CategoryExposure, Severity: audit.Critical, CWE: 506,
	Help: Help(`
An advisory says that this commit or digest is malicious, or that this name stood for such content for some hours. The payloads of these cases read the memory of the runner:
each job that ran one of them in that time has to be taken for one that has given away all of its secrets.`, `
- uses: tj-actions/changed-files@0e58ed8671d6b60d0890c21b07f8835ace038e67`, `
- uses: tj-actions/changed-files@24d32ffd492484c1d75e0c0b894501ddb9d30d62 # v47`, `
the commit or digest is another one, known-clean ones among them, or the name was never moved. A commit or digest of malicious content is critical at any time. A
name that was moved is high where the definition had it during that time, medium where that is not known, and info where the line came later: the tags
were moved back. With --online, names are judged by the commit that they stand for, too, and so is what a component pulls in: there, a name that was moved is info where it
stands for another commit again.`),
	Fix: []string{
		"Look for runs in the time that the advisory names, and treat what those jobs held as stolen: renew it",
		"Name a commit that is known to be clean",
	},
}

// UnpinnableAction is judged by the action's own file, and by what uses one, where that was asked for its file.
var UnpinnableAction = audit.Rule{
	ID: "unpinnable-action", Title: "Naming the action's commit does not hold its parts", Category: audit.CategoryPipeline, Severity: audit.Medium, CWE: 829,
	Help: Help(`
Whoever names this action by its commit still gets what its parts are on that day: actions and images that it names by a tag, a branch or not at all. So
reviewdog's setup action reached all that called the actions around it.`, `
# action.yml
runs:
  using: composite
  steps:
    - uses: acme/setup@v1`, `
# action.yml
runs:
  using: composite
  steps:
    - uses: acme/setup@0123456789abcdef0123456789abcdef01234567 # v1.4.2`, `
each part is named by its commit or digest, or lies in the same repository. With parts of GitHub's own only it is low. With --online it is said of other people's actions
and reusable workflows, too, where a job names them by their commit, and of the parts of their parts.`),
	Fix: []string{"Name each action by its commit and each image by its digest"},
}
