package graph

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

// anyBranchRule is of jobs that may have their identity confirmed for any branch, which a role's trust policy decides about.
const anyBranchRule = "oidc-any-branch"

// JudgeTrust are the findings about such jobs, as the roles decide that trust their repository: entries of kind [audit.KindTrust] tell which those are, and which jobs
// become one of them without a review. Of a repository that none trusts nothing is said.
func JudgeTrust(findings []audit.Finding, inventory []audit.Entry) (judged []audit.Finding) {
	type place struct{ target, path, line string }
	trusted, become := map[string]bool{}, map[place]*audit.Entry{}
	for i := range inventory {
		e := &inventory[i]
		if e.Kind != audit.KindTrust {
			continue
		}
		switch e.Scope {
		case "repository": // whose roles are all known
			trusted[strings.ToLower(e.Target)] = true
		case "job":
			become[place{e.Target, e.Facts["path"], e.Facts["line"]}] = e
		}
	}
	for _, f := range findings {
		if f.Rule != anyBranchRule || len(f.Locations) == 0 {
			continue
		}
		var worst *audit.Entry
		for _, l := range f.Locations {
			if e := become[place{l.Target, l.Path, strconv.Itoa(l.Line)}]; e != nil && (worst == nil || Gravity(level(e), e.Facts["unsure"]) > Gravity(level(worst), worst.Facts["unsure"])) {
				worst = e
			}
		}
		if worst != nil || trusted[strings.ToLower(f.Locations[0].Target)] {
			judged = append(judged, becoming(f, worst))
		}
	}
	return judged
}

// Gravity puts roles in order that a job can become, by their levels and what is not known that decides whether it can: what is sure and makes its finding critical comes
// before all that may only be so.
func Gravity(level audit.Level, unsure string) int {
	g := 2 * opens(level)
	if unsure == "" {
		g++
		if highest(level) {
			g += 2 * opens(audit.LevelAdmin)
		}
	}
	return g
}

// highest are the levels that make a finding critical.
func highest(level audit.Level) bool {
	return level == audit.LevelAdmin || level == audit.LevelEscalation
}

func level(e *audit.Entry) audit.Level { return audit.Level(e.Facts["level"]) }

// becoming is a finding with the role that its job becomes; nil is none.
func becoming(f audit.Finding, e *audit.Entry) audit.Finding {
	if e == nil {
		f.Severity = audit.Low
		f.Message += "; the roles that trust its repository ask for a branch or an environment"
		return f
	}
	path := audit.Path{Level: level(e)}
	for _, s := range audit.Rows(e.Facts["steps"], 4) {
		path.Steps = append(path.Steps, audit.Step{From: s[0], To: s[1], Edge: s[2], Evidence: s[3]})
	}
	f.Reach = &audit.Reach{Level: path.Level, Accounts: []string{}, Limits: []string{}, Paths: []audit.Path{path}}
	if accounts := e.Facts["accounts"]; accounts != "" {
		f.Reach.Accounts = strings.Split(accounts, ",")
	}
	for _, row := range audit.Rows(e.Facts["limits"], 1) {
		f.Reach.Limits = append(f.Reach.Limits, row[0])
	}
	if unsure := e.Facts["unsure"]; unsure != "" {
		f.Message += fmt.Sprintf("; perhaps it can become %s, which depends on %s", e.Name, unsure)
		return f
	}
	if highest(path.Level) {
		f.Severity = audit.Critical
	}
	f.Message += fmt.Sprintf("; %s lets it in as %s", e.Name, e.Facts["subject"])
	return f
}

// weighTrust gives those findings of a run what its own inventory tells of roles.
func weighTrust(run *audit.Run) {
	judged := map[string]audit.Finding{}
	for _, f := range JudgeTrust(run.Findings, run.Inventory) {
		judged[f.ID] = f
	}
	for i := range run.Findings {
		if f, is := judged[run.Findings[i].ID]; is {
			run.Findings[i] = f
		}
	}
}
