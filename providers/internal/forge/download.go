package forge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/leakreach/leakreach/audit"
)

// Download asks an API for something large: a log, an artifact, a file of a release. The answer is read as it comes, and an error of the reader says
// if it is larger than most bytes. Forges send the client on to the storage where such things lie; it is asked without a credential, for the
// address it is given has one of its own. api is a client that [New] made, env the one that it was made with.
func Download(ctx context.Context, env audit.Env, api *http.Client, address string, header http.Header, most int64) (io.ReadCloser, error) {
	d := &download{}
	req, err := http.NewRequestWithContext(context.WithValue(ctx, downloadKey{}, d), http.MethodGet, address, nil)
	if err != nil {
		return nil, &Error{Method: http.MethodGet, Message: "an address that is none"} // err would show it
	}
	if header != nil {
		req.Header = header.Clone()
	}
	resp, err := api.Do(req)
	if err != nil {
		return nil, Plain(err)
	}
	if isRedirect(resp.StatusCode) {
		if resp, err = d.follow(ctx, env, req.URL, resp); err != nil {
			return nil, err
		}
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind == "text/html" {
		_ = resp.Body.Close()
		return nil, &Error{Method: req.Method, URL: plainURL(req.URL), Message: "answered HTML, not what was asked for"}
	}
	return &capped{body: resp.Body, left: most, most: most}, nil
}

type downloadKey struct{}

func downloadOf(ctx context.Context) *download {
	d, _ := ctx.Value(downloadKey{}).(*download)
	return d
}

// A download is an answer that is read while it comes. It may take long, but never be silent for longer than an ordinary answer may take.
type download struct {
	timeout time.Duration
	silence *time.Timer
	silent  atomic.Bool
}

// begin returns the context of a request that ends when nothing has come for the time.
func (d *download) begin(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	d.timeout = timeout
	d.silence = time.AfterFunc(timeout, func() { d.silent.Store(true); cancel() })
	return ctx, func() { d.silence.Stop(); cancel() }
}

func (d *download) stream(body io.ReadCloser, cancel context.CancelFunc) io.ReadCloser {
	return &streamed{download: d, body: body, cancel: cancel}
}

type streamed struct {
	*download
	body   io.ReadCloser
	cancel context.CancelFunc
}

func (s *streamed) Read(p []byte) (int, error) {
	s.silence.Reset(s.timeout)
	n, err := s.body.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && s.silent.Load() {
		err = fmt.Errorf("nothing came for %s", s.timeout)
	}
	return n, err
}

func (s *streamed) Close() error {
	defer s.cancel()
	return s.body.Close()
}

// hops is how many addresses a download may lead over behind the API: storage is one, a cache before it another.
const hops = 3

// follow asks the storage that an answer leads to. Its address is as good as a key and in no error.
func (d *download) follow(ctx context.Context, env audit.Env, from *url.URL, resp *http.Response) (*http.Response, error) {
	plain := *env.HTTP
	plain.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	timeout := d.timeout
	plain.Timeout = 0
	for range hops {
		to, err := from.Parse(resp.Header.Get("Location"))
		_ = resp.Body.Close()
		if err != nil || to.Host == "" || to.Scheme != "https" && to.Scheme != from.Scheme {
			return nil, &Error{Method: http.MethodGet, URL: plainURL(from), Message: "it leads to an address that is not followed"}
		}
		fail := func(message string, status int) error {
			return &Error{Method: http.MethodGet, URL: (&url.URL{Scheme: to.Scheme, Host: to.Host}).String(), Status: status, Message: message}
		}
		next, cancel := d.begin(ctx, timeout)
		req, err := http.NewRequestWithContext(next, http.MethodGet, to.String(), nil)
		if err != nil {
			cancel()
			return nil, fail("an address that is none", 0)
		}
		req.Header.Set("User-Agent", env.UserAgent)
		if resp, err = plain.Do(req); err != nil {
			cancel()
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, fail("the storage did not answer", 0) // err would show the address
		}
		if resp.StatusCode >= 200 && resp.StatusCode <= 299 {
			resp.Body = d.stream(resp.Body, cancel)
			return resp, nil
		}
		cancel()
		if !isRedirect(resp.StatusCode) {
			_ = resp.Body.Close()
			return nil, fail("the storage did not hand it out", resp.StatusCode)
		}
		from = to
	}
	_ = resp.Body.Close()
	return nil, &Error{Method: http.MethodGet, Message: fmt.Sprintf("more than %d redirects", hops)}
}

// ErrTooLarge is what reading a download ends with that is larger than it may be.
var ErrTooLarge = errors.New("too large")

// capped reads as much as is allowed, and tells when there was more.
type capped struct {
	body io.ReadCloser
	left int64
	most int64
}

func (c *capped) Read(p []byte) (int, error) {
	if int64(len(p)) > c.left+1 {
		p = p[:c.left+1]
	}
	n, err := c.body.Read(p)
	if c.left -= int64(n); c.left < 0 {
		return n - 1, fmt.Errorf("%w: more than %d MiB", ErrTooLarge, c.most>>20)
	}
	return n, err
}

func (c *capped) Close() error { return c.body.Close() }
