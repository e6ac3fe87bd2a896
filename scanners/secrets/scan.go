package secrets

import (
	"bytes"
	"hash/maphash"
	"slices"
	"sort"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/scanners/secrets/internal/archive"
	"github.com/leakreach/leakreach/scanners/secrets/internal/credfile"
	"github.com/leakreach/leakreach/scanners/secrets/internal/decode"
	"github.com/leakreach/leakreach/scanners/secrets/internal/fresh"
	"github.com/leakreach/leakreach/scanners/secrets/internal/literal"
	"github.com/leakreach/leakreach/scanners/secrets/internal/match"
	"github.com/leakreach/leakreach/scanners/secrets/internal/pair"
	"github.com/leakreach/leakreach/scanners/secrets/internal/rules"
)

// A pass is the work on one item. It is lent: most texts have nothing to be found, and what cost most in them was to make room for it.
type pass struct {
	*Scanner
	item     audit.Item
	later    bool // the item's path comes after its content
	depth    int  // encoded containers around the text being scanned
	unpacks  bool // a container is being unpacked
	unpacker archive.Unpacker
	findings []audit.Finding
	gaps     []audit.Gap
	spare    []*sheet
	undone   map[*audit.Secret]bool // those whose values a format keeps encoded
}

// begin lends a pass for an item; done takes it back.
func (s *Scanner) begin(it audit.Item) *pass {
	p, _ := s.passes.Get().(*pass)
	if p == nil {
		p = &pass{Scanner: s}
	}
	p.item, p.later = it, it.Kind == audit.KindFile && it.At.Path == "" && it.Object != ""
	return p
}

func (p *pass) done() (findings []audit.Finding, gaps []audit.Gap) {
	findings, gaps = p.findings, p.gaps
	p.item, p.findings, p.gaps = audit.Item{}, nil, nil
	clear(p.undone)
	p.passes.Put(p)
	return findings, gaps
}

// A part is one text of an item: its content, or a member of it.
type part struct {
	content []byte
	path    string // inside containers, with "!" in front; "" for the item itself
	text    bool   // taken out of a document
	skip    int    // bytes in front that are not the item's
}

// A sheet is a part being scanned.
type sheet struct {
	*pass
	part
	lines    match.Lines
	view     func(decode.View) bool // looks at a view of the part; it is here because it is made anew where it is named
	encoding []string
	at       func(int) int // from the text being scanned to the part; nil for the part itself
	binary   bool
	raw      []byte // what is printable of the part, if it is binary
	seen     map[spot]bool
	creds    credfile.Search // of the text being scanned
	halves   pair.Search     // of AWS keys in it
	known    fresh.Text      // of the part
	taken    []pair.Span     // of those that were found, and of what rules have
	starts   []int           // of tokens in the part
	looks    int             // at what stands beside secrets
	masked   map[string]bool // names whose values the part masks; nil until somebody asks
	line     struct {        // the last lines asked for: matches on one long line share the answer
		start, end int
		digest     uint64
		allow      string
	}
}

// spot is where a rule reported a value.
type spot struct {
	rule       string
	start, end int
}

// sheet lends a sheet for a part; free takes it back.
func (p *pass) sheet(in part) *sheet {
	var t *sheet
	if n := len(p.spare); n > 0 {
		t, p.spare = p.spare[n-1], p.spare[:n-1]
	} else {
		t = &sheet{pass: p}
		t.view = t.decoded
	}
	t.part = in
	t.lines.Begin(in.content)
	return t
}

// maxRaw bounds the memory that is kept for the next binary: most are images of pages and small programs.
const maxRaw = 1 << 20

func (p *pass) free(t *sheet) {
	t.creds.Begin(nil)
	t.halves.Begin(nil)
	t.lines.Begin(nil)
	if cap(t.raw) > maxRaw {
		t.raw = nil
	}
	*t = sheet{pass: p, view: t.view, lines: t.lines, creds: t.creds, halves: t.halves, known: t.known, taken: t.taken[:0], starts: t.starts[:0], raw: t.raw}
	p.spare = append(p.spare, t)
}

