package wire

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leakreach/leakreach/providers/internal/gittest"
)

// versions are what a server is made to speak, by what it gets to see of our wish.
var versions = map[string]string{"version 2": "version=2", "version 1": "version=1", "version 0": ""}

// serve serves the repositories below a directory in one version of the protocol.
func serve(t *testing.T, dir, version string) *url.URL {
	t.Helper()
	backend := gittest.Server(t, dir)
	return listen(t, func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Git-Protocol", version)
		backend.ServeHTTP(w, r)
	})
}

func listen(t *testing.T, h http.HandlerFunc) *url.URL {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func options() Options { return Options{HTTP: http.DefaultClient, MaxPack: 1 << 30} }

func dial(t *testing.T, u *url.URL) *Remote {
	t.Helper()
	r, err := Dial(t.Context(), u, options())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func list(t *testing.T, r *Remote, prefixes ...string) *Refs {
	t.Helper()
	refs, err := r.Refs(t.Context(), prefixes...)
	if err != nil {
		t.Fatal(err)
	}
	return refs
}

// A delivered is a pack, and what was told before it came.
type delivered struct {
	Pack
	Shallow []string
}

// receive receives a pack.
func receive(ctx context.Context, r *Remote, q Request, w io.Writer) (*delivered, error) {
	d, err := r.Fetch(ctx, q)
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	p, err := d.Receive(w)
	if err != nil {
		return nil, err
	}
	return &delivered{*p, d.Shallow}, nil
}

// fetch receives a pack and stores it in a repository.
func fetch(t *testing.T, r *Remote, q Request, into *gittest.Repo) *delivered {
	t.Helper()
	var b bytes.Buffer
	p, err := receive(t.Context(), r, q, &b)
	if err != nil {
		t.Fatal(err)
	}
	if p.Size != int64(b.Len()) || !strings.HasSuffix(fmt.Sprintf("%x", b.Bytes()), p.Checksum) {
		t.Errorf("%d bytes received, described as %+v", b.Len(), p)
	}
	into.GitIn(b.String(), "index-pack", "--stdin", "--fix-thin")
	return p
}

// empty makes a repository without objects.
func empty(t *testing.T, args ...string) *gittest.Repo {
	t.Helper()
	gittest.Need(t)
	r := &gittest.Repo{TB: t, Dir: t.TempDir()}
	r.Git(append([]string{"init", "-q", "-b", "trunk"}, args...)...)
	return r
}

// objects lists what a repository holds.
func objects(r *gittest.Repo) string {
	r.Helper()
	return r.Git("cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)")
}

// TestFetch receives a repository in each version and format, and compares it with the original.
func TestFetch(t *testing.T) {
	for _, format := range []string{"sha1", "sha256"} {
		source := gittest.New(t, "--object-format="+format)
		source.Write("f", "on main")
		source.Commit("m")
		source.Git("tag", "-a", "-m", "a tag", "v1")
		source.Git("notes", "add", "-m", "a note")
		source.Git("branch", "other", "HEAD^")
		source.Git("update-ref", "refs/pull/1/head", source.Git("commit-tree", "-m", "pull request", "HEAD^{tree}"))
		all := source.Git("for-each-ref", "--format=%(objectname) %(refname)")
		for name, version := range versions {
			t.Run(format+" "+name, func(t *testing.T) {
				r := dial(t, serve(t, source.Dir, version).JoinPath(".git"))
				if want := strings.TrimPrefix(version, "version="); r.Format != format || want == "2" != (r.version == 2) {
					t.Errorf("format %s, version %d", r.Format, r.version)
				}
				refs := list(t, r)
				if id := refs.ID("HEAD"); refs.Head != "refs/heads/main" || id != source.Git("rev-parse", "HEAD") {
					t.Errorf("HEAD is %s at %s", refs.Head, id)
				}
				var lines, wants []string
				for _, ref := range refs.List {
					if wants = append(wants, ref.ID); ref.Name != "HEAD" {
						lines = append(lines, ref.ID+" "+ref.Name)
					}
				}
				if got := strings.Join(lines, "\n"); got != all {
					t.Errorf("refs\n%s\nwant\n%s", got, all)
				}
				copied := empty(t, "--object-format="+format)
				fetch(t, r, Request{Wants: wants}, copied)
				if got, want := objects(copied), objects(source); got != want {
					t.Errorf("objects\n%s\nwant\n%s", got, want)
				}
				if some := list(t, r, "HEAD", "refs/heads/"); len(some.List) != 3 || some.Head != refs.Head {
					t.Errorf("HEAD and branches: %+v", some)
				}
			})
		}
	}
}

// An annotated tag leads to a commit, however many tags there are in between; in each version of the protocol that is told of it.
func TestTargets(t *testing.T) {
	origin := gittest.New(t)
	id := origin.Commit("one")
	origin.Git("tag", "light")
	origin.Git("tag", "-a", "-m", "annotated", "v1")
	origin.Git("tag", "-a", "-m", "of a tag", "v1.0.0", "v1")
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			r := dial(t, serve(t, filepath.Dir(origin.Dir), version).JoinPath(filepath.Base(origin.Dir)))
			refs, err := r.Targets(t.Context(), "refs/tags/")
			if err != nil || len(refs.List) != 3 {
				t.Fatalf("%v, %v", refs, err)
			}
			for _, ref := range refs.List {
				if annotated := ref.Name != "refs/tags/light"; ref.Target() != id || (ref.Peeled != "") != annotated || annotated == (ref.ID == id) {
					t.Errorf("%+v, want one that leads to %s", ref, id)
				}
			}
		})
	}
}

