package report

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

// What GitHub takes of a SARIF file: it drops silently above the second figure and refuses the upload above the first. Source:
// https://docs.github.com/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning.
const (
	sarifResults   = 5000 // of 25,000
	sarifLocations = 50   // kept are 100, of 1,000
	sarifPaths     = 2    // with sarifSteps no more than 20 thread-flow locations; kept are 1,000, of 10,000
	sarifSteps     = 10
	sarifBytes     = 48 << 20 // uncompressed; compressed with gzip it must stay below 10 MB
	sarifText      = 1024     // characters of a description
	sarifNotices   = 50
)

const homepage = "https://github.com/leakreach/leakreach"

// writeSARIF writes SARIF 2.1.0 as GitHub code scanning reads it, see the OASIS standard of that name. A result needs a file as it is
// now: what lies in history, variables, logs and settings would be shown as fixed by the next upload, so it is left out and
// counted in a notification.
func writeSARIF(w io.Writer, run *audit.Run, o Options) error {
	s := sarif{run: run, o: o, index: map[string]int{}}
	s.collect()
	driver := sarifDriver{
		Name: "leakreach", Version: run.Info.Version, InformationURI: homepage, Rules: s.rules,
	}
	if regexp.MustCompile(`^\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?$`).MatchString(run.Info.Version) {
		driver.SemanticVersion = run.Info.Version
	}
	failed := 0
	for _, c := range run.Coverage {
		if c.Status == audit.Failed {
			failed++
		}
	}
	return encode(w, sarifLog{
		Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0",
		Runs: []sarifRun{{
			Tool: sarifTool{driver},
			Invocations: []sarifInvocation{{
				ExecutionSuccessful: failed == 0, Start: moment(run.Info.StartedAt), End: moment(run.Info.FinishedAt), Notifications: s.notifications(),
			}},
			Results: s.results,
		}},
	}, "")
}

type sarif struct {
	run     *audit.Run
	o       Options
	index   map[string]int // of a descriptor, by its id
	rules   []sarifRule
	results []json.RawMessage

	elsewhere, suppressed, cut int // findings left out
}

// collect takes the findings worst first, as the run has them, until GitHub would drop the rest.
func (s *sarif) collect() {
	s.rules, s.results = []sarifRule{}, []json.RawMessage{}
	size := 0
	all := slices.Clone(s.run.Findings)
	if s.o.Absent {
		all = append(all, s.run.Gone...)
	}
	for i := range all {
		f := &all[i]
		at := anchors(f)
		switch {
		case f.Suppressed != nil:
			s.suppressed++
			continue
		case len(at) == 0:
			s.elsewhere++
			continue
		case len(s.results) >= sarifResults || size > sarifBytes:
			s.cut++
			continue
		}
		result, err := json.Marshal(s.result(f, at))
		if err != nil { // plain strings and numbers always encode
			s.cut++
			continue
		}
		size += len(result)
		s.results = append(s.results, result)
	}
}

func (s *sarif) result(f *audit.Finding, at []audit.Location) sarifResult {
	rule := descriptor(f, s.o.Rules[f.Rule])
	index, ok := s.index[rule.ID]
	if !ok {
		index = len(s.rules)
		s.index[rule.ID] = index
		s.rules = append(s.rules, rule)
	}
	r := sarifResult{
		RuleID: rule.ID, RuleIndex: index, Level: rule.Configuration.Level, Message: sarifMessage{s.message(f, len(at))},
		Fingerprints: map[string]string{"leakreach/v1": f.ID}, State: baselineStates[f.Change],
	}
	for _, l := range at[:min(len(at), sarifLocations)] {
		r.Locations = append(r.Locations, sarifPlace(l, ""))
	}
	if f.Reach != nil {
		for _, p := range f.Reach.Paths[:min(len(f.Reach.Paths), sarifPaths)] {
			if flow := sarifPath(p, at[0]); len(flow.ThreadFlows[0].Locations) > 0 {
				r.CodeFlows = append(r.CodeFlows, flow)
			}
		}
	}
	return r
}

