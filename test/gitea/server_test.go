//go:build unix

package gitea

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A server is a Gitea, with a proxy before it that counts what passes.
type server struct {
	url   string // of the proxy, which Gitea takes for its own
	root  string // where it keeps repositories
	token string // an administrator's

	passing sync.RWMutex // held by each request until it is counted

	mu     sync.Mutex
	counts traffic
	fault  func(*http.Request) bool // sees each request before Gitea does; true: it is answered with 500
}

// traffic is what passed the proxy.
type traffic struct {
	calls    int // of the API
	logs     int // of jobs, among those
	files    int // artifacts and attachments
	hellos   int // git's first request, info/refs
	posts    int // git-upload-pack: refs, and then packs
	apiBytes int64
	gitBytes int64
}

// missing skips a test, or fails it where everything must be there.
func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// start starts a Gitea with a database of its own, until the test ends.
func start(t *testing.T) *server {
	t.Helper()
	program, err := exec.LookPath("gitea")
	if err != nil {
		program, err = filepath.Abs("../../.tools/bin/gitea")
		if err == nil {
			_, err = os.Stat(program)
		}
	}
	if err != nil {
		missing(t, "gitea is missing: `make tools` builds it")
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "code.gitea.io/gitea")
	list.Dir, list.Env = "server", append(os.Environ(), "GOFLAGS=-mod=readonly")
	files, err := list.Output()
	if err != nil || len(bytes.TrimSpace(files)) == 0 {
		missing(t, fmt.Sprintf("Gitea's templates are missing: cd test/gitea/server && go mod download code.gitea.io/gitea (%v)", err))
	}

	dir := t.TempDir()
	s := &server{root: filepath.Join(dir, "repositories")}
	behind := free(t)
	s.url = s.proxy(t, &url.URL{Scheme: "http", Host: behind})
	_, port, _ := net.SplitHostPort(behind)
	config := filepath.Join(dir, "app.ini")
	settings := fmt.Sprintf(`RUN_MODE = prod
WORK_PATH = %[1]s
[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = %[2]s
ROOT_URL = %[3]s/
LOCAL_ROOT_URL = http://127.0.0.1:%[2]s/
STATIC_ROOT_PATH = %[4]s
OFFLINE_MODE = true
DISABLE_SSH = true
[database]
DB_TYPE = sqlite3
PATH = %[1]s/gitea.db
SQLITE_JOURNAL_MODE = WAL
[repository]
ROOT = %[5]s
[security]
INSTALL_LOCK = true
SECRET_KEY = of-the-test
[service]
DISABLE_REGISTRATION = true
[indexer]
ISSUE_INDEXER_TYPE = db
[log]
MODE = console
LEVEL = warn
`, dir, port, s.url, strings.TrimSpace(string(files)), s.root)
	if err := os.WriteFile(config, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	environment := append(os.Environ(), "HOME="+dir, "GITEA_WORK_DIR="+dir, "GITEA_I_AM_BEING_UNSAFE_RUNNING_AS_ROOT=true", "GIT_CONFIG_NOSYSTEM=1")
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, append([]string{"--config", config}, args...)...)
		cmd.Env = environment
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("gitea %s: %v\n%s", args[0], err, out)
		}
		return string(out)
	}
	run("migrate")
	said := strings.Fields(run("admin", "user", "create", "--username", "root", "--email", "root@example.com", "--password", "of-the-test", "--admin",
		"--access-token", "--access-token-scopes", "all"))
	s.token = said[len(said)-1]

	ctx, cancel := context.WithCancel(context.Background())
	web := exec.CommandContext(ctx, program, "--config", config, "web")
	web.Cancel = func() error { return web.Process.Signal(syscall.SIGTERM) }
	web.WaitDelay = 10 * time.Second
	var log bytes.Buffer
	web.Env, web.Stdout, web.Stderr = environment, &log, &log
	if err := web.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = web.Wait() // it was asked to end
		if t.Failed() {
			t.Logf("Gitea said:\n%s", tail(log.String(), 4000))
		}
	})
	for deadline := time.Now().Add(3 * time.Minute); ; { // it takes three seconds on a machine with nothing else to do
		resp, err := http.Get("http://" + behind + "/api/healthz")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return s
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("Gitea does not answer: %v\n%s", err, tail(log.String(), 4000))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// free finds a port that nobody listens at.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func (s *server) proxy(t *testing.T, to *url.URL) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	forward := httputil.NewSingleHostReverseProxy(to)
	forward.Transport = &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true} // what passes is not unpacked
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.passing.RLock()
		defer s.passing.RUnlock()
		s.mu.Lock()
		fault := s.fault
		s.mu.Unlock()
		if fault != nil && fault(r) {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		n := &counter{ResponseWriter: w}
		defer s.count(r, n) // forward panics when a client has read enough
		forward.ServeHTTP(n, r)
	})}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	return "http://" + l.Addr().String()
}

func (s *server) count(r *http.Request, n *counter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case strings.HasPrefix(r.URL.Path, "/attachments/"):
		s.counts.files++
		s.counts.apiBytes += n.bytes
	case strings.HasPrefix(r.URL.Path, "/api/"):
		s.counts.calls++
		switch {
		case strings.HasSuffix(r.URL.Path, "/logs"):
			s.counts.logs++
		case strings.HasSuffix(r.URL.Path, "/zip/raw"):
			s.counts.files++
		}
		s.counts.apiBytes += n.bytes
	case strings.HasSuffix(r.URL.Path, "/info/refs"):
		s.counts.hellos++
		s.counts.gitBytes += n.bytes
	case strings.HasSuffix(r.URL.Path, "/git-upload-pack"):
		s.counts.posts++
		s.counts.gitBytes += n.bytes
	}
}

// A counter counts the bytes of an answer.
type counter struct {
	http.ResponseWriter
	bytes int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.bytes += int64(n)
	return n, err
}

// Flush lets packs pass as they come.
func (c *counter) Flush() {
	if f, ok := c.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// passed returns what has passed since it was last asked.
func (s *server) passed() traffic {
	s.passing.Lock()
	defer s.passing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.counts
	s.counts = traffic{}
	return n
}

func (s *server) setFault(f func(*http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// call asks the API as the administrator, or with another token, and returns what it says.
func (s *server) call(method, path string, body any, credentials ...string) (map[string]any, error) {
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, s.url+"/api/v1/"+path, content)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	switch len(credentials) {
	case 0:
		req.Header.Set("Authorization", "token "+s.token)
	case 1:
		req.Header.Set("Authorization", "token "+credentials[0])
	default:
		req.SetBasicAuth(credentials[0], credentials[1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	said, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	if resp.StatusCode > 299 {
		return nil, fmt.Errorf("%s %s: %d %.500s", method, path, resp.StatusCode, said)
	}
	var out map[string]any
	_ = json.Unmarshal(said, &out) // some answers are empty or a list, which no test reads
	return out, nil
}

func (s *server) must(t *testing.T, method, path string, body any, credentials ...string) map[string]any {
	t.Helper()
	out, err := s.call(method, path, body, credentials...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
