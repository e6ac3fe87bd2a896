package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/gittest"
)

// server serves a bare repository below /acme/web.git with git's own http-backend, for one token.
func server(t *testing.T, bare, token string) *httptest.Server {
	t.Helper()
	backend := http.StripPrefix("/acme", gittest.Server(t, filepath.Dir(bare)))
	mux := http.NewServeMux()
	mux.HandleFunc("/acme/web.git/", func(w http.ResponseWriter, r *http.Request) {
		if user, pass, _ := r.BasicAuth(); user != "x-access-token" || pass != token {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if lines := commandLines(); strings.Contains(lines, token) {
			t.Error("the token is in the arguments of a process")
		}
		backend.ServeHTTP(w, r)
	})
	mux.HandleFunc("/acme/old.git/", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, strings.Replace(r.URL.String(), "old.git", "web.git", 1), http.StatusMovedPermanently)
	})
	mux.HandleFunc("/acme/loop.git/", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.String(), http.StatusFound)
	})
	mux.HandleFunc("/acme/html.git/", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("<html>\x1b[31mSign in</html>"))
	})
	mux.HandleFunc("/acme/forbidden.git/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	mux.HandleFunc("/acme/busy.git/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	mux.HandleFunc("/acme/silent.git/", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// commandLines joins the arguments of all processes, where the system shows them as files.
func commandLines() string {
	var all strings.Builder
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		b, _ := os.ReadFile(f)
		all.Write(b)
	}
	return all.String()
}

func options(token string) CloneOptions {
	return CloneOptions{HTTP: http.DefaultClient, Getenv: func(string) string { return "" }, Username: "x-access-token", Token: token}
}

func TestClone(t *testing.T) {
	source := gittest.New(t)
	source.Write("f", "on main")
	source.Commit("m")
	source.Git("notes", "add", "-m", "a note")
	source.Git("update-ref", "refs/pull/1/head", source.Git("commit-tree", "-m", "pull request", "HEAD^{tree}"))
	bare := filepath.Join(t.TempDir(), "web.git")
	source.Git("clone", "-q", "--mirror", ".", bare)
	const token = "placeholder-for-a-token"
	s := server(t, bare, token)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the token followed a redirect")
		}
		w.WriteHeader(http.StatusTeapot)
	}))
	defer elsewhere.Close()
	s.Config.Handler.(*http.ServeMux).HandleFunc("/acme/moved.git/", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+r.URL.String(), http.StatusFound)
	})
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)

	for _, name := range []string{"web.git", "old.git"} {
		o := options(token)
		o.AllRefs = name == "old.git"
		r, err := clone(t.Context(), s.URL+"/acme/"+name, o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var all strings.Builder
		for it, err := range r.Items(t.Context(), Options{}) {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			all.Write(it.Content)
			if it.Done != nil {
				it.Done()
			}
		}
		for text, want := range map[string]bool{"on main": true, "a note": true, "pull request": o.AllRefs} {
			if strings.Contains(all.String(), text) != want {
				t.Errorf("%s: %q listed: %v, want %v", name, text, !want, want)
			}
		}
		if r.references().on != "refs/heads/main" {
			t.Errorf("HEAD is %q", r.references().on)
		}
		_ = filepath.WalkDir(temp, func(path string, d fs.DirEntry, _ error) error {
			if b, err := os.ReadFile(path); err == nil && strings.Contains(string(b), token) {
				t.Errorf("the token is in %s", path)
			}
			return nil
		})
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}

	tests := []struct {
		name, address, token string
		is                   error
		says                 string
	}{
		{"wrong token", s.URL + "/acme/web.git", "other", audit.ErrAuth, "401"},
		{"no token", s.URL + "/acme/web.git", "", audit.ErrAuth, "401"},
		{"forbidden", s.URL + "/acme/forbidden.git", token, audit.ErrAuth, "403"},
		{"not there", s.URL + "/acme/none.git", token, audit.ErrNothing, "404"},
		{"server error", s.URL + "/acme/busy.git", token, nil, "502"},
		{"a page", s.URL + "/acme/html.git", token, nil, "text/html"},
		{"elsewhere", s.URL + "/acme/moved.git", token, nil, "not followed"},
		{"loop", s.URL + "/acme/loop.git", token, nil, "too many redirects"},
		{"credentials in the address", "https://u:secret@example.com/x.git", token, audit.ErrUsage, "https://example.com"},
		{"another protocol", "ext::sh -c id", token, audit.ErrUsage, "not an HTTPS address"},
		{"a file", "file:///etc", token, audit.ErrUsage, "not an HTTPS address"},
		{"no TLS", "http://example.com/x.git", token, audit.ErrUsage, "TLS"},
		{"an option", "--upload-pack=id", token, audit.ErrUsage, "not an HTTPS address"},
		{"nobody listens", "http://127.0.0.1:1/x.git", token, nil, "refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := clone(t.Context(), tt.address, options(tt.token))
			if err == nil {
				_ = r.Close()
				t.Fatal("it was cloned")
			}
			if tt.is != nil && !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %q, want one that is %v and says %q", err, tt.is, tt.says)
			}
			if strings.ContainsAny(err.Error(), "\x1b\n") || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), token) {
				t.Errorf("error %q shows what it must not", err)
			}
		})
	}

	t.Run("silence", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if _, err := clone(ctx, s.URL+"/acme/silent.git", options(token)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want the context's", err)
		}
	})
	left, err := os.ReadDir(temp)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	noChildren(t)
}

