package gitlab

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/xanzy/go-gitlab"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// settings yields what the target is allowed and what it allows, as one item. Where it takes several answers, one that is missing is a gap and its
// facts are left out.
func (h *place) settings(ctx context.Context) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		facts, content, err := h.describe(ctx)
		if err != nil {
			yield(audit.Item{}, err)
			return
		}
		if h.scope == "project" {
			facts["workflows"] = h.definitions
			for _, more := range []func(context.Context, map[string]string) *audit.Gap{h.jobTokenScope, h.pushProtection, h.pushRules, h.people} {
				if gap := more(ctx, facts); gap != nil && !yield(audit.Item{}, gap) {
					return
				}
			}
		} else if h.scope == "group" {
			if gap := h.pushRules(ctx, facts); gap != nil && !yield(audit.Item{}, gap) {
				return
			}
		}
		if !strings.Contains(h.target.Attrs["path"], "/") || h.target.Attrs["alone"] != "" { // else what it lies in says it
			if gap := h.version(ctx, facts); gap != nil && !yield(audit.Item{}, gap) {
				return
			}
		}
		it := h.item(audit.KindSettings, audit.InSetting, h.name(), h.settingsPage(), facts)
		it.Content, it.Size = content, int64(len(content))
		yield(it, nil)
	}
}

// version learns that of a server of one's own ("Metadata API", "Version API" before 15.2).
func (h *place) version(ctx context.Context, facts map[string]string) *audit.Gap {
	if h.host == "gitlab.com" {
		return nil
	}
	version, err := h.versionOf(ctx)
	if err != nil {
		return h.gap("version of the server", "", err)
	}
	if versionForm().MatchString(version) {
		facts["forge_version"] = version
	}
	return nil
}

// versionOf is what the server says of itself to those with a token.
func (c *client) versionOf(ctx context.Context) (string, error) {
	var answer struct {
		Version string `json:"version"`
	}
	_, err := c.get(ctx, "metadata", nil, "", &answer)
	if forge.StatusOf(err) == http.StatusNotFound { // before 15.2
		_, err = c.get(ctx, "version", nil, "", &answer)
	}
	return answer.Version, err
}

// name is the target's own.
func (h *place) name() string {
	if path := h.target.Attrs["path"]; path != "" {
		return path
	}
	return h.host
}

// yesNo is a fact of what may not be told at all.
func yesNo(b *bool) string {
	if b == nil {
		return ""
	}
	return strconv.FormatBool(*b)
}

// describe reads the description of the target, and returns what people wrote in it as a content.
func (h *place) describe(ctx context.Context) (facts map[string]string, content []byte, err error) {
	switch h.scope {
	case "instance":
		facts, err = h.describeInstance(ctx)
		return facts, nil, err
	case "group":
		return h.describeGroup(ctx)
	}
	return h.describeProject(ctx)
}

