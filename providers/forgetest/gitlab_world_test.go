package forgetest

import (
	"strings"
	"testing"
	"time"
)

// The world is as large as it is said to be, and the same each time.
func TestGitLabWorld(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	w := NewGitLabWorld(t, now)
	below, deepest, projects := 0, 0, 0
	for _, g := range w.Groups {
		if g.Path == "acme" || strings.HasPrefix(g.Path, "acme/") {
			below++
			deepest = max(deepest, strings.Count(g.Path, "/")+1)
		}
	}
	ids := map[int]bool{}
	for _, x := range w.Projects {
		if ids[x.ID] {
			t.Errorf("%s has the id of another", x.Path)
		}
		ids[x.ID] = true
		if strings.HasPrefix(x.Path, "acme/") {
			projects++
		}
	}
	if below != worldGroups || deepest != worldDepth+1 || projects != worldProjects {
		t.Errorf("%d groups, %d deep, %d projects", below, deepest, projects)
	}
	again := NewGitLabWorld(t, now)
	for i, p := range w.Planted {
		if again.Planted[i] != p {
			t.Errorf("%+v, then %+v", p, again.Planted[i])
		}
	}
}
