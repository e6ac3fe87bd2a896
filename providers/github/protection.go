package github

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// A protection is a rule for branches or tags, with the words of REST's rulesets, whatever it comes from.
type protection struct {
	ID          int64    `json:"id,omitempty"` // of a ruleset
	Of          string   `json:"of"`           // branch, ruleset
	Name        string   `json:"name"`         // of a branch's, the pattern
	Target      string   `json:"target"`       // branch, tag, push, repository
	SourceType  string   `json:"source_type"`  // Repository, Organization, Enterprise
	Source      string   `json:"source"`
	Enforcement string   `json:"enforcement"`
	Include     []string `json:"include,omitempty"`
	Exclude     []string `json:"exclude,omitempty"`
	Rules       []string `json:"rules,omitempty"`
	Reviews     int      `json:"reviews,omitempty"`
	Bypass      []string `json:"bypass,omitempty"`
	Push        []string `json:"push,omitempty"` // the only ones who may
}

// protectionItem is one as an item.
func (h *place) protectionItem(p protection) audit.Item {
	scope, page := "repository", "settings/branches"
	if p.Of == "ruleset" {
		page = "settings/rules/" + strconv.FormatInt(p.ID, 10)
	}
	switch p.SourceType {
	case "Organization":
		scope = "organisation"
	case "Enterprise":
		scope = "enterprise"
	}
	return h.setting(audit.KindProtection, p.Name, scope, page, time.Time{}, p, map[string]string{
		"of": p.Of, "target": p.Target, "source": list([]string{p.Source}), "enforcement": p.Enforcement, "refs": list(p.Include), "excluded": list(p.Exclude), "rules": list(p.Rules),
		"reviews": positive(p.Reviews), "bypass": list(p.Bypass), "push": list(p.Push),
	})
}

// positive is a number as facts have it; "" for none.
func positive(n int) string {
	if n <= 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// sortProtections gives both APIs' answers one order.
func sortProtections(all []protection) {
	slices.SortStableFunc(all, func(a, b protection) int {
		return cmp.Or(cmp.Compare(a.Of, b.Of), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Name, b.Name))
	})
}

// switchedOn is a part of a branch's protection that is there or not.
type switchedOn struct {
	Enabled bool `json:"enabled"`
}

// actors are those whom a branch's protection names.
type actors struct {
	Users []struct {
		Login string `json:"login"`
	} `json:"users"`
	Teams []struct {
		Slug string `json:"slug"`
	} `json:"teams"`
	Apps []struct {
		Slug string `json:"slug"`
	} `json:"apps"`
}

func (a *actors) names(suffix string) (all []string) {
	if a == nil {
		return nil
	}
	for _, u := range a.Users {
		all = append(all, "User:"+u.Login+suffix)
	}
	for _, t := range a.Teams {
		all = append(all, "Team:"+t.Slug+suffix)
	}
	for _, x := range a.Apps {
		all = append(all, "App:"+x.Slug+suffix)
	}
	slices.Sort(all)
	return all
}

// branchProtection is what is read of a protected branch by REST.
type branchProtection struct {
	Checks  *struct{} `json:"required_status_checks"`
	Reviews *struct {
		Count  int     `json:"required_approving_review_count"`
		Bypass *actors `json:"bypass_pull_request_allowances"`
	} `json:"required_pull_request_reviews"`
	Push          *actors     `json:"restrictions"`
	Admins        *switchedOn `json:"enforce_admins"`
	Linear        switchedOn  `json:"required_linear_history"`
	ForcePushes   switchedOn  `json:"allow_force_pushes"`
	Deletions     switchedOn  `json:"allow_deletions"`
	Creations     switchedOn  `json:"block_creations"`
	Conversations switchedOn  `json:"required_conversation_resolution"`
	Signatures    switchedOn  `json:"required_signatures"`
	Lock          switchedOn  `json:"lock_branch"`
}

// branchRule is what both APIs tell of a protected branch.
type branchRule struct {
	pattern, repository                                                                        string
	admins, forcePushes, deletions, creations, lock, linear, conversations, signatures, checks bool
	pulls, restricted                                                                          bool
	reviews                                                                                    int
	bypass, push                                                                               []string
}

