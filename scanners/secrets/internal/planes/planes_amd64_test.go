package planes

func implementations(t *Table) map[string]func([]Block, []byte) {
	all := map[string]func([]Block, []byte){"go": t.splitGo}
	if hasAVX512 {
		all["avx512"] = func(dst []Block, text []byte) { splitAVX512(&dst[0], &text[0], len(dst), &t.lookup) }
	}
	if hasAVX2 {
		all["avx2"] = func(dst []Block, text []byte) { splitAVX2(&dst[0], &text[0], len(dst), &t.nibbles, t.classes) }
	}
	return all
}
