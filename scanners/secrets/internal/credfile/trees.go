package credfile

import (
	"bytes"
	"strings"
)

// yaml reads YAML line by line: mappings and sequences by indentation, quoted and plain scalars, block scalars, and flow mappings on
// one line. Anchors and tags are skipped, aliases are values that no one takes for a secret. It accepts what a YAML parser
// refuses, templates included.
func yaml(text []byte) *doc {
	d := newDoc(text)
	type level struct{ indent, group int }
	stack := []level{{-1, 0}}
	block := -1 // indentation of the key whose block scalar goes on
	eachLine(text, func(start, end int) {
		at := trimStart(text, start, end)
		if at == end || d.full() {
			return
		}
		indent := at - start
		if block >= 0 {
			if indent > block {
				e := &d.entries[len(d.entries)-1]
				if e.start == e.end {
					e.start = at
				}
				e.end = end
				return
			}
			block = -1
		}
		if text[at] == '#' {
			return
		}
		for at+1 < end && text[at] == '-' && text[at+1] == ' ' { // each element of a sequence is a group of its own
			for len(stack) > 1 && stack[len(stack)-1].indent >= indent {
				stack = stack[:len(stack)-1]
			}
			stack = append(stack, level{indent, d.group(stack[len(stack)-1].group, "-")})
			at = trimStart(text, at+1, end)
			indent = at - start
		}
		for len(stack) > 1 && stack[len(stack)-1].indent >= indent {
			stack = stack[:len(stack)-1]
		}
		if at == end || len(stack) > maxDepth {
			return
		}
		if text[at] == '{' {
			d.flow(at+1, end, stack[len(stack)-1].group)
			return
		}
		group := stack[len(stack)-1].group
		key, val := yamlKey(text, at, end)
		if key == "" { // an element "NAME=value", as container definitions have them
			if i := bytes.IndexByte(text[at:min(end, at+256)], '='); i > 0 && isWord(text[at]) {
				d.addScalar(string(text[at:at+i]), at+i+1, end, group)
			}
			return
		}
		val = skipDecor(text, trimStart(text, val, end), end)
		switch {
		case val == end || text[val] == '#': // nothing, or a comment
			stack = append(stack, level{indent, d.group(group, key)})
		case text[val] == '|' || text[val] == '>':
			d.add(entry{key: key, start: val, end: val, group: group})
			block = indent
			if d.full() {
				block = -1
			}
		case text[val] == '{':
			d.flow(val+1, end, d.group(group, key))
		default:
			d.addScalar(key, val, end, group)
		}
	})
	d.pairs()
	return d
}

// yamlKey splits "key: value"; a colon counts only before a blank or the end of the line.
func yamlKey(t []byte, at, end int) (string, int) {
	if isQuote(t[at]) {
		q := closing(t, at, end)
		if q < 0 || q+1 >= end || t[q+1] != ':' {
			return "", 0
		}
		return string(t[at+1 : q]), q + 2
	}
	for i := at; i < min(end, at+256); i++ {
		if t[i] == ':' && (i+1 == end || isSpace(t[i+1])) {
			return string(bytes.TrimSpace(t[at:i])), i + 1
		}
	}
	return "", 0
}

// skipDecor skips anchors and the tags that leave a scalar a string.
func skipDecor(t []byte, at, end int) int {
	for at < end && (t[at] == '&' || bytes.HasPrefix(t[at:end], []byte("!!"))) {
		i := bytes.IndexAny(t[at:end], " \t")
		if i < 0 {
			return end
		}
		at = trimStart(t, at+i, end)
	}
	return at
}

// flow reads the pairs of a flow mapping that ends on its line; nested ones are read as if they were flat.
func (d *doc) flow(at, end, group int) {
	for at < end {
		at = trimStart(d.text, at, end)
		stop := at
		for stop < end && d.text[stop] != ',' && d.text[stop] != '}' && d.text[stop] != '{' {
			if isQuote(d.text[stop]) {
				if q := closing(d.text, stop, end); q > 0 {
					stop = q
				}
			}
			stop++
		}
		if at < stop {
			if key, val := yamlKey(d.text, at, stop); key != "" {
				d.addScalar(key, val, trimEnd(d.text, val, stop), group)
			}
		}
		at = stop + 1
	}
}

// json reads JSON and its dialects with comments, trailing commas and single quotes. It keeps its own stack, so depth costs no
// more than length.
func json(text []byte) *doc {
	d := newDoc(text)
	type frame struct {
		group int
		name  string // of what an array's elements are called by
		array bool
	}
	stack := []frame{{}}
	key, haveKey := "", false
	for i := 0; i < len(text) && !d.full(); i++ {
		top := &stack[len(stack)-1]
		name := key
		if top.array {
			name = top.name
		}
		switch c := text[i]; {
		case c == '{' || c == '[':
			g := top.group
			if len(stack) < maxDepth {
				if c == '{' {
					g = d.group(top.group, name)
				} else if name != "" {
					g = d.group(top.group, name)
				}
			}
			stack = append(stack, frame{g, name, c == '['})
			key, haveKey = "", false
			if len(stack) > 1<<16 {
				return d
			}
		case c == '}' || c == ']':
			if len(stack) > 1 {
				stack = stack[:len(stack)-1]
			}
			key, haveKey = "", false
		case c == ',':
			key, haveKey = "", false
		case c == '/' && i+1 < len(text) && text[i+1] == '/':
			i = lineEnd(text, i)
		case c == '/' && i+1 < len(text) && text[i+1] == '*':
			if j := bytes.Index(text[i:], []byte("*/")); j > 0 {
				i += j + 1
			} else {
				return d
			}
		case isQuote(c):
			q := closing(text, i, len(text))
			if q < 0 {
				return d
			}
			if !top.array && !haveKey {
				key, haveKey = string(text[i+1:min(q, i+257)]), true
			} else {
				d.add(entry{key: name, start: i + 1, end: q, group: top.group, quote: c})
			}
			i = q
		case isWord(c):
			j := i
			for j < len(text) && (isWord(text[j]) || text[j] == '.' || text[j] == '-' || text[j] == '+') {
				j++
			}
			if !top.array && !haveKey {
				key, haveKey = string(text[i:min(j, i+256)]), true
			} else {
				d.add(entry{key: name, start: i, end: j, group: top.group})
			}
			i = j - 1
		}
	}
	d.pairs()
	return d
}

