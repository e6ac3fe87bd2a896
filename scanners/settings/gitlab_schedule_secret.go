package settings

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

var gitlabScheduleSecret = rule{
	Rule: audit.Rule{
		ID: "gitlab-schedule-secret", Title: "Schedule acts for a person", Category: audit.CategorySetting, Severity: audit.Medium, CWE: 284,
		Help: help(`
A schedule runs with its owner's rights. When the owner has left, nobody watches it; when the owner is the group's, each job of it may do
what an Owner may, whoever changed the definition last.`, `
schedule nightly   owner: alice (blocked)`, `
schedule nightly   owner: project bot, role Developer`, `
the owner is active and no Owner of the project, or the schedule is switched off.`),
		Fix: []string{
			"Have a bot with the rights that the jobs need take ownership",
			"Delete schedules that nobody needs",
		},
	},
	of: audit.KindSchedule,
	judge: func(p *place, e *audit.Entry) verdict {
		var secrets []string
		for _, v := range p.entries[audit.KindVariable] {
			if v.Scope == "schedule "+e.Name && p.holdsSecret(v) != "" {
				secrets = append(secrets, v.Name)
			}
		}
		how := ""
		switch {
		case e.Facts["active"] == "false":
			return fine
		case e.Facts["owner_active"] == "false":
			how = fmt.Sprintf("its owner %s is no longer active", e.Facts["owner"])
		case strings.EqualFold(e.Facts["owner_role"], "owner"):
			how = fmt.Sprintf("it acts for %s, who is an Owner", e.Facts["owner"])
		case len(secrets) > 0:
			how = fmt.Sprintf("its variables hold secrets, which %s and every Maintainer can read", cmp.Or(e.Facts["owner"], "its owner"))
		default:
			return fine
		}
		if len(secrets) > 0 {
			how += ": " + strings.Join(secrets, ", ")
		}
		return verdict{evidence: how}
	},
}
