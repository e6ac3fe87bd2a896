package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
)

// How much of a long list a person reads; the rest is counted, and whole in the other formats.
const (
	maxBlocks = 40  // findings told in full
	maxRows   = 160 // further findings on one line each
	maxPlaces = 3
	maxPaths  = 3
	maxGaps   = 8
)

// writeText writes a run for people: the verdict and what it rests on first, then the findings, worst first.
func writeText(w io.Writer, run *audit.Run, o Options) error {
	if o.CI {
		o.Width, o.Links = 0, false
	}
	t := &text{Options: o, run: run, id: shortIDs(run), many: len(run.Coverage) > 1}
	t.header()
	t.findings()
	t.gone()
	t.coverage()
	t.verdict()
	_, err := io.WriteString(w, t.b.String())
	return err
}

// text is a report in the making. Strings that enter its lines have gone through [Clean]; styles and links are added after.
type text struct {
	Options
	run  *audit.Run
	b    strings.Builder
	id   func(string) string
	many bool // several targets: places name theirs
}

func (t *text) header() {
	parts := []string{t.bold("leakreach " + Clean(t.run.Info.Version))}
	for i, ref := range t.run.Info.Refs {
		if i == 3 {
			parts = append(parts, fmt.Sprintf("and %s more", number(len(t.run.Info.Refs)-i)))
			break
		}
		parts = append(parts, t.fit(Clean(ref), 60))
	}
	if t.run.Info.Verify != "" {
		parts = append(parts, "verify: "+Clean(t.run.Info.Verify))
	}
	t.line(strings.Join(parts, " · "))
	t.line("")
}

func (t *text) findings() {
	shown := keep(t.run.Findings, func(f audit.Finding) bool { return f.Suppressed == nil })
	if len(shown) == 0 {
		return
	}
	t.group("findings")
	defer t.endGroup()
	if !compared(t.run) {
		t.list(shown, maxBlocks)
		return
	}
	fresh := keep(shown, func(f audit.Finding) bool { return f.Change == audit.ChangeNew })
	known := keep(shown, func(f audit.Finding) bool { return f.Change == audit.ChangeNone })
	if len(fresh) > 0 {
		t.since("new")
		t.line("")
		t.list(fresh, maxBlocks)
	}
	if len(known) > 0 {
		t.since("unchanged")
		t.list(known, 0)
	}
}

// since heads findings that stand so to the run that this one was compared with.
func (t *text) since(how string) {
	t.line(t.bold(how + " since run " + t.fit(Clean(t.run.Info.Since), 40)))
}

// gone lists what the run that this one was compared with had.
func (t *text) gone() {
	if len(t.run.Gone) == 0 {
		return
	}
	t.group("gone")
	defer t.endGroup()
	t.since("gone")
	t.list(t.run.Gone, 0)
}

// list tells so many findings in full, more on one line each, and counts the rest.
func (t *text) list(fs []audit.Finding, blocks int) {
	rules := 0 // column width
	for i := range fs[:min(len(fs), blocks+maxRows)] {
		rules = max(rules, width(Clean(fs[i].Rule)))
	}
	rules = min(rules, 24)
	for i := range fs {
		switch f := &fs[i]; {
		case i < blocks:
			t.block(f, rules)
			t.line("")
		case i < blocks+maxRows:
			t.row(f, rules)
		}
	}
	if len(fs) > blocks {
		t.rest(fs[min(len(fs), blocks+maxRows):])
		t.line("")
	}
}

// rest counts by rule what is not shown.
func (t *text) rest(fs []audit.Finding) {
	if len(fs) == 0 {
		return
	}
	byRule := map[string]int{}
	for i := range fs {
		byRule[fs[i].Rule]++
	}
	rules := sortedKeys(byRule)
	slices.SortStableFunc(rules, func(a, b string) int { return byRule[b] - byRule[a] })
	var parts []string
	for i, rule := range rules {
		if i == 5 {
			parts = append(parts, "…")
			break
		}
		parts = append(parts, Clean(rule)+" "+number(byRule[rule]))
	}
	t.wrap("", "", fmt.Sprintf("and %s more: %s (all of them: --format json)", number(len(fs)), strings.Join(parts, ", ")))
}

