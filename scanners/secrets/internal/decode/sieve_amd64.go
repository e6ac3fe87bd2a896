package decode

import "golang.org/x/sys/cpu"

var hasAVX512 = cpu.X86.HasAVX512 && cpu.X86.HasAVX512VBMI2 && cpu.X86.HasAVX512VPOPCNTDQ

func (s *sieve) sift() {
	if hasAVX512 {
		siftAVX512(s)
		return
	}
	s.siftGo()
}

//go:noescape
func siftAVX512(s *sieve)