// describeProject reads what GitLab shows of a project; with a role below Maintainer that is less. Of those with the right, the answer also has the
// token that registers runners.
func (h *place) describeProject(ctx context.Context) (map[string]string, []byte, error) {
	var x struct {
		ID            int        `json:"id"`
		Description   string     `json:"description"`
		ImportURL     string     `json:"import_url"`
		Visibility    string     `json:"visibility"`
		DefaultBranch string     `json:"default_branch"`
		Archived      bool       `json:"archived"`
		LastActivity  *time.Time `json:"last_activity_at"`
		ForkedFrom    *struct {
			ID int `json:"id"`
		} `json:"forked_from_project"`
		PublicJobs          *bool  `json:"public_jobs"`
		SharedRunners       *bool  `json:"shared_runners_enabled"`
		ForkPipelines       *bool  `json:"ci_allow_fork_pipelines_to_run_in_parent_project"`
		OverrideRole        string `json:"ci_pipeline_variables_minimum_override_role"`
		OverrideRestricted  *bool  `json:"restrict_user_defined_variables"`
		ProtectMRPipelines  *bool  `json:"protect_merge_request_pipelines"`
		JobTokenPush        *bool  `json:"ci_push_repository_for_job_token_allowed"`
		SeparateCaches      *bool  `json:"ci_separated_caches"`
		MirrorTriggers      *bool  `json:"mirror_trigger_builds"`
		AutoDevOps          *bool  `json:"auto_devops_enabled"`
		SecretPushProtected *bool  `json:"secret_push_protection_enabled"`
		// See https://docs.gitlab.com/ci/secrets/id_token_authentication/; Maintainers alone are shown it.
		Subject []string `json:"ci_id_token_sub_claim_components"`
	}
	if _, err := h.get(ctx, h.path, nil, "", &x); err != nil {
		return nil, nil, err
	}
	role := x.OverrideRole
	if role == "" && x.OverrideRestricted != nil { // before GitLab 17.1, where the answer to "restricted?" was yes or no
		role = map[bool]string{true: "maintainer", false: "developer"}[*x.OverrideRestricted]
	}
	facts := map[string]string{
		"id": strconv.Itoa(x.ID), "visibility": x.Visibility, "archived": strconv.FormatBool(x.Archived), "fork": strconv.FormatBool(x.ForkedFrom != nil), "default_branch": x.DefaultBranch,
		"pushed_at": stamp(x.LastActivity), "public_jobs": yesNo(x.PublicJobs), "shared_runners": yesNo(x.SharedRunners),
		"fork_pipelines_in_parent": yesNo(x.ForkPipelines), "pipeline_variables_role": role, "protect_merge_request_pipelines": yesNo(x.ProtectMRPipelines),
		"job_token_push": yesNo(x.JobTokenPush), "separate_caches": yesNo(x.SeparateCaches), "mirror_triggers": yesNo(x.MirrorTriggers),
		"auto_devops": yesNo(x.AutoDevOps), "secret_push_protection": yesNo(x.SecretPushProtected), "oidc_subject": audit.NameList(x.Subject),
	}
	return facts, written(x.Description, x.ImportURL), nil
}

func (h *place) describeGroup(ctx context.Context) (map[string]string, []byte, error) {
	var x struct {
		Description   string `json:"description"`
		Visibility    string `json:"visibility"`
		SharedRunners string `json:"shared_runners_setting"`
		AutoDevOps    *bool  `json:"auto_devops_enabled"`
	}
	if _, err := h.get(ctx, h.path, map[string]string{"with_projects": "false"}, "", &x); err != nil {
		return nil, nil, err
	}
	count := ""
	resp, err := h.get(ctx, h.path+"/projects", map[string]string{"archived": "false", "include_subgroups": "true", "with_shared": "false", "per_page": "1"}, "", new([]struct{}))
	if err != nil {
		return nil, nil, err
	}
	if total := resp.Header.Get("X-Total"); total != "" { // GitLab counts to 10,000
		count = strconv.Itoa(resp.TotalItems)
	}
	return map[string]string{"repositories": count, "visibility": x.Visibility, "shared_runners": x.SharedRunners, "auto_devops": yesNo(x.AutoDevOps)}, written(x.Description), nil
}

// describeInstance takes out of the instance's settings, which hold keys of other services, what is told of pipelines.
func (h *place) describeInstance(ctx context.Context) (map[string]string, error) {
	var x struct {
		SharedRunners  *bool `json:"shared_runners_enabled"`
		AutoDevOps     *bool `json:"auto_devops_enabled"`
		PushProtection *bool `json:"secret_push_protection_available"`
		InboundLimited *bool `json:"enforce_ci_inbound_job_token_scope_enabled"`
	}
	_, err := h.get(ctx, "application/settings", nil, "", &x)
	facts := map[string]string{"shared_runners": yesNo(x.SharedRunners), "auto_devops": yesNo(x.AutoDevOps), "secret_push_protection": yesNo(x.PushProtection)}
	if x.InboundLimited != nil && *x.InboundLimited { // else each project decides
		facts["job_token_inbound_limited"] = "true"
	}
	return facts, err
}

