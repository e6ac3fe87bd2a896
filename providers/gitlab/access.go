package gitlab

import (
	"cmp"
	"context"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// roles are GitLab's names of access levels (docs.gitlab.com/api/access_requests, "Valid access levels").
var roles = map[int]string{0: "No one", 5: "Minimal access", 10: "Guest", 15: "Planner", 20: "Reporter", 25: "Security manager", 30: "Developer", 40: "Maintainer", 50: "Owner", 60: "Administrator"}

func role(level int) string {
	if name, ok := roles[level]; ok {
		return name
	}
	return "level " + strconv.Itoa(level)
}

// A grantee is who a rule names: a role and those above it, or one user, group or deploy key.
type grantee struct {
	Level     int `json:"access_level"`
	UserID    int `json:"user_id"`
	GroupID   int `json:"group_id"`
	DeployKey int `json:"deploy_key_id"`
}

// who is a fact of grantees; "No one" if there are none.
func who(all []grantee) string {
	var names []string
	for _, g := range all {
		switch {
		case g.UserID != 0:
			names = append(names, "User:"+strconv.Itoa(g.UserID))
		case g.GroupID != 0:
			names = append(names, "Group:"+strconv.Itoa(g.GroupID))
		case g.DeployKey != 0:
			names = append(names, "Key:"+strconv.Itoa(g.DeployKey))
		default:
			names = append(names, role(g.Level))
		}
	}
	slices.Sort(names)
	return cmp.Or(audit.NameList(slices.Compact(names)), role(0))
}

// accessTokens lists the tokens of bot users of the target: their names and what they may, never what they are.
func (h *place) accessTokens(ctx context.Context) iter.Seq2[audit.Item, error] {
	type token struct {
		ID        int        `json:"id"`
		Name      string     `json:"name"`
		UserID    int        `json:"user_id"`
		Scopes    []string   `json:"scopes"`
		Level     int        `json:"access_level"`
		CreatedAt *time.Time `json:"created_at"`
		ExpiresAt moment     `json:"expires_at"`
		LastUsed  moment     `json:"last_used_at"`
		Active    bool       `json:"active"`
		Revoked   bool       `json:"revoked"`
	}
	return each(pages(ctx, h.client, h.path+"/access_tokens", nil, func(x *token) string { return strconv.Itoa(x.ID) }), func(x *token) audit.Item {
		return h.item(audit.KindToken, audit.InSetting, x.Name, h.accessPage("access_tokens"), map[string]string{
			"type": h.scope, "owner": number("User:", x.UserID), "scopes": audit.NameList(x.Scopes), "role": role(x.Level),
			"created_at": stamp(x.CreatedAt), "expires_at": x.ExpiresAt.String(), "last_used_at": x.LastUsed.String(), "active": strconv.FormatBool(x.Active && !x.Revoked),
		})
	})
}

// deployTokens lists tokens that read repositories and registries.
func (h *place) deployTokens(ctx context.Context) iter.Seq2[audit.Item, error] {
	path := h.path + "/deploy_tokens"
	if h.scope == "instance" {
		path = "deploy_tokens"
	}
	type token struct {
		ID        int      `json:"id"`
		Name      string   `json:"name"`
		Username  string   `json:"username"`
		ExpiresAt moment   `json:"expires_at"`
		Revoked   bool     `json:"revoked"`
		Expired   bool     `json:"expired"`
		Scopes    []string `json:"scopes"`
	}
	return each(pages(ctx, h.client, path, nil, func(x *token) string { return strconv.Itoa(x.ID) }), func(x *token) audit.Item {
		return h.item(audit.KindToken, audit.InSetting, x.Name, h.accessPage("repository#js-deploy-tokens"), map[string]string{
			"type": "deploy", "owner": x.Username, "scopes": audit.NameList(x.Scopes), "expires_at": x.ExpiresAt.String(),
			"active": strconv.FormatBool(!x.Revoked && !x.Expired),
		})
	})
}

// triggers lists tokens that start pipelines. GitLab's answer has those of the caller's own in full; they are not decoded.
func (h *place) triggers(ctx context.Context) iter.Seq2[audit.Item, error] {
	type trigger struct {
		ID          int        `json:"id"`
		Description string     `json:"description"`
		CreatedAt   *time.Time `json:"created_at"`
		ExpiresAt   moment     `json:"expires_at"`
		LastUsed    moment     `json:"last_used"`
		Owner       *user      `json:"owner"`
	}
	return each(pages(ctx, h.client, h.path+"/triggers", nil, func(x *trigger) string { return strconv.Itoa(x.ID) }), func(x *trigger) audit.Item {
		return h.item(audit.KindToken, audit.InSetting, cmp.Or(x.Description, "trigger "+strconv.Itoa(x.ID)), h.page+"#js-pipeline-triggers", map[string]string{
			"type": "trigger", "owner": x.Owner.name(), "created_at": stamp(x.CreatedAt), "expires_at": x.ExpiresAt.String(),
			"last_used_at": x.LastUsed.String(), "active": "true",
		})
	})
}

// A user is who owns something.
type user struct {
	ID       int    `json:"id"`
	Username string `json:"username"`
	State    string `json:"state"`
}

func (u *user) name() string {
	if u == nil {
		return ""
	}
	return "User:" + cmp.Or(u.Username, strconv.Itoa(u.ID))
}

// deployKeys lists keys that fetch, and some that push. Since GitLab tells when one was last used in some versions only, that may be missing.
func (h *place) deployKeys(ctx context.Context) iter.Seq2[audit.Item, error] {
	path := h.path + "/deploy_keys"
	if h.scope == "instance" {
		path = "deploy_keys"
	}
	type key struct {
		ID          int        `json:"id"`
		Title       string     `json:"title"`
		CreatedAt   *time.Time `json:"created_at"`
		ExpiresAt   moment     `json:"expires_at"`
		LastUsed    moment     `json:"last_used_at"`
		CanPush     *bool      `json:"can_push"` // of a project's
		Fingerprint string     `json:"fingerprint"`
		SHA256      string     `json:"fingerprint_sha256"`
	}
	return each(pages(ctx, h.client, path, nil, func(x *key) string { return strconv.Itoa(x.ID) }), func(x *key) audit.Item {
		readOnly := ""
		if x.CanPush != nil {
			readOnly = strconv.FormatBool(!*x.CanPush)
		}
		return h.item(audit.KindDeployKey, audit.InSetting, x.Title, h.accessPage("repository#js-deploy-keys-settings"), map[string]string{
			"id": strconv.Itoa(x.ID), "read_only": readOnly, "created_at": stamp(x.CreatedAt), "last_used": x.LastUsed.String(), "expires_at": x.ExpiresAt.String(),
			"fingerprint": cmp.Or(x.SHA256, x.Fingerprint),
		})
	})
}

// webhooks lists who is told of what happens. The address is the content that is scanned, as it may be a secret, and in no fact.
func (h *place) webhooks(ctx context.Context) iter.Seq2[audit.Item, error] {
	path := h.path + "/hooks"
	if h.scope == "instance" {
		path = "hooks"
	}
	return each(pages(ctx, h.client, path, nil, func(x *hook) string { return strconv.Itoa(x.ID) }), func(x *hook) audit.Item {
		host, scheme := "", ""
		if u, err := url.Parse(x.URL); err == nil {
			host, scheme = u.Host, u.Scheme
		}
		forge.Doubt(ctx) // the answer's tag tells of addresses, and who has it could try short ones
		it := h.item(audit.KindHook, audit.InSetting, cmp.Or(host, "webhook "+strconv.Itoa(x.ID)), h.hooksPage(), map[string]string{
			"id": strconv.Itoa(x.ID), "events": audit.NameList(x.events()), "active": strconv.FormatBool(x.DisabledUntil == nil && x.AlertStatus != "disabled"),
			"has_secret": yesNo(x.TokenPresent), "tls_verified": yesNo(x.Verify), "url_scheme": scheme,
		})
		it.Content = []byte(x.URL)
		it.Size = int64(len(it.Content))
		return it
	})
}

// hook has GitLab's names of events as far as they have one of their own.
type hook struct {
	ID            int        `json:"id"`
	URL           string     `json:"url"`
	Verify        *bool      `json:"enable_ssl_verification"`
	TokenPresent  *bool      `json:"token_present"`
	AlertStatus   string     `json:"alert_status"`
	DisabledUntil *time.Time `json:"disabled_until"`
	Push          bool       `json:"push_events"`
	TagPush       bool       `json:"tag_push_events"`
	MergeRequests bool       `json:"merge_requests_events"`
	Repository    bool       `json:"repository_update_events"`
	Issues        bool       `json:"issues_events"`
	Confidential  bool       `json:"confidential_issues_events"`
	Notes         bool       `json:"note_events"`
	SecretNotes   bool       `json:"confidential_note_events"`
	Pipelines     bool       `json:"pipeline_events"`
	Jobs          bool       `json:"job_events"`
	Wiki          bool       `json:"wiki_page_events"`
	Deployments   bool       `json:"deployment_events"`
	Releases      bool       `json:"releases_events"`
	Tokens        bool       `json:"resource_access_token_events"`
}

func (x *hook) events() (names []string) {
	for _, e := range []struct {
		name string
		on   bool
	}{
		{"push", x.Push}, {"tag_push", x.TagPush}, {"merge_requests", x.MergeRequests}, {"repository_update", x.Repository}, {"issues", x.Issues},
		{"confidential_issues", x.Confidential}, {"note", x.Notes}, {"confidential_note", x.SecretNotes}, {"pipeline", x.Pipelines}, {"job", x.Jobs},
		{"wiki_page", x.Wiki}, {"deployment", x.Deployments}, {"releases", x.Releases}, {"resource_access_token", x.Tokens},
	} {
		if e.on {
			names = append(names, e.name)
		}
	}
	return names
}

// schedules lists what starts pipelines by itself, with whom it acts for and, if asked for, its variables.
func (h *place) schedules(ctx context.Context, variables bool) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		roleOf := map[int]string{}
		for x, err := range pages(ctx, h.client, h.path+"/pipeline_schedules", nil, func(x *schedule) string { return strconv.Itoa(x.ID) }) {
			if err != nil {
				if !yield(audit.Item{}, err) {
					return
				}
				continue
			}
			it := h.item(audit.KindSchedule, audit.InSetting, cmp.Or(x.Description, "schedule "+strconv.Itoa(x.ID)), h.client.page(h.target.Attrs["path"], "-/pipeline_schedules"), map[string]string{
				"cron": x.Cron, "ref": x.Ref, "active": strconv.FormatBool(x.Active), "owner": x.Owner.name(),
			})
			if x.Owner != nil {
				it.Entry.Facts["owner_active"] = strconv.FormatBool(x.Owner.State == "active")
				if r := h.roleOf(ctx, x.Owner.ID, roleOf); r != "" {
					it.Entry.Facts["owner_role"] = r
				}
			}
			if !yield(it, nil) {
				return
			}
			if !variables {
				continue
			}
			for it, err := range h.scheduleVariables(ctx, x) {
				if !yield(it, err) {
					return
				}
			}
		}
	}
}