// TestOneConnection makes all requests over one connection: a new one costs as much as a small repository.
func TestOneConnection(t *testing.T) {
	var opened atomic.Int32
	n := 0
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		}
		_, _ = io.WriteString(w, []string{offer2, refs2, pkt("packfile", "\x01"+nothing, "0000")}[n])
		w.(http.Flusher).Flush()
		time.Sleep(20 * time.Millisecond) // so that the end of the answer comes by itself; the test does not need it to pass
		n++
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := all(t, u); err != nil || opened.Load() != 1 {
		t.Errorf("%d connections, %v", opened.Load(), err)
	}
}

func TestRefsOfNothing(t *testing.T) {
	source := empty(t)
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			refs := list(t, dial(t, serve(t, source.Dir, version).JoinPath(".git")), "HEAD", "refs/heads/")
			head := map[string]string{"version=2": "refs/heads/trunk"}[version] // the others cannot tell
			if len(refs.List) > 0 || refs.Odd > 0 || refs.Head != head {
				t.Errorf("%+v, want no refs and HEAD %q", refs, head)
			}
		})
	}
}

func TestShallow(t *testing.T) {
	source := gittest.New(t)
	source.Write("f", "new")
	head := source.Commit("m")
	cut := source.At(filepath.Join(t.TempDir(), "cut"))
	source.Git("clone", "-q", "--bare", "--depth=1", "file://"+source.Dir, cut.Dir)
	for name, version := range versions {
		for dir, depth := range map[string]int{filepath.Join(source.Dir, ".git"): 1, cut.Dir: 0} {
			t.Run(name+" "+strconv.Itoa(depth), func(t *testing.T) {
				r := dial(t, serve(t, filepath.Dir(dir), version).JoinPath(filepath.Base(dir)))
				copied := empty(t)
				p := fetch(t, r, Request{Wants: []string{head, head}, Depth: depth}, copied)
				if !slices.Equal(p.Shallow, []string{head}) || p.Objects != 4 || objects(copied) != objects(cut) {
					t.Errorf("%+v, want a commit, a tree and two files", p)
				}
			})
		}
	}
}

// TestHaves receives what is new.
func TestHaves(t *testing.T) {
	source := gittest.New(t)
	var lines strings.Builder
	for i := range 2000 {
		fmt.Fprintln(&lines, "line", i*i)
	}
	source.Write("f", lines.String())
	old := source.Commit("old")
	source.Git("branch", "old")
	source.Write("f", lines.String()+"one more\n")
	head := source.Commit("new")
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			r := dial(t, serve(t, source.Dir, version).JoinPath(".git"))
			copied := empty(t)
			fetch(t, r, Request{Wants: []string{old}}, copied)
			p := fetch(t, r, Request{Wants: []string{head}, Haves: []string{old}}, copied)
			if p.Objects != 3 || objects(copied) != objects(source) {
				t.Errorf("%+v, want a commit, a tree and a file", p)
			}
		})
	}
}