// written joins what people wrote, one a line.
func written(all ...string) []byte {
	return []byte(strings.Join(slices.DeleteFunc(all, func(s string) bool { return s == "" }), "\n"))
}

// jobTokenScope adds which projects' jobs may enter with their tokens.
func (h *place) jobTokenScope(ctx context.Context, facts map[string]string) *audit.Gap {
	var scope struct {
		Inbound *bool `json:"inbound_enabled"`
	}
	if _, err := h.get(ctx, h.path+"/job_token_scope", nil, "", &scope); err != nil {
		return h.gap("job token scope", maintainer, err)
	}
	facts["job_token_inbound_limited"] = yesNo(scope.Inbound)
	type listed struct {
		ID      int    `json:"id"`
		Project string `json:"path_with_namespace"`
		Group   string `json:"full_path"`
	}
	var names []string
	for _, list := range []string{"allowlist", "groups_allowlist"} {
		for x, err := range pages[listed](ctx, h.client, h.path+"/job_token_scope/"+list, nil, func(x *listed) string { return strconv.Itoa(x.ID) }) {
			if err != nil {
				return h.gap("job token allowlist", maintainer, err)
			}
			if name := x.Project + x.Group; name != h.name() { // which may always
				names = append(names, name)
			}
		}
	}
	facts["job_token_allowed"] = audit.NameList(names)
	if facts["job_token_allowed"] == "" {
		facts["job_token_allowed"] = "none"
	}
	return nil
}

// pushProtection adds whether pushes are checked for secrets, if the description does not tell.
func (h *place) pushProtection(ctx context.Context, facts map[string]string) *audit.Gap {
	if facts["secret_push_protection"] != "" {
		return nil
	}
	var x struct {
		Enabled *bool `json:"secret_push_protection_enabled"`
	}
	if _, err := h.get(ctx, h.path+"/security_settings", nil, "", &x); err != nil {
		return h.paid("security settings", developer, err)
	}
	facts["secret_push_protection"] = yesNo(x.Enabled)
	return nil
}

// mostPeople is how many members are read of one project.
const mostPeople = 1000

// people adds who may push, by role, through whatever group ("List all members of a project including inherited and invited members").
func (h *place) people(ctx context.Context, facts map[string]string) *audit.Gap {
	type member struct {
		ID       int    `json:"id"`
		Username string `json:"username"`
		State    string `json:"state"` // active, blocked, awaiting
		Level    int    `json:"access_level"`
	}
	const what = "people who may push"
	in, read := map[string][]string{}, 0
	for x, err := range pages(ctx, h.client, h.path+"/members/all", nil, func(x *member) string { return strconv.Itoa(x.ID) }) {
		if err != nil {
			return h.gap(what, guest, err)
		}
		if read++; read > mostPeople {
			break
		}
		if x.State == "active" && x.Level >= 30 {
			in[strings.ToLower(role(x.Level))] = append(in[strings.ToLower(role(x.Level))], "User:"+x.Username)
		}
	}
	for _, role := range []string{"owner", "maintainer", "developer"} {
		slices.Sort(in[role])
		if facts[role] = cmp.Or(audit.NameList(in[role]), "none"); read > mostPeople {
			facts[role] = audit.SomeNames(in[role])
		}
	}
	if read > mostPeople {
		return &audit.Gap{Target: h.target.Name, What: what, Why: "after " + strconv.Itoa(mostPeople) + " members the others are left out"}
	}
	return nil
}