func (r branchRule) protection() protection {
	p := protection{
		Of: "branch", Name: r.pattern, Target: "branch", SourceType: "Repository", Source: r.repository, Enforcement: "active",
		Include: []string{"refs/heads/" + r.pattern}, Reviews: r.reviews, Bypass: r.bypass, Push: r.push,
	}
	for _, rule := range []struct {
		holds bool
		name  string
	}{
		{r.creations, "creation"}, {r.restricted, "update"}, {!r.deletions, "deletion"}, {!r.forcePushes, "non_fast_forward"}, {r.linear, "required_linear_history"},
		{r.signatures, "required_signatures"}, {r.pulls, "pull_request"}, {r.checks, "required_status_checks"}, {r.conversations, "required_review_thread_resolution"},
		{r.lock, "lock_branch"},
	} {
		if rule.holds {
			p.Rules = append(p.Rules, rule.name)
		}
	}
	if !r.admins {
		p.Bypass = append(p.Bypass, "RepositoryRole:admin=always")
	}
	return p
}

// branchRule makes of a branch's protection what both APIs tell.
func (b branchProtection) rule(branch, repository string) branchRule {
	r := branchRule{
		pattern: branch, repository: repository, admins: b.Admins != nil && b.Admins.Enabled, forcePushes: b.ForcePushes.Enabled, deletions: b.Deletions.Enabled,
		creations: b.Creations.Enabled, lock: b.Lock.Enabled, linear: b.Linear.Enabled, conversations: b.Conversations.Enabled, signatures: b.Signatures.Enabled,
		checks: b.Checks != nil, pulls: b.Reviews != nil, restricted: b.Push != nil, push: b.Push.names(""),
	}
	if b.Reviews != nil {
		r.reviews, r.bypass = b.Reviews.Count, b.Reviews.Bypass.names("=pull_request")
	}
	return r
}

// ruleset is what is read of one by REST. Its bypass_actors are shown to those who may change it.
type ruleset struct {
	ID          int64  `json:"id"`
	Name        string `json:"name"`
	Target      string `json:"target"`
	SourceType  string `json:"source_type"`
	Source      string `json:"source"`
	Enforcement string `json:"enforcement"`
	Conditions  *struct {
		RefName struct {
			Include []string `json:"include"`
			Exclude []string `json:"exclude"`
		} `json:"ref_name"`
	} `json:"conditions"`
	Rules []struct {
		Type       string `json:"type"`
		Parameters struct {
			Reviews int `json:"required_approving_review_count"`
		} `json:"parameters"`
	} `json:"rules"`
	Bypass []struct {
		ID   *int64 `json:"actor_id"`
		Type string `json:"actor_type"`
		Mode string `json:"bypass_mode"`
	} `json:"bypass_actors"`
}

func (r ruleset) protection() protection {
	p := protection{
		ID: r.ID, Of: "ruleset", Name: r.Name, Target: r.Target, SourceType: r.SourceType, Source: r.Source, Enforcement: r.Enforcement,
	}
	if r.Conditions != nil {
		p.Include, p.Exclude = r.Conditions.RefName.Include, r.Conditions.RefName.Exclude
	}
	for _, rule := range r.Rules {
		p.Rules = append(p.Rules, rule.Type)
		p.Reviews = max(p.Reviews, rule.Parameters.Reviews)
	}
	for _, b := range r.Bypass {
		who := b.Type
		switch b.Type { // of others there is but one
		case "Integration", "RepositoryRole", "Team", "User", "EnterpriseRole":
			if b.ID != nil {
				who += ":" + strconv.FormatInt(*b.ID, 10)
			}
		}
		p.Bypass = append(p.Bypass, who+"="+b.Mode)
	}
	return p
}

// protections yields the rules that decide who gets code to where jobs hold secrets, as far as they are known already; else as REST has them.
func (h *place) protections(ctx context.Context, v *view) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		var all []protection
		if v.overview != nil && v.isProtected {
			all = v.protections
		} else {
			goOn := true
			fail := func(what, needs string, err error) { goOn = goOn && yield(audit.Item{}, h.gap(what, needs, err)) }
			all = append(h.rulesets(ctx, fail), h.branches(ctx, fail)...)
			sortProtections(all)
			if !goOn || ctx.Err() != nil {
				return
			}
		}
		for _, p := range all {
			if !yield(h.protectionItem(p), nil) {
				return
			}
		}
	}
}

