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
	"github.com/leakreach/leakreach/pipeline"
	"github.com/leakreach/leakreach/pipeline/resolve"
	"github.com/leakreach/leakreach/providers/internal/forge"
	"github.com/leakreach/leakreach/providers/internal/wire"
)

// A repository is one that components lie in, while it is asked.
type repository struct {
	*Resolver
	server forge.Server
	name   string
	objects
	*known
}

const (
	// maxPack is the size of the largest answer, in bytes. The objects that lead to a file are some kilobytes; a server that cannot send those alone sends
	// all files of a commit, of which actions have some megabytes.
	maxPack = 32 << 20
	// maxCredentials is how many tokens are tried on one repository before it is asked without one.
	maxCredentials = 3
)

// resolve fills in what components of the repository at an address stand for.
func (r *repository) resolve(ctx context.Context, address string, wants []*want) error {
	if !validName(r.name) {
		return fmt.Errorf("%.100q is no name of a repository", r.name)
	}
	defer r.objects.close()
	r.known = r.kept.of(address)
	defer r.kept.keep(address, r.known)
	if err := r.list(ctx); err != nil {
		return err
	}
	look := indexed(r.Refs)
	for _, w := range wants {
		w.meaning = &resolve.Meaning{Origin: w.Origin, Opaque: true}
		if err := look.mean(w.meaning); err != nil {
			w.meaning, w.gaps = nil, append(w.gaps, err.Error())
			continue
		}
		if w.meaning.Reachable == "" && w.meaning.Is == "commit" {
			var err error
			if w.meaning.Reachable, err = r.reach(ctx, w.meaning.Commit); err != nil {
				w.gaps = append(w.gaps, "whether a branch or tag leads to it: "+r.why(err))
			}
		}
		w.meaning.Tags = look.tags[w.meaning.Commit]
		if gap := r.advised(w.meaning, r.server); gap != "" {
			w.gaps = append(w.gaps, gap)
		}
	}
	r.parts(ctx, wants)
	return nil
}

// parts reads what components pull in themselves, at the commits that they stand for.
func (r *repository) parts(ctx context.Context, wants []*want) {
	ways := map[string]*way{} // by commit and path
	var list []*way
	of := map[*want]string{}
	for _, w := range wants {
		if w.meaning == nil || w.meaning.Reachable == resolve.Missing || w.kind != pipeline.Action && w.kind != pipeline.Workflow { // GitLab has merged its own already
			continue
		}
		key := w.meaning.Commit + " " + w.Path
		of[w] = key
		if _, ok := r.Files[key]; ok || ways[key] != nil {
			continue
		}
		way := &way{next: w.meaning.Commit, names: []string{"action.yml", "action.yaml", "Dockerfile"}}
		if w.Path != "" {
			way.folders = strings.Split(w.Path, "/")
		}
		if w.IsWorkflow() {
			last := len(way.folders) - 1
			way.folders, way.names = way.folders[:last], way.folders[last:]
		}
		ways[key] = way
		list = append(list, way)
	}
	r.follow(ctx, list)
	for key, way := range ways {
		if way.err == nil {
			r.Files[key] = way.file
		}
	}
	for w, key := range of {
		f, known := r.Files[key]
		switch {
		case !known:
			w.gaps = append(w.gaps, "what it pulls in itself: "+r.why(ways[key].err))
		case f.Name == "":
			w.gaps = append(w.gaps, "what it pulls in itself: it is not there at commit "+w.meaning.Commit)
		case f.Name != "Dockerfile": // which is built, from whatever it names
			parts, whole := resolve.Parts(w.Origin, w.meaning.Commit, f.Content)
			w.meaning.Parts, w.meaning.Opaque = parts, !whole
		}
	}
}