// TestManyRefs has as many refs as a repository of many pull requests.
func TestManyRefs(t *testing.T) {
	const n = 20_000
	source := gittest.New(t)
	var stream, packed strings.Builder
	for i := range n {
		fmt.Fprintf(&stream, "commit refs/heads/side\ncommitter C <c@example.com> %d +0000\ndata 1\nm\n\n", i)
	}
	source.GitIn(stream.String(), "fast-import", "--quiet")
	for i, id := range strings.Fields(source.Git("rev-list", "side")) {
		fmt.Fprintf(&packed, "%s refs/pull/%d/head\n", id, i)
	}
	if err := os.WriteFile(filepath.Join(source.Dir, ".git", "packed-refs"), []byte(packed.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			r := dial(t, serve(t, source.Dir, version).JoinPath(".git"))
			if few := list(t, r, "refs/heads/"); len(few.List) != 2 {
				t.Errorf("%d branches", len(few.List))
			}
			refs := list(t, r)
			if len(refs.List) != n+3 {
				t.Fatalf("%d refs", len(refs.List))
			}
			var q Request
			for _, ref := range refs.List {
				q.Wants = append(q.Wants, ref.ID)
			}
			p, err := receive(t.Context(), r, q, &bytes.Buffer{})
			if err != nil || p.Objects != n+4 {
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
}

// pkt makes packets: "0000" and its like as they are, all else as data.
func pkt(lines ...string) string {
	var b strings.Builder
	for _, l := range lines {
		if l == "0000" || l == "0001" || l == "0002" {
			b.WriteString(l)
		} else {
			fmt.Fprintf(&b, "%04x%s", len(l)+4, l)
		}
	}
	return b.String()
}

const (
	someID  = "1111111111111111111111111111111111111111"
	otherID = "2222222222222222222222222222222222222222"
)

var (
	offer2 = pkt("version 2\n", "agent=x\n", "ls-refs=unborn\n", "fetch=shallow\n", "0000")
	refs2  = pkt(someID+" HEAD symref-target:refs/heads/main\n", someID+" refs/heads/main\n", "0000")
	// nothing is a pack without objects, and its checksum.
	nothing = "PACK\x00\x00\x00\x02\x00\x00\x00\x00\x02\x9d\x08\x82\x3b\xd8\xa8\xea\xb5\x10\xad\x6a\xc7\x5c\x82\x3c\xfd\x3e\xd3\x1e"
)

// TestHostile has a server that does everything wrong, one thing at a time.
func TestHostile(t *testing.T) {
	endless := func(s string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			b := []byte(strings.Repeat(s, 1+(64<<10)/len(s)))
			for {
				if _, err := w.Write(b); err != nil {
					return
				}
			}
		}
	}
	text := func(s string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { _, _ = w.Write([]byte(s)) }
	}
	type reply = func(http.ResponseWriter)
	fetched := func(answer reply) []reply { return []reply{text(offer2), text(refs2), answer} }
	pack := func(lines ...string) []reply { return fetched(text(pkt(append([]string{"packfile\n"}, lines...)...))) }
	band := func(s string) string { return "\x01" + s }
	names := func(names ...string) string {
		var lines []string
		for _, n := range names {
			lines = append(lines, someID+" "+n)
		}
		return pkt(append(lines, "0000")...)
	}
	tests := map[string]struct {
		replies []reply // to the first request, the second, …
		says    string  // the error; "" is none
		odd     int
	}{
		"sound":      {pack(band(nothing[:7]), "\x02progress\r", band(""), band(nothing[7:]), "0000"), "", 0},
		"sections":   {fetched(text(pkt("acknowledgments\n", "NAK\n", "0001", "shallow-info\n", "shallow x\n", "shallow "+someID, "0001", "other\n", "x", "0001", "packfile\n", band(nothing), "0000"))), "", 0},
		"upper case": {[]reply{text("000Eversion 2\n" + offer2[14:]), text(refs2), text(pkt("packfile", band(nothing), "0000"))}, "", 0},

		"empty answer":            {[]reply{text("")}, "ends early", 0},
		"no packets":              {[]reply{text("zzzz")}, "not git's protocol", 0},
		"impossible length":       {[]reply{text("0003")}, "impossible length 3", 0},
		"too large":               {[]reply{text("fff1" + strings.Repeat("x", 65521))}, "impossible length 65521", 0},
		"cut in the length":       {[]reply{text("00")}, "ends early", 0},
		"cut in a packet":         {[]reply{text("0010x")}, "ends early", 0},
		"ERR":                     {[]reply{text(pkt("ERR no \x1b[31mway\u202e\n"))}, "the server says: no ?[31mway?", 0},
		"another service":         {[]reply{text(pkt("# service=git-receive-pack\n", "0000"))}, "another service", 0},
		"unknown format":          {[]reply{text(pkt("version 2\n", "object-format=md\x1b5\n", "ls-refs", "fetch", "0000"))}, `unknown object format "md?5"`, 0},
		"no commands":             {[]reply{text(pkt("version 2\n", "agent=x\n", "0000"))}, "does not offer ls-refs", 0},
		"endless capabilities":    {[]reply{func(w http.ResponseWriter) { text(pkt("version 2\n"))(w); endless(pkt("a=b"))(w) }}, "too many capabilities", 0},
		"many capabilities":       {[]reply{text(pkt(someID+" HEAD\x00"+strings.Repeat("a ", 1001), "0000"))}, "too many capabilities", 0},
		"endless tags":            {[]reply{endless(pkt(someID + " " + strings.Repeat("x", 60_000) + "^{}"))}, "excessively long", 0},
		"refs cut":                {[]reply{text(offer2), text(refs2[:len(refs2)-4])}, "ends early", 0},
		"ERR instead of refs":     {[]reply{text(offer2), text(pkt("ERR go away"))}, "the server says: go away", 0},
		"names of no ref":         {[]reply{text(offer2), text(names("refs/heads/a\x1bb", "refs/../../etc/passwd", "refs/heads/x\ny", "refs/heads/a..b", "refs/heads/a@{b", "refs/heads/a~b", "config", "refs/heads/.x", "refs/a.lock/b", "refs/a.lock", "refs/a//b", "refs/a/", "refs/a.", "refs/"+strings.Repeat("x", 5000), "")), text(pkt("packfile", band(nothing), "0000"))}, "nothing is asked for", 15},
		"ids of nothing":          {[]reply{text(offer2), text(pkt("x refs/heads/a", strings.Repeat("0", 40)+" refs/heads/b", strings.ToUpper(strings.Repeat("a", 40))+" refs/heads/c", someID+"1 refs/heads/d", "0000"))}, "nothing is asked for", 4},
		"a name twice":            {[]reply{text(offer2), text(pkt(someID+" refs/heads/a", otherID+" refs/heads/a", "0000")), text(pkt("packfile", band(nothing), "0000"))}, "", 1},
		"HEAD is nowhere":         {[]reply{text(offer2), text(pkt(someID+" HEAD symref-target:../../x", "0000")), text(pkt("packfile", band(nothing), "0000"))}, "", 0},
		"no pack":                 {fetched(text("0000")), "sent no pack", 0},
		"empty pack":              {pack("0000"), "sent no pack", 0},
		"short pack":              {pack(band(nothing[:20]), "0000"), "sent no pack", 0},
		"something else":          {pack(band("<html>Sign in, please</html>"), "0000"), "something else than a pack", 0},
		"version 9":               {pack(band("PACK\x00\x00\x00\x09\x00\x00\x00\x00"), "0000"), "something else than a pack", 0},
		"checksum":                {pack(band(nothing[:31]), band("x"), "0000"), "its checksum is another", 0},
		"more objects than bytes": {pack(band("PACK\x00\x00\x00\x02\xff\xff\xff\xff\x80\xb6\x91\xb3\x01\xf3\x96\x89\x52\x1b\x5b\xb8\x13\xb9\x92\x9e\xb4\x35\x1e\x73"), "0000"), "more objects than it has room for: 4294967295", 0},
		"pack cut":                {pack(band(nothing)), "ends early", 0},
		"fatal":                   {pack(band("PACK"), "\x03out of \x07memory\n"), "the server says: out of ?memory", 0},
		"unknown channel":         {pack("\x04x"), "unknown channel 4", 0},
		"no channel":              {pack("0000"[:0]), "without a channel", 0},
		"ERR instead of a pack":   {fetched(text(pkt("ERR upload-pack: not our ref"))), "the server says: upload-pack: not our ref", 0},
		"endless progress": {fetched(func(w http.ResponseWriter) {
			text(pkt("packfile"))(w)
			endless(pkt("\x02" + strings.Repeat("x", 60_000)))(w)
		}), "excessively long", 0},
		"endless signs of life": {fetched(func(w http.ResponseWriter) { text(pkt("packfile"))(w); endless(pkt("\x01"))(w) }), "excessively long", 0},
		"endless sections":      {fetched(endless(pkt("shallow-info", "shallow "+someID, "0001"))), "excessively long", 0},
		"endless pack": {fetched(func(w http.ResponseWriter) {
			text(pkt("packfile", band(nothing)))(w)
			endless(pkt(band(strings.Repeat("x", 60_000))))(w)
		}), "too large to be received: more than 1 MiB", 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			n := 0
			u := listen(t, func(w http.ResponseWriter, r *http.Request) {
				kind := "application/x-git-upload-pack-result"
				if r.Method == http.MethodGet {
					kind = "application/x-git-upload-pack-advertisement"
				}
				w.Header().Set("Content-Type", kind)
				if n++; n <= len(test.replies) {
					test.replies[n-1](w)
				}
			})
			refs, err := all(t, u)
			if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
				t.Errorf("error %v, want one that says %q", err, test.says)
			}
			if err != nil && (strings.ContainsAny(err.Error(), "\x1b\n\x07\u202e") || len(err.Error()) > 500) {
				t.Errorf("error %q is not fit to print", err)
			}
			if refs != nil && refs.Odd != test.odd {
				t.Errorf("%d refs left out, want %d: %v", refs.Odd, test.odd, refs.List)
			}
		})
	}
}

