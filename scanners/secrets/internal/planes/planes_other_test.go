//go:build !amd64

package planes

func implementations(t *Table) map[string]func([]Block, []byte) {
	return map[string]func([]Block, []byte){"go": t.splitGo}
}
