package decode

import "bytes"

// Some formats break their lines, or the output of a program, wherever they like, and their first bytes tell which ones they are: then the
// pieces on both sides of a break are one text, whatever they look like.

// A format of records tells where the record that begins at i has its own text, and where the text goes on after that, or -1 in place of
// what it does not have.
type records func(text []byte, i int) (end, next int)

// recordsOf returns what knows the format of text, or nil.
func recordsOf(text []byte) records {
	has := func(s string) bool { return bytes.HasPrefix(text, []byte(s)) }
	switch c := at(text, 0); {
	case c >= '0' && c <= '9' && streamed(text, 0) > 0:
		return partial
	case has(jsonLog):
		return quotedLog
	case has(`{"version"`) && bytes.Contains(text[:min(len(text), 2*context)], []byte("\n[")):
		return cast
	case has("BEGIN:V"), has("dn: "), has("version: 1\ndn:"), has("Manifest-Version:"):
		return unfolded
	}
	return nil
}

// findRecords joins what records part, where a token can lie on the seam.
func findRecords(b *builder, text []byte) {
	join := recordsOf(text)
	for i := 0; join != nil && i < len(text) && !b.d.stopped; {
		end, next := join(text, i)
		if next > end && end >= 0 && isA(at(text, end-1), isToken) && isA(at(text, next), isToken) {
			b.cut(end, next)
		}
		i = lineBreak(text, max(i, end)) + 1
	}
}

// streamed returns where the text of the line at i begins in a log as container runtimes write it for Kubernetes (CRI): a time stamp, the
// stream, and a flag that is P if the next line goes on with this one's text. It returns 0 for other lines.
func streamed(text []byte, i int) int {
	const longest = 48 // of a time stamp
	line := text[min(i, len(text)):min(i+longest, len(text))]
	if shape(line, "9-9-9T9:9:9") == 0 {
		return 0
	}
	k := i + bytes.IndexByte(line, ' ')
	const after = len(" stdout P ")
	if k < i || k+after > len(text) {
		return 0
	}
	switch string(text[k : k+after]) {
	case " stdout P ", " stderr P ", " stdout F ", " stderr F ":
		return k + after
	}
	return 0
}

func partial(text []byte, i int) (end, next int) {
	end = lineBreak(text, i)
	if k := streamed(text, i); k == 0 || text[k-2] != 'P' {
		return end, -1
	}
	return end, streamed(text, end+1)
}

// jsonLog begins a line of Docker's json-file logs. A text that does not end in a line feed goes on in the next.
const jsonLog = `{"log":"`

func quotedLog(text []byte, i int) (end, next int) {
	if !bytes.HasPrefix(text[i:], []byte(jsonLog)) {
		return -1, -1
	}
	end = stringEnd(text, i+len(jsonLog))
	eol := lineBreak(text, end)
	if bytes.HasSuffix(text[:end], []byte(`\n`)) || eol == len(text) || !bytes.HasPrefix(text[eol+1:], []byte(jsonLog)) {
		return end, -1
	}
	return end, eol + 1 + len(jsonLog)
}

// stringEnd returns where the JSON string whose text begins at i ends: at its quote, or with its line.
func stringEnd(text []byte, i int) int {
	for i < len(text) && text[i] != '"' && text[i] != '\n' {
		if text[i] == '\\' {
			i++
		}
		i++
	}
	return min(i, len(text))
}

// cast knows the lines of a recorded terminal (asciicast version 2): [1.25, "o", "text"].
func cast(text []byte, i int) (end, next int) {
	open := func(i int) int { // where the text of the line at i begins, or 0
		const longest = 40
		line := text[min(i, len(text)):min(i+longest, len(text))]
		if k := bytes.Index(line, []byte(`"o"`)); k >= 0 && line[0] == '[' {
			if j := bytes.IndexByte(line[k+3:], '"'); j >= 0 {
				return i + k + 3 + j + 1
			}
		}
		return 0
	}
	k := open(i)
	if k == 0 {
		return -1, -1
	}
	end = stringEnd(text, k)
	return end, open(lineBreak(text, end) + 1)
}

// unfolded knows lines that go on in the next one behind a blank: vCard and iCalendar (RFC 5545 section 3.1), LDIF (RFC 2849), manifests of jars.
func unfolded(text []byte, i int) (end, next int) {
	eol := lineBreak(text, i)
	end = eol
	if at(text, end-1) == '\r' && end > i {
		end--
	}
	if c := at(text, eol+1); c != ' ' && c != '\t' {
		return end, -1
	}
	return end, eol + 2
}
