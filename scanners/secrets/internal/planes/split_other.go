//go:build !amd64 && !arm64

package planes

func (t *Table) split(g *Group, text *[Size * Blocks]byte) { t.splitGo(g, text) }
