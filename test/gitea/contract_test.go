//go:build unix

package gitea

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi2"
	"github.com/getkin/kin-openapi/openapi2conv"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/google/go-cmp/cmp"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
	"github.com/leakreach/leakreach/providers/gitea"
)

// contractTest holds the fake of package forgetest against what Gitea says of itself, and then against Gitea: the provider must list the same
// of both.
func contractTest(t *testing.T, s *server) {
	fake := &forgetest.Gitea{
		Token: "a-token-of-the-test", Login: "root",
		Owners: []*forgetest.GiteaOwner{
			{
				Name: "Contract", Variables: variables(60), Secrets: []forgetest.Secret{{Name: "A"}, {Name: "B"}},
				Runners: []forgetest.Runner{{Name: "big", Labels: []string{"linux", "gpu"}, Ephemeral: true}},
			},
			{Name: "root", User: true, Variables: variables(2)},
		},
	}
	for i := range 60 {
		fake.Repos = append(fake.Repos, &forgetest.GiteaRepo{FullName: fmt.Sprintf("Contract/r.%02d", i), ID: int64(i + 1), Private: i%3 == 0})
	}
	fake.Repos = append(fake.Repos, &forgetest.GiteaRepo{FullName: "root/own", ID: 100})
	fake.Owners[1].Runners = []forgetest.Runner{{Name: "mine"}}
	fake.Repos[1].Runners = []forgetest.Runner{{Name: "small", Labels: []string{"linux"}}}
	x := fake.Repos[1]
	x.Variables, x.Secrets = variables(3), []forgetest.Secret{{Name: "C"}}
	fake.Owners[0].Hooks = []forgetest.GiteaHook{{URL: "http://127.0.0.1:1/x", Header: "Bearer x", Events: []string{"push", "create"}}, {URL: "https://127.0.0.2/y", Events: []string{"delete"}, Off: true}}
	x.Hooks = []forgetest.GiteaHook{{URL: "https://127.0.0.3/z", Events: []string{"push"}}}
	fake.Owners[1].Hooks = []forgetest.GiteaHook{{URL: "https://127.0.0.4/z", Events: []string{"push"}}}
	x.Keys = []forgetest.GiteaKey{{Title: "writes", Key: sshKey(t)}, {Title: "reads", Key: sshKey(t), ReadOnly: true}}
	x.Rules = []forgetest.GiteaRule{{Name: "main", Push: true, Users: []string{"root"}, Signed: true, Approvals: 2}, {Name: "release/*"}, {Name: "dev", Push: true}}
	x.TagRules = []forgetest.GiteaTagRule{{Pattern: "v*", Users: []string{"root"}}}
	x.Dir = forgetest.Repository(t, forgetest.Commit{".gitea/workflows/ci.yml": printing, ".github/workflows/other.yml": "on: push\n", "README": "hello\n"})
	x.Runs = []*forgetest.GiteaRun{{
		Jobs:      []*forgetest.GiteaJob{{Name: "print", Tasks: []int{1}, Log: "this was printed\n"}},
		Artifacts: []forgetest.GiteaFile{{ID: 1, Name: "left"}},
	}}
	x.Issues = []forgetest.GiteaIssue{{
		Title: "broken", Body: "why?", Comments: []forgetest.GiteaComment{{Body: "so"}, {Body: "and so"}}, Files: []forgetest.GiteaFile{{ID: 1, Name: "log.txt", Content: "attached"}},
	}, {
		Title: "mended", Body: "so", Pull: true, Comments: []forgetest.GiteaComment{{Body: "good"}},
		Reviews: []forgetest.GiteaReview{{Body: "nearly", Comments: []string{"not here", "nor here"}}, {Body: "well done"}},
	}}
	x.Releases = []forgetest.GiteaRelease{{Tag: "v1", Title: "one", Body: "new", Files: []forgetest.GiteaFile{{ID: 2, Name: "app.txt", Content: "the program"}}}}
	x.Wiki = []forgetest.GiteaPage{{Title: "Home", Content: "welcome"}, {Title: "How to / run", Content: "so"}}

	fake.Owners[0].Packages = []forgetest.GiteaPackage{{Name: "files", Type: "generic", Version: "1.0.0"}, {Name: "files", Type: "generic", Version: "1.0.1"}}
	fake.Owners[1].Packages = []forgetest.GiteaPackage{{Name: "mine", Type: "generic", Version: "2"}}

	c := newChecker(t, s, fake)
	address := forgetest.Start(t, c)
	listed := func(url, token string) (lines []string) {
		p := gitea.New(environment(t, map[string]string{"GITEA_URL": url, "GITEA_TOKEN": token}), gitea.Options{Sources: audit.AllSources &^ (audit.SourceHistory | audit.SourceFiles)})
		for _, ref := range []string{"contract", "CONTRACT/r.01", "root", "root/own"} {
			lines = append(lines, list(t, p, ref)...)
		}
		return lines
	}
	ours := listed(address, fake.Token)
	planned := gitea.New(environment(t, map[string]string{"GITEA_URL": address, "GITEA_TOKEN": fake.Token}), gitea.Options{Sources: audit.AllSources})
	for _, ref := range []string{"contract", "CONTRACT/r.01"} {
		for cost, err := range planned.Plan(t.Context(), ref) {
			if err != nil || strings.Contains(cost.Note, "refused") {
				t.Errorf("%s: %+v, %v", ref, cost, err)
			}
		}
	}
	for _, path := range []string{
		"/user", "/user/actions/variables", "/user/actions/runners", "/users/{username}/repos", "/orgs/{org}", "/orgs/{org}/repos", "/orgs/{org}/actions/variables",
		"/orgs/{org}/actions/secrets", "/orgs/{org}/actions/runners", "/repos/{owner}/{repo}", "/repos/{owner}/{repo}/actions/variables",
		"/repos/{owner}/{repo}/actions/secrets", "/repos/{owner}/{repo}/actions/runners", "/user/hooks", "/orgs/{org}/hooks", "/repos/search", "/repos/{owner}/{repo}/hooks",
		"/repos/{owner}/{repo}/keys", "/repos/{owner}/{repo}/branch_protections", "/repos/{owner}/{repo}/tag_protections", "/repos/{owner}/{repo}/git/trees/{sha}",
		"/repos/{owner}/{repo}/git/blobs/{sha}", "/repos/{owner}/{repo}/actions/tasks", "/repos/{owner}/{repo}/actions/runs", "/repos/{owner}/{repo}/actions/runs/{run}/jobs",
		"/repos/{owner}/{repo}/actions/jobs/{job_id}/logs", "/repos/{owner}/{repo}/actions/runs/{run}/artifacts", "/repos/{owner}/{repo}/actions/artifacts/{artifact_id}/zip",
		"/repos/{owner}/{repo}/issues", "/repos/{owner}/{repo}/issues/comments", "/repos/{owner}/{repo}/pulls/{index}/reviews",
		"/repos/{owner}/{repo}/pulls/{index}/reviews/{id}/comments", "/repos/{owner}/{repo}/releases", "/repos/{owner}/{repo}/wiki/pages",
		"/repos/{owner}/{repo}/wiki/page/{pageName}", "/packages/{owner}", "/repos/{owner}/{repo}/actions/artifacts",
	} {
		if !c.seen[path] {
			t.Errorf("%s was not exercised", path)
		}
	}

	s.populate(t, fake)
	newRunner(t, s, "Contract", t.TempDir()).run(t, 1)
	if diff := cmp.Diff(listed(s.url, s.token), ours); diff != "" {
		t.Errorf("the fake differs (-Gitea +fake):\n%s", diff)
	}
}

