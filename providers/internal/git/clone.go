package git

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

// CloneOptions say how a repository is fetched.
type CloneOptions struct {
	// HTTP is asked why a fetch failed: git's own messages do not tell. Required.
	HTTP *http.Client
	// Getenv gives proxy and certificate settings to git. Required.
	Getenv func(string) string
	// Username and Token are sent as basic authentication, to the URL's own origin only. An empty token sends nothing.
	Username, Token string
	// AllRefs also fetches what is no branch, tag or note, such as the refs of pull requests: on GitHub, about twice the objects.
	AllRefs bool
	// Newest fetches the newest commit of the default branch alone. That its history is not there is then no gap.
	Newest bool
	// AllowHTTP permits a URL without TLS to a host other than this machine.
	AllowHTTP bool
}

// Clone fetches a repository over HTTPS into a temporary directory that Close removes. An error wraps [audit.ErrAuth] if the
// server asks for other credentials, and [audit.ErrNothing] if there is no such repository.
//
// The token is handed to git in the environment, as configuration for this origin alone. In the arguments every user of the
// machine could read it, a file could outlive us, and a password helper would be asked by whatever host git ends up at. Only
// this user's processes can read that environment, and our own holds the token already. Redirects are not followed by git: one
// to the same origin, as for a renamed repository, is resolved here; any other ends the clone.
func Clone(ctx context.Context, address string, o CloneOptions) (*Repository, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%w: %q is not an HTTPS address of a repository", audit.ErrUsage, printable(redact(address)))
	}
	if u.Scheme == "http" && !o.AllowHTTP && !loopback(u.Hostname()) {
		return nil, audit.Hint(fmt.Errorf("%w: %s is not protected by TLS", audit.ErrUsage, u.Host), "use an https address")
	}
	prog, err := program()
	if err != nil {
		return nil, err
	}
	for range 5 { // renamed more often is unheard of
		r, next, err := o.fetch(ctx, prog, u)
		if next == nil {
			return r, err
		}
		u = next
	}
	return nil, fmt.Errorf("cloning %s: too many redirects", u.Redacted())
}

