package forge

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/leakreach/leakreach/audit"
)

// An Error is a request that did not succeed. It holds no token and no more of the answer than a short message.
type Error struct {
	API       string
	Status    int // of the answer; 0 if there was none
	Method    string
	URL       string    // without query
	Message   string    // at most 300 characters of what the forge said, or what is wrong with the answer
	RequestID string    // for the forge's support
	Needs     string    // rights that would have been enough, as GitHub names them: "secrets=read"
	Date      time.Time // when it was answered, on the forge's clock; zero if it does not tell
	SSO       bool      // the token is not authorised for the organisation's single sign-on
	Until     time.Time // a rate limit holds until then

	retryAfter time.Duration
	slow       bool
	cause      error
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: ", e.Method, e.URL)
	b.WriteString(e.reason())
	if e.RequestID != "" {
		fmt.Fprintf(&b, " (request %s)", e.RequestID)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.cause }

// Slow tells whether the server did not answer in time.
func (e *Error) Slow() bool { return e.slow }

func (e *Error) reason() string {
	var parts []string
	if e.Status != 0 {
		parts = append(parts, strings.TrimSpace(fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status))))
	}
	switch {
	case !e.Until.IsZero():
		parts = append(parts, "rate limit until "+e.Until.UTC().Format(time.RFC3339))
	case e.SSO:
		parts = append(parts, "the token is not authorised for the organisation's single sign-on")
	case e.Status == http.StatusUnauthorized:
		parts = append(parts, "the token is not accepted")
	case e.Status == http.StatusNotFound:
		parts = append(parts, "no right to read it, or not offered here")
	case e.Needs != "":
		parts = append(parts, "needs "+e.Needs)
	}
	repeats := len(parts) > 0 && strings.EqualFold(e.Message, parts[0]) || strings.EqualFold(e.Message, http.StatusText(e.Status))
	if e.Message != "" && !repeats && e.Status != http.StatusNotFound && e.Until.IsZero() {
		parts = append(parts, e.Message)
	}
	return strings.Join(parts, ": ")
}

// Plain strips what HTTP clients wrap around an [*Error]: addresses with their query.
func Plain(err error) error {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e
	}
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// StatusOf returns the HTTP status err ended with, or 0.
func StatusOf(err error) int {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e.Status
	}
	return 0
}

// Gap makes of an error what the report says: what could not be looked at in target, and the right that is missing or what
// else stood in the way. It leaves out the address, which What implies.
func Gap(target, what string, err error) *audit.Gap {
	why := err.Error()
	if e := (*Error)(nil); errors.As(err, &e) {
		why = e.reason()
		if p := (*PageError)(nil); errors.As(err, &p) {
			why = fmt.Sprintf("page %d: %s", p.Page, why)
		}
	}
	return &audit.Gap{Target: target, What: what, Why: plainText(why, 500)}
}

// newError describes an answer. secret is taken out of whatever the answer says.
func newError(api string, req *http.Request, resp *http.Response, body []byte, secret string) *Error {
	e := &Error{
		API: api, Status: resp.StatusCode, Method: req.Method, URL: plainURL(req.URL),
		Message:   plainText(redact(message(body), secret), 300),
		RequestID: plainText(redact(firstOf(resp.Header, "X-GitHub-Request-Id", "X-Request-Id"), secret), 80),
	}
	e.Date = serverTime(resp, time.Time{})
	if e.Status == http.StatusForbidden || e.Status == http.StatusNotFound {
		e.Needs = plainText(redact(resp.Header.Get("X-Accepted-GitHub-Permissions"), secret), 120)
	}
	if e.Status == http.StatusForbidden {
		e.SSO = strings.HasPrefix(resp.Header.Get("X-GitHub-SSO"), "required")
	}
	return e
}

// message finds the words in an error answer: GitHub sends "message", GitLab "message" or "error", as a string or nested.
func message(body []byte) string {
	var answer struct{ Message, Error any }
	if json.Unmarshal(body, &answer) != nil {
		if looksHTML(body) {
			return "answered HTML, not the API"
		}
		return ""
	}
	for _, m := range []any{answer.Message, answer.Error} {
		switch m := m.(type) {
		case nil:
		case string:
			return m
		default:
			text, _ := json.Marshal(m)
			return string(text)
		}
	}
	return ""
}

func firstOf(h http.Header, names ...string) string {
	for _, name := range names {
		if v := h.Get(name); v != "" {
			return v
		}
	}
	return ""
}

func redact(s, secret string) string {
	if secret == "" {
		return s
	}
	return strings.ReplaceAll(s, secret, "…")
}

// plainText makes a hostile text one line of at most n characters without controls.
func plainText(s string, n int) string {
	var b strings.Builder
	for _, r := range s {
		if n--; n < 0 {
			b.WriteRune('…')
			break
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar {
			r = ' '
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}

// plainURL is an address without user, query and fragment.
func plainURL(u *url.URL) string {
	clean := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	return plainText(clean.String(), 300)
}