// printing is a definition whose job prints what the fake's log has.
const printing = `on: push
jobs:
  print:
    runs-on: host
    steps:
      - run: printf 'this was %s\n' printed | tee left.txt
      - uses: actions/upload-artifact@v4
        with: {name: left, path: left.txt}
`

// sshKey makes a public key as people have them.
func sshKey(t *testing.T) string {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const kind = "ssh-ed25519"
	blob := binary.BigEndian.AppendUint32(nil, uint32(len(kind)))
	blob = binary.BigEndian.AppendUint32(append(blob, kind...), uint32(len(public)))
	return kind + " " + base64.StdEncoding.EncodeToString(append(blob, public...))
}

func variables(n int) (out []forgetest.Variable) {
	for i := range n {
		out = append(out, forgetest.Variable{Name: fmt.Sprintf("V%02d", i), Value: fmt.Sprint(i)})
	}
	return out
}

// populate makes in Gitea what a fake holds.
func (s *server) populate(t *testing.T, fake *forgetest.Gitea) {
	t.Helper()
	set := func(path string, vs []forgetest.Variable, ss []forgetest.Secret, rs []forgetest.Runner, hooks []forgetest.GiteaHook) {
		for _, v := range vs {
			s.must(t, "POST", path+"/actions/variables/"+v.Name, map[string]any{"value": v.Value})
		}
		for _, x := range ss {
			s.must(t, "PUT", path+"/actions/secrets/"+x.Name, map[string]any{"data": "never read"})
		}
		for _, x := range rs {
			s.register(t, path, x)
		}
		for _, h := range hooks {
			s.must(t, "POST", path+"/hooks", map[string]any{
				"type": "gitea", "config": map[string]string{"url": h.URL, "content_type": "json"}, "events": h.Events, "active": !h.Off, "authorization_header": h.Header,
			})
		}
	}
	for _, o := range fake.Owners {
		if o.User {
			set("user", o.Variables, o.Secrets, o.Runners, o.Hooks)
			continue
		}
		s.must(t, "POST", "orgs", map[string]any{"username": o.Name})
		set("orgs/"+o.Name, o.Variables, o.Secrets, o.Runners, o.Hooks)
	}
	for _, o := range fake.Owners {
		for _, p := range o.Packages {
			s.publish(t, o.Name, p.Name, p.Version)
		}
	}
	for _, x := range fake.Repos {
		owner, name, _ := strings.Cut(x.FullName, "/")
		path := "orgs/" + owner + "/repos"
		if owner == "root" {
			path = "user/repos"
		}
		s.must(t, "POST", path, map[string]any{"name": name, "private": x.Private})
		set("repos/"+x.FullName, x.Variables, x.Secrets, x.Runners, x.Hooks)
		s.fill(t, x)
	}
}

