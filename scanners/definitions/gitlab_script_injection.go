package definitions

import (
	"fmt"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/pipeline"
)

var gitlabScriptInjection = rule{
	Rule: audit.Rule{
		ID: "gitlab-script-injection", Title: "Untrusted text is evaluated by a job", Category: audit.CategoryPipeline, Severity: audit.High, CWE: 78, Confidence: audit.MediumConfidence,
		Help: help(`
GitLab hands texts over as variables, which a shell does not read as commands. eval, sh -c, and a shell on another machine do: a branch or a
title with a command in it is run. An input, $[[ inputs.x ]], is put into the script before any shell sees it.`, `
script:
  - eval "notify $CI_COMMIT_TITLE"
  - ssh deploy@example.com "release $CI_COMMIT_REF_NAME"`, `
script:
  - notify "$CI_COMMIT_TITLE"
  - ssh deploy@example.com release -- "$(printf %q "$CI_COMMIT_SHA")"`, `
the variable is used by the shell of the job alone, it stands within single quotes, or the input has options or a pattern. Inputs are medium: who includes
the file chooses them.`),
		Fix: []string{"Hand the text over as an argument, in quotes", "Give inputs options or a regex"},
	},
	stake: true,
	judge: func(f *file, say func(problem)) {
		if f.kind != isGitLab {
			return
		}
		for _, j := range f.jobs {
			j.eachScript(func(name string, script pipeline.Node) {
				for l := range commandLines(script.Text()) {
					if m := evaluates().FindStringIndex(l.text); m != nil {
						for _, variable := range openVariables(l.text[m[0]:]) {
							if untrustedVariables[variable] {
								say(problem{at: script.Place(l.offset), name: name + ", " + variable, evidence: fmt.Sprintf("%s evaluates %s: %s", name, variable, strings.TrimSpace(l.text))})
							}
						}
					}
				}
				for _, m := range inputText().FindAllStringSubmatchIndex(script.Text(), -1) {
					input := script.Text()[m[2]:m[3]]
					if f.freeInput(input) {
						say(problem{at: script.Place(m[0]), name: name + ", input " + input, severity: audit.Medium, evidence: fmt.Sprintf("%s has the input %s in its script, which can be any text", name, input)})
					}
				}
			})
		}
	},
}

var (
	// evaluates is a command that reads a text as commands, here or elsewhere.
	evaluates = lazyregexp.New(`(?:^|[\s;&|(])(?:eval\s|(?:ba|z|da|k)?sh\s+(?:-\w+\s+)*-\w*c\s|ssh\s|python[0-9.]*\s+-c\s|node\s+-e\s|perl\s+-e\s|ruby\s+-e\s|pwsh\s+-c\w*\s|docker\s+exec\s[^\n]*-c\s|kubectl\s+exec\s[^\n]*-c\s)`)
	inputText = lazyregexp.New(`\$\[\[\s*inputs\.([\w-]+)[^\]]*\]\]`)
)

// untrustedVariables are texts that whoever pushes, or opens a merge request, chooses.
var untrustedVariables = map[string]bool{
	"CI_COMMIT_MESSAGE": true, "CI_COMMIT_TITLE": true, "CI_COMMIT_DESCRIPTION": true, "CI_COMMIT_REF_NAME": true, "CI_COMMIT_BRANCH": true, "CI_COMMIT_TAG": true,
	"CI_COMMIT_TAG_MESSAGE": true, "CI_COMMIT_AUTHOR": true, "CI_MERGE_REQUEST_TITLE": true, "CI_MERGE_REQUEST_DESCRIPTION": true, "CI_MERGE_REQUEST_LABELS": true,
	"CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": true, "CI_MERGE_REQUEST_MILESTONE": true, "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_NAME": true, "GITLAB_USER_NAME": true,
}

// openVariables are those that a text names outside of single quotes, in which a shell reads none.
func openVariables(text string) []string {
	var b strings.Builder
	single, double := false, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && !single:
			i++
		case c == '\'' && !double:
			single = !single
		case c == '"' && !single:
			double = !double
		case !single:
			b.WriteByte(c)
		}
	}
	return shellVariables(b.String())
}

// freeInput tells whether an input of the file can be any text.
func (f *file) freeInput(name string) bool {
	in := f.Heading().Get("spec", "inputs", name)
	kind := in.Get("type").Text()
	return f.Heading().Get("spec", "inputs").Is() && !in.Get("options").Is() && !in.Get("regex").Is() && (kind == "" || kind == "string")
}
