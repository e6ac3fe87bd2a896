package planes

import "golang.org/x/sys/cpu"

func implementations(t *Table) map[string]func(*Group, *[Size * Blocks]byte) {
	all := map[string]func(*Group, *[Size * Blocks]byte){"go": t.splitGo}
	if cpu.ARM64.HasASIMD {
		all["neon"] = func(g *Group, text *[Size * Blocks]byte) { splitNEON(g, text, &t.nibbles, t.classes) }
	}
	return all
}
