package git

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"hash/maphash"
	"slices"
	"strings"
)

// trees keep the directories of a whole history in memory. Versions of a directory share nearly all their entries, and one
// name stands in many of them, so objects, names and entries are numbered when they are first met, a directory is a list of
// numbers, and a list is stored as what differs from another one: 150,000 directories with 3 million entries take 25 MB. Equal
// numbers are equal entries: comparing two versions is comparing integers.
//
// They are for one goroutine.
type trees struct {
	width int // of an object id in bytes
	limit int // of their memory, in bytes
	seed  maphash.Seed
	load  func(id string) (content []byte, err error) // reads a tree that is not kept; nil while all of them pass by

	objects table
	ids     []byte  // of objects, one after the other
	about   []about // what is known of them

	names table
	text  []byte   // all names, one after the other
	ends  []uint32 // where each ends in text

	entries table
	entry   []treeEntry
	next    []uint32 // of each entry, the one that stood behind it last; none if not in order
	stood   []uint32 // of each entry, the list it stood in last

	lists  []byte   // of all trees, one after the other, see keepList
	parsed []uint32 // scratch: the list that is being made
	before []uint32 // and another one to compare it with
	line   []byte   // scratch: an entry

	paths   table
	path    []pathPart
	dropped int // trees that there was no room for
	needed  int // of size, what renew left
}

// about is what is known of an object.
type about struct {
	list  uint32 // where a tree's list starts
	facts facts
}

type facts uint16

const (
	isTree       facts = 1 << iota // it passed by, or was loaded, and has a list
	isCommit                       // it passed by
	isPartial                      // a tree that is malformed from some point on
	isTried                        // it was asked for by itself
	isBlob                         // a ref names it
	isLooked                       // hasContent was looked up
	hasContent                     // a blob whose content was listed
	isTooLarge                     // a blob whose content is too large to be listed
	isOfInterest                   // a blob whose places the consumer wants
	isScanned                      // of a repository that is kept: it was scanned before
	isReached                      // likewise: a ref leads to it
	isWanted                       // likewise: it is to be listed
)

// A treeEntry is one line of a directory. Files, executable files and links are not told apart: a change from one to the other
// brings no new content.
type treeEntry struct {
	name, object uint32
	kind         entryKind
}

type entryKind uint8

const (
	file entryKind = iota
	directory
	submodule
)

// A pathPart is a path: that of its directory, and a name in it. The first part is the top, and has no name.
type pathPart struct {
	dir, name uint32
}

// none is the number of nothing.
const none = ^uint32(0)

// maxTrees bounds the memory that trees take, in bytes: some 5 million objects, eight times those of a project with 70,000 commits. In a
// larger history, trees are read a second time. With it do three eighths of the memory, the largest share: trees stay until the listing
// ends.
const maxTrees = 384 << 20

func (r *Repository) treeMemory() int { return 3 * int(r.memory.Share(8, maxTrees/3)) }

func newTrees(width, limit int) *trees {
	return &trees{width: width, limit: limit, seed: maphash.MakeSeed(), path: []pathPart{{none, none}}}
}

// size is the memory taken, in bytes; tables grow to twice of what they hold.
func (t *trees) size() int {
	return len(t.ids) + 8*len(t.about) + len(t.text) + 4*len(t.ends) + 20*len(t.entry) + len(t.lists) +
		t.objects.size() + t.names.size() + t.entries.size()
}

// object returns the number of an object, given by its id in binary.
func (t *trees) object(id []byte) uint32 {
	n, known := t.objects.number(t.hash(id), func(n uint32) bool { return bytes.Equal(t.id(n), id) },
		func(n uint32) uint32 { return t.hash(t.id(n)) })
	if !known {
		t.ids = append(t.ids, id...)
		t.about = append(t.about, about{})
	}
	return n
}

// objectOf is object for an id in hex.
func (t *trees) objectOf(id string) uint32 {
	var raw [32]byte
	n, _ := hex.Decode(raw[:], []byte(id)) // callers hand over what isID accepted
	return t.object(raw[:n])
}

func (t *trees) id(object uint32) []byte {
	at := int(object) * t.width
	return t.ids[at : at+t.width]
}

func (t *trees) hex(object uint32) string { return hex.EncodeToString(t.id(object)) }

func (t *trees) hash(b []byte) uint32 { return uint32(maphash.Bytes(t.seed, b)) }

func (t *trees) nameOf(name uint32) []byte {
	start := uint32(0)
	if name > 0 {
		start = t.ends[name-1]
	}
	return t.text[start:t.ends[name]]
}

