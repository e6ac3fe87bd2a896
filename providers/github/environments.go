package github

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// environment is what is read of one. go-github's type drops what it does not know of a protection rule.
type environment struct {
	ID              int64             `json:"id"`
	Name            string            `json:"name"`
	CreatedAt       time.Time         `json:"created_at"`
	UpdatedAt       time.Time         `json:"updated_at"`
	CanAdminsBypass *bool             `json:"can_admins_bypass,omitempty"`
	BranchPolicy    json.RawMessage   `json:"deployment_branch_policy,omitempty"`
	Rules           []json.RawMessage `json:"protection_rules,omitempty"`

	// Both are listings of their own.
	Branches []*branchPolicy `json:"branch_policies,omitempty"`
	Custom   []*customRule   `json:"custom_deployment_protection_rules,omitempty"`
}

// protectionRule is what facts tell of the rules of all types.
type protectionRule struct {
	Type              string `json:"type"`
	PreventSelfReview *bool  `json:"prevent_self_review"`
	WaitTimer         int    `json:"wait_timer"`
	Reviewers         []struct {
		Type     string `json:"type"`
		Reviewer struct {
			Login string `json:"login"`
			Slug  string `json:"slug"`
		} `json:"reviewer"`
	} `json:"reviewers"`
}

type branchPolicy struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
	Type string `json:"type,omitempty"` // branch, tag
}

type customRule struct {
	ID      int64 `json:"id"`
	Enabled bool  `json:"enabled"`
	App     struct {
		ID   int64  `json:"id"`
		Slug string `json:"slug"`
	} `json:"app"`
}

// environments yields each environment with its variables and secrets. They are asked for under the repository's
// path: go-github v60 has one that GitHub no longer documents, and puts names into it unescaped.
func (h *place) environments(ctx context.Context, sources audit.Sources) iter.Seq2[audit.Item, error] {
	all := listed(ctx, h, h.path()+"/environments", "environments", otherPage, func(e *environment) string { return strconv.FormatInt(e.ID, 10) + e.Name })
	return through(all, func(e *environment, yield func(audit.Item, error) bool) bool {
		scope, path := "environment "+e.Name, h.path()+"/environments/"+url.PathEscape(e.Name)
		page := "settings/environments/" + strconv.FormatInt(e.ID, 10) + "/edit"
		if unfit(e.Name) {
			return yield(audit.Item{}, &audit.Gap{Target: h.target.Name, What: fmt.Sprintf("rules, variables and secrets of environment %q", e.Name), Why: "the name cannot be put into an address"}) &&
				(!sources.Has(audit.SourceSettings) || yield(h.environment(e, page), nil))
		}
		if sources.Has(audit.SourceSettings) && (!h.rules(ctx, e, path, yield) || !yield(h.environment(e, page), nil)) {
			return false
		}
		return (!sources.Has(audit.SourceVariables) || h.nested(ctx, "variables of "+scope, "environments=read", h.variables(ctx, stores[0], scope, path+"/variables", page), yield)) &&
			(!sources.Has(audit.SourceSecrets) || h.nested(ctx, "secrets of "+scope, "environments=read", h.secrets(ctx, stores[0], scope, path+"/secrets", page), yield))
	})
}

// rules reads which branches may deploy to an environment, where they are chosen, which go-github v60 cannot page, and which apps are asked.
func (h *place) rules(ctx context.Context, e *environment, path string, yield func(audit.Item, error) bool) bool {
	const needs = "actions=read"
	if e.branches() == "selected" {
		for b, err := range listed(ctx, h, path+"/deployment-branch-policies", "branch_policies", otherPage, func(b *branchPolicy) string { return strconv.FormatInt(b.ID, 10) + b.Name }) {
			if err != nil {
				if !yield(audit.Item{}, h.gap("branch policies of environment "+e.Name, needs, err)) {
					return false
				}
				continue
			}
			e.Branches = append(e.Branches, b)
		}
	}
	var custom struct {
		Rules []*customRule `json:"custom_deployment_protection_rules"`
	}
	if _, err := h.get(ctx, path+"/deployment_protection_rules", nil, &custom); err != nil { // all on one page
		return yield(audit.Item{}, h.gap("custom rules of environment "+e.Name, needs, forge.Plain(err)))
	}
	e.Custom = slices.DeleteFunc(custom.Rules, func(r *customRule) bool { return r == nil })
	return true
}

// branches says which branches may deploy; "" if the answer does not.
func (e *environment) branches() string {
	var policy struct {
		Protected bool `json:"protected_branches"`
		Custom    bool `json:"custom_branch_policies"`
	}
	switch err := json.Unmarshal(e.BranchPolicy, &policy); {
	case err != nil:
		return ""
	case policy.Protected:
		return "protected"
	case policy.Custom:
		return "selected"
	}
	return "all"
}

func (h *place) environment(e *environment, page string) audit.Item {
	facts := map[string]string{
		"created_at": stamp(&e.CreatedAt), "updated_at": stamp(&e.UpdatedAt), "can_admins_bypass": flag(e.CanAdminsBypass), "branches": e.branches(),
	}
	var kinds, reviewers, patterns, apps []string
	for _, raw := range e.Rules {
		var rule protectionRule
		if json.Unmarshal(raw, &rule) != nil {
			continue
		}
		kinds = append(kinds, rule.Type)
		if rule.PreventSelfReview != nil {
			facts["prevent_self_review"] = flag(rule.PreventSelfReview)
		}
		if rule.WaitTimer > 0 {
			facts["wait_minutes"] = strconv.Itoa(rule.WaitTimer)
		}
		for _, r := range rule.Reviewers {
			switch {
			case r.Type == "Team" && r.Reviewer.Slug != "":
				reviewers = append(reviewers, "Team:"+r.Reviewer.Slug)
			case r.Type == "User" && r.Reviewer.Login != "":
				reviewers = append(reviewers, "User:"+r.Reviewer.Login)
			}
		}
	}
	for _, b := range e.Branches {
		if b.Type == "tag" {
			b.Name = "tag:" + b.Name
		}
		patterns = append(patterns, b.Name)
	}
	for _, r := range e.Custom {
		if r.Enabled {
			apps = append(apps, r.App.Slug)
		}
	}
	facts["protection_rules"], facts["reviewers"], facts["branch_policies"], facts["custom_rules"] = list(kinds), list(reviewers), list(patterns), list(apps)
	return h.setting(audit.KindEnvironment, e.Name, "repository", page, e.UpdatedAt, e, facts)
}
