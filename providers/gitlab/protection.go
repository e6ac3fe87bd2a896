package gitlab

import (
	"context"
	"encoding/json"
	"iter"
	"strconv"
	"time"

	"github.com/leakreach/leakreach/audit"
)

// protections lists who may push, merge and create what is protected.
func (h *place) protections(ctx context.Context, of string) iter.Seq2[audit.Item, error] {
	type rule struct {
		ID         int       `json:"id"`
		Name       string    `json:"name"`
		Push       []grantee `json:"push_access_levels"`
		Merge      []grantee `json:"merge_access_levels"`
		Create     []grantee `json:"create_access_levels"`
		ForcePush  bool      `json:"allow_force_push"`
		CodeOwners bool      `json:"code_owner_approval_required"`
	}
	paths := map[string]string{"branch": "/protected_branches", "tag": "/protected_tags"}
	return each(pages(ctx, h.client, h.path+paths[of], nil, func(x *rule) string { return x.Name }), func(x *rule) audit.Item {
		facts := map[string]string{"of": of, "enforcement": "active", "refs": audit.NameList([]string{x.Name})}
		var rules []string
		if of == "tag" {
			facts["create"] = who(x.Create)
		} else {
			facts["push"], facts["merge"] = who(x.Push), who(x.Merge)
			if !x.ForcePush {
				rules = append(rules, "non_fast_forward")
			}
			if x.CodeOwners {
				rules = append(rules, "code_owner_approval")
			}
		}
		facts["rules"] = audit.NameList(rules)
		return h.item(audit.KindProtection, audit.InSetting, x.Name, h.accessPage("repository"), facts)
	})
}

// protected is who may deploy to an environment, or to all of a tier.
type protected struct {
	Name      string    `json:"name"`
	Deploy    []grantee `json:"deploy_access_levels"`
	Approvals int       `json:"required_approval_count"`
	Rules     []struct {
		grantee
		Approvals int `json:"required_approvals"`
	} `json:"approval_rules"`
}

// add adds to an environment's facts that it is protected.
func (p *protected) add(facts map[string]string) {
	approvals := p.Approvals
	var reviewers []grantee
	for _, r := range p.Rules {
		approvals += r.Approvals
		reviewers = append(reviewers, r.grantee)
	}
	facts["protected"], facts["deploy_access"], facts["required_approvals"] = "true", who(p.Deploy), strconv.Itoa(approvals)
	if len(reviewers) > 0 {
		facts["reviewers"] = who(reviewers)
	}
}

func (h *place) protectedEnvironments(ctx context.Context) iter.Seq2[*protected, error] {
	return pages(ctx, h.client, h.path+"/protected_environments", nil, func(x *protected) string { return x.Name })
}

// environments lists where jobs deploy to, with who may, and what is protected before it exists.
func (h *place) environments(ctx context.Context) iter.Seq2[audit.Item, error] {
	// environment is what is needed of GitLab's description, which also holds the last deployment with people's addresses.
	type environment struct {
		ID          int        `json:"id"`
		Name        string     `json:"name"`
		State       string     `json:"state,omitempty"`
		Tier        string     `json:"tier,omitempty"`
		ExternalURL string     `json:"external_url,omitempty"`
		Description string     `json:"description,omitempty"`
		CreatedAt   *time.Time `json:"created_at,omitempty"`
		UpdatedAt   *time.Time `json:"updated_at,omitempty"`
	}
	return func(yield func(audit.Item, error) bool) {
		walls, known := map[string]*protected{}, true
		for x, err := range h.protectedEnvironments(ctx) {
			if err == nil {
				walls[x.Name] = x
				continue
			}
			if gap := h.paid("protected environments", maintainer, err); gap != nil {
				known = false
				if !yield(audit.Item{}, gap) {
					return
				}
			}
		}
		for x, err := range pages(ctx, h.client, h.path+"/environments", nil, func(x *environment) string { return strconv.Itoa(x.ID) + x.Name }) {
			var it audit.Item
			if err == nil {
				it = h.item(audit.KindEnvironment, audit.InWorkflow, x.Name, h.client.page(h.target.Attrs["path"], "-/environments", strconv.Itoa(x.ID)), map[string]string{
					"tier": x.Tier, "created_at": stamp(x.CreatedAt), "updated_at": stamp(x.UpdatedAt),
				})
				it.Content, _ = json.Marshal(x)
				it.Size = int64(len(it.Content))
				if wall := walls[x.Name]; wall != nil {
					wall.add(it.Entry.Facts)
					delete(walls, x.Name)
				} else if known {
					it.Entry.Facts["protected"] = "false"
				}
			}
			if !yield(it, err) {
				return
			}
		}
		for _, it := range h.walled(walls) {
			if !yield(it, nil) {
				return
			}
		}
	}
}

// walled are environments that are protected and that nobody has deployed to: a tier's, or those to come.
func (h *place) walled(walls map[string]*protected) (all []audit.Item) {
	for _, name := range sortedKeys(walls) {
		facts := map[string]string{}
		walls[name].add(facts)
		all = append(all, h.item(audit.KindEnvironment, audit.InWorkflow, name, h.page, facts))
	}
	return all
}

// groupEnvironments lists the tiers of environments that a group protects in all its projects.
func (h *place) groupEnvironments(ctx context.Context) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		walls := map[string]*protected{}
		for x, err := range h.protectedEnvironments(ctx) {
			if err == nil {
				walls[x.Name] = x
			} else if gap := h.paid("protected environments", maintainer, err); gap != nil && !yield(audit.Item{}, gap) {
				return
			}
		}
		for _, it := range h.walled(walls) {
			if !yield(it, nil) {
				return
			}
		}
	}
}
