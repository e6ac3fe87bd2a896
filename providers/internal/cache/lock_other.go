//go:build !unix

package cache

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lock takes a file for this caller alone, until it is closed or the process ends. If another has it, it is an error unless wait is set.
func lock(name string, wait bool) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	const all = ^uint32(0)
	how := uint32(windows.LOCKFILE_EXCLUSIVE_LOCK)
	if !wait {
		how |= windows.LOCKFILE_FAIL_IMMEDIATELY
	}
	if err := windows.LockFileEx(windows.Handle(f.Fd()), how, 0, all, all, new(windows.Overlapped)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
