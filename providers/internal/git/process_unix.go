//go:build unix

package git

import (
	"os/exec"
	"syscall"
)

// contain puts a process into a group of its own, so that ending it also ends the helpers it started.
func contain(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = grace
}
