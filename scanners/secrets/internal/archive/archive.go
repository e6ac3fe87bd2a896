// Package archive opens what holds other files: archives, compressed streams, packages, office documents, databases. What a
// content is, its first bytes tell, never its name.
//
// Everything here is hostile input: sizes are believed only when the bytes have come, names are cleaned and never touch a
// disk, a decoder's panic is a [Problem], and memory, time, depth and number of members are bounded by [Limits].
package archive

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/leakreach/leakreach/inflate"
)

// A Member is something that lies in a container.
type Member struct {
	// Path leads to it: "outer.zip!dir/inner.tar!file". It is valid UTF-8 without control characters or "..".
	Path string
	// Content is lent during the visit. A member too large for memory is visited in overlapping windows, each with the same path.
	Content []byte
	// Depth counts the containers around it, 1 for a direct member.
	Depth int
	// Text marks text taken out of a document, where bytes of the document itself lie at other places, or names and comments of a container.
	Text bool
}

// A Problem is something that could not be looked at.
type Problem struct {
	What string // path as in [Member]
	Why  string
}

// Limits bound the work on one content.
type Limits struct {
	Depth       int   // containers inside each other
	Members     int   // visits
	MemberBytes int   // of one member in memory; larger ones are visited in windows and not opened, if they would have to be in memory for that
	TotalBytes  int64 // read from decoders and visited, in all
	Ratio       int64 // TotalBytes is not more than Ratio times the content, plus RatioFloor
	RatioFloor  int64
	Memory      int // buffers and dictionaries of all levels together
}

// DefaultLimits are far above what honest files need, and keep 42.zip to a fraction of a second.
func DefaultLimits() Limits {
	return Limits{
		Depth:       8,       // a jar in a war in an rpm in an image's layer in its tar are five
		Members:     200_000, // the files of a whole operating system
		MemberBytes: 24 << 20,
		TotalBytes:  1 << 30,  // an image of 100 MiB holds some 300 MiB
		Ratio:       200,      // sources and logs shrink 5 to 30 times, sparse ones 100 times
		RatioFloor:  64 << 20, // a log of one line again and again shrinks a thousand times
		Memory:      48 << 20, // with xz -9's 64 MiB dictionary cut down to the size of what it holds
	}
}

// Windows of a member too large for memory. The overlap is longer than any token or key.
const (
	window  = 1 << 20
	overlap = 8 << 10
)

// An Unpacker opens containers and keeps what it takes for the next one. The zero value is ready for use, in one goroutine at a time; a visit
// may use it again.
type Unpacker struct {
	inflater inflate.Decoder // used between visits
	spare    []byte          // for the next member; nil while it is lent
}

// maxSpare bounds the buffer that is kept: most members are smaller.
const maxSpare = 1 << 20

// buffer lends at least n bytes.
func (u *Unpacker) buffer(n int) []byte {
	if b := u.spare; cap(b) >= n {
		u.spare = nil
		return b[:n]
	}
	return make([]byte, n)
}

// keep takes a buffer back.
func (u *Unpacker) keep(b []byte) {
	if cap(b) <= maxSpare && cap(b) > cap(u.spare) {
		u.spare = b
	}
}

// Walk visits all that lies in content, which is called name, and returns what it could not look at. A content that is no container
// has no members and no problems. The content itself is not visited.
func (u *Unpacker) Walk(name string, content []byte, lim Limits, visit func(Member)) []Problem {
	k := sniff(content)
	if k == notContainer {
		return nil
	}
	w := &walker{Unpacker: u, lim: lim, visit: visit, left: min(lim.TotalBytes, lim.RatioFloor+lim.Ratio*int64(len(content))), memory: lim.Memory}
	w.open(k, place{path: clean(name), depth: 1}, &input{whole: content})
	return w.problems
}

// Kind returns what content is, such as "zip", or "" if it is no container that Walk opens.
func Kind(content []byte) string {
	if k := sniff(content); k != notContainer {
		return formats[k].name
	}
	return ""
}

// Sealed reports whether content has no readable text of its own beside what Walk visits: a tar or zip archive, a compressed
// stream. It is false for documents, such as databases with deleted rows, and for programs that an archive is appended to.
func Sealed(content []byte) bool {
	switch k := sniff(content); k {
	case notContainer, kindRar, kindCab, kindZ, kindLocked:
		return false
	case kindZip:
		return content[0] == 'P'
	case kindSevenzip:
		return content[0] == '7'
	default:
		return !formats[k].document
	}
}

