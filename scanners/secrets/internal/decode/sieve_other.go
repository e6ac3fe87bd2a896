//go:build !amd64

package decode

func (s *sieve) sift() { s.siftGo() }
