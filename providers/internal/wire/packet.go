package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// maxPacket is the size of the largest packet, its four digits of length included (gitprotocol-common(5)).
const maxPacket = 65520

// A mark tells what a packet is: data, or one of the three that have no content.
type mark int

const (
	data  mark = iota
	flush      // 0000: the end of a message
	delim      // 0001: the end of a section
	stop       // 0002: the end of an answer
)

// packets reads what a server sends. Of protocol text it takes no more than it is allowed: a server must not be able to fill
// the memory, nor to keep us reading for ever.
type packets struct {
	in   *bufio.Reader
	held int // size of the packet that was handed out last: its bytes lie in the buffer of in until the next one is asked for
	left int // bytes of text that may still come
}

func newPackets(in io.Reader, text int) *packets {
	// Two packets: one can be handed out in place while there is room for what a read brings of the next.
	return &packets{in: bufio.NewReaderSize(in, 2*maxPacket), left: text}
}

// next returns a packet. Its content is valid until the next call.
func (p *packets) next() (mark, []byte, error) {
	p.release()
	head, err := p.in.Peek(4)
	if err != nil {
		return 0, nil, cut(err)
	}
	n := 0
	for _, c := range head {
		d := strings.IndexByte("0123456789abcdef", c|0x20) // upper case is read, too
		if d < 0 || c < '0' {
			return 0, nil, errors.New("the server's answer is not git's protocol")
		}
		n = n<<4 | d
	}
	switch {
	case n <= int(stop-flush):
		p.held = 4
		return mark(n) + flush, nil, nil
	case n < 4 || n > maxPacket:
		return 0, nil, fmt.Errorf("the server sent a packet of impossible length %d", n)
	}
	all, err := p.in.Peek(n)
	if err != nil {
		return 0, nil, cut(err)
	}
	p.held = n
	return data, all[4:], nil
}

// line returns a packet of text, without the line feed that may end it.
func (p *packets) line() (mark, []byte, error) {
	m, b, err := p.next()
	if err != nil {
		return m, b, err
	}
	if err := p.spend(len(b)); err != nil {
		return m, nil, err
	}
	if why, ok := bytes.CutPrefix(b, []byte("ERR ")); ok {
		return m, nil, refusal(why)
	}
	return m, bytes.TrimSuffix(b, []byte("\n")), nil
}

// release passes over the packet that was handed out last.
func (p *packets) release() {
	_, _ = p.in.Discard(p.held) // it is in the buffer
	p.held = 0
}

// rest is what follows the last packet, as it is.
func (p *packets) rest() io.Reader {
	p.release()
	return p.in
}

// finish waits for the end of the answer, so that the next request can use its connection.
func (p *packets) finish() {
	p.release()
	_, _ = p.in.Peek(1) // what else there is does not matter
}

// spend counts n bytes of text, and the packet that brought them.
func (p *packets) spend(n int) error {
	if p.left -= n + 4; p.left < 0 {
		return errors.New("the server's answer is excessively long")
	}
	return nil
}

// cut is the error for an answer that ends where it must not.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("the server's answer ends early")
	}
	return err
}

// A RefusedError is what a server says when it will not go on.
type RefusedError struct{ Why string }

func (e *RefusedError) Error() string { return "the server says: " + e.Why }

// Missing tells whether it says that it does not have an object that was asked for, in the words of git's upload-pack.
func (e *RefusedError) Missing() bool { return strings.Contains(e.Why, "not our ref") }

func refusal(why []byte) error {
	return &RefusedError{printable(string(bytes.TrimSpace(why)))}
}

// printable makes hostile text fit for a message: valid UTF-8, no control characters, one short line.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar || unicode.Is(unicode.Cf, r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "…"
	}
	return s
}

// A message is a request in the making.
type message struct{ bytes.Buffer }

// add appends a line.
func (m *message) add(words ...string) {
	text := strings.Join(words, " ") // of our own making: shorter than a packet
	fmt.Fprintf(m, "%04x%s\n", len(text)+5, text)
}

// end appends a packet without content.
func (m *message) end(what mark) { fmt.Fprintf(m, "%04x", int(what-flush)) }