// add keeps a tree.
func (t *trees) add(id string, content []byte) {
	object := t.objectOf(id)
	if t.about[object].facts&isTree != 0 {
		return
	}
	if t.size()+2*len(content) > t.limit {
		t.dropped++
		return
	}
	whole := t.parse(content)
	at := t.keepList(t.parsed)
	a := &t.about[object] // parse may have moved it
	a.list, a.facts = at, a.facts|isTree
	if !whole {
		a.facts |= isPartial
	}
}

// parse reads "MODE NAME\0" and a binary id, entry after entry, as far as they are well formed, into the scratch list. That is sorted as
// git sorts it, also where the tree is not.
func (t *trees) parse(content []byte) (whole bool) {
	list, sorted, before := t.parsed[:0], true, none
	for len(content) > 0 {
		e, size := t.parseEntry(content, before)
		if size == 0 {
			break
		}
		if before != none && t.next[before] != e {
			if t.order(before, e) < 0 {
				t.next[before] = e
			} else {
				sorted = false
			}
		}
		content = content[size:]
		list, before = append(list, e), e
	}
	if !sorted {
		slices.SortFunc(list, func(a, b uint32) int { return cmp.Or(t.order(a, b), cmp.Compare(a, b)) })
	}
	t.parsed = list
	return len(content) == 0
}

// maxListChain bounds how many lists have to be read to make one of what it differs in: each further one saves less and costs as much.
const maxListChain = 8

// keepList stores a list as numbers of seven bits a byte:
//
//	the length of the chain of lists below it
//	unless that is 0, the distance back to the list it is made of, and how many entries of that one stay in front and behind
//	how many entries come between, and each of them as the difference to the one before it: what was met together has numbers in a row
//
// It is made of the list in which its first or its last entry stood last: mostly the version of the directory that was read before.
func (t *trees) keepList(list []uint32) (at uint32) {
	at = uint32(len(t.lists))
	chain, base, front, back := 0, uint32(0), 0, 0
	if len(list) > 0 {
		for i, e := range [2]uint32{list[0], list[len(list)-1]} {
			other := t.stood[e]
			if other == none || i == 1 && other == t.stood[list[0]] {
				continue
			}
			depth := int(t.lists[other])
			if depth == maxListChain {
				continue
			}
			t.before = t.unpack(t.before[:0], other)
			f, b := shared(t.before, list)
			if f+b > front+back {
				chain, base, front, back = depth+1, other, f, b
			}
		}
	}
	t.lists = append(t.lists, byte(chain))
	if chain > 0 {
		t.lists = binary.AppendUvarint(t.lists, uint64(at-base))
		t.lists = binary.AppendUvarint(t.lists, uint64(front))
		t.lists = binary.AppendUvarint(t.lists, uint64(back))
	}
	between := list[front : len(list)-back]
	t.lists = binary.AppendUvarint(t.lists, uint64(len(between)))
	last := uint32(0)
	for _, e := range between {
		step := int32(e - last)
		t.lists = binary.AppendUvarint(t.lists, uint64(uint32(step<<1^step>>31))) // the sign comes last
		last = e
	}
	for _, e := range list {
		t.stood[e] = at
	}
	return at
}

// shared counts the entries that two lists have in common at both ends.
func shared(a, b []uint32) (front, back int) {
	n := min(len(a), len(b))
	for front < n && a[front] == b[front] {
		front++
	}
	for back < n-front && a[len(a)-1-back] == b[len(b)-1-back] {
		back++
	}
	return front, back
}

// unpack appends a list that keepList stored.
func (t *trees) unpack(dst []uint32, at uint32) []uint32 {
	r, from, back := listReader(t.lists[at+1:]), len(dst), 0
	if chain := t.lists[at]; chain > 0 {
		dst = t.unpack(dst, at-r.number())
		from += int(r.number())
		back = int(r.number())
	}
	n, behind := int(r.number()), len(dst)-back
	if more := n - (behind - from); more > 0 {
		dst = slices.Grow(dst, more)[:len(dst)+more]
		copy(dst[behind+more:], dst[behind:])
	} else if more < 0 {
		copy(dst[behind+more:], dst[behind:])
		dst = dst[:len(dst)+more]
	}
	last := uint32(0)
	for i := range dst[from : from+n] {
		step := r.number()
		last += step>>1 ^ -(step & 1)
		dst[from+i] = last
	}
	return dst
}

// A listReader reads what keepList stored.
type listReader []byte

// number reads seven bits a byte, lowest first.
func (r *listReader) number() (n uint32) {
	b := *r
	for i, c := range b {
		n |= uint32(c&0x7f) << (7 * i)
		if c < 0x80 {
			*r = b[i+1:]
			break
		}
	}
	return n
}

