package wire

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	// maxRefs bounds a listing. A repository has a ref or two for each pull request; the largest public ones have about a million.
	maxRefs = 2 << 20
	// maxRefText is the size of a ref in a listing, in bytes, in the mean of the longest one.
	maxRefText = 128
	// maxCapabilities bounds what a server may offer; git's own offers seven.
	maxCapabilities = 1000
	// maxName is the longest ref name in bytes: no server can store one above the longest path of its system.
	maxName = 4096
)

// maxListing is the size of the longest listing in bytes.
func (r *Remote) maxListing() int { return r.MaxRefs * maxRefText }

// A Ref is a name for an object.
type Ref struct {
	Name, ID string
	Peeled   string // what an annotated tag leads to, where it was asked for; else ""
}

// Target is the object that the name stands for in the end: a commit, mostly.
func (r Ref) Target() string { return cmp.Or(r.Peeled, r.ID) }

// Refs are those of a repository.
type Refs struct {
	List []Ref  // by name, each once; HEAD is among them if it leads to an object
	Head string // the branch that HEAD is, even one without commits yet; "" if HEAD is a commit, or not known
	Odd  int    // how many were left out: malformed names or ids, or a name twice
}

// ID returns the object that a name stands for, or "".
func (r *Refs) ID(name string) string {
	if i, ok := slices.BinarySearchFunc(r.List, name, func(ref Ref, name string) int { return cmp.Compare(ref.Name, name) }); ok {
		return r.List[i].ID
	}
	return ""
}

// add takes in what a server says of a ref.
func (r *Refs) add(name, id string, format string) error {
	if len(r.List)+r.Odd >= maxRefs {
		return fmt.Errorf("the server lists more than %d refs", maxRefs)
	}
	if !validName(name) || !validID(id, format) {
		r.Odd++
		return nil
	}
	r.List = append(r.List, Ref{Name: name, ID: id})
	return nil
}

// peel takes in what the ref that was added last leads to.
func (r *Refs) peel(name, id string, format string) {
	if n := len(r.List); n > 0 && r.List[n-1].Name == name && validID(id, format) {
		r.List[n-1].Peeled = id
	}
}

// finish sorts the list and drops names that come twice.
func (r *Refs) finish() {
	slices.SortStableFunc(r.List, func(a, b Ref) int { return cmp.Compare(a.Name, b.Name) })
	all := len(r.List)
	r.List = slices.CompactFunc(r.List, func(a, b Ref) bool { return a.Name == b.Name })
	r.Odd += all - len(r.List)
	if !validName(r.Head) || r.Head == "HEAD" {
		r.Head = ""
	}
}