type walker struct {
	*Unpacker
	lim      Limits
	visit    func(Member)
	members  int
	left     int64 // bytes
	memory   int   // bytes
	problems []Problem
}

// A place is where in the nest of containers something lies.
type place struct {
	path  string // of the container
	depth int    // of its members
}

func (p place) in(name string) string {
	if name = clean(name); name == "" {
		return p.path
	}
	if p.path == "" {
		return name
	}
	return p.path + "!" + name
}

// Errors that end a container early.
var (
	errLimit     = errors.New("expands to more than is read of one content")
	errMembers   = errors.New("has more members than are read of one content")
	errMemory    = errors.New("needs more memory to unpack than is given to it")
	errEncrypted = errors.New("encrypted")
	errCorrupt   = errors.New("corrupt")
)

// problem notes what went wrong at path.
func (w *walker) problem(path string, err error) {
	const most = 100 // of one content; more of them say nothing new
	switch {
	case err == nil || errors.Is(err, io.EOF):
	case len(w.problems) < most:
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("truncated")
		}
		w.problems = append(w.problems, Problem{path, printable(err.Error(), 200)})
	case len(w.problems) == most:
		w.problems = append(w.problems, Problem{path, "and further problems in the same content"})
	}
}

// open walks a container of kind k. It reports whether members were seen, so that what was none after all can be visited as it is.
func (w *walker) open(k kind, at place, in *input) (opened bool) {
	before := w.members
	func() {
		defer func() {
			if r := recover(); r != nil { // a decoder's bug, set off by hostile bytes
				w.problem(at.path, fmt.Errorf("reading %s: %w", formats[k].name, errCorrupt))
			}
		}()
		if err := k.walk(w, at, in); err != nil && !errors.Is(err, io.EOF) {
			if formats[k].sure || w.members > before || errors.Is(err, errEncrypted) {
				w.problem(at.path, fmt.Errorf("reading %s: %w", formats[k].name, err))
			}
			if formats[k].archive && w.members > before && !errors.Is(err, errLimit) && !errors.Is(err, errMembers) {
				w.problem(at.path, w.windows(at.path, at.depth, nil, in)) // what follows the broken place, as it is
			}
		}
	}()
	return w.members > before
}

// spend takes n bytes off what may be read.
func (w *walker) spend(n int) error {
	if w.left -= int64(n); w.left < 0 {
		return errLimit
	}
	return nil
}

// show visits a member's bytes.
func (w *walker) show(m Member) error {
	if len(m.Content) == 0 {
		return nil
	}
	if w.members++; w.members > w.lim.Members {
		return errMembers
	}
	w.visit(m)
	return nil
}

// member looks at one member of a container: it is opened if it is one itself, else visited. Its errors end the container only if
// they are limits.
func (w *walker) member(at place, name string, in *input) error {
	if w.left <= 0 {
		return errLimit
	}
	if w.members >= w.lim.Members {
		return errMembers
	}
	p := at.in(name)
	inner := place{p, at.depth + 1}
	k := sniff(in.peek())
	if k != notContainer && formats[k].streams && at.depth < w.lim.Depth {
		if w.open(k, inner, in) {
			return nil
		}
		// Not what it looked like: what is left of it is shown as it is.
	}
	if in.whole == nil {
		data, complete, release, err := w.load(in)
		defer release()
		w.problem(p, err)
		if !complete {
			if k != notContainer && !formats[k].streams {
				w.problem(p, fmt.Errorf("%s of more than %d MiB inside of another container is not opened", formats[k].name, len(data)>>20))
			}
			return w.windows(p, at.depth, data, in)
		}
		in = &input{whole: data}
		k = sniff(data) // the end of the data can tell, too
	} else if !in.paid {
		if err := w.spend(len(in.whole)); err != nil {
			return err
		}
	}
	data := in.whole
	raw := true
	if k != notContainer && at.depth < w.lim.Depth && !formats[k].streams {
		opened := w.open(k, inner, in)
		raw = formats[k].document || !opened
	} else if k != notContainer && at.depth >= w.lim.Depth {
		w.problem(p, fmt.Errorf("%s is nested deeper than %d containers", formats[k].name, w.lim.Depth))
	}
	if raw {
		return w.show(Member{Path: p, Content: data, Depth: at.depth})
	}
	return nil
}

