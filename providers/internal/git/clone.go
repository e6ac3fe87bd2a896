package git

import (
	"bufio"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/pack"
	"github.com/leakreach/leakreach/providers/internal/wire"
)

// maxPack is the size above which a repository is not fetched, in bytes: GitHub asks for at most 10 GB, GitLab.com allows 10 GiB.
const maxPack = 16 << 30

// CloneOptions say how a repository is fetched.
type CloneOptions struct {
	// HTTP sends the requests; its proxies and certificates hold. Required.
	HTTP *http.Client
	// Getenv gives proxy and certificate settings to git, where that is needed. Required.
	Getenv func(string) string
	// Username and Token are sent as basic authentication, to the URL's own origin only. An empty token sends nothing.
	Username, Token string
	// AllRefs also fetches what is no branch, tag or note, such as the refs of pull requests: on GitHub, about twice the objects.
	AllRefs bool
	// Newest fetches the newest commit of the default branch alone. That its history is not there is then no gap.
	Newest bool
	// AllowHTTP permits a URL without TLS to a host other than this machine.
	AllowHTTP bool
	// Memory is what Open takes.
	Memory audit.Memory
}

// Clone fetches a repository over HTTPS into a temporary directory that Close removes: a list of refs and one pack of at most 16 GiB.
// Nothing is unpacked or checked out. An error wraps [audit.ErrAuth] if the server asks for other credentials, and
// [audit.ErrNothing] if there is no such repository.
//
// Clone returns when the pack begins to come. Items lists objects while it does, and ends with a [BrokenError] if not all of it came.
//
// The git program does this only for a server that speaks none of the protocols of package wire.
func Clone(ctx context.Context, address string, o CloneOptions) (_ *Repository, err error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%w: %q is not an HTTPS address of a repository", audit.ErrUsage, printable(redact(address)))
	}
	if u.Scheme == "http" && !o.AllowHTTP && !loopback(u.Hostname()) {
		return nil, audit.Hint(fmt.Errorf("%w: %s is not protected by TLS", audit.ErrUsage, u.Host), "use an https address")
	}
	dir, err := os.MkdirTemp("", "leakreach-clone-")
	if err != nil {
		return nil, fmt.Errorf("making a temporary directory: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(dir)
		}
	}()
	bare := filepath.Join(dir, "repository.git")
	in, gaps, err := o.receive(ctx, u, bare)
	defer func() {
		if err != nil {
			in.stop()
		}
	}()
	if odd := (*wire.UnsupportedError)(nil); errors.As(err, &odd) {
		if err = o.run(ctx, odd.URL, dir, bare); err != nil {
			err = fmt.Errorf("%s, so git was asked: %w", odd.Why, err)
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("cloning %s: %w", u.Redacted(), err)
	}
	l, err := Find(bare)
	if err != nil {
		return nil, fmt.Errorf("cloning %s: %w", u.Redacted(), err)
	}
	r, err := prepare(ctx, l, o.Memory, in.arrival())
	if err != nil {
		return nil, err
	}
	r.clone, r.incoming = dir, in
	if o.Newest {
		r.gaps = nil // the one there can be is that the clone is shallow
	}
	r.gaps = append(r.gaps, gaps...)
	return r, nil
}

// receive begins to make a bare repository of what the server sends. There is nothing incoming if the server's is empty.
func (o CloneOptions) receive(ctx context.Context, u *url.URL, bare string) (*incoming, []audit.Gap, error) {
	remote, err := wire.Dial(ctx, u, wire.Options{HTTP: o.HTTP, Username: o.Username, Token: o.Token, MaxPack: maxPack})
	if err != nil {
		return nil, nil, err
	}
	kinds := []string{"HEAD", "refs/heads/", "refs/tags/", "refs/notes/"}
	switch {
	case o.Newest:
		kinds = kinds[:2]
	case o.AllRefs:
		kinds = nil
	}
	refs, err := remote.Refs(ctx, kinds...)
	if err != nil {
		return nil, nil, err
	}
	gaps := missing(refs, o.Newest)
	request := wire.Request{}
	if o.Newest {
		request.Depth = 1
		refs.List = newest(refs)
	}
	for _, ref := range refs.List {
		request.Wants = append(request.Wants, ref.ID)
	}
	if err := describe(bare, remote.Format, refs); err != nil {
		return nil, nil, fmt.Errorf("storing the list of refs: %w", err)
	}
	if len(request.Wants) == 0 {
		return nil, gaps, nil // an empty repository
	}
	in, err := begin(ctx, remote, request, bare)
	return in, gaps, err
}

