package job

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/leakreach/leakreach/audit"
)

// A token is one that the job has from its forge, or that says of itself who it is. Its value goes to its issuer alone.
type token struct {
	variable, value string
	claims          *claims // nil if it has none that a cloud would go by
}

// Variables by which forges hand tokens to their jobs.
const (
	varOIDC      = "ACTIONS_ID_TOKEN_REQUEST_URL"
	varOIDCToken = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
	varJobToken  = "CI_JOB_TOKEN" //nolint:gosec // a name
)

// findTokens lists the tokens that the forge gave to the job, and those in the environment that clouds take.
func (j *job) findTokens() (all []token) {
	var names []string
	switch j.system {
	case systemGitHub:
		names = []string{"ACTIONS_RUNTIME_TOKEN", varOIDCToken, "ACTIONS_CACHE_SERVICE_TOKEN"}
		for _, n := range []string{"GITHUB_TOKEN", "GH_TOKEN"} {
			if strings.HasPrefix(j.vars[n], "ghs_") { // of an app's installation, which lasts an hour; others are people's
				names = append(names, n)
			}
		}
	case systemGitea:
		names = []string{"GITEA_TOKEN", "GITHUB_TOKEN", "ACTIONS_RUNTIME_TOKEN", varOIDCToken}
	case systemGitLab:
		names = []string{varJobToken}
	}
	for _, key := range slices.Sorted(maps.Keys(j.vars)) {
		c, ok := readClaims(j.vars[key])
		ok = ok && c.text("iss") != "" && c.text("aud") != "" && c.endsSoon(j.env.Now()) && key != "ACTIONS_RUNTIME_TOKEN"
		switch {
		case ok:
			all = append(all, token{key, j.vars[key], &c})
		case slices.Contains(names, key) && j.vars[key] != "":
			all = append(all, token{key, j.vars[key], nil})
		}
	}
	return all
}

// minToken is less than a forge's token has, and more than a word that is set in its place.
const minToken = 16

// isToken tells whether a value is one of the tokens that the forge gave to the job, or an address with no other credential in it. What merely has
// the token in it, such as all secrets at once, has others, too.
func (j *job) isToken(value string) bool {
	address, err := url.Parse(value)
	return slices.ContainsFunc(j.tokens, func(t token) bool {
		return len(t.value) >= minToken && (value == t.value || err == nil && opensWith(address, t.value))
	})
}

// opensWith tells whether a token is all that is secret in an address.
func opensWith(address *url.URL, token string) bool {
	if address.User == nil || address.RawQuery != "" || address.Fragment != "" || strings.Contains(address.Path, token) {
		return false
	}
	password, _ := address.User.Password()
	return password == token || address.User.Username() == token && len(password) < minToken
}

// held yields the tokens about which nobody is asked.
func (j *job) held(_ context.Context) (f found) {
	main := j.mainToken()
	for _, t := range j.tokens {
		switch {
		case t.claims != nil:
			of := t.claims.facts()
			of["type"] = "oidc"
			f.entry(audit.KindToken, t.variable, audit.InVariable, of)
		case t.variable != main:
			f.entry(audit.KindToken, t.variable, audit.InVariable, facts{"type": "job"})
		}
	}
	if id := j.vars[varKeyID]; id != "" {
		of := facts{"type": "aws-key", "id": id}
		if j.awsSession() {
			of["type"], of["expires_at"] = "aws-session", cmp.Or(j.vars["AWS_CREDENTIAL_EXPIRATION"], j.vars["AWS_SESSION_EXPIRATION"])
		}
		f.entry(audit.KindToken, varKeyID, audit.InVariable, of)
	}
	const mounted = "/var/run/secrets/kubernetes.io/serviceaccount/token"
	if c, ok := readClaims(string(j.small(mounted))); ok {
		of := c.facts()
		of["type"] = "kubernetes"
		f.entry(audit.KindToken, mounted, audit.InFile, of)
	}
	return f
}

// questions are what is asked over the network.
func (j *job) questions() []question {
	all := []question{{ask: j.held}}
	server := strings.TrimRight(j.vars["GITHUB_SERVER_URL"], "/")
	api := strings.TrimRight(j.vars["GITHUB_API_URL"], "/")
	switch j.system {
	case systemGitHub:
		all = append(all, question{func(ctx context.Context) found { return j.github(ctx, api, server) }, hostOf(api), 2 + len(readable),
			"rights of the job's token: the repository, and of a private one a page of each kind of thing"})
	case systemGitea:
		all = append(all, question{func(ctx context.Context) found { return j.gitea(ctx, api) }, hostOf(api), 1, "rights of the job's token: the repository"})
	case systemGitLab:
		api := strings.TrimRight(j.vars["CI_API_V4_URL"], "/")
		all = append(all, question{func(ctx context.Context) found { return j.gitlab(ctx, api) }, hostOf(api), 1, "rights of the job's token: the job"})
	}
	if address := j.vars[varOIDC]; address != "" {
		all = append(all, question{func(ctx context.Context) found { return j.mint(ctx, address) }, hostOf(address), 1, "an OIDC token for an audience that nobody trusts, for its claims"})
	}
	return append(all, j.metadata()...)
}

