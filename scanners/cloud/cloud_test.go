package cloud

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/audit/audittest"
)

const role = "arn:aws:iam::111122223333:role/deploy"

// learned is what a resolver tells of a role, before the targets.
func learned(facts map[string]string) []audit.Holding {
	return []audit.Holding{
		{Inventory: []audit.Entry{{Target: "github:acme/web", Kind: audit.KindTrust, Name: role, Scope: "repository"}, {Target: "aws:111122223333", Kind: audit.KindTrust, Name: role, Scope: "role", Facts: facts}}},
		{Coverage: audit.Coverage{Target: "github:acme/web"}},
	}
}

// TestTrustTooBroad: of a role and a provider there is one finding, which is as bad as the worst of its problems.
func TestTrustTooBroad(t *testing.T) {
	facts := map[string]string{
		"provider": "arn:aws:iam::111122223333:oidc-provider/gitlab.com", "issuer": "gitlab.com", "level": "write", "accounts": "111122223333,444455556666", "limits": "SCPs are not read",
		"problems": audit.Table([]string{"O07", "high", "anyone who may push", "", "more than one\tbranch\nis let in"}, []string{"O09", "critical", "anyone", "project_path:acme/web", "nobody has the name acme"}),
	}
	holdings := learned(facts)
	audittest.Surveyor(t, New(nil), [][]audit.Holding{holdings, learned(map[string]string{"problems": "not a table"}), learned(nil), nil})
	want := []audit.Finding{{
		Rule: oidcTrustTooBroad.ID, Category: audit.CategoryCloud, Severity: audit.Critical, Title: oidcTrustTooBroad.Title, Fix: oidcTrustTooBroad.Fix,
		Message:   role + " trusts gitlab.com: O07 more than one branch is let in (anyone who may push); O09 nobody has the name acme (anyone, such as project_path:acme/web)",
		Locations: []audit.Location{{Target: "aws:111122223333", Kind: audit.InCloud, Path: "trust policy, " + facts["provider"], Name: role}},
		Reach:     &audit.Reach{Level: audit.LevelWrite, Accounts: []string{"111122223333", "444455556666"}, Paths: []audit.Path{}, Limits: []string{"SCPs are not read"}},
	}}
	if diff := cmp.Diff(want, New(nil).Survey(time.Time{}, slices.Values(holdings))); diff != "" {
		t.Error(diff)
	}
	if got := New([]string{"another"}).Survey(time.Time{}, slices.Values(holdings)); len(got) > 0 || len(New([]string{oidcTrustTooBroad.ID}).Rules()) != 1 {
		t.Errorf("without the rule: %+v", got)
	}
	targets := []audit.Holding{{Coverage: audit.Coverage{Target: "github:acme/web"}, Inventory: holdings[0].Inventory}} // what a target says of itself is not what was learned
	if got := New(nil).Survey(time.Time{}, slices.Values(targets)); len(got) > 0 {
		t.Errorf("of a target: %+v", got)
	}
}
