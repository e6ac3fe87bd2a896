package secrets

import (
	"bytes"
	"cmp"
	"slices"
	"sort"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/scanners/secrets/internal/credfile"
	"github.com/leakreach/leakreach/scanners/secrets/internal/match"
)

// One secret is one finding. What knows no shape, such as a rule that goes by a name, reports the text of a value as it stands there;
// where that is only the wrapping of a secret that is reported by itself, the wrapping is none.

// absorb takes out those of the findings from one on, all of one part, whose values are encoded forms of others. Those say then what has
// found them, too. Where it depends on the place whether the other one is reported, so it does for the first.
func (p *pass) absorb(from int) {
	findings := p.findings[from:]
	var inner []*audit.Finding // found in what was decoded, in the order of their places
	for i := range findings {
		if f := &findings[i]; len(f.Locations[0].Encoding) > 0 && !f.Candidate && f.Secret != nil {
			inner = append(inner, f)
		}
	}
	if len(inner) == 0 {
		return
	}
	slices.SortStableFunc(inner, func(a, b *audit.Finding) int { return before(a.Locations[0], b.Locations[0]) })
	gone := map[*audit.Finding]bool{}
	for i := range findings {
		f := &findings[i]
		if rule := p.byID[f.Rule]; rule == nil || !rule.Generic || f.Candidate || f.Secret == nil || f.Locations[0].Line == 0 {
			continue
		}
		outer := f.Locations[0]
		first := sort.Search(len(inner), func(k int) bool { return before(inner[k].Locations[0], outer) >= 0 })
		for _, d := range inner[first:] {
			l := &d.Locations[0]
			if l.Line > outer.EndLine || l.Line == outer.EndLine && l.Column > outer.EndColumn {
				break
			}
			if !unwraps(l.Encoding, outer.Encoding) || d.Secret.SameValue(f.Secret) {
				continue
			}
			if within := f.Secret.Contains(d.Secret); p.undone[f.Secret] {
				if !within { // a login that was read out of the whole, and d is the whole
					continue
				}
			} else if within { // nothing was decoded but what follows: some of the bytes of a key are text
				gone[d] = d.Rule == f.Rule
				continue
			}
			l.Rules = sorted(append(slices.Clone(l.Rules), outer.Rules...))
			if d.Keep == nil {
				gone[f] = true
			} else if keep := d.Keep; !gone[f] {
				f.Keep = both(f.Keep, func(l audit.Location) bool { return !keep(l) })
			}
		}
	}
	if len(gone) > 0 {
		n := from
		for i := range findings {
			if !gone[&findings[i]] {
				p.findings[n] = findings[i]
				n++
			}
		}
		clear(p.findings[n:])
		p.findings = p.findings[:n]
	}
}

// before orders places of one part by where they begin.
func before(a, b audit.Location) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) }

// unwraps tells whether what was found under some encodings lies in a value found under fewer of them because a run of characters was
// decoded, all of which belongs to the value.
func unwraps(inner, outer []string) bool {
	n := len(outer)
	return len(inner) > n && slices.Equal(inner[:n], outer) && isBlob(inner[n])
}

// isBlob tells whether an encoding makes one run of characters of any text.
func isBlob(encoding string) bool {
	return slices.Contains([]string{"base64", "base32", "hex"}, encoding)
}

// wraps tells whether the value of a rule that knows no shape is only more text around a credential, or its encoded form: "user:password" in
// base64, or after curl -u.
func wraps(text []byte, m *match.Match, creds []credfile.Credential) *credfile.Credential {
	i, _ := slices.BinarySearchFunc(creds, m.SecretStart, func(c credfile.Credential, at int) int {
		if c.End > at {
			return 1
		}
		return -1
	})
	if i == len(creds) || creds[i].Start >= m.SecretEnd {
		return nil
	}
	c, value := &creds[i], text[m.SecretStart:m.SecretEnd]
	asIs := string(text[c.Start:c.End])
	if c.Value == "" || c.Value == string(value) || asIs == c.Value && !(len(value) > len(asIs) && bytes.Contains(value, []byte(asIs))) {
		return nil
	}
	return c
}