// baselineStates are the standard's words, section 3.27.24: each result has one, or none has. What could not be looked for again is none of
// them, and is counted in a notification.
var baselineStates = map[audit.Change]string{audit.ChangeNew: "new", audit.ChangeNone: "unchanged", audit.ChangeGone: "absent"}

// message says in its first sentence, which is the alert's title, what is wrong, and then what is known.
func (s *sarif) message(f *audit.Finding, shown int) string {
	parts := []string{f.Title}
	if name := named(f.Secret); name != "" {
		parts = append(parts, "It is "+name)
	}
	if m := strings.Join(strings.Fields(f.Message), " "); m != "" && m != f.Title {
		parts = append(parts, m)
	}
	if v := f.Verdict; v != nil && v.Identity != nil && v.Identity.ARN != "" {
		parts = append(parts, "It acts as "+v.Identity.ARN)
	}
	if in := accounts(f); in != "" {
		parts = append(parts, "It has "+string(level(f))+" in "+in)
	}
	if v := f.Verdict; v != nil && v.Error != "" {
		parts = append(parts, "It could not be verified: "+v.Error)
	}
	if f.Reach != nil {
		for _, limit := range f.Reach.Limits[:min(len(f.Reach.Limits), 3)] {
			parts = append(parts, "Limit: "+limit)
		}
	}
	if more := len(f.Locations) - min(shown, sarifLocations); more > 0 {
		parts = append(parts, fmt.Sprintf("It also lies in %s %s not shown here", number(more), plural("place", more)))
	}
	var b strings.Builder
	for i, p := range parts {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(strings.TrimRight(p, ".") + ".")
	}
	return plain(b.String(), 4*sarifText)
}

// plain makes foreign text a SARIF message: one line, at most n characters, without links of its own ("[text](target)").
func plain(s string, n int) string {
	s = strings.ReplaceAll(Clean(s), "](", "] (")
	if r := []rune(s); len(r) > n {
		s = string(r[:n-1]) + "…"
	}
	return s
}

// A standing is what tells two findings of one rule apart in severity: what the secret opens, or those that the job holds.
type standing struct {
	suffix, words string
	score         float64
}

// standings, by level of reach. Where the level changes the old alert closes and a new one opens: escalation is news. No
// score is exactly 9.0, which GitHub's documentation puts in no class.
var standings = map[audit.Level]standing{
	audit.LevelAdmin:      {"admin", "reaches administrator", 9.8},
	audit.LevelEscalation: {"escalation", "can make itself administrator", 9.3},
	audit.LevelWrite:      {"write", "can write", 8.2},
	audit.LevelRead:       {"read", "can read", 5.5},
	audit.LevelNone:       {"none", "is live and opens nothing known", 4.0},
}

func stand(f *audit.Finding) standing {
	if s, ok := standings[level(f)]; ok {
		return s
	}
	scores := map[audit.Severity]float64{audit.Critical: 9.1, audit.High: 8.0, audit.Medium: 5.0, audit.Low: 2.0}
	switch validity(f) {
	case audit.Active:
		return standing{"live", "is live", max(8.0, scores[f.Severity])}
	case audit.Inactive:
		return standing{"inactive", "no longer works", 2.0}
	case audit.Canary:
		return standing{"canary", "is a canary", 0}
	case audit.Unchecked, audit.Unknown:
		if f.Secret.Kind == audit.KindAWSKey { // its reach could be known, and is not
			return standing{"unchecked", "was not verified", 4.0}
		}
	}
	if f.Stakes != nil && f.Severity != f.Stakes.Some {
		return standing{string(f.Severity), string(f.Severity) + " by what is at stake", scores[f.Severity]}
	}
	return standing{"", "", scores[f.Severity]}
}