// pushRules adds what pushes are checked for.
func (h *place) pushRules(ctx context.Context, facts map[string]string) *audit.Gap {
	// GitLab answers null where there are none.
	var x *struct {
		CommitMessage      string `json:"commit_message_regex"`
		Branch             string `json:"branch_name_regex"`
		Author             string `json:"author_email_regex"`
		FileName           string `json:"file_name_regex"`
		MaxFileSize        int    `json:"max_file_size"`
		MemberCheck        bool   `json:"member_check"`
		DenyDeleteTag      bool   `json:"deny_delete_tag"`
		PreventSecrets     bool   `json:"prevent_secrets"`
		CommitterCheck     bool   `json:"commit_committer_check"`
		CommitterNameCheck bool   `json:"commit_committer_name_check"`
		RejectUnsigned     bool   `json:"reject_unsigned_commits"`
		RejectNonDCO       bool   `json:"reject_non_dco_commits"`
	}
	if _, err := h.get(ctx, h.path+"/push_rule", nil, "", &x); err != nil {
		return h.paid("push rules", map[string]string{"project": maintainer, "group": owner}[h.scope], err)
	}
	facts["push_rules"] = "none"
	if x == nil {
		return nil
	}
	var rules []string
	for _, rule := range []struct {
		name string
		on   bool
	}{
		{"prevent_secrets", x.PreventSecrets}, {"member_check", x.MemberCheck}, {"deny_delete_tag", x.DenyDeleteTag}, {"commit_committer_check", x.CommitterCheck},
		{"commit_committer_name_check", x.CommitterNameCheck}, {"reject_unsigned_commits", x.RejectUnsigned}, {"reject_non_dco_commits", x.RejectNonDCO},
		{"commit_message_regex", x.CommitMessage != ""}, {"branch_name_regex", x.Branch != ""}, {"author_email_regex", x.Author != ""},
		{"file_name_regex", x.FileName != ""}, {"max_file_size", x.MaxFileSize > 0},
	} {
		if rule.on {
			rules = append(rules, rule.name)
		}
	}
	if len(rules) > 0 {
		facts["push_rules"] = audit.NameList(rules)
	}
	return nil
}

// gap says what of the target could not be read.
func (h *place) gap(what, needs string, err error) *audit.Gap {
	if gap := (*audit.Gap)(nil); errors.As(err, &gap) {
		return gap
	}
	gap := forge.Gap(h.target.Name, what, needing(needs, err))
	if status := forge.StatusOf(err); h.job && status >= 401 && status <= 404 {
		gap.Why = "a job's own token may not read it: needs " + needs + ", with GITLAB_TOKEN"
	}
	return gap
}

// paid is gap for what GitLab has with a licence only: without one it answers 404, as it does without the role. Where it has shown something else
// of the target that takes the role, it can but mean the licence, and that is no gap: there is nothing to see.
func (h *place) paid(what, needs string, err error) *audit.Gap {
	if forge.StatusOf(err) == http.StatusNotFound && h.role {
		return nil
	}
	return h.gap(what, needs, err)
}

// pages walks a listing at one path.
func pages[T any](ctx context.Context, c *client, path string, query map[string]string, key func(*T) string) iter.Seq2[*T, error] {
	return paged(ctx, key, func(cursor string) ([]*T, *gitlab.Response, error) {
		var all []*T
		resp, err := c.get(ctx, path, listQuery(query), cursor, &all)
		return all, resp, err
	})
}

// item is a thing of the target that the inventory has.
func (h *place) item(kind audit.ItemKind, in audit.LocationKind, name, url string, facts map[string]string) audit.Item {
	return audit.Item{
		Kind: kind, At: audit.Location{Target: h.target.Name, Kind: in, Name: name, URL: url},
		Entry: h.entry(kind, name, facts),
	}
}

// settingsPage is where people find the target's settings.
func (h *place) settingsPage() string {
	switch h.scope {
	case "instance":
		return h.client.page("admin/application_settings/general")
	case "group":
		return h.client.page("groups", h.target.Attrs["path"], "-/edit")
	}
	return h.client.page(h.target.Attrs["path"], "edit")
}