// missing says what of a repository cannot be had, going by its refs.
func missing(refs *wire.Refs, newest bool) (gaps []audit.Gap) {
	if refs.Odd > 0 {
		gaps = append(gaps, audit.Gap{What: plural(refs.Odd, "ref"), Why: "malformed or listed twice, and not fetched"})
	}
	switch head := refs.ID("HEAD"); {
	case head != "" || len(refs.List) == 0:
	case newest:
		gaps = append(gaps, audit.Gap{What: "default branch", Why: "the server has none: nothing was fetched"})
	case refs.Head == "":
		gaps = append(gaps, audit.Gap{What: "HEAD", Why: "the server names none: whether contents are still there is not known"})
	}
	return gaps
}

// newest leaves the refs that lead to the newest commit of the default branch.
func newest(refs *wire.Refs) (list []wire.Ref) {
	for _, name := range []string{"HEAD", refs.Head} {
		if id := refs.ID("HEAD"); id != "" && refs.ID(name) == id {
			list = append(list, wire.Ref{Name: name, ID: id})
		}
	}
	return list
}

// describe writes what makes a directory a repository, but for its objects.
func describe(bare, format string, refs *wire.Refs) error {
	for _, dir := range []string{packDir(bare), filepath.Join(bare, "refs")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	head := "ref: " + cmp.Or(refs.Head, "refs/heads/none") + "\n"
	if id := refs.ID("HEAD"); id != "" && id != refs.ID(refs.Head) {
		head = id + "\n"
	}
	files := map[string]string{"HEAD": head}
	if format != "sha1" {
		files["config"] = "[core]\n\trepositoryFormatVersion = 1\n\tbare = true\n[extensions]\n\tobjectFormat = " + format + "\n"
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(bare, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	f, err := os.Create(filepath.Join(bare, "packed-refs"))
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	for _, ref := range refs.List {
		if ref.Name != "HEAD" {
			fmt.Fprintf(w, "%s %s\n", ref.ID, ref.Name)
		}
	}
	return w.Flush()
}

func packDir(bare string) string { return filepath.Join(bare, "objects", "pack") }

// An incoming is a pack that is being received.
type incoming struct {
	pack   *pack.Arrival
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // why it ended early, when ended is closed
}

// A BrokenError says that a pack was not received as a whole. What was listed of it is sound.
type BrokenError struct{ Err error }

func (e *BrokenError) Error() string { return e.Err.Error() }
func (e *BrokenError) Unwrap() error { return e.Err }

// begin asks for the pack, and receives it until stop is called.
func begin(ctx context.Context, remote *wire.Remote, request wire.Request, bare string) (*incoming, error) {
	ctx, cancel := context.WithCancel(ctx)
	delivery, err := remote.Fetch(ctx, request)
	if err != nil {
		cancel()
		return nil, err
	}
	arrival, err := store(delivery, bare)
	if err != nil {
		_ = delivery.Close()
		cancel()
		return nil, fmt.Errorf("storing the pack: %w", err)
	}
	in := &incoming{pack: arrival, cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(in.ended)
		defer func() { _ = delivery.Close() }()
		if _, err := delivery.Receive(arrival); err != nil {
			in.err = &BrokenError{fmt.Errorf("cloning %s: %w", remote.URL.Redacted(), err)}
		}
		arrival.End(in.err)
	}()
	return in, nil
}

// store makes room for the pack, and notes where the history it brings ends.
func store(delivery *wire.Delivery, bare string) (*pack.Arrival, error) {
	if len(delivery.Shallow) > 0 {
		border := strings.Join(delivery.Shallow, "\n") + "\n"
		if err := os.WriteFile(filepath.Join(bare, "shallow"), []byte(border), 0o600); err != nil {
			return nil, err
		}
	}
	return pack.NewArrival(filepath.Join(packDir(bare), "pack-received.pack"))
}

// arrival is the pack, or nil if nothing comes.
func (in *incoming) arrival() *pack.Arrival {
	if in == nil {
		return nil
	}
	return in.pack
}

// wait waits for the end of the pack.
func (in *incoming) wait(ctx context.Context) error {
	if in == nil {
		return nil
	}
	select {
	case <-in.ended:
		return in.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stop ends the receiving.
func (in *incoming) stop() {
	if in != nil {
		in.cancel()
		<-in.ended
	}
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

// run clones with the git program.
//
// The token is handed to git in the environment, as configuration for this origin alone. In the arguments every user of the
// machine could read it, a file could outlive us, and a password helper would be asked by whatever host git ends up at. Only
// this user's processes can read that environment, and our own holds the token already. Redirects are not followed.
func (o CloneOptions) run(ctx context.Context, u *url.URL, dir, bare string) error {
	args := []string{"clone", "--quiet", "--template=", "--no-recurse-submodules"}
	switch {
	case o.Newest:
		args = append(args, "--bare", "--depth=1")
	case o.AllRefs:
		args = append(args, "--mirror")
	default:
		args = append(args, "--bare", "--config", "remote.origin.fetch=+refs/notes/*:refs/notes/*")
	}
	p, err := launch(ctx, program(), dir, o.environment(u), nil, append(args, "--", u.String(), bare))
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, p.out)
	return p.wait()
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
