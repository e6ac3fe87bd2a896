// Package asktest is an issuer for the tests of verifiers that ask one.
package asktest

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
)

// A Page is what the issuer answers to a path with its query.
type Page struct {
	Status int // 0 is 200
	Header map[string]string
	Body   string
}

// An Issuer answers GET requests that have a token in one header, and remembers who asked for what.
type Issuer struct {
	Env audit.Env

	mu    sync.Mutex
	asked []string
}

// New starts an issuer of which one token is known. To another one it answers 401 with a body. Requests that are not GET, or have the token
// anywhere but in the header, fail the test. Whatever host a client of Env asks, the issuer answers.
func New(t *testing.T, header, token, unknown string, pages map[string]Page, environ map[string]string) *Issuer {
	t.Helper()
	i := &Issuer{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		i.asked = append(i.asked, r.URL.RequestURI())
		i.mu.Unlock()
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodGet || len(body) > 0 || strings.Contains(r.URL.String(), token) || r.Header.Get("User-Agent") != "leakreach/test" {
			t.Errorf("request is no read: %s %s, agent %q", r.Method, r.URL.Path, r.Header.Get("User-Agent"))
		}
		for name, values := range r.Header {
			if name != header && strings.Contains(fmt.Sprint(values), token) {
				t.Errorf("the token lies in the header %s, too", name)
			}
		}
		if got := r.Header.Get(header); got != token && got != "Bearer "+token {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, unknown)
			return
		}
		page, ok := pages[r.URL.RequestURI()]
		if !ok {
			page = Page{Status: http.StatusNotFound, Body: `{"message":"Not Found"}`}
		}
		for name, value := range page.Header {
			w.Header().Set(name, value)
		}
		if page.Status != 0 {
			w.WriteHeader(page.Status)
		}
		_, _ = io.WriteString(w, page.Body)
	}))
	t.Cleanup(server.Close)
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	i.Env = audit.Env{
		HTTP: &http.Client{Transport: here{address}}, Getenv: func(name string) string { return environ[name] }, Log: slog.New(slog.DiscardHandler),
		UserAgent: "leakreach/test", Calls: &audit.Calls{}, Now: time.Now,
	}
	return i
}

// Asked is what was asked for so far.
func (i *Issuer) Asked() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]string{}, i.asked...)
}

// here sends every request to one address.
type here struct{ to *url.URL }

func (h here) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = h.to.Scheme, h.to.Host
	return http.DefaultTransport.RoundTrip(r)
}
