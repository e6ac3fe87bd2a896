//go:build !amd64

package planes

func (t *Table) split(dst []Block, text []byte) { t.splitGo(dst, text) }
