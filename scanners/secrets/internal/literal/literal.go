// Package literal finds which of many words occur in a text, in one pass.
//
// Each word is represented by a window: the four bytes of it that are rarest in ordinary text. Windows are gathered in 32 buckets, and
// a filter tells for each offset of a text whether the four bytes from there belong, each at its place, to one bucket. There
// are filters for AVX-512, AVX2 and NEON, and one for every machine. What passes is looked up exactly, so that all of them
// find the same.
package literal

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"sync"
)

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

// A Finder tells where any of a set of words occurs in a text. It is safe for concurrent use.
type Finder struct {
	Lookup
	filter filter
	rooms  sync.Pool // of *room
}

// A room is what one call of Scan works in. It is lent, since a filter that is chosen at run time may keep what it is given for all
// the compiler knows: it would be made anew, and cleared, for each call.
type room struct {
	masks   [stretch / block]uint64
	offsets [stretch]uint16
	tail    [2*block + beyond]byte
}

// A Lookup tells whether a short text has any of a set of words. It is made in less time than a Finder.
type Lookup struct {
	words   []Word
	first   [1<<hashBits + 1]int32 // index of the first entry of each hash
	some    [1 << hashBits]uint8   // which low three bits the byte behind the hashed ones may have, a bit for each
	entries []entry
}

// An entry is a word under a hash that its window can have.
type entry struct {
	first  pattern[uint64] // of the word
	window pattern[uint32] // of what the window has of the word
	word   int32
	back   int32 // offset of the window in the word
}

// A pattern is the bytes of a word that a number holds: what remains of a text under fold and mask.
type pattern[N uint32 | uint64] struct{ want, fold, mask N }

func (p *pattern[N]) matches(n N) bool { return (n|p.fold)&p.mask == p.want }

func patternOf[N uint32 | uint64](text string, exact bool, size int) (p pattern[N]) {
	for i := range min(len(text), size) {
		c := text[i]
		if !exact && 'a' <= c && c <= 'z' {
			p.fold |= 0x20 << (8 * i)
		}
		p.want |= N(c) << (8 * i)
		p.mask |= 0xff << (8 * i)
	}
	return p
}

// hashBits: a few hundred words fill less than a tenth of the table, and it is half of a first-level cache.
const hashBits = 12

// hash takes the first three bytes of a window, of which the low five bits tell letters apart and lose their case.
func hash(w uint32) uint32 {
	return (w & 0x1f1f1f) * 0x9e3779b1 >> (32 - hashBits)
}

// New takes the words to look for.
func New(words []Word) *Finder { return newFinder(words, filters()[0]) }

func newFinder(words []Word, filter func(*[buckets]bucket) filter) *Finder {
	estimate := ordinary()
	wins := make([][]window, len(words))
	for i := range words {
		wins[i] = words[i].windows(estimate)
	}
	all, chosen := cluster(wins, estimate)
	f := &Finder{filter: filter(all)}
	f.enter(words, chosen)
	return f
}

// NewLookup takes the words to look for.
func NewLookup(words []Word) *Lookup {
	estimate := ordinary()
	wins := make([]*window, len(words))
	for i := range words {
		wins[i] = &words[i].windows(estimate)[0]
	}
	l := &Lookup{}
	l.enter(words, wins)
	return l
}

// enter makes the table of words, each under its window.
func (l *Lookup) enter(words []Word, wins []*window) {
	hashes := make([][]uint32, len(wins))
	for i, win := range wins {
		hashes[i] = win.hashes()
		for _, h := range hashes[i] {
			l.first[h+1]++
			l.some[h] |= win.behind()
		}
	}
	for h := range uint32(1 << hashBits) {
		l.first[h+1] += l.first[h]
	}
	l.words, l.entries = words, make([]entry, l.first[1<<hashBits])
	next := l.first
	for i, win := range wins {
		w := &words[i]
		e := entry{patternOf[uint64](w.Text, w.Exact, 8), patternOf[uint32](w.Text[win.off:], w.Exact, width), int32(i), int32(win.off)}
		for _, h := range hashes[i] {
			l.entries[next[h]] = e
			next[h]++
		}
	}
}

