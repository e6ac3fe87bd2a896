package decode

import "golang.org/x/sys/cpu"

var (
	hasAVX512 = cpu.X86.HasAVX512 && cpu.X86.HasAVX512VBMI2 && cpu.X86.HasAVX512VPOPCNTDQ
	hasAVX2   = cpu.X86.HasAVX2 && cpu.X86.HasPOPCNT
)

func (s *sieve) sift() {
	switch {
	case hasAVX512:
		siftAVX512(s)
	case hasAVX2:
		siftAVX2(s)
	default:
		s.siftGo()
	}
}

//go:noescape
func siftAVX512(s *sieve)

//go:noescape
func siftAVX2(s *sieve)
