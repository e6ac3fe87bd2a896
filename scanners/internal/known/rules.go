package known

import (
	"strings"

	"github.com/leakreach/leakreach/audit"
)

// PrivilegedContainer is broken by what a runner allows, and by what a job asks for.
var PrivilegedContainer = audit.Rule{
	ID: "privileged-container", Title: "Container can take over its host", Category: audit.CategoryRunner, Severity: audit.High, CWE: 250,
	Help: Help(`
A privileged container is root on the machine that it runs on: it mounts its disks, loads modules, and reads what other jobs have there. On
a shared runner one project so has them all.`, `
[runners.docker]
  privileged = true   # on an instance's runner

# a workflow
runs-on: [self-hosted, linux]
container:
  image: ghcr.io/acme/build@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
  options: --privileged`, `
[runners.docker]
  privileged = false
images are built rootless (BuildKit, Buildah), or on a machine that is thrown away after each job`, `
the runner serves a single project, is one of gitlab.com's own, which start a machine for each job, is known not to be privileged, or that is
not known: no API tells it, only job logs and the job itself do. Of a runner that many projects of a group use it is said once. A job that asks for such a container,
for the socket of its machine's container engine or for Docker in Docker is high on a machine of the owner's, medium where the definition does not tell whose the machine
is, and low on one of the forge's, which is thrown away after the job.`),
	Fix: []string{
		"Switch privileged off, and build images without it",
		"Give projects that need it a runner of their own, on machines for one job",
	},
}

// SelfHostedOnPullRequest is judged by the inventory where there is one, else by the workflow alone.
var SelfHostedOnPullRequest = audit.Rule{
	ID: "self-hosted-on-pull-request", Title: "Outsiders reach a self-hosted runner", Category: audit.CategoryRunner, Severity: audit.Critical, CWE: 668,
	Help: Help(`
Anybody can fork a public repository and open a pull request whose code the workflow then runs, on a machine of yours that stays as it is
afterwards. It is how runners are taken over.`, `
on: pull_request
jobs:
  test:
    runs-on: [self-hosted, linux]`, `
on: pull_request
jobs:
  test:
    runs-on: ubuntu-latest   # or ephemeral runners, in a network that leads nowhere`, `
all runners that take the job are known to be ephemeral, the labels are those of GitHub's own machines, or the repository is private and
forks start no workflows. In a private repository whose forks do, it is medium. In files alone, which do not tell who can see the repository, it is critical if the job
holds secrets or may write to the repository and high otherwise, and one step lower for a group of runners, which may be GitHub's own larger machines.`),
	Fix: []string{
		"Run what strangers can start on GitHub's own machines, or on ephemeral runners",
		"Require approval for workflows of all outside contributors",
		"Keep public repositories out of the runner group",
	},
}

// StaticCloudKey is judged by secrets where they can be seen, else by what a definition does with them.
var StaticCloudKey = audit.Rule{
	ID: "static-cloud-key", Title: "Long-lived cloud key where OIDC would do", Category: audit.CategorySetting, Severity: audit.High, CWE: 798,
	Help: Help(`
A cloud key in a secret is good for everybody who ever saw it, from anywhere, until somebody remembers it. With OIDC the job shows who it
is, and the cloud hands it a credential for an hour: there is nothing to steal from the settings, and the cloud decides by repository,
branch and environment.`, `
- uses: aws-actions/configure-aws-credentials@e3dd6a429d7300a6a4c196c26e071d42e0343502
  with:
    aws-access-key-id: ${{ secrets.AWS_ACCESS_KEY_ID }}
    aws-secret-access-key: ${{ secrets.AWS_SECRET_ACCESS_KEY }}`, `
permissions:
  id-token: write
steps:
  - uses: aws-actions/configure-aws-credentials@e3dd6a429d7300a6a4c196c26e071d42e0343502
    with:
      role-to-assume: arn:aws:iam::111122223333:role/deploy
      aws-region: eu-west-1

# GitLab
deploy:
  id_tokens:
    AWS_TOKEN: {aud: https://gitlab.example.com}`, `
the key is one of another store that speaks S3 (an address of its own is set beside it), or the forge has no OIDC (Gitea), or GitLab's definition asks for
id_tokens. By the secret's name alone it is medium, unless the same owner's pipelines already use OIDC.`),
	Fix: []string{
		"Create a role in the cloud that trusts the pipeline's identity, limited to repository, branch or environment",
		"Change the pipeline to it, and see that it runs",
		"Deactivate the key, look at its last use, and delete it",
	},
}

// Help is a rule's text, in the order in which people ask.
func Help(why, before, after, unless string) string {
	in := strings.TrimSpace
	return in(why) + "\n\nBefore:\n\n```\n" + in(before) + "\n```\n\nAfter:\n\n```\n" + in(after) + "\n```\n\n**Not a finding when** " + in(unless)
}
