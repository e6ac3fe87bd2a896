package cloud

import (
	"fmt"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

// oidcTrustTooBroad is of roles. docs/oidc.md has its problems, by their ids.
var oidcTrustTooBroad = audit.Rule{
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

// tooBroad is the finding about a role: one for each provider of tokens of which it lets too much in.
func tooBroad(e *audit.Entry) audit.Finding {
	problems := audit.Rows(e.Facts["problems"], 5)
	f := audit.Finding{
		Rule: oidcTrustTooBroad.ID, Category: oidcTrustTooBroad.Category, Title: oidcTrustTooBroad.Title, Severity: audit.Info, Fix: oidcTrustTooBroad.Fix,
		Locations: []audit.Location{{Target: e.Target, Kind: audit.InCloud, Path: "trust policy, " + e.Facts["provider"], Name: e.Name}},
		Reach:     &audit.Reach{Level: audit.Level(e.Facts["level"]), Accounts: []string{}, Paths: []audit.Path{}, Limits: []string{}},
	}
	if accounts := e.Facts["accounts"]; accounts != "" {
		f.Reach.Accounts = strings.Split(accounts, ",")
	}
	for _, row := range audit.Rows(e.Facts["limits"], 1) {
		f.Reach.Limits = append(f.Reach.Limits, row[0])
	}
	var why []string
	for _, p := range problems {
		id, severity, who, subject, text := p[0], audit.Severity(p[1]), p[2], p[3], p[4]
		if severity.Rank() > f.Severity.Rank() {
			f.Severity = severity
		}
		if subject != "" {
			who += ", such as " + subject
		}
		why = append(why, fmt.Sprintf("%s %s (%s)", id, text, who))
	}
	f.Message = fmt.Sprintf("%s trusts %s: %s", e.Name, e.Facts["issuer"], strings.Join(why, "; "))
	return f
}
