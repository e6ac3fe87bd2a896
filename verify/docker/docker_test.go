package docker_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/verify/docker"
	"github.com/leakreach/leakreach/verify/internal/asktest"
)

// registries answer as Docker Hub, its API, and a registry of the user's own do, each host by the specification that package docker names.
type registries struct {
	t              *testing.T
	user, password string
	tokens         map[string]string       // for scopes, by those; "" is for none
	grants         map[string][]string     // actions, by repository
	opaque         bool                    // tokens say nothing
	challenge      string                  // of reg.example.com; "" is none
	refusal        int                     // of whoever gives tokens; 0 is by the password
	repositories   map[string][]string     // by host
	broken         map[string]asktest.Page // by host and path
}

func (r *registries) serve(w http.ResponseWriter, q *http.Request) string {
	what := q.Method + " " + q.Host + q.URL.Path
	body := ""
	if page, ok := r.broken[q.Host+q.URL.Path]; ok {
		page.Write(w)
		return what
	}
	switch what {
	case "GET auth.docker.io/token", "GET ghcr.io/token", "GET reg.example.com/auth":
		r.token(w, q)
		return what
	case "POST hub.docker.com/v2/auth/token":
		var login map[string]string
		if err := json.NewDecoder(q.Body).Decode(&login); err != nil || login["identifier"] != r.user || login["secret"] != r.password || len(login) != 2 {
			r.t.Errorf("%s with %d fields: %v", what, len(login), err)
		}
		body = fmt.Sprintf(`{"access_token": %q}`, r.issue("hub"))
	case "GET hub.docker.com/v2/namespaces/" + r.user + "/repositories":
		r.knows(q, "hub")
		var list []map[string]any
		for i, name := range r.repositories[q.Host] {
			list = append(list, map[string]any{"name": name, "namespace": r.user, "is_private": i > 0, "repository_type": "image"})
		}
		b, _ := json.Marshal(map[string]any{"count": len(list), "next": nil, "previous": nil, "results": list})
		body = string(b)
	case "GET reg.example.com/v2/":
		if basic := r.basic(q); strings.HasPrefix(r.challenge, "Basic") && basic && r.refusal == 0 || r.challenge == "" {
			body = "{}"
		} else if basic && q.Header.Get("Authorization") != "" && !strings.HasPrefix(r.challenge, "Basic") {
			r.t.Error("the login was sent to who did not ask for it")
		} else {
			w.Header().Set("WWW-Authenticate", r.challenge)
			w.WriteHeader(http.StatusUnauthorized)
		}
	case "GET reg.example.com/v2/_catalog":
		if !r.basic(q) {
			r.knows(q, "registry:catalog:*")
		}
		b, _ := json.Marshal(map[string]any{"repositories": r.repositories[q.Host]})
		body = string(b)
	default:
		r.t.Errorf("asked %s", what)
	}
	_, _ = w.Write([]byte(body))
	return what
}

func (r *registries) basic(q *http.Request) bool {
	user, password, ok := q.BasicAuth()
	return ok && user == r.user && password == r.password
}

func (r *registries) issue(scope string) string {
	r.tokens[scope] = rand.Text()
	return r.tokens[scope]
}

func (r *registries) knows(q *http.Request, scope string) {
	if got := q.Header.Get("Authorization"); got != "Bearer "+r.tokens[scope] {
		r.t.Errorf("%s by %q", q.URL.Path, got)
	}
}

func (r *registries) token(w http.ResponseWriter, q *http.Request) {
	if q.URL.Query().Get("service") == "" || q.URL.Query().Get("account") != r.user {
		r.t.Errorf("asked for a token by %s", q.URL)
	}
	if r.refusal == 0 && !r.basic(q) {
		r.refusal = http.StatusUnauthorized
	}
	if r.refusal != 0 {
		asktest.Page{Status: r.refusal, Body: `{"errors": [{"code": "DENIED", "message": "denied"}]}`}.Write(w)
		return
	}
	type access struct {
		Type    string   `json:"type"`
		Name    string   `json:"name"`
		Actions []string `json:"actions"`
	}
	scopes := q.URL.Query()["scope"]
	claims := map[string]any{"iss": "auth.example.com", "sub": r.user, "aud": q.URL.Query().Get("service")}
	var granted []access
	for _, scope := range scopes {
		name := strings.Split(scope, ":")[1]
		wanted := strings.Split(strings.Split(scope, ":")[2], ",")
		actions := slices.DeleteFunc(slices.Clone(r.grants[name]), func(a string) bool { return !slices.Contains(wanted, a) })
		granted = append(granted, access{strings.Split(scope, ":")[0], name, actions})
	}
	claims["access"] = granted
	b, _ := json.Marshal(claims)
	token := r.issue(strings.Join(scopes, " "))
	if len(scopes) > 0 && scopes[0] != "registry:catalog:*" && !r.opaque {
		token = "e30." + base64.RawURLEncoding.EncodeToString(b) + "." + token
	}
	_, _ = fmt.Fprintf(w, `{"token": %q, "expires_in": 300}`, token)
}

