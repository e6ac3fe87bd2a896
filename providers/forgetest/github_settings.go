package forgetest

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A store of secrets and variables, and what opens it. GitHub has no variables for two of them.
type store struct {
	name, secretsRight, variablesRight string
	inherits                           bool // a repository shows what it has of its organisation's
}

var stores = []store{
	{"actions", "secrets", "actions_variables", true},
	{"dependabot", "dependabot_secrets", "", false},
	{"codespaces", "codespaces_secrets", "", false},
	{"agents", "agent_secrets", "agent_variables", true}, // what GitHub calls these rights is nowhere to be read
}

func ownStore(c *call, name string) Store {
	if c.repo == nil {
		return organisationStore(c, name)
	}
	if name == "actions" {
		return Store{c.repo.Secrets, c.repo.Variables}
	}
	return c.repo.Stores[name]
}

func organisationStore(c *call, name string) Store {
	if name == "actions" {
		return Store{c.owner.Secrets, c.owner.Variables}
	}
	return c.owner.Stores[name]
}

// level is how an organisation's secrets and variables are described: with their visibility, which those of a repository lack.
func (c *call) level(name string) string {
	if c.repo == nil {
		return c.here(name)
	}
	return ""
}

func secretsIn(name string, of func(*call, string) Store) func(*call) []any {
	return func(c *call) []any {
		all := of(c, name).Secrets
		if c.repo != nil && c.r.PathValue("env") == "" && strings.Contains(c.r.URL.Path, "/organization-") {
			all = slices.DeleteFunc(slices.Clone(all), func(s Secret) bool { return !c.visible(s.Visibility, s.Repositories) })
		}
		return secrets(c, c.level(name+"/secrets"), all)
	}
}

func variablesIn(name string, of func(*call, string) Store) func(*call) []any {
	return func(c *call) []any {
		all := of(c, name).Variables
		if c.repo != nil && strings.Contains(c.r.URL.Path, "/organization-") {
			all = slices.DeleteFunc(slices.Clone(all), func(v Variable) bool { return !c.visible(v.Visibility, v.Repositories) })
		}
		return variables(c, c.level(name+"/variables"), all)
	}
}

// visible tells whether something of the organisation is there for the repository.
func (c *call) visible(visibility string, repositories []string) bool {
	switch visibility {
	case "private":
		return c.repo.Private
	case "selected":
		return repositories == nil || slices.Contains(repositories, c.repo.FullName)
	}
	return true
}

func secrets(_ *call, level string, all []Secret) (out []any) {
	for _, s := range all {
		m := map[string]any{"name": s.Name, "created_at": when(s.Created, Created), "updated_at": when(s.Updated, Updated)}
		addVisibility(m, level, s.Name, s.Visibility)
		out = append(out, m)
	}
	return out
}

func variables(_ *call, level string, all []Variable) (out []any) {
	for _, v := range all {
		m := map[string]any{"name": v.Name, "value": v.Value, "created_at": when(v.Created, Created), "updated_at": when(v.Updated, Updated)}
		addVisibility(m, level, v.Name, v.Visibility)
		out = append(out, m)
	}
	return out
}

func addVisibility(m map[string]any, level, name, visibility string) {
	if level == "" {
		return
	}
	m["visibility"] = or(visibility, "all")
	if visibility == "selected" {
		m["selected_repositories_url"] = level + "/" + name + "/repositories"
	}
}

func secretRepositories(name string) func(*call) []any {
	return func(c *call) []any {
		for _, s := range organisationStore(c, name).Secrets {
			if s.Name == c.r.PathValue("name") && s.Visibility == "selected" {
				return c.repositories(s.Repositories)
			}
		}
		return c.none()
	}
}

func variableRepositories(name string) func(*call) []any {
	return func(c *call) []any {
		for _, v := range organisationStore(c, name).Variables {
			if v.Name == c.r.PathValue("name") && v.Visibility == "selected" {
				return c.repositories(v.Repositories)
			}
		}
		return c.none()
	}
}

