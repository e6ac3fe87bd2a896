package archive

import (
	"bytes"
	"encoding/ascii85"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"unicode/utf16"

	"github.com/klauspost/compress/zlib"

	"github.com/leakreach/leakreach/internal/lazyregexp"
)

// PDF (ISO 32000-1). Objects are found by looking for them rather than by the cross-reference table, which hostile and damaged
// files have wrong, and which hides objects of former revisions.

// A pdf is a document being read.
type pdf struct {
	w     *walker
	at    place
	b     []byte
	cmaps map[int]cmap     // by number of the font object
	fonts map[string][]int // font objects by the names that pages use
	text  []byte
}

// A cmap leads from character codes to text (9.10.3).
type cmap struct {
	width int // bytes of a code
	to    map[uint32]string
}

var (
	pdfObject    = lazyregexp.New(`(\d{1,9})\s+\d{1,5}\s*$`)
	pdfFilter    = lazyregexp.New(`/(FlateDecode|Fl|ASCII85Decode|A85|ASCIIHexDecode|AHx|LZWDecode|LZW|RunLengthDecode|RL|DCTDecode|JPXDecode|CCITTFaxDecode|JBIG2Decode|Crypt)\b`)
	pdfLength    = lazyregexp.New(`/Length\s+(\d{1,10})(?:\s|/|>)`)
	pdfToUnicode = lazyregexp.New(`/ToUnicode\s+(\d{1,9})\s+\d{1,5}\s+R`)
	pdfFonts     = lazyregexp.New(`/([^\s/<>\[\]()]{1,64})\s+(\d{1,9})\s+\d{1,5}\s+R`)
	pdfObjStm    = lazyregexp.New(`/Type\s*/ObjStm\b`)
	pdfImage     = lazyregexp.New(`/Subtype\s*/Image\b|/FontFile|/Length1\b|/Type\s*/XRef\b`)
	pdfFirst     = lazyregexp.New(`/First\s+(\d{1,9})`)
	pdfEncrypt   = lazyregexp.New(`/Encrypt\s+(?:\d{1,9}\s+\d{1,5}\s+R|<<)`)
	pdfPredictor = lazyregexp.New(`/Predictor\s+(\d+)`)
	pdfFile      = lazyregexp.New(`/Type\s*/EmbeddedFile\b`)
)

const (
	pdfObjects   = 200_000 // objects looked at
	pdfMost      = 8 << 20 // of one stream that is text; longer ones are images
	pdfDict      = 1 << 20 // of a dictionary
	pdfCmapMost  = 70_000  // codes of one font: 16 bits
	pdfCmapsMost = 400_000 // codes of all fonts
)

func walkPdf(w *walker, at place, in *input) error {
	p := &pdf{w: w, at: at, b: in.whole, cmaps: map[int]cmap{}, fonts: map[string][]int{}}
	if pdfEncrypt().Match(p.b) {
		return errEncrypted
	}
	// First what later objects are needed for: fonts, and objects inside of streams.
	toUnicode := map[int]int{}
	err := p.objects(func(num int, dict, stream []byte) error {
		p.dictionary(num, dict, toUnicode)
		if stream == nil || !pdfObjStm().Match(dict) {
			return nil
		}
		data, done := p.decode(dict, stream)
		defer done()
		p.packed(dict, data, toUnicode)
		return nil
	})
	if err != nil {
		return err
	}
	needed := map[int][]int{}
	for font, cm := range toUnicode {
		needed[cm] = append(needed[cm], font)
	}
	codes := 0
	_ = p.objects(func(num int, dict, stream []byte) error {
		if fonts := needed[num]; fonts != nil && stream != nil && codes < pdfCmapsMost {
			data, done := p.decode(dict, stream)
			defer done()
			cm := readCmap(data)
			codes += len(cm.to)
			for _, f := range fonts {
				p.cmaps[f] = cm
			}
		}
		return nil
	})
	n := 0
	err = p.objects(func(num int, dict, stream []byte) error {
		if stream == nil || pdfImage().Match(dict) || needed[num] != nil || pdfObjStm().Match(dict) {
			return nil
		}
		data, done := p.decode(dict, stream)
		defer done()
		n++
		if pdfFile().Match(dict) {
			return w.member(at, fmt.Sprintf("file %d", num), &input{whole: data})
		}
		if bytes.Contains(data, []byte("BT")) && (bytes.Contains(data, []byte("Tj")) || bytes.Contains(data, []byte("TJ")) || bytes.ContainsAny(data, `'"`)) {
			p.content(data)
		} else if pdfFilter().Match(dict) && len(data) > 0 {
			if err := p.flush(0); err != nil {
				return err
			}
			return w.text(at, "", data) // metadata, scripts
		}
		return p.flush(64 << 10)
	})
	if err != nil {
		return err
	}
	return p.flush(0)
}