func TestVerify(t *testing.T) {
	const bearer = `Bearer realm="https://reg.example.com/auth",service="reg",scope="repository:x:pull"`
	hub := func(names ...string) map[string][]string { return map[string][]string{"hub.docker.com": names} }
	own := func(names ...string) map[string][]string { return map[string][]string{"reg.example.com": names} }
	active := func(level audit.Level, calls int, limit string) asktest.Want {
		return asktest.Want{Validity: audit.Active, Level: level, Calls: calls, Limit: limit}
	}
	refused := func(v audit.Validity, calls int) asktest.Want { return asktest.Want{Validity: v, Calls: calls} }
	many := strings.Fields("a b c d e f g")
	for _, c := range []struct {
		name, host string
		r          registries
		want       asktest.Want
	}{
		{"pushes to Docker Hub", "index.docker.io", registries{repositories: hub("web", "core"), grants: map[string][]string{"acme/web": {"pull"}, "acme/core": {"pull", "push"}}},
			asktest.Want{Validity: audit.Active, Level: audit.LevelWrite, Calls: 4, Facts: map[string]string{
				"registry": "docker.io", "login": "acme", "form": "personal access token of Docker Hub", "repositories": "2, of them 1 private among the first 2", "host": "auth.docker.io",
			}}},
		{"pulls from it", "docker.io", registries{repositories: hub("web"), grants: map[string][]string{"acme/web": {"pull"}}}, active(audit.LevelRead, 4, "")},
		{"more than are asked about", "docker.io", registries{repositories: hub(many...), grants: map[string][]string{"acme/g": {"push"}}}, active(audit.LevelUnknown, 4, "of 7 repositories, 5 were asked about")},
		{"no repository", "docker.io", registries{repositories: hub()}, active(audit.LevelUnknown, 3, "")},
		{"an API that refuses it", "docker.io", registries{broken: map[string]asktest.Page{"hub.docker.com/v2/auth/token": {Status: 401}}}, active(audit.LevelUnknown, 2, "may not be listed with it (401)")},
		{"revoked", "docker.io", registries{refusal: 401}, refused(audit.Inactive, 1)},
		{"refused by a forge", "reg.example.com", registries{challenge: bearer, refusal: 401}, refused(audit.Unknown, 2)},
		{"refused by one that takes the login", "reg.example.com", registries{challenge: `Basic realm="x"`, refusal: 401}, refused(audit.Inactive, 2)},
		{"denied", "ghcr.io", registries{refusal: 403}, refused(audit.Unknown, 1)},
		{"no catalog", "ghcr.io", registries{broken: map[string]asktest.Page{"ghcr.io/v2/_catalog": {Status: 405}}}, active(audit.LevelUnknown, 3, "may not be listed with it (405)")},
		{"pushes to its own", "https://REG.example.com/v2/", registries{challenge: bearer, repositories: own("web"), grants: map[string][]string{"web": {"pull", "push", "delete"}}}, active(audit.LevelWrite, 5, "")},
		{"tokens that say nothing", "reg.example.com", registries{challenge: bearer, repositories: own("web"), opaque: true}, active(audit.LevelRead, 5, "not told by the registry's tokens")},
		{"a registry that takes the login", "reg.example.com", registries{challenge: `Basic realm="x"`, repositories: own("web")}, active(audit.LevelRead, 3, "whether it may push")},
		{"a registry that asks nobody", "reg.example.com", registries{}, refused(audit.Unknown, 1)},
		{"a realm elsewhere", "reg.example.com", registries{challenge: `Bearer realm="https://evil.example.net/auth",service="reg"`}, refused(audit.Unknown, 1)},
		{"a realm without https", "reg.example.com", registries{challenge: `Bearer realm="http://reg.example.com/auth",service="reg"`}, refused(audit.Unknown, 1)},
		{"a realm with a user", "reg.example.com", registries{challenge: `Bearer realm="https://x@reg.example.com/auth",service="reg"`}, refused(audit.Unknown, 1)},
		{"a way that is not known", "reg.example.com", registries{challenge: "Negotiate"}, refused(audit.Unknown, 1)},
		{"a redirect", "docker.io", registries{broken: map[string]asktest.Page{"auth.docker.io/token": {Status: 302, Header: map[string]string{"Location": "https://evil.example.net"}}}}, refused(audit.Unknown, 1)},
		{"a page", "docker.io", registries{broken: map[string]asktest.Page{"auth.docker.io/token": {Body: "<html>"}}}, refused(audit.Unknown, 1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &c.r
			r.t, r.user, r.password, r.tokens = t, "acme", "dckr_pat_"+rand.Text(), map[string]string{}
			s := audit.NewSecret(audit.KindRegistryLogin, r.user, r.password)
			s.SetPart(audit.PartHost, c.host)
			issuer := asktest.Serve(t, nil, r.serve)
			issuer.Holds(t, docker.New(issuer.Env, true, []string{"reg.example.com"}), s, c.want)
			verdict, _ := docker.New(issuer.Env, true, []string{"reg.example.com"}).Verify(t.Context(), s)
			b, _ := json.Marshal(verdict)
			for _, token := range r.tokens {
				if strings.Contains(string(b)+fmt.Sprintf("%+v", verdict), token) {
					t.Error("a token that was given for the login is shown")
				}
			}
			if basic := base64.StdEncoding.EncodeToString([]byte(r.user + ":" + r.password)); strings.Contains(string(b), basic) {
				t.Error("the login is shown")
			}
		})
	}
}