// block tells one finding in full.
func (t *text) block(f *audit.Finding, rules int) {
	t.head(f, rules, "")
	if m := strings.Join(strings.Fields(f.Message), " "); m != "" && m != f.Title {
		t.wrap("  ", "  ", Clean(m))
	}
	locs := places(f)
	first := Clean(named(f.Secret))
	if len(locs) > 0 {
		if first != "" {
			first += "  "
		}
		first += t.where(locs[0], width(first)+2)
	}
	if first != "" {
		t.wrap("  ", "  ", first)
	}
	var rows [][2]string
	for i, l := range locs {
		if i == 0 {
			continue
		}
		if i == maxPlaces && len(locs) > maxPlaces+1 {
			rows = append(rows, [2]string{"also in", fmt.Sprintf("%s more places", number(len(locs)-i))})
			break
		}
		rows = append(rows, [2]string{"also in", t.where(l, 14)})
	}
	rows = append(rows, t.verdictRows(f)...)
	rows = append(rows, t.reachRows(f)...)
	for i, r := range rows {
		branch, next := "├─ ", "│  "
		if i == len(rows)-1 {
			branch, next = "└─ ", "   "
		}
		label := pad(r[0], 9)
		if i > 0 && rows[i-1][0] == r[0] { // more of the same
			branch, label = next, pad("", 9)
			if i == len(rows)-1 {
				branch = "└─ "
			}
		}
		t.wrap("  "+t.dim(branch)+t.dim(label), "  "+t.dim(next)+pad("", 9), r[1])
	}
	var steps []string
	for i, s := range fixes(f, t.Rules) {
		steps = append(steps, t.bold(fmt.Sprint(i+1))+" "+Clean(s))
	}
	if len(steps) > 0 {
		t.wrap("  "+t.green("fix")+"  ", "       ", strings.Join(steps, "  "))
	}
}

// row tells one finding on one line.
func (t *text) row(f *audit.Finding, rules int) {
	at := ""
	if locs := places(f); len(locs) > 0 {
		at = Clean(place(locs[0], t.many))
		if len(locs) > 1 {
			at += " +" + number(len(locs)-1)
		}
	}
	t.head(f, rules, at)
}

// head is the first or only line: state, rule, title, and at the right edge the id.
func (t *text) head(f *audit.Finding, rules int, at string) {
	label := state(f)
	left := t.paint(label, f.Severity) + pad("", 9-width(label)) + t.bold(padCut(Clean(f.Rule), rules)) + "  "
	used := 9 + max(rules, 0) + 2
	right := t.dim(Clean(t.id(f.ID)))
	if t.Width == 0 || t.Width >= 100 { // on a narrow terminal the colour must do
		right = t.dim(pad(Clean(string(f.Severity)), 8)) + "  " + right
	}
	title := Clean(f.Title)
	if at != "" {
		title = at
	}
	if t.Width == 0 {
		t.line(left + title + "  " + right)
		return
	}
	room := t.Width - used - width(right) - 2
	if room < 20 { // a narrow terminal: the title has a line of its own
		t.line(left + right)
		t.wrap("  ", "  ", title)
		return
	}
	if at == "" && width(title) > room {
		t.line(left + pad("", room) + "  " + right)
		t.wrap("  ", "  ", title)
		return
	}
	title = t.fit(title, room)
	t.line(left + title + pad("", room-width(title)) + "  " + right)
}

// state is the one word a finding's line starts with. Capitals are kept for what is known to be open.
func state(f *audit.Finding) string {
	if f.Change == audit.ChangeGone {
		return "gone"
	}
	switch level(f) {
	case audit.LevelAdmin:
		return "ADMIN"
	case audit.LevelEscalation:
		return "ESCALATE"
	case audit.LevelWrite:
		return "WRITE"
	case audit.LevelRead:
		return "READ"
	}
	switch validity(f) {
	case audit.Active:
		return "LIVE"
	case audit.Inactive:
		return "dead"
	case audit.Unknown:
		return "unknown"
	case audit.Canary:
		return "canary"
	case audit.Unchecked:
		return "found"
	}
	return "open"
}

