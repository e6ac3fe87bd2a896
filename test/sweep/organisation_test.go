//go:build unix

package sweep

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/leakreach/leakreach/providers/forgetest"
)

// An organisation is a GitHub with as many repositories as one likes. Each is a copy of one of a few that the fake of package forgetest has, under a
// name and an id of its own: what the fake, and git behind it, answered for one is kept and said of all of its copies, so that serving
// them costs less than scanning them. One repository in fifty cannot be read, in one of several ways.
type organisation struct {
	repositories int
	fake         *forgetest.GitHub

	mu    sync.Mutex
	known map[string]*httptest.ResponseRecorder

	api, git, sent atomic.Int64 // requests to each, and bytes of the answers
}

// A failing is what is wrong with a repository.
type failing int

const (
	sound     failing = iota
	broken            // 500 for ever
	gone              // 404, although it is listed
	closed            // 403
	cut               // the connection ends before the answer comes
	truncated         // the pack ends early
	failings
)

// The fake's own repositories. Their names and ids are as long as those of their copies, so that one can stand in the place of the other.
const (
	settingsName, settingsID     = "s%05d", 700000000
	historyName, historyID       = "h%05d", 800000000
	repositoryName, repositoryID = "r%05d", 900000000
)

// Which repositories of the fake have which settings.
const (
	plainSettings  = iota
	withDeployment // an environment
	withLeak       // a token in a variable, another one in each copy
	settingsKinds
)

// Which have which histories: some have nothing in common, some are forks of another, and in some lies a token.
const (
	ownHistories  = 8
	forkHistories = 5
	leakHistories = 3
	leakPath      = "deploy/production.env"
)

// newOrganisation makes one. Histories have 3 to 30 commits.
func newOrganisation(t testing.TB, repositories int) *organisation {
	t.Helper()
	o := &organisation{repositories: repositories, known: map[string]*httptest.ResponseRecorder{}}
	o.fake = &forgetest.GitHub{Token: "test", Login: "auditor", Owners: []*forgetest.Owner{{
		Login: "acme", Variables: []forgetest.Variable{{Name: "REGION", Value: "eu-central-1"}}, Secrets: []forgetest.Secret{{Name: "NPM_TOKEN"}},
	}}}
	for kind := range settingsKinds {
		r := &forgetest.GitHubRepo{
			FullName: "acme/" + fmt.Sprintf(settingsName, kind), ID: int64(settingsID + kind),
			Variables: []forgetest.Variable{{Name: "STAGE", Value: "production"}}, Secrets: []forgetest.Secret{{Name: "DEPLOY_KEY"}},
		}
		switch kind {
		case withDeployment:
			r.Environments = []forgetest.Environment{{Name: "production", Reviewers: true, Secrets: []forgetest.Secret{{Name: "KUBECONFIG"}}}}
		case withLeak:
			r.Variables = append(r.Variables, forgetest.Variable{Name: "DEPLOY_TOKEN", Value: token(settingsID)})
		}
		o.fake.Repos = append(o.fake.Repos, r)
	}
	upstream := commits("upstream", 12)
	for i := range ownHistories + forkHistories + leakHistories {
		var all []forgetest.Commit
		switch leak := i - ownHistories - forkHistories; {
		case i < ownHistories:
			all = commits(fmt.Sprint("own", i), 3+i*27/(ownHistories-1))
		case leak < 0:
			all = append(append(all, upstream...), commits(fmt.Sprint("fork", i), i-ownHistories)...)
		default:
			all = append(append(all, upstream...), forgetest.Commit{leakPath: "TOKEN=" + token(uint64(historyID+leak)) + "\n"})
			if leak > 0 { // was taken out again
				all = append(all, forgetest.Commit{leakPath: "# moved to the vault\n"})
			}
		}
		o.fake.Repos = append(o.fake.Repos, &forgetest.GitHubRepo{
			FullName: "acme/" + fmt.Sprintf(historyName, i), ID: int64(historyID + i), Dir: forgetest.Repository(t, all...),
		})
	}
	return o
}

// commits makes a history of source files that grow.
func commits(name string, n int) (all []forgetest.Commit) {
	text := map[string]string{}
	for i := range n {
		path := fmt.Sprintf("src/%s/module%d.go", name, i%5)
		text[path] += fmt.Sprintf("package %s // %d\n\n// Step%d does the work of one step, and says so where it fails.\nfunc Step%d(in string) (string, error) {\n\treturn %q + in, nil\n}\n\n",
			name, i, i, i, strings.Repeat(name, 3))
		all = append(all, forgetest.Commit{path: text[path], "README.md": fmt.Sprintf("# %s\n\nVersion %d of it.\n", name, i)})
	}
	return all
}

// spread is a number below 1000 for a repository. Neighbours differ, so that few repositories have all kinds among them too.
func spread(i int) int { return i * 617 % 1000 }

// failing tells what is wrong with a repository.
func (o *organisation) failing(i int) failing {
	if x := spread(i); x < 20 {
		return 1 + failing(x)%(failings-1)
	}
	return sound
}

// settings is which repository of the fake has the settings of one.
func (o *organisation) settings(i int) int {
	switch x := spread(i); {
	case x >= 20 && x < 25:
		return withLeak
	case x%10 < 3:
		return withDeployment
	}
	return plainSettings
}

