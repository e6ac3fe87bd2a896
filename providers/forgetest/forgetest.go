// Package forgetest holds fakes of code forges for tests: the parts of their APIs that the providers use, with the repositories
// behind them served over git's smart HTTP. They check tokens and page as the originals do, and can be told to fail.
//
// The fake GitHub is held against GitHub's OpenAPI description by the tests in test/forge; for GitLab there is no such
// description in a package registry, so its fake is held against both of GitLab's Go clients and the parameters they know. The fake Gitea
// is held against a Gitea by those in test/gitea.
package forgetest

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Request is what a fake was asked.
type Request struct {
	Method, Path string // Path as escaped by the client
	Query        url.Values
	Header       http.Header
}

// server is what the fakes share.
type server struct {
	// Fault, if set, sees each request first and answers it if it wants to: it tells whether it did.
	Fault func(w http.ResponseWriter, r *http.Request) bool

	// Limit, if set, is how many requests each token may send until Reset, which then is an hour later. Answers say what is left.
	Limit int
	Reset time.Time
	Now   func() time.Time // for Reset and Date; nil means the time of day

	mu       sync.Mutex
	requests []Request
	used     map[string]int // by token
}

// Requests are the requests so far.
func (s *server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Count tells how many requests so far had a path that ends in suffix.
func (s *server) Count(suffix string) (n int) {
	for _, r := range s.Requests() {
		if strings.HasSuffix(r.Path, suffix) {
			n++
		}
	}
	return n
}

func (s *server) before(w http.ResponseWriter, r *http.Request) (answered bool) {
	s.mu.Lock()
	s.requests = append(s.requests, Request{r.Method, r.URL.EscapedPath(), r.URL.Query(), r.Header.Clone()})
	s.mu.Unlock()
	return s.Fault != nil && s.Fault(w, r)
}

// Used tells how many requests a token has spent since the last reset.
func (s *server) Used(token string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used[token]
}

// answer serves a request with the entity tag of what it is answered, which may be that nothing has changed, and with what then is left of the
// limit. prefix is that of the headers that say so. An answer that nothing has changed costs nothing where free is set, as on GitHub.
func (s *server) answer(w http.ResponseWriter, r *http.Request, token, prefix string, free bool, serve http.HandlerFunc) {
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	at := now()
	w.Header().Set("Date", at.UTC().Format(http.TimeFormat))
	spend := func(n int) (left int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !at.Before(s.Reset) {
			s.used, s.Reset = map[string]int{}, at.Truncate(time.Second).Add(time.Hour)
		}
		if left = s.Limit - s.used[token] - n; left >= 0 && s.Limit > 0 {
			s.used[token] += n
		}
		if s.Limit > 0 {
			w.Header().Set(prefix+"Limit", strconv.Itoa(s.Limit))
			w.Header().Set(prefix+"Remaining", strconv.Itoa(max(left, 0)))
			w.Header().Set(prefix+"Reset", strconv.FormatInt(s.Reset.Unix(), 10))
		}
		return left
	}
	rec := httptest.NewRecorder()
	serve(rec, r)
	sum := sha256.Sum256(rec.Body.Bytes())
	tag := `W/"` + hex.EncodeToString(sum[:]) + `"`
	same := rec.Code == http.StatusOK && r.Header.Get("If-None-Match") == tag
	cost := 1
	if same && free {
		cost = 0
	}
	if spend(cost) < 0 && s.Limit > 0 {
		Fail(w, http.StatusForbidden, "API rate limit exceeded")
		return
	}
	maps.Copy(w.Header(), rec.Header())
	if rec.Code == http.StatusOK && r.Method == http.MethodGet {
		w.Header().Set("ETag", tag)
	}
	if same {
		w.Header().Del("Content-Type")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
}

// Start serves a fake until the test ends and returns its address.
func Start(t testing.TB, fake http.Handler) string {
	t.Helper()
	if g, ok := fake.(*GitHub); ok && g.Blobs == nil {
		g.StartBlobs(t)
	}
	srv := httptest.NewServer(fake)
	t.Cleanup(srv.Close)
	return srv.URL
}

// Fail answers one status with a message, as a Fault does.
func Fail(w http.ResponseWriter, status int, message string) bool {
	writeJSON(w, status, map[string]string{"message": message, "documentation_url": "https://docs.example.com/rest", "status": strconv.Itoa(status)})
	return true
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// window cuts the page a request asks for out of n items.
func window(r *http.Request, n, size, most int) (from, to, page, last, per int) {
	number := func(name string, otherwise int) int {
		if v, err := strconv.Atoi(r.URL.Query().Get(name)); err == nil && v > 0 {
			return v
		}
		return otherwise
	}
	per = min(number("per_page", size), most)
	page = number("page", 1)
	last = max(1, (n+per-1)/per)
	from = min((page-1)*per, n)
	return from, min(from+per, n), page, last, per
}

// at is the address of a request with some parameters replaced.
func at(r *http.Request, set map[string]string) string {
	q := r.URL.Query()
	for k, v := range set {
		q.Set(k, v)
	}
	return "http://" + r.Host + r.URL.EscapedPath() + "?" + q.Encode()
}

// Commit is one commit of a repository made by [Repository].
type Commit map[string]string // path → content, added to what was there

// Repository makes a bare repository with these commits on main, one day apart from 2026-01-01, and returns its folder. It skips the test
// on a machine without git.
func Repository(t testing.TB, commits ...Commit) string {
	t.Helper()
	needGit(t)
	work, bare := t.TempDir(), filepath.Join(t.TempDir(), "repository.git")
	when := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir = work
		stamp := when.Format(time.RFC3339)
		cmd.Env = append(gitEnv(), "GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.com",
			"GIT_AUTHOR_DATE="+stamp, "GIT_COMMITTER_DATE="+stamp)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", args[0], err, out)
		}
	}
	run("init", "-q", "-b", "main")
	for i, commit := range commits {
		for path, content := range commit {
			full := filepath.Join(work, filepath.FromSlash(path))
			if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		run("add", "-A")
		run("commit", "-q", "--allow-empty", "-m", fmt.Sprintf("commit %d", i+1))
		when = when.AddDate(0, 0, 1)
	}
	run("clone", "-q", "--bare", work, bare)
	return bare
}

func needGit(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("git is missing")
		}
		t.Skip("git is missing: install git to run this test")
	}
}

