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
	"github.com/leakreach/leakreach/audit/audittest"
)

// A Page is what the issuer answers to a path with its query.
type Page struct {
	Status int // 0 is 200
	Header map[string]string
	Body   string
}

// An Issuer stands for every host that a client of Env asks, and remembers who was asked for what.
type Issuer struct {
	Env audit.Env

	mu    sync.Mutex
	asked []string
}

// New starts an issuer of which one token is known. To another one it answers 401 with a body. Requests that are not GET, or have the token
// anywhere but in the header, fail the test. What was asked for is remembered without the host.
func New(t *testing.T, header, token, unknown string, pages map[string]Page, environ map[string]string) *Issuer {
	t.Helper()
	return Serve(t, environ, func(w http.ResponseWriter, r *http.Request) string {
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodGet || len(body) > 0 || strings.Contains(r.URL.String(), token) {
			t.Errorf("request is no read: %s %s", r.Method, r.URL.Path)
		}
		for name, values := range r.Header {
			if name != header && strings.Contains(fmt.Sprint(values), token) {
				t.Errorf("the token lies in the header %s, too", name)
			}
		}
		if got := r.Header.Get(header); got != token && got != "Bearer "+token {
			Page{Status: http.StatusUnauthorized, Body: unknown}.Write(w)
			return r.URL.RequestURI()
		}
		page, ok := pages[r.URL.RequestURI()]
		if !ok {
			page = Page{Status: http.StatusNotFound, Body: `{"message":"Not Found"}`}
		}
		page.Write(w)
		return r.URL.RequestURI()
	})
}

// Serve starts an issuer that answers by a function, which returns what is to be remembered of a question. The host that was asked is the
// request's Host.
func Serve(t *testing.T, environ map[string]string, answer func(http.ResponseWriter, *http.Request) string) *Issuer {
	t.Helper()
	i := &Issuer{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if agent := r.Header.Get("User-Agent"); agent != "leakreach/test" {
			t.Errorf("asked by %q", agent)
		}
		i.mu.Lock()
		defer i.mu.Unlock()
		i.asked = append(i.asked, answer(w, r))
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

// Write answers with the page.
func (p Page) Write(w http.ResponseWriter) {
	for name, value := range p.Header {
		w.Header().Set(name, value)
	}
	if p.Status != 0 {
		w.WriteHeader(p.Status)
	}
	_, _ = io.WriteString(w, p.Body)
}

// Want is what a verifier is to find out.
type Want struct {
	Validity audit.Validity
	Level    audit.Level // "" for a secret whose reach is not told
	Facts    map[string]string
	Limit    string // part of one of them
	Calls    int
}

// Holds tells whether a verifier that asks the issuer finds out what it is to, and keeps to its contract.
func (i *Issuer) Holds(t *testing.T, v audit.Verifier, s *audit.Secret, want Want) {
	t.Helper()
	verdict, err := v.Verify(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if verdict.Validity != want.Validity {
		t.Errorf("got %+v, want %s", verdict, want.Validity)
	}
	for name, fact := range want.Facts {
		if verdict.Facts[name] != fact {
			t.Errorf("%s = %q, want %q", name, verdict.Facts[name], fact)
		}
	}
	if (verdict.Reach == nil) != (want.Level == "") || verdict.Reach != nil && verdict.Reach.Level != want.Level {
		t.Fatalf("reach %+v, want %q", verdict.Reach, want.Level)
	}
	if want.Limit != "" && !strings.Contains(fmt.Sprint(verdict.Reach.Limits), want.Limit) {
		t.Errorf("limits %q, want %q", verdict.Reach.Limits, want.Limit)
	}
	if asked := i.Asked(); len(asked) != want.Calls {
		t.Errorf("asked %q, want %d questions", asked, want.Calls)
	}
	audittest.Verifier(t, v, []*audit.Secret{s})
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
	r.Host, r.URL.Scheme, r.URL.Host = r.URL.Host, h.to.Scheme, h.to.Host
	return http.DefaultTransport.RoundTrip(r)
}
