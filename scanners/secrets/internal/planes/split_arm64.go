package planes

import "golang.org/x/sys/cpu"

func (t *Table) split(g *Group, text *[Size * Blocks]byte) {
	if cpu.ARM64.HasASIMD {
		splitNEON(g, text, &t.nibbles, t.classes)
		return
	}
	t.splitGo(g, text)
}

//go:noescape
func splitNEON(dst *Group, text *[Size * Blocks]byte, nibbles *[24][16]byte, classes int)
