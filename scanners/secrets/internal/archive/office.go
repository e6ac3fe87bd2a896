package archive

import (
	"bytes"
	"html"
	"path"
	"strconv"
	"strings"
)

// An office is what the members of one document share: a spreadsheet's cells refer to strings in a member of their own.
type office struct {
	shared []string
	size   int
}

// officeOf returns an office if the zip archive b is a document: OOXML (ECMA-376), OpenDocument or EPUB.
func officeOf(w *walker, b []byte) *office {
	var o *office
	seen := 0
	_ = zipEntries(b, func(e zipEntry) error {
		switch e.name {
		case "[Content_Types].xml", "mimetype", "word/document.xml", "ppt/presentation.xml", "content.xml": // some writers leave out the first two
			if o == nil {
				o = &office{}
			}
		case "xl/sharedStrings.xml":
			if data, err := e.data(b); err == nil {
				if o == nil {
					o = &office{}
				}
				o.readShared(w, e, data)
			}
		}
		if seen++; seen > 10_000 { // parts of a document
			return errMembers
		}
		return nil
	})
	return o
}

// wants reports whether a member has text.
func (o *office) wants(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".xml", ".rels", ".xhtml", ".html", ".htm", ".vml":
		return true
	}
	return false
}

// officePart bounds the part of a document that is read as text; longer ones are only shown as they are.
const officePart = 8 << 20

// read visits the text of a member and returns it, to be visited as it is, too.
func (o *office) read(w *walker, at place, name string, in *input) (*input, error) {
	data, complete, release, err := w.load(in)
	defer release()
	w.problem(at.in(name), err)
	if !complete {
		return nil, w.windows(at.in(name), at.depth, data, in)
	}
	if len(data) > 0 && len(data) <= officePart {
		var text []byte
		if strings.HasPrefix(name, "xl/worksheets/") {
			text = o.sheet(data)
		} else {
			text = xmlText(data)
		}
		if len(bytes.TrimSpace(text)) > 0 {
			if err := w.text(at, name, text); err != nil {
				return nil, err
			}
		}
	}
	return nil, w.show(Member{Path: at.in(name), Content: data, Depth: at.depth})
}

// xmlText returns the character data of XML or HTML: the runs of a paragraph in one piece, paragraphs on lines of their own. Attribute values
// that can hold text follow.
func xmlText(b []byte) []byte {
	out := make([]byte, 0, len(b)/4)
	eachTag(b, func(text []byte, tag string, _ bool, attrs []byte) {
		out = appendText(out, text)
		switch tag {
		case "p", "si", "tr", "row", "h", "br", "cr", "div", "li", "title", "comment", "definedName", "line-break", "section", "table-row", "v":
			out = append(out, '\n')
		case "tab", "td", "th", "c", "table-cell":
			out = append(out, '\t')
		case "s": // OpenDocument's blanks
			out = append(out, ' ')
		}
		for _, name := range []string{"Target=\"", "descr=\"", "alt=\"", "string-value=\"", "href=\""} {
			if i := bytes.Index(attrs, []byte(name)); i >= 0 {
				v := attrs[i+len(name):]
				if end := bytes.IndexByte(v, '"'); end > 0 {
					out = append(appendText(append(out, '\n'), v[:end]), '\n')
				}
			}
		}
	})
	return out
}

// eachTag calls f for each tag with the text before it, its local name, whether it is an end tag, and what follows the name. The text after the
// last tag comes with tag "".
func eachTag(b []byte, f func(text []byte, tag string, end bool, attrs []byte)) {
	for len(b) > 0 {
		lo := bytes.IndexByte(b, '<')
		if lo < 0 {
			f(b, "", false, nil)
			return
		}
		text, rest := b[:lo], b[lo+1:]
		if bytes.HasPrefix(rest, []byte("![CDATA[")) {
			if end := bytes.Index(rest, []byte("]]>")); end >= 0 {
				f(text, "", false, nil)
				f(rest[len("![CDATA["):end], "", false, nil)
				b = rest[end+3:]
				continue
			}
		}
		if bytes.HasPrefix(rest, []byte("!--")) {
			if end := bytes.Index(rest, []byte("-->")); end >= 0 {
				f(text, "", false, nil)
				b = rest[end+3:]
				continue
			}
		}
		hi := bytes.IndexByte(rest, '>')
		if hi < 0 {
			f(text, "", false, nil)
			return
		}
		tag := rest[:hi]
		b = rest[hi+1:]
		end := len(tag) > 0 && tag[0] == '/'
		tag = bytes.TrimPrefix(tag, []byte("/"))
		n := bytes.IndexAny(tag, " \t\r\n/")
		if n < 0 {
			n = len(tag)
		}
		name := tag[:n]
		if i := bytes.LastIndexByte(name, ':'); i >= 0 {
			name = name[i+1:]
		}
		f(text, string(name), end, tag[n:])
	}
}

func appendText(out, text []byte) []byte {
	if bytes.IndexByte(text, '&') < 0 {
		return append(out, text...)
	}
	return append(out, html.UnescapeString(string(text))...)
}

// readShared reads the strings that a spreadsheet's cells refer to.
func (o *office) readShared(w *walker, e zipEntry, data []byte) {
	in, done, err := w.unzip(e, data)
	if err != nil {
		return
	}
	defer done()
	b := make([]byte, min(e.size, officePart))
	n, _ := fill(in, b)
	var cell []byte
	eachTag(b[:n], func(text []byte, tag string, end bool, _ []byte) {
		cell = appendText(cell, text)
		if tag == "si" {
			if end {
				o.shared = append(o.shared, string(cell))
			}
			cell = cell[:0]
		}
	})
}

// sheet returns the cells of a worksheet, rows as lines, cells parted by tabs.
func (o *office) sheet(b []byte) []byte {
	out := make([]byte, 0, len(b)/4)
	isShared := false
	o.size = 0
	eachTag(b, func(text []byte, tag string, end bool, attrs []byte) {
		switch {
		case tag == "v" && end && isShared:
			if i, err := strconv.Atoi(string(text)); err == nil && i >= 0 && i < len(o.shared) && o.size < officePart {
				out = append(out, o.shared[i]...)
				o.size += len(o.shared[i]) // many cells can refer to one long string
			}
		default:
			out = appendText(out, text)
		}
		switch {
		case tag == "c" && end:
			out = append(out, '\t')
		case tag == "c":
			isShared = bytes.Contains(attrs, []byte(`t="s"`))
		case tag == "row" && end:
			out = append(out, '\n')
		case tag == "f" && end:
			out = append(out, '\t')
		}
	})
	return out
}