// redact leaves out of an address what may be a password.
func redact(address string) string {
	if scheme, rest, ok := strings.Cut(address, "://"); ok {
		if _, host, ok := strings.Cut(rest, "@"); ok {
			return scheme + "://" + host
		}
	}
	return address
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// fetch clones once. A redirect that may be followed is returned as next.
func (o CloneOptions) fetch(ctx context.Context, prog string, u *url.URL) (_ *Repository, next *url.URL, err error) {
	dir, err := os.MkdirTemp("", "leakreach-clone-")
	if err != nil {
		return nil, nil, fmt.Errorf("making a temporary directory: %w", err)
	}
	defer func() {
		if err != nil || next != nil {
			_ = os.RemoveAll(dir)
		}
	}()
	bare := filepath.Join(dir, "repository.git")
	args := []string{"clone", "--quiet", "--template=", "--no-recurse-submodules"}
	switch {
	case o.Newest:
		args = append(args, "--bare", "--depth=1")
	case o.AllRefs:
		args = append(args, "--mirror")
	default:
		args = append(args, "--bare", "--config", "remote.origin.fetch=+refs/notes/*:refs/notes/*")
	}
	p, err := launch(ctx, prog, dir, o.environment(u), nil, append(args, "--", u.String(), bare))
	if err != nil {
		return nil, nil, err
	}
	_, _ = io.Copy(io.Discard, p.out)
	if err := p.wait(); err != nil {
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		to, why := o.diagnose(ctx, u)
		if to != nil {
			return nil, to, nil
		}
		if why != nil {
			err = why
		}
		return nil, nil, fmt.Errorf("cloning %s: %w", u.Redacted(), err)
	}
	l, err := Find(bare)
	if err == nil && !l.HasObjects() { // git takes any page for an empty repository
		var to *url.URL
		if to, err = o.diagnose(ctx, u); to != nil {
			err = errors.New("the server redirects sometimes")
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("cloning %s: %w", u.Redacted(), err)
	}
	r, err := Open(ctx, l)
	if err != nil {
		return nil, nil, err
	}
	r.clone = dir
	if o.Newest {
		r.gaps = nil // the one there can be is that the clone is shallow
	}
	return r, nil, nil
}

// environment is what git needs to talk to the server, and nothing that could make it talk to another or hang.
func (o CloneOptions) environment(u *url.URL) []string {
	settings := [][2]string{
		{"http.followRedirects", "false"},
		{"http.lowSpeedLimit", "1"}, {"http.lowSpeedTime", "60"}, // ends a server that says nothing; a busy one sends signs of life
		{"credential.helper", ""},
		{"core.hooksPath", os.DevNull},
		{"transfer.fsckObjects", "false"}, // broken objects are to be read, not refused
		{"transfer.bundleURI", "false"},
		{"fetch.recurseSubmodules", "false"},
		{"gc.auto", "0"}, {"maintenance.auto", "false"},
		{"protocol.version", "2"},
	}
	if o.Token != "" {
		settings = append(settings, [2]string{"http." + u.Scheme + "://" + u.Host + "/.extraHeader", o.authorization()})
	}
	env := []string{"GIT_ALLOW_PROTOCOL=" + u.Scheme, "GIT_CONFIG_COUNT=" + strconv.Itoa(len(settings))}
	for i, s := range settings {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, s[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, s[1]))
	}
	for _, name := range []string{
		"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY",
		"SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH",
	} {
		if v := o.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	if file := o.Getenv("SSL_CERT_FILE"); file != "" && o.Getenv("GIT_SSL_CAINFO") == "" {
		env = append(env, "GIT_SSL_CAINFO="+file) // what our own requests trust, git shall trust too
	}
	return env
}

func (o CloneOptions) authorization() string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(o.Username+":"+o.Token))
}

// diagnose repeats git's first request to learn why a clone failed: an error that says so, or where to try again, or neither
// if the server answers as it should.
func (o CloneOptions) diagnose(ctx context.Context, u *url.URL) (next *url.URL, why error) {
	const path = "/info/refs"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(u.String(), "/")+path+"?service=git-upload-pack", nil)
	if err != nil {
		return nil, nil
	}
	req.Header.Set("Git-Protocol", "version=2")
	if o.Token != "" {
		req.SetBasicAuth(o.Username, o.Token)
	}
	once := *o.HTTP
	once.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := once.Do(req)
	if err != nil {
		if ue := (*url.Error)(nil); errors.As(err, &ue) {
			err = ue.Err
		}
		return nil, err
	}
	defer resp.Body.Close()
	switch code := resp.StatusCode; {
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return nil, audit.Hint(fmt.Errorf("%w: the server answers %d %s", audit.ErrAuth, code, http.StatusText(code)),
			"check that the token may read the repository's contents")
	case code == http.StatusNotFound || code == http.StatusGone:
		return nil, audit.Hint(fmt.Errorf("%w: the server answers %d %s", audit.ErrNothing, code, http.StatusText(code)),
			"check the name, and that the token may see the repository")
	case code >= 300 && code < 400:
		to, err := resp.Location()
		if err != nil {
			return nil, fmt.Errorf("the server redirects to nowhere")
		}
		base, isRepository := strings.CutSuffix(to.Path, path)
		if to.Scheme != u.Scheme || to.Host != u.Host || to.User != nil || !isRepository {
			return nil, fmt.Errorf("the server redirects to %s, which is not followed", printable(to.Scheme+"://"+to.Host))
		}
		next := *u
		next.Path, next.RawPath = base, ""
		return &next, nil
	case code != http.StatusOK:
		return nil, fmt.Errorf("the server answers %d %s", code, http.StatusText(code))
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind != "application/x-git-upload-pack-advertisement" {
		return nil, fmt.Errorf("the server answers %q, not git's protocol", printable(kind))
	}
	return nil, nil
}