// load reads a member into memory, as much as may be. The buffer is given back by release.
func (w *walker) load(in *input) (data []byte, complete bool, release func(), err error) {
	if in.whole != nil {
		return in.whole, true, func() {}, nil
	}
	most := max(min(w.lim.MemberBytes, w.memory-4*window), window) // if the levels above hold it all, a window only
	data = w.buffer(min(max(int(min(in.size, int64(most))), 4<<10), window) + 1)[:0]
	for err == nil && len(data) < most {
		if len(data) == cap(data) {
			n := 2 * cap(data)
			if n > most/2 { // else the last one would be held beside another of two thirds
				n = most
			}
			more := append(w.buffer(n)[:0], data...)
			w.keep(data)
			data = more
		}
		var n int
		n, err = in.Read(data[len(data):min(cap(data), most)])
		data = data[:len(data)+n]
	}
	complete = err != nil
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return data, complete, w.hold(data), err
}

// hold counts a buffer as held until release, which gives it back. What a spare one has beyond its content is not counted: what is left for other
// members must not depend on those before.
func (w *walker) hold(b []byte) (release func()) {
	n := len(b)
	if n > maxSpare {
		n = cap(b)
	}
	w.memory -= n
	return func() {
		w.memory += n
		w.keep(b)
	}
}

// inflate decompresses a whole deflate stream that is said to come to size bytes. It returns nil if it does not, or if that is too much to hold at once:
// then it is read as a stream, as far as that goes, and the error is that of the stream.
func (w *walker) inflate(src []byte, size uint64) (in *input, release func()) {
	const (
		ratio = 1032 // at most: a code of one bit each for a length, of 258 bytes, and a distance
		part  = 6    // of the memory: two levels leave room for a third one that zstd -19 has made, with a window of 8 MiB
	)
	if size == 0 || size > ratio*uint64(len(src)) || size > uint64(max(0, min(w.lim.MemberBytes, w.memory/part))) || int64(size) > w.left/2 {
		return nil, nil
	}
	buf := w.buffer(int(size) + inflate.Slack)
	data := buf[:size]
	if used, err := w.inflater.Deflate(data, src); err != nil || used < len(src) {
		w.keep(buf)
		return nil, nil
	}
	w.left -= int64(size)
	return &input{whole: data, paid: true}, w.hold(buf)
}

// windows visits a member that does not fit: head was read, in has the rest.
func (w *walker) windows(p string, depth int, head []byte, in *input) error {
	for lo := 0; lo < len(head); lo += window - overlap {
		if err := w.show(Member{Path: p, Content: head[lo:min(lo+window, len(head))], Depth: depth}); err != nil {
			return err
		}
	}
	buf := append(make([]byte, 0, window), head[max(len(head)-overlap, 0):]...)
	for {
		n, err := fill(in, buf[len(buf):window])
		if n > 0 {
			if err := w.show(Member{Path: p, Content: buf[:len(buf)+n], Depth: depth}); err != nil {
				return err
			}
		}
		if err != nil {
			w.problem(p, err)
			return nil
		}
		buf = append(buf[:0], buf[window-overlap:window]...)
	}
}

// text visits text taken out of a document.
func (w *walker) text(at place, name string, text []byte) error {
	if err := w.spend(len(text)); err != nil {
		return err
	}
	return w.show(Member{Path: at.in(name), Content: text, Depth: at.depth, Text: true})
}

// expand walks what a decoder makes of a stream. It may use up half of what is left, so that there always is something left for
// what comes after a bomb.
func (w *walker) expand(at place, name string, r io.Reader) error {
	return w.expanded(at, name, &input{r: &meter{w: w, r: r, left: w.left/2 + 1}})
}

// expanded walks what was compressed.
func (w *walker) expanded(at place, name string, in *input) error {
	// A compressed archive is one container, not two.
	if k := sniff(in.peek()); k != notContainer && formats[k].archive && w.open(k, at, in) {
		return nil
	}
	return w.member(at, name, in)
}

