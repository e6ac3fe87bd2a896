package forge

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
)

func TestDownload(t *testing.T) {
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Private-Token") != "" || r.Header.Get("Authorization") != "":
			http.Error(w, "the credential went to the storage", http.StatusBadRequest)
		case r.URL.Path == "/again":
			http.Redirect(w, r, "/file?signature=s3cr3t", http.StatusFound)
		case r.URL.Path == "/file" && r.URL.Query().Get("signature") == "s3cr3t":
			_, _ = io.WriteString(w, "from storage")
		case r.URL.Path == "/ever":
			http.Redirect(w, r, "/ever", http.StatusFound)
		default:
			http.Error(w, "expired", http.StatusForbidden)
		}
	}))
	defer storage.Close()
	stop := make(chan struct{})
	defer close(stop)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Private-Token") != secret {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		to := map[string]string{
			"/stored": "/file?signature=s3cr3t", "/twice": "/again", "/expired": "/file?signature=0ld", "/ever": "/ever",
		}[r.URL.Path]
		switch {
		case to != "":
			http.Redirect(w, r, storage.URL+to, http.StatusFound)
		case r.URL.Path == "/moved":
			http.Redirect(w, r, "/log", http.StatusMovedPermanently)
		case r.URL.Path == "/file-scheme":
			w.Header().Set("Location", "file:///etc/passwd")
			w.WriteHeader(http.StatusFound)
		case r.URL.Path == "/nowhere":
			w.Header().Set("Location", "https://storage.example.com/%zz?signature=s3cr3t")
			w.WriteHeader(http.StatusFound)
		case r.URL.Path == "/log":
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, strings.Repeat("x", 1000))
		case r.URL.Path == "/page":
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = io.WriteString(w, "<html>sign in</html>")
		case r.URL.Path == "/silent":
			_, _ = io.WriteString(w, "begins")
			w.(http.Flusher).Flush()
			select {
			case <-stop:
			case <-r.Context().Done():
			}
		default:
			http.NotFound(w, r)
		}
	}))
	defer api.Close()
	base, _ := url.Parse(api.URL)
	env := audit.Env{HTTP: &http.Client{Transport: &http.Transport{}}, UserAgent: "leakreach/test", Calls: &audit.Calls{}, Now: time.Now}
	client := New(env, Config{API: "forge", Base: base, BaseVar: "FORGE_URL", Header: "Private-Token", Token: Static(secret), Timeout: 200 * time.Millisecond})
	for _, test := range []struct {
		path string
		most int64
		want string
		err  string
	}{
		{"/log", 1000, strings.Repeat("x", 1000), ""},
		{"/log", 999, strings.Repeat("x", 999), "too large"},
		{"/moved", 1000, strings.Repeat("x", 1000), ""},
		{"/stored", 100, "from storage", ""},
		{"/twice", 100, "from storage", ""},
		{"/expired", 100, "", "403 Forbidden: the storage did not hand it out"},
		{"/ever", 100, "", "more than 3 redirects"},
		{"/file-scheme", 100, "", "not followed"},
		{"/nowhere", 100, "", "redirects to an address that is none"},
		{"/page", 100, "", "answered HTML"},
		{"/gone", 100, "", "404 Not Found"},
		{"/silent", 100, "begins", "nothing came for"},
	} {
		body, err := Download(t.Context(), env, client, api.URL+test.path, nil, test.most)
		var got []byte
		if err == nil {
			got, err = io.ReadAll(body)
			_ = body.Close()
		}
		if string(got) != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: %d bytes, %v", test.path, len(got), err)
		}
		if err != nil && (strings.Contains(err.Error(), "s3cr3t") || strings.Contains(err.Error(), "0ld")) {
			t.Errorf("%s: the error tells the signed address: %v", test.path, err)
		}
	}
	if _, err := Download(t.Context(), env, client, "https://elsewhere.example.com/x", nil, 1); err == nil {
		t.Error("another host was asked")
	}
	if e := (*Error)(nil); !errors.As(func() error { _, err := Download(t.Context(), env, client, api.URL+"/gone", nil, 1); return err }(), &e) || e.Status != http.StatusNotFound {
		t.Errorf("%v", e)
	}
}
