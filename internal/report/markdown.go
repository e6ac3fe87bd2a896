package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
)

// maxSummary is the size a job summary is kept below, in bytes. GitHub's runner drops all of a summary larger than 1 MiB, and
// other steps' summaries are its own affair.
const maxSummary = 900 << 10

// How much of a summary is read.
const (
	maxEvidence = 10 // findings whose evidence is told
	maxMissing  = 20 // gaps, by class
)

// writeMarkdown writes a job summary for GitHub and GitLab: the verdict, counters, a row for each finding as far as the size
// allows, evidence, the first fix, coverage.
func writeMarkdown(w io.Writer, run *audit.Run, o Options) error {
	head, tail := summaryHead(run), summaryTail(run, o)
	var b strings.Builder
	b.WriteString(head)
	shown := newest(keep(run.Findings, func(f audit.Finding) bool { return f.Suppressed == nil }))
	if len(shown) > 0 {
		b.WriteString("\n| State | What | Where | Identity → account | Age | Finding |\n|---|---|---|---|--:|---|\n")
	}
	id, many := shortIDs(run), len(run.Coverage) > 1
	for i := range shown {
		row := summaryRow(&shown[i], run, id, many)
		if b.Len()+len(row)+len(tail)+200 > maxSummary {
			fmt.Fprintf(&b, "\nand %s more: see the JSON report.\n", number(len(shown)-i))
			break
		}
		b.WriteString(row)
	}
	b.WriteString(tail)
	_, err := io.WriteString(w, b.String())
	return err
}

func summaryHead(run *audit.Run) string {
	n := count(run)
	var sign, verdict string
	switch {
	case n.admin > 0:
		sign, verdict = "🔴", fmt.Sprintf("%s live %s %s admin", number(n.admin), plural("credential", n.admin), verb(n.admin, "reaches", "reach"))
	case n.escalation > 0:
		sign, verdict = "🔴", fmt.Sprintf("%s live %s can escalate to admin", number(n.escalation), plural("credential", n.escalation))
	case n.live > 0:
		sign, verdict = "🔴", fmt.Sprintf("%s live %s", number(n.live), plural("credential", n.live))
	case n.findings > 0:
		sign, verdict = "🟠", fmt.Sprintf("%s %s", number(n.findings), plural("finding", n.findings))
	case !run.Info.Complete:
		sign, verdict = "🟡", "nothing found in what could be read"
	default:
		sign, verdict = "🟢", "nothing found"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "## %s leakreach: %s\n", sign, verdict)
	if n.findings == 0 {
		return b.String()
	}
	fresh := func(n int) string { return "" } // the second column of a run that was compared with another
	if compared(run) {
		fresh = func(n int) string { return " " + number(n) + " |" }
		b.WriteString("\n| | now | new |\n|---|--:|--:|\n")
	} else {
		b.WriteString("\n| | now |\n|---|--:|\n")
	}
	for _, row := range []struct {
		what     string
		n, fresh int
	}{
		{"findings", n.findings, n.fresh}, {"live credentials", n.live, n.freshLive}, {"reach admin", n.admin, n.freshAdmin},
		{"can escalate", n.escalation, n.freshEscalation}, {"not verified", n.unverified, n.freshUnverified},
	} {
		if row.n > 0 || row.what == "live credentials" {
			fmt.Fprintf(&b, "| %s | %s |%s\n", row.what, number(row.n), fresh(row.fresh))
		}
	}
	return b.String()
}