// rulesets are those that hold for the repository, whoever made them. The listing says no more than their names.
func (h *place) rulesets(ctx context.Context, fail func(what, needs string, err error)) (all []protection) {
	for r, err := range listed(ctx, h, h.path()+"/rulesets", "", otherPage, func(r *ruleset) string { return strconv.FormatInt(r.ID, 10) }) {
		if err != nil {
			fail("rulesets", "metadata=read", err)
			continue
		}
		var whole ruleset
		if _, err := h.get(ctx, h.path()+"/rulesets/"+strconv.FormatInt(r.ID, 10), nil, &whole); err != nil {
			fail("ruleset "+r.Name, "metadata=read", forge.Plain(err))
			continue
		}
		all = append(all, whole.protection())
	}
	return all
}

// branches are the protected ones. A rule for several is told of each of them.
func (h *place) branches(ctx context.Context, fail func(what, needs string, err error)) (all []protection) {
	type branch struct {
		Name      string `json:"name"`
		Protected *bool  `json:"protected"`
	}
	const needs = "administration=read"
	for b, err := range listed(ctx, h, h.path()+"/branches?protected=true", "", otherPage, func(b *branch) string { return b.Name }) {
		if err != nil {
			fail("protected branches", "contents=read", err)
			continue
		}
		if unfit(b.Name) || b.Protected != nil && !*b.Protected {
			continue
		}
		var said branchProtection
		_, err := h.get(ctx, h.path()+"/branches/"+url.PathEscape(b.Name)+"/protection", nil, &said)
		if e := (*forge.Error)(nil); errors.As(err, &e) && e.Status == http.StatusNotFound && strings.HasPrefix(e.Message, "Branch not protected") {
			continue // by a ruleset alone
		}
		if err != nil {
			fail("protection of branch "+b.Name, needs, forge.Plain(err))
			continue
		}
		all = append(all, said.rule(b.Name, h.owner+"/"+h.repo).protection())
	}
	return all
}

// connection is a listing in an answer of GraphQL.
type connection[T any] struct {
	PageInfo struct {
		HasNextPage bool   `json:"hasNextPage"`
		EndCursor   string `json:"endCursor"`
	} `json:"pageInfo"`
	Nodes []T `json:"nodes"`
}

// whole tells whether the answer has all of it.
func (c *connection[T]) whole() bool { return c != nil && !c.PageInfo.HasNextPage }

// graphRule is a branch's protection in GraphQL.
type graphRule struct {
	Pattern                        string                  `json:"pattern"`
	IsAdminEnforced                bool                    `json:"isAdminEnforced"`
	AllowsDeletions                bool                    `json:"allowsDeletions"`
	AllowsForcePushes              bool                    `json:"allowsForcePushes"`
	BlocksCreations                bool                    `json:"blocksCreations"`
	LockBranch                     bool                    `json:"lockBranch"`
	RestrictsPushes                bool                    `json:"restrictsPushes"`
	RequiresApprovingReviews       bool                    `json:"requiresApprovingReviews"`
	RequiredApprovingReviewCount   int                     `json:"requiredApprovingReviewCount"`
	RequiresCommitSignatures       bool                    `json:"requiresCommitSignatures"`
	RequiresConversationResolution bool                    `json:"requiresConversationResolution"`
	RequiresLinearHistory          bool                    `json:"requiresLinearHistory"`
	RequiresStatusChecks           bool                    `json:"requiresStatusChecks"`
	Push                           *connection[graphActor] `json:"pushAllowances"`
	Bypass                         *connection[graphActor] `json:"bypassPullRequestAllowances"`
}

type graphActor struct {
	Actor struct {
		Type  string `json:"__typename"`
		Slug  string `json:"slug"`
		Login string `json:"login"`
	} `json:"actor"`
}

func actorNames(all []graphActor, suffix string) (names []string) {
	for _, a := range all {
		names = append(names, a.Actor.Type+":"+a.Actor.Login+a.Actor.Slug+suffix)
	}
	slices.Sort(names)
	return names
}

