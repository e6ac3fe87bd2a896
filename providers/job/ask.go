package job

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// An answer is what was said to one request.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// ok tells whether it was what was asked for.
func (a answer) ok() bool { return a.status == http.StatusOK }

// text is a short answer; "" for any other.
func (a answer) text() string {
	if !a.ok() || len(a.body) > maxFact {
		return ""
	}
	return strings.TrimSpace(string(a.body))
}

// maxAnswer bounds what is read of an answer: a repository's description has some 10 KiB.
const maxAnswer = 256 << 10

// ask sends one request. Redirects are not followed: who was asked is who answers.
func (j *job) ask(ctx context.Context, client *http.Client, api, method, address string, header map[string]string) (a answer, err error) {
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return a, errors.New("not an address") // err would show it
	}
	req.Header.Set("User-Agent", j.env.UserAgent)
	for k, v := range header {
		req.Header.Set(k, v)
	}
	j.env.Calls.Add(api, 1)
	resp, err := client.Do(req)
	if err != nil {
		if u := (*url.Error)(nil); errors.As(err, &u) {
			err = u.Err // without the address
		}
		return a, err
	}
	defer resp.Body.Close()
	a = answer{status: resp.StatusCode, header: resp.Header}
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return a, err
}

// forge is the client for what may be behind a proxy.
func (j *job) forge() *http.Client {
	c := *j.env.HTTP
	c.CheckRedirect = noRedirect
	return &c
}

// direct is the client for what is beside the job: a proxy would be asked for its own machine's metadata.
func (j *job) direct() *http.Client {
	c := *j.env.HTTP
	c.CheckRedirect = noRedirect
	t, ok := c.Transport.(*http.Transport)
	if c.Transport == nil {
		t, ok = http.DefaultTransport.(*http.Transport)
	}
	if ok {
		t = t.Clone()
		t.Proxy, t.DisableKeepAlives = nil, true
		c.Transport = t
	}
	return &c
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// hostOf is the host of an address, for a plan; "" if it is none.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

// private tells whether a token may be sent to an address: over TLS, or to this machine.
func private(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}
