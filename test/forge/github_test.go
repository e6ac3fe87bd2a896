package forge

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
	"github.com/leakreach/leakreach/providers/github"
)

// A published package of npm is one with what GitHub tells of its APIs, for its own clients (MIT licence).
type published struct{ name, digest string } // digest is the SHA-512 in base64

var (
	restDescriptions = published{"@octokit/openapi@23.0.2", "pV8M7L9GY23AybNvTmo2nyjmpmnt6+2sRE/tqr0ZLQcPS4lnw7u5eZGNmwRNkBC3D7gZXbFx5AHzLUVRBXGDhg=="}
	graphQLSchema    = published{"@octokit/graphql-schema@15.26.1", "RFDC2MpRBd4AxSRvUeBIVeBU7ojN/SxDfALUd7iVYOSeEK3gZaqR2MGOysj4Zh2xj2RY5fQAUT+Oqq7hWTraMA=="}
)

// missing skips a test, or fails it where everything must be there.
func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// description returns GitHub's description of its REST API.
func description(t *testing.T) *openapi3.T {
	t.Helper()
	return describedIn(t, "ghec.json", "/")
}

func describedIn(t *testing.T, name, server string) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile(restDescriptions.file(t, "package/generated/"+name))
	if err != nil {
		t.Fatalf("loading %s: %v", name, err)
	}
	doc.Servers = openapi3.Servers{{URL: server}}
	return doc
}

// file returns where a file of the package lies in the cache, filling that with npm first if need be.
func (p published) file(t *testing.T, name string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		missing(t, "no cache folder for "+p.name+": set XDG_CACHE_HOME")
	}
	file := filepath.Join(cache, "leakreach-test", p.digest[:8], path.Base(name))
	if _, err := os.Stat(file); err != nil {
		p.download(t, name, file)
	}
	return file
}

func (p published) download(t *testing.T, name, file string) {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		missing(t, "npm is missing: install Node.js to check the fake GitHub against "+p.name)
	}
	dir := t.TempDir()
	cmd := exec.Command("npm", "pack", "--silent", "--pack-destination", dir, p.name)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		missing(t, fmt.Sprintf("npm pack %s: %v: %s", p.name, err, out))
	}
	packed, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(packed) != 1 {
		t.Fatalf("npm packed %q, %v", packed, err)
	}
	content, err := os.ReadFile(packed[0])
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha512.Sum512(content); base64.StdEncoding.EncodeToString(sum[:]) != p.digest {
		t.Fatalf("%s is not what it was: its SHA-512 differs", p.name)
	}
	zipped, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	for archive := tar.NewReader(zipped); ; {
		h, err := archive.Next()
		if err != nil {
			t.Fatalf("no %s in %s: %v", name, p.name, err)
		}
		if h.Name != name {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		part, err := os.CreateTemp(filepath.Dir(file), "part-*")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(part, archive); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(part.Close(), os.Rename(part.Name(), file)); err != nil {
			t.Fatal(err)
		}
		return
	}
}

// checker sits before a fake and holds each exchange against a description.
type checker struct {
	t      *testing.T
	router routers.Router
	doc    *openapi3.T
	fake   http.Handler
	graph  *ast.Schema // of GraphQL; nil where that is not asked

	mu   sync.Mutex
	seen map[string]int // operations by id
}

func (c *checker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.URL.Path, ".git/") {
		c.fake.ServeHTTP(w, r)
		return
	}
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Error(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(sent))
	rec := httptest.NewRecorder()
	c.fake.ServeHTTP(rec, r)
	r.Body = io.NopCloser(bytes.NewReader(sent))
	c.check(r, rec)
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
}

func (c *checker) check(r *http.Request, rec *httptest.ResponseRecorder) {
	if strings.HasSuffix(r.URL.Path, "/graphql") {
		c.checkGraph(r, rec)
		return
	}
	route, params, err := c.router.FindRoute(r)
	if err != nil {
		c.t.Errorf("%s %s is no operation: %v", r.Method, r.URL, err)
		return
	}
	c.mu.Lock()
	c.seen[route.Operation.OperationID]++
	c.mu.Unlock()
	input := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Route: route, Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
	if err := openapi3filter.ValidateRequest(r.Context(), input); err != nil && !departs(route.Operation.OperationID, err) {
		c.t.Errorf("request %s %s: %v", r.Method, r.URL, err)
	}
	declared := append(slices.Clone(route.PathItem.Parameters), route.Operation.Parameters...)
	for name := range r.URL.Query() {
		if !slices.ContainsFunc(declared, func(p *openapi3.ParameterRef) bool { return p.Value.In == "query" && p.Value.Name == name }) {
			c.t.Errorf("request %s %s: no parameter %s", r.Method, r.URL, name)
		}
	}
	if rec.Code == http.StatusNotModified && r.Header.Get("If-None-Match") != "" && rec.Body.Len() == 0 { // HTTP's, of every operation: RFC 9110, section 15.4.5
		return
	}
	if route.Operation.Responses.Status(rec.Code) == nil { // errors are described in few places, and all look alike
		var body any
		err := json.Unmarshal(rec.Body.Bytes(), &body)
		if err == nil {
			err = c.doc.Components.Schemas["basic-error"].Value.VisitJSON(body)
		}
		if rec.Code < 400 && rec.Code != http.StatusMovedPermanently || err != nil { // former names redirect wherever they are used, which is said of few operations
			c.t.Errorf("response %d to %s %s: %v", rec.Code, r.Method, r.URL, err)
		}
		return
	}
	output := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: rec.Code, Header: rec.Header(), Body: io.NopCloser(bytes.NewReader(rec.Body.Bytes())),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	if err := openapi3filter.ValidateResponse(r.Context(), output); err != nil && !departs(route.Operation.OperationID, err) {
		c.t.Errorf("response %d to %s %s: %v", rec.Code, r.Method, r.URL, err)
	}
}

