package planes

import "golang.org/x/sys/cpu"

var (
	hasAVX512 = cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VBMI && cpu.X86.HasAVX512GFNI
	hasAVX2   = cpu.X86.HasAVX2
)

func (t *Table) split(g *Group, text *[Size * Blocks]byte) {
	switch {
	case hasAVX512:
		splitAVX512(g, text, &t.lookup)
	case hasAVX2:
		splitAVX2(g, text, &t.nibbles, t.classes)
	default:
		t.splitGo(g, text)
	}
}

//go:noescape
func splitAVX512(dst *Group, text *[Size * Blocks]byte, lookup *[3][128]byte)

//go:noescape
func splitAVX2(dst *Group, text *[Size * Blocks]byte, nibbles *[24][16]byte, classes int)
