//go:build !linux

package git

import "os"

// limitMemory does nothing: only Linux can limit another process.
func limitMemory(*os.Process, uint64) {}