func (c *call) repositories(names []string) (out []any) {
	for _, name := range names {
		if x := c.g.find(name); x != nil {
			out = append(out, c.g.describe(c.r, x))
		}
	}
	return out
}

// policy is that of the repository, or its organisation's.
func (c *call) policy() Policy {
	if c.repo != nil && c.repo.Policy != nil {
		return *c.repo.Policy
	}
	return c.owner.Policy
}

// policies are what can be asked of both organisations and repositories, below actions/permissions/.
var policies = []struct {
	path string
	one  func(Policy) any
}{
	{"selected-actions", func(p Policy) any {
		if p.Allowed != "selected" {
			return nil
		}
		return map[string]any{"github_owned_allowed": p.GitHubOwned, "verified_allowed": p.Verified, "patterns_allowed": append([]string{}, p.Patterns...)}
	}},
	{"workflow", func(p Policy) any {
		token := "read"
		if p.WriteToken {
			token = "write"
		}
		return map[string]any{"default_workflow_permissions": token, "can_approve_pull_request_reviews": p.ApprovePulls}
	}},
	{"artifact-and-log-retention", func(p Policy) any {
		days := p.Retention
		if days == 0 {
			days = 90 // GitHub's default
		}
		return map[string]any{"days": days, "maximum_allowed_days": 400}
	}},
	{"fork-pr-contributor-approval", func(p Policy) any {
		return map[string]any{"approval_policy": or(p.ForkApproval, "first_time_contributors")}
	}},
	{"fork-pr-workflows-private-repos", func(p Policy) any {
		return map[string]any{
			"run_workflows_from_fork_pull_requests": p.ForkWorkflows, "send_write_tokens_to_workflows": p.ForkWriteTokens,
			"send_secrets_and_variables": p.ForkSecrets, "require_approval_for_fork_pr_workflows": p.ForkApprovalNeeded,
		}
	}},
}

func organisationActions(c *call) any {
	p := c.policy()
	m := map[string]any{"enabled_repositories": or(p.Actions, "all"), "allowed_actions": or(p.Allowed, "all"), "sha_pinning_required": p.SHAPinning}
	if p.Allowed == "selected" {
		m["selected_actions_url"] = c.here("actions/permissions/selected-actions")
	}
	return m
}

func repositoryActions(c *call) any {
	p := c.policy()
	if p.Actions == "none" {
		return map[string]any{"enabled": false}
	}
	m := map[string]any{"enabled": true, "allowed_actions": or(p.Allowed, "all"), "sha_pinning_required": p.SHAPinning}
	if p.Allowed == "selected" {
		m["selected_actions_url"] = c.here("actions/permissions/selected-actions")
	}
	return m
}

func workflowAccess(c *call) any {
	if !c.repo.Private {
		return nil
	}
	return map[string]any{"access_level": or(c.policy().Access, "none")}
}

func runnerPolicy(c *call) any {
	return map[string]any{"enabled_repositories": or(c.owner.Policy.RepositoryRunners, "all")}
}

func organisationSubject(c *call) any {
	claims := c.owner.Policy.Subject
	if claims == nil {
		claims = []string{"repo", "context"}
	}
	return map[string]any{"include_claim_keys": claims, "use_immutable_subject": c.owner.Policy.Immutable}
}

func repositorySubject(c *call) any {
	m := map[string]any{"use_default": true, "use_immutable_subject": c.policy().Immutable}
	if p := c.repo.Policy; p != nil && p.Subject != nil {
		m["use_default"], m["include_claim_keys"] = false, p.Subject
	}
	return m
}

func subjectProperties(c *call) any {
	out := []any{}
	for _, name := range c.owner.Properties {
		out = append(out, map[string]any{"custom_property_name": name, "inclusion_source": "organization"})
	}
	return out
}

func runners(all []Runner) (out []any) { return runnersOf(all, 0) }