// fill makes what a repository of a fake has besides settings of Actions. Runs are made by a push, and need a runner.
func (s *server) fill(t *testing.T, x *forgetest.GiteaRepo) {
	t.Helper()
	path := "repos/" + x.FullName + "/"
	for _, k := range x.Keys {
		s.must(t, "POST", path+"keys", map[string]any{"title": k.Title, "key": k.Key, "read_only": k.ReadOnly})
	}
	if x.Dir != "" {
		if err := git(x.Dir, "", "push", "-q", strings.Replace(s.url, "://", "://root:"+s.token+"@", 1)+"/"+x.FullName+".git", "main"); err != nil {
			t.Fatal(err)
		}
		for s.must(t, "GET", path[:len(path)-1], nil)["empty"] != false { // it takes notice of a push when it gets to it
			time.Sleep(50 * time.Millisecond)
		}
	}
	for _, issue := range x.Issues {
		var number any
		if issue.Pull {
			number = s.pull(t, path, issue)
		} else {
			number = s.must(t, "POST", path+"issues", map[string]any{"title": issue.Title, "body": issue.Body})["number"]
		}
		at := fmt.Sprintf("%sissues/%v/", path, number)
		for _, c := range issue.Comments {
			s.must(t, "POST", at+"comments", map[string]any{"body": c.Body})
		}
		for _, f := range issue.Files {
			s.upload(t, at+"assets", f.Name, f.Content)
		}
	}
	for _, release := range x.Releases {
		id := s.must(t, "POST", path+"releases", map[string]any{"tag_name": release.Tag, "name": release.Title, "body": release.Body})["id"]
		for _, f := range release.Files {
			s.upload(t, fmt.Sprintf("%sreleases/%v/assets", path, id), f.Name, f.Content)
		}
	}
	for _, p := range x.Wiki {
		s.must(t, "POST", path+"wiki/new", map[string]any{"title": p.Title, "content_base64": base64.StdEncoding.EncodeToString([]byte(p.Content))})
	}
	for _, rule := range x.Rules { // last: they forbid pushes
		s.must(t, "POST", path+"branch_protections", map[string]any{
			"rule_name": rule.Name, "enable_push": rule.Push, "enable_push_whitelist": rule.Users != nil, "push_whitelist_usernames": rule.Users, "require_signed_commits": rule.Signed,
			"required_approvals": rule.Approvals,
		})
	}
	for _, rule := range x.TagRules {
		s.must(t, "POST", path+"tag_protections", map[string]any{"name_pattern": rule.Pattern, "whitelist_usernames": rule.Users})
	}
}