// flush visits the text gathered, if there is more than most.
func (p *pdf) flush(most int) error {
	if len(p.text) <= most {
		return nil
	}
	err := p.w.text(p.at, "", p.text)
	p.text = append(p.text[:0], p.text[max(0, len(p.text)-min(most, overlap)):]...)
	return err
}

// objects calls f for each object with its dictionary or other value, and its stream, nil if it has none.
func (p *pdf) objects(f func(num int, dict, stream []byte) error) error {
	b := p.b
	for n := 0; ; n++ {
		i, num := nextObject(b)
		if i < 0 {
			return nil
		}
		if n == pdfObjects {
			return errMembers
		}
		if p.w.left <= 0 {
			return errLimit
		}
		b = b[i:]
		end := bytes.Index(b, []byte("endobj"))
		if end < 0 {
			end = len(b)
		}
		dict, stream := b[:end], []byte(nil)
		if i := streamAt(dict); i >= 0 && bytes.Contains(dict[:i], []byte("<<")) {
			dict = b[:i]
			stream = b[i+len("stream"):]
			stream = bytes.TrimPrefix(bytes.TrimPrefix(stream, []byte("\r")), []byte("\n"))
			length := -1
			if m := pdfLength().FindSubmatch(dict); m != nil {
				length, _ = strconv.Atoi(string(m[1]))
			}
			// A length that does not lead to the end, such as one in an object of its own, is not believed.
			if length < 0 || length > len(stream) || !bytes.HasPrefix(bytes.TrimLeft(stream[length:min(length+20, len(stream))], "\r\n "), []byte("endstream")) {
				length = bytes.Index(stream, []byte("endstream"))
			}
			if length < 0 {
				length = len(stream)
			}
			end = len(b) - len(stream) + length
			stream = stream[:length]
		}
		if err := f(num, dict[:min(len(dict), pdfDict)], stream); err != nil {
			return err
		}
		b = b[end:]
	}
}

// streamAt returns where the keyword that ends a dictionary stands, or -1. Names may hold it: fonts are called Bitstream.
func streamAt(b []byte) int {
	for from := 0; ; {
		i := bytes.Index(b[from:], []byte("stream"))
		if i < 0 {
			return -1
		}
		i += from
		from = i + len("stream")
		if i > 0 && (b[i-1] == '>' || b[i-1] <= ' ') && from < len(b) && b[from] <= ' ' {
			return i
		}
	}
}

// nextObject returns where the next "12 0 obj" ends, and its number, or -1.
func nextObject(b []byte) (end, num int) {
	const longest = 24 // two numbers, blanks
	for from := 0; ; {
		i := bytes.Index(b[from:], []byte("obj"))
		if i < 0 {
			return -1, 0
		}
		i += from
		from = i + len("obj")
		if m := pdfObject().FindSubmatch(b[max(i-longest, 0):i]); m != nil {
			num, _ = strconv.Atoi(string(m[1]))
			return from, num
		}
	}
}

