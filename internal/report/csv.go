package report

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
)

// writeCSV writes a table for spreadsheets: a row for each place of each finding, with record "finding", and one for each gap
// and each target that was not scanned, with record "gap". Findings of an earlier run that this one has not are of record "gone" or "unseen". Cells are for reading: they hold no line ends, and what a
// spreadsheet would take for a formula starts with an apostrophe. Programs read JSON.
func writeCSV(w io.Writer, run *audit.Run, _ Options) error {
	c := csv.NewWriter(w)
	c.UseCRLF = true // RFC 4180, section 2
	rows := [][]string{{
		"record", "finding", "rule", "category", "severity", "validity", "level", "title", "message", "target", "kind", "path", "line",
		"column", "commit", "ref", "name", "url", "at", "in_head", "introduced", "secret_kind", "secret_id", "secret_masked", "identity",
		"account", "suppressed", "change", "accounts",
	}}
	columns := len(rows[0])
	finding := func(record string, f *audit.Finding) {
		suppressed, identity := "", audit.Identity{}
		if f.Suppressed != nil {
			suppressed = f.Suppressed.By + ": " + f.Suppressed.Reason
		}
		if f.Verdict != nil && f.Verdict.Identity != nil {
			identity = *f.Verdict.Identity
		}
		var secret [3]string
		if f.Secret != nil {
			secret = [3]string{f.Secret.Kind, f.Secret.ID, f.Secret.Masked()}
		}
		for _, l := range f.Locations {
			rows = append(rows, []string{
				record, f.ID, f.Rule, string(f.Category), string(f.Severity), string(validity(f)), string(level(f)), f.Title, f.Message,
				l.Target, string(l.Kind), l.Path, positive(l.Line), positive(l.Column), l.Commit, l.Ref, l.Name, l.URL, moment(l.At),
				strconv.FormatBool(inTree(l)), strconv.FormatBool(l.Introduced), secret[0], secret[1], secret[2], identity.ARN,
				identity.Account, suppressed, string(f.Change), accounts(f),
			})
		}
	}
	for i := range run.Findings {
		finding("finding", &run.Findings[i])
	}
	for i := range run.Gone {
		finding("gone", &run.Gone[i])
	}
	for i := range run.Unseen {
		finding("unseen", &run.Unseen[i].Finding)
	}
	gap := func(target, kind, what, why string) {
		row := make([]string, columns)
		row[0], row[7], row[8], row[9], row[10] = "gap", what, why, target, kind
		rows = append(rows, row)
	}
	for _, v := range run.Coverage {
		if v.Status == audit.Failed || v.Status == audit.Skipped {
			gap(v.Target, string(v.Kind), string(v.Status), v.Reason)
		}
	}
	for _, g := range run.Gaps {
		gap(g.Target, "", g.What, g.Why)
	}
	for _, row := range rows {
		for i := range row {
			row[i] = cell(row[i])
		}
		if err := c.Write(row); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// cell makes a string of others harmless in a spreadsheet, which may run what starts like a formula, full-width signs
// included.
func cell(s string) string {
	s = Clean(s)
	if strings.ContainsRune("=+-@＝＋－＠", []rune(s + " ")[0]) {
		return "'" + s
	}
	return s
}

func positive(n int) string {
	if n <= 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
