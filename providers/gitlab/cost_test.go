package gitlab

import (
	"testing"

	"github.com/leakreach/leakreach/audit"
)

// What docs/gitlab.md says a sweep asks for.
func TestCost(t *testing.T) {
	g, x, p, target := recorded(t, nil)
	asked := func(what string, target audit.Target, of audit.Part, past string, want int) (state string) {
		t.Helper()
		before := len(g.Requests())
		_, _, state = part(t, p, target, of, past)
		if n := len(g.Requests()) - before; n != want {
			for _, r := range g.Requests()[before:] {
				t.Log(r.Path)
			}
			t.Errorf("%s: %d requests, want %d", what, n, want)
		}
		return state
	}
	x.Runners, g.Runners = nil, nil
	target.Attrs["empty"] = ""
	asked("settings of a project", target, audit.PartSettings, "", 20+1+2+1) // with the definition, two groups whose variables are shown, and the version
	group := targets(t, p, "acme").named("gitlab:acme/platform")
	g.Groups[1].Runners = nil
	asked("settings of a group", group, "", "", 10)
	state := asked("runs", target, audit.PartRuns, "", 3+3+2+4+1+1+1) // pipelines, those with variables, jobs, an archive, a report, a state
	asked("runs again", target, audit.PartRuns, state, 3+1)
	state = asked("texts", target, audit.PartTexts, "", 7+2+3+1) // threads with notes, files of snippets, an image
	asked("texts again", target, audit.PartTexts, state, 7+1)
}