// runnersOf describes those of a group; 0 are all. A runner's id is its place in the list of all.
func runnersOf(all []Runner, group int64) (out []any) {
	for i, x := range all {
		if x.Group == 0 {
			x.Group = 1 // the group that GitHub makes for every organisation
		}
		if group != 0 && x.Group != group {
			continue
		}
		labels := []any{}
		for j, l := range x.Labels {
			labels = append(labels, map[string]any{"id": j + 1, "name": l, "type": "custom"})
		}
		status := "online"
		if x.Offline {
			status = "offline"
		}
		out = append(out, map[string]any{
			"id": i + 1, "name": x.Name, "os": x.OS, "status": status, "busy": false, "labels": labels, "ephemeral": x.Ephemeral,
			"runner_group_id": x.Group, "version": or(x.Version, "2.336.0"),
		})
	}
	return out
}

func organisationRunners(c *call) []any { return runners(c.owner.Runners) }

func runnerGroups(c *call) []any {
	return each(c, c.owner.Groups, func(c *call, x *RunnerGroup) map[string]any {
		address := c.here("actions/runner-groups", strconv.FormatInt(x.ID, 10))
		m := map[string]any{
			"id": x.ID, "name": x.Name, "visibility": or(x.Visibility, "all"), "default": x.Default, "runners_url": address + "/runners",
			"hosted_runners_url": address + "/hosted-runners", "inherited": x.Inherited, "allows_public_repositories": x.Public,
			"restricted_to_workflows": x.Workflows != nil, "selected_workflows": append([]string{}, x.Workflows...), "workflow_restrictions_read_only": false,
		}
		if x.Visibility == "selected" {
			m["selected_repositories_url"] = address + "/repositories"
		}
		return m
	})
}

// group is the one that the path names.
func (c *call) group() *RunnerGroup {
	for i := range c.owner.Groups {
		if c.owner.Groups[i].ID == c.number("group") {
			return &c.owner.Groups[i]
		}
	}
	return nil
}

func groupRepositories(c *call) []any {
	if x := c.group(); x != nil {
		return c.repositories(x.Repositories)
	}
	return c.none()
}

func groupRunners(c *call) []any {
	if x := c.group(); x != nil {
		return runnersOf(c.owner.Runners, x.ID)
	}
	return c.none()
}

func environments(c *call) []any {
	id := 1000 - 1
	return each(c, c.repo.Environments, func(c *call, e *Environment) map[string]any {
		id++
		var policy any
		if e.Branches != "" {
			policy = map[string]any{"protected_branches": e.Branches == "protected", "custom_branch_policies": e.Branches == "selected"}
		}
		return map[string]any{
			"id": id, "node_id": "EN_" + strconv.Itoa(id), "name": e.Name, "url": c.here("environments", e.Name), "html_url": c.url(c.repo.FullName),
			"created_at": Created, "updated_at": Updated, "can_admins_bypass": !e.NoBypass, "protection_rules": protectionRules(c, e), "deployment_branch_policy": policy,
		}
	})
}

func protectionRules(c *call, e *Environment) []any {
	rules := []any{}
	add := func(kind string, more map[string]any) {
		id := 7 + len(rules)
		rule := map[string]any{"id": id, "node_id": "GA_" + strconv.Itoa(id), "type": kind}
		for k, v := range more {
			rule[k] = v
		}
		rules = append(rules, rule)
	}
	if e.Wait > 0 {
		add("wait_timer", map[string]any{"wait_timer": e.Wait})
	}
	if e.Reviewers || len(e.ReviewedBy) > 0 {
		who := []any{}
		for _, r := range e.ReviewedBy {
			kind, name, _ := strings.Cut(r, ":")
			if kind == "Team" {
				who = append(who, map[string]any{"type": kind, "reviewer": describeTeam(c, &Team{Slug: name})})
			} else {
				who = append(who, map[string]any{"type": kind, "reviewer": account(c.r, name, "User")})
			}
		}
		add("required_reviewers", map[string]any{"prevent_self_review": e.PreventSelfReview, "reviewers": who})
	}
	if e.Branches != "" {
		add("branch_policy", nil)
	}
	return rules
}

