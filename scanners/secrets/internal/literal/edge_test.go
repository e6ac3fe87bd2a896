//go:build unix

package literal

import (
	"math/rand/v2"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestEdge scans texts that end where the mapped memory ends, and begin where it begins: a byte read outside ends the test.
func TestEdge(t *testing.T) {
	page := os.Getpagesize()
	size := 3 * page
	memory, err := unix.Mmap(-1, 0, size+2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Munmap(memory); err != nil {
			t.Error(err)
		}
	}()
	for _, guard := range [][]byte{memory[:page], memory[page+size:]} {
		if err := unix.Mprotect(guard, unix.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	inside := memory[page : page+size]
	words := sample()
	each(t, words, func(t *testing.T, f *Finder) {
		copy(inside, surrounded(rand.New(rand.NewPCG(11, 12)), words, size))
		for n := range 300 {
			check(t, f, inside[:n])
			check(t, f, inside[size-n:])
		}
		for _, n := range []int{stretch, stretch + 1, stretch + 66, stretch + 67, size} {
			check(t, f, inside[:n])
			check(t, f, inside[size-n:])
		}
	})
}