// text scans one part: as it stands, and decoded.
func (p *pass) text(in part) {
	if len(in.content) == 0 {
		return
	}
	t := p.sheet(in)
	from := len(p.findings)
	t.binary = !in.text && binary(in.content)
	raw := in.content
	if t.binary {
		t.raw = printable(t.raw, raw)
		raw = t.raw
	}
	var of *fresh.Text
	if !t.binary && len(raw) >= fresh.Worth && p.item.Kind != audit.KindLog { // whether a log hides what it has encoded, hangs on all of it
		of = &t.known
		of.Begin(t.memory, raw)
	}
	t.find(raw, of)
	if t.binary {
		for _, c := range credfile.Keys(in.content) {
			t.credential(in.content, &c)
		}
	}
	p.decoder.Views(in.content, of)(t.view)
	of.End()
	if p.item.Kind == audit.KindLog && !t.binary {
		p.decoder.Columns(in.content)(t.view)
	}
	switch {
	case len(t.starts) == 0:
	case t.binary:
		t.unglue(raw)
	default:
		p.decoder.Joined(in.content, t.starts)(t.view)
	}
	p.absorb(from)
	p.free(t)
}

// unglue scans the tokens of a binary again that have a letter or digit in front, and nothing before that: it is the length of the
// string, and makes the token begin in the midst of a word.
func (t *sheet) unglue(raw []byte) {
	const longest = 4 << 10 // of a token
	for _, at := range t.starts {
		if at >= 2 && raw[at-2] == '\n' && raw[at-1] > ' ' {
			lo, hi := at, min(at+longest, len(raw))
			t.decoded(decode.View{Text: raw[lo:hi], At: func(i int) int { return lo + i }})
		}
	}
}

// decoded scans a view of the part.
func (t *sheet) decoded(v decode.View) bool {
	if archive.Kind(v.Text) != "" && t.depth < maxEmbedded {
		t.depth++
		t.members(t.path+"!"+strings.Join(v.Encoding, "+"), v.Text)
		t.depth--
	}
	t.at, t.encoding = v.At, v.Encoding
	t.find(v.Text, nil)
	t.encoded(v)
	return true
}

// maxEmbedded bounds how often a container may lie encoded in the text of a container's member.
const maxEmbedded = 3

// printable replaces what is not text by newlines, so that offsets stay and strings stand apart. It writes to out, if that is large enough.
func printable(out, b []byte) []byte {
	out = slices.Grow(out[:0], len(b))[:len(b)]
	for i, c := range b {
		out[i] = legible[c]
	}
	return out
}

// legible has each byte of text for itself, and newlines for others.
var legible = func() (t [256]byte) {
	for c := range t {
		if t[c] = '\n'; c >= ' ' && c < 0x7f || c == '\t' {
			t[c] = byte(c)
		}
	}
	return t
}()