// validName holds a name against git-check-ref-format(1): files and messages are made of it.
func validName(name string) bool {
	if name == "HEAD" {
		return true
	}
	if len(name) > maxName || !strings.HasPrefix(name, "refs/") || strings.HasSuffix(name, ".") {
		return false
	}
	for _, bad := range []string{"..", "@{", "/.", "//", ".lock/"} {
		if strings.Contains(name+"/", bad) {
			return false
		}
	}
	return strings.IndexFunc(name, func(c rune) bool { return c <= ' ' || c == 0x7f || strings.ContainsRune(`~^:?*[\`, c) }) < 0
}

// validID tells whether s is an object's id; one of zeros stands for none.
func validID(s, format string) bool {
	return len(s) == 2*width(format) && strings.Trim(s, "0123456789abcdef") == "" && strings.Trim(s, "0") != ""
}

// width is the size of an id in bytes.
func width(format string) int {
	if format == "sha256" {
		return 32
	}
	return 20
}

// Refs lists the refs whose names begin with one of the prefixes, all without any.
func (r *Remote) Refs(ctx context.Context, prefixes ...string) (*Refs, error) {
	return r.refs(ctx, false, prefixes)
}

// Targets lists refs as Refs does, with what annotated tags lead to. The server has to read each of them for it.
func (r *Remote) Targets(ctx context.Context, prefixes ...string) (*Refs, error) {
	return r.refs(ctx, true, prefixes)
}

func (r *Remote) refs(ctx context.Context, peel bool, prefixes []string) (*Refs, error) {
	all := r.listed
	if r.version == 2 {
		var err error
		if all, err = r.listRefs(ctx, peel, prefixes); err != nil {
			return nil, err
		}
	}
	out := &Refs{Head: all.Head, Odd: all.Odd}
	for _, ref := range all.List { // version 2 permits a server to send more than it was asked for
		if len(prefixes) == 0 || slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(ref.Name, p) }) {
			out.List = append(out.List, ref)
		}
	}
	return out, nil
}

// listRefs asks for them as gitprotocol-v2(5) says under "ls-refs".
func (r *Remote) listRefs(ctx context.Context, peel bool, prefixes []string) (*Refs, error) {
	var m message
	r.command(&m, "ls-refs")
	if peel {
		m.add("peel")
	}
	m.add("symrefs")
	if slices.Contains(strings.Fields(r.capabilities["ls-refs"]), "unborn") {
		m.add("unborn")
	}
	for _, p := range prefixes {
		m.add("ref-prefix", p)
	}
	m.end(flush)
	body, err := r.post(ctx, m.Bytes())
	if err != nil {
		return nil, err
	}
	defer body.Close()
	in := newPackets(body, r.maxListing())
	out, err := readRefs(in, r.Format)
	if err == nil {
		in.finish()
	}
	return out, err
}

// readRefs reads the answer to ls-refs: "ID NAME" and attributes a line.
func readRefs(in *packets, format string) (*Refs, error) {
	out := &Refs{}
	for {
		m, line, err := in.line()
		if err != nil {
			return nil, err
		}
		if m != data {
			out.finish()
			return out, nil
		}
		id, rest, _ := strings.Cut(string(line), " ")
		name, attributes, _ := strings.Cut(rest, " ")
		if name == "HEAD" {
			for a := range strings.FieldsSeq(attributes) {
				if target, ok := strings.CutPrefix(a, "symref-target:"); ok {
					out.Head = target
				}
			}
			if id == "unborn" {
				continue
			}
		}
		if err := out.add(name, id, format); err != nil {
			return nil, err
		}
		for a := range strings.FieldsSeq(attributes) {
			if to, ok := strings.CutPrefix(a, "peeled:"); ok {
				out.peel(name, to, format)
			}
		}
	}
}

// An advertisement is a server's first answer, in whichever version of the protocol.
type advertisement struct {
	version      int // 0, which version 1 is as well behind its first line, or 2
	format       string
	capabilities map[string]string
	listed       *Refs    // version 0 lists all refs at once
	shallow      []string // likewise: commits whose parents the server itself lacks
}

// readAdvertisement reads it. gitprotocol-http(5) wants a line that names the service ahead of it, gitprotocol-v2(5) does not.
func readAdvertisement(in *packets) (*advertisement, error) {
	m, line, err := in.line()
	if err == nil && m == data && bytes.HasPrefix(line, []byte("# service=")) {
		if !bytes.Equal(line, []byte("# service=git-upload-pack")) {
			return nil, errors.New("the server answers for another service")
		}
		if m, _, err = in.line(); err == nil && m == flush {
			m, line, err = in.line()
		}
	}
	if err != nil {
		return nil, err
	}
	a := &advertisement{format: "sha1", capabilities: map[string]string{}}
	switch {
	case m == data && string(line) == "version 2":
		a.version = 2
		err = a.readCapabilities(in)
	case m == data && string(line) == "version 1":
		if m, line, err = in.line(); err == nil {
			err = a.readListing(in, m, line)
		}
	default:
		err = a.readListing(in, m, line)
	}
	if err != nil {
		return nil, err
	}
	if a.format != "sha1" && a.format != "sha256" {
		return nil, fmt.Errorf("the server uses an unknown object format %q", printable(a.format))
	}
	return a, nil
}

// readCapabilities reads what version 2 offers: "KEY" or "KEY=VALUE" a line.
func (a *advertisement) readCapabilities(in *packets) error {
	for range maxCapabilities {
		m, line, err := in.line()
		if err != nil {
			return err
		}
		if m != data {
			return nil
		}
		a.offer(string(line))
	}
	return errors.New("the server offers too many capabilities")
}

func (a *advertisement) offer(capability string) {
	key, value, _ := strings.Cut(capability, "=")
	if key == "object-format" {
		a.format = value
	}
	a.capabilities[key] = value
}

// readListing reads what versions 0 and 1 begin with: "ID NAME" a line, and behind a zero byte in the first the capabilities.
func (a *advertisement) readListing(in *packets, m mark, line []byte) error {
	a.listed = &Refs{}
	var pointers []string
	for first := true; ; first = false {
		if m != data {
			break
		}
		text, offered, _ := strings.Cut(string(line), "\x00")
		if first {
			list := strings.Fields(offered)
			if len(list) > maxCapabilities {
				return errors.New("the server offers too many capabilities")
			}
			for _, c := range list {
				if to, ok := strings.CutPrefix(c, "symref=HEAD:"); ok {
					pointers = append(pointers, to)
				}
				a.offer(c)
			}
		}
		id, name, _ := strings.Cut(text, " ")
		switch {
		case id == "shallow" && validID(name, a.format):
			if len(a.shallow) == maxRefs {
				return errors.New("the server's history ends at too many commits")
			}
			a.shallow = append(a.shallow, name)
		case strings.HasSuffix(name, "^{}"): // what an annotated tag leads to; or a line that only carries capabilities
			a.listed.peel(strings.TrimSuffix(name, "^{}"), id, a.format)
		default:
			if err := a.listed.add(name, id, a.format); err != nil {
				return err
			}
		}
		var err error
		if m, line, err = in.line(); err != nil {
			return err
		}
	}
	if len(pointers) > 0 {
		a.listed.Head = pointers[0]
	}
	a.listed.finish()
	if a.listed.Head == "" {
		a.listed.Head = a.listed.guessHead()
	}
	return nil
}

// guessHead finds the branch that HEAD is likely to be: servers older than git 1.8.4.3 do not tell.
func (r *Refs) guessHead() string {
	head := r.ID("HEAD")
	if head == "" {
		return ""
	}
	for _, name := range []string{"refs/heads/main", "refs/heads/master"} {
		if r.ID(name) == head {
			return name
		}
	}
	for _, ref := range r.List {
		if ref.ID == head && strings.HasPrefix(ref.Name, "refs/heads/") {
			return ref.Name
		}
	}
	return ""
}
