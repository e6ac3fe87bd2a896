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

// of returns the text of an object, or nil.
func (t *texts) of(object string) (text []uint32) {
	for _, at := range t.parts[object] {
		text = append(text, t.linesAt(at)...)
	}
	return text
}
