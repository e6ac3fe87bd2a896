// Package literal finds which of many words occur in a text, in one pass.
package literal

import (
	"encoding/binary"
	"strings"
)

// A Finder tells where any of a set of words occurs in a text. Each word is represented by
// the three bytes of it that are rarest in ordinary text; the text's triples index a table small enough for
// the first-level cache, and only where the table says so are the words compared. This is the seam for a vector
// implementation: Scan is the one function that reads all of a text.
type Finder struct {
	flag    [1 << tripleBits]uint8
	first   [1 << tripleBits]int32 // 1 + index into entries, 0 for none
	entries []entry
	words   []Word
}

// tripleBits: the low five bits of a byte tell letters apart and lose their case. The table's busy part stays in the
// first-level cache beside the text.
const tripleBits = 15

// triple numbers the three low bytes of w.
func triple(w uint64) uint32 {
	return uint32(w&31 | w>>8&31<<5 | w>>16&31<<10)
}

// triples numbers the six triples in w: those from bytes 0, 2 and 4 in the 16-bit lanes of even, from 1, 3 and 5 in odd.
func triples(w uint64) (even, odd uint64) {
	const lanes = 0x001f001f001f001f
	a, b := w&lanes, w>>8&lanes
	return a | b<<5 | a>>16<<10, b | a>>16<<5 | b>>16<<10
}

type entry struct {
	word int32
	off  int32 // of the triple in it
	next int32 // 1 + index of the next entry of this hash
}

// A Word is what a Finder looks for.
type Word struct {
	Text          string // ASCII, at least two bytes; in lower case unless Exact
	Exact         bool   // letters count in this case only
	Before, After Set    // what may stand next to it, the edges of the text aside; empty for anything
}

// A Set is a set of bytes.
type Set [4]uint64

// Add puts c into the set.
func (s *Set) Add(c byte) { s[c>>6] |= 1 << (c & 63) }

// Has tells whether c is in the set.
func (s *Set) Has(c byte) bool { return s[c>>6]>>(c&63)&1 != 0 }

// A Hit is one occurrence of a word.
type Hit struct {
	Start, End int
	Word       int32 // its index
}

// New takes the words to look for.
func New(words []Word) *Finder {
	f := &Finder{words: words}
	for i := range words {
		w := &words[i]
		l := strings.ToLower(w.Text)
		if len(l) == 2 {
			done := map[uint32]bool{}
			for b := range 256 {
				if b != 0 && w.After != (Set{}) && !w.After.Has(byte(b)) {
					continue // byte 0 stands for the end of the text too
				}
				if h := triple(uint64(l[0]) | uint64(l[1])<<8 | uint64(b)<<16); !done[h] {
					done[h] = true
					f.add(h, i, 0)
				}
			}
			continue
		}
		best, least := 0, 1<<30
		for off := 0; off+3 <= len(l); off++ {
			if n := commonness(l[off : off+3]); n < least {
				best, least = off, n
			}
		}
		f.add(triple(uint64(l[best])|uint64(l[best+1])<<8|uint64(l[best+2])<<16), i, best)
	}
	return f
}

func (f *Finder) add(h uint32, word, off int) {
	f.entries = append(f.entries, entry{int32(word), int32(off), f.first[h]})
	f.first[h] = int32(len(f.entries))
	f.flag[h] = 1
}

// Scan appends the hits whose triples start in [from, to), in the order of their triples.
func (f *Finder) Scan(text []byte, from, to int, hits []Hit) []Hit {
	const mask = 1<<tripleBits - 1
	i, flag := from, &f.flag
	for ; i+8 <= len(text) && i+6 <= to; i += 6 {
		w := binary.LittleEndian.Uint64(text[i:])
		even, odd := triples(w)
		if flag[even&mask]|flag[even>>16&mask]|flag[even>>32&mask]|flag[odd&mask]|flag[odd>>16&mask]|flag[odd>>32&mask] != 0 {
			hits = f.check(text, i, 6, w, hits)
		}
	}
	for i < to {
		var tail [8]byte
		n := min(copy(tail[:], text[i:]), to-i, 6)
		hits = f.check(text, i, n, binary.LittleEndian.Uint64(tail[:]), hits)
		i += n
	}
	return hits
}

// check compares words at the n positions from i, whose bytes are w.
func (f *Finder) check(text []byte, i, n int, w uint64, hits []Hit) []Hit {
	for j := range n {
		for e := f.first[triple(w>>(8*j))]; e != 0; {
			x := &f.entries[e-1]
			e = x.next
			start := i + j - int(x.off)
			if w := &f.words[x.word]; w.at(text, start) {
				hits = append(hits, Hit{start, start + len(w.Text), x.word})
			}
		}
	}
	return hits
}

// at tells whether the word stands at start.
func (w *Word) at(text []byte, start int) bool {
	end := start + len(w.Text)
	if start < 0 || end > len(text) {
		return false
	}
	if w.Exact && string(text[start:end]) != w.Text || !w.Exact && !equalFold(text[start:end], w.Text) {
		return false
	}
	return (start == 0 || w.Before == (Set{}) || w.Before.Has(text[start-1])) &&
		(end == len(text) || w.After == (Set{}) || w.After.Has(text[end]))
}

// Contains tells whether any word occurs in s.
func (f *Finder) Contains(s []byte) bool {
	var few [4]Hit
	for i := 0; i < len(s); i += 4096 {
		if len(f.Scan(s, i, min(i+4096, len(s)), few[:0])) > 0 {
			return true
		}
	}
	return false
}

func equalFold(b []byte, lower string) bool {
	for i := range len(lower) {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// commonness estimates how frequent a triple is in source text, from the letters' own frequencies.
func commonness(t string) int {
	n := 1
	for i := range len(t) {
		n *= weight(t[i])
	}
	return n
}

func weight(c byte) int {
	switch {
	case c >= 'a' && c <= 'z':
		// per mille of letters in source code, roughly
		return int("\x50\x18\x30\x28\x78\x20\x1c\x1c\x48\x04\x0c\x30\x20\x44\x44\x24\x04\x40\x44\x58\x24\x10\x0c\x08\x10\x04"[c-'a'])
	case c >= '0' && c <= '9':
		return 0x0c
	case c == ' ', c == '.', c == '-', c == '_', c == '/', c == '"':
		return 0x20
	}
	return 4
}