// parseEntry reads the entry that content starts with, and returns its number and its size; 0 if it is malformed. It is looked
// up only if it is not the one that stood behind the entry before it in another version of the directory, which it mostly is.
func (t *trees) parseEntry(content []byte, before uint32) (number uint32, size int) {
	mode, i := uint32(0), 0
	for ; i < len(content) && content[i] >= '0' && content[i] <= '7' && i < 8; i++ {
		mode = mode<<3 | uint32(content[i]-'0')
	}
	if i == 0 || i == len(content) || content[i] != ' ' {
		return 0, 0
	}
	kind := file
	switch mode & 0o170000 {
	case 0o040000:
		kind = directory
	case 0o160000:
		kind = submodule
	}
	i++
	guess := none
	if before != none {
		if guess = t.next[before]; guess != none && t.isAt(content[i:], guess, kind) {
			return guess, i + len(t.nameOf(t.entry[guess].name)) + 1 + t.width
		}
	}
	key := content[i:]
	length := bytes.IndexByte(key, 0)
	if length < 0 || len(key) < length+1+t.width {
		return 0, 0
	}
	key = key[:length+1+t.width]
	number, known := t.entries.number(t.hash(key)^uint32(kind), func(n uint32) bool { return t.isAt(key, n, kind) }, t.hashOf)
	if known {
		return number, i + len(key)
	}
	e, next := treeEntry{object: t.object(key[length+1:]), kind: kind}, none
	if guess != none && t.entry[guess].kind == kind && bytes.Equal(t.nameOf(t.entry[guess].name), key[:length]) {
		e.name, next = t.entry[guess].name, t.next[guess] // a new version of it
	} else {
		e.name = t.name(key[:length])
	}
	t.entry, t.next, t.stood = append(t.entry, e), append(t.next, next), append(t.stood, none)
	return number, i + len(key)
}

// hashOf is the hash of an entry as it stands in a directory.
func (t *trees) hashOf(number uint32) uint32 {
	e := &t.entry[number]
	t.line = append(append(append(t.line[:0], t.nameOf(e.name)...), 0), t.id(e.object)...)
	return t.hash(t.line) ^ uint32(e.kind)
}

// isAt tells whether b starts with an entry, without its mode.
func (t *trees) isAt(b []byte, number uint32, kind entryKind) bool {
	e := &t.entry[number]
	name := t.nameOf(e.name)
	n := len(name)
	return e.kind == kind && len(b) > n+t.width && b[n] == 0 &&
		string(b[:n]) == string(name) && string(b[n+1:n+1+t.width]) == string(t.id(e.object))
}

// name returns the number of a name.
func (t *trees) name(name []byte) uint32 {
	n, known := t.names.number(t.hash(name), func(n uint32) bool { return bytes.Equal(t.nameOf(n), name) },
		func(n uint32) uint32 { return t.hash(t.nameOf(n)) })
	if !known {
		t.text = append(t.text, name...)
		t.ends = append(t.ends, uint32(len(t.text)))
	}
	return n
}

// order compares two entries by name, directories as if a slash ended theirs. Those that are equal are versions of each other.
func (t *trees) order(a, b uint32) int {
	x, y := &t.entry[a], &t.entry[b]
	if x.name == y.name && (x.kind == directory) == (y.kind == directory) {
		return 0
	}
	p, q := t.nameOf(x.name), t.nameOf(y.name)
	n := min(len(p), len(q))
	if c := bytes.Compare(p[:n], q[:n]); c != 0 {
		return c
	}
	pn, qn := x.sortedByte(p, n), y.sortedByte(q, n)
	return cmp.Or(cmp.Compare(pn, qn), cmp.Compare(len(p), len(q)))
}

// sortedByte is the byte at i of a name that is at least as long, with the slash behind a directory's.
func (e *treeEntry) sortedByte(name []byte, i int) byte {
	switch {
	case i < len(name):
		return name[i]
	case e.kind == directory:
		return '/'
	}
	return 0
}

// list appends the entries of a tree to dst. whole is false if some or all of them are not known.
func (t *trees) list(dst []uint32, object uint32) (list []uint32, whole bool) {
	if !t.has(object) {
		return dst, t.isEmptyTree(object)
	}
	a := t.about[object]
	return t.unpack(dst, a.list), a.facts&isPartial == 0
}

// has tells whether an object is a tree whose entries are known. One that is not kept is read.
func (t *trees) has(object uint32) bool {
	if facts := t.about[object].facts; facts&(isTree|isTried) == 0 && t.load != nil && !t.isEmptyTree(object) {
		t.about[object].facts |= isTried
		id := t.hex(object)
		if content, err := t.load(id); err == nil {
			t.add(id, content)
		}
	}
	return t.about[object].facts&isTree != 0
}

