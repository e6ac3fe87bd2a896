package job

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
)

// A server answers some addresses, and writes down what it was asked.
type server struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
}

func serve(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked = append(s.asked, r.Method+" "+r.URL.RequestURI())
		s.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// amazonMetadata answers as EC2 does (docs: AWS EC2 user guide, "Instance metadata categories"); open says whether version 1 is on.
func amazonMetadata(open, role bool) func(http.ResponseWriter, *http.Request) {
	const session = "AQAAA-session"
	pages := map[string]string{
		"/latest/meta-data/":                         "ami-id\ninstance-id\niam/\n",
		"/latest/dynamic/instance-identity/document": `{"accountId": "111122223333", "region": "eu-central-1"}`,
	}
	if role {
		pages["/latest/meta-data/iam/security-credentials/"] = "deployer"
		pages["/latest/meta-data/iam/info"] = `{"Code": "Success", "InstanceProfileArn": "arn:aws:iam::111122223333:instance-profile/ci"}`
	}
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/latest/api/token" {
			if r.Method != http.MethodPut || r.Header.Get("X-aws-ec2-metadata-token-ttl-seconds") == "" {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			fmt.Fprint(w, session)
			return
		}
		if sent := r.Header.Get("X-aws-ec2-metadata-token"); sent != session && (sent != "" || !open) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		page, ok := pages[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		fmt.Fprint(w, page)
	}
}

// What answers every question is no metadata service.
func TestAnswersEverything(t *testing.T) {
	for _, page := range []string{"OK", "", "<html><body>Sign in to the network</body></html>", `{"status":"ok"}`} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, page) })
		host := strings.TrimPrefix(s.URL, "http://")
		w := newWorld(t, map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": s.URL, "GCE_METADATA_HOST": host, "AZURE_POD_IDENTITY_AUTHORITY_HOST": s.URL,
			"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/x", "ECS_CONTAINER_METADATA_URI_V4": s.URL})
		l := w.list()
		l.has(audit.KindMetadata, "ecs", map[string]string{"reachable": "", "task": ""})
		for _, cloud := range []string{"aws", "gcp", "azure"} {
			l.has(audit.KindMetadata, cloud, map[string]string{"reachable": "false"})
		}
	}
}

func TestAmazonMetadata(t *testing.T) {
	for _, c := range []struct {
		name       string
		open, role bool
		want       map[string]string
	}{
		{"version 1 too", true, true, map[string]string{"reachable": "true", "v1": "true", "v2": "true", "role": "deployer", "account": "111122223333", "region": "eu-central-1", "instance_profile": "arn:aws:iam::111122223333:instance-profile/ci"}},
		{"version 2 only", false, true, map[string]string{"v1": "false", "v2": "true", "role": "deployer"}},
		{"no role", false, false, map[string]string{"reachable": "true", "role": "", "instance_profile": "", "account": "111122223333"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, amazonMetadata(c.open, c.role))
			w := newWorld(t, map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": s.URL + "/"})
			w.list().has(audit.KindMetadata, "aws", c.want)
			for _, asked := range s.asked {
				if strings.HasSuffix(asked, "security-credentials/deployer") {
					t.Errorf("credentials were fetched: %s", asked)
				}
			}
			if n := w.p.env.Calls.Snapshot()["metadata"]; n != len(s.asked)+2 { // one each for the two that are closed
				t.Errorf("%d calls counted, %q asked", n, s.asked)
			}
		})
	}
}

