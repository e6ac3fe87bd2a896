//go:build !amd64 && !arm64

package planes

func implementations(t *Table) map[string]func(*Group, *[Size * Blocks]byte) {
	return map[string]func(*Group, *[Size * Blocks]byte){"go": t.splitGo}
}
