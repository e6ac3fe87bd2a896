//go:build !unix

package git

import "os/exec"

// contain bounds how long an ended process may keep its pipes open.
func contain(cmd *exec.Cmd) {
	cmd.Cancel = func() error { return cmd.Process.Kill() }
	cmd.WaitDelay = grace
}
