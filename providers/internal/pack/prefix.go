package pack

import (
	"bytes"
	"slices"
	"sort"
	"strings"
)

// Prefixed lists the ids of all objects that start with the given hexadecimal digits, each once.
func (s *Store) Prefixed(digits string) (ids []ID) {
	starts := func(id ID) bool { return strings.HasPrefix(id.Text(s.IDSize), digits) }
	least, _ := ParseID(digits+strings.Repeat("0", max(0, 2*s.IDSize-len(digits))), s.IDSize)
	for _, p := range s.packs {
		x := p.index.Load()
		if x == nil {
			continue
		}
		for row := sort.Search(x.n, func(row int) bool { return bytes.Compare(x.raw(row), least[:s.IDSize]) >= 0 }); row < x.n && starts(x.id(row)); row++ {
			ids = append(ids, x.id(row))
		}
	}
	for _, o := range s.loose() {
		if starts(o.id) {
			ids = append(ids, o.id)
		}
	}
	slices.SortFunc(ids, func(a, b ID) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(ids)
}