func gitEnv() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "LC_ALL=C"}
}

// serveGit answers the two requests of a fetch (git's http-protocol documentation) from a folder; "" is an empty repository.
func serveGit(w http.ResponseWriter, r *http.Request, dir, call string) {
	if dir == "" {
		empty, err := os.MkdirTemp("", "forgetest-empty-")
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer func() { _ = os.RemoveAll(empty) }()
		if err := exec.Command("git", "init", "-q", "--bare", empty).Run(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		dir = empty
	}
	args := []string{"upload-pack", "--stateless-rpc", dir}
	var in io.Reader
	switch {
	case call == "info/refs" && r.Method == http.MethodGet && r.URL.Query().Get("service") == "git-upload-pack":
		args = []string{"upload-pack", "--stateless-rpc", "--advertise-refs", dir}
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
	case call == "git-upload-pack" && r.Method == http.MethodPost:
		w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
		in = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			zipped, err := gzip.NewReader(r.Body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			in = zipped
		}
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	if in == nil {
		const service = "# service=git-upload-pack\n"
		_, _ = fmt.Fprintf(w, "%04x%s0000", len(service)+4, service)
	}
	cmd := exec.CommandContext(r.Context(), "git", args...)
	cmd.Env = append(gitEnv(), "GIT_PROTOCOL="+r.Header.Get("Git-Protocol"))
	cmd.Stdin, cmd.Stdout = in, w
	_ = cmd.Run() // the client sees a cut answer
}