type schedule struct {
	ID          int    `json:"id"`
	Description string `json:"description"`
	Cron        string `json:"cron"`
	Ref         string `json:"ref"`
	Active      bool   `json:"active"`
	Owner       *user  `json:"owner"`
	Variables   []*struct {
		Key   string  `json:"key"`
		Value *string `json:"value"`
		Type  string  `json:"variable_type"`
		Raw   *bool   `json:"raw"`
	} `json:"variables"`
}

// roleOf is the role that a user has in the project, through whatever group; "" if they are no member. It remembers what it has asked.
func (h *place) roleOf(ctx context.Context, id int, known map[int]string) string {
	if r, ok := known[id]; ok || id == 0 {
		return r
	}
	var member struct {
		Level int    `json:"access_level"`
		State string `json:"state"`
	}
	_, err := h.get(ctx, h.path+"/members/all/"+strconv.Itoa(id), nil, "", &member)
	if err == nil {
		known[id] = role(member.Level)
	} else {
		known[id] = ""
	}
	return known[id]
}

// scheduleVariables reads a schedule's variables, which its own description alone has.
func (h *place) scheduleVariables(ctx context.Context, s *schedule) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		var whole schedule
		if _, err := h.get(ctx, h.path+"/pipeline_schedules/"+strconv.Itoa(s.ID), nil, "", &whole); err != nil {
			yield(audit.Item{}, h.gap("variables of schedule "+strconv.Itoa(s.ID), "its owner's token, or role Maintainer", err))
			return
		}
		for _, v := range whole.Variables {
			if v == nil {
				continue
			}
			facts := map[string]string{"store": "schedule", "type": v.Type, "raw": yesNo(v.Raw)} // they have no other flags
			it := h.item(audit.KindVariable, audit.InVariable, v.Key, h.client.page(h.target.Attrs["path"], "-/pipeline_schedules", strconv.Itoa(s.ID), "edit"), facts)
			it.Entry.Scope = "schedule " + cmp.Or(s.Description, strconv.Itoa(s.ID))
			if v.Value != nil {
				forge.Doubt(ctx)
				it.Content, it.Size = []byte(*v.Value), int64(len(*v.Value))
			}
			if !yield(it, nil) {
				return
			}
		}
	}
}

