package definitions

import (
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
)

var debugLogging = rule{
	Rule: audit.Rule{
		ID: "debug-logging", Title: "Debug output may print secrets", Category: audit.CategoryPipeline, Severity: audit.Medium, CWE: 532,
		Help: help(`
Debug output shows each command with its values, and on GitLab each variable. Masking catches a secret that is printed as it is, not one that was
decoded, cut or put into JSON. Everybody who may read the log sees it, on public projects the world.`, `
variables:
  CI_DEBUG_TRACE: "true"`, `
# nothing: start the one run that needs it again with debug logging on`, `
the variable is false. Runs that are started again for debugging by hand leave nothing in the definition.`),
		Fix: []string{"Remove the variable", "Delete the logs of the runs that had it, and renew what they show"},
	},
	stake: true,
	judge: func(f *file, say func(problem)) {
		names := []string{"ACTIONS_STEP_DEBUG", "ACTIONS_RUNNER_DEBUG"}
		if f.kind == isGitLab {
			names = []string{"CI_DEBUG_TRACE", "CI_DEBUG_SERVICES"}
		}
		f.variables(func(name string, at pipeline.Position, key, value pipeline.Node) {
			text := value.Text()
			if value.IsMap() {
				text = value.Get("value").Text()
			}
			if slices.Contains(names, key.Text()) && slices.Contains([]string{"true", "1", "yes", "on"}, strings.ToLower(text)) {
				say(problem{at: at, name: name + ", " + key.Text(), evidence: key.Text() + " is set for " + name})
			}
		})
	},
}