// noChildren expects that no process of ours is left, not even a dead one.
func noChildren(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return
	}
	for range 50 {
		if children() == "" {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("processes left: %s", children())
}

func children() string {
	var all strings.Builder
	files, _ := filepath.Glob("/proc/self/task/*/children")
	for _, f := range files {
		b, _ := os.ReadFile(f)
		for pid := range strings.FieldsSeq(string(b)) {
			line, _ := os.ReadFile("/proc/" + pid + "/cmdline")
			all.WriteString(pid + " " + strings.ReplaceAll(string(line), "\x00", " ") + "; ")
		}
	}
	return all.String()
}

// listen serves the repositories below a directory, and returns the address of one.
func listen(t *testing.T, h http.Handler, name string) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL + "/" + name
}

// TestCloneIsMirror compares a clone of all refs with git's own.
func TestCloneIsMirror(t *testing.T) {
	for _, format := range []string{"sha1", "sha256"} {
		source := gittest.New(t, "--object-format="+format)
		for i := range 5 {
			source.Write("dir/f", strings.Repeat("line\n", 1000*i))
			source.Commit("m")
		}
		source.Git("tag", "-a", "-m", "a tag", "v1", "HEAD~1")
		source.Git("tag", "a-file", "HEAD:dir/f")
		source.Git("notes", "add", "-m", "a note")
		source.Git("update-ref", "refs/pull/1/head", source.Git("commit-tree", "-m", "pull request", "HEAD^{tree}"))
		source.Git("checkout", "-q", "--detach", "HEAD~2")
		mirror := source.At(filepath.Join(t.TempDir(), "mirror.git"))
		source.Git("clone", "-q", "--mirror", ".", mirror.Dir)
		o := options("")
		o.AllRefs = true
		r, err := clone(t.Context(), listen(t, gittest.Server(t, source.Dir), ".git"), o)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Close() }()
		if err := r.incoming.wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		copied := source.At(r.CommonDir)
		for _, pack := range packs(filepath.Join(copied.Dir, "objects")) {
			copied.Git("index-pack", pack) // a clone need not have an index; git cannot look into it without
		}
		for _, what := range [][]string{
			{"cat-file", "--batch-all-objects", "--batch-check"},
			{"for-each-ref"},
			{"rev-parse", "HEAD"},
			{"fsck", "--full", "--strict"},
		} {
			if got, want := copied.Git(what...), mirror.Git(what...); got != want {
				t.Errorf("%s: git %s:\n%s\nwant\n%s", format, what[0], got, want)
			}
		}
		if head := r.references(); head.on != "HEAD" || head.head != source.Git("rev-parse", "HEAD") {
			t.Errorf("HEAD is %s at %s", head.on, head.head)
		}
	}
}

func clone(ctx context.Context, address string, o CloneOptions) (*Repository, error) {
	m, err := Dial(ctx, address, o)
	if err != nil {
		return nil, err
	}
	return m.Clone(ctx)
}

