package engine

import "slices"

// maxTexts bounds the lines whose digests are kept, 4 bytes each: those of some thousand files of 2000 lines that have nothing in common.
const maxTexts = 8 << 20

// texts keep the lines of contents, as digests, to compare one version with another. Versions share most of their lines. So a text is
// kept in parts that end behind certain lines, wherever these stand, and a part that several texts have is kept once: a tenth of the memory.
type texts struct {
	lines [][]uint32          // of all parts, each behind their number, in blocks: one list would be copied where it grows
	n     int                 // of all in lines
	known map[uint64]uint32   // where a part starts in lines, by its hash
	parts map[string][]uint32 // of each object, where its parts start
	size  int                 // of all in parts
}

// partEnd is what the digest of a part's last line is a multiple of. Parts are as many lines long on average: longer ones are changed more
// often, and of shorter ones there are more to be named.
const partEnd = 32

const (
	textBlock = 1 << 14       // numbers in a block of lines
	maxPart   = textBlock / 4 // of a block at most a quarter is left free
)

// add keeps the text of an object, if there is room and it was not kept before.
func (t *texts) add(object string, text []uint32) {
	if t.parts[object] != nil || t.n+t.size+2*len(text) > maxTexts {
		return
	}
	parts := make([]uint32, 0, len(text)/partEnd+1)
	for len(text) > 0 {
		n, hash := 0, uint64(0)
		for n < min(len(text), maxPart-1) {
			hash = (hash + uint64(text[n]) + 1) * 0x9e3779b97f4a7c15 // 2⁶⁴ by the golden ratio spreads what is added over all bits
			hash ^= hash >> 32
			if n++; text[n-1]%partEnd == 0 {
				break
			}
		}
		parts = append(parts, t.part(hash, text[:n]))
		text = text[n:]
	}
	t.size += len(parts)
	t.parts[object] = parts
}

// part keeps some lines, and returns where they start.
func (t *texts) part(hash uint64, lines []uint32) uint32 {
	at, known := t.known[hash]
	if known && slices.Equal(t.linesAt(at), lines) {
		return at
	}
	last := len(t.lines) - 1
	if last < 0 || len(t.lines[last])+1+len(lines) > textBlock {
		t.lines, last = append(t.lines, make([]uint32, 0, textBlock)), last+1
	}
	block := t.lines[last]
	at = uint32(last*textBlock + len(block))
	t.lines[last] = append(append(block, uint32(len(lines))), lines...)
	t.n += 1 + len(lines)
	if !known {
		t.known[hash] = at
	}
	return at
}

func (t *texts) linesAt(at uint32) []uint32 {
	block := t.lines[at/textBlock][at%textBlock:]
	return block[1 : 1+block[0]]
}

// join returns the lines of parts.
func (t *texts) join(parts []uint32) []uint32 {
	text := make([]uint32, 0, t.count(parts))
	for _, at := range parts {
		text = append(text, t.linesAt(at)...)
	}
	return text
}

// added is addedLines for two objects, from the line on that front tells: those before are in both. It is nil if one of them was not kept.
// Versions differ in few parts, and no others are looked at.
func (t *texts) added(before, after string) (front int, added []bool) {
	old, new := t.parts[before], t.parts[after]
	if old == nil || new == nil {
		return 0, nil
	}
	for len(old) > 0 && len(new) > 0 && old[0] == new[0] {
		front += len(t.linesAt(old[0]))
		old, new = old[1:], new[1:]
	}
	if len(old) > 0 && len(new) > 0 {
		// Of lines that may be counted to either end, addedLines counts them to the front, and so those are spared. They end in these parts:
		// of two that differ none begins with the other, unless its text ends.
		oldLeft, newLeft := t.count(old), t.count(new)
		for a, b := t.linesAt(old[0]), t.linesAt(new[0]); len(a) > 0 && len(b) > 0 && a[0] == b[0]; a, b = a[1:], b[1:] {
			oldLeft, newLeft = oldLeft-1, newLeft-1
		}
		for len(old) > 0 && len(new) > 0 && old[len(old)-1] == new[len(new)-1] {
			n := len(t.linesAt(old[len(old)-1]))
			if oldLeft, newLeft = oldLeft-n, newLeft-n; oldLeft < 0 || newLeft < 0 {
				break
			}
			old, new = old[:len(old)-1], new[:len(new)-1]
		}
	}
	return front, addedLines(t.join(old), t.join(new))
}

// count is how many lines parts have.
func (t *texts) count(parts []uint32) (n int) {
	for _, at := range parts {
		n += len(t.linesAt(at))
	}
	return n
}