// departures are where the description says what GitHub does not do, by operation and complaint.
var departures = []struct{ operation, complaint, why string }{
	{"actions/list-workflow-runs-for-repo", `parameter "created" in query has an error`,
		"it is described as a time, and in words as a range of times in the syntax of searches, such as A..B"},
	{"activity/list-repo-events", `Error at "/0/payload": input matches more than one oneOf schemas`,
		"one of the schemas of payloads is any object, so that none matches only once"},
}

func departs(operation string, err error) bool {
	return slices.ContainsFunc(departures, func(d struct{ operation, complaint, why string }) bool {
		return d.operation == operation && strings.Contains(err.Error(), d.complaint) && strings.Count(err.Error(), "Error at") <= 1
	})
}

func TestGitHubContract(t *testing.T) {
	doc := description(t)
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	const token = "a-token-of-the-test"
	fake := &forgetest.GitHub{
		Token: token, Login: "octocat",
		Owners: []*forgetest.Owner{{
			Login: "acme", Variables: variables(70), Secrets: secrets(130),
			Runners: []forgetest.Runner{{Name: "big", OS: "linux", Labels: []string{"self-hosted", "gpu"}, Ephemeral: true}},
		}, {Login: "octocat", User: true}},
	}
	for i := range 120 {
		fake.Repos = append(fake.Repos, &forgetest.GitHubRepo{FullName: fmt.Sprintf("acme/r%03d", i), ID: int64(i + 1), Private: i%2 == 1, Gone: i == 7})
	}
	fake.Repos = append(fake.Repos, &forgetest.GitHubRepo{FullName: "octocat/own", ID: 1000, Private: true})
	fake.Repos[0].Variables = variables(45)
	fake.Repos[0].Secrets = secrets(3)
	fake.Repos[0].Runners = []forgetest.Runner{{Name: "small", OS: "linux"}}
	for i := range 130 { // more than a page of GraphQL's
		fake.Repos[0].Collaborators = append(fake.Repos[0].Collaborators, forgetest.Collaborator{Login: fmt.Sprintf("dev-%d", i), Role: "write"})
	}
	fake.Repos[0].Environments = []forgetest.Environment{{Name: "prod/eu", Variables: variables(31), Secrets: secrets(101), Reviewers: true}}
	c := &checker{t: t, router: router, doc: doc, graph: schema(t), fake: fake, seen: map[string]int{}}
	p := github.New(environment(t, map[string]string{"GITHUB_API_URL": forgetest.Start(t, c), "GH_TOKEN": token}),
		github.Options{Sources: audit.SourceVariables | audit.SourceSecrets | audit.SourceSettings | audit.SourceRunners})
	entries := 0
	for _, ref := range []string{"acme", "acme/r000", "octocat"} {
		targets, _ := walk(t, p, ref)
		for _, target := range targets[:min(len(targets), 10)] {
			entries += items(t, p, target)
		}
	}
	for _, ref := range []string{"acme", "acme/r000"} { // once more, by requests with conditions
		targets, _ := walk(t, p, ref)
		target := targets[0]
		for it, err := range p.Items(t.Context(), target) {
			if err != nil {
				t.Error(err)
			}
			target.Past = it.State
		}
		for it, err := range p.Items(t.Context(), target) {
			if err != nil || it.Kind != audit.KindUnchanged {
				t.Errorf("%s: %s after state %q", target.Name, it.Kind, target.Past)
			}
		}
	}
	// The last line is what is allowed: in the organisation, in nine repositories, and in the one that is named. Only that one is asked for runners, as
	// nothing runs in any.
	if want := 70 + 130 + 1 + 2*(45+3+1+31+101) + 1 + 70 + 130 +
		1 + 9 + 1; entries != want {
		t.Errorf("%d entries, want %d", entries, want)
	}
	for _, id := range []string{
		"repos/list-for-org", "repos/list-for-authenticated-user", "users/get-authenticated", "repos/get", "orgs/get",
		"actions/list-org-variables", "actions/list-org-secrets", "actions/list-self-hosted-runners-for-org",
		"actions/list-repo-variables", "actions/list-repo-secrets", "actions/list-self-hosted-runners-for-repo",
		"actions/list-repo-organization-variables", "actions/list-repo-organization-secrets",
		"repos/get-all-environments", "actions/list-environment-variables", "actions/list-environment-secrets",
	} {
		if c.seen[id] == 0 {
			t.Errorf("operation %s was not exercised", id)
		}
	}
}

