package settings

import (
	"fmt"
	"strconv"

	"github.com/leakreach/leakreach/audit"
)

var evidenceShort = rule{
	Rule: audit.Rule{
		ID: "evidence-short", Title: "Evidence would be gone", Category: audit.CategorySetting, Severity: audit.Info, CWE: 778,
		Help: help(`
Logs and artifacts of runs say which jobs executed a component that turned out to be bad, and with which secrets. Such news come weeks or
months after the fact.`, `
Artifact and log retention: 7 days`, `
Artifact and log retention: 90 days (public repositories), 400 days (private ones)`, `
they are kept for 90 days or longer. Of a repository nothing is said where its organisation keeps them as short.`),
		Fix: []string{
			"Keep logs for at least 90 days, or copy them to where they stay",
		},
	},
	of: audit.KindSettings,
	judge: func(p *place, e *audit.Entry) verdict {
		days, err := strconv.Atoi(e.Facts["retention_days"])
		if err != nil || days >= 90 || p.inherits("retention_days", e.Facts["retention_days"]) {
			return fine
		}
		return verdict{evidence: fmt.Sprintf("logs and artifacts are kept for %d days", days)}
	},
}
