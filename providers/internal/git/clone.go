package git

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/cache"
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
	// Former are ids of commits that refs once named and that others may have been put in place of, as a forge tells it. They are fetched with what they
	// lead to, as far as the server still has them, and then named refs/former/ID.
	Former []string
	// AllowHTTP permits a URL without TLS to a host other than this machine.
	AllowHTTP bool
	// Memory is what Open takes.
	Memory audit.Memory
	// Cache keeps what was fetched, and what of it Items has listed for scanning by Rules, a digest of them. It is not used with Newest.
	Cache audit.Cache
	Rules string
}

// A Remote is a repository on a server, before it is fetched.
type Remote struct {
	// State stands for all that Clone brings: while it stays the same, so does that. It is "" where that cannot be told.
	State string

	CloneOptions
	url  *url.URL
	wire *wire.Remote // nil if the git program has to do it, for the reason in why
	why  string
	refs *wire.Refs
	gaps []audit.Gap
}

// Dial asks a server over HTTPS what refs a repository has. An error wraps [audit.ErrAuth] if it asks for other credentials, and
// [audit.ErrNothing] if there is no such repository.
func Dial(ctx context.Context, address string, o CloneOptions) (*Remote, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%w: %q is not an HTTPS address of a repository", audit.ErrUsage, printable(redact(address)))
	}
	if u.Scheme == "http" && !o.AllowHTTP && !loopback(u.Hostname()) {
		return nil, audit.Hint(fmt.Errorf("%w: %s is not protected by TLS", audit.ErrUsage, u.Host), "use an https address")
	}
	m := &Remote{CloneOptions: o, url: u}
	if err := m.dial(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("cloning %s: %w", u.Redacted(), err)
	}
	return m, nil
}

func (m *Remote) dial(ctx context.Context) error {
	remote, err := wire.Dial(ctx, m.url, wire.Options{HTTP: m.HTTP, Username: m.Username, Token: m.Token, MaxPack: maxPack})
	if odd := (*wire.UnsupportedError)(nil); errors.As(err, &odd) {
		m.url, m.why = odd.URL, odd.Why
		return nil
	}
	if err != nil {
		return err
	}
	kinds := []string{"HEAD", "refs/heads/", "refs/tags/", "refs/notes/"}
	switch {
	case m.Newest:
		kinds = kinds[:2]
	case m.AllRefs:
		kinds = nil
	}
	if m.refs, err = remote.Refs(ctx, kinds...); err != nil {
		return err
	}
	m.wire, m.gaps = remote, missing(m.refs, m.Newest)
	if m.Newest {
		m.refs.List = newest(m.refs)
	}
	lost := 0
	if !m.Newest {
		lost = m.addFormer(ctx)
	}
	if len(m.gaps) == 0 {
		m.State = state(remote.Format, m.refs)
	}
	if lost > 0 {
		m.gaps = append(m.gaps, audit.Gap{What: plural(lost, "commit") + " that refs once named", Why: "the server does not send them any more"})
	}
	return ctx.Err()
}

// former begins the names of commits that no ref need lead to any more.
const former = "refs/former/"

// addFormer names those commits that the server still has, and returns how many it does not send.
func (m *Remote) addFormer(ctx context.Context) (lost int) {
	known := map[string]bool{}
	for _, ref := range m.refs.List {
		known[ref.ID] = true
	}
	var ids []string
	for _, id := range m.Former {
		if _, ok := pack.ParseID(id, map[string]int{"sha1": 20, "sha256": 32}[m.wire.Format]); ok && !known[id] && strings.Trim(id, "0") != "" {
			known[id] = true
			ids = append(ids, id)
		}
	}
	sent := m.sends(ctx, ids)
	for _, id := range sent {
		m.refs.List = append(m.refs.List, wire.Ref{Name: former + id, ID: id})
	}
	slices.SortFunc(m.refs.List, func(a, b wire.Ref) int { return cmp.Compare(a.Name, b.Name) })
	return len(ids) - len(sent)
}

// sends returns those of some ids that the server sends. A server refuses all that are asked for together if it lacks one.
func (m *Remote) sends(ctx context.Context, ids []string) []string {
	if len(ids) == 0 || ctx.Err() != nil {
		return nil
	}
	delivery, err := m.wire.Fetch(ctx, wire.Request{Wants: ids, Alone: true})
	if err == nil {
		_ = delivery.Close()
		return ids
	}
	if len(ids) == 1 {
		return nil
	}
	half := len(ids) / 2
	return slices.Concat(m.sends(ctx, ids[:half]), m.sends(ctx, ids[half:]))
}