// where tells one place, with what is known of its age, in the columns left of a line that has used some.
func (t *text) where(l audit.Location, used int) string {
	var notes []string
	switch {
	case l.InHead || l.Kind == audit.InFile && l.Commit == "":
		if l.Commit != "" {
			notes = append(notes, "still in HEAD")
		}
	case l.Kind == audit.InCommit && l.Path != "":
		notes = append(notes, "history only")
	}
	if len(l.Encoding) > 0 {
		notes = append(notes, "inside "+Clean(strings.Join(l.Encoding, ", ")))
	}
	if !l.At.IsZero() {
		since := ""
		if l.Introduced {
			since = "since "
		}
		notes = append(notes, since+l.At.UTC().Format(time.DateOnly))
	}
	tail := ""
	for _, n := range notes {
		tail += " · " + n
	}
	name := Clean(place(l, t.many))
	if t.Width > 0 {
		name = t.fit(name, max(20, t.Width-used-width(tail)))
	}
	if url := webAddress(l.URL); url != "" {
		if t.Links {
			name = "\x1b]8;;" + url + "\x1b\\" + name + "\x1b]8;;\x1b\\"
		} else {
			tail += "  " + url
		}
	}
	return name + t.dim(tail)
}

func (t *text) verdictRows(f *audit.Finding) [][2]string {
	v := f.Verdict
	if v == nil || v.Validity == audit.Unchecked && v.Identity == nil && len(v.Facts) == 0 && v.Error == "" {
		return nil
	}
	var rows [][2]string
	var is []string
	if id := v.Identity; id != nil {
		if id.ARN != "" {
			is = append(is, Clean(shortARN(id.ARN)))
		}
		if id.Account != "" {
			is = append(is, "account "+Clean(id.Account))
		}
	}
	facts, now := v.Facts, t.run.Info.FinishedAt
	for _, k := range sortedKeys(facts) {
		if k == "reason" || k == "owner" || k == "account" && v.Identity != nil && v.Identity.Account == facts[k] {
			continue // told below, once per run, above
		}
		switch at, err := time.Parse(time.RFC3339, facts[k]); {
		case err == nil && k == "key_created":
			is = append(is, "key age "+days(now.Sub(at)))
		case err == nil && k == "key_last_used":
			is = append(is, "last used "+ago(now.Sub(at)))
		default:
			is = append(is, Clean(strings.ReplaceAll(k, "_", " "))+" "+Clean(facts[k]))
		}
	}
	if len(is) > 0 {
		rows = append(rows, [2]string{"is", tied(is)})
	}
	because := nonEmpty(facts["reason"], v.Error)
	if v.Validity == audit.Unchecked && len(because) == 0 {
		return rows
	}
	says := strings.Join(nonEmpty(strings.Replace(string(v.Validity), "unchecked", "not checked", 1), how(v.How)), ", ")
	if len(because) > 0 {
		says += ": " + Clean(strings.Join(because, ": "))
	}
	return append(rows, [2]string{"verdict", says})
}

func how(h string) string {
	switch h {
	case "live":
		return "asked with the key itself"
	case "owner":
		return "asked with the auditor's rights"
	case "offline":
		return "from its id alone"
	}
	return Clean(h)
}

func (t *text) reachRows(f *audit.Finding) [][2]string {
	r := f.Reach
	if r == nil {
		return nil
	}
	var rows [][2]string
	for i, p := range r.Paths {
		if i == maxPaths {
			rows = append(rows, [2]string{"reaches", fmt.Sprintf("%s more paths", number(len(r.Paths)-i))})
			break
		}
		rows = append(rows, [2]string{"reaches", pathLine(p)})
	}
	if len(r.Paths) == 0 && r.Level != "" && r.Level != audit.LevelUnknown {
		rows = append(rows, [2]string{"reaches", Clean(string(r.Level))})
	}
	if in := accounts(f); in != "" && (f.Verdict == nil || f.Verdict.Identity == nil || f.Verdict.Identity.Account != in) { // else it is told above
		rows = append(rows, [2]string{"accounts", Clean(in)})
	}
	for i, limit := range r.Limits {
		if i == maxGaps {
			rows = append(rows, [2]string{"limits", fmt.Sprintf("%s more limits", number(len(r.Limits)-i))})
			break
		}
		rows = append(rows, [2]string{"limits", Clean(limit)})
	}
	return rows
}

