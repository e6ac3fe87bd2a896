package forge

import (
	"context"
	"errors"
	"iter"
	"net/url"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/cache"
	"github.com/leakreach/leakreach/providers/internal/git"
	"github.com/leakreach/leakreach/providers/internal/wire"
)

// Clone says how the repository of a target is fetched and where its pages are.
type Clone struct {
	Address         string   // as [RepositoryURL] made it
	Username, Token string   // Token "" for none
	Since           string   // only history since this commit or date; "" for all
	Newest          bool     // only the files of the default branch as they are now
	AllRefs         bool     // also what is no branch, tag or note, such as the refs of pull and merge requests
	Former          []string // ids of commits that refs once named: see [git.CloneOptions]
	Blobs, Commits  string   // web addresses that the commit id, and for a file "/" and its path, are added to
	Past, Listed    string   // the target's Past and State
	Locks           bool     // as in [git.Options]
	Optional        bool     // whether there is such a repository is not known: one that is not there has nothing, and is no gap
	Sleep           func(context.Context, time.Duration) error
}

// cloneTries is how often a clone is tried that the server or the network broke.
const cloneTries = 2

// History clones a target's repository and yields what [git.Repository.Items] does, with web addresses. A repository
// that cannot be cloned is a gap. If only a part of it came, what was listed of that is listed again by the next try.
//
// It names the state of the repository, and lists nothing of one that is as it was. Of one that the cache has, it fetches and lists the
// contents and messages that are new, and those that scanning said something of: see [audit.Choice].
func History(ctx context.Context, env audit.Env, target string, c Clone) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		h := &history{Clone: c, target: target, yield: yield}
		if h.isListed() {
			cache.Touch(env.Cache, c.Address)
			yield(audit.Item{Kind: audit.KindUnchanged, State: c.Past}, nil)
			return
		}
		err := h.tries(ctx, env)
		switch {
		case err == nil || h.stopped || h.isAbsent(err):
		case ctx.Err() != nil:
			yield(audit.Item{}, ctx.Err())
		default:
			why := redact(err.Error(), c.Token)
			if hint := audit.HintOf(err); hint != "" {
				why += "; " + hint
			}
			yield(audit.Item{}, &audit.Gap{Target: target, What: "git history", Why: plainText(why, 500)})
		}
	}
}

// isAbsent tells of what is optional whether it is not there. Who has no token is asked for one instead of being told so.
func (c Clone) isAbsent(err error) bool {
	return c.Optional && (errors.Is(err, audit.ErrNothing) || c.Token == "" && errors.Is(err, audit.ErrAuth))
}

// A history is one being listed.
type history struct {
	Clone
	target  string
	yield   func(audit.Item, error) bool
	stopped bool // the consumer has had enough
}

// tries lists the history, and once more if it broke. The error is that of the last try.
func (h *history) tries(ctx context.Context, env audit.Env) error {
	if h.Sleep == nil {
		h.Sleep = sleep
	}
	for try := 1; ; try++ {
		err := h.list(ctx, env)
		if errors.Is(err, cache.ErrDamaged) { // what was kept is gone now, so this happens once
			err = h.list(ctx, env)
		}
		final := errors.Is(err, audit.ErrAuth) || errors.Is(err, audit.ErrNothing) || errors.Is(err, audit.ErrUsage) ||
			errors.Is(err, wire.ErrTooLarge)
		if err == nil || final || try == cloneTries || ctx.Err() != nil {
			return err
		}
		env.Log.Debug("cloning again", "address", h.Address, "error", err)
		env.Cache = audit.Cache{} // what stood in the way may have been that: a full disk, a server that cannot tell what is new
		if err := h.Sleep(ctx, 5*time.Second); err != nil {
			return err
		}
	}
}

// list clones the repository and lists it. An error says that it could not be cloned, or not all of it.
func (h *history) list(ctx context.Context, env audit.Env) error {
	remote, since, err := h.dial(ctx, env)
	if err != nil {
		return err
	}
	state := ""
	if since == "" && remote.State != "" {
		state = h.asked() + " " + remote.State + " " + h.Listed
	}
	if past := strings.SplitN(h.Past, " ", 3); len(past) == 3 && strings.HasPrefix(state, past[0]+" "+past[1]+" ") {
		cache.Touch(env.Cache, h.Address)
		h.stopped = !h.yield(audit.Item{Kind: audit.KindUnchanged, State: state}, nil)
		return nil
	}
	r, err := remote.Clone(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	for it, err := range r.Items(ctx, git.Options{Since: since, Locks: h.Locks}) {
		if broken := (*git.BrokenError)(nil); errors.As(err, &broken) || errors.Is(err, cache.ErrDamaged) {
			return err
		}
		if gap := (*audit.Gap)(nil); errors.As(err, &gap) && gap.Target == "" {
			gap.Target = h.target
		}
		it.At.URL = h.page(it.At)
		if !h.yield(it, err) {
			h.stopped = true
			return nil
		}
	}
	if state != "" && r.IsSound() { // else what is missing may be there the next time
		h.stopped = !h.yield(audit.Item{Kind: audit.KindState, State: state}, nil)
	}
	return nil
}

// dial asks what the repository has. since limits the listing.
func (c Clone) dial(ctx context.Context, env audit.Env) (m *git.Remote, since string, err error) {
	options := git.CloneOptions{
		HTTP: env.HTTP, Getenv: env.Getenv, Username: c.Username, Token: c.Token, Newest: c.Newest, AllRefs: c.AllRefs, Former: c.Former, Memory: env.Memory, Rules: env.Rules,
	}
	options.AllowHTTP = strings.HasPrefix(c.Address, "http:") // then the user's own address of the API is without TLS, too
	since = c.Since
	if c.Newest {
		since = "" // a limit to history
	}
	if since == "" {
		options.Cache = env.Cache // it is filled by whole listings only
	}
	m, err = git.Dial(ctx, c.Address, options)
	return m, since, err
}

// Objects yields objects of a target's repository again, by the ids that History listed them with: files' contents without a
// path, commits and tags. Those that the cache has are not fetched. A server may refuse to send single objects: that is an error.
func Objects(ctx context.Context, env audit.Env, c Clone, ids []string) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		m, _, err := c.dial(ctx, env)
		if err != nil {
			yield(audit.Item{}, err)
			return
		}
		m.Objects(ctx, ids)(yield)
	}
}

// A repository's state, as its listing is to name it, is what is asked for, a digest of its refs, and the state in the forge's own listing if that
// stands for all that is asked for: three words, of which the last may be empty.

// asked is the first word.
func (c Clone) asked() string {
	switch {
	case c.Newest:
		return "newest"
	case c.AllRefs:
		return "all"
	}
	return "refs"
}

// isListed tells whether the forge's listing promises that all is as it was. It does not know of refs that are no branch or tag.
func (h *history) isListed() bool {
	past := strings.SplitN(h.Past, " ", 3)
	return h.Since == "" && h.Listed != "" && !h.AllRefs && len(past) == 3 && past[0] == h.asked() && past[2] == h.Listed
}

// page is the web address of a place in the history, as far as one is known.
func (c Clone) page(at audit.Location) string {
	switch {
	case at.Commit == "":
		return ""
	case at.Path == "":
		return c.Commits + at.Commit
	}
	path := (&url.URL{Path: at.Path}).EscapedPath()
	return c.Blobs + at.Commit + "/" + path
}
