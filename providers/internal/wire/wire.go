// Package wire receives packs from git servers over HTTP, without the git program.
//
// [Dial] finds out what a server speaks, [Remote.Refs] lists its refs, [Remote.Fetch] asks for one pack of all they lead to, and
// [Delivery.Receive] receives it. That is git's protocol version 2 (gitprotocol-v2(5)), and versions 0 and 1 (gitprotocol-pack(5)) with a
// server that knows no other.
//
// A server is not trusted: lengths, counts and sizes of what it sends are bounded, and so is its silence. What it sends reaches an
// error message only as one short line without control characters. The token goes to the origin it was given for and nowhere else:
// a redirect to another one is an error.
package wire

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
)

const (
	// defaultSilence ends a server that says nothing. One that is busy with a pack sends a sign of life every five seconds.
	defaultSilence = time.Minute
	// defaultPreparation ends a server that gives signs of life and nothing else. The largest repositories take minutes.
	defaultPreparation = 30 * time.Minute
	// maxRedirects is how often a repository may have moved; more often than once is unheard of.
	maxRedirects = 5
)

// ErrTooLarge says that a pack is larger than was allowed.
var ErrTooLarge = errors.New("the pack is too large to be received")

// Options say how a server is talked to.
type Options struct {
	// HTTP sends the requests. Its proxies and certificates hold; its time limit and its ways with redirects do not. Required.
	HTTP *http.Client
	// Username and Token are sent as basic authentication. An empty token sends nothing.
	Username, Token string
	// MaxPack is the size in bytes above which receiving a pack ends with ErrTooLarge. Required.
	MaxPack int64
	// MaxRefs is how many refs there is room for in a listing; 0 is two million.
	MaxRefs int
	// Silence is how long a server may send no byte; 0 is a minute.
	Silence time.Duration
	// Preparation is how long it may give signs of life before and between parts of the pack; 0 is half an hour.
	Preparation time.Duration
}

// A Remote is a repository on a server. It may be used by one goroutine at a time.
type Remote struct {
	URL    *url.URL // where it is: redirects are behind us
	Format string   // of its object ids: sha1 or sha256

	Options
	advertisement
}

// An UnsupportedError says that a server answers, but speaks no protocol that this package does. The git program may know it.
type UnsupportedError struct {
	URL *url.URL // where the repository is
	Why string
}

func (e *UnsupportedError) Error() string { return e.Why }

// Dial asks the server at an address, that of a repository without query, what it speaks. An error wraps [audit.ErrAuth] if it asks for
// other credentials, and [audit.ErrNothing] if there is no such repository; it may be an [UnsupportedError].
//
// A redirect is followed if it leads to another repository of the same origin, as for one that was renamed.
func Dial(ctx context.Context, address *url.URL, o Options) (*Remote, error) {
	if o.Silence == 0 {
		o.Silence = defaultSilence
	}
	if o.MaxRefs == 0 {
		o.MaxRefs = maxRefs
	}
	if o.Preparation == 0 {
		o.Preparation = defaultPreparation
	}
	client := *o.HTTP // the caller's own stays as it is
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client.Timeout = 0 // it would end a pack that is large
	o.HTTP = &client
	r := &Remote{URL: address, Options: o}
	for range maxRedirects {
		next, err := r.discover(ctx)
		if next == nil {
			return r, err
		}
		r.URL = next
	}
	return nil, errors.New("too many redirects")
}

const (
	askPath = "/info/refs"
	service = "git-upload-pack"
)

// discover makes the first request (gitprotocol-http(5), "Smart clients"). A redirect that may be followed is returned as next.
func (r *Remote) discover(ctx context.Context) (next *url.URL, err error) {
	resp, err := r.send(ctx, http.MethodGet, askPath+"?service="+service, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return r.redirect(resp)
	}
	if err := check(resp); err != nil {
		return nil, err
	}
	if err := isType(resp, "application/x-"+service+"-advertisement"); err != nil {
		if isDumb(resp.Body) {
			return nil, &UnsupportedError{r.URL, "the server speaks git's dumb protocol only"}
		}
		return nil, err
	}
	in := newPackets(resp.Body, r.maxListing())
	a, err := readAdvertisement(in)
	if err != nil {
		return nil, err
	}
	in.finish()
	if a.version == 2 {
		for _, command := range []string{"ls-refs", "fetch"} {
			if _, ok := a.capabilities[command]; !ok {
				return nil, &UnsupportedError{r.URL, "the server does not offer " + command}
			}
		}
	}
	r.advertisement, r.Format = *a, a.format
	return nil, nil
}

// isDumb tells whether an answer is the file that servers without git's protocol have there: "ID<TAB>NAME" a line.
func isDumb(body io.Reader) bool {
	start := make([]byte, 41) // an id of SHA-1 and what follows it; one of SHA-256 is longer
	if _, err := io.ReadFull(body, start); err != nil {
		return false
	}
	return len(bytes.Trim(start, "0123456789abcdef\t")) == 0
}

