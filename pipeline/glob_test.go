package pipeline

import "testing"

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		pattern, branch string
		isDefault, want bool
	}{
		{"main", "main", false, true}, {"refs/heads/main", "main", false, true}, {"refs/heads/main", "maintenance", false, false},
		{"~ALL", "x", false, true}, {"~DEFAULT_BRANCH", "main", true, true}, {"~DEFAULT_BRANCH", "x", false, false},
		{"refs/heads/**/*", "main", false, true}, {"**", "a/b", false, true}, {"release/*", "release/1", false, true}, {"release/*", "main", false, false},
		{"[mM]ain", "Main", false, true}, {"ma?n", "main", false, true}, {"[", "main", false, false}, {"", "main", true, false}, {"refs/tags/*", "main", false, false},
	} {
		if got := Covers([]string{"no", c.pattern}, c.branch, c.isDefault); got != c.want {
			t.Errorf("%q covers %q: %t", c.pattern, c.branch, got)
		}
	}
}
