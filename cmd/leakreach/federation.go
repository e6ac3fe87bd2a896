package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/iam"
	"github.com/leakreach/leakreach/internal/report"
)

// trustTooBroad is judged where accounts are read. docs/oidc.md has its problems, by their ids.
var trustTooBroad = audit.Rule{
	ID: "oidc-trust-too-broad", Title: "Cloud role trusts too many pipelines", Category: audit.CategoryCloud, Severity: audit.High, CWE: 284,
	Help: `A role that trusts a forge is assumed without a key: the job shows a token that says which repository, branch or environment it is for, and the
role's trust policy decides. What the policy leaves open, somebody else's job can be: that of any user of the forge where ` + "`sub`" + ` is not asked for
or begins with a star, of any branch where it ends with one.

Before:

` + "```" + `
"StringLike": {"token.actions.githubusercontent.com:sub": "repo:acme/*"}
` + "```" + `

After:

` + "```" + `
"StringEquals": {
  "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
  "token.actions.githubusercontent.com:sub": "repo:acme@1234/web@5678:environment:production"
}
` + "```" + `

It is critical where every user of the issuer is let in, or the role is admin or can become it; medium where a condition does nothing, the audience
is open, or a name is let in beside its numbers.

**Not a finding when** one repository is let in, for one branch, tag or environment. Pull requests may be let in by a role that changes nothing.`,
	Fix: []string{
		"Ask for sub with StringEquals, whole: repository, and branch or environment",
		"Protect that branch, and give the environment reviewers and branches of its own",
		"Ask for aud, and use immutable subjects, which a renamed owner keeps",
	},
}

// trustSeverity is that of a problem by its id, of a role that cannot become admin.
var trustSeverity = map[string]audit.Severity{
	"O01": audit.Critical, "O02": audit.Critical, "O03": audit.Critical, "O10": audit.Critical, "O12": audit.Critical,
	"O04": audit.High, "O05": audit.High, "O06": audit.High, "O07": audit.High, "O08": audit.High, "O14": audit.High, "O16": audit.High,
	"O09": audit.Medium, "O11": audit.Medium, "O13": audit.Medium, "O15": audit.Medium,
}

// trusts are what a role lets in of issuers of tokens.
func trusts(w *iam.World, role *iam.Identity) []report.Trust {
	var all []report.Trust
	for _, f := range w.Federations(role) {
		t := report.Trust{
			Issuer: f.Issuer, Provider: f.Provider, Subjects: []string{}, Audiences: append([]string{}, f.Audiences...), Claims: append([]string{}, f.Claims...),
			Problems: []report.TrustProblem{}, Jobs: []report.TrustedJob{}, Limits: append([]string{}, f.Limits...),
		}
		for _, s := range f.Subjects {
			t.Subjects = append(t.Subjects, s.String())
		}
		if f.Open {
			t.Subjects = []string{"*"}
		}
		level := w.Reach(role).Level
		for _, p := range f.Problems {
			if p.ID == "O06" && (level == iam.LevelRead || level == iam.LevelNone) {
				continue
			}
			t.Problems = append(t.Problems, report.TrustProblem{ID: p.ID, Severity: severityOf(p, level), Who: string(p.Who), Why: p.Why, Subject: p.Subject, Evidence: p.Evidence})
		}
		all = append(all, t)
	}
	return all
}

func severityOf(p iam.Problem, level iam.Level) audit.Severity {
	s := trustSeverity[p.ID]
	if p.ID == "O11" && p.Who == iam.Anyone || s == audit.High && level >= iam.LevelEscalation {
		return audit.Critical
	}
	return s
}

// trustFindings are the findings about a role: one for each issuer of which it lets too much in.
func trustFindings(key audit.Key, account, role string, level audit.Level, trusts []report.Trust) (all []audit.Finding) {
	for _, t := range trusts {
		if len(t.Problems) == 0 {
			continue
		}
		f := audit.Finding{
			ID: "lr1:" + key.Digest("finding", trustTooBroad.ID, role, t.Provider), Rule: trustTooBroad.ID, Category: trustTooBroad.Category, Title: trustTooBroad.Title,
			Severity: audit.Info, Fix: trustTooBroad.Fix,
			Locations: []audit.Location{{Target: "aws:" + account, Kind: audit.InCloud, Path: "trust policy", Name: role}},
			Reach:     &audit.Reach{Level: level, Accounts: []string{account}, Paths: []audit.Path{}, Limits: append([]string{}, t.Limits...)},
		}
		var why []string
		worst := slices.MaxFunc(t.Problems, func(a, b report.TrustProblem) int { return a.Severity.Rank() - b.Severity.Rank() })
		f.Severity = worst.Severity
		for _, p := range t.Problems {
			text := fmt.Sprintf("%s %s (%s", p.ID, p.Why, p.Who)
			if p.Subject != "" {
				text += ", such as " + p.Subject
			}
			why = append(why, text+")")
		}
		f.Message = fmt.Sprintf("%s trusts %s: %s", role, t.Issuer, strings.Join(why, "; "))
		all = append(all, f)
	}
	return all
}