// find reports what is in text, which is the part or a decoded view of it.
func (t *sheet) find(text []byte, of *fresh.Text) {
	path, commit := t.item.At.Path+t.path, t.item.At.Commit
	// Pieces of a token, which is known by its shape or not at all.
	pieces := len(t.encoding) > 0 && (t.encoding[0] == decode.Variable || t.encoding[0] == decode.Column)
	reads := !t.binary && !pieces && len(text) <= maxCredentialFile
	t.creds.Begin(text)
	t.halves.Begin(text)
	matches, whole := t.matcher.Find(text, of, func(h literal.Hit) bool {
		switch {
		case h.Word >= t.otherWords:
			if t.at == nil && len(t.starts) < decode.MaxStarts {
				t.starts = append(t.starts, h.Start)
			}
		case h.Word >= t.credWords:
			h.Word -= t.credWords
			t.halves.At(h)
		case reads:
			return t.creds.At(h)
		}
		return true
	})
	if !whole {
		t.gap("more matches than can be reported; those behind the first 100000 are left out")
	}
	if !t.later {
		matches = slices.DeleteFunc(matches, func(m match.Match) bool { return !m.Keep(path, commit) })
	}
	t.taken = t.taken[:0]
	matches = t.keys(text, of, matches)
	var creds []credfile.Credential
	if reads {
		if t.later && t.path == "" {
			path = ""
		}
		creds = t.creds.Credentials(path)
	}
	var locked cover // by a passphrase; they are in order
	for _, c := range creds {
		if c.Rule == ruleEncryptedKey {
			locked = append(locked, pair.Span{Start: c.Start, End: c.End})
		}
	}
	var also map[*credfile.Credential][]string // what found more around a credential
	for i := range matches {
		m := &matches[i]
		if (t.binary || pieces) && t.byID[m.Rule.ID].Generic || t.item.Kind == audit.KindNames && !shaped(text, m) ||
			t.item.Kind == audit.KindCommit && namesObject(text, m) {
			m.SecretEnd = m.SecretStart // noise
			continue
		}
		if t.byID[m.Rule.ID].Generic {
			if c := wraps(text, m, creds); c != nil {
				if also == nil {
					also = map[*credfile.Credential][]string{}
				}
				also[c] = append(also[c], m.Rule.ID)
				continue
			}
		}
		rule := m.Rule.ID
		if rule == rulePrivateKey && locked.meets(m.Start, m.End) {
			rule = ruleEncryptedKey
		}
		t.matched(text, m, rule)
	}
	if len(creds) == 0 {
		return
	}
	for _, m := range matches { // a value that one has found keeps its rule's name
		if !t.byID[m.Rule.ID].Generic {
			t.taken = append(t.taken, pair.Span{Start: m.SecretStart, End: m.SecretEnd})
		}
	}
	reported := newCover(t.taken)
	for i := range creds {
		if c := &creds[i]; !reported.meets(c.Start, c.End) {
			t.credential(text, c, also[c]...)
		}
	}
}

// shaped tells whether a value shows by itself what it is, as one does that has a keyword of its rule in it. What is a secret by the name beside it alone
// may be a commit: "datadog-agent:" stands before those of images, and "sourcegraph/" before those of actions.
func shaped(text []byte, m *match.Match) bool {
	value := bytes.ToLower(text[m.SecretStart:m.SecretEnd])
	return len(m.Rule.Keywords) == 0 || slices.ContainsFunc(m.Rule.Keywords, func(k string) bool { return bytes.Contains(value, []byte(k)) })
}

// namesObject tells whether a value is the id by which the header of a commit or tag names another object: a message that speaks of a service makes its
// tree and parents look like tokens.
func namesObject(text []byte, m *match.Match) bool {
	if m.SecretStart > bytes.Index(text, []byte("\n\n")) {
		return false
	}
	start := bytes.LastIndexByte(text[:m.SecretStart], '\n') + 1
	return slices.Contains([]string{"tree ", "parent ", "object "}, string(text[start:m.SecretStart]))
}

// A cover is a set of spans, each of which ends no earlier than those that start before it.
type cover []pair.Span

// newCover takes the spans for itself.
func newCover(spans []pair.Span) cover {
	slices.SortFunc(spans, func(a, b pair.Span) int { return a.Start - b.Start })
	for i := 1; i < len(spans); i++ {
		spans[i].End = max(spans[i].End, spans[i-1].End)
	}
	return spans
}

// meets tells whether one of the spans shares a byte with [start, end).
func (c cover) meets(start, end int) bool {
	n := sort.Search(len(c), func(i int) bool { return c[i].Start >= end })
	return n > 0 && c[n-1].End > start
}

// gitleaks' rule for private keys does not tell those under a passphrase from bare ones.
const (
	rulePrivateKey   = "private-key"
	ruleEncryptedKey = "encrypted-private-key"
)