// reach tells whether a branch or tag leads to a commit, or the repository does not have it at all. A forge that keeps the objects of a repository and its forks
// together hands out those of a fork under the repository's name, too.
//
// The server is asked for the commit by one who says that he has all that branches and tags lead to: if they lead to it, nothing is left to be sent.
func (r *repository) reach(ctx context.Context, id string) (string, error) {
	if said, ok := r.Reach[id]; ok {
		return said, nil
	}
	var tips []string
	for _, ref := range r.Refs {
		tips = append(tips, ref.Target())
	}
	if len(tips) == 0 {
		return "", errors.New("it lists none")
	}
	p, err := r.fetch(ctx, wire.Request{Wants: []string{id}, Haves: tips, Commits: true})
	said := resolve.Unreachable
	switch refused := (*wire.RefusedError)(nil); {
	case errors.As(err, &refused) && refused.Missing():
		said = resolve.Missing
	case err != nil:
		return "", err
	case p.Objects == 0:
		said = resolve.Reachable
	default: // unless it does not listen to what we have
		p, err = r.fetch(ctx, wire.Request{Wants: tips[:1], Haves: tips, Commits: true})
		if err == nil && p.Objects > 0 {
			err = errors.New("the server sends what it need not")
		}
		if err != nil {
			return "", err
		}
	}
	if r.Reach == nil {
		r.Reach = map[string]string{}
	}
	r.Reach[id] = said
	return said, nil
}

// An index has a repository's branches and tags by what they are looked up by.
type index struct {
	names map[string]string   // commits by full name
	ids   map[string]string   // commits by the ids that refs have, which may be those of annotated tags
	tags  map[string][]string // by commit
}

func indexed(refs []wire.Ref) *index {
	x := &index{map[string]string{}, map[string]string{}, map[string][]string{}}
	for _, ref := range refs {
		commit := ref.Target()
		x.names[ref.Name], x.ids[ref.ID], x.ids[commit] = commit, commit, commit
		if tag, ok := strings.CutPrefix(ref.Name, "refs/tags/"); ok {
			x.tags[commit] = append(x.tags[commit], tag)
		}
	}
	return x
}

// mean finds the commit that a ref stands for (docs.github.com, "Workflow syntax", jobs.<job_id>.steps[*].uses: a commit, a tag or a branch).
func (x *index) mean(m *resolve.Meaning) error {
	if id := strings.ToLower(m.Ref); isCommit(id) {
		m.Is, m.Commit = "commit", id
		if commit, ok := x.ids[id]; ok {
			m.Commit, m.Reachable = commit, resolve.Reachable
		}
		return nil
	}
	tag, branch := x.names["refs/tags/"+m.Ref], x.names["refs/heads/"+m.Ref]
	switch {
	case strings.HasPrefix(m.Ref, "refs/tags/"):
		tag = x.names[m.Ref]
	case strings.HasPrefix(m.Ref, "refs/heads/"):
		branch = x.names[m.Ref]
	}
	switch {
	case tag != "" && branch != "" && tag != branch:
		return errors.New("it is the name of a tag and of a branch, which are different commits")
	case tag != "":
		m.Is, m.Commit = "tag", tag
	case branch != "":
		m.Is, m.Commit = "branch", branch
	default:
		return errors.New("its repository has no branch or tag of this name")
	}
	return nil
}

func isCommit(ref string) bool {
	return (len(ref) == 40 || len(ref) == 64) && strings.Trim(ref, "0123456789abcdef") == ""
}

// list lists the repository's branches and tags, unless they are known.
func (r *repository) list(ctx context.Context) error {
	if fresh(r.Listed, r.env.Now(), freshness) {
		return nil
	}
	if err := r.dial(ctx); err != nil {
		return err
	}
	refs, err := r.remote.Targets(ctx, "refs/heads/", "refs/tags/")
	if err != nil {
		return fmt.Errorf("listing branches and tags: %w", err)
	}
	r.Listed, r.Refs, r.Reach = r.env.Now(), refs.List, nil
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