// secureFiles lists files that jobs may load, by name: what they hold is not read.
func (h *place) secureFiles(ctx context.Context) iter.Seq2[audit.Item, error] {
	type file struct {
		ID        int        `json:"id"`
		Name      string     `json:"name"`
		CreatedAt *time.Time `json:"created_at"`
	}
	return each(pages(ctx, h.client, h.path+"/secure_files", nil, func(x *file) string { return strconv.Itoa(x.ID) }), func(x *file) audit.Item {
		return h.item(audit.KindSecret, audit.InSecret, x.Name, h.page+"#js-secure-files", map[string]string{
			"store": "secure_file", "created_at": stamp(x.CreatedAt),
		})
	})
}

// accessPage is the page of the target's settings that ends in name.
func (h *place) accessPage(name string) string {
	// A fragment would be escaped as part of a path.
	path, fragment, found := strings.Cut(name, "#")
	if found {
		fragment = "#" + fragment
	}
	switch h.scope {
	case "instance":
		return h.client.page("admin") + fragment
	case "group":
		return h.client.page("groups", h.target.Attrs["path"], "-/settings", path) + fragment
	}
	return h.client.page(h.target.Attrs["path"], "-/settings", path) + fragment
}

func (h *place) hooksPage() string {
	switch h.scope {
	case "instance":
		return h.client.page("admin/hooks")
	case "group":
		return h.client.page("groups", h.target.Attrs["path"], "-/hooks")
	}
	return h.client.page(h.target.Attrs["path"], "-/hooks")
}

// number is an id behind what it is of; "" for none.
func number(prefix string, id int) string {
	if id == 0 {
		return ""
	}
	return prefix + strconv.Itoa(id)
}

// A moment is a time in an answer, or a day. GitLab writes null for one that never was or will be; where it tells nothing, nothing is known.
type moment struct {
	told bool
	at   time.Time
}

func (m *moment) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			m.told, m.at = true, at
			return nil
		}
	}
	m.told = text == "null"
	return nil // what is no time is not known
}

// String is the fact.
func (m moment) String() string {
	switch {
	case !m.told:
		return ""
	case m.at.IsZero():
		return "never"
	}
	return stamp(&m.at)
}
