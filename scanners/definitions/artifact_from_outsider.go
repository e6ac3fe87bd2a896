package definitions

import (
	"fmt"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/pipeline/expression"
)

var artifactFromOutsider = rule{
	Rule: audit.Rule{
		ID: "artifact-from-outsider", Title: "Privileged job trusts an artifact of a fork's run", Category: audit.CategoryPipeline, Severity: audit.High, CWE: 829, Confidence: audit.MediumConfidence,
		Help: help(`
A workflow_run job often takes what the run of a pull request has left. That run was the outsider's: each file of the artifact is what they want it to be,
and unpacked over the checkout it replaces scripts, too.`, `
on: {workflow_run: {workflows: [build], types: [completed]}}
steps:
  - uses: actions/download-artifact@d3f86a106a0bac45b974a628896c90dbdf5c8093
    with: {run-id: "${{ github.event.workflow_run.id }}", github-token: "${{ github.token }}"}
  - run: cat version >> "$GITHUB_ENV"`, `
steps:
  - uses: actions/download-artifact@d3f86a106a0bac45b974a628896c90dbdf5c8093
    with: {run-id: "${{ github.event.workflow_run.id }}", github-token: "${{ github.token }}", path: artifact}
  - run: |
      number=$(cat artifact/number)
      [[ $number =~ ^[0-9]+$ ]] || exit 1`, `
a condition asks for runs of the repository's own code, or the files are neither run nor written to GITHUB_ENV. Where the job holds nothing it is medium.`),
		Fix: []string{
			"Unpack into a folder of its own, and run nothing of it",
			"Check each value: a number, a word of a list",
		},
	},
	stake: true,
	judge: func(f *file, say func(problem)) {
		if f.kind != isWorkflow {
			return
		}
		for _, j := range f.jobs {
			open := j.on([]string{"workflow_run"})
			if len(open) == 0 || asksForOwn(expression.Of(j.node.Get("if").Text()), open) {
				continue
			}
			taken := 0
			for i, s := range j.steps {
				if taken >= maxTaken || !s.takesArtifact() || asksForOwn(expression.Of(s.node.Get("if").Text()), open) {
					continue
				}
				taken++
				for _, later := range j.steps[i:] {
					how := later.trusts(s)
					if how == "" {
						continue
					}
					p := problem{at: s.node.At(), name: s.label(), evidence: fmt.Sprintf("%s takes an artifact of the run that started the workflow, which may be a fork's, and %s trusts it: %s. The job holds %s", s.label(), later.label(), how, j.stake)}
					if p.stakes = (&audit.Stakes{None: audit.Medium, Some: audit.High}); !j.stake.holds() {
						p.severity = audit.Medium
					}
					say(p)
					break
				}
			}
		}
	},
}

// maxTaken is how many artifacts of a job are followed through the steps after them; people take a few.
const maxTaken = 20

var (
	downloadCommand = lazyregexp.New(`\bgh\s+run\s+download\b|actions/artifacts/|/artifacts\b[^\n]*\bzip\b`)
	downloadScript  = lazyregexp.New(`\bdownloadArtifact\b`)
)

// takesArtifact tells whether a step fetches what another run has left.
func (s *step) takesArtifact() bool {
	switch {
	case s.is("actions/download-artifact"):
		return s.with("run-id").Is()
	case s.is("dawidd6/action-download-artifact"):
		return true
	case s.is("actions/github-script"):
		return downloadScript().MatchString(s.with("script").Text())
	}
	return downloadCommand().MatchString(s.run.Text())
}

var (
	ranFile  = lazyregexp.New(`(?m)(?:^|[\s;&|(])(?:\./\S+|(?:ba|z|da)?sh\s+[\w./-]+|source\s+\S+|\.\s+\./?\S+|python[0-9.]*\s+[\w./-]+\.py|node\s+[\w./-]+\.[cm]?js|pip[0-9.]*\s+install\s+\S*(?:\.whl|\.tar\.gz)|docker\s+load|npm\s+(?:ci|install|run|publish)|chmod\s+\+x)`)
	readFile = lazyregexp.New(`\$\(\s*(?:cat|<|jq)\b|` + "`" + `\s*cat\b|\bcat\s+\S+`)
)

// trusts says how a step believes what an artifact holds, or "".
func (s *step) trusts(from *step) string {
	path := from.with("path").Text()
	for l := range commandLines(s.run.Text()) {
		switch {
		case envFile().MatchString(l.text) && readFile().MatchString(l.text):
			return "what it holds is written to GITHUB_ENV or GITHUB_PATH"
		case s == from:
		case ranFile().MatchString(l.text) && (path == "" || strings.Contains(l.text, path)):
			return strings.TrimSpace(ranFile().FindString(l.text))
		}
	}
	if s.uses != nil && strings.HasPrefix(s.uses.Text, "./") && path == "" && s != from {
		return s.uses.Text
	}
	return ""
}
