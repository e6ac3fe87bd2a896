package audittest

import (
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
)

// Checks lists what a check tells, one line each, up to an error. Nothing of it may show token.
func Checks(t testing.TB, all iter.Seq2[audit.Check, error], token string) (lines []string, err error) {
	t.Helper()
	for c, err := range all {
		if err != nil {
			return lines, err
		}
		if strings.Contains(fmt.Sprintf("%+v", c), token) {
			t.Errorf("shows the token: %+v", c)
		}
		lines = append(lines, fmt.Sprintf("%s %s: %s (%s) %s", c.State, c.For, c.Needs, c.Evidence, c.Fix))
	}
	return lines, nil
}

// HasLine tells whether a line has all of some parts.
func HasLine(lines []string, parts ...string) bool {
	for _, line := range lines {
		all := true
		for _, part := range parts {
			all = all && strings.Contains(line, part)
		}
		if all {
			return true
		}
	}
	return false
}