// TestNoMetadata: a service that is not there, is another one's, or lies, is no role.
func TestNoMetadata(t *testing.T) {
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request){
		"refused":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
		"anything": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("<p>hello", 100_000)) },
		"somewhere else": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/", http.StatusFound)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, answer)
			w := newWorld(t, map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": s.URL, "GCE_METADATA_HOST": strings.TrimPrefix(s.URL, "http://"), "AZURE_POD_IDENTITY_AUTHORITY_HOST": s.URL})
			l := w.list()
			for _, cloud := range []string{"aws", "gcp", "azure"} {
				if e := l.entry(audit.KindMetadata, cloud); e["reachable"] != "false" || e["answer"] == "" || e["role"] != "" {
					t.Errorf("%s: %v", cloud, e)
				}
			}
		})
	}
	t.Run("closed", func(t *testing.T) {
		newWorld(t, nil).list().has(audit.KindMetadata, "aws", map[string]string{"reachable": "false"})
	})
	t.Run("asked not to", func(t *testing.T) {
		s := serve(t, amazonMetadata(true, true))
		w := newWorld(t, map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": s.URL, "AWS_EC2_METADATA_DISABLED": "true"})
		if l := w.list(); len(s.asked) > 0 || !strings.Contains(strings.Join(l.gaps, "\n"), "AWS_EC2_METADATA_DISABLED") {
			t.Errorf("asked %q, gaps %q", s.asked, l.gaps)
		}
	})
	t.Run("no proxy", func(t *testing.T) {
		proxy := serve(t, amazonMetadata(true, true))
		w := newWorld(t, map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://metadata.invalid"})
		at, err := url.Parse(proxy.URL)
		if err != nil {
			t.Fatal(err)
		}
		w.p.env.HTTP.Transport.(*http.Transport).Proxy = http.ProxyURL(at)
		w.list().has(audit.KindMetadata, "aws", map[string]string{"reachable": "false"})
		if len(proxy.asked) > 0 {
			t.Errorf("the proxy was asked %q", proxy.asked)
		}
	})
}

// TestSilentNetwork: what is dropped instead of refused does not hold the listing up.
func TestSilentNetwork(t *testing.T) {
	held := make(chan struct{})
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-held:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(func() { close(held) })
	w := newWorld(t, map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": s.URL, "CI": "true", "GITLAB_CI": "true", varJobToken: "x", "CI_API_V4_URL": s.URL})
	l := w.list()
	l.has(audit.KindMetadata, "aws", map[string]string{"reachable": "false", "answer": "no answer within 1s"})
	if !strings.Contains(strings.Join(l.gaps, "\n"), "no answer within 1s") {
		t.Errorf("gaps %q", l.gaps)
	}
}

func TestOtherClouds(t *testing.T) {
	google := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Metadata-Flavor", "Google")
		page, ok := map[string]string{
			"/computeMetadata/v1/project/project-id": "acme-ci", "/computeMetadata/v1/instance/service-accounts/default/email": "ci@acme-ci.iam.gserviceaccount.com",
			"/computeMetadata/v1/instance/service-accounts/default/scopes": "https://www.googleapis.com/auth/cloud-platform\n",
		}[r.URL.Path]
		if !ok || r.Header.Get("Metadata-Flavor") != "Google" {
			w.WriteHeader(http.StatusForbidden)
		}
		fmt.Fprint(w, page)
	})
	azure := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Metadata") != "true" || r.URL.Query().Get("api-version") == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		switch r.URL.Path {
		case "/metadata/instance/compute":
			fmt.Fprint(w, `{"name": "runner-1", "subscriptionId": "0000-1111"}`)
		case "/metadata/identity/info":
			fmt.Fprint(w, `{"tenantId": "2222-3333"}`)
		}
	})
	task := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"TaskARN": "arn:aws:ecs:eu-central-1:111122223333:task/ci/1", "Family": "runner"}`)
	})
	w := newWorld(t, map[string]string{
		"GCE_METADATA_HOST": strings.TrimPrefix(google.URL, "http://"), "AZURE_POD_IDENTITY_AUTHORITY_HOST": azure.URL,
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/x", "ECS_CONTAINER_METADATA_URI_V4": task.URL + "/v4/y",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/pod/token",
		"AWS_ROLE_ARN": "arn:aws:iam::444455556666:role/deploy", "AWS_WEB_IDENTITY_TOKEN_FILE": "/web/token",
		"AZURE_CLIENT_ID": "client", "AZURE_FEDERATED_TOKEN_FILE": "/azure/token",
	})
	for _, path := range []string{"/pod/token", "/web/token", "/azure/token", "/var/run/secrets/kubernetes.io/serviceaccount/token"} {
		w.file(path, webToken(map[string]any{"sub": "system:serviceaccount:ci:" + path, "aud": []any{"pods"}, "exp": now.Add(time.Hour).Unix()}))
	}
	l := w.list()
	l.has(audit.KindMetadata, "gcp", map[string]string{"reachable": "true", "role": "ci@acme-ci.iam.gserviceaccount.com", "account": "acme-ci", "scopes": "https://www.googleapis.com/auth/cloud-platform"})
	l.has(audit.KindMetadata, "azure", map[string]string{"reachable": "true", "role": "managed identity of runner-1", "tenant": "2222-3333", "account": "0000-1111"})
	l.has(audit.KindMetadata, "ecs", map[string]string{"task": "arn:aws:ecs:eu-central-1:111122223333:task/ci/1", "account": "111122223333", "role": ""})
	l.has(audit.KindMetadata, "eks-pod-identity", map[string]string{"host": "169.254.170.23", "subject": "system:serviceaccount:ci:/pod/token", "audience": "pods"})
	l.has(audit.KindMetadata, "web-identity", map[string]string{"role": "arn:aws:iam::444455556666:role/deploy", "account": "444455556666", "subject": "system:serviceaccount:ci:/web/token"})
	l.has(audit.KindMetadata, "azure-workload-identity", map[string]string{"role": "client", "subject": "system:serviceaccount:ci:/azure/token"})
	l.has(audit.KindToken, "/var/run/secrets/kubernetes.io/serviceaccount/token", map[string]string{"type": "kubernetes"})
}

// TestGitHubToken: what the token may is learned by reads, and it goes to its forge alone.
func TestGitHubToken(t *testing.T) {
	for _, c := range []struct {
		name           string
		private, push  bool
		reads          string // of a private repository
		status, gaps   int
		want           map[string]string
		expires, scope string
	}{
		{name: "reads a public repository", status: 200, want: map[string]string{"type": "job", "active": "true", "push": "false", "visibility": "public", "reads": ""}},
		{name: "pushes", status: 200, push: true, want: map[string]string{"push": "true"}},
		{name: "reads some of a private one", status: 200, private: true, reads: "contents", want: map[string]string{"visibility": "private", "reads": "contents"}, expires: "2026-11-27 09:00:00 UTC"},
		{name: "is revoked", status: 401, gaps: 1, want: map[string]string{"active": "false", "push": "false"}},
		{name: "sees nothing", status: 404, gaps: 1, want: map[string]string{"active": ""}},
		{name: "has scopes", status: 200, scope: "repo, workflow", want: map[string]string{"scopes": "repo,workflow"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			token := jobToken()
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if user, password, ok := r.BasicAuth(); ok {
					if r.URL.RequestURI() != "/acme/web.git/info/refs?service=git-receive-pack" || user != "x-access-token" || password != token {
						t.Errorf("asked %s", r.URL)
					}
					w.WriteHeader(http.StatusForbidden)
					return
				}
				if r.Header.Get("Authorization") != "Bearer "+token || r.Method != http.MethodGet || r.Header.Get("User-Agent") != "leakreach/test" {
					t.Errorf("asked %s %s %v", r.Method, r.URL, r.Header)
				}
				w.Header().Set("Github-Authentication-Token-Expiration", c.expires)
				w.Header().Set("X-Oauth-Scopes", c.scope)
				if rest := strings.TrimPrefix(r.URL.Path, "/api/repos/acme/web"); rest != "" {
					if rest != "/branches" {
						w.WriteHeader(http.StatusForbidden)
					}
					return
				}
				w.WriteHeader(c.status)
				_ = json.NewEncoder(w).Encode(map[string]any{"private": c.private, "visibility": map[bool]string{true: "private", false: "public"}[c.private]})
			})
			if c.push {
				s.Config.Handler = pushes(s.Config.Handler)
			}
			w := newWorld(t, map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_TOKEN": token, "GITHUB_REPOSITORY": "acme/web", "GITHUB_API_URL": s.URL + "/api", "GITHUB_SERVER_URL": s.URL})
			l := w.list()
			l.has(audit.KindToken, "GITHUB_TOKEN", c.want)
			if c.expires != "" {
				l.has(audit.KindToken, "GITHUB_TOKEN", map[string]string{"expires_at": "2026-11-27T09:00:00Z"})
			}
			if len(l.gaps) != c.gaps {
				t.Errorf("gaps %q", l.gaps)
			}
			if n := w.p.env.Calls.Snapshot()["github"]; n != len(s.asked) && !c.push {
				t.Errorf("%d calls counted, asked %q", n, s.asked)
			}
		})
	}
}

// pushes answers as git's server does to somebody who may push: with a list of all refs, which has no end here.
func pushes(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "info/refs") {
			next.ServeHTTP(w, r)
			return
		}
		for {
			if _, err := fmt.Fprint(w, strings.Repeat("003d 0123456789012345678901234567890123456789 refs/heads/main\n", 1000)); err != nil {
				return
			}
		}
	})
}

// TestTokenStaysHome: a token is not sent over an open line, whatever a variable says.
func TestTokenStaysHome(t *testing.T) {
	for name, vars := range map[string]map[string]string{
		"GitHub": {"GITHUB_ACTIONS": "true", "GITHUB_TOKEN": jobToken(), "GITHUB_API_URL": "http://evil.example.com", "GITHUB_SERVER_URL": "https://github.com"},
		"GitLab": {"GITLAB_CI": "true", varJobToken: random(20, letters), "CI_API_V4_URL": "http://evil.example.com"},
		"Gitea":  {"GITEA_ACTIONS": "true", "GITHUB_TOKEN": random(40, letters), "GITHUB_API_URL": "http://evil.example.com"},
		"OIDC":   {"CI": "true", varOIDC: "http://evil.example.com/", varOIDCToken: random(40, letters)},
	} {
		w := newWorld(t, vars)
		l := w.list()
		calls := w.p.env.Calls.Snapshot()
		delete(calls, "metadata")
		if len(calls) > 0 || !strings.Contains(strings.Join(l.gaps, "\n"), "no https address") {
			t.Errorf("%s: calls %v, gaps %q", name, calls, l.gaps)
		}
	}
}

func TestNoToken(t *testing.T) {
	for _, system := range []string{"GITHUB_ACTIONS", "GITLAB_CI", "GITEA_ACTIONS"} {
		l := newWorld(t, map[string]string{system: "true"}).list()
		if len(l.gaps) != 1 || !strings.Contains(l.gaps[0], "not in the environment") {
			t.Errorf("%s: gaps %q", system, l.gaps)
		}
	}
}

func TestGitLabToken(t *testing.T) {
	token := "glcbt-" + random(20, letters)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("JOB-TOKEN") != token || r.URL.Path != "/api/v4/job" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{"id": 8, "ref": "main", "user": {"username": "jane"}, "project": {"ci_job_token_scope_enabled": false}, "runner": {"runner_type": "project_type", "is_shared": false}}`)
	})
	w := newWorld(t, map[string]string{"GITLAB_CI": "true", varJobToken: token, "CI_API_V4_URL": s.URL + "/api/v4"})
	w.list().has(audit.KindToken, varJobToken, map[string]string{"type": "job", "active": "true", "owner": "jane", "ref": "main", "outbound_limited": "false", "runner_type": "project_type"})
	w.vars[varJobToken] = "another"
	l := w.list()
	l.has(audit.KindToken, varJobToken, map[string]string{"type": "job", "active": ""})
	if len(l.gaps) != 1 || l.gaps[0] != "rights of the job's token: Unauthorized" {
		t.Errorf("gaps %q", l.gaps)
	}
}

