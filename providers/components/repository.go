package components

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline/resolve"
	"github.com/leakreach/leakreach/providers/internal/forge"
	"github.com/leakreach/leakreach/providers/internal/wire"
)

// A repository is one that components lie in, while it is asked.
type repository struct {
	*Resolver
	server forge.Server
	name   string
	remote *wire.Remote // nil until it is needed
	objects
	known *known
}

const (
	// maxPack is the size of the largest answer, in bytes. The objects that lead to a file are some kilobytes; a server that cannot send those alone sends
	// all files of a commit, of which actions have some megabytes.
	maxPack = 32 << 20
	// maxCredentials is how many tokens are tried on one repository before it is asked without one.
	maxCredentials = 3
)

// resolve fills in what components of one repository stand for.
func (r *repository) resolve(ctx context.Context, wants []*want) error {
	if !validName(r.name) {
		return fmt.Errorf("%.100q is no name of a repository", r.name)
	}
	defer r.objects.close()
	address := r.server.Origin.JoinPath(r.name).String()
	r.known = r.kept.of(address)
	defer r.kept.keep(address, r.known)
	if err := r.list(ctx); err != nil {
		return err
	}
	for _, w := range wants {
		w.meaning = &resolve.Meaning{Origin: w.Origin, Opaque: true}
		if err := r.mean(w.meaning); err != nil {
			w.meaning, w.gaps = nil, append(w.gaps, err.Error())
			continue
		}
		for _, ref := range r.known.Refs {
			if tag, ok := strings.CutPrefix(ref.Name, "refs/tags/"); ok && ref.Target() == w.meaning.Commit {
				w.meaning.Tags = append(w.meaning.Tags, tag)
			}
		}
	}
	return nil
}

// mean finds the commit that a ref stands for (docs.github.com, "Workflow syntax", jobs.<job_id>.steps[*].uses: a commit, a tag or a branch).
func (r *repository) mean(m *resolve.Meaning) error {
	if id := strings.ToLower(m.Ref); isCommit(id) {
		m.Is, m.Commit = "commit", id
		for _, ref := range r.known.Refs {
			if ref.ID == id || ref.Target() == id { // the id may be that of an annotated tag
				m.Commit, m.Reachable = ref.Target(), "true"
			}
		}
		return nil
	}
	for _, ref := range r.known.Refs {
		is := ""
		switch ref.Name {
		case "refs/tags/" + m.Ref:
			is = "tag"
		case "refs/heads/" + m.Ref:
			is = "branch"
		case m.Ref:
			is = "branch"
			if strings.HasPrefix(m.Ref, "refs/tags/") {
				is = "tag"
			}
		default:
			continue
		}
		if m.Commit != "" && m.Commit != ref.Target() {
			return errors.New("it is the name of a tag and of a branch, which are different commits")
		}
		m.Is, m.Commit = is, ref.Target()
	}
	if m.Commit == "" {
		return errors.New("its repository has no branch or tag of this name")
	}
	return nil
}

func isCommit(ref string) bool {
	return (len(ref) == 40 || len(ref) == 64) && strings.Trim(ref, "0123456789abcdef") == ""
}

// list lists the repository's branches and tags, unless they are known.
func (r *repository) list(ctx context.Context) error {
	if r.known.fresh(r.env.Now()) {
		return nil
	}
	if err := r.dial(ctx); err != nil {
		return err
	}
	refs, err := r.remote.Targets(ctx, "refs/heads/", "refs/tags/")
	if err != nil {
		return fmt.Errorf("listing branches and tags: %w", err)
	}
	r.known.Listed, r.known.Refs = r.env.Now(), refs.List
	return nil
}

// dial asks the server for the repository, with each credential that may see it, and at last without one.
func (r *repository) dial(ctx context.Context) error {
	if r.remote != nil {
		return nil
	}
	var all []*forge.Credential
	owner, _, _ := strings.Cut(r.name, "/")
	if r.server.Credentials != nil {
		all = r.server.Credentials(ctx, owner)
	}
	all = append(slices.Clone(all[:min(len(all), maxCredentials)]), nil)
	var first error
	for _, c := range all {
		o := wire.Options{HTTP: r.http, MaxPack: maxPack, MaxRefs: maxRefs, Silence: 30 * time.Second, Preparation: time.Minute}
		if c != nil {
			token, err := c.Token(ctx)
			if err != nil {
				first = cmp.Or(first, err)
				continue
			}
			o.Username, o.Token = r.server.Username, token
		}
		remote, err := wire.Dial(ctx, r.server.Origin.JoinPath(r.name+".git"), o)
		if err == nil {
			r.remote = remote
			return nil
		}
		first = cmp.Or(first, err)
		if !errors.Is(err, audit.ErrAuth) && !errors.Is(err, audit.ErrNothing) {
			break
		}
	}
	if errors.Is(first, audit.ErrNothing) || errors.Is(first, audit.ErrAuth) {
		return errors.New("its repository does not exist, or may not be read")
	}
	return fmt.Errorf("asking its repository: %w", first)
}

// maxRefs is how many branches and tags a repository may have. The largest that have actions have some thousand.
const maxRefs = 100_000