// descriptor is the rule as GitHub lists it: severity hangs on a rule there, so each standing is a rule of its own.
func descriptor(f *audit.Finding, rule audit.Rule) sarifRule {
	st := stand(f)
	id, title := f.Rule, rule.Title
	if title == "" { // a stored run of another version
		title = f.Rule
	}
	short := title
	if st.suffix != "" {
		id, short = id+"-"+st.suffix, title+": "+st.words
	}
	help := rule.Help
	if help == "" {
		help = plain(title, sarifText)
	}
	if len(rule.Fix) > 0 {
		help += "\n\nFix:\n"
		for i, step := range rule.Fix {
			help += fmt.Sprintf("\n%d. %s", i+1, step)
		}
	}
	r := sarifRule{
		ID: id, Name: id, Short: sarifMessage{plain(short, sarifText)}, Full: sarifMessage{plain(title+". "+firstLine(rule.Help), sarifText)},
		Help: sarifHelp{Text: help, Markdown: help}, HelpURI: homepage + "/blob/main/docs/rules.md#" + url.PathEscape(f.Rule),
	}
	tags := []string{"security", string(f.Category)}
	if rule.CWE > 0 {
		tags = append(tags, fmt.Sprintf("external/cwe/cwe-%03d", rule.CWE))
	}
	r.Properties = sarifProperties{Precision: "high", Tags: tags}
	switch {
	case rule.Generic:
		r.Properties.Precision = "medium"
	case rule.Confidence != "":
		r.Properties.Precision = string(rule.Confidence)
	}
	switch {
	case st.score >= 7:
		r.Configuration.Level, r.Properties.Problem = "error", "error"
	case st.score >= 4:
		r.Configuration.Level, r.Properties.Problem = "warning", "warning"
	default:
		r.Configuration.Level, r.Properties.Problem = "note", "recommendation"
	}
	if st.score > 0 {
		r.Properties.Score = strconv.FormatFloat(st.score, 'f', 1, 64)
	}
	return r
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s
}

// sarifPath shows an attack path step by step. Its hops have no file: they point at the line the credential lies on.
func sarifPath(p audit.Path, at audit.Location) sarifCodeFlow {
	flow := sarifThreadFlow{Locations: []sarifFlowLocation{}}
	for _, step := range p.Steps[:min(len(p.Steps), sarifSteps)] {
		text := step.From + " " + step.Edge + " " + step.To
		if step.Evidence != "" {
			text += " (" + step.Evidence + ")"
		}
		flow.Locations = append(flow.Locations, sarifFlowLocation{sarifPlace(at, plain(text, sarifText))})
	}
	return sarifCodeFlow{ThreadFlows: []sarifThreadFlow{flow}}
}

func sarifPlace(l audit.Location, message string) sarifLocation {
	file, member := outside(l.Path)
	region := sarifRegion{1, 1, 1, 2}
	if member == "" {
		region.StartLine, region.StartColumn = max(1, l.Line), max(1, l.Column)
		region.EndLine = max(region.StartLine, l.EndLine)
		region.EndColumn = max(1, l.EndColumn)
		if region.EndLine == region.StartLine && region.EndColumn <= region.StartColumn {
			region.EndColumn = region.StartColumn + 1
		}
	}
	out := sarifLocation{Physical: sarifPhysical{Artifact: sarifArtifact{relativeURI(file)}, Region: region}}
	if message != "" {
		out.Message = &sarifMessage{message}
	}
	return out
}

// relativeURI percent-encodes a path segment by segment (RFC 3986, section 4.2: no colon in the first of a relative reference).
func relativeURI(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i] = strings.ReplaceAll(url.PathEscape(s), ":", "%3A")
	}
	return strings.Join(segments, "/")
}

