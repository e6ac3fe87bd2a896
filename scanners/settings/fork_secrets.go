package settings

import "github.com/leakreach/leakreach/audit"

var forkSecrets = rule{
	Rule: audit.Rule{
		ID: "github-fork-secrets", Title: "Forks of private repositories get secrets", Category: audit.CategorySetting, Severity: audit.Critical, CWE: 522,
		Help: help(`
Whoever can read a private repository can fork it and open a pull request. With this setting the workflows that it starts have the secrets,
or a token that writes, though their author has neither.`, `
Fork pull request workflows: run workflows, send secrets and variables`, `
Fork pull request workflows: run workflows (neither secrets nor write tokens), require approval`, `
workflows of forks do not run at all. It is medium where they need approval, and high where they get a token that writes, but no secrets.
Public repositories never hand secrets to forks in this way.`),
		Fix: []string{
			"Do not send secrets and variables to workflows of forks",
			"Do not send them write tokens",
			"Require approval",
		},
	},
	of: audit.KindSettings,
	judge: func(p *place, e *audit.Entry) verdict {
		if e.Facts["fork_pr_workflows"] == "false" || !p.isHolder() && p.public() {
			return fine
		}
		given := func(fact string) bool { return e.Facts[fact] == "true" && !p.inherits(fact, "true") }
		v := fine
		switch {
		case given("fork_pr_secrets"):
			v.evidence = "workflows of forks get secrets and variables (fork_pr_secrets=true)"
		case given("fork_pr_write_tokens"):
			v.evidence, v.severity = "workflows of forks get a token that writes (fork_pr_write_tokens=true)", audit.High
		default:
			return fine
		}
		if e.Facts["fork_pr_require_approval"] == "true" {
			v.evidence, v.severity = v.evidence+", after an approval", audit.Medium
		}
		return v
	},
}