// mainToken is the variable with the token by which the job speaks to its forge; "" if it has none.
func (j *job) mainToken() string {
	names := map[string][]string{
		systemGitHub: {"GITHUB_TOKEN", "GH_TOKEN"}, systemGitea: {"GITEA_TOKEN", "GITHUB_TOKEN"}, systemGitLab: {varJobToken},
	}[j.system]
	for _, n := range names {
		if j.vars[n] != "" {
			return n
		}
	}
	return ""
}

const rightsOfToken = "rights of the job's token"

// readable are what an installation's token may read of a private repository only if it was given that right. Of a public one everybody may.
var readable = []struct{ right, path string }{
	{"actions", "/actions/runs?per_page=1"}, {"contents", "/branches?per_page=1"}, {"deployments", "/deployments?per_page=1"},
	{"issues", "/issues?per_page=1"}, {"pull-requests", "/pulls?per_page=1"},
}

// github learns what the job's token may do, by reads: the runner has written down which rights it was given; else the repository tells, and what git's
// server says to somebody who would push.
func (j *job) github(ctx context.Context, api, server string) (f found) {
	of := facts{"type": "job", "repository": j.vars["GITHUB_REPOSITORY"], "permissions": audit.NameList(j.worker().permissions)}
	variable := j.mainToken()
	defer func() { f.entry(audit.KindToken, cmp.Or(variable, "GITHUB_TOKEN"), audit.InVariable, of) }()
	if variable == "" {
		if of["permissions"] == "" {
			f.gap(rightsOfToken, "it is not in the environment; set GITHUB_TOKEN to ${{ github.token }}")
		}
		return f
	}
	value, _, _ := strings.Cut(j.vars[variable], ",")
	of["type"] = kindOfToken(value)
	if !private(api) || !private(server) {
		f.gap(rightsOfToken, "GITHUB_API_URL or GITHUB_SERVER_URL is no https address; the token was not sent there")
		return f
	}
	header := map[string]string{"Authorization": "Bearer " + value, "Accept": "application/vnd.github+json"}
	repository := api + "/repos/" + escaped(j.vars["GITHUB_REPOSITORY"])
	var wait sync.WaitGroup
	var push answer
	var pushErr error
	wait.Go(func() {
		login := base64.StdEncoding.EncodeToString([]byte("x-access-token:" + value))
		push.status, pushErr = j.status(ctx, server+"/"+escaped(j.vars["GITHUB_REPOSITORY"])+".git/info/refs?service=git-receive-pack", "Basic "+login)
	})
	a, err := j.ask(ctx, j.forge(), systemGitHub, http.MethodGet, repository, header)
	var about struct {
		Private    *bool
		Visibility string
	}
	if err == nil && a.ok() {
		_ = json.Unmarshal(a.body, &about)
	}
	if about.Private != nil && *about.Private && of["permissions"] == "" {
		of["reads"] = audit.NameList(j.reads(ctx, repository, header))
	}
	wait.Wait()
	if err != nil || !a.ok() {
		f.gap(rightsOfToken, refusal(a, err))
	}
	of["active"] = map[int]string{http.StatusOK: "true", http.StatusUnauthorized: "false"}[a.status]
	of["visibility"], of["scopes"] = about.Visibility, audit.NameList(strings.Split(strings.ReplaceAll(a.header.Get("X-Oauth-Scopes"), " ", ""), ","))
	if at, err := time.Parse("2006-01-02 15:04:05 MST", a.header.Get("Github-Authentication-Token-Expiration")); err == nil {
		of["expires_at"] = at.UTC().Format(time.RFC3339)
	}
	if pushErr == nil {
		of["push"] = map[int]string{http.StatusOK: "true", http.StatusUnauthorized: "false", http.StatusForbidden: "false"}[push.status]
	}
	return f
}

// reads tries a page of each kind of thing.
func (j *job) reads(ctx context.Context, repository string, header map[string]string) (rights []string) {
	may := make([]bool, len(readable))
	var wait sync.WaitGroup
	for i, r := range readable {
		wait.Go(func() {
			a, err := j.ask(ctx, j.forge(), systemGitHub, http.MethodGet, repository+r.path, header)
			may[i] = err == nil && a.ok()
		})
	}
	wait.Wait()
	for i, r := range readable {
		if may[i] {
			rights = append(rights, r.right)
		}
	}
	return rights
}

