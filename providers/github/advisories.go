package github

import (
	"context"
	"iter"
	"strings"

	"github.com/google/go-github/v60/github"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline/resolve"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// Advisories lists those of actions that are in GitHub's database, of vulnerable and of malicious ones, by the name that the action is called by there
// (docs.github.com/rest/security-advisories/global-advisories). Some are withdrawn, and left out. ask is called before each page; its error ends the listing.
func (p *Provider) Advisories(ctx context.Context, ask func() error) (map[string][]resolve.Advisory, error) {
	c, err := p.connect()
	if err != nil {
		return nil, err
	}
	all := map[string][]resolve.Advisory{}
	for _, kind := range []string{"reviewed", "malware"} {
		for a, err := range c.advisories(forge.InOrder(ctx, ""), kind, ask) {
			if err != nil {
				return nil, err
			}
			if a.WithdrawnAt != nil {
				continue
			}
			for _, v := range a.Vulnerabilities {
				name := strings.ToLower(v.GetPackage().GetName())
				if name == "" || v.GetPackage().GetEcosystem() != "actions" {
					continue
				}
				all[name] = append(all[name], resolve.Advisory{
					ID: a.GetGHSAID(), Severity: published(a.GetSeverity()), Summary: a.GetSummary(), Range: v.GetVulnerableVersionRange(), Fixed: v.GetFirstPatchedVersion(),
				})
			}
		}
	}
	return all, nil
}

func (c *client) advisories(ctx context.Context, kind string, ask func() error) iter.Seq2[*github.GlobalSecurityAdvisory, error] {
	key := func(a *github.GlobalSecurityAdvisory) string { return a.GetGHSAID() }
	return forge.Pages(ctx, key, func(ctx context.Context, cursor string) (page forge.Page[*github.GlobalSecurityAdvisory], err error) {
		if err := ask(); err != nil {
			return page, err
		}
		ecosystem := "actions"
		o := &github.ListGlobalSecurityAdvisoriesOptions{Ecosystem: &ecosystem, Type: &kind, ListCursorOptions: github.ListCursorOptions{PerPage: otherPage, After: cursor}}
		list, resp, err := c.SecurityAdvisories.ListGlobalSecurityAdvisories(ctx, o)
		if err != nil {
			return page, forge.Plain(err)
		}
		if list == nil {
			return page, errNoList
		}
		for _, a := range list {
			if a != nil {
				page.Items = append(page.Items, a)
			}
		}
		page.Next = resp.After // the cursor alone: the address in the link is not followed
		return page, nil
	})
}

// published is a severity as GitHub has it. One that it does not know is taken for a medium one.
func published(severity string) audit.Severity {
	switch s := audit.Severity(severity); s {
	case audit.Critical, audit.High, audit.Medium, audit.Low:
		return s
	}
	return audit.Medium
}
