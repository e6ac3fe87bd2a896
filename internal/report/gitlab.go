package report

import (
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
)

// gitlabSchema is the version of GitLab's report schema. Only fields that 15.0.7 has too are written, so that older servers
// take the report. Source: https://gitlab.com/gitlab-org/security-products/security-report-schemas.
const gitlabSchema = "15.2.1"

// Lengths that GitLab's schema allows, in characters.
const (
	gitlabName     = 255
	gitlabSolution = 7000
	gitlabDetail   = 2000 // ours: of one line among the details
	gitlabList     = 20   // ours: lines of one list
)

// writeGitLab writes a GitLab secret detection report. As in SARIF, what has no file is left out and counted in a message;
// what is in history stays, with its commit.
func writeGitLab(w io.Writer, run *audit.Run, o Options) error {
	tool := gitlabTool{ID: "leakreach", Name: "leakreach", Version: run.Info.Version, Vendor: gitlabVendor{"leakreach"}}
	if tool.Version == "" {
		tool.Version = "unknown" // the schema wants one
	}
	r := gitlabReport{
		Version:         gitlabSchema,
		Schema:          "https://gitlab.com/gitlab-org/security-products/security-report-schemas/-/raw/v" + gitlabSchema + "/dist/secret-detection-report-format.json",
		Vulnerabilities: []gitlabVulnerability{},
		Scan: gitlabScan{
			Type: "secret_detection", Status: "failure", Start: gitlabTime(run.Info.StartedAt), End: gitlabTime(run.Info.FinishedAt),
			Analyzer: tool, Scanner: tool, Messages: []gitlabMessage{},
		},
	}
	for _, c := range run.Coverage {
		if c.Status == audit.Scanned || c.Status == audit.Partial {
			r.Scan.Status = "success"
		}
	}
	elsewhere, suppressed := 0, 0
	for i := range run.Findings {
		f := &run.Findings[i]
		at, ok := gitlabPlace(f)
		switch {
		case f.Suppressed != nil:
			suppressed++
		case !ok:
			elsewhere++
		default:
			r.Vulnerabilities = append(r.Vulnerabilities, vulnerability(f, at, o.Rules[f.Rule]))
		}
	}
	if elsewhere > 0 {
		r.Scan.say("warn", fmt.Sprintf("%s %s without a file (variables, logs, settings, commit messages) left out: see the text or JSON report",
			number(elsewhere), plural("finding", elsewhere)))
	}
	if suppressed > 0 {
		r.Scan.say("info", fmt.Sprintf("%s suppressed %s left out", number(suppressed), plural("finding", suppressed)))
	}
	if compared(run) {
		r.Scan.say("info", since(run))
	}
	for i, g := range missing(run) {
		if i == sarifNotices {
			r.Scan.say("warn", "there are more gaps: see the JSON report")
			break
		}
		r.Scan.say("warn", "not seen: "+g)
	}
	return encode(w, r, "  ")
}

func (s *gitlabScan) say(level, text string) {
	s.Messages = append(s.Messages, gitlabMessage{level, plain(text, gitlabDetail)})
}

// gitlabTime has neither zone nor fraction, and is UTC.
func gitlabTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05") }

// gitlabPlace is where GitLab shows a finding: the file as it is now, or else where it came in.
func gitlabPlace(f *audit.Finding) (audit.Location, bool) {
	if at, ok := anchor(f); ok {
		return at, true
	}
	for _, l := range places(f) {
		if l.Kind == audit.InCommit && inside(l.Path) {
			return l, true
		}
	}
	return audit.Location{}, false
}

func vulnerability(f *audit.Finding, at audit.Location, rule audit.Rule) gitlabVulnerability {
	file, member := outside(at.Path)
	v := gitlabVulnerability{
		ID: uuid(f.ID), Name: f.Rule, Severity: "Unknown", Details: map[string]gitlabField{},
		Identifiers: []gitlabIdentifier{{"leakreach_rule", f.Rule, f.Rule, ""}},
		Location:    gitlabLocation{File: file, Commit: gitlabCommit{at.Commit}},
	}
	if rule.Title != "" {
		v.Name = rule.Title
	}
	v.Name = plain(v.Name, gitlabName)
	if f.Severity.Rank() >= 0 {
		v.Severity = strings.ToUpper(string(f.Severity[:1])) + string(f.Severity[1:])
	}
	if member == "" && at.Line > 0 {
		v.Location.StartLine, v.Location.EndLine = at.Line, max(at.Line, at.EndLine)
	}
	if v.Location.Commit.SHA == "" {
		v.Location.Commit.SHA = strings.Repeat("0", 40) // required; git's own sign for none
	}
	if rule.CWE > 0 {
		cwe := fmt.Sprint(rule.CWE)
		v.Identifiers = append(v.Identifiers, gitlabIdentifier{"cwe", "CWE-" + cwe, cwe, "https://cwe.mitre.org/data/definitions/" + cwe + ".html"})
	}
	description := []string{prose(f.Title) + "."}
	if f.Secret != nil {
		v.Extract = f.Secret.Masked()
		if name := named(f.Secret); name != "" {
			description = append(description, "It is "+code(name)+".")
		}
	}
	if m := strings.Join(strings.Fields(f.Message), " "); m != "" && m != f.Title {
		description = append(description, prose(m))
	}
	v.Description = strings.Join(description, " ")
	var steps []string
	for i, s := range fixes(f, map[string]audit.Rule{rule.ID: rule}) {
		steps = append(steps, fmt.Sprintf("%d. %s", i+1, prose(s)))
	}
	v.Solution = wholeLines(steps, gitlabSolution)
	v.detail(f)
	return v
}

