// Package forge holds what the APIs of code forges have in common: one credential that must reach one origin and no other,
// rate limits, passing faults, bounded answers, paged listings, and errors that say what right is missing.
//
// A client library keeps its own request and response types; it only gets the [http.Client] made by [New]. Answers other than
// success and redirects within the origin reach the library's caller as an [*Error] (use [errors.As]), whatever the library
// would have made of them.
package forge

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
)

// DefaultBudget is how many percent of a quota are ours where nobody says.
const DefaultBudget = 60

// Config says how one API is reached.
type Config struct {
	API     string   // name in [audit.Calls], such as "github"
	Base    *url.URL // requests go to the origin of this address and nowhere else
	BaseVar string   // environment variable that chose Base, for advice

	// Header is set to what Token returns, behind Prefix, on each request to the origin. A nil Token sends none. The token is
	// taken out of everything an error says.
	Header, Prefix string
	Token          func(context.Context) (string, error)
	// Credentials, if not nil, takes the place of Token: it tells which ones a request can go with. It is sent with the one that has most left
	// of its quota, and with the others where that one may not see what is asked for.
	Credentials func(*http.Request) ([]*Credential, error)

	Resource string // which of the API's quotas requests count in, if it has several
	Budget   int    // percent of a credential's quota that is ours, the rest is left to people; 0 means DefaultBudget
	AtOnce   int    // requests under way at once; 0 means 100, the most that GitHub allows

	MaxWait time.Duration                              // longest wait for a rate limit; 0 means 15 minutes, or two hours where Env.Quotas are shared
	Timeout time.Duration                              // for one request and its answer; 0 means that of Env.HTTP, or 30 seconds
	MaxBody int64                                      // largest answer in bytes, decompressed; 0 means 32 MiB
	Sleep   func(context.Context, time.Duration) error // nil means a timer; tests that replace it also replace Env.Now
}

// Static is a Token function for a token that never changes; nil for "".
func Static(token string) func(context.Context) (string, error) {
	if token == "" {
		return nil
	}
	return func(context.Context) (string, error) { return token, nil }
}

// New makes an HTTP client for one API. It is safe for concurrent use, and all who use it share its view of the rate limits: when
// the forge asks for a pause, everybody waits, on other machines too where Env.Quotas are shared. Waits longer than MaxWait are
// refused with an error that carries the time (see [Error.Until]) and cost no request until then.
func New(env audit.Env, c Config) *http.Client {
	client := *env.HTTP
	if c.Timeout == 0 {
		c.Timeout = client.Timeout
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if c.MaxWait == 0 {
		c.MaxWait = shortWait
		if env.Quotas != nil {
			c.MaxWait = longWait
		}
	}
	if c.Budget == 0 {
		c.Budget = DefaultBudget
	}
	if c.AtOnce == 0 {
		c.AtOnce = 100 // docs.github.com/rest: "About secondary rate limits"
	}
	if c.MaxBody == 0 {
		c.MaxBody = 32 << 20
	}
	if c.Sleep == nil {
		c.Sleep = sleep
	}
	next := client.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	client.Timeout = 0 // would count waits for rate limits; the transport limits each attempt instead
	client.Transport = &transport{Config: c, env: env, next: next, accounts: map[*Credential]*account{}, only: []*Credential{{Token: c.Token}}}
	client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if downloadOf(req.Context()) != nil && !SameOrigin(req.URL, c.Base) {
			return http.ErrUseLastResponse // Download follows it
		}
		if !SameOrigin(req.URL, c.Base) {
			return &Error{API: c.API, Method: req.Method, URL: plainURL(via[0].URL), Message: fmt.Sprintf(
				"it redirects to another host, %s, which is not followed: check %s", plainText(req.URL.Host, 80), c.BaseVar)}
		}
		if len(via) >= 5 {
			return &Error{API: c.API, Method: req.Method, URL: plainURL(via[0].URL), Message: "more than 5 redirects"}
		}
		return nil
	}
	return &client
}

const (
	// shortWait is for runs that begin anew when they end before their time: they had better say soon that they cannot go on.
	shortWait = 15 * time.Minute
	// longWait is for runs that share a store, and have time. Of the forges' windows the longest lasts an hour.
	longWait = 2 * time.Hour
)

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// SameOrigin tells whether two addresses share scheme, host and port.
func SameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return map[string]string{"http": "80", "https": "443"}[u.Scheme]
}

// Token cleans a token read from the environment variable name: blanks and line ends around it, as files and shells leave them, are cut off.
// One that could not be sent as a header wraps [audit.ErrUsage]; the error does not show it.
func Token(name, value string) (string, error) {
	token := strings.TrimSpace(value)
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", audit.Hint(fmt.Errorf("%w: the token in %s has blanks, control characters or non-ASCII letters inside", audit.ErrUsage, name),
			"check how "+name+" is set: it must hold one token and nothing else")
	}
	return token, nil
}

// BaseURL parses the address of a forge read from the environment variable name; its path ends without a slash.
func BaseURL(name, value string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(value))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %s is not an address", audit.ErrUsage, name) // err would show userinfo
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return nil, fmt.Errorf("%w: %s is not an http or https address", audit.ErrUsage, name)
	case u.User != nil:
		return nil, fmt.Errorf("%w: %s holds a user or password; use the token variables", audit.ErrUsage, name)
	}
	u = u.JoinPath("/")
	u.RawQuery, u.Fragment, u.Path, u.RawPath = "", "", strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
	return u, nil
}

// RepositoryURL is the address to clone from: the one the forge named, if it lies on one of the origins of the instance that
// the user configured, else path (such as "acme/web") below the first of them. So no answer can send a credential elsewhere.
func RepositoryURL(named, path string, origins ...*url.URL) string {
	if u, err := url.Parse(named); err == nil {
		for _, o := range origins {
			if SameOrigin(u, o) {
				clean := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
				return clean.String()
			}
		}
	}
	return origins[0].JoinPath(path + ".git").String()
}

// Path is the path of a file inside a repository as a part of an address. It is unfit if it would lead elsewhere, however it is escaped.
func Path(file string) (escaped string, fit bool) {
	segments := strings.Split(file, "/")
	for i, s := range segments {
		if s == "" || s == "." || s == ".." {
			return "", false
		}
		segments[i] = url.PathEscape(s)
	}
	return strings.Join(segments, "/"), true
}