// publish puts a file into an owner's registry of what is of no kind.
func (s *server) publish(t *testing.T, owner, name, version string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, fmt.Sprintf("%s/api/packages/%s/generic/%s/%s/file.txt", s.url, owner, name, version), strings.NewReader("content"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "token "+s.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if said, err := io.ReadAll(resp.Body); resp.StatusCode != http.StatusCreated || err != nil {
		t.Fatalf("publishing %s: %s %s %v", name, resp.Status, said, err)
	}
}

// pull makes a pull request of a new file, with reviews of it, and returns its number.
func (s *server) pull(t *testing.T, path string, x forgetest.GiteaIssue) any {
	t.Helper()
	s.must(t, "POST", path+"contents/proposed", map[string]any{"content": base64.StdEncoding.EncodeToString([]byte("a line\n")), "message": "propose", "branch": "main", "new_branch": "proposal"})
	number := s.must(t, "POST", path+"pulls", map[string]any{"title": x.Title, "body": x.Body, "head": "proposal", "base": "main"})["number"]
	for _, review := range x.Reviews {
		var comments []map[string]any
		for _, body := range review.Comments {
			comments = append(comments, map[string]any{"path": "proposed", "body": body, "new_position": 1})
		}
		s.must(t, "POST", fmt.Sprintf("%spulls/%v/reviews", path, number), map[string]any{"event": "COMMENT", "body": review.Body, "comments": comments})
	}
	return number
}

// register has a runner say that it is there, as Gitea's own does (connectrpc.com, unary calls in JSON).
func (s *server) register(t *testing.T, path string, x forgetest.Runner) {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"name": x.Name, "token": s.must(t, "POST", path+"/actions/runners/registration-token", nil)["token"], "version": "v0.3.0", "labels": x.Labels, "ephemeral": x.Ephemeral,
	})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(s.url+"/api/actions/runner.v1.RunnerService/Register", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if said, err := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || err != nil {
		t.Fatalf("registering a runner: %s %s %v", resp.Status, said, err)
	}
}

func environment(t *testing.T, vars map[string]string) audit.Env {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return audit.Env{
		HTTP: &http.Client{Transport: transport}, Getenv: func(k string) string { return vars[k] }, Log: slog.New(slog.DiscardHandler),
		UserAgent: "leakreach/test", Calls: &audit.Calls{}, Now: time.Now,
	}
}

// list says what a provider yields for a ref, a line each, without what no two servers have in common: numbers and times.
func list(t *testing.T, p *gitea.Provider, ref string) (lines []string) {
	t.Helper()
	say := func(format string, args ...any) { lines = append(lines, ref+": "+fmt.Sprintf(format, args...)) }
	for target, err := range p.Targets(t.Context(), ref) {
		if gap := (*audit.Gap)(nil); errors.As(err, &gap) {
			say("gap: %v", gap)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", ref, err)
			return lines
		}
		for _, address := range []string{target.URL, target.Attrs["clone_url"]} {
			if address != "" && !strings.HasPrefix(address, "http://127.0.0.1:") {
				t.Errorf("%s: %s is elsewhere", target.Name, address)
			}
		}
		delete(target.Attrs, "clone_url")
		delete(target.Attrs, "id")
		say("%s %s %v %q", target.Kind, target.Name, target.Attrs, target.Cursor)
		for it, err := range p.Items(t.Context(), target) {
			if gap := (*audit.Gap)(nil); errors.As(err, &gap) {
				say("gap of %s: %v", target.Name, gap)
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", target.Name, err)
				break
			}
			if it.At.Name != runnerName { // the fake needs none
				say("%s", itemLine(t, it))
			}
		}
	}
	return lines
}

var numbers = regexp.MustCompile(`\d+`)

// itemLine is an item in one line.
func itemLine(t *testing.T, it audit.Item) string {
	t.Helper()
	content := string(it.Content)
	if it.Open != nil {
		in, err := it.Open(t.Context())
		if err != nil {
			return fmt.Sprintf("%s %s: %v", it.Kind, it.At.Name, err)
		}
		b, err := io.ReadAll(in)
		if err = errors.Join(err, in.Close()); err != nil {
			t.Error(err)
		}
		if content = string(b); strings.HasPrefix(content, "PK") {
			content = "a zip archive"
		}
	}
	name, facts := it.At.Name, map[string]string{}
	if it.Entry != nil {
		name, facts = it.Entry.Name, maps.Clone(it.Entry.Facts)
	}
	for _, fact := range []string{"id", "created_at", "pushed_at", "head_sha", "size", "expires_at", "status", "updated_at"} {
		delete(facts, fact)
	}
	switch it.Kind {
	case audit.KindRunner:
		content = ""
	case audit.KindLog: // a runner says more than the job
		_, said, _ := strings.Cut(content, "this was printed")
		content = strings.Split("this was printed"+said, "\n")[0]
	}
	return fmt.Sprintf("%s %s %v %q %s", it.Kind, name, facts, content, numbers.ReplaceAllString(it.At.Path, "N"))
}

