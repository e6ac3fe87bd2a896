//go:build !linux

package store

// room is asked where containers are given small file systems in memory.
func room(string) uint64 { return ^uint64(0) }
