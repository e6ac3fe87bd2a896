package job

import (
	"testing"

	"github.com/leakreach/leakreach/audit"
)

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		vars  map[string]string
		state audit.CheckState
		fix   bool
	}{
		"with a token":     {map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_TOKEN": jobToken()}, audit.Granted, false},
		"without":          {map[string]string{"GITHUB_ACTIONS": "true"}, audit.Missing, true},
		"GitLab without":   {map[string]string{"GITLAB_CI": "true"}, audit.Missing, true},
		"outside of a job": {nil, audit.Unproven, false},
	} {
		w := newWorld(t, c.vars)
		var all []audit.Check
		for check, err := range w.p.Check(t.Context(), "") {
			if err != nil || check.For == "" || check.Needs == "" || check.Evidence == "" {
				t.Errorf("%s: %+v, %v", name, check, err)
			}
			all = append(all, check)
		}
		if len(all) != 2 || all[0].State != audit.Granted || all[1].State != c.state || (all[1].Fix != "") != c.fix {
			t.Errorf("%s: %+v", name, all)
		}
		if n := len(w.p.env.Calls.Snapshot()); n > 0 {
			t.Errorf("%s: %d APIs were asked", name, n)
		}
	}
}
