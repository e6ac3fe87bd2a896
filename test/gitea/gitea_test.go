//go:build unix

package gitea

import "testing"

// TestGitea starts one server for all tests.
func TestGitea(t *testing.T) {
	s := start(t)
	t.Run("sweep", func(t *testing.T) { sweepTest(t, s) })
}