// TestLimits shows the bounds that a hostile server would take long to reach.
func TestLimits(t *testing.T) {
	if err := (&Refs{Odd: maxRefs - 1}).add("refs/heads/a", someID, "sha1"); err != nil {
		t.Error(err)
	}
	if err := (&Refs{Odd: maxRefs}).add("refs/heads/a", someID, "sha1"); err == nil {
		t.Error("one ref too many is taken")
	}
	many := strings.Repeat(pkt("unborn HEAD\n"), 1000)
	if _, err := readRefs(newPackets(strings.NewReader(many+"0000"), len(many)+4), "sha1"); err != nil {
		t.Error(err)
	}
	if _, err := readRefs(newPackets(strings.NewReader(many), len(many)-1), "sha1"); err == nil || !strings.Contains(err.Error(), "excessively long") {
		t.Errorf("error %v", err)
	}
}

// all does what there is to do with a server.
func all(t *testing.T, u *url.URL) (*Refs, error) {
	o := options()
	o.MaxPack = 1 << 20
	r, err := Dial(t.Context(), u, o)
	if err != nil {
		return nil, err
	}
	refs, err := r.Refs(t.Context())
	if err != nil {
		return nil, err
	}
	var q Request
	for _, ref := range refs.List {
		q.Wants = append(q.Wants, ref.ID)
	}
	_, err = receive(t.Context(), r, q, &bytes.Buffer{})
	return refs, err
}