// dictionary takes fonts and strings out of an object.
func (p *pdf) dictionary(num int, dict []byte, toUnicode map[int]int) {
	const fonts = 4096
	if m := pdfToUnicode().FindSubmatch(dict); m != nil && len(toUnicode) < fonts {
		toUnicode[num], _ = strconv.Atoi(string(m[1]))
	}
	for _, m := range pdfFonts().FindAllSubmatch(dict, fonts) {
		const sameName = 8 // fonts of one name in different pages
		name := string(m[1])
		font, _ := strconv.Atoi(string(m[2]))
		if l := p.fonts[name]; len(l) < sameName && !slices.Contains(l, font) && len(p.fonts) < fonts {
			p.fonts[name] = append(l, font)
		}
	}
	for t := (lexer{b: dict}); t.next(); {
		if t.kind == '(' && len(t.str) > 0 {
			p.text = append(append(p.text, plainString(t.str)...), '\n')
		}
	}
	_ = p.flush(64 << 10)
}

// packed reads the objects of an object stream (7.5.7).
func (p *pdf) packed(dict, data []byte, toUnicode map[int]int) {
	m := pdfFirst().FindSubmatch(dict)
	if m == nil {
		return
	}
	first, _ := strconv.Atoi(string(m[1]))
	if first > len(data) {
		return
	}
	fields := bytes.Fields(data[:first])
	for i := 0; i+1 < len(fields); i += 2 {
		num, _ := strconv.Atoi(string(fields[i]))
		lo, _ := strconv.Atoi(string(fields[i+1]))
		hi := len(data) - first
		if i+3 < len(fields) {
			hi, _ = strconv.Atoi(string(fields[i+3]))
		}
		if lo >= 0 && lo <= hi && hi <= len(data)-first {
			p.dictionary(num, data[first+lo:first+hi], toUnicode)
		}
	}
}

// decode undoes a stream's filters (7.4).
func (p *pdf) decode(dict, stream []byte) (data []byte, done func()) {
	var r io.Reader = bytes.NewReader(stream)
	for _, f := range pdfFilter().FindAllSubmatch(dict, 8) {
		switch string(f[1]) {
		case "FlateDecode", "Fl":
			z, err := zlib.NewReader(r)
			if err != nil {
				return nil, func() {}
			}
			r = z
		case "ASCII85Decode", "A85":
			b, _ := io.ReadAll(io.LimitReader(&meter{w: p.w, r: r, left: pdfMost}, pdfMost))
			b = bytes.TrimPrefix(bytes.TrimSpace(b), []byte("<~"))
			if i := bytes.Index(b, []byte("~>")); i >= 0 {
				b = b[:i]
			}
			r = ascii85.NewDecoder(bytes.NewReader(b))
		case "ASCIIHexDecode", "AHx":
			b, _ := io.ReadAll(io.LimitReader(&meter{w: p.w, r: r, left: pdfMost}, pdfMost))
			r = bytes.NewReader(hexString(b))
		case "LZWDecode", "LZW":
			b, _ := io.ReadAll(io.LimitReader(&meter{w: p.w, r: r, left: pdfMost}, pdfMost))
			r = bytes.NewReader(unLzw(b))
		case "RunLengthDecode", "RL":
			b, _ := io.ReadAll(io.LimitReader(&meter{w: p.w, r: r, left: pdfMost}, pdfMost))
			r = bytes.NewReader(runLength(b))
		default:
			return nil, func() {} // an image, or encrypted
		}
	}
	if m := pdfPredictor().FindSubmatch(dict); m != nil && string(m[1]) != "1" {
		return nil, func() {} // only tables and images have rows
	}
	data, _, done, err := p.w.load(&input{r: &meter{w: p.w, r: r, left: pdfMost}})
	if errors.Is(err, errLimit) { // other errors only cut a stream short
		p.w.problem(p.at.path, fmt.Errorf("a stream %w", err))
	}
	return data, done
}