func (g graphRule) rule(repository string) branchRule {
	r := branchRule{
		pattern: g.Pattern, repository: repository, admins: g.IsAdminEnforced, forcePushes: g.AllowsForcePushes, deletions: g.AllowsDeletions, creations: g.BlocksCreations,
		lock: g.LockBranch, linear: g.RequiresLinearHistory, conversations: g.RequiresConversationResolution, signatures: g.RequiresCommitSignatures,
		checks: g.RequiresStatusChecks, pulls: g.RequiresApprovingReviews, restricted: g.RestrictsPushes,
	}
	if r.pulls {
		r.reviews, r.bypass = g.RequiredApprovingReviewCount, actorNames(g.Bypass.Nodes, "=pull_request")
	}
	if r.restricted {
		r.push = actorNames(g.Push.Nodes, "")
	}
	return r
}

// graphRuleset is a ruleset in GraphQL.
type graphRuleset struct {
	ID          int64  `json:"databaseId"`
	Name        string `json:"name"`
	Target      string `json:"target"`
	Enforcement string `json:"enforcement"`
	Source      struct {
		Type          string `json:"__typename"`
		Slug          string `json:"slug"`
		Login         string `json:"login"`
		NameWithOwner string `json:"nameWithOwner"`
	} `json:"source"`
	Conditions struct {
		RefName *struct {
			Include []string `json:"include"`
			Exclude []string `json:"exclude"`
		} `json:"refName"`
	} `json:"conditions"`
	Rules *connection[struct {
		Type       string `json:"type"`
		Parameters struct {
			Reviews int `json:"requiredApprovingReviewCount"`
		} `json:"parameters"`
	}] `json:"rules"`
	Bypass *connection[graphBypass] `json:"bypassActors"`
}

type graphBypass struct {
	Mode              string `json:"bypassMode"`
	DeployKey         bool   `json:"deployKey"`
	EnterpriseOwner   bool   `json:"enterpriseOwner"`
	OrganizationAdmin bool   `json:"organizationAdmin"`
	Role              *int64 `json:"repositoryRoleDatabaseId"`
	Actor             *struct {
		Type string `json:"__typename"`
		ID   int64  `json:"databaseId"`
	} `json:"actor"`
}

// who is the actor as REST's rulesets have it.
func (b graphBypass) who() string {
	switch {
	case b.DeployKey:
		return "DeployKey"
	case b.EnterpriseOwner:
		return "EnterpriseOwner"
	case b.OrganizationAdmin:
		return "OrganizationAdmin"
	case b.Role != nil:
		return "RepositoryRole:" + strconv.FormatInt(*b.Role, 10)
	case b.Actor != nil && b.Actor.Type == "App":
		return "Integration:" + strconv.FormatInt(b.Actor.ID, 10)
	case b.Actor != nil:
		return b.Actor.Type + ":" + strconv.FormatInt(b.Actor.ID, 10)
	}
	return "unknown"
}

func (g graphRuleset) protection() protection {
	p := protection{
		ID: g.ID, Of: "ruleset", Name: g.Name, Target: strings.ToLower(g.Target), SourceType: g.Source.Type,
		Source: g.Source.Slug + g.Source.Login + g.Source.NameWithOwner, Enforcement: strings.ToLower(g.Enforcement),
	}
	if c := g.Conditions.RefName; c != nil {
		p.Include, p.Exclude = c.Include, c.Exclude
	}
	for _, rule := range g.Rules.Nodes {
		p.Rules = append(p.Rules, strings.ToLower(rule.Type))
		p.Reviews = max(p.Reviews, rule.Parameters.Reviews)
	}
	if g.Bypass != nil {
		for _, b := range g.Bypass.Nodes {
			p.Bypass = append(p.Bypass, b.who()+"="+strings.ToLower(b.Mode))
		}
	}
	return p
}

// protectionsOf makes protections of what GraphQL has; not ok if it has not all of it.
func protectionsOf(rulesets []graphRuleset, rules []graphRule, repository string) (all []protection, ok bool) {
	for _, r := range rulesets {
		if !r.Rules.whole() || r.Bypass != nil && !r.Bypass.whole() {
			return nil, false
		}
		all = append(all, r.protection())
	}
	for _, r := range rules {
		if !r.Push.whole() || !r.Bypass.whole() {
			return nil, false
		}
		all = append(all, r.rule(repository).protection())
	}
	sortProtections(all)
	return all, true
}