// hashes lists the hashes of a window. Only of words of two bytes there is more than one.
func (w *window) hashes() (list []uint32) {
	var low [3]uint32
	for k := range low {
		low[k] = low5(&w.sets[k])
	}
	for a := low[0]; a != 0; a &= a - 1 {
		for b := low[1]; b != 0; b &= b - 1 {
			for c := low[2]; c != 0; c &= c - 1 {
				list = append(list, hash(uint32(bits.TrailingZeros32(a)|bits.TrailingZeros32(b)<<8|bits.TrailingZeros32(c)<<16)))
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// behind returns the low three bits that the last byte of a window can have, a bit for each.
func (w *window) behind() uint8 {
	low := low5(&w.sets[width-1])
	return uint8(low | low>>8 | low>>16 | low>>24)
}

// stretch is how many positions are filtered at once: enough to make the call cheap, and what passes is still at hand.
const stretch = 1024

// Scan appends the hits whose windows start in [from, to), in the order of their windows. The window of a hit starts in it.
func (f *Finder) Scan(text []byte, from, to int, hits []Hit) []Hit {
	r, _ := f.rooms.Get().(*room)
	if r == nil {
		r = &room{}
	}
	defer f.rooms.Put(r)
	for i := from; i < to; {
		if n := min((len(text)-beyond-i)/block, (to-i+block-1)/block, len(r.masks)); n > 0 {
			f.filter.scan(text[i:i+n*block+beyond], r.masks[:n])
			hits = f.check(text, i, min(i+n*block, to), r.masks[:n], &r.offsets, hits)
			i += n * block
			continue
		}
		clear(r.tail[copy(r.tail[:], text[i:]):]) // a filter may not look behind the text
		n := (to - i + block - 1) / block
		f.filter.scan(r.tail[:n*block+beyond], r.masks[:n])
		return f.check(text, i, to, r.masks[:n], &r.offsets, hits)
	}
	return hits
}

// check looks words up at those offsets in [from, to) that masks name. It goes in steps, so that few branches are unforeseeable: they would
// cost more than the work.
func (f *Finder) check(text []byte, from, to int, masks []uint64, offsets *[stretch]uint16, hits []Hit) []Hit {
	n := 0
	for j, m := range masks {
		for ; m != 0; m &= m - 1 {
			offsets[n&(stretch-1)] = uint16(j*block + bits.TrailingZeros64(m))
			n++
		}
	}
	for n > 0 && from+int(offsets[n-1]) >= to {
		n--
	}
	known := 0
	for _, o := range offsets[:n] {
		offsets[known] = o
		known += int(f.may(load(text, from+int(o))))
	}
	for _, o := range offsets[:known] {
		at := from + int(o)
		w := load(text, at)
		for i, end := f.under(w); i < end; i++ {
			x := &f.entries[i]
			if start := at - int(x.back); x.window.matches(w) && f.stands(x, text, start) {
				hits = append(hits, Hit{start, start + len(f.words[x.word].Text), x.word})
			}
		}
	}
	return hits
}

// may returns 1 if there may be an entry for a window, else 0.
func (l *Lookup) may(w uint32) uint8 { return l.some[hash(w)] >> (w >> 24 & 7) & 1 }

// under returns which entries there are for a window.
func (l *Lookup) under(w uint32) (first, end int32) {
	h := hash(w)
	return l.first[h], l.first[h+1]
}

// stands tells whether the word of an entry stands at start.
func (l *Lookup) stands(x *entry, text []byte, start int) bool {
	if start < 0 {
		return false
	}
	w := &l.words[x.word]
	if start+8 <= len(text) {
		if !x.first.matches(binary.LittleEndian.Uint64(text[start:])) || len(w.Text) > 8 && !w.spelled(text, start) {
			return false
		}
	} else if !w.spelled(text, start) {
		return false
	}
	return w.placed(text, start, start+len(w.Text))
}

// load returns the four bytes at i, zeros behind the text.
func load(text []byte, i int) uint32 {
	if i+4 <= len(text) {
		return binary.LittleEndian.Uint32(text[i:])
	}
	var tail [4]byte
	copy(tail[:], text[i:])
	return binary.LittleEndian.Uint32(tail[:])
}

// spelled tells whether the text at start is that of the word.
func (w *Word) spelled(text []byte, start int) bool {
	end := start + len(w.Text)
	return end <= len(text) && (w.Exact && string(text[start:end]) == w.Text || !w.Exact && equalFold(text[start:end], w.Text))
}

// placed tells whether the text around [start, end) is as the word wants it.
func (w *Word) placed(text []byte, start, end int) bool {
	return (w.Before == (Set{}) || start == 0 || w.Before.Has(text[start-1])) &&
		(w.After == (Set{}) || end == len(text) || w.After.Has(text[end]))
}

// Words returns the words, which are not to be changed.
func (l *Lookup) Words() []Word { return l.words }

// Contains tells whether any word occurs in text, which is short: it is looked at byte by byte.
func (l *Lookup) Contains(text []byte) bool {
	for at := range text {
		w := load(text, at)
		if l.may(w) == 0 {
			continue
		}
		for i, end := l.under(w); i < end; i++ {
			if x := &l.entries[i]; x.window.matches(w) && l.stands(x, text, at-int(x.back)) {
				return true
			}
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