// unLzw undoes LZWDecode (7.4.4): as in TIFF, codes grow one early.
func unLzw(b []byte) (out []byte) {
	const clear, eod, first = 256, 257, 258
	type entry struct {
		lo, hi int // in out
	}
	table := make([]entry, first, 4096)
	var acc uint32
	n, width := 0, 9
	for _, c := range b {
		acc, n = acc<<8|uint32(c), n+8
		if n < width {
			continue
		}
		n -= width
		code := int(acc >> n & (1<<width - 1))
		if code == eod || len(out) > pdfMost {
			return out
		}
		if code == clear {
			table, width = table[:first], 9
			continue
		}
		lo := len(out)
		switch {
		case code < clear:
			out = append(out, byte(code))
		case code < len(table):
			out = append(out, out[table[code].lo:table[code].hi]...)
		default:
			return out
		}
		// The next entry is this text and the byte that follows it, which comes to stand behind it.
		if len(table) < 4096 {
			table = append(table, entry{lo, len(out) + 1})
		}
		width = 9
		for width < 12 && len(table) >= 1<<width {
			width++
		}
	}
	return out
}

func runLength(b []byte) (out []byte) {
	for len(b) > 1 && len(out) < pdfMost {
		n := int(b[0])
		switch {
		case n == 128:
			return out
		case n < 128:
			n = min(n+1, len(b)-1)
			out = append(out, b[1:1+n]...)
			b = b[1+n:]
		default:
			out = append(out, bytes.Repeat(b[1:2], 257-n)...)
			b = b[2:]
		}
	}
	return out
}

// hexString decodes hexadecimal digits up to ">", whatever is between them.
func hexString(b []byte) []byte {
	digits := make([]byte, 0, len(b)+1)
	for _, c := range b {
		if c == '>' {
			break
		}
		if c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f' {
			digits = append(digits, c)
		}
	}
	if len(digits)%2 == 1 {
		digits = append(digits, '0')
	}
	n, _ := hex.Decode(digits, digits)
	return digits[:n]
}

// plainString reads a text string (7.9.2.2): UTF-16 with a mark, else bytes.
func plainString(s []byte) []byte {
	if len(s) < 2 || s[0] != 0xfe || s[1] != 0xff {
		return s
	}
	u := make([]uint16, 0, len(s)/2)
	for s = s[2:]; len(s) >= 2; s = s[2:] {
		u = append(u, uint16(s[0])<<8|uint16(s[1]))
	}
	return []byte(string(utf16.Decode(u)))
}

// A lexer splits content streams and objects into tokens (7.2).
type lexer struct {
	b    []byte
	kind byte   // '(' string, 'x' a word or number, else the delimiter itself
	str  []byte // of strings, decoded; of words
	hex  bool
}

func (t *lexer) next() bool {
	for len(t.b) > 0 && (t.b[0] <= ' ') {
		t.b = t.b[1:]
	}
	if len(t.b) == 0 {
		return false
	}
	switch c := t.b[0]; c {
	case '%':
		n := bytes.IndexAny(t.b, "\r\n")
		if n < 0 {
			return false
		}
		t.b = t.b[n:]
		return t.next1()
	case '(':
		t.literal()
	case '<':
		if len(t.b) > 1 && t.b[1] == '<' {
			t.kind, t.str, t.b = '{', nil, t.b[2:]
			return true
		}
		n := bytes.IndexByte(t.b, '>')
		if n < 0 {
			n = len(t.b) - 1
		}
		t.kind, t.hex, t.str, t.b = '(', true, hexString(t.b[1:n+1]), t.b[n+1:]
	case '>', ')', ']', '[', '{', '}':
		t.kind, t.str, t.b = c, nil, t.b[1:]
	default:
		n := 1
		for n < len(t.b) && t.b[n] > ' ' && bytes.IndexByte([]byte("()<>[]{}/%"), t.b[n]) < 0 {
			n++
		}
		t.kind, t.str, t.b = 'x', t.b[:n], t.b[n:]
	}
	return true
}

// next1 is next after a comment; many comments must not recurse.
func (t *lexer) next1() bool {
	t.kind, t.str = '%', nil
	return len(t.b) > 0
}

