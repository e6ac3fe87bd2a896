package settings

import (
	"fmt"

	"github.com/leakreach/leakreach/audit"
)

var deployKeyWrite = rule{
	Rule: audit.Rule{
		ID: "deploy-key-write", Title: "Write key for pushing", Category: audit.CategorySetting, Severity: audit.Medium, CWE: 732,
		Help: help(`
A deploy key is a password without a person: it has no second factor, mostly no end, and stays when whoever made it leaves. With write
access its holder pushes code, and so runs workflows with the repository's secrets.`, `
deploy key ci   read and write, last used 400 days ago`, `
the job's own token (permissions: contents: write), or a GitHub App with rights for this repository
for fetching: a deploy key that only reads`, `
the key only reads, or its access is not known. It is high where it was not used for 90 days.`),
		Fix: []string{
			"Delete the key if nobody knows what it is for",
			"Use the job's token or an app instead, or a key that only reads",
		},
	},
	of: audit.KindDeployKey,
	judge: func(p *place, e *audit.Entry) verdict {
		if e.Facts["read_only"] != "false" {
			return fine
		}
		v := verdict{evidence: "it may write"}
		if idle := p.idle(e, "last_used"); idle != "" {
			v.evidence, v.severity = "it may write, and "+idle, audit.High
		}
		if e.Facts["added_by"] != "" {
			v.evidence += "; added by " + e.Facts["added_by"]
		}
		return v
	},
}

// idle says that what an entry stands for was not used for 90 days, or "".
func (p *place) idle(e *audit.Entry, fact string) string {
	if days, known := p.days(e, fact); known && days > 90 {
		return fmt.Sprintf("was last used on %s, %d days before this run", day(e, fact), days)
	}
	if age, known := p.days(e, "created_at"); known && age > 90 && e.Facts[fact] == "never" {
		return "was never used since " + day(e, "created_at")
	}
	return ""
}
