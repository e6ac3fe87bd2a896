package definitions

import (
	"fmt"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/pipeline/expression"
)

var secretUnmasked = rule{
	Rule: audit.Rule{
		ID: "secret-unmasked", Title: "Part of a secret is not masked", Category: audit.CategoryPipeline, Severity: audit.Medium, CWE: 532,
		Help: help(`
The runner hides a secret in logs where its whole value is printed. A field that is taken out of a secret of JSON is another value, which the runner does
not know: the first step that prints it shows it to everybody who may read the log. So is one that a script decodes or cuts out of a secret and hands on through
GITHUB_ENV, which the runner prints before each later step.`, `
env:
  PASSWORD: ${{ fromJSON(secrets.DATABASE).password }}`, `
env:
  PASSWORD: ${{ secrets.DATABASE_PASSWORD }}   # a secret of its own`, `
the whole secret is used, or the script tells the runner of the value with ::add-mask::.`),
		Fix: []string{"Keep each field as a secret of its own", "Or tell the runner of the value with ::add-mask:: before anything else"},
	},
	stake: true,
	judge: func(f *file, say func(problem)) {
		if !f.names {
			return
		}
		for e := range expressions(f.root) {
			for n := range e.Root.All {
				if n.Kind == expression.Call && n.Text == "fromjson" && len(n.Args) == 1 && n.Args[0].Under("secrets") {
					say(problem{at: e.in.Place(e.Start), name: e.keys, evidence: fmt.Sprintf("%s in %s makes another value of a secret", e.text(), e.keys)})
					break
				}
			}
		}
		for _, j := range f.jobs {
			for _, s := range j.steps {
				s.derived(say)
			}
		}
	},
}

// derives is a command that makes another value of what it reads: decoded, cut or taken out of JSON.
var derives = lazyregexp.New(`\b(?:base64\s+(?:-d|-D|--decode)|openssl\s+(?:enc|base64)\s[^|]*-d\b|jq\s|cut\s|sed\s|awk\s|gpg\s[^|]*(?:-d|--decrypt)\b)`)

// handsOn tells whether a text writes to the steps after it.
func handsOn(text string) bool { return hasAny(text, "GITHUB_ENV", "GITHUB_OUTPUT") }

// derived tells of lines that make another value of a secret and hand it to the steps after them, where the runner prints it as a part of their
// environment.
func (s *step) derived(say func(problem)) {
	script := s.run.Text()
	if !handsOn(script) || strings.Contains(script, "::add-mask::") {
		return
	}
	for l := range commandLines(script) {
		if !handsOn(l.text) || !derives().MatchString(l.text) {
			continue
		}
		if name := s.secretIn(l.text); name != "" {
			say(problem{at: s.run.Place(l.offset), name: s.label() + ", " + name, evidence: fmt.Sprintf("%s makes another value of %s and hands it on", s.label(), name)})
		}
	}
}

// secretIn is a secret that a piece of a script has in it, by an expression or by a variable that holds it.
func (s *step) secretIn(text string) string {
	texts := []string{text}
	for _, name := range shellVariables(text) {
		if value := s.setTo(name); value != "" && len(texts) < maxNamed {
			texts = append(texts, value)
		}
	}
	for _, text := range texts {
		for _, e := range expression.In(text) {
			for n := range e.Root.Flows {
				if n.Under("secrets") && n.Text != "secrets" && !isToken(n.Text) {
					return strings.ToUpper(strings.TrimPrefix(n.Text, "secrets."))
				}
			}
		}
	}
	return ""
}