func TestGitHubAppContract(t *testing.T) {
	doc := description(t)
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE " + "KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600); err != nil {
		t.Fatal(err)
	}
	fake := &forgetest.GitHub{
		Owners: []*forgetest.Owner{{Login: "acme"}, {Login: "beta"}}, App: func(string, string) error { return nil },
		Repos:         []*forgetest.GitHubRepo{{FullName: "acme/a", ID: 1, Private: true}, {FullName: "beta/b", ID: 2, Private: true}},
		Installations: []forgetest.Installation{{ID: 7, Owner: "acme"}, {ID: 8, Owner: "beta"}},
	}
	c := &checker{t: t, router: router, doc: doc, graph: schema(t), fake: fake, seen: map[string]int{}}
	for _, chosen := range []string{"", "7,8"} {
		p := github.New(environment(t, map[string]string{
			"GITHUB_API_URL": forgetest.Start(t, c), "LEAKREACH_GITHUB_APP_ID": "1", "LEAKREACH_GITHUB_APP_INSTALLATION_ID": chosen,
			"LEAKREACH_GITHUB_APP_PRIVATE_KEY_FILE": file,
		}), github.Options{Sources: audit.SourceVariables})
		for _, owner := range []string{"acme", "beta"} {
			if targets, gaps := walk(t, p, owner); len(targets) != 2 || len(gaps) > 0 {
				t.Errorf("%s: %d targets, gaps %q", owner, len(targets), gaps)
			}
		}
	}
	for _, id := range []string{"apps/list-installations", "apps/get-installation", "apps/create-installation-access-token"} {
		if c.seen[id] == 0 {
			t.Errorf("operation %s was not exercised", id)
		}
	}
}

func variables(n int) (out []forgetest.Variable) {
	for i := range n {
		out = append(out, forgetest.Variable{Name: fmt.Sprint("V", i), Value: fmt.Sprint(i)})
	}
	return out
}

func secrets(n int) (out []forgetest.Secret) {
	for i := range n {
		out = append(out, forgetest.Secret{Name: fmt.Sprint("S", i)})
	}
	return out
}

// The checker itself notices what it is there for.
func TestCheckerIsNotBlind(t *testing.T) {
	doc := description(t)
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ path, body string }{
		"unknown path":      {"/repos/acme/web/actions/variable", `{"total_count":0,"variables":[]}`},
		"unknown parameter": {"/repos/acme/web/actions/variables?perpage=30", `{"total_count":0,"variables":[]}`},
		"missing field":     {"/repos/acme/web/actions/variables?per_page=30", `{"total_count":1,"variables":[{"name":"A","value":"1"}]}`},
		"wrong type":        {"/repos/acme/web/actions/variables?per_page=30", `{"total_count":"0","variables":[]}`},
		"sound":             {"/repos/acme/web/actions/variables?per_page=30", `{"total_count":0,"variables":[]}`},
	} {
		inner := &testing.T{}
		c := &checker{t: inner, router: router, doc: doc, seen: map[string]int{}, fake: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			_, _ = io.WriteString(w, test.body)
		})}
		c.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, test.path, nil))
		if inner.Failed() == (name == "sound") {
			t.Errorf("%s: failed is %v", name, inner.Failed())
		}
	}
}

func walk(t *testing.T, p audit.Provider, ref string) (targets []audit.Target, gaps []string) {
	t.Helper()
	for target, err := range p.Targets(t.Context(), ref) {
		if gap := (*audit.Gap)(nil); errors.As(err, &gap) {
			gaps = append(gaps, gap.Error())
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		targets = append(targets, target)
	}
	return targets, gaps
}

func items(t *testing.T, p audit.Provider, target audit.Target) (entries int) {
	t.Helper()
	for it, err := range p.Items(t.Context(), target) {
		if gap := (*audit.Gap)(nil); errors.As(err, &gap) {
			t.Errorf("%s: %v", target.Name, gap)
		} else if err != nil && !strings.Contains(err.Error(), "gone") {
			t.Errorf("%s: %v", target.Name, err)
		}
		if it.Entry != nil {
			entries++
		}
	}
	return entries
}
