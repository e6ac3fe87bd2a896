package secrets

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/scanners/secrets/internal/decode"
)

const ruleEncodedLog = "encoded-secret-in-log"

// encodedLogRule tells how secrets were taken out of jobs, and not only which.
var encodedLogRule = audit.Rule{
	ID: ruleEncodedLog, Title: "Log holds encoded secrets", Category: audit.CategorySecret, Severity: audit.Critical, CWE: 532,
	Help: "Runners mask what they know to be secret, as it stands. Encoded, it passes: base64 of a job's secrets in its log is how the component that was made " +
		"to steal them hands them out, tj-actions/changed-files among others. Whoever may read the log has them.\n\n" +
		"Before:\n\n```\nImlzU2VjcmV0Ijp0cnVl…   two layers around \"DEPLOY_TOKEN\":{\"value\":\"••••\",\"isSecret\":true}\n```\n\nAfter:\n\n```\n" +
		"the log is kept where only responders read it, then deleted; what it held is revoked\n```\n\n" +
		"**Not a finding when** what is encoded is neither a record of the runner's memory nor a value for a name that the same log has masked; then a secret in it " +
		"is reported as any other. Nor when it decodes to nothing, or to a mask.",
	Fix: []string{
		"Find the step that printed it and what it ran, and stop that component in all pipelines",
		"Revoke each secret that is named, and all others that the job held: what was printed once may have been sent, too",
		"Keep the log as evidence, then delete it from the forge",
	},
}

// record is one of a runner's memory, as the Actions runner keeps its variables (actions/runner, VariableValue).
var record = lazyregexp.New(`"([\w.-]{1,100})":\{"value":"([^"]+)","isSecret":true\}`)

// Names whose values a log has masked, and those that a text has values for.
var (
	masked   = lazyregexp.New(`\b([A-Z][A-Z0-9_]{2,99})(?:=|: ?)"?\*\*\*`)
	assigned = lazyregexp.New(`\b([A-Z][A-Z0-9_]{2,99})"?[=:] ?"?([^\s"*][^\s"]{5,})`)
)

// mostNames is how many names of secrets are told, and ten times as many are kept of those that a log masks: a job has some dozen.
const mostNames = 20

// encoded reports a view of a log in which secrets stand that the log was meant to mask.
func (t *sheet) encoded(v decode.View) {
	if t.item.Kind != audit.KindLog || t.byID[ruleEncodedLog] == nil || !slices.Contains(v.Encoding, "base64") {
		return
	}
	var names []string
	start, end := -1, 0
	see := func(of *regexp.Regexp, is func(name string) bool) {
		for _, m := range of.FindAllSubmatchIndex(v.Text, -1) {
			name, value := string(v.Text[m[2]:m[3]]), v.Text[m[4]:m[5]]
			if bytes.HasPrefix(value, []byte("***")) || !is(name) || !t.decodes(v, m[4], m[5]) {
				continue
			}
			if start < 0 {
				start = m[0]
			}
			if end = m[1]; len(names) < mostNames && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	if bytes.Contains(v.Text, []byte(`"isSecret":true`)) {
		see(record(), func(string) bool { return true })
	}
	if hides := t.hides(); len(hides) > 0 {
		see(assigned(), func(name string) bool { return hides[name] })
	}
	if start < 0 {
		return
	}
	if loc, ok := t.locate(ruleEncodedLog, start, end, start, end); ok {
		if f := t.report(t.byID[ruleEncodedLog], loc, "", nil, nil); f != nil {
			f.Message = strings.Join(v.Encoding, " and ") + " of what the job was to keep: " + strings.Join(names, ", ")
		}
	}
}

// decodes tells whether [start, end) of a view is not in the part as it stands.
func (t *sheet) decodes(v decode.View, start, end int) bool {
	at := v.At(start)
	return at < 0 || at+end-start > len(t.content) || !bytes.Equal(t.content[at:at+end-start], v.Text[start:end])
}

// hides are the names whose values the part masks.
func (t *sheet) hides() map[string]bool {
	if t.masked == nil {
		t.masked = map[string]bool{}
		if bytes.Contains(t.content, []byte("***")) {
			for _, m := range masked().FindAllSubmatch(t.content, 10*mostNames) {
				t.masked[string(m[1])] = true
			}
		}
	}
	return t.masked
}