func branchPolicies(c *call) (out []any) {
	for i, p := range c.env.Policies {
		kind := "branch"
		if p.Tag {
			kind = "tag"
		}
		out = append(out, map[string]any{"id": i + 1, "node_id": "GA_" + strconv.Itoa(i+1), "name": p.Pattern, "type": kind})
	}
	return out
}

func customRules(c *call) any {
	rules := []any{}
	for i, slug := range c.env.Custom {
		rules = append(rules, map[string]any{"id": i + 1, "node_id": "GE_" + strconv.Itoa(i+1), "enabled": true, "app": map[string]any{
			"id": i + 1, "slug": slug, "integration_url": c.url("apps", slug), "node_id": "A_" + slug,
		}})
	}
	return map[string]any{"total_count": len(rules), "custom_deployment_protection_rules": rules}
}

// summariseRuleset is how listings describe one: without what it demands, and of whom not.
func summariseRuleset(c *call, x *Ruleset) map[string]any {
	source, kind := c.owner.Login, "Organization"
	if c.repo != nil && slices.ContainsFunc(c.repo.Rulesets, func(own Ruleset) bool { return own.ID == x.ID }) {
		source, kind = c.repo.FullName, "Repository"
	}
	return map[string]any{
		"id": x.ID, "name": x.Name, "target": or(x.Target, "branch"), "source_type": kind, "source": source, "enforcement": or(x.Enforcement, "active"),
		"node_id": "RRS_" + strconv.FormatInt(x.ID, 10), "created_at": Created, "updated_at": Updated,
		"_links": map[string]any{"self": map[string]any{"href": c.here("rulesets", strconv.FormatInt(x.ID, 10))}},
	}
}

// rulesets are the repository's, and its organisation's where they are asked for; they are by default.
func (c *call) rulesets() []Ruleset {
	all := slices.Clone(c.repo.Rulesets)
	if c.r.URL.Query().Get("includes_parents") != "false" {
		all = append(all, c.owner.Rulesets...)
	}
	_, name, _ := strings.Cut(c.repo.FullName, "/")
	return slices.DeleteFunc(all, func(x Ruleset) bool { return slices.Contains(x.Except, name) })
}

func repositoryRulesets(c *call) []any { return each(c, c.rulesets(), summariseRuleset) }

func oneRuleset(c *call) any {
	for _, x := range c.rulesets() {
		if x.ID != c.number("id") {
			continue
		}
		m := summariseRuleset(c, &x)
		m["conditions"] = map[string]any{"ref_name": map[string]any{"include": append([]string{}, x.Include...), "exclude": append([]string{}, x.Exclude...)}}
		rules := []any{}
		for _, kind := range x.Rules {
			rules = append(rules, map[string]any{"type": kind})
		}
		if x.Reviews > 0 {
			rules = append(rules, map[string]any{"type": "pull_request", "parameters": map[string]any{
				"required_approving_review_count": x.Reviews, "dismiss_stale_reviews_on_push": true, "require_code_owner_review": false,
				"require_last_push_approval": false, "required_review_thread_resolution": false,
			}})
		}
		m["rules"] = rules
		if rights, scopes, _ := c.g.granted(bearer(c.r)); scopes == nil && has(rights, "administration=write") || covers(scopes, repoScope) {
			bypass := []any{}
			for _, b := range x.Bypass {
				bypass = append(bypass, map[string]any{"actor_id": b.ID, "actor_type": b.Type, "bypass_mode": b.Mode})
			}
			m["bypass_actors"] = bypass
		}
		return m
	}
	return nil
}

