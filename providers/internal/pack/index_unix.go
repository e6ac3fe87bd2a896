//go:build unix && !solaris && !illumos && !aix

package pack

import (
	"os"

	"golang.org/x/sys/unix"
)

func mapFile(f *os.File, size int) ([]byte, error) {
	return unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
}

func unmap(data []byte) { _ = unix.Munmap(data) }

// forget takes a mapping's pages out of the process.
func forget(data []byte) { _ = unix.Madvise(data, unix.MADV_DONTNEED) }