// TestAnswers has a server whose answers are none of git's.
func TestAnswers(t *testing.T) {
	const token = "placeholder-for-a-token"
	stolen := listen(t, func(_ http.ResponseWriter, r *http.Request) {
		if _, pass, _ := r.BasicAuth(); pass != "" {
			t.Error("the token went elsewhere")
		}
	})
	var handle http.HandlerFunc
	u := listen(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			_, _ = w.Write([]byte(offer2))
			return
		}
		handle(w, r)
	})
	tests := map[string]struct {
		handle http.HandlerFunc
		says   string
	}{
		"a page": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, `answers "text/html", not git's protocol`},
		"elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, stolen.String(), http.StatusTemporaryRedirect)
		}, "307 Temporary Redirect"},
		"odd status": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(999) }, "the server answers 999"},
		"overloaded": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, "503 Service Unavailable"},
		"encoded": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
			w.Header().Set("Content-Encoding", "br")
		}, `encoded as "br"`},
		"hung up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			handle = test.handle
			o := options()
			o.Username, o.Token = "x", token
			r, err := Dial(t.Context(), u, o)
			if err != nil {
				t.Fatal(err)
			}
			_, err = r.Refs(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), token) {
				t.Errorf("error %v, want one that says %q", err, test.says)
			}
		})
	}
}

// TestZipped has a proxy in front of the server that compresses all answers.
func TestZipped(t *testing.T) {
	n := 0
	u := listen(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "gzip" {
			t.Errorf("the client accepts %q", r.Header.Get("Accept-Encoding"))
		}
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		}
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, []string{offer2, refs2, pkt("packfile", "\x01"+nothing, "0000")}[n])
		_ = z.Close()
		n++
	})
	if _, err := all(t, u); err != nil {
		t.Error(err)
	}
}