// A meter counts a decoder's output.
type meter struct {
	w    *walker
	r    io.Reader
	left int64
}

func (m *meter) Read(p []byte) (n int, err error) {
	defer func() {
		if r := recover(); r != nil {
			n, err = 0, errCorrupt
		}
	}()
	if m.left <= 0 || m.w.left <= 0 {
		return 0, errLimit
	}
	n, err = m.r.Read(p[:min(int64(len(p)), m.left)])
	m.left -= int64(n)
	m.w.left -= int64(n)
	return n, err
}

// notes gathers short texts, one a line: names, comments and link targets of an archive's members, strings of a program.
type notes struct {
	w    *walker
	at   place
	text []byte
}

func (n *notes) add(s string) {
	if s == "" {
		return
	}
	n.text = append(append(n.text, s...), '\n')
	if len(n.text) >= 64<<10 {
		n.flush()
	}
}

func (n *notes) flush() {
	if len(n.text) > 0 && n.w.spend(len(n.text)) == nil {
		n.w.visit(Member{Path: n.at.path, Content: n.text, Depth: n.at.depth, Text: true})
	}
	n.text = n.text[:0]
}

// An input is a container's bytes: either whole in memory, or to be read.
type input struct {
	whole []byte
	paid  bool // whole is taken off what may be read
	r     io.Reader
	size  int64 // as far as known; to be believed only when seen

	head []byte // read ahead
	err  error  // that came after head
	off  int    // in whole
}

// peekBytes is what sniffing needs: a tar header and the beginning of the next.
const peekBytes = 1 << 10

// peek returns the first bytes, or all of what is in memory.
func (in *input) peek() []byte {
	if in.whole != nil {
		return in.whole
	}
	if in.head == nil {
		in.head = make([]byte, peekBytes)
		var n int
		n, in.err = fill(in.r, in.head)
		in.head = in.head[:n]
	}
	return in.head
}

// fill reads until p is full, and unlike [io.ReadFull] leaves the reader's error as it is: a truncated stream says so.
func fill(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = r.Read(p[n:])
		n += k
	}
	if n == len(p) {
		err = nil
	}
	return n, err
}

// Read implements [io.Reader].
func (in *input) Read(p []byte) (int, error) {
	if in.whole != nil {
		if in.off >= len(in.whole) {
			return 0, io.EOF
		}
		n := copy(p, in.whole[in.off:])
		in.off += n
		return n, nil
	}
	if len(in.head) > 0 {
		n := copy(p, in.head)
		in.head = in.head[n:]
		return n, nil
	}
	if in.err != nil {
		return 0, in.err
	}
	return in.r.Read(p)
}

// section returns the next n bytes, in memory if all is. They must be used before the input is read further; rest reads what was not used.
func (in *input) section(n int64) (part *input, rest func() error) {
	if in.whole != nil {
		lo := min(in.off, len(in.whole))
		hi := len(in.whole)
		if n < int64(hi-lo) {
			hi = lo + int(max(n, 0))
		}
		in.off = hi
		return &input{whole: in.whole[lo:hi:hi], paid: in.paid}, func() error {
			if int64(hi-lo) < n {
				return io.ErrUnexpectedEOF
			}
			return nil
		}
	}
	lr := &io.LimitedReader{R: in, N: n}
	return &input{r: lr, size: n}, func() error {
		_, err := io.Copy(io.Discard, lr)
		if err == nil && lr.N > 0 {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
}

// skip goes over n bytes.
func (in *input) skip(n int64) error {
	_, rest := in.section(n)
	return rest()
}

// read fills p.
func (in *input) read(p []byte) error {
	_, err := io.ReadFull(in, p)
	return err
}

// clean makes a name from a container fit for a path that is shown: no way up, no control characters, of bounded length.
func clean(name string) string {
	const longest = 512
	name = strings.ReplaceAll(printable(name, 4*longest), `\`, "/")
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if len(name) > longest { // the end tells more
		cut := len(name) - longest
		for cut < len(name) && !utf8.RuneStart(name[cut]) {
			cut++
		}
		name = "…" + name[cut:]
	}
	return name
}

// printable replaces what a terminal would act on.
func printable(s string, most int) string {
	if len(s) > most {
		s = s[len(s)-most:]
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '\ufffd'
		}
		return r
	}, s)
}
