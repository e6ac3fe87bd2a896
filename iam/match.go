package iam

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// star and one stand for * and ? in patterns: no text in UTF-8 has these bytes, so what a variable stands for is never taken for a wildcard.
const (
	star = "\xff"
	one  = '\xfe'
)

// wildcards turns them into what stands for them, plain all that stands for them into a letter.
var (
	wildcards = strings.NewReplacer("*", star, "?", string([]byte{one}))
	plain     = strings.NewReplacer(star, "x", string([]byte{one}), "x")
)

func wild(text string) string { return wildcards.Replace(text) }

// A glob is a pattern with wildcards. It holds the pieces between its stars.
type glob struct {
	pieces []string // at least one; with n stars n+1
}

func newGlob(pattern string) glob { return globOf(wild(pattern)) }

// globOf takes a pattern after wild.
func globOf(pattern string) glob { return glob{strings.Split(pattern, star)} }

// all is the glob of everything.
func (g glob) all() bool {
	for _, p := range g.pieces {
		if p != "" {
			return false
		}
	}
	return len(g.pieces) > 1
}

// match tells whether the whole text is like the pattern. Each piece is looked for once, from where the one before it ended, so what it takes is the
// length of the text times that of the longest piece with a question mark in it, and without those the length of the text.
func (g glob) match(text string) bool {
	first, rest := g.pieces[0], g.pieces[1:]
	if len(rest) == 0 {
		return len(text) == len(first) && like(text, first)
	}
	last := rest[len(rest)-1]
	if len(text) < len(first)+len(last) || !like(text[:len(first)], first) || !like(text[len(text)-len(last):], last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, piece := range rest[:len(rest)-1] {
		at := index(text, piece)
		if at < 0 {
			return false
		}
		text = text[at+len(piece):]
	}
	return true
}

// like compares a text with a piece of its length.
func like(text, piece string) bool {
	if strings.IndexByte(piece, one) < 0 {
		return text == piece
	}
	for i := range len(piece) {
		if piece[i] != one && piece[i] != text[i] {
			return false
		}
	}
	return true
}

func index(text, piece string) int {
	if strings.IndexByte(piece, one) < 0 {
		return strings.Index(text, piece)
	}
	for at := 0; at+len(piece) <= len(text); at++ {
		if like(text[at:at+len(piece)], piece) {
			return at
		}
	}
	return -1
}

// An action is a pattern of them, in lower case: AWS compares them whatever their case.
type action struct{ glob }

func parseActions(raw json.RawMessage) ([]action, error) {
	texts, err := stringsOf(raw)
	if err != nil {
		return nil, err
	}
	var all []action
	for _, text := range texts {
		if text != "*" && !strings.Contains(text, ":") {
			return nil, fmt.Errorf("%.100q is not like SERVICE:ACTION", text)
		}
		all = append(all, action{newGlob(strings.ToLower(text))})
	}
	if len(all) == 0 {
		return nil, errors.New("the list is empty")
	}
	return all, nil
}

// does tells whether a statement is about an action, which is in lower case.
func (s *Statement) does(name string) bool {
	for _, a := range s.actions {
		if a.match(name) {
			return !s.notActions
		}
	}
	return s.notActions
}

// arnParts are partition, service, region, account and what follows, with "arn" before them.
const arnParts = 6

// A pattern is a text with wildcards that may have variables in it.
type pattern struct {
	text  string
	arn   bool   // it is compared part by part if it is an ARN
	parts []glob // those of an ARN, or one that is all of it; none where there are variables
	holds bool   // variables
}

func newPattern(text string, variables, arn bool) pattern {
	p := pattern{text: text, arn: arn, holds: variables && strings.Contains(text, "${")}
	if !p.holds {
		p.compile(wild(text))
	}
	return p
}

// compile takes a text after wild.
func (p *pattern) compile(text string) {
	if !p.arn || !strings.HasPrefix(text, "arn:") {
		p.parts = []glob{globOf(text)}
		return
	}
	for _, part := range strings.SplitN(text, ":", arnParts) { // one that is cut short ends with its last part
		p.parts = append(p.parts, globOf(part))
	}
}

// match tells whether a text is like the pattern. A star of an ARN stands for text within its part; only that of the last one may run over colons. See
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html.
func (p *pattern) match(text string, r *Request) Tri {
	if p.holds {
		void := r.void
		filled, known := r.expand(p.text)
		q := pattern{arn: p.arn}
		q.compile(filled)
		if !q.matchPlain(text) { // whatever the variables are
			r.void = void
			return No
		}
		return known
	}
	return truth(p.matchPlain(text))
}

// of is the pattern after wild, with its variables as they are for an identity.
func (p *pattern) of(i *Identity) string {
	if !p.holds {
		return wild(p.text)
	}
	text, _ := (&Request{Principal: i.principal()}).expand(p.text)
	return text
}

func (p *pattern) matchPlain(text string) bool {
	for i, g := range p.parts {
		part := text
		if i < len(p.parts)-1 {
			var ok bool
			if part, text, ok = strings.Cut(text, ":"); !ok {
				return false
			}
		}
		if !g.match(part) {
			return false
		}
	}
	return true
}

// A resource is a pattern of ARNs, or * for everything.
type resource struct {
	pattern
	all bool
}

func (p *Policy) parseResources(raw json.RawMessage) ([]resource, error) {
	texts, err := stringsOf(raw)
	if err != nil {
		return nil, err
	}
	var all []resource
	for _, text := range texts {
		all = append(all, resource{newPattern(text, p.variables, true), newGlob(text).all()})
	}
	if len(all) == 0 {
		return nil, errors.New("the list is empty")
	}
	return all, nil
}

// concerns tells whether a statement is about the request's resource. One without a resource is a trust policy's: it is about the role that it is of.
func (s *Statement) concerns(r *Request) Tri {
	if s.resources == nil { // AWS takes no policy of an identity without one
		return truth(s.principals != nil || s.Effect == Deny)
	}
	found := No
	if s.notRes { // of a variable that stands for nothing, what it leaves out is anybody's guess, unless it is another service's
		for i := range s.resources {
			if p := &s.resources[i]; p.holds && service(p.text) == service(r.Resource) {
				_, _ = r.expand(p.text)
			}
		}
	}
	for i := range s.resources {
		if s.resources[i].all {
			found = Yes
			break
		}
		if found = either(found, s.resources[i].match(r.Resource, r)); found == Yes {
			break
		}
	}
	if s.notRes {
		return not(found)
	}
	return found
}

// service is the part of an ARN that names it.
func service(arn string) string {
	if parts := strings.SplitN(arn, ":", 4); len(parts) == 4 {
		return parts[2]
	}
	return ""
}
