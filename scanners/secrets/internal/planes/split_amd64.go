package planes

import "golang.org/x/sys/cpu"

var (
	hasAVX512 = cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VBMI && cpu.X86.HasAVX512GFNI
	hasAVX2   = cpu.X86.HasAVX2
)

func (t *Table) split(dst []Block, text []byte) {
	switch {
	case hasAVX512:
		splitAVX512(&dst[0], &text[0], len(dst), &t.lookup)
	case hasAVX2:
		splitAVX2(&dst[0], &text[0], len(dst), &t.nibbles, t.classes)
	default:
		t.splitGo(dst, text)
	}
}

// splitAVX512 and splitAVX2 do n blocks, n > 0.

//go:noescape
func splitAVX512(dst *Block, text *byte, n int, lookup *[3][128]byte)

//go:noescape
func splitAVX2(dst *Block, text *byte, n int, nibbles *[24][16]byte, classes int)
