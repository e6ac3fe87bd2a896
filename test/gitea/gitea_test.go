//go:build unix

package gitea

import "testing"

// TestGitea starts one server for all tests.
func TestGitea(t *testing.T) {
	s := start(t)
	t.Run("checker", func(t *testing.T) { checkerTest(t, s) })
	t.Run("contract", func(t *testing.T) { contractTest(t, s) })
	t.Run("rights", func(t *testing.T) { rightsTest(t, s) })
	t.Run("parts", func(t *testing.T) { partsTest(t, s) })
	t.Run("refs", func(t *testing.T) { refsTest(t, s) })
	t.Run("state", func(t *testing.T) { stateTest(t, s) })
	t.Run("pipelines", func(t *testing.T) { pipelinesTest(t, s) })
	t.Run("online", func(t *testing.T) { onlineTest(t, s) })
	t.Run("holders", func(t *testing.T) { holdersTest(t, s) })
	t.Run("sweep", func(t *testing.T) { sweepTest(t, s) })
}