// status asks for what is long and not needed: a server that would take a push lists all refs first.
func (j *job) status(ctx context.Context, address, authorization string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("User-Agent", j.env.UserAgent)
	req.Header.Set("Authorization", authorization)
	j.env.Calls.Add(systemGitHub, 1)
	resp, err := j.forge().Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	return resp.StatusCode, nil
}

// kindOfToken tells GitHub's tokens apart by what they begin with.
func kindOfToken(value string) string {
	for prefix, kind := range map[string]string{"ghs_": "job", "ghp_": "personal", "github_pat_": "fine-grained", "gho_": "oauth", "ghu_": "app-user"} {
		if strings.HasPrefix(value, prefix) {
			return kind
		}
	}
	return ""
}

// escaped is a path whose parts come from a variable.
func escaped(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}

func (j *job) gitea(ctx context.Context, api string) (f found) {
	variable := j.mainToken()
	of := facts{"type": "job", "repository": j.vars["GITHUB_REPOSITORY"]}
	switch {
	case variable == "":
		f.gap(rightsOfToken, "it is not in the environment")
		return f
	case !private(api):
		f.gap(rightsOfToken, "GITHUB_API_URL is no https address; the token was not sent there")
	default:
		a, err := j.ask(ctx, j.forge(), systemGitea, http.MethodGet, api+"/repos/"+escaped(j.vars["GITHUB_REPOSITORY"]),
			map[string]string{"Authorization": "token " + j.vars[variable]})
		var about struct {
			Private     *bool
			Permissions *struct{ Admin, Push, Pull bool }
		}
		if err != nil || !a.ok() || json.Unmarshal(a.body, &about) != nil {
			f.gap(rightsOfToken, refusal(a, err))
			break
		}
		if p := about.Permissions; p != nil {
			of["push"], of["admin"] = yesNo(p.Push), yesNo(p.Admin)
		}
	}
	f.entry(audit.KindToken, variable, audit.InVariable, of)
	return f
}

// gitlab asks for whom the job's token acts: it may what that person may, in the projects that let it in.
func (j *job) gitlab(ctx context.Context, api string) (f found) {
	variable := j.mainToken()
	of := facts{"type": "job", "repository": j.vars["CI_PROJECT_PATH"]}
	switch {
	case variable == "":
		f.gap(rightsOfToken, "CI_JOB_TOKEN is not in the environment")
		return f
	case !private(api):
		f.gap(rightsOfToken, "CI_API_V4_URL is no https address; the token was not sent there")
	default:
		a, err := j.ask(ctx, j.forge(), systemGitLab, http.MethodGet, api+"/job", map[string]string{"JOB-TOKEN": j.vars[variable]})
		var about struct {
			User    struct{ Username string }
			Ref     string
			Project struct {
				Limited *bool `json:"ci_job_token_scope_enabled"`
			}
			Runner struct {
				Type   string `json:"runner_type"`
				Shared *bool  `json:"is_shared"`
			}
		}
		if err != nil || !a.ok() || json.Unmarshal(a.body, &about) != nil {
			f.gap(rightsOfToken, refusal(a, err))
			break
		}
		of["active"], of["owner"], of["ref"] = "true", about.User.Username, about.Ref
		if l := about.Project.Limited; l != nil {
			of["outbound_limited"] = yesNo(*l)
		}
		of["runner_type"] = about.Runner.Type
	}
	f.entry(audit.KindToken, variable, audit.InVariable, of)
	return f
}

// audience is what the token is asked for that is looked at: no cloud trusts it, so that nobody could use the token, not even leakreach.
const audience = "leakreach-shows-claims-only"

// mint has the forge make an OIDC token, shows what it says, and drops it. With the same request any code in the job gets one for any audience.
func (j *job) mint(ctx context.Context, address string) (f found) {
	const what = "claims of the job's OIDC token"
	u, err := url.Parse(address)
	if err != nil || !private(address) {
		f.gap(what, varOIDC+" is no https address; nothing was sent there")
		return f
	}
	query := u.Query()
	query.Set("audience", audience)
	u.RawQuery = query.Encode()
	a, err := j.ask(ctx, j.forge(), systemGitHub, http.MethodGet, u.String(), map[string]string{"Authorization": "Bearer " + j.vars[varOIDCToken]})
	var made struct{ Value string }
	if err != nil || !a.ok() || json.Unmarshal(a.body, &made) != nil {
		f.gap(what, refusal(a, err))
		return f
	}
	c, ok := readClaims(made.Value)
	if !ok {
		f.gap(what, "the answer is no token")
		return f
	}
	of := c.facts()
	of["type"], of["audience"] = "oidc", "any"
	delete(of, "expires_at") // of one that is gone
	f.entry(audit.KindToken, varOIDC, audit.InVariable, of)
	return f
}
