package archive

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/textproto"
	"slices"
	"strings"
)

// isMail reports whether b begins with the header of a message that has parts or is encoded (RFC 5322, 2045), or is a mailbox of them.
func isMail(b []byte) bool {
	const headerMost = 8 << 10
	h := b[:min(len(b), headerMost)]
	line := h[:max(bytes.IndexByte(h, '\n'), 0)]
	known := bytes.HasPrefix(line, []byte("From "))
	if i := bytes.IndexByte(line, ':'); i > 0 && !known {
		switch strings.ToLower(string(line[:min(i, 32)])) {
		case "from", "to", "subject", "date", "received", "return-path", "delivered-to", "message-id", "mime-version", "content-type", "x-original-to", "cc", "reply-to", "arc-seal", "dkim-signature":
			known = true
		}
	}
	if !known {
		return false
	}
	if i := bytes.Index(h, []byte("\n\n")); i >= 0 && !bytes.HasPrefix(line, []byte("From ")) {
		h = h[:i]
	}
	lower := bytes.ToLower(h)
	return bytes.Contains(lower, []byte("\nmime-version:")) || bytes.Contains(lower, []byte("\ncontent-type: multipart/")) ||
		bytes.Contains(lower, []byte("\ncontent-transfer-encoding:")) || bytes.HasPrefix(lower, []byte("mime-version:"))
}

// walkMail visits the parts of messages.
func walkMail(w *walker, at place, in *input) error {
	b := in.whole
	const mailboxMost = 10_000 // messages
	for range mailboxMost {
		message := b
		next := -1
		if bytes.HasPrefix(b, []byte("From ")) {
			message = b[bytes.IndexByte(b, '\n')+1:]
			if next = bytes.Index(message, []byte("\nFrom ")); next >= 0 {
				b, message = message[next+1:], message[:next]
			}
		}
		const headerMost = 1 << 20
		if !bytes.Contains(message[:min(len(message), headerMost)], []byte("\n\r\n")) && !bytes.Contains(message[:min(len(message), headerMost)], []byte("\n\n")) {
			return errCorrupt // all header
		}
		r := textproto.NewReader(bufio.NewReader(bytes.NewReader(message)))
		h, err := r.ReadMIMEHeader()
		if err == nil || len(h) > 0 {
			w.mailWords(at, h)
			if err := w.mailPart(at, h, r.R, 0); err != nil {
				return err
			}
		}
		if next < 0 {
			return nil
		}
	}
	return errMembers
}

// mailWords visits what a header spells in encoded words (RFC 2047).
func (w *walker) mailWords(at place, h textproto.MIMEHeader) {
	n := notes{w: w, at: at}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[name] {
			if !strings.Contains(v, "=?") {
				continue
			}
			if s, err := new(mime.WordDecoder).DecodeHeader(v); err == nil && s != v {
				n.add(s)
			}
		}
	}
	n.flush()
}

func (w *walker) mailPart(at place, h textproto.MIMEHeader, r io.Reader, depth int) error {
	kind, params, _ := mime.ParseMediaType(h.Get("Content-Type"))
	if strings.HasPrefix(kind, "multipart/") && depth < w.lim.Depth && params["boundary"] != "" {
		mr := multipart.NewReader(r, params["boundary"])
		for {
			part, err := mr.NextRawPart()
			if err != nil {
				return nil //nolint:nilerr // the end, or of what can be told apart: the message itself is visited, too
			}
			if err := w.mailPart(at, part.Header, part, depth+1); err != nil {
				return err
			}
		}
	}
	switch strings.ToLower(strings.TrimSpace(h.Get("Content-Transfer-Encoding"))) {
	case "base64":
		r = base64.NewDecoder(base64.StdEncoding, r)
	case "quoted-printable":
		r = quotedprintable.NewReader(r)
	default:
		if depth == 0 {
			return nil
		}
	}
	name := "part"
	if _, d, err := mime.ParseMediaType(h.Get("Content-Disposition")); err == nil && d["filename"] != "" {
		name = d["filename"]
	} else if params["name"] != "" {
		name = params["name"]
	}
	return w.expand(at, name, r)
}

// isNotebook reports whether b is a Jupyter notebook: JSON that tells its format, which by custom stands first or last.
func isNotebook(b []byte) bool {
	const near = 2 << 10
	mark := []byte(`"nbformat"`)
	return b[0] == '{' && (bytes.Contains(b[:min(len(b), near)], mark) || bytes.Contains(b[max(len(b)-near, 0):], mark))
}

// walkNotebook visits a notebook's strings as they are meant; a list of lines, as sources and outputs are stored, in one piece.
func walkNotebook(w *walker, at place, in *input) error {
	if len(in.whole) > w.lim.MemberBytes { // one string may be all of it
		return errMemory
	}
	d := json.NewDecoder(bytes.NewReader(in.whole))
	var text []byte
	depth, list := 0, 0
	const deepest = 200
	for {
		t, err := d.Token()
		if err != nil {
			if len(text) > 0 {
				if err := w.text(at, "", text); err != nil {
					return err
				}
			}
			return err
		}
		switch t := t.(type) {
		case json.Delim:
			if t == '[' || t == '{' {
				if depth++; depth > deepest {
					return errCorrupt
				}
				list = 0
				if t == '[' {
					list = depth
				}
			} else {
				depth--
				list = 0
				text = append(text, '\n')
			}
		case string:
			text = append(text, t...)
			if list != depth || list == 0 {
				text = append(text, '\n')
			}
		default:
			list = 0
		}
		if len(text) > 1<<20 {
			if err := w.text(at, "", text); err != nil {
				return err
			}
			text = append(text[:0], text[len(text)-min(overlap, len(text)):]...)
		}
	}
}
