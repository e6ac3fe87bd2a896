package store

import "syscall"

// room is how many bytes a directory's file system has left, or all that there can be where it does not say.
func room(dir string) uint64 {
	var fs syscall.Statfs_t
	if syscall.Statfs(dir, &fs) != nil || fs.Blocks == 0 {
		return ^uint64(0)
	}
	return fs.Bavail * uint64(fs.Bsize)
}