// literal reads a string in parentheses (7.3.4.2).
func (t *lexer) literal() {
	var out []byte
	depth, i := 1, 1
	for ; i < len(t.b) && depth > 0; i++ {
		switch c := t.b[i]; c {
		case '(':
			depth++
			out = append(out, c)
		case ')':
			if depth--; depth > 0 {
				out = append(out, c)
			}
		case '\\':
			i++
			if i == len(t.b) {
				break
			}
			switch e := t.b[i]; {
			case e == 'n':
				out = append(out, '\n')
			case e == 'r':
				out = append(out, '\r')
			case e == 't':
				out = append(out, '\t')
			case e >= '0' && e <= '7':
				v := 0
				k := i
				for ; k < i+3 && k < len(t.b) && t.b[k] >= '0' && t.b[k] <= '7'; k++ {
					v = v<<3 | int(t.b[k]-'0')
				}
				i = k - 1
				out = append(out, byte(v))
			case e == '\r' || e == '\n':
				if e == '\r' && i+1 < len(t.b) && t.b[i+1] == '\n' {
					i++
				}
			default:
				out = append(out, e)
			}
		default:
			out = append(out, c)
		}
	}
	t.kind, t.hex, t.str, t.b = '(', false, out, t.b[min(i, len(t.b)):]
}

// content adds the text that a content stream shows (9.4). Where the same font name stands for several fonts, it is read with each.
func (p *pdf) content(data []byte) {
	before := len(p.text)
	again, placed := p.show(data, 0, false)
	for k := 1; again && k < 4; k++ {
		if len(p.text)-before > pdfMost {
			return
		}
		again, _ = p.show(data, k, false)
	}
	if placed && len(p.text)-before <= pdfMost {
		p.show(data, 0, true)
	}
}

// show reads the stream with the k-th font of each name, and reports whether there are more, and whether pieces of a line are placed one by
// one: words in some documents, and letters or parts of words in others. They stand apart, or together if that is asked for.
func (p *pdf) show(data []byte, k int, together bool) (more, placed bool) {
	// A wider gap inside of an array is a blank between words, in thousandths of the font's size; kerning is far less.
	const blank = -270
	pen := pen{scale: 1}
	var font cmap
	var strs [][]byte
	var nums []float64
	var name []byte
	inArray := false
	put := func(s []byte) {
		if font.to == nil {
			p.text = append(p.text, plainString(s)...)
			pen.shown += len(s)
			return
		}
		pen.shown += len(s) / font.width
		for ; len(s) >= font.width; s = s[font.width:] {
			code := uint32(0)
			for _, c := range s[:font.width] {
				code = code<<8 | uint32(c)
			}
			p.text = append(p.text, font.to[code]...)
		}
	}
	line := func() {
		if n := len(p.text); n > 0 && p.text[n-1] != '\n' {
			p.text = append(p.text, '\n')
		}
	}
	for t := (lexer{b: data}); t.next(); {
		switch t.kind {
		case '(':
			strs = append(strs, t.str)
		case '[':
			inArray, strs = true, strs[:0]
		case ']':
			inArray = false
		case 'x':
			if c := t.str[0]; c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' {
				v, _ := strconv.ParseFloat(string(t.str), 64)
				nums = append(nums, v)
				if inArray && v < blank {
					strs = append(strs, []byte(" "))
				}
				if len(nums) > 64 {
					nums = nums[32:]
				}
				continue
			}
			if t.str[0] == '/' {
				name = t.str[1:]
				continue
			}
			switch string(t.str) {
			case "Tf":
				fonts := p.fonts[string(name)]
				font = cmap{}
				if n := len(nums); n > 0 {
					pen.size = nums[n-1]
				}
				if len(fonts) > 0 {
					font = p.cmaps[fonts[min(k, len(fonts)-1)]]
					more = more || k+1 < len(fonts)
				}
			case "Tj", "TJ":
				for _, s := range strs {
					if font.to != nil && len(s) == 1 && s[0] == ' ' && font.width == 2 {
						p.text = append(p.text, ' ')
						continue
					}
					put(s)
				}
			case "'", "\"":
				line()
				for _, s := range strs {
					put(s)
				}
			case "BT":
				pen.begin()
			case "Td", "TD":
				near := pen.move(nums)
				placed = placed || near
				switch n := len(nums); {
				case near && together:
				case n >= 2 && nums[n-1] == 0:
					p.text = append(p.text, ' ')
				default:
					line()
				}
			case "Tm":
				near := pen.place(nums)
				if placed = placed || near; !near || !together {
					line()
				}
			case "ET":
				if !together { // another piece of the line may follow
					line()
				}
			case "T*":
				pen.shown = 0
				line()
			case "BI": // an inline image: its bytes are no tokens
				if i := bytes.Index(t.b, []byte("EI")); i >= 0 {
					t.b = t.b[i+2:]
				}
			}
			strs, nums = strs[:0], nums[:0]
		}
	}
	line()
	return more, placed
}

