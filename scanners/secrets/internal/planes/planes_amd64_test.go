package planes

func implementations(t *Table) map[string]func(*Group, *[Size * Blocks]byte) {
	all := map[string]func(*Group, *[Size * Blocks]byte){"go": t.splitGo}
	if hasAVX512 {
		all["avx512"] = func(g *Group, text *[Size * Blocks]byte) { splitAVX512(g, text, &t.lookup) }
	}
	if hasAVX2 {
		all["avx2"] = func(g *Group, text *[Size * Blocks]byte) { splitAVX2(g, text, &t.nibbles, t.classes) }
	}
	return all
}