func TestGiteaToken(t *testing.T) {
	token := random(40, "0123456789abcdef")
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "token "+token || r.URL.Path != "/api/v1/repos/acme/web" {
			w.WriteHeader(http.StatusNotFound)
		}
		fmt.Fprint(w, `{"private": true, "permissions": {"admin": false, "push": true, "pull": true}}`)
	})
	w := newWorld(t, map[string]string{"GITEA_ACTIONS": "true", "GITHUB_ACTIONS": "true", "GITHUB_TOKEN": token, "GITHUB_API_URL": s.URL + "/api/v1", "GITHUB_REPOSITORY": "acme/web"})
	w.list().has(audit.KindToken, "GITHUB_TOKEN", map[string]string{"type": "job", "push": "true", "admin": "false"})
}

// TestOIDC: the token is asked for an audience that nobody trusts, and shown without itself.
func TestOIDC(t *testing.T) {
	key := random(60, letters)
	minted := webToken(map[string]any{"iss": "https://token.actions.githubusercontent.com", "sub": "repo:acme/web:environment:prod", "aud": audience, "exp": now.Add(time.Minute).Unix(),
		"job_workflow_ref": "acme/web/.github/workflows/x.yml@refs/heads/main", "runner_environment": "self-hosted"})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+key || r.URL.Query().Get("audience") != audience || r.URL.Query().Get("api-version") != "2.0" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"value": minted})
	})
	w := newWorld(t, map[string]string{"CI": "true", varOIDC: s.URL + "/token?api-version=2.0", varOIDCToken: key})
	l := w.list()
	l.has(audit.KindToken, varOIDC, map[string]string{
		"type": "oidc", "issuer": "https://token.actions.githubusercontent.com", "subject": "repo:acme/web:environment:prod", "audience": "any", "expires_at": "",
		"job_workflow_ref": "acme/web/.github/workflows/x.yml@refs/heads/main", "runner_environment": "self-hosted",
	})
	l.has(audit.KindSettings, "job", map[string]string{"oidc": "true"})
	for name, answer := range map[string]string{"no token": `{"value": "abc"}`, "no JSON": "<html>"} {
		s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) })
		if l := w.list(); len(l.gaps) != 1 {
			t.Errorf("%s: gaps %q", name, l.gaps)
		}
	}
}

func FuzzClaims(f *testing.F) {
	f.Add(webToken(map[string]any{"iss": "a", "aud": []any{"b", 1}, "exp": 1e300}))
	f.Add("ey.ey.ey")
	f.Fuzz(func(_ *testing.T, token string) {
		if c, ok := readClaims(token); ok {
			newEntry(audit.KindToken, "x", c.facts())
			c.endsSoon(now)
		}
	})
}