func branches(c *call) (out []any) {
	for _, name := range c.g.branches(c.repo) {
		_, protected := c.repo.Protected[name]
		if asked := c.r.URL.Query().Get("protected"); asked != "" && asked != strconv.FormatBool(protected) {
			continue
		}
		sha := c.g.read(c.repo.Dir, "rev-parse", "refs/heads/"+name)
		out = append(out, map[string]any{
			"name": name, "protected": protected, "commit": map[string]any{"sha": strings.TrimSpace(sha), "url": c.here("commits", strings.TrimSpace(sha))},
		})
	}
	return out
}

func branchProtection(c *call) any {
	name := c.r.PathValue("branch")
	p, ok := c.repo.Protected[name]
	if !ok {
		return refusal{http.StatusNotFound, "Branch not protected"}
	}
	address := c.here("branches", name, "protection")
	on := func(yes bool) map[string]any { return map[string]any{"enabled": yes} }
	m := map[string]any{
		"url": address, "enforce_admins": map[string]any{"url": address + "/enforce_admins", "enabled": p.Admins},
		"required_linear_history": on(false), "allow_force_pushes": on(p.ForcePushes), "allow_deletions": on(false), "block_creations": on(false),
		"required_conversation_resolution": on(false), "lock_branch": on(false), "allow_fork_syncing": on(false),
	}
	if p.Reviews > 0 {
		m["required_pull_request_reviews"] = map[string]any{
			"url": address + "/required_pull_request_reviews", "dismiss_stale_reviews": true, "require_code_owner_reviews": false, "required_approving_review_count": p.Reviews,
		}
	}
	if p.Push != nil {
		at := address + "/restrictions"
		m["restrictions"] = map[string]any{
			"url": at, "users_url": at + "/users", "teams_url": at + "/teams", "apps_url": at + "/apps", "users": users(c, p.Push), "teams": []any{}, "apps": []any{},
		}
	}
	return m
}

func describeKey(c *call, k *DeployKey) map[string]any {
	m := map[string]any{
		"id": k.ID, "key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + strings.Repeat("A", 43), "url": c.here("keys", strconv.FormatInt(k.ID, 10)), "title": k.Title,
		"verified": true, "created_at": when(k.Created, Created), "read_only": !k.Write, "added_by": or(k.AddedBy, "octocat"), "last_used": nil, "enabled": true,
	}
	if !k.LastUsed.IsZero() {
		m["last_used"] = k.LastUsed
	}
	return m
}

func describeHook(c *call, h *Hook) map[string]any {
	address := c.here("hooks", strconv.FormatInt(h.ID, 10))
	config := map[string]any{"url": h.URL, "content_type": "json", "insecure_ssl": "0"}
	if h.Secret {
		config["secret"] = "********"
	}
	if h.Insecure {
		config["insecure_ssl"] = "1"
	}
	m := map[string]any{
		"id": h.ID, "url": address, "ping_url": address + "/pings", "deliveries_url": address + "/deliveries", "name": "web", "active": !h.Inactive,
		"events": append([]string{}, h.Events...), "config": config, "created_at": Created, "updated_at": Updated, "type": "Organization",
	}
	if c.repo != nil {
		m["type"], m["test_url"] = "Repository", address+"/test"
		m["last_response"] = map[string]any{"code": nil, "status": "unused", "message": nil}
	}
	return m
}

func describeApp(c *call, a *App) map[string]any {
	m := describeInstallation(c.r, Installation{ID: a.ID, Owner: c.owner.Login})
	m["app_slug"], m["events"], m["app_id"] = a.Slug, append([]string{}, a.Events...), a.ID
	permissions := map[string]string{}
	for k, v := range a.Permissions {
		permissions[k] = v
	}
	m["permissions"] = permissions
	if a.Selected {
		m["repository_selection"] = "selected"
	}
	if !a.Suspended.IsZero() {
		m["suspended_at"], m["suspended_by"] = a.Suspended, account(c.r, "octocat", "User")
	}
	return m
}