// A pen is where text is shown: what begins at from, in the coordinates of the page, has shown so many characters.
type pen struct {
	x, y        float64 // of the line, as it was set last
	from        [2]float64
	size, scale float64
	shown       int
}

func (p *pen) begin() { p.x, p.y, p.scale = 0, 0, 1 }

// move does what Td does, and place what Tm does (9.4.2). They report whether what follows goes on where the last text ends.
func (p *pen) move(nums []float64) (near bool) {
	n := len(nums)
	if n < 2 {
		return false
	}
	p.x, p.y = p.x+nums[n-2]*p.scale, p.y+nums[n-1]*p.scale
	return p.set()
}

func (p *pen) place(nums []float64) (near bool) {
	n := len(nums)
	if n < 6 {
		return false
	}
	p.x, p.y, p.scale = nums[n-2], nums[n-1], max(nums[n-6], -nums[n-6])
	return p.set()
}

// set puts the pen down. The widths of characters are not known: half of the size is usual, and few are wider than these bounds together.
func (p *pen) set() (near bool) {
	const perCharacter, more = 0.72, 0.4 // of the size
	width := p.x - p.from[0]
	near = p.shown > 0 && p.y == p.from[1] && width > 0 && width <= (perCharacter*float64(p.shown)+more)*p.size*p.scale
	p.from, p.shown = [2]float64{p.x, p.y}, 0
	return near
}

// readCmap reads the mappings of a ToUnicode stream.
func readCmap(data []byte) cmap {
	cm := cmap{width: 1, to: map[uint32]string{}}
	code := func(b []byte) (v uint32) {
		for _, c := range b[:min(len(b), 4)] {
			v = v<<8 | uint32(c)
		}
		return v
	}
	text := func(b []byte) string { return string(plainString(append([]byte{0xfe, 0xff}, b...))) }
	var strs [][]byte
	var array [][]byte
	inRange, inChar, inArray := false, false, false
	for t := (lexer{b: data}); t.next() && len(cm.to) < pdfCmapMost; {
		switch {
		case t.kind == 'x':
			switch string(t.str) {
			case "begincodespacerange":
				strs = strs[:0] // the registry's name and the like stand before it
			case "beginbfchar":
				inChar, strs = true, strs[:0]
			case "beginbfrange":
				inRange, strs = true, strs[:0]
			case "endbfchar", "endbfrange":
				inChar, inRange = false, false
			case "endcodespacerange":
				if len(strs) > 0 {
					cm.width = max(1, min(4, len(strs[0])))
				}
			}
		case t.kind == '[':
			inArray, array = true, array[:0]
		case t.kind == ']':
			inArray = false
			if inRange && len(strs) == 2 {
				for i, s := range array {
					cm.to[code(strs[0])+uint32(i)] = text(s)
				}
				strs = strs[:0]
			}
		case t.kind == '(' && inArray:
			array = append(array, t.str)
		case t.kind == '(':
			strs = append(strs, t.str)
			if inChar && len(strs) == 2 {
				cm.to[code(strs[0])] = text(strs[1])
				strs = strs[:0]
			}
			if inRange && len(strs) == 3 {
				lo, hi, dst := code(strs[0]), code(strs[1]), strs[2]
				for c := lo; c <= hi && c-lo < 0x10000 && len(dst) > 0 && len(cm.to) < pdfCmapMost; c++ {
					cm.to[c] = text(dst)
					dst = slices.Clone(dst)
					if dst[len(dst)-1]++; dst[len(dst)-1] == 0 && len(dst) > 1 {
						dst[len(dst)-2]++
					}
				}
				strs = strs[:0]
			}
		}
	}
	return cm
}
