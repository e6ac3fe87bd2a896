package definitions

import (
	"fmt"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/pipeline"
	"github.com/leakreach/leakreach/pipeline/expression"
)

var envFileInjection = rule{
	Rule: audit.Rule{
		ID: "env-file-injection", Title: "Untrusted text reaches GITHUB_ENV or GITHUB_PATH", Category: audit.CategoryPipeline, Severity: audit.High, CWE: 77, Confidence: audit.MediumConfidence,
		Help: help(`
What stands in these files sets variables and the search path of all steps after it. A line break in the text makes a line of its own, such as
LD_PRELOAD=…, NODE_OPTIONS=… or BASH_ENV=…, and the next step runs the outsider's code.`, `
on: pull_request_target
steps:
  - run: echo "TITLE=$TITLE" >> "$GITHUB_ENV"
    env:
      TITLE: ${{ github.event.pull_request.title }}`, `
on: pull_request_target
steps:
  - id: title
    run: echo "title=$TITLE" >> "$GITHUB_OUTPUT"   # an output is read by those who name it
    env:
      TITLE: ${{ github.event.pull_request.title }}`, `
what is written is text of the definition's own. Where an event of outsiders starts the workflow and it is not known what a command prints, it is medium; in an
action, whose callers are not known, low.`),
		Fix: []string{"Write to GITHUB_OUTPUT, and name the output where it is needed", "Or check the text: a number, a word of a list"},
	},
	stake: true,
	judge: func(f *file, say func(problem)) {
		if f.Dialect != "github" {
			return
		}
		for _, j := range f.jobs {
			for _, s := range j.steps {
				open := s.on(pipeline.HandedEvents)
				if f.kind == isWorkflow && len(open) == 0 {
					continue
				}
				for l := range commandLines(s.run.Text()) {
					m := envFile().FindStringSubmatch(l.text)
					if m == nil {
						continue
					}
					s.writesEnv(l, strings.ToUpper(m[1]), open, say)
				}
			}
		}
	},
}

// envFile is where a line names one of the files to write to it, in a shell's, PowerShell's or the command prompt's way, behind a sign that writes.
var envFile = lazyregexp.New(`(?i)(?:>>?|\btee\b[^\n|]*|\bout-file\b[^\n]*|\badd-content\b[^\n]*)\s*["']?(?:\$\{?|%|\$env:|\$\{env:|\$\{\{\s*env\.)(GITHUB_ENV|GITHUB_PATH)\b`)

func (s *step) writesEnv(l line, name string, open []string, say func(problem)) {
	text := envFile().ReplaceAllString(l.text, " ")
	worst := fixed
	for _, e := range expression.In(text) {
		for n := range e.Root.Flows {
			worst = max(worst, s.origin(n, maxHops))
		}
	}
	for _, variable := range shellVariables(text) {
		if !s.runnerSets(variable) && !s.refuses(variable) {
			worst = max(worst, s.assigned(variable))
		}
	}
	if strings.Contains(text, "$(") || strings.Contains(text, "`") {
		worst = max(worst, unknown)
	}
	if !prints().MatchString(text) { // a command's output, and not the text that stands here
		worst = max(worst, unknown)
	}
	p := problem{at: s.run.Place(l.offset), name: s.label() + ", " + name}
	switch {
	case worst == fixed:
		return
	case s.kind == isAction:
		p.severity, p.evidence = audit.Low, fmt.Sprintf("%s writes to %s what its caller or a command gives it", s.label(), name)
	case worst == outsiders && s.stake.holds():
		p.evidence = fmt.Sprintf("%s writes to %s what outsiders choose, and %s starts the job for them; it holds %s", s.label(), name, open[0], s.stake)
	case worst == outsiders:
		p.stakes = &audit.Stakes{None: audit.Medium, Some: audit.High}
		p.severity, p.evidence = audit.Medium, fmt.Sprintf("%s writes to %s what outsiders choose, and %s starts the job for them", s.label(), name, open[0])
	default:
		p.severity, p.evidence = audit.Medium, fmt.Sprintf("%s writes to %s what a command computes, and %s starts the job for outsiders", s.label(), name, open[0])
		if p.stakes = (&audit.Stakes{None: audit.Low, Some: audit.Medium}); !s.stake.holds() {
			p.severity = audit.Low
		}
	}
	say(p)
}

// prints is a command that prints the text behind it.
var prints = lazyregexp.New(`(?i)(?:^|[\s;&|{(])(?:echo|printf|write-output|write-host)\b|^\s*["']`)

// refused is a test of bash for a variable that is not of some form as a whole.
var refused = lazyregexp.New(`!\s*"?\$\{?(\w+)\}?"?\s*=~\s*\^(\S+)\$(?:\s|$)`)

// loose are parts of an expression that line breaks, or other texts, get past.
var loose = []string{".*", ".+", ".{", "[^", "space", `\s`, `\S`, `\W`, `\D`, "|"}

// refuses tells whether a step's script tests for a variable that is not of a form without line breaks. What it does then, the test does not say; nobody
// writes one to go on.
func (s *step) refuses(variable string) bool {
	for _, m := range refused().FindAllStringSubmatch(s.run.Text(), -1) {
		if m[1] == variable && !slices.ContainsFunc(loose, func(part string) bool { return strings.Contains(m[2], part) }) {
			return true
		}
	}
	return false
}

// assigned tells who writes a shell's variable: one of the environment, or what the script has put into it.
func (s *step) assigned(name string) origin {
	values, found := s.assigns()[name]
	if !found {
		return s.variable(name, maxHops-1)
	}
	worst := fixed
	for _, value := range values {
		worst = max(worst, s.shellText(value, maxHops-1))
		if strings.Contains(value, "$(") || strings.Contains(value, "`") || strings.HasPrefix(value, "(") {
			worst = max(worst, unknown)
		}
	}
	return worst
}

// assignment is a line of a shell's script, or of PowerShell's, that sets a variable.
var assignment = lazyregexp.New(`^(?:export |local |readonly |declare |set )*(?:(\w+)=|\$(\w+) = )(.*)$`)

// assigns are the texts that a step's script sets variables to.
func (s *step) assigns() map[string][]string {
	if s.assignments == nil {
		s.assignments = map[string][]string{}
		for l := range commandLines(s.run.Text()) {
			if m := assignment().FindStringSubmatch(strings.TrimSpace(l.text)); m != nil {
				s.assignments[m[1]+m[2]] = append(s.assignments[m[1]+m[2]], m[3])
			}
		}
	}
	return s.assignments
}