// A checker sits before a fake and holds each exchange against Gitea's description of its API.
type checker struct {
	t      *testing.T
	router routers.Router
	fake   http.Handler
	seen   map[string]bool // paths, as the description has them
}

func newChecker(t *testing.T, s *server, fake http.Handler) *checker {
	t.Helper()
	resp, err := http.Get(s.url + "/swagger.v1.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var old openapi2.T
	if err := json.NewDecoder(resp.Body).Decode(&old); err != nil {
		t.Fatal(err)
	}
	doc, err := openapi2conv.ToV3(&old)
	if err != nil {
		t.Fatal(err)
	}
	doc.Servers = openapi3.Servers{{URL: "/api/v1"}}
	for _, schema := range doc.Components.Schemas { // what is not described is not there
		if x := schema.Value; x != nil && len(x.Properties) > 0 {
			no := false
			x.AdditionalProperties = openapi3.AdditionalProperties{Has: &no}
			for _, property := range x.Properties { // nothing in it says what may be null, and much is
				if property.Value != nil {
					property.Value.Nullable = true
				}
			}
		}
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &checker{t: t, router: router, fake: fake, seen: map[string]bool{}}
}

func (c *checker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec := httptest.NewRecorder()
	c.fake.ServeHTTP(rec, r)
	file := strings.HasPrefix(r.URL.Path, "/attachments/") || strings.HasSuffix(r.URL.Path, "/zip/raw") // which the description has not
	if err := c.check(r.Context(), r, rec); err != nil && !file {
		said, _, _ := strings.Cut(err.Error(), "\n") // what follows is the schema, pages of it
		c.t.Errorf("%s %s, answered with %d: %s", r.Method, r.URL, rec.Code, said)
	}
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
}

func (c *checker) check(ctx context.Context, r *http.Request, rec *httptest.ResponseRecorder) error {
	route, params, err := c.router.FindRoute(r)
	if err != nil {
		return err
	}
	c.seen[route.Path] = true
	for name := range r.URL.Query() {
		if (strings.HasSuffix(route.Path, "/runners") || strings.HasSuffix(route.Path, "/artifacts")) && (name == "page" || name == "limit") {
			continue // Gitea obeys them there, too, and does not say so
		}
		if !slices.ContainsFunc(route.Operation.Parameters, func(p *openapi3.ParameterRef) bool { return p.Value.In == "query" && p.Value.Name == name }) {
			return fmt.Errorf("no parameter %s", name)
		}
	}
	return openapi3filter.ValidateResponse(ctx, &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route},
		Status:                 rec.Code, Header: rec.Header(), Body: io.NopCloser(bytes.NewReader(rec.Body.Bytes())),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	})
}

// checkerTest: the checker itself notices what it is there for.
func checkerTest(t *testing.T, s *server) {
	for name, test := range map[string]struct {
		path, body string
		sound      bool
	}{
		"unknown path":      {"/api/v1/repos/acme/web/actions/variable", `[]`, false},
		"unknown parameter": {"/api/v1/repos/acme/web/actions/variables?per_page=30", `[]`, false},
		"unknown field":     {"/api/v1/repos/acme/web/actions/variables?limit=30", `[{"name":"A","value":"1"}]`, false},
		"wrong type":        {"/api/v1/repos/acme/web/actions/variables?limit=30", `[{"name":"A","data":1}]`, false},
		"sound":             {"/api/v1/repos/acme/web/actions/variables?limit=30", `[{"name":"A","data":"1"}]`, true},
	} {
		c := newChecker(t, s, nil)
		rec := httptest.NewRecorder()
		rec.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = io.WriteString(rec, test.body)
		if err := c.check(t.Context(), httptest.NewRequest(http.MethodGet, test.path, nil), rec); (err == nil) != test.sound {
			t.Errorf("%s: %v", name, err)
		}
	}
}