func lineEnd(t []byte, i int) int {
	if j := bytes.IndexByte(t[i:], '\n'); j >= 0 {
		return i + j
	}
	return len(t)
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// xml reads elements and attributes. An element's text is a value in the group of its parent, its attributes are values in its own
// group, and <add key="k" value="v"/> and its like are the pair k, v. Entities other than the five of XML stay as they are.
func xml(text []byte) *doc {
	d := newDoc(text)
	type element struct {
		name     string
		group    int
		base64   bool
		property string // the text of its element "name", by which its element "value" goes
	}
	stack := []element{{}}
	for i := 0; i < len(text) && !d.full(); {
		lt := bytes.IndexByte(text[i:], '<')
		if lt < 0 {
			break
		}
		top := stack[len(stack)-1]
		if s, e := trimStart(text, i, i+lt), trimEnd(text, i, i+lt); s < e && len(stack) > 1 {
			parent := &stack[len(stack)-2]
			value := entry{key: top.name, start: s, end: e, group: parent.group, base64: top.base64}
			switch {
			case top.name == "name":
				parent.property = d.raw(value)
			case top.name == "value" && parent.property != "":
				value.key = parent.property
			}
			d.add(value)
		}
		i += lt
		switch rest := text[i:]; {
		case bytes.HasPrefix(rest, []byte("<!--")):
			i = skipTo(text, i, "-->")
		case bytes.HasPrefix(rest, []byte("<![CDATA[")):
			end := skipTo(text, i, "]]>")
			if len(stack) > 1 && end-3 > i+9 {
				d.add(entry{key: top.name, start: i + 9, end: end - 3, group: stack[len(stack)-2].group, base64: top.base64})
			}
			i = end
		case bytes.HasPrefix(rest, []byte("<?")) || bytes.HasPrefix(rest, []byte("<!")):
			i = skipTo(text, i, ">")
		case bytes.HasPrefix(rest, []byte("</")):
			i = skipTo(text, i, ">")
			if len(stack) > 1 {
				stack = stack[:len(stack)-1]
			}
		default:
			name, next := xmlName(text, i+1)
			el := element{name: name, group: top.group}
			if len(stack) < maxDepth {
				el.group = d.group(top.group, name)
			}
			end, closed, b64 := d.attributes(next, el.group, top.group)
			el.base64 = b64
			if i = end; !closed && len(stack) < 1<<16 {
				stack = append(stack, el)
			}
		}
	}
	return d
}

func skipTo(t []byte, i int, mark string) int {
	if j := bytes.Index(t[i:], []byte(mark)); j >= 0 {
		return i + j + len(mark)
	}
	return len(t)
}

func xmlName(t []byte, i int) (string, int) {
	j := i
	for j < len(t) && (isWord(t[j]) || t[j] == ':' || t[j] == '-' || t[j] == '.') {
		j++
	}
	return string(t[i:min(j, i+256)]), j
}

// attributes reads up to the end of a tag and tells where that is, whether the element is closed there, and whether it says
// encoding="base64".
func (d *doc) attributes(i, group, parent int) (end int, closed, b64 bool) {
	t := d.text
	var pairKey string
	var pairVal *entry
	for i < len(t) {
		switch {
		case t[i] == '>':
			if pairKey != "" && pairVal != nil {
				pairVal.key, pairVal.group = pairKey, parent
				d.add(*pairVal)
			}
			return i + 1, t[i-1] == '/', b64
		case isWord(t[i]):
			name, at := xmlName(t, i)
			at = trimStart(t, at, len(t))
			if at >= len(t) || t[at] != '=' {
				i = max(at, i+1)
				continue
			}
			at = trimStart(t, at+1, len(t))
			if at >= len(t) || !isQuote(t[at]) {
				i = at
				continue
			}
			q := bytes.IndexByte(t[at+1:], t[at])
			if q < 0 {
				return len(t), true, b64
			}
			e := entry{key: name, start: at + 1, end: at + 1 + q, group: group}
			d.add(e)
			switch strings.ToLower(name) {
			case "key", "name", "n":
				pairKey = d.raw(e)
			case "value", "v":
				pairVal = &e
			case "encoding":
				b64 = strings.EqualFold(d.raw(e), "base64")
			}
			i = e.end + 1
		default:
			i++
		}
	}
	return len(t), true, b64
}