// notifications say what the results do not: gaps by class, and what was left out.
func (s *sarif) notifications() []sarifNotification {
	out := []sarifNotification{}
	add := func(level, text string) {
		out = append(out, sarifNotification{level, sarifMessage{plain(text, sarifText)}})
	}
	for _, text := range leftOut(s.elsewhere, s.suppressed, s.cut) {
		add("warning", text)
	}
	if compared(s.run) {
		add("note", since(s.run))
	}
	for i, g := range missing(s.run) {
		if i == sarifNotices {
			add("warning", "there are more gaps: see the JSON report")
			break
		}
		add("warning", "not seen: "+g)
	}
	return out
}

// leftOut tells in sentences how many findings a forge's page will not show.
func leftOut(elsewhere, suppressed, cut int) []string {
	var out []string
	if elsewhere > 0 {
		out = append(out, number(elsewhere)+" "+plural("finding", elsewhere)+" without a file as it is now (history, variables, logs, settings) left out: see the text or JSON report")
	}
	if suppressed > 0 {
		out = append(out, number(suppressed)+" suppressed "+plural("finding", suppressed)+" left out")
	}
	if cut > 0 {
		out = append(out, number(cut)+" less severe "+plural("finding", cut)+" cut: the upload would drop them")
	}
	return out
}

// missing tells, one line each, what was not looked at: targets first, then gaps by class.
func missing(run *audit.Run) []string {
	var out []string
	for _, c := range run.Coverage {
		if c.Status == audit.Failed || c.Status == audit.Skipped {
			out = append(out, c.Target+" "+string(c.Status)+": "+c.Reason)
		}
	}
	for _, g := range gapClasses(run.Gaps) {
		out = append(out, g.text(true))
	}
	return out
}

type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool        sarifTool         `json:"tool"`
		Invocations []sarifInvocation `json:"invocations"`
		Results     []json.RawMessage `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name            string      `json:"name"`
		Version         string      `json:"version"`
		SemanticVersion string      `json:"semanticVersion,omitempty"`
		InformationURI  string      `json:"informationUri"`
		Rules           []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID            string             `json:"id"`
		Name          string             `json:"name"`
		Short         sarifMessage       `json:"shortDescription"`
		Full          sarifMessage       `json:"fullDescription"`
		Help          sarifHelp          `json:"help"`
		HelpURI       string             `json:"helpUri"`
		Configuration sarifConfiguration `json:"defaultConfiguration"`
		Properties    sarifProperties    `json:"properties"`
	}
	sarifHelp struct {
		Text     string `json:"text"`
		Markdown string `json:"markdown"`
	}
	sarifConfiguration struct {
		Level string `json:"level"`
	}
	sarifProperties struct {
		Precision string   `json:"precision"`
		Problem   string   `json:"problem.severity"`
		Score     string   `json:"security-severity,omitempty"`
		Tags      []string `json:"tags"`
	}
	sarifInvocation struct {
		ExecutionSuccessful bool                `json:"executionSuccessful"`
		Start               string              `json:"startTimeUtc,omitempty"`
		End                 string              `json:"endTimeUtc,omitempty"`
		Notifications       []sarifNotification `json:"toolExecutionNotifications"`
	}
	sarifNotification struct {
		Level   string       `json:"level"`
		Message sarifMessage `json:"message"`
	}
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    int               `json:"ruleIndex"`
		Level        string            `json:"level"`
		Message      sarifMessage      `json:"message"`
		Locations    []sarifLocation   `json:"locations"`
		CodeFlows    []sarifCodeFlow   `json:"codeFlows,omitempty"`
		Fingerprints map[string]string `json:"fingerprints"`
		State        string            `json:"baselineState,omitempty"`
	}
	sarifMessage struct {
		Text string `json:"text"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
		Message  *sarifMessage `json:"message,omitempty"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn"`
		EndLine     int `json:"endLine"`
		EndColumn   int `json:"endColumn"`
	}
	sarifCodeFlow struct {
		ThreadFlows []sarifThreadFlow `json:"threadFlows"`
	}
	sarifThreadFlow struct {
		Locations []sarifFlowLocation `json:"locations"`
	}
	sarifFlowLocation struct {
		Location sarifLocation `json:"location"`
	}
)