// ruleNamed goes by the name beside a value.
const ruleNamed = "generic-api-key"

func (t *sheet) gap(why string) {
	t.gaps = append(t.gaps, audit.Gap{What: strings.TrimPrefix(t.item.At.Path+t.path, "!"), Why: why})
}

// matched reports a match of a rule, under the name of the rule that knows more of it.
func (t *sheet) matched(text []byte, m *match.Match, name string) {
	rule := t.byID[name]
	if m.Rule.Regex == "" {
		t.report(rule, audit.Location{Path: t.path, Rules: []string{m.Rule.ID}}, "", nil, t.keep(m))
		return
	}
	if m.SecretStart >= m.SecretEnd {
		return
	}
	loc, ok := t.locate(m.Rule.ID, m.SecretStart, m.SecretEnd, m.Start, m.End)
	if !ok {
		return
	}
	secret, name := t.whose(text, m, name)
	rule = t.byID[name]
	if name != m.Rule.ID {
		loc.Rules = sorted([]string{m.Rule.ID, name})
	}
	t.report(rule, loc, string(text[m.SecretStart:m.SecretEnd]), secret, t.keep(m))
}

// keep defers the judgement of a match to when its place is known.
func (t *sheet) keep(m *match.Match) func(audit.Location) bool {
	if !t.later {
		return nil
	}
	k := m.Lasting()
	return func(l audit.Location) bool { return k.Keep(l.Path, l.Commit) }
}

// credential reports what a file's format tells, and which other rules saw it.
func (t *sheet) credential(text []byte, c *credfile.Credential, also ...string) {
	rule := t.byID[c.Rule]
	if rule == nil || c.Value == "" && c.ID == "" {
		return
	}
	if t.ofGitea(text, c.Start, min(c.End, len(text)), c.Rule) && (t.only == nil || t.only[ruleGitea]) {
		rule, c.Kind, also = t.byID[ruleGitea], ruleGitea, append(slices.Clip(also), ruleGitea)
	}
	// What a format keeps encoded, a view may show decoded, and there it would be decoded once more.
	first := spot{c.Rule, c.Start, -1}
	if t.at != nil {
		first.start = t.at(c.Start)
	}
	encoded := string(text[c.Start:min(c.End, len(text))]) != c.Value
	if encoded && t.at != nil && t.seen[first] {
		return
	}
	loc, ok := t.locate(c.Rule, c.Start, max(c.End, c.Start+1), c.Start, c.End)
	if !ok || loc.EndLine > loc.Line && t.glued(c.Start, c.End) {
		return
	}
	loc.Rules = sorted(append(loc.Rules, also...))
	t.seen[first] = true
	secret := audit.NewSecret(c.Kind, c.ID, c.Value)
	if encoded {
		if t.undone == nil {
			t.undone = map[*audit.Secret]bool{}
		}
		t.undone[secret] = true
	}
	for name, value := range c.Parts {
		secret.SetPart(name, value)
	}
	t.report(rule, loc, c.Value, secret, nil)
}

// glued tells whether a value goes over a line's end that was taken out of a view, and that no sign of continuation stands at. A
// token shows by its shape that it goes on there; what a file's format tells of ends with its line.
func (t *sheet) glued(start, end int) bool {
	if n := len(t.encoding); n == 0 || t.encoding[n-1] != "wrap" {
		return false
	}
	line, _, more := bytes.Cut(t.content[t.at(start):t.at(end-1)+1], []byte("\n"))
	line = bytes.TrimRight(line, "\r")
	return more && (len(line) == 0 || bytes.IndexByte([]byte("\\^`="), line[len(line)-1]) < 0)
}