func describeGrant(c *call, x *Grant) map[string]any {
	selection := "all"
	if x.Selected {
		selection = "subset"
	}
	permissions := map[string]any{}
	for kind, all := range map[string]map[string]string{"organization": x.Organisation, "repository": x.Repository} {
		if all != nil {
			permissions[kind] = all
		}
	}
	id := strconv.FormatInt(x.ID, 10)
	m := map[string]any{
		"id": x.ID, "owner": account(c.r, x.Owner, "User"), "repository_selection": selection, "repositories_url": c.here("personal-access-tokens", id, "repositories"),
		"permissions": permissions, "access_granted_at": when(x.Granted, Created), "token_id": x.ID + 1000, "token_name": x.Name,
		"token_expired": false, "token_expires_at": nil, "token_last_used_at": nil,
	}
	if !x.Expires.IsZero() {
		m["token_expires_at"] = x.Expires
	}
	if !x.LastUsed.IsZero() {
		m["token_last_used_at"] = x.LastUsed
	}
	return m
}

func describeTeam(c *call, t *Team) map[string]any {
	address := c.url("orgs", c.owner.Login, "teams", t.Slug)
	return map[string]any{
		"id": 1, "node_id": "T_" + t.Slug, "name": t.Slug, "slug": t.Slug, "description": "", "permission": "pull", "privacy": "closed", "url": address, "html_url": address,
		"members_url": address + "/members{/member}", "repositories_url": address + "/repos", "type": "organization", "parent": nil,
		"notification_setting": "notifications_enabled", "organization_id": 1,
	}
}

func repositoryTeams(c *call) (out []any) {
	for i := range c.owner.Teams {
		if right, ok := c.owner.Teams[i].Repositories[c.repo.FullName]; ok {
			m := describeTeam(c, &c.owner.Teams[i])
			m["permission"] = right
			out = append(out, m)
		}
	}
	return out
}

func teamMembers(c *call) []any {
	for _, t := range c.owner.Teams {
		if t.Slug == c.r.PathValue("team") {
			return users(c, t.Members)
		}
	}
	return c.none()
}

func users(c *call, logins []string) []any {
	out := []any{}
	for _, login := range logins {
		out = append(out, account(c.r, login, "User"))
	}
	return out
}

// people are the roles of those who have one in a repository, and the teams that they come by.
func (g *GitHub) people(x *GitHubRepo) (roles map[string]string, teams map[string][]string) {
	roles, teams = map[string]string{}, map[string][]string{}
	raise := func(login, role string) {
		if weight := []string{"read", "triage", "write", "maintain", "admin"}; slices.Index(weight, role) > slices.Index(weight, roles[login]) {
			roles[login] = role
		}
	}
	for _, c := range x.Collaborators {
		raise(c.Login, c.Role)
	}
	for _, t := range g.owner(x.FullName).Teams {
		if right, ok := t.Repositories[x.FullName]; ok {
			for _, login := range t.Members {
				raise(login, or(map[string]string{"pull": "read", "push": "write"}[right], right))
				teams[login] = append(teams[login], t.Slug)
			}
		}
	}
	return roles, teams
}

func collaborators(c *call) (out []any) {
	roles, _ := c.g.people(c.repo)
	for _, login := range slices.Sorted(maps.Keys(roles)) {
		role := roles[login]
		admin, push := role == "admin", role == "admin" || role == "maintain" || role == "write"
		m := account(c.r, login, "User")
		m["role_name"] = role
		m["permissions"] = map[string]bool{"pull": true, "triage": push || role == "triage", "push": push, "maintain": admin || role == "maintain", "admin": admin}
		out = append(out, m)
	}
	return out
}

// or is a value, or another one where it is not set.
func or[T comparable](v, otherwise T) T {
	var unset T
	if v == unset {
		return otherwise
	}
	return v
}

func when(t, otherwise time.Time) time.Time {
	if t.IsZero() {
		return otherwise
	}
	return t
}