func TestUnsupported(t *testing.T) {
	for says, body := range map[string]string{
		"dumb protocol": someID + "\trefs/heads/main\n",
		"not git's":     "some other text that is long enough to be a ref\n",
	} {
		u := listen(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = w.Write([]byte(body))
		})
		_, err := Dial(t.Context(), u, options())
		odd := (*UnsupportedError)(nil)
		if err == nil || !strings.Contains(err.Error(), says) || errors.As(err, &odd) != (says == "dumb protocol") {
			t.Errorf("error %v, want one that says %q", err, says)
		}
	}
}

// TestSilence has a server that says nothing any more, at each place where it could.
func TestSilence(t *testing.T) {
	for place, replies := range [][]string{{}, {offer2}, {offer2, refs2}, {offer2, refs2, pkt("packfile", "\x01PACK")}} {
		var asked atomic.Int32
		u := listen(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // without that, the server does not notice that we are gone
			w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
			if r.Method == http.MethodGet {
				w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			}
			n := int(asked.Add(1))
			if n <= len(replies) {
				_, _ = w.Write([]byte(replies[n-1]))
				w.(http.Flusher).Flush()
			}
			if n >= len(replies) {
				<-r.Context().Done()
			}
		})
		run := func(ctx context.Context, o Options) error {
			asked.Store(0)
			r, err := Dial(ctx, u, o)
			if err == nil {
				_, err = r.Refs(ctx)
			}
			if err == nil {
				_, err = receive(ctx, r, Request{Wants: []string{someID}}, &bytes.Buffer{})
			}
			return err
		}
		o := options()
		o.Silence = 200 * time.Millisecond
		if err := run(t.Context(), o); err == nil || err.Error() != "the server said nothing for 200ms" {
			t.Errorf("place %d: error %v", place, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if err := run(ctx, options()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("place %d: error %v, want the context's", place, err)
		}
		cancel()
	}
}

// TestPreparation has a server that gives signs of life and nothing else.
func TestPreparation(t *testing.T) {
	u := listen(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			_, _ = w.Write([]byte(offer2))
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write([]byte(pkt("packfile", "\x01PACK", "\x01", "\x02working")))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	o := options()
	o.Preparation = time.Nanosecond
	r, err := Dial(t.Context(), u, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = receive(t.Context(), r, Request{Wants: []string{someID}}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "no part of the pack for 1ns") {
		t.Errorf("error %v", err)
	}
}

// TestFullDisk shows that an error of the receiver ends the fetch.
func TestFullDisk(t *testing.T) {
	source := gittest.New(t)
	r := dial(t, serve(t, source.Dir, "version=2").JoinPath(".git"))
	if _, err := receive(t.Context(), r, Request{Wants: []string{source.Git("rev-parse", "HEAD")}}, full{}); !errors.Is(err, os.ErrPermission) {
		t.Errorf("error %v", err)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, os.ErrPermission }

// TestGuessedHead has servers too old to tell which branch HEAD is.
func TestGuessedHead(t *testing.T) {
	for want, lines := range map[string][]string{
		"refs/heads/main":   {someID + " HEAD\x00", someID + " refs/heads/a", someID + " refs/heads/main", someID + " refs/heads/master"},
		"refs/heads/master": {someID + " HEAD\x00", someID + " refs/heads/a", otherID + " refs/heads/main", someID + " refs/heads/master"},
		"refs/heads/b":      {someID + " HEAD\x00", otherID + " refs/heads/a", someID + " refs/heads/b", someID + " refs/tags/c"},
		"":                  {someID + " HEAD\x00", otherID + " refs/heads/main", someID + " refs/tags/c"},
	} {
		a, err := readAdvertisement(newPackets(strings.NewReader(pkt(append(lines, "0000")...)), maxRefs*maxRefText))
		if err != nil || a.listed.Head != want {
			t.Errorf("HEAD %q, %v; want %q", a.listed.Head, err, want)
		}
	}
}

// TestPackWithoutChannels has a server that sends the pack as it is.
func TestPackWithoutChannels(t *testing.T) {
	u := listen(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			_, _ = w.Write([]byte(pkt("# service=git-upload-pack\n", "0000", someID+" HEAD\x00ofs-delta", "0000")))
			return
		}
		_, _ = w.Write([]byte(pkt("NAK\n") + nothing))
	})
	if refs, err := all(t, u); err != nil || len(refs.List) != 1 {
		t.Errorf("%+v, %v", refs, err)
	}
}
