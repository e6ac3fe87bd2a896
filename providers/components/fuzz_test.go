package components

import (
	"testing"

	"github.com/leakreach/leakreach/providers/internal/pack"
)

// Whatever a folder or commit has in it, reading it ends, and makes no object of what is too short to be one.
func FuzzStep(f *testing.F) {
	f.Add(byte(pack.Tree), []byte("100644 action.yml\x00aaaaaaaaaaaaaaaaaaaa40000 a\x00bbbbbbbbbbbbbbbbbbbb"))
	f.Add(byte(pack.Commit), []byte("tree 0123456789012345678901234567890123456789\nparent x\n"))
	f.Add(byte(pack.Blob), []byte("runs:\n"))
	f.Fuzz(func(t *testing.T, kind byte, content []byte) {
		w := &way{next: "0123456789012345678901234567890123456789", folders: []string{"a"}, names: []string{"action.yml"}}
		for range 3 {
			if err := w.step(pack.Kind(kind), content); err == nil && !w.done && len(w.next) != 40 {
				t.Fatalf("next is %q", w.next)
			}
			if w.done {
				return
			}
		}
	})
}
