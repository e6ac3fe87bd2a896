package gitea

import (
	"context"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
)

// about yields what the listing of targets told already, and how much there is: who judges what is missing must know that nothing was left out.
func (h *place) about(ctx context.Context) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		a := h.target.Attrs
		facts := map[string]string{
			"visibility": a["visibility"], "archived": a["archived"], "fork": a["fork"], "mirror": a["mirror"], "actions": a["actions"],
			"default_branch": a["default_branch"], "pushed_at": stamp(h.target.Pushed), "workflows": h.defined,
		}
		var err error
		if h.scope == "organisation" {
			facts["forge_version"] = h.version(ctx)
			facts["repositories"], err = h.repositories(ctx)
		}
		it := h.setting(audit.KindSettings, h.name(), "", time.Time{}, facts)
		it.At.URL = h.target.URL
		if yield(it, nil) && err != nil {
			yield(audit.Item{}, err)
		}
	}
}

// repositories counts those of the organisation that are not archived.
func (h *place) repositories(ctx context.Context) (string, error) {
	query := url.Values{"uid": {h.target.Attrs["id"]}, "exclusive": {"true"}, "archived": {"false"}, "limit": {"1"}}
	header, err := h.get(ctx, "repos/search", query, new(struct{}))
	if err != nil {
		return "", err
	}
	return header.Get("X-Total-Count"), nil
}

// name is the target's without its scheme.
func (h *place) name() string { return strings.TrimPrefix(h.target.Name, "gitea:") }

// setting makes an item of a line of the inventory, which has no content.
func (h *place) setting(kind audit.ItemKind, name, page string, at time.Time, facts map[string]string) audit.Item {
	e := h.entry(kind, name, facts)
	return audit.Item{Kind: kind, At: audit.Location{Target: h.target.Name, Kind: audit.InSetting, Name: e.Name, URL: h.settingsPage(page), At: at}, Entry: e}
}

// branchRule is a protection of branches.
type branchRule struct {
	Branch              string    `json:"branch_name"` // older versions have no other name
	Name                string    `json:"rule_name"`
	Push                bool      `json:"enable_push"`
	PushSome            bool      `json:"enable_push_whitelist"`
	PushUsers           []string  `json:"push_whitelist_usernames"`
	PushTeams           []string  `json:"push_whitelist_teams"`
	PushKeys            bool      `json:"push_whitelist_deploy_keys"`
	ForcePush           bool      `json:"enable_force_push"`
	MergeSome           bool      `json:"enable_merge_whitelist"`
	MergeUsers          []string  `json:"merge_whitelist_usernames"`
	MergeTeams          []string  `json:"merge_whitelist_teams"`
	StatusCheck         bool      `json:"enable_status_check"`
	Approvals           int       `json:"required_approvals"`
	DismissStale        bool      `json:"dismiss_stale_approvals"`
	Signed              bool      `json:"require_signed_commits"`
	BlockAdmins         *bool     `json:"block_admin_merge_override"`
	BlockAdminsAsBefore *bool     `json:"apply_to_admins"` // in Forgejo
	Updated             time.Time `json:"updated_at"`
}

func (h *place) branchRules(ctx context.Context) iter.Seq2[audit.Item, error] {
	return each(unpaged[branchRule](ctx, h.client, h.path+"/branch_protections"), func(r *branchRule) audit.Item {
		name := r.Name
		if name == "" {
			name = r.Branch
		}
		// The names are those of GitHub's rulesets. Gitea lets nobody delete a protected branch.
		rules := []string{"deletion"}
		for _, rule := range []struct {
			name string
			on   bool
		}{
			{"non_fast_forward", !r.ForcePush}, {"pull_request", !r.Push}, {"required_signatures", r.Signed}, {"required_status_checks", r.StatusCheck},
			{"dismiss_stale_reviews", r.DismissStale},
		} {
			if rule.on {
				rules = append(rules, rule.name)
			}
		}
		push := "none"
		if r.Push {
			push = whoMay(r.PushSome, r.PushUsers, r.PushTeams, r.PushKeys)
		}
		bypass := ""
		if on := r.BlockAdmins; on != nil && !*on || r.BlockAdmins == nil && r.BlockAdminsAsBefore != nil && !*r.BlockAdminsAsBefore {
			bypass = "Administrators" // may merge whatever the rule asks for
		}
		return h.setting(audit.KindProtection, name, "branches", r.Updated, map[string]string{
			"of": "branch", "enforcement": "active", "refs": name, "rules": audit.NameList(rules), "reviews": strconv.Itoa(max(r.Approvals, 0)), "bypass": bypass,
			"push": push, "merge": whoMay(r.MergeSome, r.MergeUsers, r.MergeTeams, false),
		})
	})
}

