package git

import (
	"context"
	"errors"
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
		r, err := Clone(t.Context(), s.URL+"/acme/"+name, o)
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
			r, err := Clone(t.Context(), tt.address, options(tt.token))
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
		if _, err := Clone(ctx, s.URL+"/acme/silent.git", options(token)); !errors.Is(err, context.DeadlineExceeded) {
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
