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
// name stands in many of them, so objects, names and entries are numbered when they are first met and a directory is a list of
// numbers: 150,000 directories with 3 million entries take 40 MB. Equal numbers are equal entries: comparing two versions is
// comparing integers.
//
// They are for one goroutine.
type trees struct {
	width int // of an object id in bytes
	limit int // of their memory, in bytes
	seed  maphash.Seed
	load  func(id string) (content []byte, err error) // reads a tree that did not pass by; nil if all that there are did

	objects table
	ids     []byte  // of objects, one after the other
	about   []about // what is known of them

	names table
	text  []byte   // all names, one after the other
	ends  []uint32 // where each ends in text

	entries table
	entry   []treeEntry
	next    []uint32 // of each entry, the one that stood behind it last; none if not in order

	lists  [][]uint32 // the entries of each tree
	chunk  []uint32   // free room for lists
	listed int        // entries in lists

	paths   table
	path    []pathPart
	dropped int // trees that there was no room for
}

// about is what is known of an object.
type about struct {
	list  uint32 // number of a tree's list
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

// maxTrees bounds the memory that trees take, in bytes: some 3 million objects, five times those of a project with 70,000 commits. With
// it do three eighths of the memory, the largest share: trees stay until the listing ends.
const maxTrees = 384 << 20

func (r *Repository) treeMemory() int { return 3 * int(r.memory.Share(8, maxTrees/3)) }

func newTrees(width, limit int) *trees {
	return &trees{width: width, limit: limit, seed: maphash.MakeSeed(), path: []pathPart{{none, none}}}
}

// size is the memory taken, in bytes; tables grow to twice of what they hold.
func (t *trees) size() int {
	return len(t.ids) + 8*len(t.about) + len(t.text) + 4*len(t.ends) + 16*len(t.entry) + 24*len(t.lists) + 4*t.listed +
		8*(len(t.objects.slots)+len(t.names.slots)+len(t.entries.slots))
}

// object returns the number of an object, given by its id in binary.
func (t *trees) object(id []byte) uint32 {
	n, known := t.objects.number(t.hash(id), func(n uint32) bool { return bytes.Equal(t.id(n), id) })
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
	list, whole := t.parse(content)
	a := &t.about[object] // parse may have moved it
	a.list, a.facts = uint32(len(t.lists)), a.facts|isTree
	if !whole {
		a.facts |= isPartial
	}
	t.lists = append(t.lists, list)
}

// chunkSize is how many numbers lists get room for at once.
const chunkSize = 1 << 16

// parse reads "MODE NAME\0" and a binary id, entry after entry, as far as they are well formed. The list is sorted as git sorts
// it, also where the tree is not.
func (t *trees) parse(content []byte) (list []uint32, whole bool) {
	least := len("40000 x\x00") + t.width // a shorter entry is possible, and makes the list move once
	if want := len(content)/least + 1; cap(t.chunk)-len(t.chunk) < want {
		t.chunk = make([]uint32, 0, max(chunkSize, want))
	}
	list = t.chunk[len(t.chunk):]
	sorted, before := true, none
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
	if n := len(t.chunk) + len(list); n <= cap(t.chunk) {
		t.chunk = t.chunk[:n]
	}
	t.listed += len(list)
	return slices.Clip(list), len(content) == 0
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
	number, known := t.entries.number(t.hash(key)^uint32(kind), func(n uint32) bool { return t.isAt(key, n, kind) })
	if known {
		return number, i + len(key)
	}
	e, next := treeEntry{object: t.object(key[length+1:]), kind: kind}, none
	if guess != none && t.entry[guess].kind == kind && bytes.Equal(t.nameOf(t.entry[guess].name), key[:length]) {
		e.name, next = t.entry[guess].name, t.next[guess] // a new version of it
	} else {
		e.name = t.name(key[:length])
	}
	t.entry, t.next = append(t.entry, e), append(t.next, next)
	return number, i + len(key)
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
	n, known := t.names.number(t.hash(name), func(n uint32) bool { return bytes.Equal(t.nameOf(n), name) })
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

// list returns the entries of a tree. whole is false if some or all of them are not known.
func (t *trees) list(object uint32) (list []uint32, whole bool) {
	a := &t.about[object]
	if a.facts&(isTree|isTried) == 0 && t.load != nil && !t.isEmptyTree(object) {
		a.facts |= isTried
		content, err := t.load(t.hex(object))
		if err == nil {
			t.add(t.hex(object), content)
		}
		a = &t.about[object]
	}
	if a.facts&isTree == 0 {
		return nil, t.isEmptyTree(object)
	}
	return t.lists[a.list], a.facts&isPartial == 0
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
	var key [8]byte
	binary.LittleEndian.PutUint32(key[:], dir)
	binary.LittleEndian.PutUint32(key[4:], name)
	n, known := t.paths.number(t.hash(key[:]), func(n uint32) bool { return t.path[n+1] == pathPart{dir, name} })
	if !known {
		t.path = append(t.path, pathPart{dir, name})
	}
	return n + 1 // behind the top
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

// A table numbers things in the order in which they are met. It holds the numbers alone, with half of each thing's hash, so that
// things that differ are seldom looked at and none is when the table grows. The things lie where their numbers lead.
type table struct {
	slots []uint64 // hash and number+1; 0 is free
	n     uint32
}

// number returns the number of the thing with the given hash that same recognises, or the next number if it is new.
func (t *table) number(hash uint32, same func(number uint32) bool) (number uint32, known bool) {
	if 4*int(t.n) >= 3*len(t.slots) {
		t.grow()
	}
	mask := uint32(len(t.slots) - 1)
	i := hash & mask
	for ; t.slots[i] != 0; i = (i + 1) & mask {
		if n := uint32(t.slots[i]) - 1; uint32(t.slots[i]>>32) == hash && same(n) {
			return n, true
		}
	}
	t.n++
	t.slots[i] = uint64(hash)<<32 | uint64(t.n)
	return t.n - 1, false
}

func (t *table) grow() {
	old := t.slots
	t.slots = make([]uint64, max(1024, 2*len(old)))
	mask := uint32(len(t.slots) - 1)
	for _, slot := range old {
		if slot == 0 {
			continue
		}
		i := uint32(slot>>32) & mask
		for t.slots[i] != 0 {
			i = (i + 1) & mask
		}
		t.slots[i] = slot
	}
}