// locate turns offsets in the text being scanned into a location: of [start, end), digested over the lines of [from, to). It
// returns false for what has been reported there, and for what lies in front of the item's own text.
func (t *sheet) locate(rule string, start, end, from, to int) (audit.Location, bool) {
	if t.at != nil {
		start, end = t.at(start), t.at(end-1)+1
		from, to = t.at(from), t.at(max(to-1, 0))+1
	}
	n := len(t.content)
	start = max(0, min(start, n-1))
	end = max(start+1, min(end, n))
	from, to = max(0, min(from, start)), min(max(to, end), n)
	if start < t.skip {
		return audit.Location{}, false
	}
	if s := (spot{rule, start, end}); t.seen[s] {
		return audit.Location{}, false
	} else if t.seen == nil {
		t.seen = map[spot]bool{s: true}
	} else {
		t.seen[s] = true
	}
	l := audit.Location{Path: t.path, Rules: []string{rule}, Encoding: t.encoding}
	l.Line, l.Column = t.lines.Position(start)
	l.EndLine, l.EndColumn = t.lines.Position(end - 1)
	if t.skip > 0 && l.Line == 1 {
		l.Column -= t.skip
		if l.EndLine == 1 {
			l.EndColumn -= t.skip
		}
	}
	_, before := t.lines.Before(from)
	t.look(before+1, t.lines.From(to))
	l.Lines = t.line.digest
	return l, true
}

// look learns about the lines in [start, end).
func (t *sheet) look(start, end int) {
	end = max(start, end)
	if t.line.start == start && t.line.end == end && t.line.digest != 0 {
		return
	}
	text := t.content[start:end]
	t.line.start, t.line.end, t.line.allow = start, end, ""
	t.line.digest = maphash.Bytes(t.seed, text) | 1
	for _, mark := range []string{"gitleaks:allow", "betterleaks:allow"} {
		if bytes.Contains(text, []byte(mark)) {
			t.line.allow = mark
		}
	}
}

// maxOwnLine bounds what a user's list sees of a line, in bytes: a line of 100 MiB would be copied for each match on it.
const maxOwnLine = 64 << 10

// report adds a finding at the lines last looked at, unless the user's own lists exempt it.
func (t *sheet) report(rule *audit.Rule, loc audit.Location, value string, secret *audit.Secret, keep func(audit.Location) bool) *audit.Finding {
	if len(t.own) > 0 && rule != nil {
		drop, own := t.exempts(value, string(t.content[t.line.start:min(t.line.end, t.line.start+maxOwnLine)]))
		if drop {
			return nil
		}
		keep = both(keep, own)
		if !t.later && keep != nil {
			at := t.item.At
			at.Path += t.path
			if !keep(at) {
				return nil
			}
		}
	}
	f := t.pass.report(rule, loc, secret, keep)
	if f != nil && t.line.allow != "" && loc.Line > 0 {
		f.Suppressed = &audit.Suppression{By: "comment", Reason: t.line.allow}
	}
	return f
}

// both holds where each of two conditions holds; nil always does.
func both(a, b func(audit.Location) bool) func(audit.Location) bool {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return func(l audit.Location) bool { return a(l) && b(l) }
}

// report adds a finding, unless its rule is not asked for. The result is good until the next one.
func (p *pass) report(rule *audit.Rule, loc audit.Location, secret *audit.Secret, keep func(audit.Location) bool) *audit.Finding {
	if rule == nil || p.only != nil && !p.only[rule.ID] {
		return nil
	}
	p.findings = append(p.findings, audit.Finding{
		Rule: rule.ID, Category: audit.CategorySecret, Severity: rule.Severity, Title: rule.Title, Message: message(rule, loc),
		Locations: []audit.Location{loc}, Secret: secret, Fix: rule.Fix, Keep: keep,
	})
	return &p.findings[len(p.findings)-1]
}

func message(rule *audit.Rule, loc audit.Location) string {
	m := rule.Title + " in the clear"
	if len(loc.Encoding) > 0 {
		m = rule.Title + ", hidden only by " + strings.Join(loc.Encoding, " and ")
	}
	return m
}

