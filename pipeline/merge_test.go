package pipeline

import (
	"fmt"
	"strings"
	"testing"
)

// What a pattern may stand for is a gap where it cannot be listed whole, and no definition has files listed without end.
func TestPatternsOfIncludes(t *testing.T) {
	for _, c := range []struct {
		name, pattern string
		patterns      int
		listed        bool
		asked         int
		gap           string
	}{
		{"some of the files", "a/*.yml", 1, false, 1, "the files below a/ cannot be listed"},
		{"none is called so", "b/*.yml", 1, true, 1, "no file is called so"},
		{"many stars", strings.Repeat("*", maxStars+1), 1, true, 0, "its pattern has more than 20 stars"},
		{"many patterns", "b/*.yml", maxIncludes + 10, true, maxIncludes, "more of it could not be understood"},
	} {
		asked := 0
		lookup := func(p Place) ([]byte, bool) {
			if strings.HasSuffix(p.Path, "/") {
				asked++
				return []byte("a/x.yml\n"), c.listed
			}
			return []byte("job: {script: x}"), true
		}
		d := Merge(Place{Path: ".gitlab-ci.yml"}, []byte("include:\n"+strings.Repeat("- local: '"+c.pattern+"'\n", c.patterns)), lookup)
		if asked != c.asked || len(d.Jobs) > 0 || !strings.Contains(fmt.Sprint(d.Gaps), c.gap) {
			t.Errorf("%s: listed %d times, %d jobs, gaps %v", c.name, asked, len(d.Jobs), d.Gaps)
		}
	}
}
