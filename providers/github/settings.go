package github

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
)

// A question is one that the API answers about what is allowed in a place.
type question struct {
	name  string // of the answer in the item's content
	what  string // as a gap names it
	path  string // below the place's
	needs string
	facts map[string]string // the answer's fields that are facts, and what they are called there
	only  bool              // the answer holds what is nobody's business: no other field is kept
}

// The questions that are asked of organisations and of repositories alike. Those that decide whether others are asked have names of their own.
var (
	permissions = question{
		name: "permissions", what: "Actions permissions", path: "/actions/permissions",
		facts: map[string]string{"enabled_repositories": "actions", "enabled": "actions", "allowed_actions": "allowed_actions", "sha_pinning_required": "sha_pinning_required"},
	}
	selectedActions = question{
		name: "selected_actions", what: "allowed actions", path: "/actions/permissions/selected-actions",
		facts: map[string]string{"patterns_allowed": "allowed_patterns", "github_owned_allowed": "allowed_github_owned", "verified_allowed": "allowed_verified"},
	}
	workflowToken = question{
		name: "workflow", what: "permissions of the workflow's token", path: "/actions/permissions/workflow",
		facts: map[string]string{"default_workflow_permissions": "token_permissions", "can_approve_pull_request_reviews": "approve_pull_requests"},
	}
	retention = question{
		name: "retention", what: "retention of logs and artifacts", path: "/actions/permissions/artifact-and-log-retention",
		facts: map[string]string{"days": "retention_days"},
	}
	forkApproval = question{
		name: "fork_pr_approval", what: "approval of workflows of outsiders", path: "/actions/permissions/fork-pr-contributor-approval",
		facts: map[string]string{"approval_policy": "fork_pr_approval"},
	}
	privateForks = question{
		name: "fork_pr_workflows", what: "workflows of forks of private repositories", path: "/actions/permissions/fork-pr-workflows-private-repos",
		facts: map[string]string{ //nolint:gosec // names of fields
			"run_workflows_from_fork_pull_requests": "fork_pr_workflows", "send_write_tokens_to_workflows": "fork_pr_write_tokens",
			"send_secrets_and_variables": "fork_pr_secrets", "require_approval_for_fork_pr_workflows": "fork_pr_require_approval",
		},
	}
	subject = question{
		name: "oidc_subject", what: "subjects of OIDC tokens", path: "/actions/oidc/customization/sub",
		facts: map[string]string{"include_claim_keys": "oidc_subject", "use_immutable_subject": "oidc_immutable_subject"},
	}
)

// Questions that only one of both is asked.
var (
	organisation = question{
		name: "organisation", what: "what members may do",
		facts: map[string]string{"members_can_create_repositories": "members_may_create", "default_repository_permission": "members_may"}, only: true,
	}
	repositoryRunners = question{
		name: "self_hosted_runners", what: "policy for runners of repositories", path: "/actions/permissions/self-hosted-runners",
		facts: map[string]string{"enabled_repositories": "repository_runners"},
	}
	subjectProperties = question{name: "oidc_properties", what: "properties in OIDC tokens", path: "/actions/oidc/customization/properties/repo"}
	access            = question{
		name: "access", what: "who may call its workflows", path: "/actions/permissions/access", facts: map[string]string{"access_level": "access"},
	}
)

// ofOrganisations are the questions about an organisation.
func ofOrganisations() []question {
	all := []question{organisation, permissions, workflowToken, retention, forkApproval, privateForks, repositoryRunners, subject, subjectProperties}
	for i := range all {
		all[i].needs = "organization_administration=read"
	}
	return all
}

// answers are what the questions about a place brought.
type answers struct {
	content map[string]json.RawMessage
	facts   map[string]string
}

// errNoAnswer says that an answer is a success without what was asked for.
var errNoAnswer = errors.New("answered something else than settings")