// keys reports the AWS keys in text and returns the matches that are none of their halves.
func (t *sheet) keys(text []byte, of *fresh.Text, matches []match.Match) []match.Match {
	if t.byID[ruleAWS] == nil || t.only != nil && !t.only[ruleAWS] {
		return matches
	}
	var found []pair.Found
	if !t.binary || slices.ContainsFunc(matches, func(m match.Match) bool { return m.Rule.ID == ruleAWSID }) {
		found = t.halves.Find(of)
	}
	if len(found) == 0 {
		return matches
	}
	sort.SliceStable(matches, func(i, j int) bool { return matches[i].SecretStart < matches[j].SecretStart })
	taken := make([]bool, len(matches))
	for _, f := range found {
		t.key(text, f, matches, taken)
	}
	rest := matches[:0]
	for i, m := range matches {
		if !taken[i] {
			rest = append(rest, m)
		}
	}
	return rest
}

// key reports one credential that package pair has found.
func (t *sheet) key(text []byte, f pair.Found, matches []match.Match, taken []bool) {
	value := func(s pair.Span) string { return pair.Value(text, s) }
	has := func(s pair.Span) bool { return s.End > s.Start }
	if !has(f.ID) {
		t.half(text, f)
		t.lone(text, f, matches, taken)
		return
	}
	t.taken = append(t.taken, f.ID, f.Secret, f.Token)
	id := value(f.ID)
	idRules, idMatch := overlapping(f.ID, matches, taken, func(m *match.Match) bool { return m.Rule.ID == ruleAWSID })
	generic := func(m *match.Match) bool { return t.byID[m.Rule.ID].Generic }
	secretRules, _ := overlapping(f.Secret, matches, taken, generic)
	tokenRules, _ := overlapping(f.Token, matches, taken, generic)
	if strings.HasSuffix(id, "EXAMPLE") {
		return // of Amazon's documentation
	}
	if has(f.Secret) && strings.HasSuffix(value(f.Secret), "EXAMPLEKEY") {
		f.Secret = pair.Span{} // somebody put a key of theirs into the example and left the secret as it was
	}
	if !has(f.Secret) && idMatch == nil {
		return // half a key that gitleaks' rule does not take for one either
	}
	secret := func() *audit.Secret {
		s := audit.NewSecret(audit.KindAWSKey, id, "")
		if has(f.Secret) {
			s = audit.NewSecret(audit.KindAWSKey, id, value(f.Secret))
		}
		if has(f.Token) {
			s.SetPart(audit.PartSessionToken, value(f.Token))
		}
		if has(f.Region) {
			s.SetPart(audit.PartRegion, value(f.Region))
		}
		for _, c := range f.Candidates {
			s.AddCandidate(audit.NewSecret(audit.KindAWSKey, id, value(c)))
		}
		return s
	}
	var keep func(audit.Location) bool
	if !has(f.Secret) {
		keep = t.keep(idMatch) // half a key is as doubtful as gitleaks says; a whole one is a key wherever it lies
	}
	rule := t.byID[ruleAWS]
	var first *audit.Finding
	if loc, ok := t.locate(ruleAWS, f.ID.Start, f.ID.End, f.ID.Start, f.ID.End); ok {
		loc.Rules = sorted(append(idRules, ruleAWS))
		first = t.report(rule, loc, id, secret(), keep)
	}
	for _, part := range []struct {
		pair.Span
		rules []string
	}{{f.Secret, secretRules}, {f.Token, tokenRules}} {
		if !has(part.Span) {
			continue
		}
		loc, ok := t.locate(ruleAWS, part.Start, part.End, part.Start, part.End)
		switch {
		case ok && (first == nil || first.Locations[0].Line != loc.Line):
			loc.Rules = sorted(append(part.rules, ruleAWS))
			t.report(rule, loc, value(part.Span), secret(), keep)
		case first != nil:
			first.Locations[0].Rules = sorted(append(first.Locations[0].Rules, part.rules...))
		}
	}
}