// state is a digest of what a repository has.
func state(format string, refs *wire.Refs) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n%s\n", format, refs.Head)
	for _, ref := range refs.List {
		fmt.Fprintf(sum, "%s %s\n", ref.ID, ref.Name)
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

// Clone fetches the repository into a temporary directory that Close removes: a list of refs and one pack of at most 16 GiB.
// Nothing is unpacked or checked out.
//
// Clone returns when the pack begins to come. Items lists objects while it does, and ends with a [BrokenError] if not all of it came.
// Where the cache has the repository already, only what is new is fetched, and Clone returns when that is there.
//
// The git program does this only for a server that speaks none of the protocols of package wire.
func (m *Remote) Clone(ctx context.Context) (_ *Repository, err error) {
	r := &Repository{memory: m.Memory}
	defer func() {
		if err == nil {
			return
		}
		err = cmpErr(ctx.Err(), fmt.Errorf("cloning %s: %w", m.url.Redacted(), err))
		_ = r.Close()
	}()
	var ids []string
	if m.wire != nil {
		for _, ref := range m.refs.List {
			ids = append(ids, ref.ID)
		}
	}
	if m.wire != nil && !m.Newest {
		r.entry, r.rules = cache.Open(m.Cache, m.wire.URL, m.wire.Format, ids), m.Rules
	}
	if r.entry != nil {
		r.clone = r.entry.Incoming()
	} else if r.clone, err = os.MkdirTemp("", "leakreach-clone-"); err != nil {
		return nil, fmt.Errorf("making a temporary directory: %w", err)
	}
	bare := filepath.Join(r.clone, "repository.git")
	if m.wire == nil {
		err = m.run(ctx, m.url, r.clone, bare)
		if err != nil {
			return nil, fmt.Errorf("%s, so git was asked: %w", m.why, err)
		}
	} else if err = m.receive(ctx, r, bare, ids); err != nil {
		return nil, err
	}
	if r.Layout, err = Find(bare); err != nil {
		return nil, err
	}
	if err = r.prepare(ctx, r.incoming.arrival()); err != nil {
		return nil, err
	}
	if m.Newest {
		r.gaps = nil // the one there can be is that the clone is shallow
	}
	r.gaps = append(r.gaps, m.gaps...)
	return r, nil
}

// receive begins to make a bare repository of what the server sends. Nothing is incoming if all of it is there.
func (m *Remote) receive(ctx context.Context, r *Repository, bare string, ids []string) error {
	if err := describe(bare, m.wire.Format, m.refs); err != nil {
		return fmt.Errorf("storing the list of refs: %w", err)
	}
	request := wire.Request{Wants: ids}
	if m.Newest {
		request.Depth = 1
	}
	r.isKept = r.entry != nil && !r.entry.Empty()
	if r.isKept {
		if err := borrow(bare, r.entry.Objects()); err != nil {
			return fmt.Errorf("making use of the cache: %w", err)
		}
		request.Wants, request.Haves = r.entry.Ask(ids)
	}
	if len(request.Wants) == 0 {
		return nil // it is empty, or has nothing new
	}
	if r.isKept {
		return m.fetch(ctx, request, bare)
	}
	var err error
	r.incoming, err = begin(ctx, m.wire, request, bare)
	return err
}

// borrow lets a repository have the objects of another object directory.
func borrow(bare, objects string) error {
	info := filepath.Join(bare, "objects", "info")
	if err := os.MkdirAll(info, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(info, "alternates"), []byte(quoteAlternate(objects)+"\n"), 0o600)
}

// fetch receives a pack at once.
func (m *Remote) fetch(ctx context.Context, request wire.Request, bare string) error {
	delivery, err := m.wire.Fetch(ctx, request)
	if err != nil {
		return err
	}
	defer func() { _ = delivery.Close() }()
	if len(delivery.Shallow) > 0 && !request.Alone {
		return errors.New("the server has lost a part of the history")
	}
	f, err := os.OpenFile(received(bare), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("storing the pack: %w", err)
	}
	_, err = delivery.Receive(f)
	return errors.Join(err, f.Close())
}

// received is the file that a pack is received into.
func received(bare string) string { return filepath.Join(packDir(bare), "pack-received.pack") }

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
	return pack.NewArrival(received(bare))
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