// pathLine writes a path as its nodes in order, with what proves the last step.
func pathLine(p audit.Path) string {
	var parts []string
	for i, s := range p.Steps {
		if i == 0 {
			parts = append(parts, Clean(shortARN(s.From)))
		}
		parts = append(parts, Clean(shortARN(s.To)))
	}
	line := strings.Join(parts, " → ")
	if n := len(p.Steps); n > 0 && p.Steps[n-1].Evidence != "" {
		line += " (" + Clean(p.Steps[n-1].Evidence) + ")"
	}
	return line + " = " + Clean(string(p.Level))
}

// shortARN drops what a reader of one report knows: "arn:aws:iam::111122223333:user/x" is "user/x".
func shortARN(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) == 6 && parts[0] == "arn" && parts[2] == "iam" {
		return parts[5]
	}
	return arn
}

func days(d time.Duration) string {
	n := int(d.Hours() / 24)
	return number(n) + " " + plural("day", n)
}

func ago(d time.Duration) string {
	if d < 24*time.Hour {
		return "today"
	}
	return days(d) + " ago"
}

// coverage stands between the findings and the verdict: what the verdict does not speak of.
func (t *text) coverage() {
	t.group("coverage")
	defer t.endGroup()
	t.wrap(t.dim(pad("covered", 11)), pad("", 11), covered(t.run))
	var missing [][2]string
	for _, c := range t.run.Coverage {
		if c.Status == audit.Failed || c.Status == audit.Skipped || c.Status == audit.Partial && c.Reason != "" {
			missing = append(missing, [2]string{Clean(c.Target), string(c.Status) + ": " + Clean(c.Reason)})
		}
	}
	gaps := gapClasses(t.run.Gaps)
	label := "not seen"
	row := func(s string) {
		t.wrap(t.yellow(pad(label, 11)), pad("", 11), s)
		label = ""
	}
	for i, m := range missing {
		if i == maxGaps {
			row(fmt.Sprintf("and %s more targets", number(len(missing)-i)))
			break
		}
		row(m[0] + " " + m[1])
	}
	for i, g := range gaps {
		if i == maxGaps {
			left := 0
			for _, g := range gaps[i:] {
				left += g.Count
			}
			row(fmt.Sprintf("and %s more gaps", number(left)))
			break
		}
		row(Clean(g.text(t.many)))
	}
	label = "not asked"
	for i, l := range leftOutSources(t.run) {
		if i == maxGaps {
			row("and more: see the JSON report")
			break
		}
		row(Clean(l))
	}
	label = "not again"
	for i, u := range unseenClasses(t.run) {
		if i == maxGaps {
			row("and more: see the JSON report")
			break
		}
		row(fmt.Sprintf("%s %s of run %s: %s", number(u.Count), plural("finding", u.Count), Clean(t.run.Info.Since), Clean(u.First.Why)))
	}
	label = "verified"
	for i := range t.run.Findings { // what a verifier says of itself is the same for all
		if v := t.run.Findings[i].Verdict; v != nil && v.Facts["owner"] != "" {
			row(Clean(v.Facts["owner"]))
			break
		}
	}
	label = "silencers"
	for i, s := range t.run.Silencers {
		if i == maxGaps {
			row(fmt.Sprintf("and %s more", number(len(t.run.Silencers)-i)))
			break
		}
		row(fmt.Sprintf("%s ×%s in %s, %s", Clean(s.What), number(s.Count), Clean(s.Target), obeyed(s)))
	}
	t.line("")
}

// leftOutSources tells which sources were not asked for, those of most targets first.
func leftOutSources(run *audit.Run) (out []string) {
	n := map[string]int{}
	for _, c := range run.Coverage {
		if c.LeftOut != "" {
			n[c.LeftOut]++
		}
	}
	for _, sources := range slices.SortedFunc(maps.Keys(n), func(a, b string) int { return cmp.Or(n[b]-n[a], strings.Compare(a, b)) }) {
		out = append(out, fmt.Sprintf("%s of %s %s; --sources reads them", strings.ReplaceAll(sources, ",", ", "), number(n[sources]), plural("target", n[sources])))
	}
	return out
}