// ask puts a question. An answer that holds no facts may have any shape.
func (h *place) ask(ctx context.Context, q question, a *answers) error {
	var said json.RawMessage
	if _, err := h.get(ctx, h.path()+q.path, nil, &said); err != nil {
		return err
	}
	var fields map[string]any
	d := json.NewDecoder(bytes.NewReader(said))
	d.UseNumber()
	if err := d.Decode(&fields); len(q.facts) > 0 && (err != nil || fields == nil) {
		return errNoAnswer
	}
	maps.DeleteFunc(fields, func(name string, _ any) bool { return q.facts[name] == "" })
	for name, value := range fields {
		a.facts[q.facts[name]] = asFact(value)
	}
	if q.only {
		said, _ = json.Marshal(fields)
	}
	a.content[q.name] = said
	return nil
}

// asFact is a value of JSON as facts have it; "" for what they do not.
func asFact(v any) string {
	switch v := v.(type) {
	case string:
		return list([]string{v})
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return v.String()
	case []any:
		var all []string
		for _, x := range v {
			if name, ok := x.(string); ok {
				all = append(all, name)
			}
		}
		return list(all)
	}
	return ""
}

// allowed yields what is allowed in the place, as one item, after the gaps of what it does not say. notAsked are the questions that are not put, by name.
func (h *place) allowed(ctx context.Context, all []question, a *answers, notAsked []string) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		if h.repo == "" || h.target.Attrs["alone"] != "" { // else what it lies in says it
			if err := h.version(ctx, a); err != nil && (!yield(audit.Item{}, h.gap("version of the server", "", err)) || ctx.Err() != nil) {
				return
			}
		}
		for i := 0; i < len(all); i++ {
			q := all[i]
			if err := h.ask(ctx, q, a); err != nil {
				if !yield(audit.Item{}, h.gap(h.scope()+" settings: "+q.what, q.needs, err)) || ctx.Err() != nil {
					return
				}
			} else if q.name == permissions.name && a.facts["allowed_actions"] == "selected" {
				chosen := selectedActions // GitHub has no answer to it otherwise
				chosen.needs = q.needs
				all = append(all, chosen)
			}
		}
		a.facts["not_asked"] = list(notAsked)
		yield(h.setting(audit.KindSettings, strings.TrimPrefix(h.target.Name, "github:"), h.scope(), "settings/actions", time.Time{}, a.content, a.facts), nil)
	}
}

// version learns that of a server of one's own ("Get GitHub Enterprise Server meta information"); GitHub itself has none.
func (h *place) version(ctx context.Context, a *answers) error {
	if edition(h.BaseURL.Hostname(), "") != "GitHub Enterprise Server" {
		return nil
	}
	var about struct {
		Version string `json:"installed_version"`
	}
	_, err := h.get(ctx, "meta", nil, &about)
	if versionForm().MatchString(about.Version) {
		a.facts["forge_version"] = about.Version
	}
	return err
}

// versionForm is how GitHub Enterprise Server numbers its versions: 3.19.1.
var versionForm = lazyregexp.New(`^[0-9]{1,4}\.[0-9A-Za-z.+-]{1,40}$`)

// newAnswers are those that some facts are known of beforehand.
func newAnswers(facts map[string]string) *answers {
	a := &answers{content: map[string]json.RawMessage{}, facts: map[string]string{}}
	maps.Copy(a.facts, facts)
	return a
}

// allowedHere yields what is allowed in a repository. others are all that is asked of it besides.
func (h *place) allowedHere(ctx context.Context, v *view, others []listing) iter.Seq2[audit.Item, error] {
	all, left, decided := v.questions()
	a := newAnswers(listedFacts(h.target))
	maps.Copy(a.facts, decided)
	if v.overview != nil {
		a.facts["workflows"] = strconv.Itoa(len(v.files))
	}
	maps.Copy(a.facts, v.people.facts())
	var notAsked []string
	for _, l := range others {
		if l.isWanted() == leftOut {
			notAsked = append(notAsked, l.what)
		}
	}
	for _, q := range left {
		notAsked = append(notAsked, q.what)
	}
	return h.allowed(ctx, all, a, notAsked)
}