// complete says that no tree will be added. What only adding needs is forgotten: a third of the memory.
func (t *trees) complete() {
	t.entries, t.next, t.stood, t.parsed, t.before = table{}, nil, nil, nil, nil
}

// isFull tells whether renew should make room, for trees that can be read again: while there is half as much again of it as there can be,
// and not where so little can be won that it would be needed all the time.
func (t *trees) isFull() bool {
	return t.load != nil && t.needed < t.limit*3/4 && t.size() > (t.needed+t.limit)/2
}

// renew forgets all trees, and with them what objects were numbered. Those of which something is known that stays true get new numbers;
// what else is still needed gets one when moved is called with the one that it had.
func (t *trees) renew() (moved func(object uint32) uint32) {
	const lasting = isCommit | isBlob | isOfInterest
	ids, about := t.ids, t.about
	t.objects, t.ids, t.about = table{}, nil, nil
	t.entries, t.entry, t.next, t.stood, t.lists = table{}, nil, nil, nil, nil
	moved = func(object uint32) uint32 {
		if object == none {
			return none
		}
		at := int(object) * t.width
		now := t.object(ids[at : at+t.width])
		t.about[now].facts |= about[object].facts & lasting
		return now
	}
	for object, a := range about {
		if a.facts&lasting != 0 {
			moved(uint32(object))
		}
	}
	return moved
}

// isEmptyTree tells whether an object is the tree without entries, which git knows even where it is not stored.
func (t *trees) isEmptyTree(object uint32) bool {
	switch t.hex(object) {
	case "4b825dc642cb6eb9a060e54bf8d69288fbee4904", "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321":
		return true
	}
	return false
}

// in returns the path of a name in a directory that is given by its own path.
func (t *trees) in(dir, name uint32) uint32 {
	part := pathPart{dir, name}
	n, known := t.paths.number(t.hashOfPath(part), func(n uint32) bool { return t.path[n+1] == part },
		func(n uint32) uint32 { return t.hashOfPath(t.path[n+1]) })
	if !known {
		t.path = append(t.path, part)
	}
	return n + 1 // behind the top
}

func (t *trees) hashOfPath(p pathPart) uint32 {
	var key [8]byte
	binary.LittleEndian.PutUint32(key[:], p.dir)
	binary.LittleEndian.PutUint32(key[4:], p.name)
	return t.hash(key[:])
}

// appendPath appends a path to b, as stored: any bytes but NUL.
func (t *trees) appendPath(b []byte, path uint32) []byte {
	p := t.path[path]
	if p.name == none {
		return b
	}
	if b = t.appendPath(b, p.dir); p.dir != 0 {
		b = append(b, '/')
	}
	return append(b, t.nameOf(p.name)...)
}

func (t *trees) pathOf(path uint32) string { return string(t.appendPath(nil, path)) }

// pathTo is the path that appendPath spells.
func (t *trees) pathTo(path string) uint32 {
	at := uint32(0)
	for name := range strings.SplitSeq(path, "/") {
		at = t.in(at, t.name([]byte(name)))
	}
	return at
}

// A table numbers things in the order in which they are met. It holds the numbers alone, with a part of each thing's hash, so that things
// that differ are seldom looked at. The things lie where their numbers lead.
type table struct {
	tags    []uint8 // of each slot the part of the hash; 0 is free
	numbers []uint32
	n       uint32
}

// number returns the number of the thing with the given hash that same recognises, or the next number if it is new. hashOf makes the
// hash of a thing again.
func (t *table) number(hash uint32, same func(number uint32) bool, hashOf func(number uint32) uint32) (number uint32, known bool) {
	if 4*int(t.n) >= 3*len(t.tags) {
		size := max(1024, 2*len(t.tags))
		t.tags, t.numbers = make([]uint8, size), make([]uint32, size)
		for n := range t.n {
			t.put(hashOf(n), n)
		}
	}
	mask, tag := uint32(len(t.tags)-1), tagOf(hash)
	for i := hash & mask; t.tags[i] != 0; i = (i + 1) & mask {
		if t.tags[i] == tag && same(t.numbers[i]) {
			return t.numbers[i], true
		}
	}
	t.put(hash, t.n)
	t.n++
	return t.n - 1, false
}

// put puts a number into the first free slot for a hash.
func (t *table) put(hash, number uint32) {
	mask := uint32(len(t.tags) - 1)
	i := hash & mask
	for t.tags[i] != 0 {
		i = (i + 1) & mask
	}
	t.tags[i], t.numbers[i] = tagOf(hash), number
}

// tagOf is a part of a hash that its slot does not tell, and not 0.
func tagOf(hash uint32) uint8 { return uint8(hash>>24) | 1 }

// size is the memory taken, in bytes.
func (t *table) size() int { return 5 * len(t.tags) }
