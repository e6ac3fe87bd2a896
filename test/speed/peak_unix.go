//go:build unix

package main

import (
	"os"
	"runtime"
	"syscall"
)

// peak is the memory of the process or of the largest of its children, in bytes: Linux counts in KiB (getrusage(2)), Darwin in bytes.
func peak(p *os.ProcessState) int64 {
	usage, ok := p.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	n := int64(usage.Maxrss) //nolint:unconvert // narrower on 32-bit systems
	if runtime.GOOS == "darwin" {
		return n
	}
	return n << 10
}
