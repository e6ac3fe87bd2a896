package git

import (
	"os"

	"golang.org/x/sys/unix"
)

// limitMemory bounds what a process may allocate, files it maps not counted. Above that git gives up by itself.
func limitMemory(p *os.Process, bytes uint64) {
	_ = unix.Prlimit(p.Pid, unix.RLIMIT_DATA, &unix.Rlimit{Cur: bytes, Max: bytes}, nil) // the process may have ended
}
