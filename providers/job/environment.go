package job

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

// variables yields the environment. Inventory entries have names alone.
func (j *job) variables() (f found) {
	for _, key := range slices.Sorted(maps.Keys(j.vars)) {
		value := j.vars[key]
		var held facts
		known := j.known(key, value)
		if known != nil {
			held = facts{"lifetime": known.Reason}
		}
		f.items = append(f.items, audit.Item{
			Kind: audit.KindVariable, At: audit.Location{Kind: audit.InVariable, Name: plain(key)}, Size: int64(len(value)), Content: []byte(value),
			Known: known, Entry: newEntry(audit.KindVariable, key, held),
		})
	}
	return f
}

// Why a credential that a job holds is no finding.
const (
	endsWithJob = "ends with the job"
	endsSoon    = "ends by itself within a day"
	givenToUs   = "given to leakreach"
)

// known says why a credential in a variable is none that should not be there. What ends with the job or soon after is how a job should get its
// rights; what leakreach was given it was given on purpose. All else outlives the job in the hands of whoever ran code in it.
func (j *job) known(key, value string) *audit.Suppression {
	why := ""
	switch {
	case value == "":
	case j.isToken(value):
		why = endsWithJob
	case j.awsSession() && slices.Contains([]string{varKeyID, varSecret, "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"}, key):
		why = endsSoon
	case ownToken(key) || strings.HasPrefix(key, "LEAKREACH_"):
		why = givenToUs
	default:
		if c, ok := readClaims(value); ok && c.endsSoon(j.env.Now()) {
			why = endsSoon
		}
	}
	if why == "" {
		return nil
	}
	return &audit.Suppression{By: "provider", Reason: why}
}

// ownToken tells whether leakreach takes a credential of its own from a variable.
func ownToken(key string) bool {
	return slices.Contains([]string{"GH_TOKEN", "GITHUB_TOKEN", "GITLAB_TOKEN", "GITEA_TOKEN"}, key)
}

const (
	varKeyID  = "AWS_ACCESS_KEY_ID"
	varSecret = "AWS_SECRET_ACCESS_KEY" //nolint:gosec // a name
)

// awsSession tells whether the AWS key in the environment is one of a session, which lasts hours.
func (j *job) awsSession() bool {
	return strings.HasPrefix(j.vars[varKeyID], "ASIA") && j.vars["AWS_SESSION_TOKEN"] != ""
}

// staticKeys are the variables by which the job holds a cloud's credential that does not end.
func (j *job) staticKeys() (names []string) {
	if strings.HasPrefix(j.vars[varKeyID], "AKIA") && j.vars[varSecret] != "" {
		names = append(names, varKeyID)
	}
	if j.vars["AZURE_CLIENT_SECRET"] != "" {
		names = append(names, "AZURE_CLIENT_SECRET")
	}
	if at := j.path("GOOGLE_APPLICATION_CREDENTIALS"); at != "" && serviceAccount(j.small(at)) {
		names = append(names, "GOOGLE_APPLICATION_CREDENTIALS")
	}
	for _, name := range []string{"GOOGLE_CREDENTIALS", "GCLOUD_SERVICE_KEY", "GCP_SERVICE_ACCOUNT_KEY"} {
		if serviceAccount([]byte(j.vars[name])) {
			names = append(names, name)
		}
	}
	return names
}

// serviceAccount tells whether a text is the key of a Google service account.
func serviceAccount(text []byte) bool {
	var key struct{ Type string }
	return json.Unmarshal(text, &key) == nil && key.Type == "service_account"
}

// settings describes the job itself.
func (j *job) settings(_ context.Context) (f found) {
	first := func(names ...string) string {
		for _, n := range names {
			if v := j.vars[n]; v != "" {
				return v
			}
		}
		return ""
	}
	if j.system == "" {
		return f
	}
	f.entry(audit.KindSettings, cmp.Or(first("GITHUB_JOB", "CI_JOB_NAME"), "job"), audit.InSetting, facts{
		"system": j.system, "server": first("GITHUB_SERVER_URL", "CI_SERVER_URL"), "repository": first("GITHUB_REPOSITORY", "CI_PROJECT_PATH"),
		"workflow": first("GITHUB_WORKFLOW_REF", "CI_CONFIG_PATH"), "event": first("GITHUB_EVENT_NAME", "CI_PIPELINE_SOURCE"),
		"ref": first("GITHUB_REF", "CI_COMMIT_REF_NAME"), "ref_protected": first("GITHUB_REF_PROTECTED", "CI_COMMIT_REF_PROTECTED"),
		"commit": first("GITHUB_SHA", "CI_COMMIT_SHA"), "environment": j.vars["CI_ENVIRONMENT_NAME"], "visibility": j.vars["CI_PROJECT_VISIBILITY"],
		"oidc": j.oidc(), "static_keys": audit.NameList(j.staticKeys()), "debug": j.debug(),
	})
	return f
}

// oidc tells whether the job can have, or has, a token by which a cloud knows it. Where neither is so, a definition could still ask for one.
func (j *job) oidc() string {
	if j.vars[varOIDC] != "" {
		return "true"
	}
	for _, t := range j.tokens {
		if t.claims != nil {
			return "true"
		}
	}
	return "false"
}

// debug tells whether what is printed for debugging may show secrets.
func (j *job) debug() string {
	on := j.vars["RUNNER_DEBUG"] == "1"
	for _, n := range []string{"ACTIONS_STEP_DEBUG", "ACTIONS_RUNNER_DEBUG", "CI_DEBUG_TRACE", "CI_DEBUG_SERVICES"} {
		on = on || j.yes(n)
	}
	return yesNo(on)
}