func obeyed(s audit.Silencer) string {
	if s.Obeyed {
		return "obeyed"
	}
	return "not obeyed"
}

// verdict is the last word: counters, and the exit code with its reason.
func (t *text) verdict() {
	n := count(t.run)
	parts := []string{number(n.findings) + " " + plural("finding", n.findings)}
	if n.findings == 0 {
		parts[0] = "nothing found"
		if !t.run.Info.Complete {
			parts[0] = "nothing found in what could be read"
		}
	} else {
		if compared(t.run) {
			parts = append(parts, number(n.fresh)+" new")
		}
		parts = append(parts, number(n.live)+" live")
		if n.unverified > 0 {
			parts = append(parts, number(n.unverified)+" not verified")
		}
	}
	if n.admin > 0 {
		parts = append(parts, t.paint(number(n.admin)+" "+verb(n.admin, "reaches", "reach")+" admin", audit.Critical))
	}
	if n.escalation > 0 {
		parts = append(parts, t.paint(number(n.escalation)+" can escalate", audit.Critical))
	}
	if compared(t.run) {
		parts = append(parts, number(len(t.run.Gone))+" gone")
		if u := len(t.run.Unseen); u > 0 {
			parts = append(parts, number(u)+" not looked for again")
		}
	}
	parts = append(parts, number(n.suppressed)+" suppressed", calls(t.run))
	state := t.green("complete")
	if !t.run.Info.Complete {
		state = t.yellow("incomplete")
		if g := len(t.run.Gaps); g > 0 {
			state += t.yellow(" (" + number(g) + " " + plural("gap", g) + ")")
		}
	}
	t.wrap("", "", tied(append(parts, state)))
	for _, note := range t.Notes {
		t.wrap("", "", Clean(note))
	}
	if t.FailOn != "" {
		t.line(t.dim(fmt.Sprintf("exit %d", t.ExitCode)) + t.dim(exitReason(t.ExitCode, t.FailOn, compared(t.run))))
	}
}

func verb(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

func exitReason(code int, failOn string, compared bool) string {
	fresh := ""
	if compared {
		fresh = "new "
	}
	switch code {
	case 0:
		return " · nothing " + fresh + "at or above --fail-on " + failOn
	case 3:
		return " · nothing to scan"
	case 4:
		return " · not authenticated, or rights are missing for a whole ref"
	case 5:
		return " · incomplete, and --allow-gaps was not given"
	case 10:
		return " · " + fresh + "findings at or above --fail-on " + failOn
	case 130:
		return " · interrupted"
	}
	return ""
}

func (t *text) group(name string) {
	if t.Fold {
		t.b.WriteString("::group::" + name + "\n")
	}
}

func (t *text) endGroup() {
	if t.Fold {
		t.b.WriteString("::endgroup::\n")
	}
}

// line ends every line of the report but the group commands: what looks like a command is none.
func (t *text) line(s string) {
	s = strings.TrimRight(strings.ReplaceAll(s, tie, " "), " ")
	if seen := visible(s); uncommand(seen) != seen {
		s = strings.Replace(s, "::", ": :", 1)
	}
	t.b.WriteString(s + "\n")
}

// tie is a blank that [text.wrap] does not break at.
const tie = "\u00a0"

// tied joins parts so that lines break between them.
func tied(parts []string) string {
	for i, p := range parts {
		parts[i] = strings.ReplaceAll(p, " ", tie)
	}
	return strings.Join(parts, tie+"· ")
}

// wrap writes s in lines no wider than the terminal, breaking at blanks and inside words that do not fit one.
func (t *text) wrap(first, next, s string) {
	if t.Width == 0 || width(first)+width(s) <= t.Width {
		t.line(first + s)
		return
	}
	prefix, room := first, max(20, t.Width-width(next))
	line := ""
	flush := func() {
		t.line(prefix + line)
		prefix, line = next, ""
	}
	for _, word := range strings.Split(s, " ") {
		if line != "" && width(line)+1+width(word) > room {
			flush()
		}
		for line == "" && width(word) > room && !strings.Contains(word, "\x1b") {
			head := terminal().Truncate(word, room, "")
			if head == "" {
				break
			}
			line, word = head, word[len(head):]
			flush()
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	flush()
}