// half notes a secret or token without an id: a candidate that may belong to an id found elsewhere.
func (t *sheet) half(text []byte, f pair.Found) {
	span, kind := f.Secret, audit.KindAWSKey
	if span.End == span.Start {
		span, kind = f.Token, pair.KindToken
	}
	if span.End == span.Start {
		return
	}
	loc, ok := t.locate(ruleAWS, span.Start, span.End, span.Start, span.End)
	if !ok {
		return
	}
	value := pair.Value(text, span)
	half := t.report(t.byID[ruleAWS], loc, value, audit.NewSecret(kind, "", value), nil)
	if half == nil {
		return
	}
	half.Candidate = true
	if half.Severity = audit.Medium; f.Named {
		half.Severity = audit.High
	}
}

// lone reports the secret of a key whose id is not beside it, such as a masked one in a log, where its name says what it is and it is like one
// that Amazon makes. Rules that go by names pass over one in fifteen of them: for a short word that chance has put together, or for a sign in front.
func (t *sheet) lone(text []byte, f pair.Found, matches []match.Match, taken []bool) {
	if !f.Named || f.Secret.End == f.Secret.Start {
		return
	}
	value := pair.Value(text, f.Secret)
	if !t.madeByChance(value) || slices.ContainsFunc(matches, func(m match.Match) bool { return m.SecretStart <= f.Secret.Start && m.SecretEnd >= f.Secret.End }) {
		return
	}
	loc, ok := t.locate(ruleNamed, f.Secret.Start, f.Secret.End, f.Secret.Start, f.Secret.End)
	if !ok {
		return
	}
	also, _ := overlapping(f.Secret, matches, taken, func(m *match.Match) bool { return t.byID[m.Rule.ID].Generic })
	loc.Rules = sorted(append(also, ruleAWS))
	t.report(t.byID[ruleNamed], loc, value, audit.NewSecret(ruleNamed, "", value), nil)
}

// longWords are those of a rule's stop words that do not occur by chance: six letters do in one of a million random secrets.
// What people write in place of a secret names it, too.
func longWords(r rules.Rule) []string {
	words := []string{"acces", "dummy", "insert", "placeholder", "secret"}
	for _, a := range r.Allow {
		for _, w := range a.StopWords {
			if len(w) >= 6 {
				words = append(words, strings.ToLower(w))
			}
		}
	}
	return words
}

// madeByChance tells whether a value has what forty characters of base64 from a random source have: letters of both cases, digits, and no word.
func (p *pass) madeByChance(value string) bool {
	has := func(from, to byte) bool {
		return strings.ContainsFunc(value, func(r rune) bool { return r >= rune(from) && r <= rune(to) })
	}
	seen := map[rune]bool{}
	for _, r := range value {
		seen[r] = true
	}
	lower := strings.ToLower(value)
	return has('a', 'z') && has('A', 'Z') && has('0', '9') && len(seen) >= 20 &&
		!slices.ContainsFunc(p.words, func(w string) bool { return strings.Contains(lower, w) })
}

// overlapping marks the matches that lie in a span and satisfy want as taken, and returns their rules and the first of them.
func overlapping(s pair.Span, matches []match.Match, taken []bool, want func(*match.Match) bool) (ids []string, first *match.Match) {
	if s.End == s.Start {
		return nil, nil
	}
	// Secrets are short; the few that begin far in front and reach into the span are whole keys of another kind.
	i := sort.Search(len(matches), func(i int) bool { return matches[i].SecretStart > s.Start-200 })
	for ; i < len(matches) && matches[i].SecretStart < s.End; i++ {
		if m := &matches[i]; m.SecretEnd > s.Start && want(m) {
			taken[i] = true
			ids = append(ids, m.Rule.ID)
			if first == nil {
				first = m
			}
		}
	}
	return ids, first
}

func sorted(ids []string) []string {
	slices.Sort(ids)
	return slices.Compact(ids)
}
