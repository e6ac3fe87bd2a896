package forgetest

import (
	"net/http"
	"strings"
)

// An Advisory is one of GitHub's own database, of one package.
type Advisory struct {
	ID, Severity, Summary string
	Malware, Withdrawn    bool
	Ecosystem             string // "" is that of actions
	Package, Range, Fixed string // Fixed may be ""
}

// advisories lists those of a type and an ecosystem. Who does not ask for malware is shown none.
func (g *GitHub) advisories(w http.ResponseWriter, r *http.Request) {
	malware := r.URL.Query().Get("type") == "malware"
	var items []any
	for _, a := range g.Advisories {
		ecosystem := or(a.Ecosystem, "actions")
		if want := r.URL.Query().Get("ecosystem"); a.Malware != malware || want != "" && want != ecosystem {
			continue
		}
		kind := "reviewed"
		if a.Malware {
			kind = "malware"
		}
		at := "https://api.github.com/advisories/" + a.ID
		m := map[string]any{
			"ghsa_id": a.ID, "cve_id": nil, "url": at, "html_url": strings.Replace(at, "api.", "", 1), "repository_advisory_url": nil, "summary": a.Summary, "description": nil,
			"type": kind, "severity": a.Severity, "source_code_location": nil, "identifiers": []any{map[string]any{"type": "GHSA", "value": a.ID}},
			"references": []any{}, "published_at": when(Created, Created), "updated_at": when(Updated, Updated), "github_reviewed_at": when(Created, Created), "nvd_published_at": nil,
			"withdrawn_at": nil, "cvss": nil, "cwes": []any{}, "credits": nil,
			"vulnerabilities": []any{map[string]any{
				"package": map[string]any{"ecosystem": ecosystem, "name": a.Package}, "vulnerable_version_range": a.Range, "first_patched_version": orNil(a.Fixed), "vulnerable_functions": nil,
			}},
		}
		if a.Withdrawn {
			m["withdrawn_at"] = when(Updated, Updated)
		}
		items = append(items, m)
	}
	g.pageAfter(w, r, items)
}

// orNil is null for "".
func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}