// detail adds what is known of the secret as named fields.
func (v *gitlabVulnerability) detail(f *audit.Finding) {
	text := func(key, name, value string) {
		if value != "" {
			v.Details[key] = gitlabField{Name: name, Type: "text", Value: plain(value, gitlabDetail)}
		}
	}
	list := func(key, name string, values []string) {
		if len(values) == 0 {
			return
		}
		field := gitlabField{Name: name, Type: "list"}
		for i, value := range values {
			if i == gitlabList {
				value = fmt.Sprintf("and %s more", number(len(values)-i))
			}
			field.Items = append(field.Items, gitlabField{Type: "text", Value: plain(value, gitlabDetail)})
			if i == gitlabList {
				break
			}
		}
		v.Details[key] = field
	}
	text("finding", "Finding", f.ID)
	if d := f.Verdict; d != nil {
		text("verdict", "Verdict", strings.Join(nonEmpty(string(d.Validity), how(d.How), d.Error), ", "))
		if d.Identity != nil {
			text("identity", "Identity", d.Identity.ARN)
			text("account", "Account", d.Identity.Account)
		}
	}
	if r := f.Reach; r != nil {
		text("reach", "Reach", string(r.Level))
		list("accounts", "Accounts in reach", r.Accounts)
		var paths []string
		for _, p := range r.Paths {
			paths = append(paths, pathLine(p))
		}
		list("paths", "Paths", paths)
		list("limits", "Limits", r.Limits)
	}
	var where []string
	for _, l := range places(f) {
		where = append(where, place(l, false))
	}
	if len(where) > 1 {
		list("places", "All places", where)
	}
}

func nonEmpty(parts ...string) []string { return keep(parts, func(s string) bool { return s != "" }) }

// wholeLines joins as many lines as fit in n bytes.
func wholeLines(lines []string, n int) string {
	var b strings.Builder
	for _, l := range lines {
		if b.Len()+len(l)+1 > n {
			break
		}
		b.WriteString(l + "\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

// uuid makes a UUID of version 8 (RFC 9562, section 5.8) from a finding's id: the same for the same finding in every run.
func uuid(id string) string {
	h := sha256.Sum256([]byte(id))
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

type (
	gitlabReport struct {
		Version         string                `json:"version"`
		Schema          string                `json:"schema"`
		Scan            gitlabScan            `json:"scan"`
		Vulnerabilities []gitlabVulnerability `json:"vulnerabilities"`
	}
	gitlabScan struct {
		Type     string          `json:"type"`
		Status   string          `json:"status"`
		Start    string          `json:"start_time"`
		End      string          `json:"end_time"`
		Analyzer gitlabTool      `json:"analyzer"`
		Scanner  gitlabTool      `json:"scanner"`
		Messages []gitlabMessage `json:"messages"`
	}
	gitlabTool struct {
		ID      string       `json:"id"`
		Name    string       `json:"name"`
		Version string       `json:"version"`
		Vendor  gitlabVendor `json:"vendor"`
	}
	gitlabVendor struct {
		Name string `json:"name"`
	}
	gitlabMessage struct {
		Level string `json:"level"`
		Value string `json:"value"`
	}
	gitlabVulnerability struct {
		ID          string                 `json:"id"`
		Name        string                 `json:"name"`
		Description string                 `json:"description"`
		Severity    string                 `json:"severity"`
		Solution    string                 `json:"solution,omitempty"`
		Identifiers []gitlabIdentifier     `json:"identifiers"`
		Location    gitlabLocation         `json:"location"`
		Details     map[string]gitlabField `json:"details"`
		Extract     string                 `json:"raw_source_code_extract,omitempty"` // masked
	}
	gitlabIdentifier struct {
		Type  string `json:"type"`
		Name  string `json:"name"`
		Value string `json:"value"`
		URL   string `json:"url,omitempty"`
	}
	gitlabLocation struct {
		File      string       `json:"file"`
		StartLine int          `json:"start_line,omitempty"`
		EndLine   int          `json:"end_line,omitempty"`
		Commit    gitlabCommit `json:"commit"`
	}
	gitlabCommit struct {
		SHA string `json:"sha"`
	}
	gitlabField struct {
		Name  string        `json:"name,omitempty"`
		Type  string        `json:"type"`
		Value string        `json:"value,omitempty"`
		Items []gitlabField `json:"items,omitempty"`
	}
)