// tagRule is a protection of tags. Who is not named may not make one.
type tagRule struct {
	Pattern string    `json:"name_pattern"`
	Users   []string  `json:"whitelist_usernames"`
	Teams   []string  `json:"whitelist_teams"`
	Updated time.Time `json:"updated_at"`
}

func (h *place) tagRules(ctx context.Context) iter.Seq2[audit.Item, error] {
	return each(unpaged[tagRule](ctx, h.client, h.path+"/tag_protections"), func(r *tagRule) audit.Item {
		return h.setting(audit.KindProtection, r.Pattern, "tags", r.Updated, map[string]string{
			"of": "tag", "enforcement": "active", "refs": r.Pattern, "rules": "creation,deletion", "create": whoMay(true, r.Users, r.Teams, false),
		})
	})
}

// whoMay names those whom a rule lets do something: all who may write, or some.
func whoMay(onlySome bool, users, teams []string, keys bool) string {
	if !onlySome {
		return "write"
	}
	var all []string
	for _, user := range users {
		all = append(all, "User:"+user)
	}
	for _, team := range teams {
		all = append(all, "Team:"+team)
	}
	if keys {
		all = append(all, "DeployKeys")
	}
	if len(all) == 0 {
		return "none"
	}
	return audit.NameList(all)
}

// deployKey leaves out the key itself: it is public, and the fingerprint says as much.
type deployKey struct {
	ID          int64     `json:"id"`
	Title       string    `json:"title"`
	Fingerprint string    `json:"fingerprint"`
	ReadOnly    bool      `json:"read_only"`
	Created     time.Time `json:"created_at"`
}

func (h *place) deployKeys(ctx context.Context) iter.Seq2[audit.Item, error] {
	return each(paged(ctx, func(k *deployKey) string { return strconv.FormatInt(k.ID, 10) }, func(number, _ int) ([]*deployKey, around, error) {
		return getPage[deployKey](ctx, h.client, h.path+"/keys", number)
	}), func(k *deployKey) audit.Item {
		return h.setting(audit.KindDeployKey, k.Title, "keys", k.Created, map[string]string{
			"id": strconv.FormatInt(k.ID, 10), "read_only": strconv.FormatBool(k.ReadOnly), "created_at": stamp(k.Created), "fingerprint": k.Fingerprint,
		})
	})
}

// hook leaves out what the answer has beside: the header that is sent to the address may be a credential.
type hook struct {
	ID      int64     `json:"id"`
	Active  bool      `json:"active"`
	Events  []string  `json:"events"`
	Created time.Time `json:"created_at"`
	Config  struct {
		URL string `json:"url"` // may be a credential, too: only its scheme and host are used
	} `json:"config"`
}

func (h *place) hooks(ctx context.Context) iter.Seq2[audit.Item, error] {
	return each(paged(ctx, func(k *hook) string { return strconv.FormatInt(k.ID, 10) }, func(number, _ int) ([]*hook, around, error) {
		query := pageQuery(number)
		if h.scope == "instance" {
			query.Set("type", "all") // those that each new repository gets a copy of, too
		}
		var found []*hook
		header, err := h.get(ctx, h.path+"/hooks", query, &found)
		return present(found), aroundOf(header), err
	}), func(k *hook) audit.Item {
		host, scheme := "", "" // and Gitea tells of events in whatever order
		if u, err := url.Parse(k.Config.URL); err == nil {
			host, scheme = u.Hostname(), u.Scheme
		}
		return h.setting(audit.KindHook, host, "hooks", k.Created, map[string]string{
			"id": strconv.FormatInt(k.ID, 10), "events": audit.NameList(slices.Sorted(slices.Values(k.Events))), "active": strconv.FormatBool(k.Active), "url_scheme": scheme,
		})
	})
}