// summarySince tells what the run has not that it was compared with.
func summarySince(run *audit.Run) string {
	if !compared(run) {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n**Since run %s:** %s new · %s gone", code(run.Info.Since), number(count(run).fresh), number(len(run.Gone)))
	if n := len(run.Unseen); n > 0 {
		fmt.Fprintf(&b, " · %s not looked for again", number(n))
	}
	b.WriteString("\n")
	id := shortIDs(run)
	for i := range run.Gone {
		f := &run.Gone[i]
		if i == 0 {
			b.WriteString("\n<details><summary>Gone</summary>\n\n")
		}
		if i == maxMissing {
			b.WriteString("- and more: see the JSON report\n")
			break
		}
		where := ""
		if locs := places(f); len(locs) > 0 {
			where = code(place(locs[0], true))
		}
		b.WriteString("- " + strings.Join(nonEmpty(prose(f.Title), code(named(f.Secret)), where, code(id(f.ID))), " ") + "\n")
	}
	if len(run.Gone) > 0 {
		b.WriteString("\n</details>\n")
	}
	for i, u := range unseenClasses(run) {
		if i == 0 {
			b.WriteString("\n**Not looked for again:**\n\n")
		}
		if i == maxMissing {
			b.WriteString("- and more: see the JSON report\n")
			break
		}
		fmt.Fprintf(&b, "- %s ×%s\n", code(u.First.Why), number(u.Count))
	}
	return b.String()
}

func summaryRow(f *audit.Finding, run *audit.Run, id func(string) string, many bool) string {
	what := prose(f.Title)
	if name := named(f.Secret); name != "" {
		what += " " + code(name)
	}
	var where []string
	locs := places(f)
	for i, l := range locs {
		if i == maxPlaces {
			where = append(where, fmt.Sprintf("and %s more", number(len(locs)-i)))
			break
		}
		where = append(where, linked(code(place(l, many)), l.URL))
	}
	identity, age := "", ""
	if v := f.Verdict; v != nil && v.Identity != nil {
		identity = strings.Join(nonEmpty(code(shortARN(v.Identity.ARN)), code(v.Identity.Account)), " → ")
		if f.Reach != nil && len(f.Reach.Accounts) > 1 {
			identity += fmt.Sprintf(" (+%d)", len(f.Reach.Accounts)-1)
		}
	}
	if v := f.Verdict; v != nil {
		if at, err := time.Parse(time.RFC3339, v.Facts["key_created"]); err == nil {
			age = number(int(run.Info.FinishedAt.Sub(at).Hours()/24)) + " d"
		}
	}
	label := state(f) + " · " + prose(string(f.Severity))
	if strings.ToUpper(state(f)) == state(f) {
		label = "**" + state(f) + "** · " + prose(string(f.Severity))
	}
	if f.Change != "" {
		label += " · " + prose(string(f.Change))
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s |\n", label, what, strings.Join(where, "<br>"), identity, age, code(id(f.ID)))
}

// summaryTail holds what must not be cut: evidence, the first fix, coverage.
func summaryTail(run *audit.Run, o Options) string {
	var b strings.Builder
	told := 0
	for i := range run.Findings {
		f := &run.Findings[i]
		if f.Suppressed != nil || f.Reach == nil || len(f.Reach.Paths)+len(f.Reach.Limits) == 0 {
			continue
		}
		if told++; told > maxEvidence {
			break
		}
		fmt.Fprintf(&b, "\n<details><summary>Why %s is %s (evidence)</summary>\n\n", element(named(f.Secret)), prose(string(f.Reach.Level)))
		if in := accounts(f); in != "" {
			b.WriteString("- " + prose(string(f.Reach.Level)) + " in " + code(in) + "\n")
		}
		for j, p := range f.Reach.Paths {
			if j == maxPaths {
				fmt.Fprintf(&b, "- and %s more paths\n", number(len(f.Reach.Paths)-j))
				break
			}
			b.WriteString("- " + code(pathLine(p)) + "\n")
		}
		for j, l := range f.Reach.Limits {
			if j == maxGaps {
				fmt.Fprintf(&b, "- and %s more limits\n", number(len(f.Reach.Limits)-j))
				break
			}
			b.WriteString("- limit: " + code(l) + "\n")
		}
		b.WriteString("\n</details>\n")
	}
	for i := range run.Findings {
		f := &run.Findings[i]
		if f.Suppressed != nil {
			continue
		}
		var steps []string
		for _, s := range fixes(f, o.Rules) {
			steps = append(steps, prose(s))
		}
		if len(steps) > 0 {
			b.WriteString("\n**Fix first:** " + strings.Join(steps, " · ") + "\n")
		}
		break
	}
	b.WriteString(summarySince(run))
	n := count(run)
	fmt.Fprintf(&b, "\nCoverage: %s · %s suppressed · %s\n", covered(run), number(n.suppressed), calls(run))
	for i, g := range missing(run) {
		if i == 0 {
			b.WriteString("\n**Not seen:**\n\n")
		}
		if i == maxMissing {
			b.WriteString("- and more: see the JSON report\n")
			break
		}
		b.WriteString("- " + code(g) + "\n")
	}
	for i, s := range run.Silencers {
		if i == 0 {
			b.WriteString("\n**Asks for silence:**\n\n")
		}
		if i == maxMissing {
			b.WriteString("- and more: see the JSON report\n")
			break
		}
		fmt.Fprintf(&b, "- %s ×%s in %s, %s\n", code(s.What), number(s.Count), code(s.Target), obeyed(s))
	}
	fmt.Fprintf(&b, "\n<sub>leakreach %s · run %s · no secret values in this summary</sub>\n", prose(run.Info.Version), prose(run.Info.ID))
	return b.String()
}

// linked makes a link of text, which is Markdown already, if the address is one of the web.
func linked(text, address string) string {
	if address = webAddress(address); address == "" {
		return text
	}
	return "[" + text + "](" + strings.NewReplacer("|", "%7C", "(", "%28", ")", "%29", "[", "%5B", "]", "%5D", "@", "%40", "!", "%21").Replace(address) + ")"
}

// code shows foreign text as code, where Markdown reads neither links nor mentions. Text that could end a code span or a
// table's cell, or would do harm where a reader takes the span for text, goes into an HTML element with its punctuation as
// character references.
func code(s string) string {
	s = Clean(s)
	if strings.TrimSpace(s) == "" {
		return ""
	}
	if !strings.ContainsAny(s, "`|\\<>[]@#!") {
		return "`" + s + "`"
	}
	return element(s)
}

// element is [code] for where Markdown is not read, inside HTML.
func element(s string) string { return "<code>" + references(Clean(s), false) + "</code>" }

// prose shows foreign text as running text. A zero-width space after what starts a mention or a reference to an issue keeps
// forges from making one.
func prose(s string) string { return references(Clean(s), true) }

func references(s string, apart bool) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r < 0x80 && strings.ContainsRune("@#!$%&~^", r) && apart:
			fmt.Fprintf(&b, "&#%d;&#8203;", r)
		case r < 0x80 && strings.ContainsRune("\\`*_{}[]()<>|@#!$%&~^:\"", r), r == '.' && strings.HasSuffix(strings.ToLower(s[:i]), "www"),
			i == 0 && strings.ContainsRune("-+=.", r):
			fmt.Fprintf(&b, "&#%d;", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
