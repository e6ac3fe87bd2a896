// Package pypi judges found upload tokens of PyPI by what they say of themselves. Nobody is asked: a token of PyPI can do nothing but
// upload, so there is no question that would only read.
//
// A token is a macaroon: it names the service, and the restrictions that it was issued with or was given later, in the clear. See
// https://docs.pypi.org/api/tokens/ and, for the bytes, https://github.com/rescrv/libmacaroons/blob/master/doc/format.txt
package pypi

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
)

// Verifier judges PyPI tokens. It is safe for concurrent use.
type Verifier struct{ env audit.Env }

// New makes a verifier.
func New(env audit.Env) *Verifier { return &Verifier{env} }

// Kinds implements [audit.Verifier].
func (v *Verifier) Kinds() []string { return []string{"pypi-upload-token"} }

// Verify implements [audit.Verifier].
func (v *Verifier) Verify(_ context.Context, s *audit.Secret) (audit.Verdict, error) {
	verdict := audit.Verdict{Validity: audit.Unchecked, How: "offline", CheckedAt: v.env.Now().UTC(), Facts: map[string]string{
		"reason": "not asked: an upload token cannot be used for reading",
	}}
	m, ok := parse(s.Reveal())
	if !ok {
		verdict.Facts["form"] = "not a token of PyPI's: what follows pypi- is no macaroon"
		return verdict, nil
	}
	r := restrictionsOf(m.caveats)
	verdict.Facts["service"] = m.location
	verdict.Facts["uploads_to"] = r.uploads
	if !r.expires.IsZero() {
		verdict.Facts["expires"] = r.expires.Format(time.RFC3339)
		if r.expires.Before(v.env.Now()) {
			verdict.Validity, verdict.Facts["reason"] = audit.Inactive, "it says of itself that it has expired"
		}
	}
	return verdict, nil
}

// A macaroon is what a token says in the clear.
type macaroon struct {
	location string
	caveats  [][]byte
}

// The types of fields in the second version of the format.
const (
	fieldEnd       = 0
	fieldLocation  = 1
	fieldID        = 2
	fieldVerifier  = 4
	fieldSignature = 6
)

// parse reads a token: a version, then sections of fields, each a type, a length and that many bytes. The first section is the
// head, each further one a caveat, an empty one ends them.
func parse(token string) (m macaroon, ok bool) {
	text, prefixed := strings.CutPrefix(token, "pypi-")
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	if ok = prefixed && err == nil && len(b) > 0 && b[0] == 2; !ok {
		return macaroon{}, false
	}
	b = b[1:]
	number := func() (n uint64) {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			ok = false
			return 0
		}
		b = b[size:]
		return n
	}
	for head := true; ; head = false {
		empty := true
		for kind := number(); ok && kind != fieldEnd; kind = number() {
			size := number()
			if !ok || size > uint64(len(b)) {
				return macaroon{}, false
			}
			data := b[:size]
			b = b[size:]
			empty = false
			switch {
			case head && kind == fieldLocation:
				m.location = string(data)
			case !head && kind == fieldID:
				m.caveats = append(m.caveats, data)
			case kind != fieldLocation && kind != fieldID && kind != fieldVerifier:
				return macaroon{}, false
			}
		}
		if !ok {
			return macaroon{}, false
		}
		if empty && !head {
			break
		}
	}
	if number() != fieldSignature || !ok || m.location == "" || len(m.location) > 255 || strings.ContainsFunc(m.location, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return macaroon{}, false
	}
	return m, true
}

// restrictions are what a token's caveats say, all of which hold at once.
type restrictions struct {
	uploads string
	expires time.Time
}

// The tags of caveats, see https://github.com/pypi/warehouse/blob/main/warehouse/macaroons/caveats/__init__.py
const (
	tagExpiration  = 0
	tagProjectName = 1
	tagProjectID   = 2
	tagUser        = 3
	tagPublisher   = 4
)

// restrictionsOf reads caveats: lists that begin with a tag, or objects in tokens from before these.
func restrictionsOf(caveats [][]byte) restrictions {
	r := restrictions{uploads: "all projects of its owner"}
	narrow := func(what string) { r.uploads = what }
	for _, c := range caveats {
		var list []json.RawMessage
		var old struct{ Permissions json.RawMessage }
		if json.Unmarshal(c, &list) != nil {
			var projects struct{ Projects []string }
			if json.Unmarshal(c, &old) == nil && json.Unmarshal(old.Permissions, &projects) == nil && projects.Projects != nil {
				narrow(names(projects.Projects))
			}
			continue
		}
		var tag int
		if len(list) < 2 || json.Unmarshal(list[0], &tag) != nil {
			continue
		}
		switch tag {
		case tagExpiration:
			var at int64
			if json.Unmarshal(list[1], &at) == nil && (r.expires.IsZero() || at < r.expires.Unix()) {
				r.expires = time.Unix(at, 0).UTC()
			}
		case tagProjectName:
			var projects []string
			if json.Unmarshal(list[1], &projects) == nil {
				narrow(names(projects))
			}
		case tagProjectID:
			var ids []string
			if json.Unmarshal(list[1], &ids) == nil {
				narrow(fmt.Sprintf("%d projects, named by ids", len(ids)))
			}
		case tagPublisher:
			narrow("the projects of one trusted publisher")
		case tagUser: // whose it is: an id that only PyPI knows
		}
	}
	return r
}

// names lists projects that a caveat names, as far as they can be names of projects.
func names(projects []string) string {
	const most = 20
	var ok []string
	for _, p := range projects {
		if p != "" && len(p) <= 200 && !strings.ContainsFunc(p, func(r rune) bool {
			return r != '.' && r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
		}) {
			ok = append(ok, p)
		}
	}
	more := len(projects) - min(len(ok), most)
	text := strings.Join(ok[:min(len(ok), most)], ", ")
	switch {
	case text == "":
		return fmt.Sprintf("%d projects", len(projects))
	case more > 0:
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