// Nobody is asked offline, nor a host that only a file names, nor without a user.
func TestNotAsked(t *testing.T) {
	const elsewhere = "reason=not asked: files can name any registry; `registries` under [leakreach.verify] says which others may be asked"
	for _, c := range []struct {
		name, host, user, password string
		live                       bool
		fact                       string
	}{
		{"offline", "ghcr.io", "acme", "x", false, "registry=ghcr.io"},
		{"a host that a file names", "reg.example.com", "acme", "x", true, elsewhere},
		{"an address inside", "169.254.169.254", "acme", "x", true, elsewhere},
		{"this machine", "localhost:5000", "acme", "x", true, elsewhere},
		{"a name that ends like one", "evil.example.net/ghcr.io", "acme", "x", true, elsewhere},
		{"a user before the name", "ghcr.io@evil.example.net", "acme", "x", true, "reason=not asked: the registry's name is none"},
		{"nobody's", "ghcr.io", "", "x", true, "reason=not asked: whose it is does not stand beside it"},
		{"a user with a colon", "ghcr.io", "a:b", "x", true, "reason=not asked: what was found cannot be sent as a login"},
		{"an organisation's token", "docker.io", "acme", "dckr_oat_x", false, "form=organization access token of Docker Hub"},
	} {
		t.Run(c.name, func(t *testing.T) {
			issuer := asktest.Serve(t, nil, func(http.ResponseWriter, *http.Request) string { return "asked" })
			s := audit.NewSecret(audit.KindRegistryLogin, c.user, c.password)
			s.SetPart(audit.PartHost, c.host)
			verdict, err := docker.New(issuer.Env, c.live, nil).Verify(t.Context(), s)
			name, want, _ := strings.Cut(c.fact, "=")
			if err != nil || verdict.Validity != audit.Unchecked || verdict.Facts[name] != want || len(issuer.Asked()) > 0 {
				t.Errorf("got %+v, %v after %q; want %s", verdict, err, issuer.Asked(), c.fact)
			}
		})
	}
}

// The variables of a forge name its registry.
func TestNamed(t *testing.T) {
	for name, value := range map[string]string{"CI_REGISTRY": "reg.example.com", "GITEA_URL": "https://reg.example.com/git", "GITLAB_URL": "https://reg.example.com"} {
		issuer := asktest.Serve(t, map[string]string{name: value}, func(_ http.ResponseWriter, q *http.Request) string { return q.Host + q.URL.Path })
		s := audit.NewSecret(audit.KindRegistryLogin, "acme", "x")
		s.SetPart(audit.PartHost, "reg.example.com")
		_, err := docker.New(issuer.Env, true, nil).Verify(t.Context(), s)
		if asked := issuer.Asked(); err != nil || len(asked) != 1 || asked[0] != "reg.example.com/v2/" {
			t.Errorf("%s: asked %q, %v", name, asked, err)
		}
	}
}