// history is which has its history.
func (o *organisation) history(i int) int {
	switch x := spread(i); {
	case x >= 25 && x < 35:
		return ownHistories + forkHistories + x%leakHistories
	case x%10 >= 8:
		return ownHistories + i%forkHistories
	}
	return i % ownHistories
}

// planted is what is to be found in a repository: places of tokens.
func (o *organisation) planted(i int) (places []string) {
	if o.settings(i) == withLeak {
		places = append(places, "DEPLOY_TOKEN")
	}
	if o.history(i) >= ownHistories+forkHistories {
		places = append(places, leakPath)
	}
	return places
}

var repositoryPath = regexp.MustCompile(`^/(?:repos/)?acme/r(\d{5})(\.git)?(/.*)?$`)

func (o *organisation) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m := repositoryPath.FindStringSubmatch(r.URL.Path)
	if m == nil {
		o.api.Add(1)
		if r.URL.Path == "/orgs/acme/repos" {
			o.list(w, r)
			return
		}
		o.fake.ServeHTTP(w, r)
		return
	}
	i, _ := strconv.Atoi(m[1])
	isGit := m[2] != ""
	count := &o.api
	if isGit {
		count = &o.git
	}
	count.Add(1)
	failing := o.failing(i)
	switch failing {
	case broken:
		forgetest.Fail(w, http.StatusInternalServerError, "Server Error")
		return
	case gone:
		forgetest.Fail(w, http.StatusNotFound, "Not Found")
		return
	case closed:
		forgetest.Fail(w, http.StatusForbidden, "Repository access blocked")
		return
	case cut:
		panic(http.ErrAbortHandler)
	}
	if !isGit {
		kind := o.settings(i)
		body := o.answer(w, r, "/repos/acme/"+fmt.Sprintf(settingsName, kind)+m[3])
		if body != nil {
			o.write(w, copyOf(body, settingsName, settingsID, kind, i))
		}
		return
	}
	body := o.answer(w, r, "/acme/"+fmt.Sprintf(historyName, o.history(i))+".git"+m[3])
	if failing == truncated && bytes.Contains(body, []byte("PACK")) {
		o.write(w, body[:len(body)/2])
		panic(http.ErrAbortHandler)
	}
	o.write(w, body)
}

func (o *organisation) write(w http.ResponseWriter, body []byte) {
	n, _ := w.Write(body) // who asked may be gone
	o.sent.Add(int64(n))
}

// answer writes the head of what the fake says at another path, and returns the rest.
func (o *organisation) answer(w http.ResponseWriter, r *http.Request, path string) []byte {
	said, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	query := r.URL.RawQuery
	key := strings.Join([]string{r.Host, r.Method, path, query, r.Header.Get("Authorization"), r.Header.Get("Git-Protocol"), r.Header.Get("If-None-Match"), string(said)}, "\x00")
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.known[key]
	if a == nil {
		ask := r.Clone(r.Context())
		ask.URL = &url.URL{Path: path, RawQuery: query}
		ask.Body = io.NopCloser(bytes.NewReader(said))
		a = httptest.NewRecorder()
		o.fake.ServeHTTP(a, ask)
		o.known[key] = a
	}
	for name, values := range a.Header() {
		if !strings.HasPrefix(name, "X-Ratelimit-") { // those were true then
			w.Header()[name] = values
		}
	}
	w.WriteHeader(a.Code)
	return a.Body.Bytes()
}

// copyOf makes of what is said of a repository of the fake what is said of a copy of it.
func copyOf(body []byte, name string, id, from, to int) []byte {
	body = bytes.ReplaceAll(body, fmt.Appendf(nil, name, from), fmt.Appendf(nil, repositoryName, to))
	body = bytes.ReplaceAll(body, []byte(token(settingsID)), []byte(token(uint64(repositoryID+to))))
	return bytes.ReplaceAll(body, fmt.Append(nil, id+from), fmt.Append(nil, repositoryID+to))
}

// list is one page of the listing of all repositories.
func (o *organisation) list(w http.ResponseWriter, r *http.Request) {
	const per = 100
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	page = max(page, 1)
	last := (o.repositories + per - 1) / per
	if page < last {
		at := "<http://" + r.Host + r.URL.Path + "?per_page=100&page=%d>; rel=%q"
		w.Header().Set("Link", fmt.Sprintf(at, page+1, "next")+", "+fmt.Sprintf(at, last, "last"))
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	descriptions := make([][]byte, settingsKinds)
	for kind := range descriptions {
		a := httptest.NewRecorder()
		path := "/repos/acme/" + fmt.Sprintf(settingsName, kind)
		o.fake.ServeHTTP(a, &http.Request{Method: http.MethodGet, Host: r.Host, URL: &url.URL{Path: path}, Header: r.Header})
		descriptions[kind] = a.Body.Bytes()
	}
	var all [][]byte
	for i := (page - 1) * per; i < min(page*per, o.repositories); i++ {
		all = append(all, copyOf(descriptions[o.settings(i)], settingsName, settingsID, o.settings(i), i))
	}
	o.write(w, fmt.Appendf(nil, "[%s]", bytes.Join(all, []byte(","))))
}