// redirect finds where the repository has moved to.
func (r *Remote) redirect(resp *http.Response) (*url.URL, error) {
	to, err := resp.Location()
	if err != nil {
		return nil, errors.New("the server redirects to nowhere")
	}
	base, isRepository := strings.CutSuffix(to.Path, askPath)
	if to.Scheme != r.URL.Scheme || to.Host != r.URL.Host || to.User != nil || !isRepository {
		return nil, fmt.Errorf("the server redirects to %s, which is not followed", printable(to.Scheme+"://"+to.Host))
	}
	next := *r.URL
	next.Path, next.RawPath = base, ""
	return &next, nil
}

// post sends a request of the protocol. The caller closes the answer.
func (r *Remote) post(ctx context.Context, request []byte) (io.ReadCloser, error) {
	resp, err := r.send(ctx, http.MethodPost, "/"+service, request)
	if err != nil {
		return nil, err
	}
	if err = check(resp); err == nil {
		err = isType(resp, "application/x-"+service+"-result")
	}
	if err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return resp.Body, nil
}

// zipAbove is the size in bytes from which git itself compresses a request; all servers know how to read that.
const zipAbove = 1 << 10

// send makes one request. Reading its answer fails when the server falls silent.
func (r *Remote) send(ctx context.Context, method, path string, request []byte) (*http.Response, error) {
	zip := len(request) > zipAbove
	if zip {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write(request) // to memory
		_ = z.Close()
		request = b.Bytes()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	sending := time.Duration(len(request)/(16<<10)) * time.Second // over a slow line; in the meantime the server has nothing to say
	silent := time.AfterFunc(r.Silence+sending, func() { cancel(&silenceError{r.Silence}) })
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(r.URL.String(), "/")+path, bytes.NewReader(request))
	if err != nil {
		cancel(nil)
		return nil, errors.New("the repository's address cannot be asked") // it was parsed before
	}
	req.Header.Set("User-Agent", "git/2 (leakreach)") // some servers show a web page to what is not called git
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-"+service+"-request")
		req.Header.Set("Accept", "application/x-"+service+"-result")
		if zip {
			req.Header.Set("Content-Encoding", "gzip")
		}
	}
	if method == http.MethodGet || r.version == 2 { // a server that answered in version 0 shall stay there
		req.Header.Set("Git-Protocol", "version=2")
	}
	if r.Token != "" {
		req.SetBasicAuth(r.Username, r.Token)
	}
	resp, err := r.HTTP.Do(req)
	silent.Stop()
	if err != nil {
		err = plain(ctx, err)
		cancel(nil)
		return nil, err
	}
	resp.Body = &answer{ReadCloser: resp.Body, ctx: ctx, cancel: cancel, silent: silent, patience: r.Silence}
	return resp, nil
}

// A silenceError says that nothing came for some time.
type silenceError struct{ time.Duration }

func (e *silenceError) Error() string {
	return fmt.Sprintf("the server said nothing for %s", e.Duration)
}

// An answer ends when the server falls silent.
type answer struct {
	io.ReadCloser
	ctx      context.Context
	cancel   context.CancelCauseFunc
	silent   *time.Timer // runs while we wait for the server, not while it waits for us
	patience time.Duration
}

func (a *answer) Read(b []byte) (int, error) {
	a.silent.Reset(a.patience)
	n, err := a.ReadCloser.Read(b)
	a.silent.Stop()
	if err != nil && !errors.Is(err, io.EOF) {
		err = plain(a.ctx, err)
	}
	return n, err
}

func (a *answer) Close() error {
	a.cancel(nil) // before the body is closed: what is left of it need not be read
	return a.ReadCloser.Close()
}

// plain is the error of a request without its address, in words fit to print: it may quote what the server sent. The context's
// own error, and that the server was silent, go before it.
func plain(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if ue := (*url.Error)(nil); errors.As(err, &ue) {
		err = ue.Err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return cut(io.EOF)
	}
	return errors.New(printable(err.Error()))
}

// check makes an error of an answer that is no success.
func check(resp *http.Response) error {
	switch code := resp.StatusCode; {
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return audit.Hint(fmt.Errorf("%w: the server answers %d %s", audit.ErrAuth, code, http.StatusText(code)),
			"check that the token may read the repository's contents")
	case code == http.StatusNotFound || code == http.StatusGone:
		return audit.Hint(fmt.Errorf("%w: the server answers %d %s", audit.ErrNothing, code, http.StatusText(code)),
			"check the name, and that the token may see the repository")
	case code != http.StatusOK:
		return errors.New(strings.TrimSpace(fmt.Sprintf("the server answers %d %s", code, http.StatusText(code))))
	}
	return nil
}

// isType makes an error of an answer that is not what git's servers send, such as a page to sign in.
func isType(resp *http.Response, want string) error {
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind != want {
		return fmt.Errorf("the server answers %q, not git's protocol", printable(kind))
	}
	if how := resp.Header.Get("Content-Encoding"); how != "" && how != "identity" { // the transport undoes what it asked for
		return fmt.Errorf("the server's answer is encoded as %q", printable(how))
	}
	return nil
}