// contents lists what a clone holds, and its gaps.
func contents(t *testing.T, address string, o CloneOptions) (all string, gaps []string) {
	t.Helper()
	r, err := clone(t.Context(), address, o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	var b strings.Builder
	for it, err := range r.Items(t.Context(), Options{}) {
		if err != nil {
			gaps = append(gaps, err.Error())
		}
		b.Write(it.Content)
		if it.Done != nil {
			it.Done()
		}
	}
	return b.String(), gaps
}

func TestCloneNewest(t *testing.T) {
	source := gittest.New(t)
	source.Write("f", "old text")
	source.Commit("old message")
	source.Write("f", "new text")
	source.Commit("new message")
	source.Git("checkout", "-q", "-b", "other", "HEAD~2")
	source.Write("g", "on another branch")
	source.Commit("another message")
	source.Git("checkout", "-q", "main")
	address := listen(t, gittest.Server(t, source.Dir), ".git")
	o := options("")
	o.Newest = true
	got, gaps := contents(t, address, o)
	if !strings.Contains(got, "new text") || strings.Contains(got, "old ") || strings.Contains(got, "another") || len(gaps) > 0 {
		t.Errorf("contents %q, gaps %q", got, gaps)
	}
	source.Git("symbolic-ref", "HEAD", "refs/heads/none")
	if got, gaps = contents(t, address, o); strings.Contains(got, "text") || len(gaps) != 1 || !strings.Contains(gaps[0], "default branch: the server has none") {
		t.Errorf("without a default branch: contents %q, gaps %q", got, gaps)
	}
	o.Newest = false
	if got, gaps = contents(t, address, o); !strings.Contains(got, "old text") || len(gaps) > 0 {
		t.Errorf("all of it without a default branch: gaps %q", gaps)
	}
}

// What a ref once named and another push put aside is fetched too, as far as it is still there.
func TestCloneFormer(t *testing.T) {
	source := gittest.New(t)
	source.Write("f", "text")
	source.Commit("first")
	source.Write("f", "text that was pushed over")
	over := source.Commit("message that was pushed over")
	source.Write("f", "text above it")
	above := source.Commit("above")
	source.Git("reset", "-q", "--hard", "HEAD~2")
	source.Write("f", "new text")
	head := source.Commit("new")
	address := listen(t, gittest.Server(t, source.Dir), ".git")
	nothing := strings.Repeat("12", 20)
	for _, test := range []struct {
		former []string
		over   bool
		lost   string
	}{
		{nil, false, ""},
		{[]string{head, strings.Repeat("0", 40), "HEAD", "x"}, false, ""},
		{[]string{over, over, head}, true, ""},
		{[]string{nothing, above, strings.Repeat("34", 20)}, true, "2 commits that refs once named: the server does not send them any more"},
	} {
		o := options("")
		o.Former = test.former
		got, gaps := contents(t, address, o)
		if strings.Contains(got, "text that was pushed over") != test.over || strings.Contains(got, "message that was pushed over") != test.over || !strings.Contains(got, "new text") {
			t.Errorf("%q: contents %q", test.former, got)
		}
		if strings.Join(gaps, ", ") != test.lost {
			t.Errorf("%q: gaps %q, want %q", test.former, gaps, test.lost)
		}
		m, err := Dial(t.Context(), address, o)
		if err != nil || m.State == "" {
			t.Error(m, err)
		}
	}
}

// TestCloneDumb has a server that only hands out files, which is left to git.
func TestCloneDumb(t *testing.T) {
	source := gittest.New(t)
	source.Write("f", "the content")
	source.Commit("m")
	source.Git("update-server-info")
	address := listen(t, http.FileServer(http.Dir(source.Dir)), ".git")
	if got, gaps := contents(t, address, options("")); !strings.Contains(got, "the content") || len(gaps) > 0 {
		t.Errorf("contents %q, gaps %q", got, gaps)
	}
	source.Remove(".git/objects")
	if _, err := clone(t.Context(), address, options("")); err == nil || !strings.Contains(err.Error(), "dumb protocol") {
		t.Errorf("error %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := clone(t.Context(), address, options("")); !errors.Is(err, ErrNoGit) || audit.HintOf(err) == "" {
		t.Errorf("error %v, hint %q", err, audit.HintOf(err))
	}
}

// TestCloneLies has a server that lists refs of which it does not send the objects, and one that none can have.
func TestCloneLies(t *testing.T) {
	source := gittest.New(t)
	source.Write("f", "the content")
	head := source.Commit("m")
	sum := source.GitIn(head+"\n", "pack-objects", "--revs", "-q", "pack")
	pack, err := os.ReadFile(filepath.Join(source.Dir, "pack-"+sum+".pack"))
	if err != nil {
		t.Fatal(err)
	}
	pkt := func(s string) string { return fmt.Sprintf("%04x%s", len(s)+4, s) }
	address := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			_, _ = io.WriteString(w, pkt(head+" HEAD\x00symref=HEAD:refs/heads/main")+pkt(head+" refs/heads/main")+
				pkt(strings.Repeat("1", 40)+" refs/heads/lie")+pkt(head+" refs/heads/../../../x")+"0000")
			return
		}
		w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
		_, _ = io.WriteString(w, pkt("NAK\n")+string(pack))
	}), "x.git")
	got, gaps := contents(t, address, options(""))
	all := strings.Join(gaps, "\n")
	if !strings.Contains(got, "the content") || len(gaps) != 2 || !strings.Contains(all, `missing or damaged; the first is "refs/heads/lie"`) ||
		!strings.Contains(all, "1 ref: malformed or listed twice") {
		t.Errorf("contents %q, gaps %q", got, gaps)
	}
}
